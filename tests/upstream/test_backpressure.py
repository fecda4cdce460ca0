"""Neither a slow reader nor a server that does not read makes the client grow."""

import asyncio
import ssl

from farebox.gateway.upstream import Upstream
from upstream.certificates import Authority
from upstream.scripted import OK, MakeUpstream, Peer, get, post, serving, until

BODY_BYTES = 100_000_000
BLOCK = bytes(1_000_000)
BUFFER_BYTES = 256 * 1024
ONE_READ_BYTES = 512 * 1024
"""What one turn of a loop may deliver at most beyond the bound (its own read buffer, and TLS's)."""


async def stream(peer: Peer) -> None:
    """100 MB, as fast as they are taken."""
    await peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % BODY_BYTES)
    for _ in range(BODY_BYTES // len(BLOCK)):
        peer.send(BLOCK)
        await peer.writer.drain()
    await peer.gone()


async def read_slowly(upstream: Upstream, tls: ssl.SSLContext | None, ca_file: str | None) -> None:
    async with serving(stream, tls=tls, ca_file=ca_file) as server:
        answer = await get(upstream, server.origin)
        await until(lambda: answer.buffered_bytes > BUFFER_BYTES)
        size = most = 0
        while piece := await answer.read():
            size += len(piece)
            most = max(most, answer.buffered_bytes)
            await asyncio.sleep(0)
            most = max(most, answer.buffered_bytes)
        assert size == BODY_BYTES
        assert most <= BUFFER_BYTES + ONE_READ_BYTES
        assert upstream.stats().idle == 1
        await upstream.close()


async def test_slow_reader_keeps_what_is_buffered_bounded(upstream: Upstream) -> None:
    """100 MB pass through a bounded buffer, and the connection can be used again."""
    await read_slowly(upstream, None, None)


async def test_slow_reader_keeps_what_is_buffered_bounded_under_tls(upstream: Upstream, authority: Authority) -> None:
    """The same through TLS, whose layer has buffers of its own."""
    await read_slowly(upstream, authority.context("127.0.0.1"), authority.ca_file)


async def test_nobody_reading_stops_the_server_and_no_deadline_runs(make: MakeUpstream) -> None:
    """The silence of a paused connection is ours: it is no IdleTimeout, and reading goes on where it stopped."""
    upstream = make(idle_s=0.05)
    async with serving(stream) as server:
        answer = await get(upstream, server.origin)
        await until(lambda: answer.buffered_bytes > BUFFER_BYTES)
        await asyncio.sleep(0.2)  # the silence itself, four times the limit
        assert answer.buffered_bytes <= BUFFER_BYTES + ONE_READ_BYTES
        size = 0
        while piece := await answer.read():
            size += len(piece)
        assert size == BODY_BYTES


async def test_flood_of_tiny_pieces_is_bounded_too(upstream: Upstream) -> None:
    """A piece is counted at more than its bytes, so that their number is bounded."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while not answer_full.is_set():
            peer.send(b"x")
            await asyncio.sleep(0)
        await peer.gone()

    answer_full = asyncio.Event()
    async with serving(script) as server:
        answer = await get(upstream, server.origin)
        await until(lambda: answer.buffered_bytes > BUFFER_BYTES)
        answer_full.set()
        assert len(answer._pieces) <= BUFFER_BYTES // 64 + 1
        answer.abort()
        assert answer.buffered_bytes == 0


async def test_server_that_does_not_read_holds_us_to_a_bound(upstream: Upstream) -> None:
    """A large body waits in the caller's own bytes, not in copies in the transport; it goes on when the server reads on."""

    async def script(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every socket transport has it
        await reading.wait()
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len((await peer.request()).partition(b"\r\n\r\n")[2]) == len(body)
        peer.send(OK)
        await peer.gone()

    reading = asyncio.Event()
    body = bytes(60_000_000)
    async with serving(script) as server:
        calling = asyncio.create_task(post(upstream, server.origin, body))
        await until(lambda: bool(upstream._pools._connections))
        connection = next(iter(upstream._pools._connections))
        await until(lambda: connection._writing_paused)
        assert connection._transport is not None
        for _ in range(50):
            await asyncio.sleep(0)
            assert connection._transport.get_write_buffer_size() <= 4 * 64 * 1024
        assert not calling.done()
        reading.set()
        answer = await calling
        assert await answer.read_all(2) == b"ok"
        assert upstream.stats().idle == 1
        await upstream.close()
