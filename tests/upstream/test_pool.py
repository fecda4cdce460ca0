"""Who gets a connection when there are not enough, and what is left when the client closes."""

import asyncio

import pytest

from farebox.gateway.upstream import ConnectFailed, CutShort, NotAnswered, Origin, PoolExhausted
from upstream.scripted import OK, MakeUpstream, Peer, forever, get, post, serving, turns, until


class Gate:
    """A script that answers only when told, and knows how many requests wait."""

    def __init__(self) -> None:
        self.waiting = 0
        self.most = 0
        self.order: list[bytes] = []
        self._permits = asyncio.Semaphore(0)

    async def __call__(self, peer: Peer) -> None:
        while True:
            self.order.append((await peer.request()).split(b" ", 2)[1])
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            await self._permits.acquire()
            self.waiting -= 1
            peer.send(OK)

    def let(self, count: int) -> None:
        for _ in range(count):
            self._permits.release()


@pytest.mark.parametrize("limit", ["connections", "connections_per_origin"])
async def test_no_more_connections_than_allowed(make: MakeUpstream, limit: str) -> None:
    """Forty calls on three places: all are answered, at most three at once, first come first served."""
    upstream = make(**{limit: 3})
    gate = Gate()
    async with serving(gate) as server:
        calls = [asyncio.create_task(get(upstream, server.origin, b"/%d" % number)) for number in range(40)]
        await until(lambda: gate.waiting == 3)
        await turns(10)
        assert upstream.stats().open == 3
        gate.let(40)
        for call in calls:
            assert await (await call).read_all(2) == b"ok"
        assert gate.most == 3
        assert server.accepted == 3
        assert sorted(gate.order[:3]) == [b"/0", b"/1", b"/2"]
        assert gate.order[3:] == [b"/%d" % number for number in range(3, 40)]


async def test_place_of_a_dead_connection_goes_to_who_waits(make: MakeUpstream) -> None:
    """Aborting one call lets the next open a connection."""
    upstream = make(connections=1)
    gate = Gate()
    async with serving(gate) as server:
        first = asyncio.create_task(get(upstream, server.origin, b"/a"))
        second = asyncio.create_task(get(upstream, server.origin, b"/b"))
        await until(lambda: gate.waiting == 1)
        first.cancel()
        await until(lambda: gate.waiting == 2)
        gate.let(2)
        assert await (await second).read_all(2) == b"ok"
        with pytest.raises(asyncio.CancelledError):
            await first
        assert server.accepted == 2


async def test_unused_connections_to_others_make_room(make: MakeUpstream) -> None:
    """When the process is at its limit, the connection unused for longest is closed for the one that is needed."""
    upstream = make(connections=2)
    async with serving(forever()) as one, serving(forever()) as two, serving(forever()) as three:
        for server in (one, two, three):
            await (await get(upstream, server.origin)).read_all(2)
        assert upstream.stats().open == 2
        await (await get(upstream, two.origin)).read_all(2)
        assert (one.accepted, two.accepted, three.accepted) == (1, 1, 1)
        await (await get(upstream, one.origin)).read_all(2)
        assert (one.accepted, two.accepted, three.accepted) == (2, 1, 1)


async def test_freed_connection_gives_its_place_to_another_origin_that_waits(make: MakeUpstream) -> None:
    """At the limit of the process, a connection whose own origin has no more calls is closed for one that has."""
    upstream = make(connections=1)
    gate = Gate()
    async with serving(gate) as one, serving(forever()) as two:
        first = asyncio.create_task(get(upstream, one.origin))
        await until(lambda: gate.waiting == 1)
        second = asyncio.create_task(get(upstream, two.origin))
        await turns(5)
        assert two.accepted == 0
        gate.let(1)
        assert await (await second).read_all(2) == b"ok"
        assert await (await first).read_all(2) == b"ok"
        assert upstream.stats().open == 1


async def test_origins_that_wait_are_served_in_turn(make: MakeUpstream) -> None:
    """A busy origin does not starve a quiet one."""
    upstream = make(connections=1)
    done: list[str] = []

    async def call(name: str, origin: Origin) -> None:
        answer = await get(upstream, origin)
        answer.abort()
        done.append(name)

    endless = b"HTTP/1.1 200 OK\r\n\r\nx"
    async with serving(forever(endless)) as busy, serving(forever(endless)) as quiet:
        calls = [asyncio.create_task(call("busy", busy.origin)) for _ in range(6)]
        await turns(1)
        calls.append(asyncio.create_task(call("quiet", quiet.origin)))
        await asyncio.gather(*calls)
        assert done.index("quiet") <= 2


async def test_failed_connection_gives_its_place_back(make: MakeUpstream) -> None:
    """A hundred refused connections do not use up two places."""
    upstream = make(connections=2)
    async with serving(forever()) as server:
        nowhere = Origin("http", "127.0.0.1", 1)
        for outcome in await asyncio.gather(*(get(upstream, nowhere) for _ in range(100)), return_exceptions=True):
            assert isinstance(outcome, ConnectFailed)
        assert upstream.stats().open == 0
        assert await (await get(upstream, server.origin)).read_all(2) == b"ok"


async def test_who_waited_in_vain_or_left_takes_nothing_along(make: MakeUpstream) -> None:
    """Cancelled and timed-out calls in the queue cost no place, also in the moment they are given one."""
    upstream = make(connections=1, slot_wait_s=0.03)
    gate = Gate()
    async with serving(gate) as server:
        first = asyncio.create_task(get(upstream, server.origin))
        await until(lambda: gate.waiting == 1)
        late = [asyncio.create_task(get(upstream, server.origin)) for _ in range(3)]
        for outcome in await asyncio.gather(*late, return_exceptions=True):
            assert isinstance(outcome, PoolExhausted)
        gone = [asyncio.create_task(get(upstream, server.origin)) for _ in range(3)]
        await turns(2)
        gate.let(1)
        await until(first.done)
        for call in gone:
            call.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        gate.let(10)
        assert await (await get(upstream, server.origin)).read_all(2) == b"ok"
        assert upstream.stats().open == 1


async def test_close_ends_everything(make: MakeUpstream) -> None:
    """Calls in flight fail with their flags, calls that wait find the client closed, later ones too; no socket is left."""
    upstream = make(connections_per_origin=2)
    gate = Gate()

    async def half(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
        await peer.gone()

    async with serving(half, gate) as server:
        answer = await get(upstream, server.origin)
        assert await answer.read() == b"half"
        unanswered = asyncio.create_task(post(upstream, server.origin))
        await until(lambda: gate.waiting == 1)
        queued = [asyncio.create_task(post(upstream, server.origin)) for _ in range(3)]
        await turns(3)
        await upstream.close()
        assert upstream.stats().open == 0
        with pytest.raises(CutShort):
            await answer.read()
        with pytest.raises(NotAnswered) as failed:
            await unanswered
        assert failed.value.sent == "all"
        for call in queued:
            with pytest.raises(ConnectFailed, match="closed") as closed:
                await call
            assert closed.value.sent == "nothing"
        with pytest.raises(ConnectFailed, match="closed"):
            await post(upstream, server.origin)


async def test_close_while_connecting_leaves_nothing(make: MakeUpstream) -> None:
    """A connection that comes up after the close is closed at once."""
    upstream = make()
    async with serving(forever()) as server:
        calling = asyncio.create_task(post(upstream, server.origin))
        await turns(1)
        await upstream.close()
        with pytest.raises(ConnectFailed, match="closed"):
            await calling
        assert upstream.stats().open == 0
        assert not upstream._pools._connections
