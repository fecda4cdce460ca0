"""Moments too short to be met by chance, made to happen: each between two steps of a call."""

import asyncio
import socket

import pytest

from farebox.gateway.upstream import ConnectFailed, NotAnswered, Upstream
from farebox.gateway.upstream.connection import Connection
from upstream.scripted import MakeUpstream, Peer, forever, get, post, serving, turns

ENDLESS = b"HTTP/1.1 200 OK\r\n\r\nx"


def make_unwritable(connection: Connection) -> None:
    """From here on writing on it is EPIPE, and nothing else shows."""
    assert connection._transport is not None
    with socket.socket(fileno=socket.dup(connection._transport.get_extra_info("socket").fileno())) as sock:
        sock.shutdown(socket.SHUT_WR)


async def test_fresh_connection_that_takes_no_byte_has_sent_nothing(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first write on a new connection fails as a whole: no second try, and the provider cannot have billed."""
    dial = upstream._dialer.dial

    async def dial_badly(origin: object) -> Connection:
        connection = await dial(origin)  # type: ignore[arg-type]  # an origin
        make_unwritable(connection)
        return connection

    monkeypatch.setattr(upstream._dialer, "dial", dial_badly)
    async with serving(forever()) as server:
        with pytest.raises(NotAnswered) as failed:
            await post(upstream, server.origin)
        assert (failed.value.sent, failed.value.connected, failed.value.may_have_billed) == ("nothing", True, False)
        assert server.accepted == 1
        assert upstream.stats().open == 0


async def test_connection_closed_as_soon_as_it_was_open_is_a_failed_connection(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """It died between the handshake and its first use: nothing was sent, and its place is free again."""
    opened = upstream._dialer._open

    async def open_and_die(loop: object, origin: object, connection: Connection) -> None:
        await opened(loop, origin, connection)  # type: ignore[arg-type]  # as they came
        connection.eof_received()

    monkeypatch.setattr(upstream._dialer, "_open", open_and_die)
    async with serving(forever()) as server:
        with pytest.raises(ConnectFailed, match="as soon as it was open") as failed:
            await post(upstream, server.origin)
        assert not failed.value.may_have_billed
        assert upstream.stats().open == 0


@pytest.mark.parametrize("dead", [True, False])
async def test_connection_given_to_a_call_that_was_cancelled_is_given_on(upstream: Upstream, *, dead: bool) -> None:
    """Given and cancelled in the same turn: a live connection goes back to the pool, a dead one gives its place back."""
    async with serving(forever()) as server:
        await (await get(upstream, server.origin)).read_all(2)
        pool = upstream._pools.of(server.origin)
        connection, _ = pool.idle.popitem()
        waiting = asyncio.create_task(pool.turn())
        await turns(1)
        pool.freed(connection)
        if dead:
            make_unwritable(connection)
            connection._transport.abort()  # type: ignore[union-attr]  # it has one
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert upstream.stats().idle == (0 if dead else 1)
        assert upstream.stats().open == (0 if dead else 1)


async def test_place_given_to_a_call_that_was_cancelled_is_given_on(make: MakeUpstream) -> None:
    """Given and cancelled in the same turn: the next in the queue has it."""
    upstream = make(connections=1)
    async with serving(forever(ENDLESS)) as server:
        held = await get(upstream, server.origin)
        calls = [asyncio.create_task(get(upstream, server.origin)) for _ in range(3)]
        await turns(1)
        calls[1].cancel()  # in the queue, done, and not yet gone from it
        held.abort()
        calls[0].cancel()
        answer = await calls[2]
        assert upstream.stats().open == 1
        answer.abort()
        assert upstream.stats().open == 0
        assert [call.cancelled() for call in calls] == [True, True, False]


async def test_connection_that_dies_on_its_way_to_a_waiting_call_is_replaced(make: MakeUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given in one turn, dead in the next: the call that got it looks again instead of writing into it."""
    upstream = make(connections=1)
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await go.wait()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await forever()(peer)

    go = asyncio.Event()
    async with serving(script) as server:
        pool = upstream._pools.of(server.origin)
        turn = type(pool).turn

        async def turn_and_die(self: object) -> object:
            given = await turn(self)  # type: ignore[arg-type]  # a pool
            if isinstance(given, Connection):
                given._transport.abort()  # type: ignore[union-attr]  # it has one
            return given

        monkeypatch.setattr(type(pool), "turn", turn_and_die)
        first = asyncio.create_task(post(upstream, server.origin))
        second = asyncio.create_task(post(upstream, server.origin))
        await turns(5)
        go.set()
        assert await (await first).read_all(2) == b"ok"
        assert await (await second).read_all(2) == b"ok"
        assert (server.accepted, len(seen)) == (2, 2)
        assert upstream.stats().failures == {}
