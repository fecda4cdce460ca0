"""How quick this machine is: a server that only forwards each call, with the gateway's own server and upstream client, and no ledger.

Run as a process of its own (`python -m bench.empty_proxy URL [CA_FILE]`); prints its address. What a strict call costs more than here is
what metering, holds, charges and their durability cost.
"""

import asyncio
import gc
import signal
import sys

import uvloop

from farebox.gateway.upstream import Origin, Upstream
from farebox.serving import Message, Receive, Scope, Send, listening_socket, server

_CONNECTION = {b"connection", b"content-length", b"host", b"keep-alive", b"transfer-encoding"}
_BODY_BYTES_MAX = 1 << 20
_GC_THRESHOLDS = (20_000, 50, 100)  # the gateway's own


class EmptyProxy:
    """One upstream; every call goes there and its answer comes back whole."""

    def __init__(self, url: str, ca_file: str | None) -> None:
        self._upstream = Upstream()
        self._origin, self._base = Origin.from_url(url, ca_file=ca_file)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name not in _CONNECTION]
        target = f"{self._base}{scope['path']}".encode()
        answer = await self._upstream.send(self._origin, b"POST", target, headers, await _whole(receive))
        body = await answer.read_all(_BODY_BYTES_MAX)
        headers = [(name, value) for name, value in answer.headers if name not in _CONNECTION]
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def close(self) -> None:
        await self._upstream.close()


async def _whole(receive: Receive) -> bytes:
    message: Message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


async def serve(url: str, ca_file: str | None) -> None:
    """Until SIGTERM."""
    proxy = EmptyProxy(url, ca_file)
    serving = server(proxy)
    listening = listening_socket("127.0.0.1", 0)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    task = asyncio.ensure_future(serving.serve([listening]))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    await stopping.wait()
    serving.should_exit = True
    await task
    await proxy.close()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
