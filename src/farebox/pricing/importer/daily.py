"""Prices of genai-prices that depend on the hour of the day: between which turns of the day which of them hold. Not what they come to."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from typing import TypeVar

from genai_prices.types import ModelInfo, ModelPrice, TimeOfDateConstraint

from farebox.clock import US_PER_DAY, US_PER_MINUTE, US_PER_S

_Read = TypeVar("_Read")
_SOME_DAY = date(1970, 1, 2)


def parts_of_day(model: ModelInfo, midnight_us: int, read: Callable[[ModelPrice], _Read]) -> Iterator[tuple[int, int, _Read]]:
    """From when until (not including) when on a day what is read in a model's prices holds, in microseconds since midnight UTC: a whole
    round, the last part perhaps over midnight. Nothing where it is the same all day, or does not turn at a whole minute.
    """
    turns = _turns(model)
    if any(turn % US_PER_MINUTE for turn in turns):
        return
    holding = [read(model.get_prices(datetime.fromtimestamp((midnight_us + turn) // US_PER_S, UTC))) for turn in turns]
    kept = [at for at in range(len(turns)) if holding[at] != holding[at - 1]]
    for at, following in zip(kept, [*kept[1:], *kept[:1]], strict=True):
        yield turns[at], turns[following], holding[at]


def _turns(model: ModelInfo) -> list[int]:
    """The moments of the day at which any price of a model begins or ends."""
    dated = [] if isinstance(model.prices, ModelPrice) else [part.constraint for part in model.prices]
    hours = [part for part in dated if isinstance(part, TimeOfDateConstraint)]
    return sorted({_since_midnight(clock) for part in hours for clock in (part.start_time, part.end_time)})


def _since_midnight(clock: time) -> int:
    at = datetime.combine(_SOME_DAY, clock if clock.tzinfo is not None else clock.replace(tzinfo=UTC))
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // at.resolution % US_PER_DAY
