"""A leak drill's words: what is rehearsed, what is seen meanwhile, and what must be so at its end. Pure: no calls, no terminal."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from farebox.money import format_usd, parse_usd

OK, NO_MONEY, HELD = 200, 402, 429
Kill = Callable[[], Awaitable[str]]
"""Kills the gateway in the middle, starts it again, and returns the address of its data plane from now on."""


class Drill(msgspec.Struct, frozen=True):
    """What is rehearsed. `usage` and `ignore_cap` make the provider misbehave; `kill_after` answers, `kill` is called once."""

    cap_usd: str = "1.00"
    wallet_usd: str = "5.00"
    clients: int = 64
    seconds_max: int = 120
    seed: int = 7
    usage: Literal["", "missing", "partial", "negative"] = ""
    ignore_cap: bool = False
    kill: Kill | None = None
    kill_after: int = 100

    @property
    def exact(self) -> bool:
        """Whether every charge must be the provider's bill to the nano-dollar: nothing hides the truth."""
        return not self.usage and self.kill is None


class Site(msgspec.Struct):
    """Where the gateway's two planes and the simulator are, and the key that administers."""

    url: str
    admin_url: str
    admin_key: str
    sim_url: str


class Shape(msgspec.Struct, frozen=True):
    """One kind of call, from the smallest on. `leaves`: the client closes the connection in the middle."""

    dialect: Literal["openai", "anthropic"]
    model: str
    output: int
    cap: int
    stream: bool = False
    leaves: bool = False
    pace_ms: int = 0


SHAPES = (
    Shape("openai", "gpt-4o-mini", 8, 16),
    Shape("openai", "gpt-4o-mini", 200, 400, stream=True),
    Shape("anthropic", "claude-sonnet-5-5", 40, 64),
    Shape("anthropic", "claude-sonnet-5-5", 120, 300, stream=True, leaves=True, pace_ms=2),
    Shape("openai", "gpt-4o", 150, 400, stream=True, leaves=True, pace_ms=2),
    Shape("openai", "gpt-4o", 200, 500),
    Shape("anthropic", "claude-sonnet-5-5", 400, 1000, stream=True, pace_ms=1),
    Shape("anthropic", "claude-sonnet-5-5", 900, 4000),
)
"""From the cheapest worst case to the dearest. Whoever cannot afford one tries those before it."""


class Figures(msgspec.Struct):
    """What a watcher sees, now. Dollars are nano."""

    began: float
    asked: int = 0
    answered: int = 0
    left: int = 0
    refused: int = 0
    waited: int = 0
    broken: int = 0
    bill: int = 0
    charged: int = 0
    held: int = 0
    phase: str = "hammering"

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        return self.asked / max(self.seconds, 0.001)


class Check(msgspec.Struct, frozen=True):
    """One thing that must be so."""

    name: str
    ok: bool
    says: str


class Rehearsal(msgspec.Struct, frozen=True):
    """How it went."""

    figures: Figures
    checks: list[Check]
    reasons: dict[str, int]
    key_id: str
    account_id: str

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def nano(value: Decimal | str) -> int:
    """Nano-dollars of an amount that the control API gave."""
    return parse_usd(f"{value:f}" if isinstance(value, Decimal) else value)


def compare_calls(drill: Drill, charges: list[dict[str, Any]], bill: Mapping[str, int]) -> list[Check]:
    """Joined by call id: each billed call has one charge, and it is the bill."""
    ids = Counter(charge["upstream_request_id"] for charge in charges if charge["upstream_request_id"])
    twice = [name for name, count in ids.items() if count > 1]
    says = f"{len(bill)} calls were billed, {len(charges)} charges were made"
    found = [Check("no call is charged twice", not twice, f"{len(twice)} are" if twice else says)]
    if drill.exact:
        charged = {charge["upstream_request_id"]: nano(charge["price_usd"]) for charge in charges if nano(charge["price_usd"])}
        wrong = [name for name in bill.keys() | charged.keys() if bill.get(name) != charged.get(name)]
        says = f"{len(wrong)} differ, such as {wrong[0]}" if wrong else f"{len(bill)} of {len(bill)} to the nano-dollar"
        found.append(Check("every billed call has one charge, equal to the bill", not wrong, says))
    return found


def compare_sums(drill: Drill, charges: list[dict[str, Any]], bill: Mapping[str, int]) -> list[Check]:
    """The provider's bill, what the key paid, and what the operator lost because the provider ignored what it was told."""
    billed, cap = sum(bill.values()), parse_usd(drill.cap_usd)
    paid = sum(nano(charge["paid_usd"]) for charge in charges)
    lost = sum(nano(charge["written_off_usd"]) for charge in charges)
    bound = paid + lost if drill.ignore_cap else cap
    return [
        Check("what was paid is within the cap", paid <= cap, f"${format_usd(paid)} of ${format_usd(cap)}"),
        Check("the bill is covered", billed <= paid + lost, f"${format_usd(billed)} billed, ${format_usd(paid + lost)} charged"),
        Check("the bill is within the bound", billed <= bound, f"${format_usd(billed)} of ${format_usd(bound)}"),
    ]


def compare_answers(drill: Drill, figures: Figures, statuses: Mapping[int, int]) -> Check:
    """Nothing but answers and refusals: no error of the gateway's own, no broken connection unless it was killed."""
    odd = {status: count for status, count in statuses.items() if status not in (OK, NO_MONEY, HELD)}
    fine = drill.kill is not None or (not figures.broken and not odd)
    return Check("every call was answered or refused", fine, f"{figures.asked} calls" if fine else f"{odd}, {figures.broken} broken")
