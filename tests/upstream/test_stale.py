"""A pooled connection that the server has closed: tried again when that is safe, and never when it is not."""

import asyncio
import socket

import pytest

from farebox.gateway.upstream import NotAnswered, Upstream
from upstream.scripted import OK, MakeUpstream, Peer, answering, closing, forever, get, post, serving, until


async def test_close_of_an_unused_connection_is_noticed_at_once(upstream: Upstream) -> None:
    """The loop sees the end while the connection lies in the pool: it is dropped, and the next call opens another."""
    async with serving(closing(OK), forever()) as server:
        await (await post(upstream, server.origin)).read_all(2)
        await until(lambda: upstream.stats().open == 0)
        assert await (await post(upstream, server.origin)).read_all(2) == b"ok"
        assert server.accepted == 2


@pytest.mark.parametrize("reset", [True, False])
async def test_close_not_yet_seen_by_the_loop_is_seen_at_checkout(upstream: Upstream, *, reset: bool) -> None:
    """The end is in the kernel but the loop has not turned: one system call at checkout finds it, before a byte is written."""
    peers: list[Peer] = []
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        peers.append(peer)
        while True:
            seen.append(await peer.request())
            peer.send(OK)

    async with serving(script) as server:
        await (await post(upstream, server.origin)).read_all(2)
        await until(lambda: upstream.stats().idle == 1)
        raw = peers[0].writer.get_extra_info("socket")
        with socket.socket(fileno=socket.dup(raw.fileno())) as sock:
            if reset:
                sock.shutdown(socket.SHUT_RDWR)
            else:
                sock.shutdown(socket.SHUT_WR)
        calling = asyncio.create_task(post(upstream, server.origin))
        assert await (await calling).read_all(2) == b"ok"
        assert server.accepted == 2
        assert len(seen) == 2
        assert upstream.stats().failures == {}


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison", b"\r\n", b"x"])
async def test_data_on_an_unused_connection_kills_it(upstream: Upstream, surplus: bytes) -> None:
    """An answer to nothing must not be taken for the answer to the next request, seen by the loop or only at checkout."""
    peers: list[Peer] = []

    async def script(peer: Peer) -> None:
        peers.append(peer)
        await forever()(peer)

    async with serving(script) as server:
        for count in (1, 2):
            await (await post(upstream, server.origin)).read_all(2)
            assert server.accepted == count
            peers[-1].send(surplus)
            await until(lambda: upstream.stats().open == 0)
        await (await post(upstream, server.origin)).read_all(2)
        peers[-1].send(surplus)  # straight into the kernel, and the loop does not turn before the next call
        assert await (await post(upstream, server.origin)).read_all(2) == b"ok"
        assert server.accepted == 4


async def test_write_that_fails_as_a_whole_is_tried_again(upstream: Upstream) -> None:
    """The first write on a pooled connection is refused by the operating system: nothing left, so a fresh connection is safe."""
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append(await peer.request())
            peer.send(OK)

    async with serving(script) as server:
        for body in (b"{}", bytes(200_000)):
            await (await post(upstream, server.origin)).read_all(2)
            connection = next(iter(upstream._pools.of(server.origin).idle))
            assert connection._transport is not None
            ours = connection._transport.get_extra_info("socket")
            with socket.socket(fileno=socket.dup(ours.fileno())) as sock:
                sock.shutdown(socket.SHUT_WR)  # writing on it is EPIPE from here on; nothing is readable, so it looks alive
            assert connection.alive()
            assert await (await post(upstream, server.origin, body)).read_all(2) == b"ok"
            assert not connection.alive()
        assert len(seen) == 4  # each request once
        assert server.accepted == 3
        assert upstream.stats().failures == {}


async def test_close_after_the_request_was_written_is_not_tried_again(upstream: Upstream) -> None:
    """The server reads the request on a pooled connection and closes: it may have acted on it, so this is the caller's to decide."""
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        peer.send(OK)
        seen.append(await peer.request())

    async with serving(script) as server:
        await (await post(upstream, server.origin)).read_all(2)
        with pytest.raises(NotAnswered) as failed:
            await post(upstream, server.origin)
        assert failed.value.sent == "all"
        assert failed.value.may_have_billed
        assert server.accepted == 1
        assert len(seen) == 2


async def test_fresh_connection_that_is_closed_at_once_has_sent_nothing_or_says_so(upstream: Upstream) -> None:
    """A server that accepts and closes is a failure with no second try, and the flag follows what was written."""

    async def script(peer: Peer) -> None:
        peer.close()

    async with serving(script) as server:
        with pytest.raises(NotAnswered) as failed:
            await post(upstream, server.origin)
        assert failed.value.connected
        assert failed.value.may_have_billed is (failed.value.sent != "nothing")
        assert server.accepted == 1


async def test_unused_connection_grows_old_and_is_closed(make: MakeUpstream) -> None:
    """After the idle limit nothing is left open, and nothing was counted as a failure."""
    upstream = make(pooled_idle_s=0.05)
    async with serving(forever()) as server:
        await (await post(upstream, server.origin)).read_all(2)
        assert upstream.stats().idle == 1
        await until(lambda: upstream.stats().open == 0)
        assert upstream.stats().failures == {}
        assert await (await post(upstream, server.origin)).read_all(2) == b"ok"
        assert server.accepted == 2


async def test_servers_own_idle_limit_counts_when_it_is_shorter(upstream: Upstream) -> None:
    """`Keep-Alive: timeout=2` lets a connection lie for one second, not for ours of 55."""
    async with serving(answering(OK.replace(b"content", b"keep-alive: timeout=2\r\ncontent"))) as server:
        await (await get(upstream, server.origin)).read_all(2)
        connection = next(iter(upstream._pools.of(server.origin).idle))
        rest = connection._deadline._at - asyncio.get_running_loop().time()
        assert 0 < rest <= 1
        await upstream.close()


async def test_many_stale_connections_are_passed_over(upstream: Upstream) -> None:
    """However many of the pool are dead, the call finds its way to a live or new one."""
    peers: list[Peer] = []
    reading = asyncio.Event()

    async def script(peer: Peer) -> None:
        peers.append(peer)
        while True:
            await peer.request()
            await reading.wait()
            peer.send(OK)

    async with serving(script) as server:
        calls = [asyncio.create_task(post(upstream, server.origin)) for _ in range(10)]
        await until(lambda: len(peers) == 10)
        reading.set()
        for call in calls:
            await (await call).read_all(2)
        await until(lambda: upstream.stats().idle == 10)
        for peer in peers:
            raw = peer.writer.get_extra_info("socket")
            with socket.socket(fileno=socket.dup(raw.fileno())) as sock:
                sock.shutdown(socket.SHUT_RDWR)
        assert await (await post(upstream, server.origin)).read_all(2) == b"ok"
        assert server.accepted == 11
        assert upstream.stats().failures == {}
