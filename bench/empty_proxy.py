"""How quick this machine is: a server that only forwards each call, with the gateway's own server and upstream client, and no ledger.

Run as a process of its own (`python -m bench.empty_proxy URL [CA_FILE]`); prints its address. What a strict call costs more than here is
what metering, holds, charges and their durability cost.
"""

import asyncio
import gc
import signal
import sys

import uvloop

from farebox.exchange import Exchange
from farebox.gateway.upstream import Origin, Upstream
from farebox.serving import listening_socket, server

_CONNECTION = {b"connection", b"content-length", b"host", b"keep-alive", b"transfer-encoding"}
_BODY_BYTES_MAX = 1 << 20
_GC_THRESHOLDS = (20_000, 50, 100)  # the gateway's own


class EmptyProxy:
    """One upstream; every call goes there and its answer comes back whole."""

    def __init__(self, url: str, ca_file: str | None) -> None:
        self._upstream = Upstream()
        self._origin, self._base = Origin.from_url(url, ca_file=ca_file)

    async def __call__(self, exchange: Exchange) -> None:
        headers = [(name, value) for name, value in exchange.headers if name not in _CONNECTION]
        target = f"{self._base}{exchange.path}".encode()
        answer = await self._upstream.send(self._origin, b"POST", target, headers, await exchange.body(_BODY_BYTES_MAX))
        body = await answer.read_all(_BODY_BYTES_MAX)
        await exchange.answer(answer.status, [(name, value) for name, value in answer.headers if name not in _CONNECTION], body)

    async def close(self) -> None:
        await self._upstream.close()


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
