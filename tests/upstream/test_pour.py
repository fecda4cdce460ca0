"""Pieces that go on from within their arrival: none is lost, none is twice, and who waits for the end hears of whatever else happens."""

import asyncio

import pytest

from farebox.gateway.upstream import Answer, CutShort, Upstream
from upstream.scripted import Peer, get, serving, until

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n"


class Taker:
    """Takes so many pieces at a time."""

    def __init__(self, at_a_time: int) -> None:
        self.left = self.at_a_time = at_a_time
        self.taken = b""

    def __call__(self, piece: bytes) -> bool:
        self.taken += piece
        self.left -= 1
        return self.left > 0


async def one_by_one(peer: Peer) -> None:
    """Six pieces, in as many writes."""
    await peer.request()
    peer.send(HEAD)
    await peer.send_slowly([b"a", b"b", b"c", b"d", b"e", b"f"])
    await peer.gone()


async def cut_short(peer: Peer) -> None:
    """Half of what was announced."""
    await peer.request()
    peer.send(HEAD + b"abc")
    peer.close()


async def silent(peer: Peer) -> None:
    """A piece, and no more."""
    await peer.request()
    peer.send(HEAD + b"a")
    await peer.gone()


@pytest.mark.parametrize("at_a_time", [1, 2, 3, 100])
async def test_every_piece_is_given_once_and_the_end_is_told(upstream: Upstream, at_a_time: int) -> None:
    """However often the taker has enough: what came meanwhile waits for it."""
    async with serving(one_by_one) as server:
        answer = await get(upstream, server.origin)
        taker = Taker(at_a_time)
        while await answer.pour(taker):
            assert taker.left == 0
            taker.left = at_a_time
        assert taker.taken == b"abcdef"
        assert await answer.read() == b""
        assert answer.buffered_bytes == 0
        assert upstream.stats().idle == 1
        await upstream.close()


async def test_what_is_left_by_a_taker_can_be_read(upstream: Upstream) -> None:
    """The two ways to read an answer may take turns."""
    async with serving(one_by_one) as server:
        answer = await get(upstream, server.origin)
        taker = Taker(1)
        assert await answer.pour(taker)
        assert taker.taken + await answer.read_all(6) == b"abcdef"
        await upstream.close()


async def test_an_answer_that_breaks_off_fails_after_its_pieces(upstream: Upstream) -> None:
    """As reading does."""
    async with serving(cut_short) as server:
        answer = await get(upstream, server.origin)
        taker = Taker(100)
        with pytest.raises(CutShort):
            await answer.pour(taker)
        assert taker.taken == b"abc"


async def test_what_breaks_in_the_taker_is_told_to_who_waits(upstream: Upstream) -> None:
    """It is no failure of the provider's."""

    def broken(piece: bytes) -> bool:
        raise LookupError(piece)

    async with serving(one_by_one) as server:
        answer = await get(upstream, server.origin)
        with pytest.raises(LookupError):
            await answer.pour(broken)
        answer.abort()
        assert upstream.stats().failures == {}


async def test_cancelled_it_gives_no_more_and_closes(upstream: Upstream) -> None:
    """Nobody waits any longer for what the taker would be given."""
    async with serving(silent) as server:
        answer: Answer = await get(upstream, server.origin)
        taker = Taker(100)
        pouring = asyncio.ensure_future(answer.pour(taker))
        await until(lambda: taker.taken == b"a")
        pouring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pouring
        with pytest.raises(CutShort):
            await answer.read()
