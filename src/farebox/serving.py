"""Sockets and servers: uvicorn with our limits, the control plane on a thread and loop of its own, and the way a process stops."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Literal, Protocol, TypeVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from farebox import limits
from farebox.errors import SettingsError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

_BACKLOG = 4096
logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol, but its patience ends: with a request whose head or body does not come in time or is too large a head, and with a
    client that does not take its answer. A request that comes in one piece costs no timer.
    """

    _awaited: Literal["", "head", "body"] = "head"
    _timed: Literal["", "head", "body", "past"] = ""
    _timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._time()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._awaited, self._head_bytes = "head", 0
        if self._timed == "head":
            self._timed = "past"  # the time of another request, or of the silence before this one

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > limits.request_headers_max:
            raise ValueError("too many headers")

    def on_headers_complete(self) -> None:
        self._awaited = "body"
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._awaited = ""
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._awaited == "head" and not self.transport.is_closing():
            self._head_bytes += len(data)
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
            self._timer = self.loop.call_later(limits.request_head_s_max, self.transport.close)
        elif self._awaited == "body":
            self._timer = self.loop.call_later(limits.request_body_s_max, self._body_late)

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
        super().connection_lost(exc)


class QuietServer(uvicorn.Server):
    """uvicorn's server without signal handlers of its own: the process decides when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises SettingsError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(_BACKLOG)  # from here on clients may connect, and wait until the server takes them
    except OSError as problem:
        made.close()
        raise SettingsError(problem=f"cannot listen on {host}:{port}: {problem.strerror or problem}") from problem
    made.setblocking(False)
    return made


def server(app: Asgi, *, keep_alive_s: int = 75) -> QuietServer:
    """A server for one ASGI callable."""
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        proxy_headers=False,
        lifespan="off",
        access_log=False,
        server_header=False,
        log_config=None,
        log_level="error",
        timeout_keep_alive=keep_alive_s,
        timeout_graceful_shutdown=limits.settle_s_max,
        backlog=_BACKLOG,
    )
    return QuietServer(config)


class Closing(Protocol):
    """An ASGI callable with something to close after its last request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def close(self) -> None: ...


class ControlThread:
    """The control plane's own event loop, on a thread of its own: whatever it does, the data plane's loop does not wait for it."""

    def __init__(self, make: Callable[[], Closing]) -> None:
        self._make = make
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._app: Closing | None = None
        self._server: QuietServer | None = None
        self._thread = threading.Thread(target=self._run, name="farebox-control", daemon=True)

    def start(self, listening: socket.socket | None) -> None:
        """Starts the thread; with a socket, serves it there. Without one, requests come through `__call__`."""
        self._listening = listening
        self._thread.start()

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._app = self._make()
        self._ready.set()
        if self._listening is None:
            await self._stop.wait()
        else:
            self._server = server(self._app)
            serving = asyncio.ensure_future(self._server.serve([self._listening]))
            await self._stop.wait()
            self._server.should_exit = True
            await serving
        self._app.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request that came in on the data plane's loop: its messages cross between the two loops."""
        if not self._ready.is_set():
            await asyncio.get_running_loop().run_in_executor(None, self._ready.wait)
        here, there, app = asyncio.get_running_loop(), self._loop, self._app
        assert there is not None  # noqa: S101 - ready says so
        assert app is not None  # noqa: S101 - ready says so

        async def receive_there() -> Message:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(receive()), here))

        async def send_there(message: Message) -> None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(send(message)), here))

        serving = asyncio.run_coroutine_threadsafe(_awaited(app(scope, receive_there, send_there)), there)
        await asyncio.wrap_future(serving)

    def stop(self) -> None:
        """Ends the thread."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(limits.settle_s_max)


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable
