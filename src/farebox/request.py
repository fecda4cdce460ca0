"""One request on a connection of a client's, and its answer: what came of the body, and which bytes an answer is. Owns no socket and no timer."""

import asyncio
import http
import logging
from typing import Protocol

import httptools
from uvicorn.server import ServerState

from farebox.exchange import Exchange, Headers, left_early, too_large

STATUS_LINES = {status: b"HTTP/1.1 %d " % status for status in range(100, 600)}
STATUS_LINES |= {status: STATUS_LINES[status] + status.phrase.encode() for status in http.HTTPStatus}
_END = (b"", b"")
_LF, _CR, _NUL, _HASH = b"\n\r\0#"
"""As numbers: to look in bytes for bytes, Python 3.11 first raises and forgets an error."""
_BROKEN = b"Internal Server Error"
_BODILESS = frozenset((204, 304))
_UNREAD_BYTES_MAX = 65_536
"""So much of a body is taken from the socket before somebody asks for it."""
_LAST_CHUNK = b"0\r\n\r\n"
_SIZES = tuple(b"%x\r\n" % size for size in range(1024))
"""How chunks begin, by their size: those of most events."""
_log = logging.getLogger("uvicorn.error")


class Wire(Protocol):
    """What a request asks of the connection that it came on."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    full: asyncio.Event | None
    """There while the client does not take what is written to it; happens when it does again, or has left."""
    state: ServerState

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def on_answer(self, request: "Request") -> None: ...


class Request(Exchange):
    """One request on a connection, and its answer. The head of an answer with a length waits for its body: one write, not two, carries both."""

    __slots__ = (
        "_body",
        "_body_bytes_enough",
        "_chunked",
        "_connection",
        "_expects",
        "_head",
        "_rest",
        "_started",
        "_watched",
        "answered",
        "version",
        "waiter",
        "whole",
    )

    def __init__(self, connection: Wire, parser: httptools.HttpRequestParser, asked: tuple[str, bytes], headers: Headers) -> None:
        path, query = asked
        Exchange.__init__(self, parser.get_method().decode("ascii"), path, query, headers)
        self._connection = connection
        kept = parser.should_keep_alive()
        self.version = "1.1" if kept and b"connection" not in self.named else parser.get_http_version()
        self.last = not kept or self.version == "1.0"
        self._expects = self.named.get(b"expect", b"").lower() == b"100-continue"
        self._body: bytes | bytearray = b""
        """What of the request's body came and was not taken yet."""
        self._body_bytes_enough = _UNREAD_BYTES_MAX
        """Beyond so many, who waits for the body is woken; where nobody waits, the client has to."""
        self.waiter: asyncio.Future[None] | None = None
        self._watched = False
        self.whole = False
        """The request's body has come to its end."""
        self._started = False
        self._head = b""
        """The answer's, where it waits for its body."""
        self._chunked = False
        self._rest = 0
        """What is still to come of an answer that told its length, in bytes."""
        self.answered = False

    @property
    def transport(self) -> asyncio.Transport:
        return self._connection.transport

    # --- the request ------------------------------------------------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """More of the body has come."""
        if not self._body:
            self._body = data
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += data
        if len(self._body) > self._body_bytes_enough:
            if self.waiter is None:
                self._connection.pause_reading()
            else:
                self.wake()

    def wake(self) -> None:
        """Something happened that a reader of the request may wait for."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def _wait(self, bytes_enough: int) -> None:
        """Until there is more of the body than this, or its end, or the client leaves or is answered."""
        self._connection.resume_reading()
        self._body_bytes_enough = bytes_enough
        self.waiter = self._connection.loop.create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None
            self._body_bytes_enough = _UNREAD_BYTES_MAX

    def _ask_for_body(self) -> None:
        if self._expects:
            self._expects = False
            if not self.gone:
                self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._connection.resume_reading()

    def _await_body(self) -> None:
        if self.reading_since is None:
            self.reading_since = self._connection.loop.time()

    def is_overdue(self, seconds: float) -> bool:
        """Whether its body has been awaited for longer than this."""
        return self.reading_since is not None and self._connection.loop.time() - self.reading_since > seconds

    async def body(self, bytes_max: int) -> bytes:
        self.half_read = True
        if not self.whole:
            self._refuse_announced(bytes_max)
        self._ask_for_body()
        while not (self.whole or self.gone or len(self._body) > bytes_max):
            self._await_body()
            await self._wait(bytes_max)
        if self.gone:
            raise left_early()
        if len(self._body) > bytes_max:
            raise too_large(bytes_max)
        body, self._body = bytes(self._body), b""
        self.reading_since, self.half_read = None, False
        return body

    async def part(self) -> bytes:
        """What has come of the body, for one who reads it as it comes: nothing at its end (`whole` says so), or when the client has left."""
        self._ask_for_body()
        while not (self._body or self.whole or self.gone or self.answered):
            self._await_body()
            await self._wait(0)
        if self.whole:
            self.reading_since = None
        part, self._body = bytes(self._body), b""
        return part

    async def done(self) -> None:
        """Until the client has left or has its answer."""
        while not (self.gone or self.answered):
            await self._wait(_UNREAD_BYTES_MAX)

    def watch(self) -> None:
        """Once: each time that a client's next requests are read before their turn, there are more of them."""
        if not self._watched:
            self._watched = True
            self._connection.resume_reading()

    def unwatch(self) -> None:
        """A connection knows at any time."""

    # --- the answer -------------------------------------------------------------------------------------------------------------------

    async def head(self, status: int, headers: Headers) -> None:
        self.began = True
        if self._connection.full is not None:
            await self._connection.full.wait()
        self.start(status, headers, None)

    async def piece(self, data: bytes) -> None:
        if self._connection.full is not None:
            await self._connection.full.wait()
        self.write(data)

    def pass_on(self, data: bytes) -> bool:
        if self._connection.full is not None:
            return False
        self.write(data)
        return True

    async def end(self, data: bytes = b"") -> None:
        if self._connection.full is not None:
            await self._connection.full.wait()
        self.finish(data)

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        self.began = True
        if self._connection.full is not None:
            await self._connection.full.wait()
        self.start(status, headers, len(body))
        self.finish(body)

    async def room(self) -> None:
        """Until the client takes what is written to it, or has left."""
        if self._connection.full is not None:
            await self._connection.full.wait()

    def start(self, status: int, headers: Headers, length: int | None) -> None:
        """Writes the head of an answer, or keeps it for the body where there is one whose length is told."""
        if self.gone:
            return
        if self._started:
            raise RuntimeError("an answer has one head")
        lines = [STATUS_LINES[status], *map(b": ".join, self._connection.state.default_headers), *map(b": ".join, headers)]
        if length is not None:
            lines.append(b"content-length: %d" % length)
            self._rest = length
        if self.last:
            lines.append(b"connection: close")
        self._chunked = length is None and self.method != "HEAD" and status not in _BODILESS
        if self._chunked:
            lines.append(b"transfer-encoding: chunked")
        text = b"".join(lines)
        if _LF in text or _CR in text or _NUL in text:
            raise RuntimeError("a header holds the end of a line")
        self._started = True
        self._expects = False
        lines += _END
        head = b"\r\n".join(lines)
        if length and self.method != "HEAD":
            self._head = head
        else:
            self._connection.transport.write(head)

    def write(self, data: bytes) -> None:
        """Writes a part of the body; an empty one is no chunk, for that would be the end."""
        if not self.gone and self._goes_out(data) and data:
            self._connection.transport.write(_chunk(data) if self._chunked else self._head + data)
            self._head = b""

    def finish(self, data: bytes) -> None:
        """Writes the last part of the body."""
        if self.gone:
            return
        if self._goes_out(data):
            if self._chunked:
                self._connection.transport.write(_chunk(data) + _LAST_CHUNK if data else _LAST_CHUNK)
            elif data:
                self._connection.transport.write(self._head + data)
        if self._rest:
            raise RuntimeError("the body is shorter than its content-length")
        self.answered = True
        if self.waiter is not None:
            self.wake()
        self._connection.on_answer(self)

    def _goes_out(self, data: bytes) -> bool:
        """Whether a part of the body is written: a client that asked for the head gets none of it."""
        if not self._started or self.answered:
            raise RuntimeError("the body of an answer comes between its head and its end")
        if self.method == "HEAD":
            self._rest = 0
            return False
        if not self._chunked:
            self._rest -= len(data)
            if self._rest < 0:
                raise RuntimeError("the body is longer than its content-length")
        return True

    def served(self, task: "asyncio.Task[None]") -> None:
        """Whoever answers has ended; what went wrong must end where the client sees it."""
        self._connection.state.tasks.discard(task)
        problem = asyncio.CancelledError() if task.cancelled() else task.exception()
        if problem is None and (self.answered or self.gone):
            return
        _log.error("a request was not answered as it should", exc_info=problem)
        if self._started:
            self._connection.transport.close()
        else:
            self.last = True
            self.start(500, [(b"content-type", b"text/plain; charset=utf-8")], len(_BROKEN))
            self.finish(_BROKEN)


def _chunk(data: bytes) -> bytes:
    """A part of a body whose length was not told."""
    size = len(data)
    return b"".join((_SIZES[size] if size < len(_SIZES) else b"%x\r\n" % size, data, b"\r\n"))


def target(url: bytes) -> tuple[str, bytes]:
    """Path and query of what is asked for, as httptools reads them: nearly always there is nothing else in it."""
    if url.startswith(b"/") and _HASH not in url:
        path, _, query = url.partition(b"?")
        return path.decode("ascii"), query
    read = httptools.parse_url(url)
    return read.path.decode("ascii"), read.query or b""
