"""A client's connection: what leaves is HTTP that means one thing, answers keep their order, and silence ends it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httptools
import pytest

from farebox import limits
from farebox.connection import Serve
from farebox.errors import FareboxError, InvalidRequest, TooLarge
from farebox.exchange import Receive, Scope, Send
from farebox.request import Request, target
from farebox.serving import asgi, listening_socket, server
from support.house import until

App = Callable[[Scope, Receive, Send], Awaitable[None]]
Talk = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_ASK = b"GET /a%20b?c=d HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def _serving(app: App, *, keep_alive_s: float = 75) -> AsyncIterator[Callable[[], Awaitable[Talk]]]:
    async with _serving_directly(asgi(app), keep_alive_s=keep_alive_s) as connect:
        yield connect


@asynccontextmanager
async def _serving_directly(serve: Serve, *, keep_alive_s: float = 75) -> AsyncIterator[Callable[[], Awaitable[Talk]]]:
    listening = listening_socket("127.0.0.1", 0)
    one = server(serve, keep_alive_s=keep_alive_s)
    task = asyncio.ensure_future(one.serve([listening]))
    port = listening.getsockname()[1]

    async def connect() -> Talk:
        return await asyncio.open_connection("127.0.0.1", port)

    try:
        yield connect
    finally:
        one.should_exit = True
        await task


def _answering(body: bytes, *headers: tuple[bytes, bytes], length: int | None = None, status: int = 200, pieces: int = 1) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        told = [] if length is None else [(b"content-length", str(length).encode())]
        await send({"type": "http.response.start", "status": status, "headers": [*headers, *told]})
        step = max(len(body) // pieces, 1)
        for at in range(0, step * pieces, step):
            await send({"type": "http.response.body", "body": body[at : at + step], "more_body": at + step < step * pieces})

    return app


async def _said(connect: Callable[[], Awaitable[Talk]], *asked: bytes) -> bytes:
    """Everything that comes until the server closes, or has answered a last request that asks it to close."""
    reader, writer = await connect()
    for one in asked:
        writer.write(one)
    async with asyncio.timeout(10):
        said = await reader.read()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return re.sub(rb"date: [^\r]*\r\n", b"", said)


_LAST = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize("pieces", [1, 2, 4])
async def test_an_answer_with_a_length_arrives_whole_however_many_pieces_it_is_said_in(pieces: int) -> None:
    """The head waits for the first piece of the body, and is there once."""
    async with _serving(_answering(b"12345678", (b"x-a", b"b"), length=8, pieces=pieces)) as connect:
        assert await _said(connect, _LAST) == b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 8\r\nconnection: close\r\n\r\n12345678"


async def test_an_answer_without_a_length_is_chunked_and_ends() -> None:
    """An empty piece is no chunk: that would be the end."""
    async with _serving(_answering(b"abcd", pieces=2)) as connect:
        said = await _said(connect, _LAST)
    assert said.endswith(b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_no_framing(status: int) -> None:
    """Neither length nor chunks: a client would wait for them."""
    async with _serving(_answering(b"", status=status)) as connect:
        said = await _said(connect, _LAST)
    assert b"chunked" not in said
    assert said.endswith(b"\r\n\r\n")


async def test_the_answer_to_a_head_request_has_a_length_and_no_body() -> None:
    """Its length is that of what a GET would get."""
    async with _serving(_answering(b"12345678", length=8)) as connect:
        said = await _said(connect, _LAST.replace(b"GET", b"HEAD"))
    assert said == b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "header", [(b"x-a", b"b\r\nset-cookie: c"), (b"x-a\r\nb", b"c"), (b"x-a", b"b\nc"), (b"x-a", b"b\rc"), (b"x-a", b"b\0")]
)
async def test_a_header_with_the_end_of_a_line_in_it_is_never_written(header: tuple[bytes, bytes]) -> None:
    """Whoever put it there, a client must not read it as two headers."""
    async with _serving(_answering(b"secret", header, length=6)) as connect:
        said = await _said(connect, _ASK)
    assert b"x-a" not in said
    assert b"secret" not in said


@pytest.mark.parametrize("length", [3, 30])
async def test_a_body_of_another_length_than_announced_closes_the_connection(length: int) -> None:
    """A client that reads by the length must not take a part for the whole, or the next answer for this one."""
    async with _serving(_answering(b"12345678", length=length)) as connect:
        said = await _said(connect, _ASK, _ASK)
    assert said.count(b"HTTP/1.1 200") <= 1


@pytest.mark.parametrize("at_once", [True, False], ids=["at_once", "later"])
async def test_what_follows_a_body_is_no_header(at_once: bool) -> None:
    """A trailer comes after a request was judged by its headers: it is not one of them, whenever it arrives."""
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        seen.extend(name for name, _ in scope["headers"])
        await _answering(b"", length=0)(scope, _at_once, send)

    head, tail = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n", b"0\r\nx-late: 1\r\n\r\n"
    async with _serving(app) as connect:
        reader, writer = await connect()
        writer.write(head + tail if at_once else head)
        if not at_once:
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(tail)
        async with asyncio.timeout(10):
            await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert seen == [b"host", b"transfer-encoding"]


async def test_requests_that_do_not_wait_are_answered_in_their_order() -> None:
    """Three at once on one connection, the first the slowest."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        for _ in range(3 - len(seen)):
            await asyncio.sleep(0)
        await _answering(scope["path"].encode(), length=len(scope["path"]))(scope, receive, send)

    async with _serving(app) as connect:
        said = await _said(connect, *(f"GET /{name} HTTP/1.1\r\nhost: x\r\n\r\n".encode() for name in "abc"), _LAST)
    assert seen == ["/a", "/b", "/c", "/"]
    assert [part.rpartition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200 OK\r\n")[1:]] == [b"/a", b"/b", b"/c", b"/"]


async def test_a_path_is_given_as_it_was_sent_and_decoded() -> None:
    """Which of the two a route is matched by is the application's choice."""
    asked: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append((scope["raw_path"], scope["path"], scope["query_string"], scope["method"], scope["http_version"]))
        await _answering(b"", length=0)(scope, receive, send)

    async with _serving(app) as connect:
        said = await _said(connect, _ASK, b"POST / HTTP/1.0\r\ncontent-length: 0\r\n\r\n")
    assert asked == [(b"/a%20b", "/a b", b"c=d", "GET", "1.1"), (b"/", "/", b"", "POST", "1.0")]
    assert said.endswith(b"content-length: 0\r\nconnection: close\r\n\r\n"), "a client of HTTP/1.0 is told that this was all"


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    """`Expect: 100-continue` is answered when the body is read, once."""
    async with _serving(_answering(b"ok", length=2)) as connect:
        said = await _said(connect, b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\n", b"hi")
    assert said.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert said.count(b"100 Continue") == 1


async def test_half_a_request_does_not_cut_the_answer_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time runs out while the first is still being answered: that is answered, and then the connection ends."""
    monkeypatch.setattr(limits, "request_head_s_max", 0.2)
    turn = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await turn.wait()
        await _answering(b"whole", length=5)(scope, receive, send)

    async with _serving(app) as connect:
        reader, writer = await connect()
        writer.write(_ASK + b"GET / HT")
        asyncio.get_running_loop().call_later(0.5, turn.set)  # the half head is late by then
        async with asyncio.timeout(10):
            assert (await reader.read()).endswith(b"\r\n\r\nwhole")
        writer.close()


async def test_a_large_body_is_not_taken_for_the_head_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may come in one piece."""
    monkeypatch.setattr(limits, "request_head_bytes_max", 1000)
    asked = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n"
    async with _serving(_answering(b"ok", length=2)) as connect:
        reader, writer = await connect()
        async with asyncio.timeout(10):
            writer.write(asked + b"x" * 5000 + _LAST[:20])
            assert await reader.readuntil(b"ok")
            writer.write(_LAST[20:])
            assert (await reader.read()).endswith(b"ok")
        writer.close()


async def test_a_silent_connection_is_closed_after_its_last_answer() -> None:
    """One timer for all its requests: it looks at the last, not at the first."""
    async with _serving(_answering(b"ok", length=2), keep_alive_s=0.3) as connect:
        reader, writer = await connect()
        async with asyncio.timeout(10):
            for _ in range(3):
                writer.write(_ASK)
                assert await reader.readuntil(b"ok")
            assert await reader.read() == b"", "closed by the server, without another word"
        writer.close()


async def test_silence_counts_from_the_end_of_a_request_that_was_answered_early() -> None:
    """The timer looked while the rest of its body was still to come; it looks again when that is there."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _answering(b"ok", length=2)(scope, _at_once, send)

    async with _serving(app, keep_alive_s=0.2) as connect:
        reader, writer = await connect()
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nab")
        async with asyncio.timeout(10):
            await reader.readuntil(b"ok")
            asyncio.get_running_loop().call_later(0.5, writer.write, b"cd")  # after the timer has fired
            assert await reader.read() == b""
        writer.close()


async def _at_once() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_a_request_that_takes_longer_than_silence_may_last_is_answered() -> None:
    """The time between requests is not the time of a request."""
    turn = asyncio.Event()
    slow = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            slow.set()
            await turn.wait()
        await _answering(b"ok", length=2)(scope, receive, send)

    async with _serving(app, keep_alive_s=0.2) as connect:
        reader, writer = await connect()
        async with asyncio.timeout(10):
            writer.write(_ASK)
            await reader.readuntil(b"ok")
            writer.write(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
            await slow.wait()
            asyncio.get_running_loop().call_later(0.5, turn.set)  # more than twice the silence that is allowed
            assert await reader.readuntil(b"ok")
        writer.close()


# --- without ASGI between --------------------------------------------------------------------------------------------------------------


def _directly(body: bytes, *headers: tuple[bytes, bytes], length: int | None = None, status: int = 200, pieces: int = 1) -> Serve:
    """What `_answering` says, said to the request itself."""

    async def serve(request: Request) -> None:
        await request.body(100)
        if length is None:
            await request.head(status, list(headers))
            step = max(len(body) // pieces, 1)
            for at in range(0, step * (pieces - 1), step):
                await request.piece(body[at : at + step])
            await request.end(body[step * (pieces - 1) :])
        else:
            await request.answer(status, list(headers), body)

    return serve


_ASKED = {
    "get": [_LAST],
    "head": [_LAST.replace(b"GET", b"HEAD")],
    "two": [_ASK, _LAST],
    "old": [b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"],
    "body": [b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi"],
    "asks_first": [b"POST / HTTP/1.1\r\nexpect: 100-Continue\r\nconnection: close\r\ncontent-length: 2\r\n\r\n", b"hi"],
    "absolute": [_LAST.replace(b"GET /", b"GET http://x/a?b#c")],
    "nonsense": [b"GET nowhere HTTP/1.1\r\n\r\n"],
    "upgrade": [b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade, close\r\n\r\n"],
}
_SAYS: dict[str, dict[str, Any]] = {
    "length": {"body": b"12345678", "length": 8},
    "empty": {"body": b"", "length": 0},
    "chunked": {"body": b"12345678", "pieces": 4},
    "chunked_empty": {"body": b""},
    "bodiless": {"body": b"", "status": 204},
}


@pytest.mark.parametrize("says", _SAYS)
@pytest.mark.parametrize("asked", _ASKED)
async def test_an_answer_is_the_same_bytes_with_and_without_asgi(asked: str, says: str) -> None:
    """The data plane answers a request directly, the control plane through ASGI: a client cannot tell which."""
    said = dict(_SAYS[says])
    body = said.pop("body")
    async with _serving(_answering(body, (b"x-a", b"b"), **said)) as connect:
        through = await _said(connect, *_ASKED[asked])
    async with _serving_directly(_directly(body, (b"x-a", b"b"), **said)) as connect:
        assert await _said(connect, *_ASKED[asked]) == through
    assert through.startswith(b"HTTP/1.1 ")


async def test_a_path_and_query_are_those_that_the_parser_of_urls_reads() -> None:
    """Most are cut at their question mark without it."""
    reads: dict[str, Any] = {}

    class Reads:
        def on_url(self, url: bytes) -> None:
            reads["url"] = reads.get("url", b"") + url

    kinds = (b"/a%cb", b"/a?x%cb", b"/%c", b"/?%c", b"//%c", b"/a?b?%c", b"/a#%c", b"/a%c?#")
    for url in {kind.replace(b"%c", bytes([char])) for kind in kinds for char in range(256)}:
        reads.clear()
        with suppress(httptools.HttpParserError):
            httptools.HttpRequestParser(Reads()).feed_data(b"GET %b HTTP/1.1\r\n\r\n" % url)
            read = httptools.parse_url(reads["url"])
            assert target(reads["url"]) == (read.path.decode("ascii"), read.query or b"")


async def test_each_request_of_a_connection_asks_for_what_it_says() -> None:
    """Whatever was asked for before it."""

    async def serve(request: Request) -> None:
        body = b"%b %b" % (request.path.encode(), request.query)
        await request.answer(200, [], body)

    asked = [b"/a", b"/a", b"/b?c", b"/a", b"/a?c", b"/a?c", b"/?"]
    last = _LAST.replace(b"GET / ", b"GET /b ")
    async with _serving_directly(serve) as connect:
        said = await _said(
            connect, *(_LAST.replace(b"GET / ", b"GET %b " % url).replace(b"connection: close\r\n", b"") for url in asked), last
        )
    told = re.findall(rb"\r\n\r\n(/[a-z]?) ([a-z]*)", said)
    assert told == [(b"/a", b""), (b"/a", b""), (b"/b", b"c"), (b"/a", b""), (b"/a", b"c"), (b"/a", b"c"), (b"/", b""), (b"/b", b"")]


@pytest.mark.parametrize("size", [1, 15, 16, 1022, 1023, 1024, 1025, 70_000])
async def test_a_part_tells_its_size(size: int) -> None:
    """In hexadecimal digits, of any size, the last part too."""

    async def serve(request: Request) -> None:
        await request.head(200, [])
        await request.piece(b"a" * size)
        await request.end(b"b" * size)

    async with _serving_directly(serve) as connect:
        said = await _said(connect, _LAST)
    assert said.partition(b"\r\n\r\n")[2] == b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (size, b"a" * size, size, b"b" * size)


@pytest.mark.parametrize("length", [None, 6])
@pytest.mark.parametrize("header", [(b"x-a", b"b\r\nset-cookie: c"), (b"x-a\r\nb", b"c"), (b"x-a", b"b\nc"), (b"x-a", b"b\0")])
async def test_an_answer_with_the_end_of_a_line_in_a_header_is_an_error_of_ours(header: tuple[bytes, bytes], length: int | None) -> None:
    """The client is told so, and not a word of that answer."""
    async with _serving_directly(_directly(b"secret", header, length=length)) as connect:
        said = await _said(connect, _ASK)
    assert said.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert said.endswith(b"\r\n\r\nInternal Server Error")
    assert b"x-a" not in said
    assert b"secret" not in said


async def test_an_answer_that_breaks_off_is_not_taken_for_whole() -> None:
    """The connection ends within it."""

    async def serve(request: Request) -> None:
        await request.head(200, [])
        await request.piece(b"half")
        raise OSError("broken")

    async with _serving_directly(serve) as connect:
        said = await _said(connect, _ASK, _ASK)
    assert said.count(b"HTTP/1.1") == 1
    assert said.endswith(b"4\r\nhalf\r\n")


@pytest.mark.parametrize("early", [True, False], ids=["before_it_is_read", "while_it_is_read"])
@pytest.mark.parametrize(("pieces", "bytes_max", "wrong"), [(50, 150_000, None), (50, 99_999, TooLarge), (49, 150_000, InvalidRequest)])
async def test_a_body_is_whole_or_refused(pieces: int, bytes_max: int, wrong: type[FareboxError] | None, early: bool) -> None:
    """It comes in 50 pieces of 2,000 bytes; when a piece is not sent, the client leaves."""
    read: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    begun, turn = asyncio.Event(), asyncio.Event()

    async def serve(request: Request) -> None:
        begun.set()
        if early:
            await turn.wait()
        try:
            read.set_result(await request.body(bytes_max))
        except FareboxError as refusal:
            read.set_exception(refusal)
        await request.answer(200, [], b"")

    async with _serving_directly(serve) as connect:
        _, writer = await connect()
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        await begun.wait()
        for piece in range(pieces):
            writer.write(b"7d0\r\n" + b"%d" % (piece % 10) * 2000 + b"\r\n")
            await asyncio.sleep(0)
        turn.set()
        if wrong is InvalidRequest:
            writer.close()
        elif wrong is None:
            writer.write(b"0\r\n\r\n")
        async with asyncio.timeout(10):
            await asyncio.wait([read])
        if wrong is None:
            assert read.result() == b"".join(b"%d" % (piece % 10) * 2000 for piece in range(pieces))
        else:
            assert isinstance(read.exception(), wrong)
        writer.close()


async def test_a_client_that_leaves_is_known_to_have_left() -> None:
    """Also while nothing is read from it or written to it; what is said to it then goes nowhere."""
    ended = asyncio.Event()

    async def serve(request: Request) -> None:
        await request.body(10)
        request.watch()
        await request.head(200, [])
        await until(lambda: request.gone)
        await request.piece(b"to nobody")
        await request.end()
        ended.set()

    async with _serving_directly(serve) as connect:
        reader, writer = await connect()
        writer.write(_ASK)
        async with asyncio.timeout(10):
            await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await ended.wait()


@pytest.mark.parametrize("repeated", [b"", b"b: 9\r\nanthropic-beta: two\r\n"])
async def test_headers_are_known_in_the_order_they_were_sent_in(repeated: bytes) -> None:
    """By the first value of each; what is refused, or counted as unknown, is the first that was sent, whatever else is sent twice."""
    named: dict[bytes, bytes] = {}

    async def serve(exchange: Request) -> None:
        named.update(exchange.named)
        await exchange.answer(200, [], b"")

    async with _serving_directly(serve) as connect:
        head = b"GET / HTTP/1.1\r\nc: 1\r\nanthropic-beta: one\r\nb: 2\r\n" + repeated + b"a: 3\r\nconnection: close\r\n\r\n"
        await _said(connect, head)
    assert [*named] == [b"c", b"anthropic-beta", b"b", b"a", b"connection"]
    assert named[b"b"] == b"2"
    assert named[b"anthropic-beta"] == (b"one,two" if repeated else b"one")
