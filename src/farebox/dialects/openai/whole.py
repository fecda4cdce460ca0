"""A meter for routes that have no stream, should one be asked for: the answer is gathered, read at its end and held back until then."""

from collections.abc import Callable

from farebox import limits
from farebox.dialects.base import Report


class WholeMeter:
    """Gathers an answer. What is larger than an answer may be passes unread, and is no answer."""

    __slots__ = ("_pieces", "_read", "_size", "_too_large", "finished")

    def __init__(self, read: Callable[[bytes], Report]) -> None:
        self._read = read
        self._pieces: list[bytes] = []
        self._size = 0
        self._too_large = False
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        """Nothing, until it is whole."""
        self._size += len(data)
        if self._too_large:
            return data
        self._pieces.append(data)
        if self._size <= limits.answer_body_bytes_max:
            return b""
        self._too_large = True
        out = b"".join(self._pieces)
        self._pieces.clear()
        return out

    def close(self) -> bytes:
        """The answer has ended: it is whole if it can be read."""
        self.finished = not self._too_large and self.report().finished
        return b""

    @property
    def held_back(self) -> bytes:
        """The answer."""
        return b"".join(self._pieces)

    def report(self) -> Report:
        """What the answer says."""
        return Report(flags=("oversized_answer",)) if self._too_large else self._read(self.held_back)
