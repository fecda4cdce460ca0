"""The whole language of the ledger: what can be asked of it (commands) and what it can answer (outcomes). Values only.

The hot ones (`Authorize`, `HandOver`, `Capture`, `Release`) are known by their hold's id. All others carry a command id of their own, and
their outcome is kept for ever: asked again with the same id they answer as before, with other content it is an error. An event is both.
"""

from typing import Literal

import msgspec

from farebox.ledger.bounds import Affine, Bound
from farebox.ledger.lasting import HandOver, StoredObject
from farebox.ledger.model import (
    Account,
    Budget,
    Charge,
    Counter,
    GrantKind,
    Hold,
    Key,
    Measure,
    Status,
    WindowRef,
)


class Span(msgspec.Struct, frozen=True):
    """From when until when calls of a gate are in the same windows, and in which."""

    since: int
    until: int
    refs: tuple[WindowRef, ...]
    """Those of its counters, sorted: the order in which rows are locked."""
    caps: tuple[tuple[Budget, WindowRef | None], ...]
    """Its hard caps, each with the window that it looks at; None: at all of a ring."""


class Gate(msgspec.Struct, frozen=True):
    """What must admit a call, as planned: the key, the accounts above it, every counter that counts the call, every cap on its path.
    The revisions say whether that is still so when the ledger decides.
    """

    key: Key
    path: tuple[Account, ...]
    counters: tuple[Counter, ...]
    caps: tuple[Budget, ...]
    book_version: int
    spans: list[Span] = []
    """The last one: worked out once for all calls of that time."""

    @property
    def wallet(self) -> str:
        return self.path[0].wallet


class Idempotency(msgspec.Struct, frozen=True):
    """A caller's Idempotency-Key, and the fingerprint of what it came with."""

    name: str
    fingerprint: str


class Authorize(msgspec.Struct, frozen=True, gc=False):
    """Set money aside for one attempt: on the wallet and under every cap, all or none."""

    hold_id: str
    request_id: str
    attempt: int
    gate: Gate
    bound: Bound
    markup_basis_points: int
    markup_fixed_nano: int
    provider: str
    model: str
    route: str
    owner: str
    lasts: int
    """How long, from the moment it is decided, until whoever sweeps ends it: no process's own clock says when."""
    ceiling: int | None = None
    run: str = ""
    user: str = ""
    tags: str = ""
    idempotency: Idempotency | None = None


class Result(msgspec.Struct, frozen=True, gc=False):
    """What an attempt came to: the content of its charge. `price` is what the customer owes before anything is written off."""

    outcome: str
    completeness: str
    price: int
    cost: int
    list_cost: int
    tokens: int
    model_served: str = ""
    usage: str = "{}"
    lines: str = "[]"
    timings: str = "{}"
    flags: str = ""
    status: int = 0
    upstream_request_id: str = ""


class Claim(msgspec.Struct, frozen=True):
    """Whose a hold has to be: of an owner (or one under it: `api`, `api:key`) and, if given, of a key, which then charges no more than it held."""

    owner: str
    key: str = ""

    def covers(self, hold: Hold) -> bool:
        return (hold.owner == self.owner or hold.owner.startswith(f"{self.owner}:")) and self.key in ("", hold.key)


class Capture(msgspec.Struct, frozen=True, gc=False):
    """Charge a hold what its attempt came to, and give the rest back. After its hold expired it revises that charge instead."""

    hold_id: str
    result: Result
    answer: bytes | None = None
    """The recorded answer, encrypted, for a repeat with the same Idempotency-Key."""
    gate: Gate | None = None
    """The caps on its path, which bound what an overage may be paid from. Filled in by the store when the result exceeds the hold."""
    claim: Claim | None = None
    objects: tuple[StoredObject, ...] = ()


class Release(msgspec.Struct, frozen=True):
    """Give the whole hold back: the provider surely did not bill. Writes a charge of zero."""

    hold_id: str
    outcome: str = "released"
    status: int = 0
    timings: str = "{}"
    upstream_request_id: str = ""
    claim: Claim | None = None


class Expire(msgspec.Struct, frozen=True):
    """The sweeper's: a hold whose owner is gone, or whose deadline passed, is charged whole until the truth comes."""

    hold_id: str
    why: Literal["orphaned", "deadline"] = "orphaned"


class Extend(msgspec.Struct, frozen=True):
    """Grow an open hold by a further bound, under the caps of now; with `lasts`, its deadline is at least so long from now."""

    id: str
    hold_id: str
    more: Bound
    gate: Gate
    lasts: int | None = None
    claim: Claim | None = None


class RecordEvent(msgspec.Struct, frozen=True):
    """Charge work that was done elsewhere, at its time, from today's wallet. `fingerprint` is of the event as it was sent."""

    id: str
    fingerprint: str
    hold_id: str
    request_id: str
    gate: Gate
    result: Result
    at: int
    when_short: Literal["refuse", "write_off"]
    markup_basis_points: int
    markup_fixed_nano: int
    provider: str
    model: str
    route: str
    owner: str
    run: str = ""
    user: str = ""
    tags: str = ""

    @property
    def bound(self) -> Bound:
        return Bound(Affine(self.result.price), Affine(self.result.cost), Affine(self.result.tokens), 1, 1)


class OpenAccount(msgspec.Struct, frozen=True):
    """A new account. Its wallet is its own (`own_wallet`, roots always) or that of the nearest account above that has one."""

    id: str
    account_id: str
    own_wallet: bool
    parent: str | None = None
    name: str = ""
    kind: str = "customer"
    external_id: str | None = None
    markup_basis_points: int | None = None
    markup_fixed_nano: int | None = None
    metadata: dict[str, str] = {}


class EditAccount(msgspec.Struct, frozen=True):
    """Change what of an account may change. `changes` holds new values by field name of `Account`."""

    id: str
    account_id: str
    changes: dict[str, object]


class IssueKey(msgspec.Struct, frozen=True):
    """A new key. It counts in its lifetime, day, week and month windows from birth."""

    id: str
    key: Key
    limit: int | None = None


class EditKey(msgspec.Struct, frozen=True):
    """Change what of a key may change. `changes` holds new values by field name of `Key`; `limit` ("" leaves it) its own cap."""

    id: str
    key_id: str
    changes: dict[str, object]
    limit: int | Literal[""] | None = ""


class SetBudgets(msgspec.Struct, frozen=True):
    """Replace all budgets of a scope (an account or a key), except the key's own limit and rates. Counters keep what they counted."""

    id: str
    scope: str
    budgets: tuple[Budget, ...]


class GrantMoney(msgspec.Struct, frozen=True):
    """Put money in a wallet: a top-up (kind `purchase`) or any other grant."""

    id: str
    grant_id: str
    wallet: str
    amount: int
    kind: GrantKind = "purchase"
    priority: int = 0
    effective_at: int = 0
    expires_at: int | None = None
    note: str = ""


class Move(msgspec.Struct, frozen=True):
    """Move available money to another wallet of the same root; it keeps its kind, priority and expiry."""

    id: str
    source: str
    target: str
    amount: int
    note: str = ""


class Adjust(msgspec.Struct, frozen=True):
    """Correct a wallet: a positive amount grants, a negative one takes from what is available."""

    id: str
    wallet: str
    amount: int
    note: str = ""


class Refund(msgspec.Struct, frozen=True):
    """Give back what was paid for a charge, whole or in part, as a `refund` grant. Lowers neither spent nor caps."""

    id: str
    hold_id: str
    amount: int | None = None
    note: str = ""


class BookExpiry(msgspec.Struct, frozen=True):
    """The sweeper's: book as expired what lies unheld and unspent in a grant past its expiry."""

    id: str
    grant_id: str


class PublishBook(msgspec.Struct, frozen=True):
    """A new version of the price book is in the store: calls planned with an older one are planned again."""

    id: str
    version: int
    note: str = ""


HotCommand = Authorize | HandOver | Capture | Release | Expire | RecordEvent
AdminCommand = (
    Extend | OpenAccount | EditAccount | IssueKey | EditKey | SetBudgets | GrantMoney | Move | Adjust | Refund | BookExpiry | PublishBook
)
Command = HotCommand | AdminCommand


# --- outcomes ------------------------------------------------------------------------------------------------------------------


class Authorized(msgspec.Struct, frozen=True, gc=False, tag="authorized"):
    """Money is set aside. `hold.units` is the output cap it was computed with; `available` what the caller has left after it."""

    hold: Hold
    available: int
    repeated: bool = False


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """No: nothing moved. Amounts are in the measure of the scope that refused."""

    reason: str
    scope: str = ""
    measure: Measure = "price"
    window: str = ""
    needed: int = 0
    available: int = 0
    affordable_units: int = 0
    renews_at: int | None = None
    detail: str = ""
    since: int | None = None


class Requote(msgspec.Struct, frozen=True):
    """What the call was planned with has changed (`what` names it): plan it again."""

    what: str


class Repeated(msgspec.Struct, frozen=True):
    """This Idempotency-Key was used before: still running, done (with its recorded answer, or without), or for another request."""

    state: Literal["running", "done", "mismatch"]
    request_id: str
    answer: bytes | None = None


class Settled(msgspec.Struct, frozen=True, gc=False):
    """The one charge of a hold, as it stands."""

    charge: Charge
    repeated: bool = False
    revised: bool = False


class Recorded(msgspec.Struct, frozen=True, tag="recorded"):
    """An event was charged. `late`: a window that counts it is over."""

    charge_id: str
    price: int
    paid: int
    late: bool = False
    repeated: bool = False


class Unchanged(msgspec.Struct, frozen=True):
    """Nothing to do: it had ended already, or is not due."""

    why: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """An outside command took effect. `ids` names what it made or changed; `status` an object's resulting state."""

    ids: dict[str, str] = {}
    amount: int = 0
    repeated: bool = False
    status: Status | Literal[""] = ""


class Conflict(msgspec.Struct, frozen=True):
    """The id was used before with other content: an error, without effect."""

    id: str


Outcome = Authorized | Refused | Requote | Repeated | Settled | Recorded | Unchanged | Done | Conflict
