"""Whatever a server sends, a call ends as an answer or as UpstreamFailed: no hang, no other exception, no connection left."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farebox.gateway.upstream import Origin, Upstream, UpstreamFailed
from upstream.scripted import MakeUpstream, Peer, post, serving, until

FRAGMENTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 500 No\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n",
        b"content-length: 5\r\n",
        b"content-length: 0\r\n",
        b"transfer-encoding: chunked\r\n",
        b"connection: close\r\n",
        b"connection: upgrade\r\nupgrade: h2c\r\n",
        b"keep-alive: timeout=1\r\n",
        b"\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"hello",
        b"\xff\xfe",
    ]
)
SEGMENTS = st.lists(st.one_of(FRAGMENTS, FRAGMENTS, st.binary(min_size=1, max_size=40)), max_size=12)
ENDS = st.sampled_from(["close", "reset", "half-close", "silence"])


async def failure_of(upstream: Upstream, origin: Origin, body: bytes) -> UpstreamFailed | None:
    """How a call failed; None if it came to a clean end."""
    try:
        answer = await post(upstream, origin, body)
        assert 200 <= answer.status <= 999
        while await answer.read():
            assert answer.status
        assert answer.ended
    except UpstreamFailed as failure:
        return failure
    return None


async def one_call(upstream: Upstream, segments: list[bytes], end: str, size: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send_slowly(segments)
        if end == "reset":
            peer.reset()
        elif end == "half-close":
            peer.half_close()
            await peer.gone()
        elif end == "silence":
            await peer.gone()

    async with serving(script) as server, asyncio.timeout(10):
        failure = await failure_of(upstream, server.origin, bytes(size))
        if failure is not None:
            assert failure.connected
            assert failure.may_have_billed is (failure.sent != "nothing")
        await until(lambda: upstream.stats().open == upstream.stats().idle)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(segments=SEGMENTS, end=ENDS, size=st.sampled_from([0, 100, 200_000]))
async def test_any_bytes_from_a_server_end_the_call(make: MakeUpstream, segments: list[bytes], end: str, size: int) -> None:
    """Fragments of HTTP and plain noise, cut and ended in any way, with small and large requests; silence ends by the limits."""
    await one_call(make(first_byte_s=0.02, idle_s=0.02), segments, end, size)
