"""A body that does not come, where nobody but the connection looks after the time: it ends all the same."""

import asyncio

import pytest

from farebox import limits
from farebox.connection import Serve
from farebox.errors import InvalidRequest
from farebox.exchange import Receive, Scope, Send
from farebox.request import Request
from farebox.serving import asgi, listening_socket, server

_HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"


async def _reads(scope: Scope, receive: Receive, send: Send) -> None:
    del scope
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        pass
    if message["type"] == "http.request":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


async def _reads_directly(request: Request) -> None:
    try:
        await request.body(100)
    except InvalidRequest:
        assert request.gone
    else:
        await request.answer(200, [], b"")


@pytest.mark.parametrize("comes", [False, True], ids=["never", "in_time"])
@pytest.mark.parametrize("serve", [asgi(_reads), _reads_directly], ids=["asgi", "directly"])
async def test_a_body_that_never_comes_does_not_keep_its_connection(serve: Serve, monkeypatch: pytest.MonkeyPatch, *, comes: bool) -> None:
    """Whoever answers may say so first; after as long again the connection is closed."""
    monkeypatch.setattr(limits, "request_body_s_max", 0.2)
    listening = listening_socket("127.0.0.1", 0)
    one = server(serve)
    task = asyncio.ensure_future(one.serve([listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(_HEAD + b"12345")
    if comes:
        asyncio.get_running_loop().call_later(0.3, writer.write, b"67890")
    try:
        async with asyncio.timeout(10):
            if comes:
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            else:
                assert await reader.read() == b""
    finally:
        writer.close()
        one.should_exit = True
        await task
