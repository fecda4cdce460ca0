"""The seam between the server and the way of a request: read a request, write a head, write a piece, has the client gone?

Nothing behind it knows who serves: a connection of our own (`connection.Request`), or any server that speaks ASGI (`AsgiExchange`, here).
"""

import asyncio
import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from farebox.errors import InvalidRequest, TooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


_LISTS = frozenset((b"anthropic-beta", b"content-type"))
"""Headers all of whose lines go upstream: a second content type is seen, too, so that a form is not read by another boundary there."""


class Exchange(ABC):
    """One request of a client and the answer to it."""

    __slots__ = ("began", "gone", "half_read", "headers", "last", "method", "named", "path", "query", "reading_since")

    def __init__(self, method: str, path: str, query: bytes, headers: Headers) -> None:
        self.method = method
        self.path = path
        """As it was sent, with its escapes."""
        self.query = query
        self.headers = headers
        """Names are in lower case."""
        self.named = dict(headers)
        """The first value of each header, by its name in lower case; all values of a repeated list header, because all of them go upstream."""
        if len(self.named) != len(headers):
            self.named = {}
            for name, value in headers:
                self.named.setdefault(name, value)
            self.named |= {name: b",".join(value for other, value in headers if other == name) for name in _LISTS & self.named.keys()}
        self.began = False
        """Whether a head was written: after that, what goes wrong can only be said within the answer."""
        self.gone = False
        """The client has left. Known for certain only of one that is watched."""
        self.last = False
        """Set before the answer begins: the connection is not used again after it."""
        self.half_read = False
        """Reading the request's body has begun and not ended: what is left of it may still come."""
        self.reading_since: float | None = None
        """Since when (loop time) the request's body has been awaited."""

    def place(self) -> str:
        """The path without escapes."""
        return urllib.parse.unquote(self.path) if "%" in self.path else self.path

    def _refuse_announced(self, bytes_max: int) -> None:
        """Raises TooLarge for a body that says itself that it is."""
        announced = self.named.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > bytes_max:
            raise too_large(bytes_max)

    @abstractmethod
    async def body(self, bytes_max: int) -> bytes:
        """The whole request body. Raises TooLarge beyond the limit, InvalidRequest when it does not come whole."""

    @abstractmethod
    def watch(self) -> None:
        """From now on, notice when the client leaves. Sending to a client that left is silent: this is the only way to know.

        The body must have been read whole: two readers would take each other's messages.
        """

    @abstractmethod
    def unwatch(self) -> None:
        """From now on nobody asks whether the client has left."""

    @abstractmethod
    async def head(self, status: int, headers: Headers) -> None:
        """Begins an answer of unknown length."""

    @abstractmethod
    async def piece(self, data: bytes) -> None:
        """A part of the answer; waits while the client is slow (the server drops one that takes nothing for too long)."""

    @abstractmethod
    def pass_on(self, data: bytes) -> bool:
        """A part of the answer, at once. False, and nothing is written, where `piece` may have to wait for the client."""

    @abstractmethod
    async def end(self, data: bytes = b"") -> None:
        """The last part of the answer."""

    @abstractmethod
    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer, with its length; `headers` do not tell it."""


def too_large(bytes_max: int) -> TooLarge:
    return TooLarge(what="request body", limit=f"{bytes_max} bytes")


def left_early() -> InvalidRequest:
    return InvalidRequest(problem="The client left before its request was whole.")


class AsgiExchange(Exchange):
    """One that a server of ASGI serves."""

    __slots__ = ("_receive", "_send", "_watcher")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope["method"], scope["raw_path"].decode("latin-1"), scope["query_string"], list(scope["headers"]))
        self._receive = receive
        self._send = send
        self._watcher: asyncio.Task[None] | None = None

    async def body(self, bytes_max: int) -> bytes:
        self.half_read = True
        self._refuse_announced(bytes_max)
        self.reading_since = asyncio.get_running_loop().time()
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise left_early()
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size > bytes_max:
                raise too_large(bytes_max)
            pieces.append(piece)
            if not message.get("more_body", False):
                self.reading_since, self.half_read = None, False
                return piece if len(pieces) == 1 else b"".join(pieces)

    def watch(self) -> None:
        if self._watcher is None:
            self._watcher = asyncio.ensure_future(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True

    def unwatch(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    async def head(self, status: int, headers: Headers) -> None:
        self.began = True
        told = [*headers, (b"connection", b"close")] if self.last else headers
        await self._send({"type": "http.response.start", "status": status, "headers": told})

    async def piece(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def pass_on(self, data: bytes) -> bool:  # noqa: ARG002 - a message to a server may always have to wait
        return False

    async def end(self, data: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        await self.head(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.end(b"" if self.method == "HEAD" else body)
