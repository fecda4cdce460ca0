"""Each way a call can fail, and what the failure says about the bill."""

import asyncio
import socket

import pytest

from farebox.gateway.upstream import (
    Answer,
    BadAnswer,
    ConnectFailed,
    CutShort,
    FirstByteTimeout,
    IdleTimeout,
    NotAnswered,
    Origin,
    PoolExhausted,
    Upstream,
    UpstreamFailed,
)
from upstream.scripted import OK, MakeUpstream, Peer, Script, answering, closing, forever, get, post, serving, until

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def facts(failure: UpstreamFailed) -> tuple[str, bool, bool, bool]:
    return failure.sent, failure.connected, failure.answered, failure.may_have_billed


async def read_into(got: list[bytes], answer: Answer) -> None:
    """Read until it fails; a clean end is a failure of the test."""
    while True:
        piece = await answer.read()
        assert piece
        got.append(piece)


def resetting(*answers: bytes) -> Script:
    """Reads a request, sends what is given, and resets the connection once the client has it."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send_slowly(list(answers))
        peer.reset()

    return script


async def test_refused_connection_sent_nothing(upstream: Upstream) -> None:
    """Nobody listens: the provider cannot have billed."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailed) as failed:
            await post(upstream, Origin("http", "127.0.0.1", bound.getsockname()[1]))
    assert facts(failed.value) == ("nothing", False, False, False)
    assert upstream.stats().failures == {"ConnectFailed": 1}


@pytest.mark.parametrize("host", ["name.invalid", "a..b", "x" * 70 + ".invalid"])
async def test_name_that_is_not_found_sent_nothing(upstream: Upstream, host: str) -> None:
    """A name that does not exist, or cannot, is a failed connection and no other error."""
    with pytest.raises(ConnectFailed) as failed:
        await post(upstream, Origin("http", host, 80))
    assert facts(failed.value) == ("nothing", False, False, False)


async def test_missing_ca_file_is_a_failed_connection(upstream: Upstream) -> None:
    """The problem names the file, and nothing was opened."""
    with pytest.raises(ConnectFailed, match="No such file"):
        await post(upstream, Origin("https", "127.0.0.1", 1, ca_file="/nowhere/ca.pem"))


@pytest.mark.parametrize(
    "script", [closing(b""), resetting(), closing(b"HTTP/1.1 200 OK\r\nconte"), closing(b"HTTP/1.1 100 Continue\r\n\r\n")]
)
async def test_closed_before_a_whole_head_may_have_billed(upstream: Upstream, script: Script) -> None:
    """The request was written and no answer came: nobody can know what the provider did with it."""
    async with serving(script) as server:
        with pytest.raises(NotAnswered) as failed:
            await post(upstream, server.origin)
        assert facts(failed.value) == ("all", True, False, True)
        assert upstream.stats().open == 0


async def test_closed_while_the_request_is_written_has_sent_a_part(upstream: Upstream) -> None:
    """A part is enough to have been read as a whole by the other side's measure; it may have billed."""

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.reset()

    async with serving(script) as server:
        with pytest.raises(NotAnswered) as failed:
            await post(upstream, server.origin, bytes(50_000_000))
        assert facts(failed.value) == ("part", True, False, True)


@pytest.mark.parametrize(
    ("script", "body"),
    [
        (closing(HEAD + b"short"), b"short"),
        (closing(CHUNKED + b"5\r\nhello\r\n"), b"hello"),
        (closing(CHUNKED + b"5\r\nhel"), b"hel"),
        (closing(CHUNKED + b"5\r\nhello\r\n0\r\n"), b"hello"),
        (resetting(HEAD, b"some"), b"some"),
        (resetting(CHUNKED + b"5\r\nhello\r\n"), b"hello"),
        (resetting(b"HTTP/1.1 200 OK\r\n\r\nuntil close", b"!"), b"until close!"),
        (closing(HEAD), b""),
    ],
)
async def test_body_that_ends_early_is_cut_short_after_what_arrived(upstream: Upstream, script: Script, body: bytes) -> None:
    """What came is given first, then CutShort, again and again; never a clean end."""
    async with serving(script) as server:
        answer = await post(upstream, server.origin)
        got: list[bytes] = []
        with pytest.raises(CutShort) as failed:
            await read_into(got, answer)
        assert b"".join(got) == body
        assert not answer.ended
        assert facts(failed.value) == ("all", True, True, True)
        with pytest.raises(CutShort):
            await answer.read()
        assert upstream.stats().open == 0


@pytest.mark.parametrize(
    "garbage",
    [b"<html>oops</html>\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", b"HTTP/1.1 101 X\r\n\r\n"],
)
async def test_unreadable_answer_may_have_billed(upstream: Upstream, garbage: bytes) -> None:
    """What is not a response we can trust is BadAnswer, and the connection is closed at once."""
    async with serving(answering(garbage)) as server:
        with pytest.raises(BadAnswer) as failed:
            await post(upstream, server.origin)
        assert facts(failed.value) == ("all", True, False, True)
        assert upstream.stats().open == 0


async def test_bad_chunk_fails_after_the_good_ones(upstream: Upstream) -> None:
    """Pieces before it are given, then BadAnswer with the head seen."""
    async with serving(answering(CHUNKED + b"2\r\nok\r\nnot a size\r\n")) as server:
        answer = await post(upstream, server.origin)
        assert await answer.read() == b"ok"
        with pytest.raises(BadAnswer) as failed:
            await answer.read()
        assert facts(failed.value) == ("all", True, True, True)


async def test_head_and_headers_beyond_their_limits_are_bad_answers(make: MakeUpstream) -> None:
    """The limits are those of the client."""
    for head in (b"x: " + b"v" * 2000, b"\r\n".join([b"a: b"] * 20)):
        async with serving(answering(b"HTTP/1.1 200 OK\r\n" + head + b"\r\ncontent-length: 0\r\n\r\n")) as server:
            with pytest.raises(BadAnswer, match=r"too (large|many)"):
                await post(make(head_bytes=1000, headers=19), server.origin)


async def test_body_larger_than_the_reader_will_take_is_aborted(upstream: Upstream) -> None:
    """`read_all` beyond its limit closes the connection instead of filling memory."""
    async with serving(answering(HEAD + b"0123456789")) as server:
        answer = await post(upstream, server.origin)
        with pytest.raises(BadAnswer, match="larger than 9 bytes"):
            await answer.read_all(9)
    async with serving(answering(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(100_000))) as server:
        answer = await post(upstream, server.origin)
        with pytest.raises(BadAnswer, match="larger than"):
            await answer.read_all(50_000)
        assert upstream.stats().open == upstream.stats().idle


async def test_no_answer_in_time(make: MakeUpstream) -> None:
    """Silence after the request, or a head that drips, ends as FirstByteTimeout: it may have billed."""
    for start in (b"", b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 100 Continue\r\n\r\n"):
        upstream = make(first_byte_s=0.05)
        async with serving(answering(start)) as server:
            with pytest.raises(FirstByteTimeout) as failed:
                await post(upstream, server.origin)
            assert facts(failed.value) == ("all", True, False, True)
            assert upstream.stats().open == 0


async def test_time_for_the_first_byte_may_be_set_per_call(upstream: Upstream) -> None:
    """The caller's own limit wins over the client's."""
    async with serving(answering(b"")) as server:
        with pytest.raises(FirstByteTimeout, match=r"0\.03 s"):
            await post(upstream, server.origin, first_byte_s=0.03)


async def test_head_that_drips_does_not_buy_time(make: MakeUpstream) -> None:
    """Only a whole head counts as an answer; a byte now and then does not."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nx: ")
        while not peer.reader.at_eof():
            peer.send(b"x")
            await asyncio.sleep(0.01)  # the pace of the drip, not a synchronisation

    async with serving(script) as server:
        with pytest.raises(FirstByteTimeout):
            await post(make(first_byte_s=0.1), server.origin)


async def test_server_that_does_not_read_is_a_first_byte_timeout_of_a_part(make: MakeUpstream) -> None:
    """A body that is not taken: the failure says that only a part was sent."""

    async def script(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every socket transport has it
        await done.wait()

    done = asyncio.Event()
    async with serving(script) as server:
        with pytest.raises(FirstByteTimeout) as failed:
            await post(make(first_byte_s=0.1), server.origin, bytes(50_000_000))
        assert facts(failed.value) == ("part", True, False, True)
        done.set()


@pytest.mark.parametrize("start", [HEAD, HEAD + b"some", CHUNKED + b"5\r\nhello\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_silence_in_the_middle_of_a_body(make: MakeUpstream, start: bytes) -> None:
    """Each piece starts the time anew; silence ends as IdleTimeout, whether or not someone is reading."""
    upstream = make(idle_s=0.05)
    async with serving(answering(start)) as server:
        answer = await post(upstream, server.origin)
        with pytest.raises(IdleTimeout) as failed:
            await read_into([], answer)
        assert facts(failed.value) == ("all", True, True, True)
        unread = await post(upstream, server.origin)
        await until(lambda: upstream.stats().open == 0)
        with pytest.raises(IdleTimeout):
            await read_into([], unread)
        assert upstream.stats().failures == {"IdleTimeout": 2}


async def test_handshake_that_never_ends_is_a_connect_timeout(make: MakeUpstream) -> None:
    """Name, TCP and TLS share one limit; nothing of the request was sent."""

    async def script(peer: Peer) -> None:
        hello.append(await peer.gone())

    hello: list[bytes] = []
    async with serving(script) as server:
        upstream = make(connect_s=0.1)
        with pytest.raises(ConnectFailed, match=r"no connection within 0\.1 s") as failed:
            await post(upstream, Origin("https", "127.0.0.1", server.origin.port))
        assert facts(failed.value) == ("nothing", False, False, False)
        assert upstream.stats().open == 0
        await until(lambda: bool(hello))
        assert b"POST" not in hello[0]


async def test_no_connection_free_in_time_sent_nothing(make: MakeUpstream) -> None:
    """The limit of connections holds, and the call that waited in vain has cost nothing."""
    upstream = make(connections=1, slot_wait_s=0.05)
    async with serving(answering(HEAD)) as server:
        held = await get(upstream, server.origin)
        with pytest.raises(PoolExhausted) as failed:
            await post(upstream, server.origin)
        assert facts(failed.value) == ("nothing", False, False, False)
        assert server.accepted == 1
        held.abort()


async def test_abort_closes_at_once_and_is_idempotent(upstream: Upstream) -> None:
    """The server sees the close, reading on raises CutShort, and a second abort does nothing."""
    closed: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(HEAD + b"some")
        closed.append(await peer.gone())

    async with serving(script) as server:
        answer = await get(upstream, server.origin)
        answer.abort()
        answer.abort()
        assert upstream.stats().open == 0
        await until(lambda: bool(closed))
        with pytest.raises(CutShort, match="aborted by the caller"):
            await answer.read()
        assert upstream.stats().failures == {}


async def test_abort_wakes_the_reader(upstream: Upstream) -> None:
    """Somebody else may abort while a read waits; the read fails instead of waiting on."""
    async with serving(answering(HEAD)) as server:
        answer = await get(upstream, server.origin)
        reading = asyncio.create_task(answer.read())
        await until(lambda: answer._waiter is not None)
        answer.abort()
        with pytest.raises(CutShort):
            await reading


async def test_abort_after_the_end_changes_nothing(upstream: Upstream) -> None:
    """The connection is already another call's: it stays, and what has arrived can still be read."""
    async with serving(forever()) as server:
        answer = await get(upstream, server.origin)
        await until(lambda: answer.ended)
        answer.abort()
        assert upstream.stats().idle == 1
        assert await answer.read_all(2) == b"ok"
        assert await (await get(upstream, server.origin)).read_all(2) == b"ok"
        assert server.accepted == 1


async def test_an_answer_has_one_reader(upstream: Upstream) -> None:
    """Two readers would each get half: the second is told so."""
    async with serving(answering(HEAD)) as server:
        answer = await get(upstream, server.origin)
        first = asyncio.create_task(answer.read())
        await until(lambda: answer._waiter is not None)
        with pytest.raises(RuntimeError, match="one reader"):
            await answer.read()
        answer.abort()
        with pytest.raises(CutShort):
            await first


async def test_ok_is_not_a_failure(upstream: Upstream) -> None:
    """An error status is an answer like any other."""
    async with serving(answering(OK.replace(b"200 OK", b"529 Overloaded"))) as server:
        assert (await get(upstream, server.origin)).status == 529
        await upstream.close()
