"""A client's connection: uvicorn's HTTP protocol with our patience and our economy. Owns the bytes in and out of one socket.

Leaves to uvicorn the parser, the messages of a request's body, and the life of the server around it.
"""

import asyncio
import urllib.parse
from collections.abc import MutableMapping
from typing import Any, Literal

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from farebox import limits

_BODILESS = frozenset((204, 304))


class Cycle(RequestResponseCycle):
    """One request and its answer. The head of an answer with a length waits for its body: one write, not two, carries both."""

    _head = b""

    async def send(self, message: MutableMapping[str, Any]) -> None:  # type: ignore[override]
        """Writes what the application says, in ASGI's order: a head, then pieces of the body."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.body" and self.response_started and not self.response_complete:
            self._go_on(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start" and not self.response_started:
            self._begin(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"{kind!r} is not what comes next in this answer")

    def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        parts = [STATUS_LINE[status]]
        for name, value in (*self.default_headers, *headers):
            if name == b"content-length":
                self.expected_content_length, self.chunked_encoding = int(value), False
            elif name == b"connection" and b"close" in value.lower():
                self.keep_alive = False
                continue
            parts += (name, b": ", value, b"\r\n")
        lines = len(parts) // 4 + 1
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
            lines += 1
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _BODILESS:
            self.chunked_encoding = True
            parts.append(b"transfer-encoding: chunked\r\n")
            lines += 1
        parts.append(b"\r\n")
        head = b"".join(parts)
        if head.count(b"\n") != lines + 1 or head.count(b"\r") != lines + 1 or b"\0" in head:
            raise RuntimeError("a header holds the end of a line")
        self.response_started = True
        self.waiting_for_100_continue = False
        if self.expected_content_length and self.scope["method"] != "HEAD":
            self._head = head
        else:
            self.transport.write(head)

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
        elif self.chunked_encoding:
            piece = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if piece or not more:
                self.transport.write(piece if more else piece + b"0\r\n\r\n")
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("the body is longer than its content-length")
            if body or self._head:
                self.transport.write(self._head + body)
                self._head = b""
        if not more:
            self._end()

    def _end(self) -> None:
        if self.expected_content_length:
            raise RuntimeError("the body is shorter than its content-length")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol, but its patience ends: with a request whose head or body does not come in time or is too large a head, and with a
    client that does not take its answer. A request that comes in one piece costs no timer.
    """

    _awaited: Literal["", "head", "body"] = "head"
    _timed: Literal["", "head", "body", "past"] = ""
    _timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _heads = 0
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._time()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._awaited, self._head_bytes = "head", 0
        self._heads += 1
        if self._timed == "head":
            self._timed = "past"  # the time of another request, or of the silence before this one

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._awaited == "body":
            return  # a trailer: whoever has read the head has decided by it
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        if len(self.headers) > limits.request_headers_max:
            raise ValueError("too many headers")

    def on_headers_complete(self) -> None:
        """As uvicorn does, without what this server does not offer (WebSocket, root paths, a limit of its own on concurrency)."""
        self._awaited = "body"
        scope, parser = self.scope, self.parser
        url = httptools.parse_url(self.url)
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["raw_path"] = url.path
        path = url.path.decode("ascii")
        scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        scope["query_string"] = url.query or b""
        before: RequestResponseCycle | None = self.cycle
        self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # the client did not wait for its last answer: this request waits for its turn
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_response_complete(self) -> None:
        """As uvicorn does, with one timer for the silence between requests that is not set anew for each of them."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._rest_now()

    def _rest_now(self) -> None:
        """From now on there is silence."""
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Closes a connection that has been silent since its last answer; a request that has begun has its own time."""
        self.timeout_keep_alive_task = None
        if self._awaited or not self.cycle.response_complete:
            return
        rest = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if rest > 0:
            self.timeout_keep_alive_task = self.loop.call_later(rest, self.timeout_keep_alive_handler)
        else:
            self.transport.close()

    def _unset_keepalive_if_required(self) -> None:
        """The timer looks for itself whether anything has come meanwhile."""

    def on_message_complete(self) -> None:
        self._awaited = ""
        super().on_message_complete()
        if self.cycle.response_complete and self.timeout_keep_alive_task is None:  # it was answered before it was whole
            self._rest_now()

    def data_received(self, data: bytes) -> None:
        before = self._heads
        super().data_received(data)
        if self._awaited == "head" and self._heads - before <= (before == 0) and not self.transport.is_closing():
            self._head_bytes += len(data)  # all of it is this head: no request has ended in it
            if self._head_bytes > limits.request_head_bytes_max:
                self.send_400_response("The head of the request is too large.")
        if self._awaited != self._timed:
            self._time()

    def _time(self) -> None:
        """Awaits what is awaited now no longer than its limit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timed = self._awaited
        if self._awaited == "head":
            self._timer = self.loop.call_later(limits.request_head_s_max, self._head_late)
        elif self._awaited == "body":
            self._timer = self.loop.call_later(limits.request_body_s_max, self._body_late)

    def _head_late(self) -> None:
        """A head that is not whole in its time; but a client that writes ahead gets its answers first."""
        at: RequestResponseCycle | None = self.cycle
        if at is None or at.response_complete:
            self.transport.close()
        else:
            self._time()

    def _body_late(self) -> None:
        """Whoever reads the body says that it is late; once that is answered, the rest is not waited for."""
        if self.cycle.response_complete:
            self.transport.close()
        else:
            self._time()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_timer = self.loop.call_later(limits.client_stall_s_max, self.transport.abort)

    def resume_writing(self) -> None:
        self._taken()
        super().resume_writing()

    def _taken(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._awaited = ""
        self._time()
        self._taken()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)
