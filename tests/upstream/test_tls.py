"""TLS is verified, and a proxy on the way sees nothing of it."""

import asyncio
import socket
import ssl

import pytest

from farebox.gateway.upstream import ConnectFailed, CutShort, NotAnswered, Origin, Upstream
from upstream.certificates import Authority
from upstream.scripted import OK, MakeUpstream, Peer, Script, answering, closing, forever, get, post, serving, until


async def test_known_authority_and_right_name_are_trusted(upstream: Upstream, authority: Authority) -> None:
    """With the CA file the call goes through, the name is in the SNI, HTTP/1.1 is agreed, and the connection is used again."""
    names: list[str | None] = []
    protocols: list[str | None] = []
    context = authority.context("localhost")
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    async def script(peer: Peer) -> None:
        protocols.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await forever()(peer)

    async with serving(script, tls=context, host="localhost", ca_file=authority.ca_file) as server:
        for _ in range(3):
            assert await (await post(upstream, server.origin, bytes(300_000))).read_all(2) == b"ok"
        assert server.accepted == 1
        assert (names, protocols) == (["localhost"], ["http/1.1"])
        await upstream.close()


async def test_address_in_the_certificate_is_trusted(upstream: Upstream, authority: Authority) -> None:
    """An IP address is matched against the certificate's addresses."""
    async with serving(forever(), tls=authority.context("127.0.0.1"), ca_file=authority.ca_file) as server:
        assert await (await get(upstream, server.origin)).read_all(2) == b"ok"
        await upstream.close()


@pytest.mark.parametrize(("certified", "known"), [("localhost", False), ("other.example", True), ("127.0.0.1", True)])
async def test_unknown_authority_or_wrong_name_is_refused(upstream: Upstream, authority: Authority, certified: str, *, known: bool) -> None:
    """A certificate that does not prove the name ends the connection before a byte of the request is sent."""
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.gone())

    ca_file = authority.ca_file if known else None
    async with serving(script, tls=authority.context(certified), host="localhost", ca_file=ca_file) as server:
        with pytest.raises(ConnectFailed, match="certificate refused") as failed:
            await post(upstream, server.origin)
        assert failed.value.sent == "nothing"
        assert not failed.value.may_have_billed
        assert upstream.stats().open == 0
        assert b"".join(seen) == b""


async def test_server_without_tls_is_refused(upstream: Upstream) -> None:
    """What answers a handshake with something else is no upstream."""

    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.send(OK)

    async with serving(script) as server:
        with pytest.raises(ConnectFailed):
            await post(upstream, Origin("https", "127.0.0.1", server.origin.port))


@pytest.mark.parametrize("abrupt", [True, False])
async def test_ends_of_bodies_under_tls(upstream: Upstream, authority: Authority, *, abrupt: bool) -> None:
    """A framed body that ends early is CutShort whether TLS was closed properly or not."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
        await peer.writer.drain()
        if abrupt:
            peer.writer.transport.abort()

    async with serving(script, tls=authority.context("127.0.0.1"), ca_file=authority.ca_file) as server:
        answer = await get(upstream, server.origin)
        assert await answer.read() == b"half"
        with pytest.raises(CutShort):
            await answer.read()
        assert upstream.stats().open == 0


async def test_close_before_the_answer_under_tls(upstream: Upstream, authority: Authority) -> None:
    """Closed after the request: it may have billed."""
    async with serving(closing(b""), tls=authority.context("127.0.0.1"), ca_file=authority.ca_file) as server:
        with pytest.raises(NotAnswered) as failed:
            await post(upstream, server.origin)
        assert failed.value.sent == "all"


async def test_body_until_close_under_tls(upstream: Upstream, authority: Authority) -> None:
    """A proper close ends an unframed body cleanly."""
    async with serving(
        closing(b"HTTP/1.1 200 OK\r\n\r\nall of it"), tls=authority.context("127.0.0.1"), ca_file=authority.ca_file
    ) as server:
        assert await (await get(upstream, server.origin)).read_all(100) == b"all of it"


async def test_stale_connection_under_tls_is_replaced(upstream: Upstream, authority: Authority) -> None:
    """Closed in the pool: a fresh connection takes the call, and each request is seen once."""
    seen: list[bytes] = []

    async def once(peer: Peer) -> None:
        seen.append(await peer.request())
        peer.send(OK)

    async with serving(once, tls=authority.context("127.0.0.1"), ca_file=authority.ca_file) as server:
        for count in (1, 2, 3):
            assert await (await post(upstream, server.origin)).read_all(2) == b"ok"
            assert (len(seen), server.accepted) == (count, count)
            await until(lambda: upstream.stats().open == 0)
        assert upstream.stats().failures == {}


async def test_write_that_fails_under_tls_counts_as_sent(upstream: Upstream, authority: Authority) -> None:
    """A TLS transport does not say whether its first write left this machine, so the call is not tried again and may have billed."""
    async with serving(forever(), tls=authority.context("127.0.0.1"), ca_file=authority.ca_file) as server:
        await (await post(upstream, server.origin)).read_all(2)
        connection = next(iter(upstream._pools.of(server.origin).idle))
        assert connection._transport is not None
        with socket.socket(fileno=socket.dup(connection._transport.get_extra_info("socket").fileno())) as sock:
            sock.shutdown(socket.SHUT_WR)
        with pytest.raises(NotAnswered) as failed:
            await post(upstream, server.origin)
        assert failed.value.may_have_billed
        assert upstream.stats().open == 0


class TunnelProxy:
    """A real CONNECT proxy: answers, then copies bytes both ways. Keeps what it was asked and what it saw."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.seen = bytearray()

    async def __call__(self, peer: Peer) -> None:
        request = await peer.request()
        self.asked.append(request)
        peer.send(self.answer)
        if b" 200" not in self.answer[:13]:
            await peer.gone()
            return
        port = int(request.split(b" ")[1].rpartition(b":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(self._copy(peer.reader, writer), self._copy(reader, peer.writer))
        finally:
            writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.seen += data
            writer.write(data)
            await writer.drain()
        writer.close()


async def test_tls_through_a_proxy_is_a_tunnel(upstream: Upstream, authority: Authority) -> None:
    """The proxy is asked for a tunnel with its credential and sees no byte of the request; the connection is used again."""
    proxy = TunnelProxy(b"HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n")
    async with serving(forever(), tls=authority.context("localhost")) as server, serving(proxy) as way:
        port = server.origin.port
        origin, _ = Origin.from_url(
            f"https://localhost:{port}", proxy=f"http://user:secret@127.0.0.1:{way.origin.port}", ca_file=authority.ca_file
        )
        for _ in range(2):
            answer = await upstream.send(origin, b"POST", b"/private", [(b"authorization", b"Bearer k")], b"{}")
            assert await answer.read_all(2) == b"ok"
        assert proxy.asked == [
            b"CONNECT localhost:%d HTTP/1.1\r\nhost: localhost:%d\r\nproxy-authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n" % (port, port)
        ]
        assert b"private" not in proxy.seen
        assert b"secret" not in proxy.seen
        assert server.accepted == way.accepted == 1
        await upstream.close()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "the proxy answered 407"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "the proxy answered 502"),
        (b"SSH-2.0-OpenSSH\r\n\r\n\r\n", "unreadable"),
        (b"HTTP/1.1 2xx Fine\r\n\r\n", "unreadable"),
        (b"\r\n\r\n", "unreadable"),
        (b"HTTP/1.1 200 OK\r\n\r\nearly bytes", "more than its answer"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000, "too large"),
    ],
)
async def test_proxy_that_opens_no_tunnel_is_a_failed_connection(upstream: Upstream, answer: bytes, problem: str) -> None:
    """Whatever else the proxy says, nothing of the request was sent, and no secret is in the problem."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(answer)
        await peer.gone()

    async with serving(script) as way:
        origin = Origin("https", "localhost", 443, proxy=f"http://user:secret@127.0.0.1:{way.origin.port}")
        with pytest.raises(ConnectFailed, match=problem) as failed:
            await post(upstream, origin)
        assert failed.value.sent == "nothing"
        assert "secret" not in failed.value.problem
        assert upstream.stats().open == 0


async def _reset(peer: Peer) -> None:
    await peer.request()
    peer.reset()


@pytest.mark.parametrize("script", [closing(b""), closing(b"HTTP/1.1 200"), _reset])
async def test_proxy_that_closes_is_a_failed_connection(upstream: Upstream, script: Script) -> None:
    """Closed or reset before the tunnel is open."""
    async with serving(script) as way:
        origin = Origin("https", "localhost", 443, proxy=f"http://127.0.0.1:{way.origin.port}")
        with pytest.raises(ConnectFailed):
            await post(upstream, origin)
        assert upstream.stats().open == 0


async def test_certificate_is_verified_inside_the_tunnel(upstream: Upstream, authority: Authority) -> None:
    """A proxy cannot stand in for the provider."""
    proxy = TunnelProxy(b"HTTP/1.1 200 OK\r\n\r\n")
    async with serving(forever(), tls=authority.context("other.example")) as server, serving(proxy) as way:
        origin = Origin("https", "localhost", server.origin.port, f"http://127.0.0.1:{way.origin.port}", authority.ca_file)
        with pytest.raises(ConnectFailed, match="certificate refused"):
            await post(upstream, origin)
        assert upstream.stats().open == 0


async def test_proxy_that_never_answers_is_a_connect_timeout(make: MakeUpstream) -> None:
    """The tunnel counts into the time for connecting."""
    async with serving(answering(b"")) as way:
        upstream = make(connect_s=0.05)
        with pytest.raises(ConnectFailed, match="no connection within"):
            await post(upstream, Origin("https", "localhost", 443, proxy=f"http://127.0.0.1:{way.origin.port}"))
        assert upstream.stats().open == 0


async def test_plain_http_goes_to_the_proxy_in_absolute_form(upstream: Upstream) -> None:
    """The proxy gets the whole URL, and is connected to instead of the origin, whose name need not even resolve here."""
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        peer.send(OK)
        await peer.gone()

    async with serving(script) as way:
        origin, _ = Origin.from_url("http://api.invalid", proxy=f"http://127.0.0.1:{way.origin.port}")
        assert await (await get(upstream, origin, b"/x")).read_all(2) == b"ok"
        assert seen[0].startswith(b"GET http://api.invalid/x HTTP/1.1\r\nhost: api.invalid\r\n")
        await upstream.close()


async def test_weak_server_protocol_is_refused(upstream: Upstream, authority: Authority) -> None:
    """TLS below 1.2 is not spoken."""
    context = authority.context("127.0.0.1")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("NULL:aNULL:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(forever(), tls=context, ca_file=authority.ca_file) as server:
        with pytest.raises(ConnectFailed) as failed:
            await post(upstream, server.origin)
        assert failed.value.sent == "nothing"
