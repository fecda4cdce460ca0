"""A client's connection: requests out of its bytes, one answer after the other, and an end to patience. Owns one socket and its timers.

Leaves to httptools what HTTP is, to `request` what is said in it, and to uvicorn sockets and the life of the server.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import httptools
import uvicorn
from uvicorn.server import ServerState

from farebox import limits
from farebox.exchange import Headers
from farebox.request import STATUS_LINES, Request, target

Serve = Callable[[Request], Coroutine[Any, Any, None]]
"""Who answers requests."""


class Connection(asyncio.Protocol):
    """One client's. Its patience ends: with a request whose head or body does not come in time or is too large a head, and with a client that
    does not take its answer. A request that comes in one piece costs no timer.
    """

    __slots__ = (
        "_answering",
        "_asked",
        "_awaited",
        "_head_bytes",
        "_headers",
        "_heads",
        "_idle_since",
        "_keep_alive_s",
        "_newest",
        "_parser",
        "_paused",
        "_serve",
        "_silence_timer",
        "_stall_timer",
        "_target",
        "_timed",
        "_timer",
        "_url",
        "_waiting",
        "full",
        "loop",
        "state",
        "transport",
    )
    transport: asyncio.Transport

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002 - uvicorn's server gives it to every protocol
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.state = server_state
        self.full: asyncio.Event | None = None
        """There while the client does not take what is written to it; happens when it does again, or has left."""
        self._serve: Serve = config.loaded_app
        self._keep_alive_s = config.timeout_keep_alive
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)  # what comes behind a last request is no error in that request
        self._url = b""
        self._asked: bytes | None = None
        self._target = ("", b"")
        """Of what was asked for last: most clients ask for the same again."""
        self._headers: Headers = []
        self._newest: Request | None = None
        """The last request whose head came."""
        self._answering: Request | None = None
        self._waiting: deque[Request] = deque()
        """Requests whose client did not wait for its last answer: they wait for their turn."""
        self._paused = False
        self._awaited: Literal["", "head", "body"] = "head"
        self._timed: Literal["", "head", "body", "past"] = ""
        self._timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._silence_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._heads = 0
        self._idle_since = 0.0

    # --- its life ---------------------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # what a stream's protocol is given
        self.transport = transport
        self.state.connections.add(self)  # type: ignore[arg-type]  # uvicorn knows its own protocols; it asks for no more than is here
        self._time()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.state.connections.discard(self)
        self._awaited = ""
        self._time()
        self.resume_writing()
        if self._silence_timer is not None:
            self._silence_timer.cancel()
        for request in (self._answering, self._newest):
            if request is not None and not request.answered:
                request.gone = True
                request.wake()
        del self._parser  # which holds this: neither is to wait for the collector of circles
        self._answering = self._newest = None
        self._waiting.clear()

    def shutdown(self) -> None:
        """The server ends: an answer that is on its way is the last."""
        if self._newest is None or self._newest.answered:
            self.transport.close()
        else:
            self._newest.last = True

    # --- bytes in ---------------------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        before = self._heads
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # it is answered as if it had not asked for another protocol
        except httptools.HttpParserError:
            self._refuse(b"Invalid HTTP request received.")
            return
        finally:
            if self._awaited != self._timed:
                self._time()
        if self._awaited == "head" and self._heads - before <= (before == 0):
            self._head_bytes += len(data)  # all of it is this head: no request has ended in it
            if self._head_bytes > limits.request_head_bytes_max:
                self._refuse(b"The head of the request is too large.")

    def on_message_begin(self) -> None:
        self._url, self._headers = b"", []
        self._awaited, self._head_bytes = "head", 0
        self._heads += 1
        if self._timed == "head":
            self._timed = "past"  # the time of another request, or of the silence before this one

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._awaited == "body":
            return  # a trailer: whoever has read the head has decided by it
        self._headers.append((name.lower(), value))
        if len(self._headers) > limits.request_headers_max:
            raise ValueError("too many headers")

    def on_headers_complete(self) -> None:
        self._awaited = "body"
        if self._url != self._asked:
            self._target = target(self._url)
            self._asked = self._url
        request, before = Request(self, self._parser, self._target, self._headers), self._newest
        self._newest = request
        if before is None or before.answered:
            self._begin(request)
        else:
            self.pause_reading()
            self._waiting.append(request)

    def on_body(self, body: bytes) -> None:
        if self._newest is not None and not self._newest.answered:
            self._newest.take(body)

    def on_message_complete(self) -> None:
        self._awaited = ""
        request = self._newest
        if request is None:
            return
        request.whole = True
        if request.waiter is not None:
            request.wake()
        if request.answered and self._silence_timer is None:  # it was answered before it was whole
            self._rest_now()

    def _refuse(self, words: bytes) -> None:
        """Says that this is no request, and is done with its client. What follows a request that is still to be answered must not be said within
        that answer, or in its place: then that is the last.
        """
        if self._newest is not None and self._newest.whole and not self._newest.answered:
            self._newest.last = True
            self.pause_reading()
            return
        lines = [STATUS_LINES[400], *map(b": ".join, self.state.default_headers), b"content-type: text/plain; charset=utf-8"]
        lines += [b"content-length: %d" % len(words), b"connection: close", b"", words]
        self.transport.write(b"\r\n".join(lines))
        self.transport.close()

    def pause_reading(self) -> None:
        if not (self._paused or self.transport.is_closing()):
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Not while many requests wait: each answer, and each look for the client, would let a buffer full of others in."""
        if self._paused and len(self._waiting) < limits.requests_waiting_max and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    # --- one request after the other ------------------------------------------------------------------------------------------------------

    def _begin(self, request: Request) -> None:
        self._answering = request
        task = asyncio.Task(self._serve(request), loop=self.loop, name="request")  # by hand, for the name: `create_task` makes one up first
        task.add_done_callback(request.served)
        self.state.tasks.add(task)

    def on_answer(self, request: Request) -> None:
        """A request is answered: the next."""
        if request.last:
            self.transport.close()
        elif not self.transport.is_closing():
            following = self._waiting.popleft() if self._waiting else None
            self.resume_reading()
            if following is not None:
                self._begin(following)
            else:
                self._rest_now()

    def _rest_now(self) -> None:
        """From now on there is silence. One timer for all of it is not set anew for each request, but looks for itself whether anything came."""
        self._idle_since = self.loop.time()
        if self._silence_timer is None:
            self._silence_timer = self.loop.call_later(self._keep_alive_s, self._silent)

    def _silent(self) -> None:
        """Closes a connection that has been silent since its last answer; a request that has begun has its own time."""
        self._silence_timer = None
        if self._awaited or (self._newest is not None and not self._newest.answered):
            return
        rest = self._idle_since + self._keep_alive_s - self.loop.time()
        if rest > 0:
            self._silence_timer = self.loop.call_later(rest, self._silent)
        else:
            self.transport.close()

    # --- patience ---------------------------------------------------------------------------------------------------------------------

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
        if self._newest is None or self._newest.answered:
            self.transport.close()
        else:
            self._time()

    def _body_late(self) -> None:
        """Whoever reads the body says that it is late. Once that is answered, or where nobody has said so for as long again, the rest is not
        waited for.
        """
        if self._newest is None or self._newest.answered or self._newest.is_overdue(2 * limits.request_body_s_max):
            self.transport.close()
        else:
            self._time()

    def pause_writing(self) -> None:
        self.full = asyncio.Event()
        self._stall_timer = self.loop.call_later(limits.client_stall_s_max, self.transport.abort)

    def resume_writing(self) -> None:
        """The client takes again what is written to it, or never will."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if self.full is not None:
            self.full.set()
            self.full = None
