"""Requests that a client sends ahead of its answers: they wait in their order, and only so many are taken from it."""

import asyncio

import pytest

from farebox import limits
from farebox.connection import Connection
from farebox.request import Request
from farebox.serving import listening_socket, server
from support.house import until

_ASK = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
_READ_BYTES_MAX = 256 * 1024
"""What an event loop reads at once."""


async def test_a_client_that_never_waits_does_not_fill_the_memory() -> None:
    """However many of its requests are answered, those that wait are those of one reading and a few."""
    waiting: list[int] = []

    async def serve(request: Request) -> None:
        await request.body(10)
        request.watch()
        for _ in range(3):
            await asyncio.sleep(0)  # the loop reads, if it is let
        connection = request._connection
        assert isinstance(connection, Connection)
        waiting.append(len(connection._waiting))
        await request.answer(200, [], b"")

    listening = listening_socket("127.0.0.1", 0)
    one = server(serve)
    task = asyncio.ensure_future(one.serve([listening]))
    _, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(_ASK * 200_000)
    async with asyncio.timeout(30):
        await until(lambda: len(waiting) >= 30)
    writer.transport.abort()
    one.should_exit = True
    await task
    assert max(waiting) <= _READ_BYTES_MAX // len(_ASK) + limits.requests_waiting_max


async def test_all_that_was_sent_ahead_is_answered() -> None:
    """Reading goes on when few wait."""
    listening = listening_socket("127.0.0.1", 0)
    answered: list[str] = []

    async def serve(request: Request) -> None:
        body = await request.body(200_000)
        answered.append(request.path)
        await request.answer(200, [], b"%d" % len(body))

    one = server(serve)
    task = asyncio.ensure_future(one.serve([listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    count = 3 * limits.requests_waiting_max
    for number in range(count):
        body = b"x" * (100_000 if number % 5 == 0 else 10)
        writer.write(b"POST /%d HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (number, len(body), body))
    async with asyncio.timeout(30):
        for number in range(count):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            assert await reader.readexactly(2 if number % 5 else 6) == (b"10" if number % 5 else b"100000")
    assert answered == [f"/{number}" for number in range(count)]
    writer.close()
    one.should_exit = True
    await task


@pytest.mark.parametrize("begun", [False, True], ids=["before_its_head", "within_it"])
async def test_nonsense_behind_a_request_is_not_said_in_its_answer(*, begun: bool) -> None:
    """The client would read it as the answer to what it asked and paid for, or as a part of it. That is the last answer instead."""
    turn = asyncio.Event()
    asked: list[Request] = []

    async def serve(request: Request) -> None:
        asked.append(request)
        await request.body(10)
        if begun:
            await request.head(200, [])
            await request.piece(b"one")
        await turn.wait()
        if not begun:
            await request.head(200, [])
            await request.piece(b"one")
        await request.end(b"two")

    listening = listening_socket("127.0.0.1", 0)
    one = server(serve)
    task = asyncio.ensure_future(one.serve([listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(_ASK)
    said = await reader.readuntil(b"one\r\n") if begun else b""
    writer.write(b"non\0sense\r\n\r\n")
    await until(lambda: asked and (asked[0].last or asked[0].transport.is_closing()))
    turn.set()
    async with asyncio.timeout(10):
        said += await reader.read()
    assert said.count(b"HTTP/1.1") == said.count(b"HTTP/1.1 200 OK\r\n") == 1
    assert said.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    writer.close()
    one.should_exit = True
    await task
