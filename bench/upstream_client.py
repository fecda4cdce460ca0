"""What a short call on a pooled connection costs: `python bench/upstream_client.py [calls] [concurrency] [plain]`.

The other side is a minimal `asyncio.Protocol` server in a process of its own, so the CPU time printed is the client's alone.
"""

import asyncio
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection as Pipe
from typing import cast

import uvloop

from farebox.gateway.upstream import Origin, Upstream

_BODY = b'{"model": "m", "messages": [{"role": "user", "content": "' + b"x" * 900 + b'"}]}'
_ANSWER_BODY = b'{"usage": {"total_tokens": 7}, "choices": ["' + b"y" * 400 + b'"]}'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 09:30:00 GMT\r\nserver: bench\r\ncontent-type: application/json\r\n"
    b"x-request-id: req_0123456789\r\ncontent-length: %d\r\n\r\n%b" % (len(_ANSWER_BODY), _ANSWER_BODY)
)
_HEADERS = [
    (b"authorization", b"Bearer sk-0123456789abcdef0123456789abcdef"),
    (b"content-type", b"application/json"),
    (b"accept", b"application/json"),
    (b"user-agent", b"bench"),
]


class _Server(asyncio.Protocol):
    """Answers as soon as a whole request has come; it knows how long one is."""

    def __init__(self) -> None:
        self._got = 0
        self._whole = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        if not self._whole:
            self._whole = data.index(b"\r\n\r\n") + 4 + len(_BODY)
        self._got += len(data)
        while self._got >= self._whole:
            self._got -= self._whole
            self._transport.write(_ANSWER)


def _serve(pipe: Pipe) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


async def _calls(upstream: Upstream, origin: Origin, count: int) -> None:
    for _ in range(count):
        answer = await upstream.send(origin, b"POST", b"/v1/chat/completions", _HEADERS, _BODY)
        body = await answer.read_all(1 << 20)
        assert len(body) == len(_ANSWER_BODY)


async def _measure(port: int, count: int, concurrency: int) -> None:
    upstream = Upstream()
    origin, _ = Origin.from_url(f"http://127.0.0.1:{port}")
    await asyncio.gather(*(_calls(upstream, origin, 50) for _ in range(concurrency)))
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_calls(upstream, origin, count // concurrency) for _ in range(concurrency)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"{count} calls, {concurrency} at a time: {count / wall:,.0f} requests/s, {wall / count * 1e6:.1f} us wall, {cpu / count * 1e6:.1f} us CPU each"
    )
    await upstream.close()


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "plain"]
    count = int(words[0]) if words else 50_000
    widths = [int(words[1])] if len(words) > 1 else [1, 8, 64]
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    run = asyncio.run if "plain" in sys.argv else uvloop.run
    for concurrency in widths:
        run(_measure(port, count, concurrency))
    server.terminate()
    server.join()


if __name__ == "__main__":
    main()
