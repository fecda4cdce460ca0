"""How quick this machine is at the holds API: a server that reads each request and answers with words of that length, and no ledger.

Run as a process of its own (`python -m bench.empty_answers`); prints its address.
"""

import asyncio
import gc
import signal

import uvloop

from farebox.exchange import Exchange
from farebox.serving import listening_socket, server

_HOLD = b'{"id":"hold_' + b"0" * 33 + b'","padding":"' + b"0" * 450 + b'"}'
_BODY_BYTES_MAX = 1 << 20
_GC_THRESHOLDS = (20_000, 50, 100)  # the gateway's own


async def answer(exchange: Exchange) -> None:
    """201 for what sets aside, 200 for what captures."""
    await exchange.body(_BODY_BYTES_MAX)
    await exchange.answer(200 if exchange.path.endswith("/capture") else 201, [(b"content-type", b"application/json")], _HOLD)


async def serve() -> None:
    """Until SIGTERM."""
    serving = server(answer)
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


if __name__ == "__main__":
    uvloop.run(serve())
