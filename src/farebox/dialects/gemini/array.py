"""A JSON array that comes in pieces: where each of its elements ends. What a stream is without `alt=sse` (providers.md §3.1).

Owns the framing and its bound. What it gives, joined, are the bytes it was fed.
"""

import re

from farebox import limits
from farebox.dialects.sse import Oversized

_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')
_BEFORE = b" \t\r\n,["
_SPACE = b" \t\r\n"


class ElementSplitter:
    """Cuts an array into its elements, each with what comes before it; the bracket that ends it is a piece of its own.

    An object that stands there instead of an array is one element. What it keeps is bounded.
    """

    __slots__ = ("_depth", "_escaped", "_in_array", "_in_string", "_kept", "_large")

    def __init__(self) -> None:
        self._kept = bytearray()
        self._depth = 0
        self._in_array = False
        self._in_string = False
        self._escaped = False
        self._large = False
        """An element was too large to keep: its rest passes unread."""

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that are complete now."""
        found: list[bytes] = []
        start = at = 0
        while True:
            at, ends = self._next(data, at)
            if ends:
                found.append(self._piece(data[start:at]))
                start = at
            elif at >= len(data):
                break
        self._kept += data[start:]
        if self._kept and (self._large or len(self._kept) > limits.stream_event_bytes_max):
            found.append(Oversized(self.close()))
            self._large = True
        return found

    def close(self) -> bytes:
        """What is left when the stream ends: white space, or an element that was cut."""
        rest = bytes(self._kept)
        self._kept.clear()
        return rest

    @property
    def whole(self) -> bool:
        """Whether everything that was opened is closed."""
        return not (self._depth or self._in_string)

    def _piece(self, data: bytes) -> bytes:
        piece = self.close() + data
        if not self._large and len(piece) <= limits.stream_event_bytes_max:
            return piece
        self._large = False
        return Oversized(piece)

    def _next(self, data: bytes, at: int) -> tuple[int, bool]:
        """The place behind the next character that means something, and whether a piece ends there."""
        if self._escaped and at < len(data):
            self._escaped = False
            return at + 1, False
        mark = (_INSIDE if self._in_string else _OUTSIDE).search(data, at)
        if mark is None:
            return len(data), False
        return mark.end(), self._ends(mark[0])

    def _ends(self, mark: bytes) -> bool:
        if self._in_string:
            self._in_string, self._escaped = mark != b'"', mark == b"\\"
        elif mark == b'"':
            self._in_string = True
        elif mark in b"{[":
            if self._depth == 0:
                self._in_array = mark == b"["
            self._depth += 1
        else:
            self._depth = max(self._depth - 1, 0)
            return self._depth <= self._in_array
        return False


def element(piece: bytes) -> bytes:
    """The element of a piece, without what comes before it; nothing where it is the end of the array, or white space."""
    found = piece.lstrip(_BEFORE)
    return b"" if found.startswith(b"]") else found


def blank(piece: bytes) -> bool:
    """Whether there is nothing but white space."""
    return not piece.strip(_SPACE)
