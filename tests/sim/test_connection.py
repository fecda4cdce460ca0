"""HTTP/1.1, byte by byte."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farebox.sim import Server, connection

Rows = Callable[..., Awaitable[list[dict[str, Any]]]]
Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def body(text: str = "hi", **fields: object) -> bytes:
    return json.dumps({"model": "gpt-6-sol", "messages": [{"role": "user", "content": text}], **fields}).encode()


def request(sent: bytes, *headers: str, version: str = "1.1") -> bytes:
    lines = [f"POST /v1/chat/completions HTTP/{version}", "host: sim", "authorization: Bearer k", *headers]
    if not any(line.startswith("transfer-encoding") for line in headers):
        lines.append(f"content-length: {len(sent)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + sent


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split(b" ")[1]), await reader.readexactly(length)


async def test_pipelined_requests_are_answered_in_order(connect: Connect, rows: Rows) -> None:
    """More of them than may wait, with a slow stream first, written at once."""
    count = 3 * connection.PIPELINE_MAX
    reader, writer = await connect()
    writer.write(request(body("sim:output=3 sim:pace=5", stream=True)) + b"".join([request(body(f"sim:output={n}")) for n in range(count)]))
    assert (await reader.readuntil(b"0\r\n\r\n")).count(b"data: ") == 6
    for n in range(count):
        status, answer = await read_answer(reader)
        assert (status, json.loads(answer)["usage"]["completion_tokens"]) == (200, n)
    assert len(await rows()) == count + 1


async def test_pipelined_requests_are_read_only_so_far_ahead(sim: Server, connect: Connect, http: httpx.AsyncClient) -> None:
    """While a stream stalls, what is read of the next requests stays bounded."""
    reader, writer = await connect()
    writer.write(request(body("sim:stall=1 sim:output=9", stream=True)))
    await reader.readuntil(b"fare")
    big = request(body("x" * 100_000))
    for _ in range(connection.PIPELINE_MAX * 3):
        writer.write(big)
    [mine] = [each for each in sim._connections if each._reply is not None]
    while mine._reading:
        await http.head("/")
    assert len(mine._waiting) < connection.PIPELINE_MAX + 8


async def test_request_may_arrive_byte_by_byte(connect: Connect) -> None:
    """Nothing depends on how the network cuts."""
    reader, writer = await connect()
    for byte in request(body("sim:output=2")):
        writer.write(bytes((byte,)))
        await asyncio.sleep(0)
    assert (await read_answer(reader))[0] == 200


async def test_chunked_request_is_read(connect: Connect) -> None:
    """With extensions and trailers, and the connection is good for another one."""
    reader, writer = await connect()
    sent = body("sim:output=2")
    chunks = (
        b"".join([b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in (sent[:10], sent[10:11], sent[11:])]) + b"0\r\nx-trailer: 1\r\n\r\n"
    )
    for _ in range(2):
        writer.write(request(b"", "transfer-encoding: chunked") + chunks)
        assert json.loads((await read_answer(reader))[1])["usage"]["completion_tokens"] == 2


async def test_body_is_asked_for_when_the_caller_expects_it(connect: Connect) -> None:
    """`100 Continue` comes before the body, and only after the answers that are owed before it."""
    reader, writer = await connect()
    sent = body("sim:output=2")
    head = request(sent, "expect: 100-continue")[: -len(sent)]
    writer.write(request(body("sim:delay=20")) + head)
    assert (await read_answer(reader))[0] == 200
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(sent)
    assert (await read_answer(reader))[0] == 200


async def test_connection_closes_when_the_caller_says_so(connect: Connect) -> None:
    """After the answer, and the answer says it too."""
    reader, writer = await connect()
    writer.write(request(body(), "connection: close"))
    written = await reader.read()
    assert b"\r\nconnection: close\r\n" in written
    assert written.endswith(b"}")


async def test_old_http_gets_a_stream_that_ends_with_the_connection(connect: Connect, rows: Rows) -> None:
    """HTTP/1.0 knows no chunks, even where it keeps connections."""
    for headers in ((), ("connection: keep-alive",)):
        reader, writer = await connect()
        writer.write(request(body("sim:output=2", stream=True), *headers, version="1.0"))
        written = await reader.read()
        assert b"transfer-encoding" not in written
        assert written.endswith(b"}\n\ndata: [DONE]\n\n")
    assert [row["finished"] for row in await rows()] == [True, True]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nxyz",
    ],
)
async def test_what_is_not_http_is_answered_after_what_was(connect: Connect, rows: Rows, garbage: bytes) -> None:
    """The request before it gets its answer, the rest a 400, and the connection closes."""
    reader, writer = await connect()
    writer.write(request(body("sim:delay=5")) + garbage)
    assert (await read_answer(reader))[0] == 200
    assert b"HTTP/1.1 400 Bad Request" in await reader.read()
    assert len(await rows()) == 1


async def test_stalled_call_is_noticed_to_be_left_even_after_garbage(connect: Connect, rows: Rows) -> None:
    """Reading goes on, only nobody listens."""
    reader, writer = await connect()
    writer.write(request(body("sim:stall=1 sim:output=9", stream=True)))
    await reader.readuntil(b"fare")
    writer.write(b"\x00 not http \r\n\r\n" * 100)
    writer.close()
    assert [row["aborted"] for row in await rows()] == [True]


async def test_endless_head_is_refused(connect: Connect) -> None:
    """Also when it is one header that never ends."""
    reader, writer = await connect()
    writer.write(b"GET / HTTP/1.1\r\nx: " + b"a" * 300_000)
    assert b"431" in await reader.readline()


@pytest.mark.parametrize("chunked", [True, False])
async def test_body_beyond_the_limit_is_refused_and_not_kept(
    connect: Connect, rows: Rows, monkeypatch: pytest.MonkeyPatch, chunked: bool
) -> None:
    """In the dialect's words, with the connection still good."""
    monkeypatch.setattr(connection, "BODY_BYTES_MAX", 1000)
    reader, writer = await connect()
    large = body("x" * 2000)
    writer.write(request(b"", "transfer-encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(large), large) if chunked else request(large))
    status, answer = await read_answer(reader)
    assert (status, json.loads(answer)["error"]["type"]) == (413, "invalid_request_error")
    writer.write(request(body()))
    assert (await read_answer(reader))[0] == 200
    assert [row["status"] for row in await rows()] == [413, 200]


async def test_slow_reader_holds_the_stream_back(sim: Server, connect: Connect, http: httpx.AsyncClient, rows: Rows) -> None:
    """What waits in memory for a caller that does not read stays small, the call stays open, and the rest comes when it reads."""
    reader, writer = await connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a reading transport
    writer.write(request(body("sim:output=900000 sim:pace=0", stream=True, n=4)))
    while not any(each._paused for each in sim._connections):
        await http.head("/")
    [mine] = [each for each in sim._connections if each._paused]
    assert mine._transport.get_write_buffer_size() < 1_000_000
    [row] = (await http.get("/sim/calls")).json()["data"]
    assert row["open"]
    writer.transport.resume_reading()  # type: ignore[attr-defined]  # a reading transport
    written = await reader.readuntil(b"[DONE]\n\n\r\n0\r\n\r\n")
    assert written.count(b" fare") + written.count(b"fare box") > 4
    [row] = await rows()
    assert (row["finished"], row["tokens"]["output"]) == (True, 3_600_000)


async def test_hundreds_of_streams_run_side_by_side(http: httpx.AsyncClient, connect: Connect, rows: Rows) -> None:
    """Each gets all of its own pieces."""

    async def one() -> int:
        reader, writer = await connect()
        writer.write(request(body("sim:output=20 sim:pace=1", stream=True)))
        return (await reader.readuntil(b"0\r\n\r\n")).count(b'"content":" ')

    assert await asyncio.gather(*[one() for _ in range(200)]) == [20] * 200
    assert sum(row["tokens"]["output"] for row in await rows()) == 4000


async def test_routes_that_do_not_exist_are_told_in_the_callers_dialect(http: httpx.AsyncClient) -> None:
    """404 and 405, in OpenAI's words unless the caller is Anthropic's; the probe needs no credential."""
    assert (await http.get("/v2/chat")).json()["error"]["type"] == "invalid_request_error"
    other = await http.get("/v2/chat", headers={"anthropic-version": "2026-10-21"})
    assert (other.status_code, other.json()["error"]["type"]) == (404, "not_found_error")
    assert (await http.get("/v1/chat/completions")).status_code == 405
    assert (await http.get("/v1/models/")).status_code == 404
    probe = await http.head("/", headers={"authorization": ""})
    assert (probe.status_code, probe.content) == (200, b"")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    noise=st.lists(
        st.binary(max_size=40)
        | st.sampled_from([b"GET / HTTP/1.1\r\n", b"POST /v1/messages HTTP/1.1\r\n", b"content-length: 3\r\n", b"\r\n", b"abc"]),
        max_size=8,
    )
)
def test_any_bytes_leave_the_server_standing(noise: list[bytes]) -> None:
    """Whatever is sent, nothing is raised, and at most an answer and a close come of it."""
    from farebox.sim.bill import Bill
    from farebox.sim.site import Site

    class Sink(asyncio.Transport):
        closed = False

        def write(self, data: bytes | bytearray | memoryview) -> None:
            assert bytes(data).startswith(b"HTTP/1.1 ")

        def close(self) -> None:
            self.closed = True

        def pause_reading(self) -> None:
            raise AssertionError("so few requests never wait")

    loop = asyncio.new_event_loop()
    try:
        peer = connection.Connection(Site(Bill()), loop, set())
        peer.connection_made(Sink())
        for part in noise:
            peer.data_received(part)
        peer.connection_lost(None)
    finally:
        loop.close()
