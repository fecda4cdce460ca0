"""The flat rows that a price book is made of and stored as: integers and strings only. No lookups, no arithmetic on usage."""

import msgspec

from farebox.usage import Conditions


class PriceRow(msgspec.Struct, frozen=True, gc=False):
    """The price of one unit of one model under one set of conditions, for one span of time."""

    provider: str
    model: str
    unit: str
    tier_above: int
    """Applies to requests with more prompt tokens than this (0: from the first one on). The whole request moves, in and out."""
    service_tier: str
    speed: str
    geo: str
    batch: int
    """1 or 0."""
    pico: int
    """Pico-dollars per unit: $X per million tokens is X * 10**6."""
    valid_from_us: int
    valid_to_us: int | None
    """The first moment it no longer holds. None: until further notice."""
    source: str
    checked_at_us: int

    @property
    def conditions(self) -> Conditions:
        """The conditions it holds under."""
        return Conditions(service_tier=self.service_tier, speed=self.speed, geo=self.geo, batch=bool(self.batch))

    def holds_at(self, at_us: int) -> bool:
        """Whether the row is valid at a moment."""
        return self.valid_from_us <= at_us and (self.valid_to_us is None or at_us < self.valid_to_us)


class ModelRow(msgspec.Struct, frozen=True, gc=False):
    """One model of one provider: its names and its limits."""

    provider: str
    model: str
    names: tuple[str, ...]
    """The exact names that mean this model, its own included."""
    context_tokens_max: int | None = None
    output_tokens_max: int | None = None
    kind: str = "chat"
    """A label for lists (`chat`, `embedding`, `image`, …). Nothing is decided by it."""
