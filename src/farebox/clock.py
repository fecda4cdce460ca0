"""Time: integers of microseconds since 1970 UTC. Rules receive `now`; only edges read a clock, and tests hand in their own."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

US_PER_MS = 1_000
US_PER_S = 1_000_000
US_PER_MINUTE = 60 * US_PER_S
US_PER_HOUR = 60 * US_PER_MINUTE
US_PER_DAY = 24 * US_PER_HOUR

Clock = Callable[[], int]
_PASSING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def wall_clock() -> int:
    """Microseconds since 1970 UTC by this machine's clock."""
    return time.time_ns() // 1_000


def steady_clock() -> int:
    """Microseconds that pass, whatever is done to this machine's clock, and (where the system counts it) while it sleeps; since when is
    not said.
    """
    return time.clock_gettime_ns(_PASSING) // 1_000


def seconds(us: int) -> float:
    """Microseconds as what timers take."""
    return us / US_PER_S


def to_rfc3339(at_us: int) -> str:
    """`2026-11-21T09:30:00.123456Z`, with the fraction left out when it is zero."""
    whole, micros = divmod(at_us, US_PER_S)
    text = _to_the_second(whole)
    return f"{text}.{micros:06d}Z" if micros else f"{text}Z"


@lru_cache(maxsize=1024)
def _to_the_second(seconds_since_1970: int) -> str:
    """What is told at one time lies in few different seconds."""
    return datetime.fromtimestamp(seconds_since_1970, UTC).isoformat()[:19]


def from_rfc3339(text: str) -> int:
    """Microseconds since 1970 UTC. Refuses (ValueError) a time without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone: end it with Z or an offset")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * US_PER_S + delta.microseconds
