"""When a window starts and ends: calendar windows in a time zone, and rolling ones as rings of sub-windows. Pure; all in microseconds."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from farebox.clock import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_S

LIFETIME = "lifetime"
CALENDAR = ("hour", "day", "week", "month", "quarter", "year")
ROLLING = "rolling:"
_UNITS = {"m": US_PER_MINUTE, "h": US_PER_HOUR, "d": US_PER_DAY}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY_US = 4 * US_PER_DAY  # 1970-01-05 was the first Monday
_ROLLING_MAX_US = 400 * US_PER_DAY
FOREVER = 2**62


class UnknownWindowError(ValueError):
    """Not a window that a budget can have."""


@lru_cache(maxsize=1024)
def rolling_length(window: str) -> int:
    """The length of `rolling:1h`, `rolling:24h`, `rolling:30d`, `rolling:1m`."""
    number, unit = window[len(ROLLING) : -1], window[-1:]
    if not number.isascii() or not number.isdigit() or unit not in _UNITS or not 0 < int(number) * _UNITS[unit] <= _ROLLING_MAX_US:
        raise UnknownWindowError(f"{window!r} is not a rolling window: write rolling:1h, rolling:24h or rolling:30d")
    return int(number) * _UNITS[unit]


def rolling_step(window: str) -> int:
    """The length of its sub-windows: a sixtieth, or a twelfth below an hour."""
    length = rolling_length(window)
    return length // 60 if length >= US_PER_HOUR else length // 12


def check(window: str, timezone: str) -> None:
    """Refuses (UnknownWindowError) what is not a window or a time zone."""
    if window.startswith(ROLLING):
        rolling_length(window)
    elif window != LIFETIME and window not in CALENDAR:
        raise UnknownWindowError(f"{window!r} is not a window: it is one of lifetime, {', '.join(CALENDAR)}, or rolling:24h")
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        raise UnknownWindowError(f"{timezone!r} is not a time zone of the tz database, such as UTC or Europe/Berlin") from None


def span_of(window: str, timezone: str, now: int) -> tuple[int, int]:
    """From when until when the window (or the sub-window of a ring) lasts that `now` lies in. A lifetime starts at 0.

    Remembers the last span of each (window, zone): time moves on, so it is nearly always the one asked for.
    """
    known = _spans.get((window, timezone))
    if known is not None and known[0] <= now < known[1]:
        return known
    span = _compute(window, timezone, now)
    if len(_spans) > 4096:  # noqa: PLR2004 - a bound on memory, not a rule
        _spans.clear()
    _spans[window, timezone] = span
    return span


_spans: dict[tuple[str, str], tuple[int, int]] = {}


def start_of(window: str, timezone: str, now: int) -> int:
    """The start of the window (or of the sub-window of a ring) that `now` lies in. A lifetime starts at 0."""
    return span_of(window, timezone, now)[0]


def end_of(window: str, timezone: str, now: int) -> int:
    """The first moment after the window (or sub-window) that `now` lies in."""
    return span_of(window, timezone, now)[1]


def ring_start(window: str, now: int) -> int:
    """The start of the oldest sub-window of a ring that still reaches into the last `length`: conservative by at most one step."""
    step = rolling_step(window)
    oldest = now - rolling_length(window)
    return oldest - oldest % step


def _compute(window: str, timezone: str, now: int) -> tuple[int, int]:
    if window == LIFETIME:
        return 0, FOREVER
    if window.startswith(ROLLING):
        step = rolling_step(window)
        return now - now % step, now - now % step + step
    if timezone == "UTC" and window in ("hour", "day", "week"):
        length, offset = {"hour": (US_PER_HOUR, 0), "day": (US_PER_DAY, 0), "week": (7 * US_PER_DAY, _MONDAY_US)}[window]
        start = now - (now - offset) % length
        return start, start + length
    return _calendar(window, ZoneInfo(timezone), now)


def _calendar(window: str, zone: ZoneInfo, now: int) -> tuple[int, int]:
    """Calendar spans in local time. Hours are counted in real time, so that a repeated local hour is two windows, not one."""
    local = (_EPOCH + timedelta(microseconds=now)).astimezone(zone)
    if window == "hour":
        return _hour(zone, local, now)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if window == "day":
        first, after = day, day + timedelta(days=1)
    elif window == "week":
        first = day - timedelta(days=day.weekday())
        after = first + timedelta(days=7)
    else:
        months = {"month": 1, "quarter": 3, "year": 12}[window]
        first = day.replace(day=1, month=(day.month - 1) // months * months + 1)
        index = first.year * 12 + first.month - 1 + months
        after = first.replace(year=index // 12, month=index % 12 + 1)
    return _to_us(first), _to_us(after)


def _hour(zone: ZoneInfo, local: datetime, now: int) -> tuple[int, int]:
    """A local hour. Where the offset moves by less than an hour (Lord Howe), the hour is cut there, so that hours never overlap."""
    start = now - ((local.minute * 60) + local.second) * US_PER_S - local.microsecond
    offset = _offset(zone, now)
    first, last = start, start + US_PER_HOUR
    if _offset(zone, first) != offset:
        first = _where(zone, first, now)
    if _offset(zone, last - 1) != offset:
        last = _where(zone, now, last - 1)
    return first, last


def _offset(zone: ZoneInfo, at: int) -> timedelta | None:
    return (_EPOCH + timedelta(microseconds=at)).astimezone(zone).utcoffset()


def _where(zone: ZoneInfo, before: int, after: int) -> int:
    """The moment at which the offset moves, between two that have different ones."""
    old = _offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if _offset(zone, middle) == old else (before, middle)
    return after


def _to_us(local: datetime) -> int:
    delta = local.astimezone(UTC) - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * US_PER_S + delta.microseconds
