"""One connection of a caller: reads requests, acts out their replies one after the other, tells the bill when the caller leaves.

Straight on `asyncio.Protocol` and httptools, without a task or a future per call: a simulator shares its core with whatever measures the gateway.
Requests may be pipelined; up to `PIPELINE_MAX` wait their turn, then reading pauses. Nothing is written while the peer does not read.
"""

import asyncio
from collections import deque
from typing import cast

import httptools

from .replies import Act, Reply, Script
from .site import READ_HEADERS, Site
from .wire import BODY_BYTES_MAX, CONTINUE, HEAD_BYTES_MAX, HEAD_TOO_LARGE, UNREADABLE, Request

PIPELINE_MAX = 64


class Connection(asyncio.Protocol):
    """The server's side of one connection."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_closing",
        "_connections",
        "_expects_continue",
        "_gone",
        "_head_bytes",
        "_headers",
        "_in_body",
        "_last_words",
        "_loop",
        "_parser",
        "_paused",
        "_reading",
        "_reply",
        "_site",
        "_target",
        "_timer",
        "_transport",
        "_waiting",
    )

    def __init__(self, site: Site, loop: asyncio.AbstractEventLoop, connections: "set[Connection]") -> None:
        self._site = site
        self._loop = loop
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)  # known from connection_made on, and nothing runs before
        self._waiting: deque[Request] = deque()
        self._reply: Reply | None = None
        self._gone: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._reading = True
        self._closing = False
        self._last_words = b""  # once set, what comes is not HTTP any more: what did come is answered, then this is said
        self._in_body = False
        self._head_bytes = 0
        self._expects_continue = False
        self.on_message_begin()

    # --- the transport -----------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._connections.discard(self)
        self._closing = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._reply is not None:
            self._reply.left()
            self._reply = None
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def eof_received(self) -> bool:
        """A caller that stops sending has left: the connection closes."""
        return False

    def data_received(self, data: bytes) -> None:
        if self._closing or self._last_words:
            return
        if not self._in_body:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._last_words = UNREADABLE
        else:
            if not self._in_body and self._head_bytes > HEAD_BYTES_MAX:
                self._last_words = HEAD_TOO_LARGE
        self._advance()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._timer is None:
            self._advance()

    def abort(self) -> "asyncio.Future[None]":
        """Close at once, as if the caller had left. The future tells when it is done."""
        self._gone = self._loop.create_future()
        self._transport.abort()
        return self._gone

    # --- the parser's callbacks --------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in READ_HEADERS:
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._head_bytes = 0
        self._expects_continue = self._headers.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, body: bytes) -> None:
        self._expects_continue = False
        self._body_bytes += len(body)
        if self._body_bytes <= BODY_BYTES_MAX:
            self._body.append(body)
        else:
            self._body.clear()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._expects_continue = False
        self._waiting.append(
            Request(
                method=self._parser.get_method(),
                target=self._target,
                headers=self._headers,
                body=self._body[0] if len(self._body) == 1 else b"".join(self._body),
                keep_alive=self._parser.should_keep_alive(),
                takes_chunks=self._parser.get_http_version() != "1.0",
                too_large=self._body_bytes > BODY_BYTES_MAX,
            )
        )

    # --- replies -----------------------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Go on with the reply that is under way and with those that wait for it, as far as the peer reads."""
        while not self._closing and not self._paused and self._timer is None:
            reply = self._reply
            if reply is None:
                if not self._waiting:
                    break
                reply = self._site.answer(self._waiting.popleft())
                if reply.script is None:
                    self._transport.write(reply.data)
            if reply.script is not None:
                self._reply = reply
                if not self._play(reply.script):
                    break
                self._reply = None
            if not reply.keep_alive:
                self._close()
        if self._last_words or self._expects_continue or not self._reading or len(self._waiting) >= PIPELINE_MAX:
            self._tend()

    def _play(self, script: Script) -> bool:
        """Act out a script until it has to wait. True when it is over."""
        for step in script:
            if isinstance(step, bytes):
                self._transport.write(step)
                if self._paused:
                    return False
            elif isinstance(step, int):
                self._timer = self._loop.call_later(step / 1000, self._wake)
                return False
            else:
                if step is Act.DROP:
                    self._close()
                return False
        return True

    def _wake(self) -> None:
        self._timer = None
        self._advance()

    def _close(self) -> None:
        """Close when everything that was written has left."""
        self._closing = True
        self._transport.close()

    def _tend(self) -> None:
        """Between replies: ask for a body that waits to be asked for, keep the queue short, take leave."""
        if self._closing:
            return
        idle = self._reply is None and not self._waiting
        if self._last_words:
            if idle:
                self._transport.write(self._last_words)
                self._close()
            return
        if idle and self._expects_continue:
            self._expects_continue = False
            self._transport.write(CONTINUE)
        wants_more = len(self._waiting) < PIPELINE_MAX
        if wants_more is not self._reading:
            self._reading = wants_more
            (self._transport.resume_reading if wants_more else self._transport.pause_reading)()
