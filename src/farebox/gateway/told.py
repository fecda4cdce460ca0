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


_FACTS = (
    *("request", "attempt", "key", "account", "model", "route", "status", "outcome", "input_max", "input", "completeness"),
    *("held_usd", "price_usd", "held_us", "first_byte_us", "total_us"),
)
_SAID = " ".join(f"{name}=%s" for name in _FACTS)


class Lines:
    """The log line per request. Lines of a moment are written together: a system call for each would cost more than the rest of it."""

    def __init__(self, *, on: bool, json: bool) -> None:
        self.on = on
        self._json = json
        self._waiting: list[str] = []
        self._second = 0
        self._stamp = ""

    def write(self, at: int, facts: tuple[object, ...], odd: dict[str, str]) -> None:
        """Keeps a line for the next write, at most a moment later. `at` is microseconds since 1970 UTC; `facts` are `_FACTS`, `odd` what most
        lines have not.
        """
        if not self._waiting:
            asyncio.get_running_loop().call_later(_LINES_EVERY_S, self.flush)
        stamp = self._time(at)
        if self._json:
            named = dict(zip(_FACTS, facts, strict=True))
            self._waiting.append(_encode({"event": "charged", **named, **odd, "level": "info", "timestamp": stamp}).decode() + "\n")
        else:
            more = "".join([f" {name}={value}" for name, value in odd.items()]) if odd else ""
            self._waiting.append(f"{stamp} [info     ] charged {_SAID % facts}{more}\n")

    def _time(self, at: int) -> str:
        """As in every other line, to the millisecond; the part that is the same for all lines of a second is made once."""
        second, micros = divmod(at, US_PER_S)
        if second != self._second:
            self._second, self._stamp = second, to_rfc3339(second * US_PER_S)[:-1]
        return f"{self._stamp}.{micros // US_PER_MS:03d}Z"

    def flush(self) -> None:
        """Writes what is waiting."""
        lines, self._waiting = self._waiting, []
        if lines:
            sys.stderr.write("".join(lines))
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
        timings = call.timings
        now = self._clock()
        metrics.charges.add((charge.provider, charge.outcome, charge.completeness))
        metrics.charged_usd.add((charge.provider,), charge.paid)
        hold = attempt.hold
        if hold is not None:
            metrics.held_usd.add((), hold.amount)
        metrics.hold_seconds.observe(timings.held_us)
        if timings.last_byte_us:
            metrics.time_to_bill_seconds.observe(max(now - timings.received_at - timings.last_byte_us, 0))
        if charge.written_off:
            metrics.written_off_usd.labels(charge.provider).inc(charge.written_off / NANO_PER_USD)
        self._alarms(attempt, charge)
        if self._lines.on:
            self._lines.write(now, self._facts(call, attempt, charge, now), _odd(charge) if charge.written_off or charge.flags else {})

    @staticmethod
    def _facts(call: Call, attempt: Attempt, charge: Charge, now: int) -> tuple[object, ...]:
        """In the order of `_FACTS`."""
        hold, timings = attempt.hold, call.timings
        return (
            call.request_id,
            attempt.number,
            charge.key,
            charge.account,
            f"{charge.provider}/{charge.model}",
            charge.route,
            charge.status,
            charge.outcome,
            attempt.plan.input_tokens,
            _input(attempt) or 0,
            charge.completeness,
            format_usd(hold.amount) if hold is not None else "0.00",
            format_usd(charge.price),
            timings.held_us,
            timings.first_byte_us,
            now - timings.received_at,
        )

    def _alarms(self, attempt: Attempt, charge: Charge) -> None:
        """Overage, lost truth and whatever was odd about a report."""
        hold = attempt.hold
        if hold is not None and charge.price > hold.amount:
            alarm("overage", hold=charge.hold_id, held=hold.amount, price=charge.price, written_off=charge.written_off)
        held_for, billed = attempt.plan.input_tokens, _input(attempt)
        if billed is not None and held_for:
            metrics.input_bound_ratio.observe(billed * 1000 // held_for)
            if billed > held_for:
                metrics.bound_exceeded.labels(charge.provider).inc()
                alarm("input_bound_exceeded", hold=charge.hold_id, model=charge.model, held_for=held_for, billed=billed)
        for flag in charge.flags.split(",") if charge.flags else ():
            if flag not in _QUIET_FLAGS and charge.outcome != "released":
                metrics.alarms.labels(flag).inc()


def _odd(charge: Charge) -> dict[str, str]:
    """What a charge has that most have not."""
    odd = {"written_off_usd": format_usd(charge.written_off)} if charge.written_off else {}
    return odd | {"flags": charge.flags} if charge.flags else odd


def _input(attempt: Attempt) -> int | None:
    """The input tokens that the provider billed, where it told."""
    report = attempt.report
    return None if report is None or report.usage is None else report.usage.prompt_total
