"""What is told of a settled call: its log line (never bodies, never keys) and its metrics. Cheap, because every call pays for it."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from farebox import metrics
from farebox.clock import US_PER_MS, US_PER_S, Clock, to_rfc3339
from farebox.dialects.base import Ask
from farebox.gateway.attempt import COUNTED, Attempt, Call
from farebox.ledger.model import Charge
from farebox.money import NANO_PER_USD, format_usd

_log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode
_QUIET_FLAGS = frozenset(("unknown_field", COUNTED))
_NAMES_MAX = 200
_LINES_EVERY_S = 0.05
_MS_SHOWN = [f".{ms:03d}Z" for ms in range(1000)]
"""How a time ends: cheaper to keep than to write for every line."""
Alarm = Callable[..., None]


def alarm(name: str, **facts: Any) -> None:
    """Something an operator should look at: counted, and logged as an error."""
    metrics.alarms.labels(name).inc()
    _log.error(name, **facts)


_names_seen: set[str] = set()


def unknown(ask: Ask) -> None:
    """Counts, by name, the fields that a dialect does not know; only so many names, because callers make them up."""
    for name in ask.unknown_fields:
        if name in _names_seen or len(_names_seen) < _NAMES_MAX:
            _names_seen.add(name)
            metrics.unknown_fields.labels(ask.dialect, name).inc()
        else:
            metrics.unknown_fields.labels(ask.dialect, "others").inc()


class Told(msgspec.Struct, gc=False, tag_field="event", tag="charged"):
    """The log line of a settled call, in its order."""

    request: str
    attempt: int
    key: str
    account: str
    model: str
    route: str
    status: int
    outcome: str
    input_max: int
    input: int
    completeness: str
    held_usd: str
    price_usd: str
    held_us: int
    first_byte_us: int
    total_us: int
    written_off_usd: str | msgspec.UnsetType = msgspec.UNSET
    flags: str | msgspec.UnsetType = msgspec.UNSET
    """These two only where there is something to say."""
    level: str = "info"
    timestamp: str = ""

    def text(self) -> str:
        """As people read it."""
        odd = "" if self.written_off_usd is msgspec.UNSET else f" written_off_usd={self.written_off_usd}"
        odd += "" if self.flags is msgspec.UNSET else f" flags={self.flags}"
        return (
            f"{self.timestamp} [info     ] charged request={self.request} attempt={self.attempt} key={self.key} account={self.account} "
            f"model={self.model} route={self.route} status={self.status} outcome={self.outcome} input_max={self.input_max} "
            f"input={self.input} completeness={self.completeness} held_usd={self.held_usd} price_usd={self.price_usd} "
            f"held_us={self.held_us} first_byte_us={self.first_byte_us} total_us={self.total_us}{odd}\n"
        )


class Lines:
    """The log line per request. Lines of a moment are made and written together, when those whom they are about have their answers: a system call
    for each would cost more than the rest of it.
    """

    def __init__(self, *, on: bool, json: bool) -> None:
        self.on = on
        self._json = json
        self._waiting: list[tuple[int, Told]] = []
        self._second = 0
        self._stamp = ""

    def write(self, at: int, told: Told) -> None:
        """Keeps a line for the next write, at most a moment later. `at` is microseconds since 1970 UTC."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(_LINES_EVERY_S, self.flush)
        self._waiting.append((at, told))

    def _time(self, at: int) -> str:
        """As in every other line, to the millisecond; what is the same for all lines of a second is made once."""
        second, part = divmod(at, US_PER_S)
        if second != self._second:
            self._second, self._stamp = second, to_rfc3339(second * US_PER_S)[:-1]
        return self._stamp + _MS_SHOWN[part // US_PER_MS]

    def flush(self) -> None:
        """Writes what is waiting."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        for at, told in waiting:
            told.timestamp = self._time(at)
        if self._json:
            written = "".join([_encode(told).decode() + "\n" for _, told in waiting])
        else:
            written = "".join([told.text() for _, told in waiting])
        sys.stderr.write(written)
        sys.stderr.flush()


class Teller:
    """Told of every charge."""

    def __init__(self, lines: Lines, clock: Clock, *, wake: Callable[[str], None]) -> None:
        self._lines = lines
        self._clock = clock
        self._wake = wake

    def settled(self, call: Call, attempt: Attempt, charge: Charge) -> None:
        """A charge is durable."""
        self._wake(charge.wallet)
        now, timings, hold = self._clock(), call.timings, attempt.hold
        held = hold.amount if hold is not None else 0
        billed = _input(attempt)
        metrics.charged.add((charge.provider, charge.outcome, charge.completeness), held, charge.paid)
        metrics.hold_seconds.observe(timings.held_us)
        if timings.last_byte_us:
            metrics.time_to_bill_seconds.observe(max(now - timings.received_at - timings.last_byte_us, 0))
        if charge.written_off:
            metrics.written_off_usd.labels(charge.provider).inc(charge.written_off / NANO_PER_USD)
        if hold is not None and charge.price > held:
            alarm("overage", hold=charge.hold_id, held=held, price=charge.price, written_off=charge.written_off)
        if billed is not None and attempt.plan.input_tokens:
            _compare(attempt.plan.input_tokens, billed, charge)
        if charge.flags and charge.outcome != "released":
            for flag in charge.flags.split(","):
                if flag not in _QUIET_FLAGS:
                    metrics.alarms.labels(flag).inc()
        if self._lines.on:
            self._lines.write(now, _told(call, attempt, charge, held, billed or 0, now))


def _told(call: Call, attempt: Attempt, charge: Charge, held: int, billed: int, now: int) -> Told:
    """What is said of a call."""
    timings = call.timings
    told = Told(
        call.request_id,
        attempt.number,
        charge.key,
        charge.account,
        f"{charge.provider}/{charge.model}",
        charge.route,
        charge.status,
        charge.outcome,
        attempt.plan.input_tokens,
        billed,
        charge.completeness,
        format_usd(held),
        format_usd(charge.price),
        timings.held_us,
        timings.first_byte_us,
        now - timings.received_at,
    )
    if charge.written_off:
        told.written_off_usd = format_usd(charge.written_off)
    if charge.flags:
        told.flags = charge.flags
    return told


def _compare(held_for: int, billed: int, charge: Charge) -> None:
    """The input that was held for with what was billed of it: a bound that is exceeded is wrong."""
    metrics.input_bound_ratio.observe(billed * 1000 // held_for)
    if billed > held_for:
        metrics.bound_exceeded.labels(charge.provider).inc()
        alarm("input_bound_exceeded", hold=charge.hold_id, model=charge.model, held_for=held_for, billed=billed)


def _input(attempt: Attempt) -> int | None:
    """The input tokens that the provider billed, where it told."""
    report = attempt.report
    return None if report is None or report.usage is None else report.usage.prompt_total
