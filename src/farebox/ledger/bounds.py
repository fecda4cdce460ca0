"""The worst case of a call, as a function of how much output it may have. Values only.

Owns that sum. Where its numbers come from is the quote's business; what they may take, the ledger's.
"""

import msgspec

from farebox.ledger.model import Amounts, Measure


class Affine(msgspec.Struct, frozen=True, gc=False):
    """How much `n` output units need in one measure: `ceil((base + n * slope) / scale) + fixed`."""

    base: int
    slope: int = 0
    scale: int = 1
    fixed: int = 0

    def at(self, units: int) -> int:
        need, scale = self.base + units * self.slope, self.scale
        return (need if scale == 1 else (need + scale - 1) // scale) + self.fixed

    def most(self, room: int, ceiling: int) -> int:
        """The most units, up to `ceiling`, that fit in the room; negative when not even none do."""
        spare = (room - self.fixed) * self.scale - self.base
        if self.slope <= 0:
            return ceiling if spare >= 0 else -1
        return min(spare // self.slope, ceiling)


class Bound(msgspec.Struct, frozen=True, gc=False):
    """The worst case of a call as a function of its output cap, and between which caps it may be admitted (equal: all or nothing)."""

    price: Affine
    cost: Affine
    tokens: Affine
    units_min: int
    units_max: int

    def at(self, units: int) -> Amounts:
        return Amounts(self.price.at(units), self.cost.at(units), self.tokens.at(units), 1)

    def measure(self, measure: Measure) -> Affine:
        if measure == "requests":
            return _ONE
        return {"price": self.price, "provider_cost": self.cost, "tokens": self.tokens}[measure]


_ONE = Affine(1)
