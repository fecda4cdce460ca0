"""A wire that can be cut: forwards bytes between a client and a server, and stops doing so where a test says, on a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit, urlunsplit

T = TypeVar("T")
Cut = Literal["before", "after"]
_CHUNK = 1 << 16


class Wire:
    """To the server of a database's URL; `url` leads through it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._rule: tuple[bytes, Cut] | None = None
        self._up = True
        self.cuts = 0
        self._lines: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._thread.start()
        self._server = self._wait(self._listen())
        port = self._server.sockets[0].getsockname()[1]
        user = f"{parts.username}@" if parts.username else ""
        self.url = urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{port}"))

    def cut(self, message: bytes, where: Cut) -> None:
        """Once, when the client says this: before the server hears of it, or after it did it and before the client hears of that."""
        self._rule = (message, where)

    def down(self) -> None:
        """Nobody is connected, and nobody gets through."""
        self._up = False
        self._wait(self._hang_up())

    def up(self) -> None:
        """As before."""
        self._up = True

    def close(self) -> None:
        self.down()
        self._server.close()
        self._wait(self._server.wait_closed())
        self._wait(self._rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._carry, "127.0.0.1", 0)

    async def _hang_up(self) -> None:
        for line in list(self._lines):
            line.transport.abort()

    async def _rest(self) -> None:
        """Until every line has noticed that it was cut."""
        others = asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}
        await asyncio.gather(*others, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = {writer}
        self._lines.add(writer)
        try:
            if self._up:
                there, back = await asyncio.open_connection(*self._target)
                lines.add(back)
                self._lines.add(back)
                deaf = asyncio.Event()
                await asyncio.gather(self._forth(reader, back, deaf, lines), self._back(there, writer, deaf, lines))
        except OSError:
            pass
        finally:
            self._lines -= lines
            for line in lines:
                line.transport.abort()

    async def _forth(self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, deaf: asyncio.Event, lines: set[Any]) -> None:
        while said := await reader.read(_CHUNK):
            if self._rule is not None and self._rule[0] in said:
                (_, where), self._rule = self._rule, None
                self.cuts += 1
                if where == "before":
                    break
                deaf.set()
            to.write(said)
            await to.drain()
        for line in lines:
            line.transport.abort()

    async def _back(self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, deaf: asyncio.Event, lines: set[Any]) -> None:
        with suppress(OSError):
            while (said := await reader.read(_CHUNK)) and not deaf.is_set():
                to.write(said)
                await to.drain()
        for line in lines:
            line.transport.abort()
