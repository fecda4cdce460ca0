"""The simulator as a server: listening, serving until told to stop, closing. Owns sockets and the event loop; nothing of what is said on them."""

import asyncio
import gc
import signal
import ssl
import sys
from collections.abc import Callable

import uvloop

from .bill import Bill
from .connection import Connection
from .options import PLAIN_OPTIONS, Options
from .prices import list_models
from .site import Site

LISTEN_DEFAULT = "127.0.0.1:9100"
_BACKLOG = 4096


class Server:
    """A running simulator."""

    def __init__(self, listener: asyncio.Server, connections: set[Connection], bill: Bill, *, host: str, tls: bool) -> None:
        self._listener = listener
        self._connections = connections
        self.bill = bill
        self.host = host
        self.port = int(listener.sockets[0].getsockname()[1])
        self.url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def close(self) -> None:
        """Stop listening and drop every connection: calls in flight are billed as when their callers leave."""
        self._listener.close()
        await asyncio.gather(*[connection.abort() for connection in self._connections])
        await self._listener.wait_closed()


async def serve(
    host: str = "127.0.0.1", port: int = 0, *, tls_cert: str | None = None, tls_key: str | None = None, options: Options = PLAIN_OPTIONS
) -> Server:
    """Start a simulator on the running loop. Port 0 takes any free one."""
    context = _tls_context(tls_cert, tls_key)
    list_models("openai")  # reading the price data takes a while: now, not in the first call
    loop = asyncio.get_running_loop()
    bill = Bill()
    site = Site(bill, options=options)
    connections: set[Connection] = set()
    listener = await loop.create_server(lambda: Connection(site, loop, connections), host, port, ssl=context, backlog=_BACKLOG)
    return Server(listener, connections, bill, host=host, tls=context is not None)


def run(
    listen: str = LISTEN_DEFAULT,
    *,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    announce: Callable[[str], None] | None = None,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Serve until SIGINT or SIGTERM. Tells its URL when it is ready, on standard output if nobody else wants it. Raises ValueError and OSError."""
    host, port = parse_listen(listen)
    uvloop.run(_run(host, port, tls_cert, tls_key, announce or _print_line, options))


def parse_listen(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `[HOST]:PORT` or `:PORT`."""
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or len(port) > len("65535"):
        raise ValueError(f"{listen!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


async def _run(host: str, port: int, tls_cert: str | None, tls_key: str | None, announce: Callable[[str], None], options: Options) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = await serve(host, port, tls_cert=tls_cert, tls_key=tls_key, options=options)
    gc.freeze()  # the price data stays for good: no need to walk it again and again
    announce(server.url)
    await stop.wait()
    await server.close()


def _tls_context(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if cert is None:
        if key is not None:
            raise ValueError("a TLS key needs a certificate")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
