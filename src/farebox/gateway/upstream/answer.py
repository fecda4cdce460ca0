"""A response as its reader sees it: status, headers, then pieces of the body. Owns the buffer between the socket and the reader;
how bytes get into it is the connection's business.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, Self

from farebox.gateway.upstream.failures import BadAnswer, UpstreamFailed

_PIECE_COST_BYTES = 64
"""What a piece is counted at beside its bytes, so that a flood of one-byte pieces is bounded too."""


class Source(Protocol):
    """What an answer needs of the connection it comes from."""

    def drained(self) -> None:
        """The reader has caught up."""

    def abandon(self) -> UpstreamFailed:
        """Nobody will read on: close at once. Gives what reading on is answered with."""


class Answer:
    """One response. `status`, `headers` (names in lower case, order and repeats kept), `named` (the last value of each) and `first_byte_at`
    (microseconds since 1970, when the head was whole) are there from the start; `ended` says that the whole body has arrived, read or not.
    """

    __slots__ = (
        "_failure",
        "_loop",
        "_pieces",
        "_source",
        "_taker",
        "_waiter",
        "buffered_bytes",
        "ended",
        "first_byte_at",
        "headers",
        "named",
        "status",
    )

    def __init__(self, source: Source, loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.named: dict[bytes, bytes] = {}
        self.first_byte_at = 0
        self.ended = False
        self.buffered_bytes = 0
        """What has arrived and was not read yet, pieces counted at a little more than their bytes."""
        self._loop = loop
        self._source: Source | None = source
        self._pieces: deque[bytes] = deque()
        self._failure: UpstreamFailed | None = None
        self._taker: Callable[[bytes], bool] | None = None
        self._waiter: asyncio.Future[None] | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, asked for in lower case."""
        if len(self.named) == len(self.headers):
            return self.named.get(name)
        for known, value in self.headers:
            if known == name:
                return value
        return None

    async def read(self) -> bytes:
        """The next piece of the body as it came; b"" at its clean end, and only there. Raises UpstreamFailed when it has no clean end,
        after the pieces that did arrive. Cancelled, it aborts.
        """
        try:
            while not self._pieces:
                if self._failure is not None:
                    raise self._failure
                if self.ended:
                    return b""
                await self._news()
        except asyncio.CancelledError:
            self.abort()
            raise
        return self._take()

    async def pour(self, taker: Callable[[bytes], bool]) -> bool:
        """Gives each piece to the taker at once when it comes, without waking who waits here, until it says that it can take no more now:
        True. False at the body's clean end, and only there. Raises as `read` does, and what the taker raises; cancelled, it aborts.
        """
        while True:
            while self._pieces:
                if not taker(self._take()):
                    return True
            if self._failure is not None:
                raise self._failure
            if self.ended:
                return False
            self._taker = taker
            try:
                await self._news()
            except asyncio.CancelledError:
                self.abort()
                raise
            finally:
                stopped, self._taker = self._taker is None, None
            if stopped:
                return True

    async def read_all(self, limit: int) -> bytes:
        """The rest of the body in one. Raises UpstreamFailed as `read` does, and BadAnswer (aborting) beyond `limit` bytes."""
        pieces, size = [], 0
        while self._pieces or not self.ended:
            piece = self._take() if self._pieces else await self.read()
            if not piece:
                break
            size += len(piece)
            if size > limit:
                self.abort()
                raise BadAnswer(f"the body is larger than {limit} bytes", sent="all", connected=True, answered=True)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def abort(self) -> None:
        """Close the connection now, unless the whole body has already arrived. What is not read is dropped, and reading on raises CutShort."""
        if self._source is not None:
            failure = self._source.abandon()
            self._pieces.clear()
            self.buffered_bytes = 0
            self.fail(failure)

    # --- called by the client and the connection ------------------------------------------------------------------------

    async def head(self) -> Self:
        """This answer, when status and headers are there. Raises UpstreamFailed, and aborts when cancelled."""
        try:
            while not self.status:
                if self._failure is not None:
                    raise self._failure
                await self._news()
        except asyncio.CancelledError:
            self.abort()
            raise
        return self

    def begin(self, status: int, headers: list[tuple[bytes, bytes]], named: dict[bytes, bytes], first_byte_at: int) -> None:
        """The head is whole."""
        self.status, self.headers, self.named, self.first_byte_at = status, headers, named, first_byte_at
        if self._waiter is not None:
            self._wake()

    def put(self, piece: bytes) -> None:
        """A piece of the body, never empty."""
        if self._taker is not None:
            self._pour(self._taker, piece)
            return
        self._pieces.append(piece)
        self.buffered_bytes += len(piece) + _PIECE_COST_BYTES
        if self._waiter is not None:
            self._wake()

    def end(self) -> None:
        """The whole body has arrived, and the connection is no longer this answer's."""
        self._source, self.ended = None, True
        if self._waiter is not None:
            self._wake()

    def fail(self, failure: UpstreamFailed) -> None:
        """There will be no clean end, and the connection is no longer this answer's."""
        self._source, self._failure = None, failure
        if self._waiter is not None:
            self._wake()

    def _pour(self, taker: Callable[[bytes], bool], piece: bytes) -> None:
        try:
            if taker(piece):
                return
        except Exception as problem:  # noqa: BLE001 - whatever breaks in the taker is no failure of the connection: its reader hears of it
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(problem)
        self._taker = None
        self._wake()

    def _take(self) -> bytes:
        piece = self._pieces.popleft()
        self.buffered_bytes -= len(piece) + _PIECE_COST_BYTES
        if self._source is not None:
            self._source.drained()
        return piece

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _news(self) -> asyncio.Future[None]:
        """Done when anything has come, or nothing more will."""
        if self._waiter is not None:
            raise RuntimeError("an answer has one reader")
        waiter = self._waiter = self._loop.create_future()
        return waiter
