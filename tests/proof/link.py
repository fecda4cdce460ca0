"""A wire between a gateway and its database that can be slow, cut, or swallow what is sent: a small TCP proxy on the test's own event loop."""

import asyncio
import contextlib
from collections.abc import Callable

_PIECE = 65536


class Link:
    """Listens on a port of its own for as long as it is open, whatever is done to the wire."""

    def __init__(self, host: str, port: int) -> None:
        self._there = (host, port)
        self.delay_s = 0.0
        """How much later what the gateway sends arrives."""
        self._whole = True
        self._flows = asyncio.Event()
        self._flows.set()
        self._mark = b""
        self._caught: Callable[[], None] = self._nothing
        self._ends: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._late: tuple[bytes, asyncio.StreamWriter] | None = None
        self.broken = 0
        """How often it was cut, by whatever means."""

    async def open(self) -> int:
        """Its port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        self.cut()
        self._server.close()
        for pump in list(self._pumps):
            pump.cancel()
        if self._pumps:
            await asyncio.wait(self._pumps)
        for end in (*self._ends, *([self._late[1]] if self._late is not None else [])):
            end.transport.abort()
        await asyncio.sleep(0)  # each is told in the loop's next turn

    # --- what can be done to it ------------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Every connection breaks, and no new one is made."""
        self._whole = False
        self.broken += 1
        for end in list(self._ends):
            end.transport.abort()

    def swallow(self) -> None:
        """Nothing arrives any more, either way, and nobody is told."""
        self.broken += 1
        self._flows.clear()

    def mend(self) -> None:
        """As new; what was swallowed arrives."""
        self._whole = True
        self._flows.set()

    def cut_at(self, mark: bytes, *, delivered: bool) -> "asyncio.Future[None]":
        """Cuts the gateway's side as soon as this is sent. It arrives, at once or (not `delivered`) when `deliver` says so; nothing comes back.
        The future tells when that has happened.
        """
        caught: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._mark = mark
        self._delivered = delivered
        self._caught = lambda: caught.set_result(None)
        return caught

    def deliver(self) -> None:
        """Sends on what was caught on its way."""
        assert self._late is not None
        piece, writer = self._late
        writer.write(piece)

    # --- what passes -----------------------------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        try:
            their_reader, their_writer = await asyncio.open_connection(*self._there)
        except OSError:
            writer.transport.abort()
            return
        self._ends |= {writer, their_writer}
        for pump in (self._send(reader, their_writer, writer), self._pass(their_reader, writer)):
            task = asyncio.ensure_future(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter) -> None:
        """From the gateway to the database."""
        with contextlib.suppress(OSError):
            while piece := await reader.read(_PIECE):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._flows.wait()
                if self._mark and self._mark in piece:
                    self._catch(piece, writer, back)
                    return
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()
        self._ends.discard(writer)

    def _catch(self, piece: bytes, writer: asyncio.StreamWriter, back: asyncio.StreamWriter) -> None:
        self._mark = b""
        self._late = (piece, writer)
        self._ends.discard(writer)  # it stays open, whatever is cut
        self.cut()
        back.transport.abort()
        if self._delivered:
            self.deliver()
        self._caught()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the database to the gateway."""
        with contextlib.suppress(OSError):
            while piece := await reader.read(_PIECE):
                await self._flows.wait()
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()
        self._ends.discard(writer)

    @staticmethod
    def _nothing() -> None:
        """Nobody waits to be told."""
