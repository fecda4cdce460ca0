"""Requests and answers that end well, and which connection they leave behind."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farebox.gateway.upstream import Origin, Upstream
from upstream.scripted import OK, Peer, answering, closing, forever, get, post, serving, turns, until

BIG = bytes(range(256)) * 4096


async def test_request_arrives_byte_exact_and_the_answer_comes_back(upstream: Upstream) -> None:
    """What the server reads is the head we made and the body as given; what it says is status, headers and body."""
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        peer.send(b"HTTP/1.1 201 Made\r\nX-Request-Id: r1\r\nset-cookie: a\r\nSet-Cookie: b\r\nContent-Length: 5\r\n\r\nhello")
        await peer.gone()

    async with serving(script) as server:
        answer = await upstream.send(server.origin, b"POST", b"/v1/x?y=1", [(b"authorization", b"Bearer k")], b'{"a":1}')
        assert answer.status == 201
        assert answer.headers == [(b"x-request-id", b"r1"), (b"set-cookie", b"a"), (b"set-cookie", b"b"), (b"content-length", b"5")]
        assert answer.header(b"set-cookie") == b"a"
        assert answer.header(b"x-none") is None
        assert answer.first_byte_at > 1_700_000_000_000_000
        assert await answer.read_all(5) == b"hello"
        assert await answer.read() == b""
        assert answer.ended
        host = f"127.0.0.1:{server.origin.port}".encode()
        assert seen == [
            b"POST /v1/x?y=1 HTTP/1.1\r\nhost: " + host + b"\r\naccept-encoding: identity\r\n"
            b'authorization: Bearer k\r\ncontent-length: 7\r\n\r\n{"a":1}'
        ]
        await upstream.close()


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, len(BIG)])
async def test_body_of_any_size_arrives_whole(upstream: Upstream, size: int) -> None:
    """At and around the size from which a body is written in slices, and far above."""
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        peer.send(OK)
        await peer.gone()

    async with serving(script) as server:
        answer = await post(upstream, server.origin, BIG[:size])
        assert await answer.read_all(2) == b"ok"
        assert seen[0].partition(b"\r\n\r\n")[2] == BIG[:size]
        assert upstream.stats().idle == 1
        await upstream.close()


async def test_connection_is_used_again_for_any_number_of_calls(upstream: Upstream) -> None:
    """One after the other, calls share one connection."""
    async with serving(forever()) as server:
        for _ in range(20):
            assert await (await post(upstream, server.origin)).read_all(2) == b"ok"
        assert server.accepted == 1
        stats = upstream.stats()
        assert (stats.open, stats.idle, stats.opened_total, stats.reused_total, stats.failures) == (1, 1, 1, 19, {})


async def test_connection_is_back_in_the_pool_before_the_body_is_read(upstream: Upstream) -> None:
    """Once the whole answer has arrived the connection is free, read or not; the two answers do not mix."""
    async with serving(answering(OK, b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo")) as server:
        first = await get(upstream, server.origin)
        await until(lambda: first.ended)
        second = await get(upstream, server.origin)
        assert server.accepted == 1
        assert await second.read_all(3) == b"two"
        assert await first.read_all(2) == b"ok"
        await upstream.close()


async def test_last_used_connection_is_used_first(upstream: Upstream) -> None:
    """Few connections stay warm; the others grow old and are closed."""
    peers: list[Peer] = []
    seen: list[Peer] = []

    async def script(peer: Peer) -> None:
        peers.append(peer)
        while True:
            await peer.request()
            seen.append(peer)

    async with serving(script) as server:
        calls = [asyncio.create_task(get(upstream, server.origin)) for _ in range(3)]
        await until(lambda: len(seen) == 3)
        for peer in (peers[0], peers[2], peers[1]):
            idle = upstream.stats().idle
            peer.send(OK)
            await until(lambda idle=idle: upstream.stats().idle > idle)  # type: ignore[misc]  # bound now
        last = asyncio.create_task(get(upstream, server.origin))
        await until(lambda: len(seen) == 4)
        assert seen[3] is peers[1]
        seen[3].send(OK)
        for call in [*calls, last]:
            assert await (await call).read_all(2) == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\n",
        OK + b"surplus",
    ],
)
async def test_connection_that_must_not_be_used_again_is_closed(upstream: Upstream, answer: bytes) -> None:
    """The server will close, or has sent more than it was asked for: the next call opens another."""
    async with serving(answering(answer)) as server:
        for count in (1, 2):
            assert await (await get(upstream, server.origin)).read_all(2) == b"ok"
            assert upstream.stats().open == 0
            assert server.accepted == count


async def test_body_without_framing_ends_with_the_connection(upstream: Upstream) -> None:
    """Read until close, and not used again."""
    async with serving(closing(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")) as server:
        answer = await get(upstream, server.origin)
        assert await answer.read_all(100) == b"until the end"
        assert upstream.stats().open == 0


async def test_answers_without_body_keep_the_connection(upstream: Upstream) -> None:
    """HEAD, 204 and 304 end with their head, whatever length they announce."""
    announced = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"
    async with serving(answering(announced, b"HTTP/1.1 204 No\r\n\r\n", announced.replace(b"200 OK", b"304 N"), announced, OK)) as server:
        for method in (b"HEAD", b"GET", b"GET", b"HEAD"):
            answer = await upstream.send(server.origin, method, b"/", [], b"")
            assert await answer.read_all(0) == b""
        assert await (await get(upstream, server.origin)).read_all(2) == b"ok"
        assert server.accepted == 1
        await upstream.close()


async def test_interim_responses_are_skipped(upstream: Upstream) -> None:
    """100, 102, 103: the answer is the first final response."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with serving(answering(interim + OK, OK)) as server:
        for _ in range(2):
            answer = await get(upstream, server.origin)
            assert (answer.status, answer.headers) == (200, [(b"content-length", b"2")])
            assert await answer.read_all(2) == b"ok"
        assert server.accepted == 1
        await upstream.close()


async def test_pieces_come_as_they_arrive(upstream: Upstream) -> None:
    """A piece can be read before the next one is sent; nothing waits for more."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for word in (b"one", b"two", b"three"):
            await told.get()
            peer.send(b"%x\r\n%b\r\n" % (len(word), word))
        await told.get()
        peer.send(b"0\r\nx-trailer: ignored\r\n\r\n")
        await peer.gone()

    told: asyncio.Queue[None] = asyncio.Queue()
    async with serving(script) as server:
        answer = await get(upstream, server.origin)
        for word in (b"one", b"two", b"three"):
            assert not answer.ended
            told.put_nowait(None)
            assert await answer.read() == word
        told.put_nowait(None)
        assert await answer.read() == b""
        assert (b"x-trailer", b"ignored") not in answer.headers
        await upstream.close()


async def test_encoded_body_passes_as_it_is(upstream: Upstream) -> None:
    """An upstream that encodes against our wish is visible in the header; its bytes are not touched."""
    async with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00")) as server:
        answer = await get(upstream, server.origin)
        assert answer.header(b"content-encoding") == b"gzip"
        assert await answer.read_all(4) == b"\x1f\x8b\x08\x00"
        await upstream.close()


async def test_refusal_while_the_request_is_still_being_written_is_the_answer(upstream: Upstream) -> None:
    """A 413 that comes before the body is through is given back; the rest is not sent, and the connection not used again."""

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        read.append(len(await peer.gone()))

    read: list[int] = []
    async with serving(script) as server:
        answer = await post(upstream, server.origin, BIG * 20)
        assert answer.status == 413
        assert await answer.read_all(3) == b"big"
        assert upstream.stats().open == 0
        await until(lambda: bool(read))
        assert read[0] < len(BIG) * 20


async def test_connection_whose_request_was_not_finished_is_never_used_again(upstream: Upstream) -> None:
    """The server has taken all that was written, so nothing shows in our buffers; but it still waits for the rest of the body, and would
    read the next request as that.
    """

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\n")
        taking = asyncio.create_task(peer.gone())
        await finish.wait()
        peer.send(b"big")
        taken.append(len(await taking))

    finish = asyncio.Event()
    taken: list[int] = []
    async with serving(script) as server:
        answer = await post(upstream, server.origin, BIG * 20)
        connection = next(iter(upstream._pools._connections))
        transport = connection._transport
        assert transport is not None
        await until(lambda: not transport.get_write_buffer_size())
        assert not connection._rest
        finish.set()
        assert await answer.read_all(3) == b"big"
        assert upstream.stats().open == 0
        await until(lambda: bool(taken))
        assert taken[0] < len(BIG) * 20


async def test_answer_that_starts_early_does_not_stop_the_request(upstream: Upstream) -> None:
    """A 2xx before the whole body: both directions go on to their end."""

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no")
        assert await peer.reader.readexactly(len(BIG) * 8) == BIG * 8
        peer.send(b"k")
        await peer.gone()

    async with serving(script) as server:
        answer = await post(upstream, server.origin, BIG * 8)
        assert answer.status == 200
        assert await answer.read_all(2) == b"ok"
        assert upstream.stats().idle == 1
        await upstream.close()


async def test_request_that_must_not_be_sent_opens_no_connection(upstream: Upstream) -> None:
    """A ValueError comes before any I/O."""
    async with serving(forever()) as server:
        with pytest.raises(ValueError, match="CR, LF or NUL"):
            await upstream.send(server.origin, b"GET", b"/", [(b"x", b"a\r\nb: c")], b"")
        await turns(5)
        assert server.accepted == 0
        assert upstream.stats().open == 0


async def test_origins_do_not_share_connections(upstream: Upstream) -> None:
    """A connection belongs to scheme, host, port, proxy and CA together."""
    async with serving(forever()) as server:
        other = Origin("http", "localhost", server.origin.port)
        await (await get(upstream, server.origin)).read_all(2)
        await (await get(upstream, other)).read_all(2)
        assert server.accepted == 2
        assert upstream.stats().idle == 2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.binary(min_size=1, max_size=30), max_size=5), sizes=st.lists(st.integers(1, 60), max_size=10), chunked=st.booleans()
)
async def test_segments_on_the_wire_say_nothing(upstream: Upstream, pieces: list[bytes], sizes: list[int], *, chunked: bool) -> None:
    """Head and body cut anywhere, through real sockets: the same answer, and the connection stays good."""
    body = b"".join(pieces)
    if chunked:
        wire = (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces)
            + b"0\r\n\r\n"
        )
    else:
        wire = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    segments = []
    for size in sizes:
        segments.append(wire[:size])
        wire = wire[size:]
    segments.append(wire)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send_slowly([segment for segment in segments if segment])
        await peer.request()
        peer.send(OK)
        await peer.gone()

    async with serving(script) as server:
        assert await (await get(upstream, server.origin)).read_all(1000) == body
        assert await (await get(upstream, server.origin)).read_all(2) == b"ok"
        assert server.accepted == 1
