"""The seam between the server and the way of a request: read a request, write a head, write a piece, has the client gone?

Owns what is ASGI; nothing behind it knows of it, so the server can be replaced without touching a step of the way.
"""

import asyncio
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


class Exchange:
    """One request of a client and the answer to it. `gone` turns true when the client leaves while it is watched."""

    __slots__ = (
        "_receive",
        "_send",
        "_watcher",
        "began",
        "gone",
        "half_read",
        "headers",
        "method",
        "named",
        "path",
        "query",
        "reading_since",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["raw_path"].decode("latin-1")
        self.query: bytes = scope["query_string"]
        self.headers: Headers = list(scope["headers"])
        """Names are in lower case: ASGI says so."""
        self.named: dict[bytes, bytes] = dict(self.headers[::-1])
        """The first value of each header, by its name in lower case; all values of a repeated list header, because all of them go upstream."""
        if len(self.named) != len(self.headers):
            self.named |= {name: b",".join(value for other, value in self.headers if other == name) for name in _LISTS & self.named.keys()}
        self.began = False
        """Whether a head was written: after that, what goes wrong can only be said within the answer."""
        self.gone = False
        self.half_read = False
        """Reading the request's body has begun and not ended: what is left of it may still come."""
        self.reading_since: float | None = None
        """Since when (loop time) the request's body has been awaited."""
        self._receive = receive
        self._send = send
        self._watcher: asyncio.Task[None] | None = None

    async def body(self, bytes_max: int) -> bytes:
        """The whole request body. Raises TooLarge beyond the limit, InvalidRequest when it does not come whole."""
        self.half_read = True
        announced = self.named.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > bytes_max:
            raise TooLarge(what="request body", limit=f"{bytes_max} bytes")
        self.reading_since = asyncio.get_running_loop().time()
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise InvalidRequest(problem="The client left before its request was whole.")
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size > bytes_max:
                raise TooLarge(what="request body", limit=f"{bytes_max} bytes")
            pieces.append(piece)
            if not message.get("more_body", False):
                self.reading_since, self.half_read = None, False
                return piece if len(pieces) == 1 else b"".join(pieces)

    def watch(self) -> None:
        """From now on, notice when the client leaves. Sending to a client that left is silent: this is the only way to know.

        The body must have been read whole: two readers would take each other's messages.
        """
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
        """Begins the answer."""
        self.began = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, data: bytes) -> None:
        """A part of the answer; waits while the client is slow (the server drops one that takes nothing for too long)."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """The last part of the answer."""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer with its length."""
        await self.head(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.end(b"" if self.method == "HEAD" else body)
