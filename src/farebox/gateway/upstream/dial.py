"""Opening a connection: name, TCP, proxy, TLS. Owns certificates' verification; what the connection is then used for is not its business."""

import asyncio
import ssl

from farebox.clock import Clock
from farebox.gateway.upstream.connection import Connection
from farebox.gateway.upstream.failures import ConnectFailed
from farebox.gateway.upstream.origin import Origin, Proxy
from farebox.gateway.upstream.settings import UpstreamLimits
from farebox.gateway.upstream.tunnel import Tunnel


class Dialer:
    """Opens connections, all under the same limits."""

    def __init__(self, limits: UpstreamLimits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    async def dial(self, origin: Origin) -> Connection:
        """A connection ready for its first request. ConnectFailed otherwise; cancelled or failed, it leaves no socket behind."""
        loop = asyncio.get_running_loop()
        connection = Connection(loop, self._limits, self._clock)
        try:
            async with asyncio.timeout(self._limits.connect_s):
                await self._open(loop, origin, connection)
        except (OSError, UnicodeError) as error:
            connection.kill()
            raise ConnectFailed(self._problem(error)) from error
        except asyncio.CancelledError:
            connection.kill()
            raise
        if connection.dead:
            raise ConnectFailed("the connection was closed as soon as it was open")
        return connection

    async def _open(self, loop: asyncio.AbstractEventLoop, origin: Origin, connection: Connection) -> None:
        proxy = Proxy.from_url(origin.proxy) if origin.proxy is not None else None
        context = self._context(origin.ca_file) if origin.secure else None
        if proxy is not None and context is not None:
            await self._open_tunnel(loop, origin, proxy, context, connection)
            return
        host, port = (origin.host, origin.port) if proxy is None else (proxy.host, proxy.port)
        name = origin.host if context is not None else None
        await loop.create_connection(lambda: connection, host, port, ssl=context, server_hostname=name)

    async def _open_tunnel(
        self, loop: asyncio.AbstractEventLoop, origin: Origin, proxy: Proxy, context: ssl.SSLContext, connection: Connection
    ) -> None:
        tunnel = Tunnel(loop, origin, proxy, self._limits.head_bytes)
        transport, _ = await loop.create_connection(lambda: tunnel, proxy.host, proxy.port)
        try:
            await tunnel.opened
            secured = await loop.start_tls(transport, connection, context, server_hostname=origin.host)
        except (OSError, asyncio.CancelledError):
            transport.abort()
            raise
        if secured is None:
            raise ConnectionResetError("the connection was closed while TLS began")
        connection.connection_made(secured)

    def _context(self, ca_file: str | None) -> ssl.SSLContext:
        """The system's certificate authorities, and those in `ca_file`. Made once: loading them takes tens of milliseconds."""
        context = self._contexts.get(ca_file)
        if context is None:
            context = ssl.create_default_context()
            if ca_file is not None:
                context.load_verify_locations(ca_file)
            context.set_alpn_protocols(["http/1.1"])
            self._contexts[ca_file] = context
        return context

    def _problem(self, error: OSError | UnicodeError) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"certificate refused: {error.verify_message}"
        if isinstance(error, ssl.SSLError):
            return f"TLS failed: {error.reason or error}"
        if isinstance(error, TimeoutError):
            return f"no connection within {self._limits.connect_s:g} s"
        return str(error) or type(error).__name__
