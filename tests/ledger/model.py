"""An independent, slow, obvious model of the ledger: what its rows are and what they add up to. Written from the rules, not from the code.

It keeps only what happened (grants, transfers, holds, charges) and adds everything up anew whenever it is asked. `rulebook` decides.
Of the ledger it uses the words (commands and plain values), and none of its arithmetic.
"""

from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from math import ceil
from zoneinfo import ZoneInfo

from farebox.ledger.bounds import Affine, Bound
from farebox.ledger.commands import Authorize, RecordEvent, Result
from farebox.ledger.model import Account, Budget, Counter, Key

Amounts = dict[str, int]
MEASURES = {"price": "price", "provider_cost": "cost", "tokens": "tokens", "requests": "requests"}
UNIT_US = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


@dataclass
class Block:
    """A grant."""

    id: str
    wallet: str
    kind: str
    made_at: int
    priority: int
    begins: int
    ends: int | None

    def is_open(self, now: int) -> bool:
        return self.begins <= now and (self.ends is None or now < self.ends)

    def order(self) -> tuple[int, float, bool, int, str]:
        return (self.priority, float("inf") if self.ends is None else self.ends, self.kind != "promotion", self.made_at, self.id)


@dataclass
class Booked:
    """A charge, with the result as it was asked for."""

    asked: Result
    price: int
    cost: int
    tokens: int
    legs: list[tuple[str, int]]
    refunded: int = 0
    revised: bool = False

    @property
    def paid(self) -> int:
        return sum(part for _, part in self.legs)

    @property
    def amounts(self) -> Amounts:
        requests = 0 if self.asked.outcome == "released" else 1
        return {"price": self.price, "cost": self.cost, "tokens": self.tokens, "requests": requests}


@dataclass
class Held:
    """A hold, with what was asked for, and the counters that count it."""

    asked: Authorize | RecordEvent
    at: int
    amounts: Amounts
    units: int
    legs: list[tuple[str, int]]
    deadline: int
    counted: set[str]
    state: str = "open"
    charge: Booked | None = None
    handed: bool = False

    @property
    def key(self) -> str:
        return self.asked.gate.key.id

    @property
    def model(self) -> str:
        return f"{self.asked.provider}/{self.asked.model}"

    @property
    def may_change(self) -> bool:
        return self.state == "open" or (self.state == "expired" and self.charge is not None and not self.charge.revised)


@dataclass
class Taken:
    """An Idempotency-Key."""

    fingerprint: str
    request: str
    state: str = "running"
    answer: bytes | None = None


@dataclass
class Books:
    """Everything that happened."""

    accounts: dict[str, Account] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    limits: dict[str, int | None] = field(default_factory=dict)
    budgets: dict[str, tuple[Budget, ...]] = field(default_factory=dict)
    counters: dict[str, Counter] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    movements: list[tuple[str, int]] = field(default_factory=list)
    expiries: list[tuple[str, int]] = field(default_factory=list)
    holds: dict[str, Held] = field(default_factory=dict)
    taken: dict[tuple[str, str], Taken] = field(default_factory=dict)
    objects: dict[tuple[str, str], tuple[str, str, str]] = field(default_factory=dict)
    """What providers keep, by provider and id: its kind, its account, what is known of it."""
    book: int = 0

    # --- grants ------------------------------------------------------------------------------------------------------------------

    def grant(self, block: str) -> dict[str, int]:
        """What is in a grant, added up from everything that ever touched it."""
        charges = [hold.charge for hold in self.holds.values() if hold.charge is not None]
        return {
            "amount": sum(part for name, part in self.movements if name == block),
            "spent": sum(part for charge in charges for name, part in charge.legs if name == block),
            "held": sum(part for hold in self.holds.values() if hold.charge is None for name, part in hold.legs if name == block),
            "expired": sum(part for name, part in self.expiries if name == block),
        }

    def waits_for(self, block: str) -> int:
        """What would be there again if calls ended."""
        return sum(part for hold in self.holds.values() if hold.state == "open" for name, part in hold.legs if name == block)

    def free(self, block: str) -> int:
        sums = self.grant(block)
        return sums["amount"] - sums["spent"] - sums["held"] - sums["expired"]

    def drawable(self, wallet: str, now: int) -> list[Block]:
        return sorted((block for block in self.blocks.values() if block.wallet == wallet and block.is_open(now)), key=Block.order)

    def available(self, wallet: str, now: int) -> int:
        return sum(self.free(block.id) for block in self.drawable(wallet, now))

    def draw(self, wallet: str, amount: int, now: int) -> list[tuple[str, int]]:
        legs = []
        for block in self.drawable(wallet, now):
            part = min(self.free(block.id), amount)
            if part > 0:
                legs.append((block.id, part))
                amount -= part
        return legs

    # --- the tree ----------------------------------------------------------------------------------------------------------------

    def path(self, account: str) -> list[str]:
        node = self.accounts[account]
        return [account] if node.parent is None else [account, *self.path(node.parent)]

    def scopes(self, key: str) -> list[str]:
        return [key, *self.path(self.keys[key].account)]

    def wallet_of(self, account: str) -> str:
        return self.accounts[account].wallet

    # --- caps and counters -------------------------------------------------------------------------------------------------------

    def caps_of(self, scope: str) -> list[Budget]:
        """The caps of one scope: those a key's own fields express first, then what was set."""
        caps = []
        key = self.keys.get(scope)
        if key is not None:
            limit = self.limits.get(scope)
            if limit is not None:
                caps.append(Budget(Counter(scope, key.limit_reset or "lifetime"), limit))
            if key.requests_per_minute is not None:
                caps.append(Budget(Counter(scope, "rolling:1m"), key.requests_per_minute, "requests", rate="requests_per_minute"))
            if key.tokens_per_minute is not None:
                caps.append(Budget(Counter(scope, "rolling:1m"), key.tokens_per_minute, "tokens", rate="tokens_per_minute"))
            if key.concurrent is not None:
                caps.append(Budget(Counter(scope, "lifetime"), key.concurrent, "requests", rate="concurrent"))
        return [*caps, *self.budgets.get(scope, ())]

    def caps_on(self, key: str, model: str, run_caps: tuple[Budget, ...]) -> list[Budget]:
        """Every cap on a call's path."""
        caps = [cap for scope in self.scopes(key) for cap in self.caps_of(scope) if self.counts(cap.counter, key, model, "")]
        return [*caps, *run_caps]

    def counts(self, counter: Counter, key: str, model: str, run: str) -> bool:
        """Whether a counter counts a call: by its scope, its models, its tags, its run."""
        pinned = self.keys[key].tags
        chosen = counter.filter
        return (
            counter.scope in self.scopes(key)
            and (not chosen.models or any(is_meant(pattern, model) for pattern in chosen.models))
            and all(pinned.get(name) == value for name, value in chosen.tags)
            and chosen.run in ("", run)
        )

    def make_counter(self, counter: Counter, now: int) -> None:
        """A counter begins: it counts what it would have counted, had it always been there."""
        if counter.id in self.counters:
            return
        self.counters[counter.id] = counter
        for hold in self.holds.values():
            if self.counts(counter, hold.key, hold.model, hold.asked.run) and (hold.may_change or is_now(counter, hold.at, now)):
                hold.counted.add(counter.id)

    def counted_in(self, counter: str) -> list[Held]:
        return [hold for hold in self.holds.values() if counter in hold.counted]


# --- windows -------------------------------------------------------------------------------------------------------------------------


def length_of(window: str) -> int:
    return int(window.removeprefix("rolling:")[:-1]) * UNIT_US[window[-1]]


def step_of(window: str) -> int:
    """A ring has sixty sub-windows; twelve below an hour."""
    length = length_of(window)
    return length // 60 if length >= UNIT_US["h"] else length // 12


def label_of(counter: Counter, at: int) -> object:
    """Names the window a moment lies in, as a person would: the local date, the week of the year, the month, …"""
    if counter.window == "lifetime":
        return "for ever"
    if counter.window.startswith("rolling:"):
        return at // step_of(counter.window)
    local = datetime.fromtimestamp(at // 1_000_000, ZoneInfo(counter.timezone))
    return {
        "hour": (local.utcoffset(), local.date(), local.hour),
        "day": local.date(),
        "week": local.isocalendar()[:2],
        "month": (local.year, local.month),
        "quarter": (local.year, (local.month - 1) // 3),
        "year": local.year,
    }[counter.window]


def is_now(counter: Counter, at: int, now: int) -> bool:
    """Whether what happened then still counts now."""
    if counter.window.startswith("rolling:"):
        step, length = step_of(counter.window), length_of(counter.window)
        return now - length - step < at // step * step <= now + length
    return label_of(counter, at) == label_of(counter, now)


def is_meant(pattern: str, model: str) -> bool:
    name = model if "/" in pattern else model.split("/", 1)[1]
    return name.startswith(pattern.rstrip("*")) if pattern.endswith("*") else name == pattern


def worst_case(part: Affine, units: int) -> int:
    return ceil(Fraction(part.base + units * part.slope, part.scale)) + part.fixed


def bound_at(bound: Bound, units: int) -> Amounts:
    parts = {"price": bound.price, "cost": bound.cost, "tokens": bound.tokens}
    return {name: worst_case(part, units) for name, part in parts.items()} | {"requests": 1}
