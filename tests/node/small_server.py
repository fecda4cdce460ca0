"""A small real server, as a child of a supervisor: answers each line with its process id. Its order says in JSON how it behaves.

`fd` its socket, `folder` where it leaves a mark when it ended as it should, `mode`: "well", "never" (ends before it serves), "stubborn" (SIGTERM
does nothing to it).
"""

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from farebox.serving import inherited


class Answering(asyncio.Protocol):
    """One client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"%d\n" % os.getpid())


async def main(order: dict[str, Any]) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, (lambda: None) if order["mode"] == "stubborn" else stopping.set)
    server = await loop.create_server(Answering, sock=inherited(order["fd"]))
    print("serving", flush=True)
    await stopping.wait()
    server.close()


def follow() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    told = json.loads(sys.stdin.buffer.readline())
    if told["mode"] == "never":
        sys.exit(3)
    threading.Thread(target=follow, daemon=True).start()
    asyncio.run(main(told))
    Path(told["folder"], str(os.getpid())).touch()
