from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.gateway.upstream.reader import Reader

CHUNKED = (
    b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A:  b \t\r\n\r\n"
    b"5\r\nhello\r\n1;ext=1\r\n \r\n005\r\nworld\r\n0\r\nx-trailer: t\r\nconnection-x: u\r\n\r\n"
)
SIZED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 11\r\nX-A: b\r\n\r\nhello world"


def reader(*, bodiless: bool = False, head_bytes: int = 1000, headers: int = 10) -> Reader:
    made = Reader(head_bytes, headers)
    made.expect(bodiless=bodiless)
    return made


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


@pytest.mark.parametrize(("data", "status"), [(CHUNKED, 200), (SIZED, 201)])
def test_a_response_cut_at_any_byte_reads_the_same(data: bytes, status: int) -> None:
    """Where segments end says nothing: interim responses, head, chunk sizes, extensions and trailers may be cut anywhere."""
    for cut in range(1, len(data)):
        one = reader()
        body = one.feed(data[:cut]) + one.feed(data[cut:])
        assert (one.status, body, one.complete, one.reusable, one.problem) == (status, b"hello world", True, True, None)
        assert (b"x-a", b"b") in one.headers
        assert len(one.headers) == 2


@given(data=st.sampled_from([CHUNKED, SIZED]), cuts=st.lists(st.integers(min_value=0), max_size=40))
def test_a_response_in_any_segments_reads_the_same(data: bytes, cuts: list[int]) -> None:
    """As above, with many cuts at once, and two responses one after the other on the same reader."""
    one = reader()
    for _ in range(2):
        one.expect(bodiless=False)
        assert b"".join(one.feed(piece) for piece in pieces_of(data, cuts)) == b"hello world"
        assert (one.complete, one.reusable, one.problem) == (True, True, None)


@given(body=st.lists(st.binary(min_size=1, max_size=50), max_size=8), cuts=st.lists(st.integers(min_value=0), max_size=20))
def test_chunks_of_any_size_join_to_the_body(body: list[bytes], cuts: list[int]) -> None:
    """What is in the chunks arrives, and nothing of their framing."""
    chunks = b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in body)
    one = reader()
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n" + chunks + b"0\r\n\r\n"
    assert b"".join(one.feed(piece) for piece in pieces_of(wire, cuts)) == b"".join(body)
    assert one.complete


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1 1",
        b"HTTP/1.1 200 OK\r\nContent-Length:",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1234567890123456789",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding:",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked",
        b"HTTP/1.1 200 OK\r\n folded: 1",
        b"HTTP/1.1 200 OK\r\na: 1\r\n b",
        b"HTTP/1.1 200 OK\r\na\0: 1",
        b"HTTP/1.1 200 OK\r\na: \x01",
        b"HTTP/1.1 200 OK\r\na: 1\n",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 Low",
        b"HTTP/1.1 000 Nothing",
        b"HTTP/2.0 200 OK",
        b"HTTP/2.0 200 OK\r\nConnection: keep-alive",
        b"HTTP/0.9 200 OK",
        b"HTTP/11 200 OK",
        b"GET / HTTP/1.1\r\nHost: a",
        b"<html>",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade",
        b"HTTP/1.1 101 Switching Protocols",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 5",
        b"HTTP/1.1 102 Processing\r\nTransfer-Encoding: chunked",
    ],
)
def test_contradictory_or_unreadable_heads_are_refused(head: bytes) -> None:
    """Where two readers could disagree about a response it is refused, whole or byte by byte; nothing of it is a body."""
    whole = reader()
    assert whole.feed(head + b"\r\n\r\nxx") == b""
    assert whole.problem
    assert not whole.status
    bytewise = reader()
    for place in range(len(head)):
        bytewise.feed(head[place : place + 1])
    for byte in (b"\r", b"\n", b"\r", b"\n"):
        bytewise.feed(byte)
    assert bytewise.problem
    assert not bytewise.status


@pytest.mark.parametrize(
    "chunks",
    [
        b"x\r\n",
        b"-1\r\n",
        b"5\r\nhelloworld\r\n",
        b"5\nhello\n",
        b"5\r\nhello\r\nzz\r\n",
        b" 5\r\nhello\r\n",
        b"ffffffffffffffffff\r\n",
        b"\r\n",
        b"0\r\ncontent-length: 9\r\n\r\n",
    ],
)
def test_bad_chunk_is_refused_after_what_was_good(chunks: bytes) -> None:
    """A chunk that is not one ends the answer with a problem, never with a clean end."""
    one = reader()
    one.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" + chunks)
    assert one.status == 200
    assert one.problem
    assert not one.complete


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
@pytest.mark.parametrize("version", [b"0.9", b"1.0", b"1.1", b"2.0"])
def test_a_response_has_its_own_version(version: bytes, interim: bytes) -> None:
    """However it is cut, and whatever the version of an interim one before it: one that is not HTTP/1 is refused, chunks are no part of 1.0."""
    data = interim + b"HTTP/" + version + b" 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    for cut in range(len(data)):
        one = reader()
        for piece in filter(None, (data[:cut], data[cut:])):
            one.feed(piece)
        assert (one.problem is None, one.complete, one.reusable) == (version[:1] == b"1", version[:1] == b"1", version == b"1.1")


@pytest.mark.parametrize("cut", [1, 17, 20, 40])
@pytest.mark.parametrize("bodiless", [True, False])
@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 0\r\n"])
def test_answers_without_body_end_with_their_head(framing: bytes, cut: int, *, bodiless: bool) -> None:
    """An answer to HEAD, a 204 and a 304 have no body whatever they announce, and the next response is read after them."""
    status = b"200" if bodiless else b"304"
    data = b"HTTP/1.1 " + status + b" X\r\n" + framing + b"\r\n"
    one = reader()
    for _ in range(2):
        one.expect(bodiless=bodiless)
        assert one.feed(data[:cut]) + one.feed(data[cut:]) == b""
        assert (one.complete, one.reusable) == (True, True)
    one.expect(bodiless=False)
    assert one.feed(SIZED) == b"hello world"
    assert one.complete


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\n\r\n", b"x", b"HTTP", b"\0"])
@pytest.mark.parametrize("answer", [SIZED, CHUNKED, b"HTTP/1.1 204 No\r\n\r\n"])
def test_bytes_after_the_end_condemn_the_connection_not_the_answer(answer: bytes, surplus: bytes) -> None:
    """An answer nobody asked for must not be given to the next request."""
    one = reader()
    one.feed(answer + surplus)
    headers = list(one.headers)
    assert (one.complete, one.reusable, one.problem) == (True, False, None)
    assert headers == one.headers


def test_body_after_an_answer_to_head_condemns_the_connection() -> None:
    """A server that sends the body of a HEAD has sent it into the next response."""
    one = reader(bodiless=True)
    assert one.feed(SIZED) == b""
    assert (one.complete, one.reusable) == (True, False)


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive, Close", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive", True),
    ],
)
def test_the_servers_wish_to_close_is_honoured(head: bytes, *, reusable: bool) -> None:
    """`Connection: close` and HTTP/1.0 without keep-alive are used once."""
    one = reader()
    one.feed(head + b"\r\n\r\n")
    assert (one.complete, one.reusable) == (True, reusable)


def test_http_1_0_with_chunks_is_used_once() -> None:
    """RFC 9112 6.1: such framing is not to be trusted with another response."""
    one = reader()
    one.feed(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert (one.complete, one.reusable) == (True, False)


def test_without_framing_the_body_ends_with_the_connection() -> None:
    """Neither length nor chunks: everything until the end of input, which is then the clean end."""
    one = reader()
    assert one.feed(b"HTTP/1.1 200 OK\r\n\r\nab") + one.feed(b"cd") == b"abcd"
    assert not one.complete
    assert one.end_of_input()
    assert (one.complete, one.reusable) == (True, False)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\n", SIZED[:-1], CHUNKED[:-2], b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_end_of_input_within_a_framed_response_is_no_end(data: bytes) -> None:
    """One byte short is short."""
    one = reader()
    one.feed(data)
    assert not one.end_of_input()
    assert not one.complete


@pytest.mark.parametrize(
    ("value", "seconds"), [(b"timeout=5", 5), (b"max=9, Timeout=60", 60), (b"timeout=5x", None), (b"max=1", None), (b"timeout=", None)]
)
def test_the_servers_idle_limit_is_read(value: bytes, seconds: int | None) -> None:
    """`Keep-Alive: timeout=N` says when the server will close."""
    one = reader()
    one.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: " + value + b"\r\n\r\n")
    assert one.keep_alive_s == seconds


def test_head_at_the_limit_is_read_and_one_byte_above_is_refused() -> None:
    """Names and values count; in one segment or byte by byte, a head above the limit is refused."""
    for extra, fine in ((0, True), (1, False)):
        value = b"v" * (1000 - len(b"x") - len(b"content-length") - 1 + extra)
        one = reader(head_bytes=1000)
        one.feed(b"HTTP/1.1 200 OK\r\nx: " + value + b"\r\ncontent-length: 0\r\n\r\n")
        assert one.complete is fine
        assert (one.problem is None) is fine


@pytest.mark.parametrize(
    ("start", "drip"),
    [
        (b"HTTP/1.1 200 ", b"o"),
        (b"HTTP/1.1 200 OK\r\nx", b"x"),
        (b"HTTP/1.1 200 OK\r\nx: ", b"y"),
        (b"", b"\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;", b"e"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"0"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nt: ", b"v"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"t: v\r\n"),
    ],
)
def test_endless_framing_is_refused(start: bytes, drip: bytes) -> None:
    """What is neither an answer nor a body is bounded: a head, interim responses, chunk extensions or trailers without end."""
    one = reader(head_bytes=1000)
    one.feed(start)
    fed = len(start)
    while one.problem is None:
        one.feed(drip)
        fed += len(drip)
        assert fed <= 1100
    assert not one.complete


def test_too_many_headers_are_refused() -> None:
    """The number of headers is bounded, interim responses apart."""
    for count, fine in ((9, True), (10, False)):
        one = reader(headers=10)
        one.feed(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * count + b"content-length: 0\r\n\r\n")
        assert one.complete is fine


@given(
    st.lists(
        st.one_of(st.binary(max_size=60), st.sampled_from([SIZED, CHUNKED, b"\r\n", b"HTTP/1.1 200 OK\r\n", b"0\r\n\r\n"])), max_size=6
    )
)
def test_any_bytes_are_a_response_a_problem_or_not_yet_whole(segments: list[bytes]) -> None:
    """The reader has no other outcome, and never raises."""
    one = reader()
    for segment in segments:
        one.feed(segment)
        if one.complete or one.problem:
            return
    one.end_of_input()
