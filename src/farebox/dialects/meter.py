"""Metering a stream while it is relayed: what every dialect's meter shares.

Owns the order of bytes, what is withheld until the charge is durable, and the counting of delivered output. Does not own what an
event means: a dialect's meter says that in `observe`.
"""

import re
from abc import ABC, abstractmethod
from typing import Any, TypeVar

import msgspec

from farebox import limits
from farebox.dialects.base import Report
from farebox.dialects.sse import EventSplitter, Oversized, ended, payload
from farebox.usage import Usage

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoders raise on bytes that are not what they expect."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_T = TypeVar("_T")


class HoldingMeter(ABC):
    """Relays events in order until the end begins, then withholds the rest."""

    __slots__ = ("_held", "_held_bytes", "_holding", "_released", "_splitter", "delivered", "finished", "flags", "upstream_error")

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._holding = False
        self._released = False
        self.delivered = 0
        self.finished = False
        self.upstream_error = False
        self.flags: list[str] = []

    @abstractmethod
    def observe(self, event: bytes, data: bytes) -> bytes:
        """Reads one event and gives what the client gets of it. Calls `hold` when the end begins with this event."""

    @abstractmethod
    def report(self) -> Report:
        """What is known now."""

    def feed(self, data: bytes) -> bytes:
        """What may be relayed now."""
        said = self._splitter.sole(data)
        if said is None:
            return b"".join([self._take(event) for event in self._splitter.feed(data)])
        piece = self.observe(data, said)
        return self._withhold(piece) if self._holding else piece

    def close(self) -> bytes:
        """Reads a last event that lacks its blank line; drops it if it was cut in the middle, as every client would."""
        rest = self._splitter.close()
        if len(rest) > limits.stream_event_bytes_max:
            return self._take(Oversized(rest))
        data = payload(rest) if rest else None
        if data is None:
            return b""
        if not self.complete(data):
            self.flag("cut_event")
            return b""
        return self._take(ended(rest))

    @property
    def held_back(self) -> bytes:
        """The withheld end of the stream."""
        return b"".join(self._held)

    def complete(self, data: bytes) -> bool:
        """Whether the data of an unterminated event is whole."""
        try:
            msgspec.json.decode(data)
        except UNREADABLE:
            return False
        return True

    def hold(self) -> None:
        """From this event on, nothing is relayed until the charge is durable."""
        self._holding = not self._released

    def flag(self, name: str) -> None:
        """Something was odd."""
        if name not in self.flags:
            self.flags.append(name)

    def _take(self, event: bytes) -> bytes:
        piece = self._read(event)
        return self._withhold(piece) if self._holding else piece

    def _read(self, event: bytes) -> bytes:
        if type(event) is Oversized:
            self.delivered += len(event)
            self.flag("oversized_event")
            return event
        data = payload(event)
        return event if data is None else self.observe(event, data)

    def opaque(self, event: bytes, data: bytes) -> bytes:
        """An event that cannot be read passes; all of it counts as output."""
        self.delivered += len(data)
        self.flag("unreadable_event")
        return event

    def _withhold(self, piece: bytes) -> bytes:
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes <= limits.stream_event_bytes_max:
            return b""
        self.flag("withheld_too_much")  # memory is worth more than this courtesy: the charge is made all the same
        self._holding, self._released = False, True
        out = self.held_back
        self._held = []
        return out


def decode(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T | None:
    """What the bytes say, or None when they cannot be read. A lone surrogate, which providers may send, is read as U+FFFD."""
    try:
        return decoder.decode(data)
    except UNREADABLE:
        repaired = _SURROGATE.sub(rb"\\ufffd", data)
    if repaired == data:
        return None
    try:
        return decoder.decode(repaired)
    except UNREADABLE:
        return None


class _RawUsage(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()


_RAW_USAGE = msgspec.json.Decoder(_RawUsage)


def raw_usage(data: bytes) -> bytes:
    """The `usage` member of an object, byte for byte."""
    found = decode(_RAW_USAGE, data)
    return bytes(found.usage) if found is not None else b""


def size(value: Any) -> int:
    """UTF-8 bytes of generated output: of a string, or of the JSON of anything else."""
    if value is None:
        return 0
    if type(value) is not str:
        return len(msgspec.json.encode(value))
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))


def as_text(value: Any) -> str:
    """A string of an answer, or nothing where another type stands, or one with a character that not every database has."""
    return value if type(value) is str and "\0" not in value else ""


def flags_of(usage: Usage | None, flags: list[str]) -> tuple[str, ...]:
    """The flags of an answer and of its usage, each once."""
    return tuple(dict.fromkeys((*flags, *(usage.flags if usage is not None else ()))))


class PassingMeter:
    """Passes everything on as it comes: sound says nothing about its cost. What is reported is the subclass's business."""

    __slots__ = ("delivered", "finished")

    def __init__(self) -> None:
        self.delivered = 0
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        """The sound as it is."""
        self.delivered += len(data)
        return data

    def close(self) -> bytes:
        """The sound has ended."""
        self.finished = self.delivered > 0
        return b""

    @property
    def held_back(self) -> bytes:
        """Nothing: sound ends with its connection, which waits for the charge."""
        return b""
