"""The provider's own bill: one record per call, kept in memory until it is reset. Owns what is billed when an answer does not reach its end.

`input` counts every input token; `cached` and `cache_write` are parts of it. `output` counts every output token; `reasoning` is a part of it.
Whatever else is consumed has the names of genai-prices' `Usage` (`more`), of the fees in `fees.py`, or stands at another model (`parts`).
Dollars are calculated when somebody asks, never while a call runs. Totals in nano-dollars are sums of each call's own rounded nano-dollars.
"""

import re
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import IntEnum
from typing import Literal

import msgspec

from .generation import ID_PREFIX, NO_UNITS, PLAIN, Generation, Part, Terms
from .prices import PRICE_STEP_S, Billed, Price, format_usd, price, token_units

ROWS_MAX = 10_000
_SEQ = re.compile(r"[0-9a-f]{8,15}", re.ASCII)
By = Literal["label", "model"]


class State(IntEnum):
    """Where a call is."""

    OPEN = 0
    FINISHED = 1
    ABORTED = 2
    """The caller left before the end."""
    BROKEN = 3
    """The provider dropped it or failed in the middle."""
    REFUSED = 4


class Call(msgspec.Struct, gc=False):
    """One call's record. Slim: there may be a million."""

    seq: int
    dialect: str
    provider: str
    at_s: int
    label: str = ""
    model: str = ""
    status: int = 200
    state: State = State.OPEN
    streamed: bool = False
    cap: int | None = None
    terms: Terms = PLAIN
    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    more: Mapping[str, int] = NO_UNITS
    fees: Mapping[str, int] = NO_UNITS
    parts: tuple[Part, ...] = ()

    @property
    def units(self) -> dict[str, int]:
        """Everything consumed at the call's own model, by the names of genai-prices' `Usage`; zeros left out."""
        return {name: value for name, value in token_units(self.billed()).items() if value}

    def billed(self) -> Billed:
        """What this call's price depends on."""
        return Billed(
            provider=self.provider,
            model=self.model,
            terms=self.terms,
            input=self.input,
            cached=self.cached,
            cache_write=self.cache_write,
            output=self.output,
            step=self.at_s // PRICE_STEP_S,
            reasoning=self.reasoning,
            more=_pairs(self.more),
            fees=_pairs(self.fees),
            parts=tuple((part.model, _pairs(part.units)) for part in self.parts),
        )

    def price(self) -> Price:
        """What this call costs so far: nothing while it is open, and nothing when it was refused."""
        return price(self.billed())


def _pairs(units: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(units.items()) if units else ()


def settle(call: Call, generation: Generation, state: State, sent: int = 0) -> None:
    """Bill a call that ends: all of it, or what was sent when it did not reach its end and the caller asked for that."""
    if state is State.FINISHED and generation.ask.fails:
        state = State.BROKEN
    call.state = state
    if not generation.ask.billed:
        return
    call.input = generation.ask.prompt
    call.cached = generation.cached
    call.cache_write = generation.cache_write
    whole = state is State.FINISHED or generation.ask.words.on_abort == "bill_all"
    call.output = generation.output_total if whole else min(sent, generation.output_total)
    call.reasoning = min(generation.reasoning_total, call.output)
    call.fees, call.parts = generation.ask.fees, generation.ask.parts
    call.more = generation.units if whole else _within(generation.units, sent)


def _within(units: Mapping[str, int], output: int) -> Mapping[str, int]:
    """No kind of output is more than all of it."""
    return {name: min(value, output) if name.startswith("output_") else value for name, value in units.items()} if units else units


class Meter:
    """Follows an answer on its way out, and bills its call when it ends, once."""

    __slots__ = ("_call", "_generation", "sent")

    def __init__(self, call: Call, generation: Generation) -> None:
        self._call = call
        self._generation = generation
        self.sent = 0
        """Output tokens in the pieces handed to the connection."""

    def end(self, state: State) -> None:
        """The answer is over."""
        if self._call.state is State.OPEN:
            ending = State.FINISHED if self._generation.ask.detached else state
            settle(self._call, self._generation, ending, self.sent)


class Line(msgspec.Struct):
    """One line of the bill: what equal labels or models cost together."""

    calls: int = 0
    usd: Decimal = Decimal(0)
    nano: int = 0


class Bill:
    """Every call since the last reset."""

    def __init__(self) -> None:
        self._prefix = ID_PREFIX + secrets.token_hex(4).encode()
        self._calls: list[Call] = []
        self._first_seq = 0
        self._labels: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def open(self, dialect: str, provider: str, at_s: int) -> Call:
        """A record for a call that has just arrived."""
        call = Call(self._first_seq + len(self._calls), dialect, provider, at_s)
        self._calls.append(call)
        return call

    def id_of(self, call: Call) -> bytes:
        """The id that the answer carries as its request id."""
        return b"%b%08x" % (self._prefix, call.seq)

    def find(self, call_id: bytes) -> Call | None:
        """The record of an id, unless it is forgotten or was never here."""
        number = call_id.removeprefix(self._prefix)
        if number == call_id or not _SEQ.fullmatch(number.decode()):
            return None
        index = int(number, 16) - self._first_seq
        return self._calls[index] if 0 <= index < len(self._calls) else None

    def loose_id(self) -> bytes:
        """A request id for an answer that is on no bill."""
        return b"%bx%b" % (self._prefix, secrets.token_hex(8).encode())

    def once(self, text: str) -> str:
        """The same text as one object, so that a million calls do not hold a million copies of a label or a model name."""
        return self._labels.setdefault(text, text)

    def reset(self) -> None:
        """Forget every call. Ids are never used again; a call in flight ends unrecorded."""
        self._first_seq += len(self._calls)
        self._calls = []
        self._labels = {}

    def rows(self, label: str | None, after: str | None, limit: int = ROWS_MAX) -> tuple[list[dict[str, object]], str | None]:
        """Calls in the order they came, those after an id only, and the id to go on after when there are more. Raises ValueError on a foreign id."""
        found: list[Call] = []
        for call in self._from(after):
            if label is not None and call.label != label:
                continue
            if len(found) == limit:
                return [self._row(each) for each in found], self.id_of(found[-1]).decode()
            found.append(call)
        return [self._row(each) for each in found], None

    def row(self, name: str) -> dict[str, object] | None:
        """One call's row by its id; None when it is not on the bill."""
        seq = name.removeprefix(self._prefix.decode())
        index = int(seq, 16) - self._first_seq if seq != name and _SEQ.fullmatch(seq) else -1
        return self._row(self._calls[index]) if 0 <= index < len(self._calls) else None

    def totals(self, by: By) -> dict[str, object]:
        """The bill by label or by model, and its total."""
        groups: dict[str, Line] = {}
        alike = Counter((call.label if by == "label" else call.model, call.billed()) for call in self._calls)
        for (name, billed), calls in alike.items():
            group = groups.setdefault(name, Line())
            each = price(billed)
            group.calls += calls
            group.usd += each.usd * calls
            group.nano += each.nano * calls
        return {
            "by": by,
            "data": [{by: name, "calls": group.calls, "usd": format_usd(group.usd), "nano": group.nano} for name, group in groups.items()],
            "total_usd": format_usd(sum((group.usd for group in groups.values()), Decimal(0))),
            "total_nano": sum(group.nano for group in groups.values()),
        }

    def _from(self, after: str | None) -> Iterator[Call]:
        start = 0
        if after:
            seq = after.removeprefix(self._prefix.decode())
            if seq == after or not _SEQ.fullmatch(seq):
                raise ValueError(f"{after[:80]!r} is not the id of a call of this simulator")
            start = int(seq, 16) + 1 - self._first_seq
        for index in range(max(start, 0), len(self._calls)):
            yield self._calls[index]

    def _row(self, call: Call) -> dict[str, object]:
        cost = call.price()
        return {
            "id": self.id_of(call).decode(),
            "label": call.label,
            "dialect": call.dialect,
            "provider": call.provider,
            "model": call.model,
            "status": call.status,
            "streamed": call.streamed,
            "cap": call.cap,
            "tokens": {
                "input": call.input,
                "cached": call.cached,
                "cache_write": call.cache_write,
                "output": call.output,
                "reasoning": call.reasoning,
            },
            "units": call.units,
            "fees": dict(call.fees),
            "parts": [{"model": part.model, "units": dict(part.units)} for part in call.parts],
            "usd": format_usd(cost.usd),
            "nano": cost.nano,
            "open": call.state is State.OPEN,
            "finished": call.state is State.FINISHED,
            "aborted": call.state is State.ABORTED,
        }
