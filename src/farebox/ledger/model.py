"""The ledger's objects, as values. Amounts are nano-dollars, times microseconds since 1970 UTC. What changes them is `machine`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Literal
from urllib.parse import quote

import msgspec

Status = Literal["active", "paused", "revoked", "closed"]
HoldState = Literal["open", "captured", "released", "expired"]
GrantKind = Literal["purchase", "promotion", "refund", "adjustment"]
Measure = Literal["price", "provider_cost", "tokens", "requests"]
Clamp = Literal["never", "unnamed", "always"]

KEY_WINDOWS = ("lifetime", "day", "week", "month")
"""Every key counts in these (UTC) from birth, so that a cap set later knows what was spent before."""

BACKGROUND = "background"
"""Who has a hold whose provider answers later: no process of its own, but whichever asks next."""

CONCURRENT = "concurrent"
"""The rate that bounds open holds, not what was spent."""


class Amounts(msgspec.Struct, frozen=True, gc=False):
    """One quantity in every measure a budget may use: nano-dollars of price and provider cost, tokens, requests."""

    price: int = 0
    cost: int = 0
    tokens: int = 0
    requests: int = 0

    def of(self, measure: Measure) -> int:
        return self.price if measure == "price" else _OF[measure](self)

    def __neg__(self) -> "Amounts":
        return Amounts(-self.price, -self.cost, -self.tokens, -self.requests)

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(self.price + other.price, self.cost + other.cost, self.tokens + other.tokens, self.requests + other.requests)

    def __sub__(self, other: "Amounts") -> "Amounts":
        return Amounts(self.price - other.price, self.cost - other.cost, self.tokens - other.tokens, self.requests - other.requests)


_OF: dict[Measure, Callable[[Amounts], int]] = {
    "price": attrgetter("price"),
    "provider_cost": attrgetter("cost"),
    "tokens": attrgetter("tokens"),
    "requests": attrgetter("requests"),
}
NOTHING = Amounts()


class Account(msgspec.Struct, frozen=True):
    """A node that pays or spends. `wallet` is the account whose prepaid money its calls draw on; it and `parent` never change."""

    id: str
    root: str
    wallet: str
    created_at: int
    parent: str | None = None
    name: str = ""
    kind: str = "customer"
    external_id: str | None = None
    status: Status = "active"
    status_why: str = ""
    status_since: int = 0
    markup_basis_points: int | None = None
    markup_fixed_nano: int | None = None
    metadata: dict[str, str] = {}
    rev: int = 1


class Key(msgspec.Struct, frozen=True):
    """A credential of an account. `rev` grows with every change to it or to its budgets."""

    id: str
    account: str
    root: str
    hash: str
    label: str
    created_at: int
    name: str = ""
    status: Status = "active"
    status_why: str = ""
    status_since: int = 0
    expires_at: int | None = None
    models: tuple[str, ...] = ()
    clamp: Clamp = "unnamed"
    default_max_output_tokens: int | None = None
    unknown_fields: Literal["pass", "refuse"] = "pass"
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}
    markup_basis_points: int | None = None
    markup_fixed_nano: int | None = None
    limit_reset: str | None = None
    rev: int = 1


class Filter(msgspec.Struct, frozen=True):
    """Which calls a counter counts: all, or those of some models (`claude-*`), of keys with some pinned tags, or of one agent run."""

    models: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    run: str = ""

    def text(self) -> str:
        """The canonical form that identifies it: no two filters share one, whatever is written in them."""
        parts = [f"models={','.join(_plain(model) for model in sorted(self.models))}"] if self.models else []
        parts += [f"tags={','.join(f'{_plain(name)}={_plain(value)}' for name, value in sorted(self.tags))}"] if self.tags else []
        parts += [f"run={_plain(self.run)}"] if self.run else []
        return "&".join(parts)

    def counts_model(self, model: str) -> bool:
        """Whether a call of this model (`provider/model`) counts. A pattern ends in `*`, or is exact; without a slash it means any provider."""
        return not self.models or any(matches(pattern, model) for pattern in self.models)

    def counts_tags(self, pinned: dict[str, str]) -> bool:
        return all(pinned.get(name) == value for name, value in self.tags)


def _plain(text: str) -> str:
    """Text without the characters that part a filter's fields."""
    return text if text.replace("-", "").replace("_", "").isalnum() else quote(text, safe="/*:.@ ")


EVERYTHING = Filter()


def matches(pattern: str, model: str) -> bool:
    """Whether `provider/model` is meant by a pattern: exact, or a prefix ending in `*`; a pattern without a slash leaves the provider open."""
    name = model if "/" in pattern else model.partition("/")[2]
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


class Counter(msgspec.Struct, frozen=True, dict=True):
    """What has been held and spent in a scope, per window. Belongs to (scope, filter, window, time zone) and survives every edit of a cap."""

    scope: str
    window: str
    timezone: str = "UTC"
    filter: Filter = EVERYTHING

    @cached_property
    def id(self) -> str:
        zone = "" if self.timezone == "UTC" else f"@{self.timezone}"
        chosen = self.filter.text()
        return f"{self.scope}/{self.window}{zone}{'?' if chosen else ''}{chosen}"


class Budget(msgspec.Struct, frozen=True):
    """A cap over a counter. `limit` is in its measure: nano-dollars, tokens or requests. Hard ones refuse, soft ones are watched."""

    counter: Counter
    limit: int
    measure: Measure = "price"
    hard: bool = True
    thresholds: tuple[int, ...] = ()
    is_key_limit: bool = False
    """The one that the key's own `limit` field shows and sets."""
    rate: str = ""
    """Names the rate limit this is (`requests_per_minute`, …): refused with `rate_limited` instead of money words."""


@dataclass(slots=True)
class Window:
    """One counter in one window: what is set aside and what was charged, in every measure.

    Like a grant no struct: those that change are changed a dozen times in a call, for which these take half as long.
    """

    counter: str
    start: int
    price_held: int = 0
    cost_held: int = 0
    tokens_held: int = 0
    requests_held: int = 0
    price_spent: int = 0
    cost_spent: int = 0
    tokens_spent: int = 0
    requests_spent: int = 0

    def held(self, measure: Measure) -> int:
        return self.price_held if measure == "price" else _HELD[measure](self)

    def spent(self, measure: Measure) -> int:
        return self.price_spent if measure == "price" else _SPENT[measure](self)


_HELD: dict[Measure, Callable[[Window], int]] = {
    "price": attrgetter("price_held"),
    "provider_cost": attrgetter("cost_held"),
    "tokens": attrgetter("tokens_held"),
    "requests": attrgetter("requests_held"),
}
_SPENT: dict[Measure, Callable[[Window], int]] = {
    "price": attrgetter("price_spent"),
    "provider_cost": attrgetter("cost_spent"),
    "tokens": attrgetter("tokens_spent"),
    "requests": attrgetter("requests_spent"),
}


@dataclass(slots=True)
class Grant:
    """A block of credit. `amount` is what transfers put in it, less what they took out; never less than spent + held + expired."""

    id: str
    wallet: str
    kind: GrantKind
    created_at: int
    amount: int
    priority: int = 0
    effective_at: int = 0
    expires_at: int | None = None
    spent: int = 0
    held: int = 0
    expired: int = 0

    @property
    def free(self) -> int:
        """Neither spent, held nor expired; not asking whether it is effective."""
        return self.amount - self.spent - self.held - self.expired

    def is_effective(self, now: int) -> bool:
        """Whether it has begun and has not expired."""
        return self.effective_at <= now and (self.expires_at is None or now < self.expires_at)

    def available(self, now: int) -> int:
        """What a hold may draw now."""
        if self.effective_at <= now and (self.expires_at is None or now < self.expires_at):
            return self.amount - self.spent - self.held - self.expired
        return 0

    def draw_order(self) -> tuple[int, int, int, int, str]:
        """Priority, soonest expiry, promotional before paid, oldest (ledger.md §3)."""
        expires = self.expires_at if self.expires_at is not None else 2**62
        return (self.priority, expires, 0 if self.kind == "promotion" else 1, self.created_at, self.id)


Leg = tuple[str, int]
"""A grant and the nano-dollars drawn on it."""
WindowRef = tuple[str, int]
"""A counter's id and a window's start."""


class Hold(msgspec.Struct, frozen=True, gc=False):
    """Money set aside for one attempt. Everything but state, amount, bounds, legs, deadline and closed_at is fixed when it is made."""

    id: str
    request_id: str
    attempt: int
    key: str
    account: str
    root: str
    wallet: str
    amount: int
    cost_bound: int
    tokens_bound: int
    units: int
    asked: int
    legs: tuple[Leg, ...]
    windows: tuple[WindowRef, ...]
    book_version: int
    markup_basis_points: int
    markup_fixed_nano: int
    provider: str
    model: str
    route: str
    owner: str
    created_at: int
    deadline: int
    run: str = ""
    user: str = ""
    tags: str = ""
    idempotency: str = ""
    state: HoldState = "open"
    closed_at: int | None = None

    @property
    def bounds(self) -> Amounts:
        return Amounts(self.amount, self.cost_bound, self.tokens_bound, 1)


class Charge(msgspec.Struct, frozen=True, gc=False):
    """What one hold ended in. `paid + written_off == price`. Lines and usage are JSON, kept as the meter and the rater made them."""

    hold_id: str
    request_id: str
    key: str
    account: str
    root: str
    wallet: str
    at: int
    outcome: str
    completeness: str
    price: int
    paid: int
    written_off: int
    cost: int
    list_cost: int
    tokens: int
    legs: tuple[Leg, ...]
    provider: str
    model: str
    model_served: str = ""
    route: str = ""
    usage: str = "{}"
    lines: str = "[]"
    timings: str = "{}"
    flags: str = ""
    status: int = 0
    upstream_request_id: str = ""
    refunded: int = 0
    revised: bool = False

    @property
    def amounts(self) -> Amounts:
        return Amounts(self.price, self.cost, self.tokens, 0 if self.outcome == "released" else 1)


class Transfer(msgspec.Struct, frozen=True):
    """A movement of money that is not a charge. The legs are what it changed of each grant's amount (or of its expired part)."""

    id: str
    kind: Literal["top_up", "grant", "move", "refund", "adjustment", "expiry"]
    wallet: str
    root: str
    at: int
    amount: int
    legs: tuple[Leg, ...]
    other_wallet: str | None = None
    charge: str | None = None
    note: str = ""
    command: str = ""


class Replayable(msgspec.Struct, frozen=True):
    """An Idempotency-Key of a caller, the request that took it, and the recorded answer once there is one."""

    key: str
    name: str
    fingerprint: str
    request_id: str
    created_at: int
    state: Literal["running", "done"] = "running"
    answer: bytes | None = None
