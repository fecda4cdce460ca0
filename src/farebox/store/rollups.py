"""Usage added up by the hour, kept with the charges: what a batch of charges, revisions and refunds adds to it, and how times are rounded.

Owns no reading (`usage_reports`) and no commit: `writing.Changes` adds the rows to its own. What a charge counts as is said a second time in
SQL, in the view `charge_usage`: `verify` holds the two against each other.
"""

from bisect import bisect_right
from collections import defaultdict
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise

import msgspec

from farebox.clock import US_PER_HOUR
from farebox.ledger.model import Charge, Hold
from farebox.store.database import Database

UNIT, FIRST_BYTE, TOTAL = "u", "f", "t"
"""What the name of a count begins with: a unit's name, or microseconds, follow."""
_ID_BYTES = 12
_KNOWN_MAX = 20_000
_STEPS = ((10, 20, 1), (20, 50, 2), (50, 100, 5))
_PLACES = 16
_encode = msgspec.json.Encoder().encode

Group = tuple[int, str, str, str, str, str, str]
"""An hour, and what is told apart in it: account, key, user, provider, model, route."""


class _Used(msgspec.Struct, gc=False):
    """Of a charge's usage, what was consumed."""

    units: dict[str, int] = {}


class _Took(msgspec.Struct, gc=False):
    """Of a charge's timings, those that are reported."""

    first_byte_us: int = 0
    last_byte_us: int = 0


_used = msgspec.json.Decoder(_Used).decode
_took = msgspec.json.Decoder(_Took).decode


@lru_cache(maxsize=_KNOWN_MAX)
def series_id(account: str, key: str, user: str, provider: str, model: str, route: str) -> bytes:
    """What names one mix of these in the tables: the same on every node, without asking the database."""
    return sha256(_encode((account, key, user, provider, model, route))).digest()[:_ID_BYTES]


def _times() -> list[int]:
    """All times that there are: each microsecond at first, then steps of 4 to 10 %."""
    places = [10**place for place in range(_PLACES)]
    return [*range(10), *(place * mantissa for place in places for begins, ends, step in _STEPS for mantissa in range(begins, ends, step))]


_TIMES = _times()
_HALVES = [-(-(one + other) // 2) for one, other in pairwise(_TIMES)]
"""From where on the next time is nearer."""
_FIRST_BYTES = [FIRST_BYTE + str(us) for us in _TIMES]
_TOTALS = [TOTAL + str(us) for us in _TIMES]


def rounded(us: int) -> int:
    """Microseconds as they are counted: few different ones, none further than 5 % from the truth."""
    return _TIMES[bisect_right(_HALVES, us)]


class _Added:
    """What a batch adds to one group: charges, charges that are no longer so, and what was given back."""

    __slots__ = ("before", "charges", "refunded")

    def __init__(self) -> None:
        self.charges: list[Charge] = []
        self.before: list[Charge] = []
        self.refunded = 0

    def sums(self) -> list[int]:
        """Calls, released ones, and amounts, in the order of the table."""
        sums = _sums(self.charges)
        if self.before:
            sums = [now - was for now, was in zip(sums, _sums(self.before), strict=True)]
        sums[7] += self.refunded
        return sums

    def counts(self) -> list[tuple[str, int]]:
        """Units and times, by name."""
        counts = _counts(self.charges)
        if self.before:
            for name, quantity in _counts(self.before).items():
                counts[name] = counts.get(name, 0) - quantity
        return [pair for pair in sorted(counts.items()) if pair[1]]


def _sums(charges: list[Charge]) -> list[int]:
    released = price = paid = written_off = cost = list_cost = refunded = tokens = 0
    for charge in charges:
        released += charge.outcome == "released"
        price += charge.price
        paid += charge.paid
        written_off += charge.written_off
        cost += charge.cost
        list_cost += charge.list_cost
        refunded += charge.refunded
        tokens += charge.tokens
    return [len(charges) - released, released, price, paid, written_off, cost, list_cost, refunded, tokens]


def _counts(charges: list[Charge]) -> dict[str, int]:
    counts: dict[str, int] = {}
    known = counts.get
    for charge in charges:
        for unit, quantity in _used(charge.usage).units.items():
            name = UNIT + unit
            counts[name] = known(name, 0) + quantity
        took = _took(charge.timings)
        if took.first_byte_us > 0:
            name = _FIRST_BYTES[bisect_right(_HALVES, took.first_byte_us)]
            counts[name] = known(name, 0) + 1
        if took.last_byte_us > 0:
            name = _TOTALS[bisect_right(_HALVES, took.last_byte_us)]
            counts[name] = known(name, 0) + 1
    return counts


class Rollups:
    """What one batch adds, by hour and series."""

    def __init__(self) -> None:
        self._groups: defaultdict[Group, _Added] = defaultdict(_Added)

    def add(self, charge: Charge, hold: Hold) -> None:
        self._groups[_group(hold)].charges.append(charge)

    def revise(self, charge: Charge, before: Charge, hold: Hold) -> None:
        added = self._groups[_group(hold)]
        added.charges.append(charge)
        added.before.append(before)

    def refund(self, hold: Hold, amount: int) -> None:
        self._groups[_group(hold)].refunded += amount

    def write(self, db: Database) -> None:
        """Adds what was gathered to what is there, hours and series in order."""
        if not self._groups:
            return
        placed = sorted([((group[0], series_id(*group[1:])), group) for group in self._groups])
        db.many("add_usage", [(*row, *group[1:], *self._groups[group].sums()) for row, group in placed])
        counts = [(*row, name, quantity) for row, group in placed for name, quantity in self._groups[group].counts()]
        if counts:
            db.many("add_usage_counts", counts)


def _group(hold: Hold) -> Group:
    hour = hold.created_at - hold.created_at % US_PER_HOUR
    return (hour, hold.account, hold.key, hold.user, hold.provider, hold.model, hold.route)
