"""Server-sent events as bytes: where one ends, and what data it carries.

Owns the framing (LF, CRLF, CR, comments, several data lines, pieces split anywhere) and its bound. Does not own what the data means.
The events it gives, joined, are the bytes it was fed: nothing is normalised.
"""

import re

from farebox import limits

_BLANK_LINE = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
_TERMINATOR_BYTES_MAX = 4
_RETURN = ord("\r")
"""A byte as a number, which is found sooner than one that is written as bytes."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Oversized(bytes):
    """A piece of an event that was larger than its limit: relayed, not read."""

    __slots__ = ()


class EventSplitter:
    """Cuts a stream of bytes into events, each with the blank line that ends it. What it keeps is bounded."""

    __slots__ = ("_event_bytes_max", "_kept", "_overflowing", "_tail")

    def __init__(self, event_bytes_max: int | None = None) -> None:
        self._event_bytes_max = limits.stream_event_bytes_max if event_bytes_max is None else event_bytes_max
        self._kept = bytearray()
        self._tail = b""
        self._overflowing = False

    def sole(self, data: bytes) -> bytes | None:
        """The payload, where what came is one whole event with one line of data, as it nearly always is. None: it must be fed."""
        if self._kept or self._overflowing or len(data) > self._event_bytes_max:
            return None
        return _one_line(data)

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are complete now."""
        if self._overflowing:
            return self._overflow(data)
        if self._kept:
            window = self._tail + data
            if _BLANK_LINE.search(window) is None:
                return self._keep(data, window)
            self._kept += data
            data = self.close()
        return self._cut(data)

    def close(self) -> bytes:
        """What is left when the stream ends: an event without the blank line that would end it, or nothing."""
        rest = bytes(self._kept)
        self._kept, self._tail = bytearray(), b""
        return rest

    def _cut(self, data: bytes) -> list[bytes]:
        if _RETURN not in data and len(data) <= self._event_bytes_max:
            events = [piece + b"\n\n" for piece in data.split(b"\n\n")]
            rest = events.pop()[:-2]
            return events + self._keep(rest, rest) if rest else events
        return self._cut_any(data)

    def _cut_any(self, data: bytes) -> list[bytes]:
        events: list[bytes] = []
        start = 0
        for match in _BLANK_LINE.finditer(data):
            end = match.end()
            if end == len(data) and data.endswith(b"\r"):
                break  # a line feed may follow and belong to it
            event = data[start:end]
            events.append(Oversized(event) if len(event) - 1 > self._event_bytes_max else event)
            start = end
        if start < len(data):
            rest = data[start:]
            events += self._keep(rest, rest)
        return events

    def _keep(self, data: bytes, window: bytes) -> list[bytes]:
        self._kept += data
        self._tail = tail = window[1 - _TERMINATOR_BYTES_MAX :]
        if len(self._kept) <= self._event_bytes_max or _BLANK_LINE.search(tail):
            return []
        rest = Oversized(self.close())
        self._overflowing, self._tail = True, tail
        return [rest]

    def _overflow(self, data: bytes) -> list[bytes]:
        window = self._tail + data
        match = _BLANK_LINE.search(window)
        if match is None:
            self._tail = window[1 - _TERMINATOR_BYTES_MAX :]
            return [Oversized(data)]
        end = match.end() - len(self._tail)
        self._overflowing, self._tail = False, b""
        return [Oversized(data[:end]), *(self.feed(data[end:]) if end < len(data) else ())]


def ended(event: bytes) -> bytes:
    """An event with the blank line that ends it, added if it lacks one."""
    if _BLANK_LINE.search(event):
        return event
    return event + (b"\n" if event.endswith((b"\n", b"\r")) else b"\n\n")


def payload(event: bytes) -> bytes | None:
    """The data of one event; None when it has none (a comment, a lone blank line)."""
    data = _one_line(event)
    if data is not None:
        return data
    lines = event.removeprefix(_BYTE_ORDER_MARK).splitlines()
    found = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:") or line == b"data"]
    return b"\n".join(found) if found else None


def _one_line(event: bytes) -> bytes | None:
    """The data of an event that has nothing else, or its name before it, and ends with a blank line; None of any other. Says what `payload` says."""
    if _RETURN in event:
        return None
    line, _, rest = event.partition(b"\n")
    if rest != b"\n" and line.startswith(b"event:"):
        line, _, rest = rest.partition(b"\n")
    data = line.removeprefix(b"data: ")
    return data if rest == b"\n" and len(data) < len(line) else None


def with_payload(event: bytes, old: bytes, new: bytes) -> bytes:
    """The event carrying other data; every other byte stays where the data stood on one line."""
    at = event.find(old)
    if at >= 0:
        return event[:at] + new + event[at + len(old) :]
    lines = event.splitlines(keepends=True)
    others = [line for line in lines if not line.startswith(b"data:")]
    return b"data: " + b" ".join(new.splitlines()) + b"\n" + b"".join(others)
