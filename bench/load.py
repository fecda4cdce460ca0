"""A load generator that is cheap enough to share a core with the provider: prebuilt requests, answers read just far enough.

Run as a process of its own (`python -m bench.load`): a JSON description on standard input, figures as JSON on standard output.
Closed loop: every connection sends its next request when its answer is there. Open loop: requests begin at fixed moments whatever the
answers do, and latency counts from the moment a request was due, so that a stall cannot hide. Only answers of status 200 have a latency.
Several addresses get connections in turn.
"""

import asyncio
import json
import ssl
import sys
import time
from array import array
from collections import Counter, deque
from typing import Any
from urllib.parse import urlsplit

import uvloop

_PATIENCE_S = 30


class Client(asyncio.Protocol):
    """One connection: a request at a time."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.buffer = bytearray()
        self.sent_at = 0.0
        self.due = 0.0
        self.first = 0.0
        self.left = -1
        self.chunked = False
        self.status = 0
        self.busy = False
        self.heard = 0.0
        self.gap = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.load.ready(self)

    def send(self, request: bytes, due: float) -> None:
        self.busy = True
        self.due = due
        self.first = 0.0
        self.sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.load.bytes += len(data)
        if self.left < 0 and not self.chunked:
            self.buffer += data
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.buffer[:end]).lower()
            body = self.buffer[end + 4 :]
            self.status = int(head[9:12])
            at = head.find(b"content-length:")
            if at >= 0:
                stop = head.find(b"\r\n", at)
                self.left = int(head[at + 15 : stop if stop > 0 else len(head)])
            else:
                self.chunked = True
                self.load.began_stream()
            self.buffer = bytearray()
            data = bytes(body)
        if data and not self.first:
            self.first = time.perf_counter()
        if self.chunked:
            now = time.perf_counter()
            self.gap = max(self.gap, now - self.heard) if self.heard else 0.0
            self.heard = now
            self.load.events += data.count(b"\ndata: ") + data.startswith(b"data: ")
            tail = bytes(self.buffer[-8:]) + data
            self.buffer = bytearray(tail[-8:])
            if tail.endswith(b"0\r\n\r\n"):
                self.done()
            return
        self.left -= len(data)
        if self.left <= 0:
            self.done()

    def done(self) -> None:
        now = time.perf_counter()
        if self.chunked:
            self.load.gaps.append(self.gap)
            self.load.streaming -= 1
        self.left, self.chunked, self.busy, self.heard, self.gap = -1, False, False, 0.0, 0.0
        self.buffer = bytearray()
        self.load.finished(self, now)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.load.lost(self)


class Load:
    """A run."""

    def __init__(self, asked: dict[str, Any]) -> None:
        urls = [urlsplit(url) for url in asked["urls"]]
        self.addresses = [(url.hostname, url.port) for url in urls]
        self.tls = ssl.create_default_context(cafile=asked["ca_file"]) if urls[0].scheme == "https" else None
        self.requests: deque[bytes] = deque()
        body = json.dumps(asked["body"]).encode()
        for key in asked["keys"]:
            head = f"POST {urls[0].path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
            self.requests.append((head + f"content-length: {len(body)}\r\n\r\n").encode() + body)
        self.seconds = float(asked["seconds"])
        self.connections = int(asked["connections"])
        self.rate = float(asked.get("rate", 0))
        self.total = int(asked.get("total", 0))
        self.statuses: Counter[int] = Counter()
        self.latencies = array("d")
        self.firsts = array("d")
        self.gaps = array("d")
        self.events = 0
        self.bytes = 0
        self.streaming = 0
        self.streaming_peak = 0
        self.failed = 0
        self.idle: deque[Client] = deque()
        self.waiting: deque[float] = deque()
        self.clients: list[Client] = []
        self.ending = False
        self.started = 0.0
        self.sent = 0

    def next_request(self) -> bytes:
        request = self.requests[0]
        self.requests.rotate(-1)
        self.sent += 1
        return request

    def ready(self, client: Client) -> None:
        self.idle.append(client)

    def began_stream(self) -> None:
        self.streaming += 1
        self.streaming_peak = max(self.streaming_peak, self.streaming)

    def finished(self, client: Client, now: float) -> None:
        self.statuses[client.status] += 1
        if client.status == 200:
            self.latencies.append(now - client.due)
            if client.first:
                self.firsts.append(client.first - client.due)
        if self.rate:
            if self.waiting:
                client.send(self.next_request(), self.waiting.popleft())
            else:
                self.idle.append(client)
        elif not self.ending and not (self.total and self.sent >= self.total):
            client.send(self.next_request(), now)
        else:
            self.idle.append(client)

    def lost(self, client: Client) -> None:
        if client.busy:
            client.busy = False
            self.failed += 1
        elif client in self.idle:
            self.idle.remove(client)

    async def run(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        for number in range(self.connections):
            host, port = self.addresses[number % len(self.addresses)]
            _, client = await loop.create_connection(lambda: Client(self), host, port, ssl=self.tls)
            self.clients.append(client)
        self.started, cpu_s = time.perf_counter(), time.process_time()
        if self.rate:
            await self.open_loop()
        else:
            while self.idle:
                self.idle.popleft().send(self.next_request(), time.perf_counter())
            stop = self.started + self.seconds
            while time.perf_counter() < stop and not (self.total and self.sent >= self.total):
                await asyncio.sleep(0.02)
        self.ending = True
        patience = time.perf_counter() + _PATIENCE_S
        while (self.waiting or any(client.busy for client in self.clients)) and time.perf_counter() < patience:
            await asyncio.sleep(0.005)
        took, cpu_s = time.perf_counter() - self.started, time.process_time() - cpu_s
        failed = (
            self.failed + sum(client.busy for client in self.clients) + len(self.waiting)
        )  # no answer, or never sent for want of a connection
        for client in self.clients:
            client.transport.abort()
        return {
            "seconds": took,
            "statuses": dict(self.statuses),
            "failed": failed,
            "events": self.events,
            "bytes": self.bytes,
            "streaming_peak": self.streaming_peak,
            "latency_ms": percentiles(self.latencies),
            "first_byte_ms": percentiles(self.firsts),
            "gap_ms": percentiles(self.gaps),
            "load_cpu_s": cpu_s,
        }

    async def open_loop(self) -> None:
        """One request each 1/rate seconds; due moments that find no free connection wait their turn with the clock running."""
        gap = 1 / self.rate
        due = time.perf_counter()
        stop = due + self.seconds
        while due < stop:
            now = time.perf_counter()
            while due <= now:
                if self.idle:
                    self.idle.popleft().send(self.next_request(), due)
                else:
                    self.waiting.append(due)
                due += gap
            await asyncio.sleep(max(due - time.perf_counter(), 0))


def percentiles(values: "array[float]") -> dict[str, float]:
    """In milliseconds; NaN of nothing."""
    ordered = sorted(values) or [float("nan")]
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1000, 4) for name, part in at.items()}


if __name__ == "__main__":
    description = json.load(sys.stdin)
    print(json.dumps(uvloop.run(Load(description).run())))
