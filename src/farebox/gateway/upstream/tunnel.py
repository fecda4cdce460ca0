"""A tunnel through an HTTP proxy (CONNECT). Owns the exchange with the proxy, up to the byte where the tunnel begins."""

import asyncio
from typing import cast

from farebox.gateway.upstream.origin import Origin, Proxy

_END_OF_HEAD = b"\r\n\r\n"
_STATUS_AT = slice(9, 12)


class TunnelRefused(OSError):
    """The proxy did not open a tunnel."""


class Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel. `opened` is done when the proxy has said yes; nothing of the request is ever shown to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, origin: Origin, proxy: Proxy, head_bytes_max: int) -> None:
        self.opened: asyncio.Future[None] = loop.create_future()
        self._request = _connect_request(origin, proxy)
        self._head_bytes_max = head_bytes_max
        self._head = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        looked = max(0, len(self._head) - len(_END_OF_HEAD))
        self._head += data
        end = self._head.find(_END_OF_HEAD, looked)
        if end < 0:
            if len(self._head) > self._head_bytes_max:
                self._refuse("the proxy's answer is too large")
        elif self._head[:7] != b"HTTP/1." or self._head[_STATUS_AT] != b"200":
            status = bytes(self._head[_STATUS_AT])
            self._refuse(f"the proxy answered {int(status)}" if status.isdigit() else "the proxy's answer is unreadable")
        elif len(self._head) > end + len(_END_OF_HEAD):
            self._refuse("the proxy sent more than its answer")
        elif not self.opened.done():
            self.opened.set_result(None)

    def eof_received(self) -> None:
        self._refuse("the proxy closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self._refuse(f"the connection to the proxy was lost: {exc}" if exc else "the proxy closed the connection")

    def _refuse(self, problem: str) -> None:
        if not self.opened.done():
            self.opened.set_exception(TunnelRefused(problem))


def _connect_request(origin: Origin, proxy: Proxy) -> bytes:
    authority = origin.authority.encode("ascii")
    credential = b"proxy-authorization: " + proxy.authorization + b"\r\n" if proxy.authorization else b""
    return b"CONNECT " + authority + b" HTTP/1.1\r\nhost: " + authority + b"\r\n" + credential + b"\r\n"
