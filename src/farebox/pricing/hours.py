"""Windows of the day (UTC) in which a model has other prices than at its dearest hour, and their names in the book.

Such a price is a row whose `service_tier` is the window's name, `hours 16:30-00:30`, under conditions that are plain otherwise. It is no
tier that a request could ask for: cards.py keeps it apart.
"""

import re

import msgspec

from farebox.clock import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE
from farebox.usage import PLAIN, Conditions

Span = tuple[int, int]
"""From when until when a call was on its way. Which moment of it the provider bills by is the provider's to say."""
PREFIX = "hours "
_NAME = re.compile(r"hours ([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


class Window(msgspec.Struct, frozen=True, gc=False):
    """The same hours of every day, shorter than a day; over midnight or not."""

    begins_us: int
    """Since midnight UTC: its first moment."""
    lasts_us: int

    def holds(self, span: Span) -> bool:
        """Whether all of a span lies in it, on one day."""
        return self._since(span) + _length(span) < self.lasts_us

    def touches(self, span: Span) -> bool:
        """Whether any moment of a span lies in it."""
        since = self._since(span)
        return since < self.lasts_us or since + _length(span) >= US_PER_DAY

    def _since(self, span: Span) -> int:
        """How long it had begun, that day or the day before, when the span began."""
        return (span[0] - self.begins_us) % US_PER_DAY


def _length(span: Span) -> int:
    return max(span[1] - span[0], 0)  # a clock may have been set back meanwhile


def is_named(service_tier: str) -> bool:
    """Whether this is meant as a window's name, and not as a tier that a request asks for."""
    return service_tier.startswith(PREFIX)


def window_of(conditions: Conditions) -> Window | None:
    """The window that these conditions name. None: none that there is, or something else about them is not plain."""
    found = _NAME.fullmatch(conditions.service_tier)
    if found is None or msgspec.structs.replace(conditions, service_tier=PLAIN.service_tier) != PLAIN:
        return None
    hour, minute, to_hour, to_minute = map(int, found.groups())
    begins_us = hour * US_PER_HOUR + minute * US_PER_MINUTE
    lasts_us = (to_hour * US_PER_HOUR + to_minute * US_PER_MINUTE - begins_us) % US_PER_DAY
    return Window(begins_us, lasts_us) if lasts_us else None


def conditions_of(begins_us: int, ends_us: int) -> Conditions:
    """The conditions that name a window, from and until (not including) whole minutes of the day."""
    return Conditions(service_tier=f"{PREFIX}{_clock(begins_us)}-{_clock(ends_us)}")


def _clock(us: int) -> str:
    hour, rest = divmod(us, US_PER_HOUR)
    return f"{hour:02d}:{rest // US_PER_MINUTE:02d}"
