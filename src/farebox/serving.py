"""Sockets and servers: uvicorn with our limits, applications of ASGI on it, the control plane on a thread and loop of its own."""

import asyncio
import contextlib
import logging
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Protocol, TypeVar

import uvicorn
from uvicorn.protocols.utils import get_local_addr, get_remote_addr

from farebox import limits
from farebox.connection import Connection, Serve
from farebox.errors import SettingsError
from farebox.exchange import Message, Receive, Scope, Send
from farebox.request import Request

T = TypeVar("T")
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

_BACKLOG = 4096
logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


class QuietServer(uvicorn.Server):
    """uvicorn's server without signal handlers of its own: the process decides when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listening_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket that listens; `shared`: one of several of ours on the same address. Raises SettingsError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, so that asyncio sends small answers without delay
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind((host, port))
        made.listen(_BACKLOG)  # from here on clients may connect, and wait until the server takes them
    except OSError as problem:
        made.close()
        raise SettingsError(problem=f"cannot listen on {host}:{port}: {problem.strerror or problem}") from problem
    made.setblocking(False)
    return made


def listening_sockets(host: str, port: int, count: int) -> list[socket.socket]:
    """One socket for each of several processes that answer at one address. Raises SettingsError when it cannot be had.

    On Linux the kernel spreads connections over sockets of one address (SO_REUSEPORT). Processes that accept from one shared socket do not: the
    first to wake takes all that wait, and of 64 connections at once one of four processes was seen to get 8 to 52. Whoever opened the sockets
    keeps them open while processes come and go, so a process that dies takes along only the connections that it had accepted: those that wait
    in its socket's queue are its successor's. Elsewhere SO_REUSEPORT spreads nothing, and one socket is shared.
    """
    first = listening_socket(host, port)  # not to be shared: an address that another gateway has is refused, not halved
    if sys.platform != "linux":
        return [first] * count
    address = first.getsockname()
    first.close()
    return [listening_socket(address[0], address[1], shared=True) for _ in range(count)]


def inherited(handle: int) -> socket.socket:
    """A socket that whoever started this process opened."""
    made = socket.socket(fileno=handle)
    return socket.socket(made.family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=made.detach())  # named, as above


def server(serve: Serve, *, keep_alive_s: float = 75) -> QuietServer:
    """A server whose requests are answered so. A connection that is silent for so many seconds after an answer is closed."""
    config = uvicorn.Config(
        serve,  # nobody calls it but our connections
        http=Connection,
        ws="none",
        interface="asgi3",
        proxy_headers=False,
        lifespan="off",
        access_log=False,
        server_header=False,
        log_config=None,
        log_level="error",
        timeout_keep_alive=keep_alive_s,  # type: ignore[arg-type]  # it only goes into a timer
        timeout_graceful_shutdown=limits.settle_s_max,
        backlog=_BACKLOG,
    )
    return QuietServer(config)


def asgi(app: Asgi) -> Serve:
    """Answers requests by an application of ASGI."""

    async def serve(request: Request) -> None:
        await app(_scope(request), _Reading(request).receive, partial(_send, request))

    return serve


def _scope(request: Request) -> Scope:
    transport = request.transport
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.version,
        "server": get_local_addr(transport),
        "client": get_remote_addr(transport),
        "scheme": "http",
        "root_path": "",
        "method": request.method,
        "path": request.place(),
        "raw_path": request.path.encode(),
        "query_string": request.query,
        "headers": request.headers,
        "state": {},
    }


class _Reading:
    """What an application is told of a request: its body as it comes, and then that the client has left or has its answer."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._told_whole = False

    async def receive(self) -> Message:
        request = self._request
        if self._told_whole:
            await request.done()
        part = await request.part()
        if request.gone or request.answered:
            return {"type": "http.disconnect"}
        self._told_whole = request.whole
        return {"type": "http.request", "body": part, "more_body": not request.whole}


async def _send(request: Request, message: Message) -> None:
    """Writes what an application says, in the order of ASGI: a head, then pieces of the body."""
    await request.room()
    kind = message["type"]
    if kind == "http.response.body":
        (request.write if message.get("more_body", False) else request.finish)(message.get("body", b""))
    elif kind == "http.response.start":
        length, headers = None, []
        for name, value in message.get("headers", ()):
            if name == b"content-length":
                length = int(value)
            elif name == b"connection" and b"close" in value.lower():
                request.last = True
            else:
                headers.append((name, value))
        request.start(message["status"], headers, length)
    else:
        raise RuntimeError(f"{kind!r} is nothing that an answer consists of")


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
            self._server = server(asgi(self._app))
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
