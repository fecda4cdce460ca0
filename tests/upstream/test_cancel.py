"""A call may be cancelled at any moment; nothing is left behind and no answer reaches the wrong call."""

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farebox.gateway.upstream import Origin, Upstream, UpstreamFailed
from upstream.certificates import Authority
from upstream.scripted import MakeUpstream, Peer, get, serving, turns, until


async def echo(peer: Peer) -> None:
    """Answers with the target it was asked for, in two pieces."""
    while True:
        target = (await peer.request()).split(b" ", 2)[1]
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(target))
        await turns(1)
        peer.send(target)


async def call(upstream: Upstream, origin: Origin, name: bytes) -> bytes:
    answer = await get(upstream, origin, name)
    body = await answer.read_all(100)
    assert body == name
    return body


async def cancel_at(upstream: Upstream, origin: Origin, steps: list[int]) -> None:
    """Many calls at once, each cancelled after its number of turns of the loop; the rest must get their own answers."""
    tasks = [asyncio.create_task(call(upstream, origin, b"/%d" % number)) for number in range(len(steps))]
    for turn in range(max(steps) + 1):
        for task, step in zip(tasks, steps, strict=True):
            if step == turn:
                task.cancel()
        await asyncio.sleep(0)
    for task, outcome in zip(tasks, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
        assert isinstance(outcome, bytes | asyncio.CancelledError), (task, outcome)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(0, 40), min_size=1, max_size=12), connections=st.integers(1, 4))
async def test_cancelled_anywhere_nothing_leaks(make: MakeUpstream, steps: list[int], connections: int) -> None:
    """Waiting, connecting, writing, before the head, in the body: what is open afterwards is unused, and closes to nothing."""
    upstream = make(connections=connections)
    async with serving(echo) as server:
        await cancel_at(upstream, server.origin, steps)
        await until(lambda: upstream.stats().open == upstream.stats().idle)
        assert upstream.stats().open <= connections
        assert await call(upstream, server.origin, b"/after") == b"/after"
        assert upstream.stats().failures == {}
        await upstream.close()
        assert upstream.stats().open == 0
        assert not upstream._pools._connections


@pytest.mark.parametrize("seed", range(4))
async def test_many_cancels_under_tls_leave_nothing(make: MakeUpstream, authority: Authority, seed: int) -> None:
    """The same through TLS, handshakes included."""
    dice = random.Random(seed)
    upstream = make(connections=5)
    async with serving(echo, tls=authority.context("127.0.0.1"), ca_file=authority.ca_file) as server:
        for _ in range(5):
            await cancel_at(upstream, server.origin, [dice.randrange(60) for _ in range(15)])
        await until(lambda: upstream.stats().open == upstream.stats().idle)
        assert await call(upstream, server.origin, b"/after") == b"/after"
        await upstream.close()
        assert upstream.stats().open == 0
        assert not upstream._pools._connections


async def test_cancelled_read_closes_the_connection(upstream: Upstream) -> None:
    """A connection in the middle of an answer is never used again."""
    closed: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
        closed.append(await peer.gone())

    async with serving(script) as server:
        answer = await get(upstream, server.origin)
        reading = asyncio.create_task(answer.read())
        await turns(3)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert upstream.stats().open == 0
        await until(lambda: bool(closed))
        with pytest.raises(UpstreamFailed):
            await answer.read()


async def test_answer_that_came_in_the_moment_of_the_cancel_frees_its_connection(upstream: Upstream) -> None:
    """Whole answer and cancel in the same turn: the connection is good, the call is cancelled, both are right."""
    async with serving(echo) as server:
        for count in range(30):
            task = asyncio.create_task(call(upstream, server.origin, b"/x"))
            await turns(count)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await until(lambda: upstream.stats().open == upstream.stats().idle)
        assert await call(upstream, server.origin, b"/after") == b"/after"
        await upstream.close()
