"""Clients of the holds API, each with a connection of its own: set aside, capture, again. As many pairs as the answers allow.

Run as a process of its own (`python -m bench.hold_load`): a JSON description on standard input, figures as JSON on standard output. Says how
many pairs ended, and the sum of what they captured, to the nano-dollar: the ledger must say the same.
"""

import asyncio
import json
import sys
import time
from array import array
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import uvloop

from bench.load import percentiles
from farebox.money import format_usd

HELD_NANO = 2_000_000
CAPTURED_NANO = 1_000_000
_STEP_NANO = 1_000
_ID = b'"id":"'


def captured_nano(number: int) -> int:
    """What the n-th client captures, each time."""
    return CAPTURED_NANO + number * _STEP_NANO


class Client(asyncio.Protocol):
    """One connection: a hold, and its capture."""

    def __init__(self, load: "Load", number: int) -> None:
        self.load = load
        self.captured = captured_nano(number)
        content = json.dumps({"key": f"key_{number % load.keys:06d}", "amount_usd": format_usd(HELD_NANO)}).encode()
        self.hold = self._request("", content)
        self.capture = self._request("/HOLD/capture", json.dumps({"amount_usd": format_usd(self.captured)}).encode())
        self.buffer = b""
        self.holding = False
        self.began = 0.0
        self.busy = False

    def _request(self, path: str, content: bytes) -> bytes:
        head = f"POST /api/v1/holds{path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {self.load.admin_key}\r\n"
        return (head + f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n").encode() + content

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def begin(self) -> None:
        """Sets money aside, unless it is over."""
        if self.load.ending:
            self.busy = False
            return
        self.busy = self.holding = True
        self.began = time.perf_counter()
        self.transport.write(self.hold)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        at = self.buffer.find(b"content-length:", 0, end + 2)
        if end < 0 or at < 0:
            return
        length = int(self.buffer[at + 15 : self.buffer.find(b"\r\n", at)])
        if len(self.buffer) >= end + 4 + length:
            answer, self.buffer = self.buffer, b""
            self.answered(int(answer[9:12]), answer[end + 4 :])

    def answered(self, status: int, body: bytes) -> None:
        self.load.statuses[status] += 1
        if self.holding and status == 201:
            self.holding = False
            at = body.index(_ID) + len(_ID)
            self.transport.write(self.capture.replace(b"HOLD", body[at : body.index(b'"', at)], 1))
            return
        if not self.holding and status == 200:
            self.load.pairs += 1
            self.load.captured += self.captured
            self.load.took.append(time.perf_counter() - self.began)
        self.begin()

    def connection_lost(self, _exc: Exception | None) -> None:
        if self.busy:
            self.busy = False
            self.load.failed += 1


class Load:
    """A run."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.url = urlsplit(asked["url"])
        self.admin_key = asked["admin_key"]
        self.keys = int(asked["keys"])
        self.clients = int(asked["clients"])
        self.seconds = float(asked["seconds"])
        self.statuses: Counter[int] = Counter()
        self.pairs = self.captured = self.failed = 0
        self.took = array("d")
        self.ending = False

    async def run(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        clients = [Client(self, number) for number in range(self.clients)]
        for client in clients:
            await loop.create_connection(lambda client=client: client, self.url.hostname, self.url.port)  # type: ignore[misc]
        began, cpu_s = time.perf_counter(), time.process_time()
        for client in clients:
            client.begin()
        await asyncio.sleep(self.seconds)
        self.ending = True
        patience = time.perf_counter() + 30
        while any(client.busy for client in clients) and time.perf_counter() < patience:
            await asyncio.sleep(0.005)
        took, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
        self.failed += sum(client.busy for client in clients)
        for client in clients:
            client.busy = False
            client.transport.abort()
        refused = sum(count for status, count in self.statuses.items() if status not in (200, 201))
        return {
            "seconds": took,
            "pairs": self.pairs,
            "captured": self.captured,
            "refused": refused,
            "failed": self.failed,
            "load_cpu_s": cpu_s,
            "pair_ms": percentiles(self.took),
        }


if __name__ == "__main__":
    description = json.load(sys.stdin)
    print(json.dumps(uvloop.run(Load(description).run())))
