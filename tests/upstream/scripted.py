"""A byte-exact server: what it does on its n-th connection is the n-th script (the last one again for all that follow)."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

from farebox.gateway.upstream import Answer, Origin, Upstream

_TEST_S = 60
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Peer:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """A whole request, head and body, as it came."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
        return head + await self.reader.readexactly(length)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def send_slowly(self, pieces: list[bytes]) -> None:
        """Each piece in a segment of its own: the loop turns in between, so the client reads before more is written."""
        for piece in pieces:
            self.writer.write(piece)
            await turns(3)

    def close(self) -> None:
        self.writer.close()

    def half_close(self) -> None:
        """Send no more, but read on."""
        with contextlib.suppress(OSError, RuntimeError):  # the client has reset the connection before, and uvloop has noticed
            self.writer.write_eof()

    def reset(self) -> None:
        raw = self.writer.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):  # the client has reset the connection before: the socket is closed, or gone
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> bytes:
        """Wait until the client has closed; gives what came before."""
        data = bytearray()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := await self.reader.read(65536):
                data += piece
        return bytes(data)


Script = Callable[[Peer], Awaitable[None]]
MakeUpstream = Callable[..., Upstream]
"""Makes a client with the limits named."""


class Scripted:
    """The server. `origin` is where it listens; `accepted` counts connections; a script that failed raises when the server is left."""

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        self.accepted = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self._scripts = scripts
        self._server: asyncio.Server | None = None
        self.origin = Origin("http", "127.0.0.1", 0)

    async def listen(self, tls: ssl.SSLContext | None, host: str, ca_file: str | None) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        port = self._server.sockets[0].getsockname()[1]
        self.origin = Origin("https" if tls else "http", host, port, ca_file=ca_file)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(self.accepted, len(self._scripts) - 1)]
        self.accepted += 1
        task = asyncio.create_task(self._play(script, Peer(reader, writer)))
        self.tasks.add(task)

    async def _play(self, script: Script, peer: Peer) -> None:
        try:
            await script(peer)
        finally:
            peer.writer.close()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await turns(5)  # what was accepted in this moment gets its task
        for task in self.tasks:
            if not task.done():
                task.cancel()
        for outcome in await asyncio.gather(*self.tasks, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError | asyncio.IncompleteReadError | ssl.SSLError):
                raise outcome
        await turns(5)  # and what is closed in this moment is closed


@contextlib.asynccontextmanager
async def serving(
    *scripts: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", ca_file: str | None = None
) -> AsyncIterator[Scripted]:
    """A scripted server, for a `with`. What hangs inside ends as TimeoutError: uvloop does not hear the signal of pytest's own timeout."""
    server = Scripted(scripts)
    await server.listen(tls, host, ca_file)
    try:
        async with asyncio.timeout(_TEST_S):
            yield server
    finally:
        await server.close()


def answering(*answers: bytes) -> Script:
    """Reads a request and answers it, for each answer; then waits for the client to close."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            peer.send(answer)
        await peer.gone()

    return script


def closing(*answers: bytes) -> Script:
    """Reads a request and answers it, for each answer; then closes."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            peer.send(answer)

    return script


def forever(answer: bytes = OK) -> Script:
    """Answers every request on the connection the same."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.send(answer)

    return script


async def get(upstream: Upstream, origin: Origin, target: bytes = b"/") -> Answer:
    return await upstream.send(origin, b"GET", target, [], b"")


async def post(upstream: Upstream, origin: Origin, body: bytes = b"{}", *, first_byte_s: float | None = None) -> Answer:
    return await upstream.send(origin, b"POST", b"/", [], body, first_byte_s=first_byte_s)


async def turns(count: int) -> None:
    """Let the event loop go round: everything that is ready happens."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(true: Callable[[], bool]) -> None:
    """Let the event loop go round until something is so (the time limit of `serving` ends it when it never is)."""
    while not true():  # noqa: ASYNC110 - what is waited for sets no event
        await asyncio.sleep(0)
