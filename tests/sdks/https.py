"""TLS in front of a plain address, as a load balancer has it: some clients send a bearer key to nothing else."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def https_before(url: str, context: ssl.SSLContext) -> AsyncIterator[str]:
    """An https address for an http one on this machine, for as long as this lasts."""
    port = int(url.rpartition(":")[2])
    open_now: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        both = {writer, inner_writer}
        open_now.update(both)
        await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))
        open_now.difference_update(both)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
        for writer in open_now:  # a client may keep its connection for as long as it lives
            writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()
