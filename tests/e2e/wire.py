"""A client on a bare socket: one that leaves, dawdles, sends nonsense, or does not read. Owns bytes; knows nothing of what they mean."""

import asyncio
import json
from types import TracebackType
from typing import Any, Self

from support.house import House

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-5-5"}
"""The first shows all its output, the second may hide some."""
ENDS = {"openai": b"data: [DONE]\n\n", "anthropic": b'{"type":"message_stop"}\n\n'}


def body_of(dialect: str, text: str, **fields: Any) -> bytes:
    asked: dict[str, Any] = {"model": MODELS[dialect], "messages": [{"role": "user", "content": text}], **fields}
    if dialect == "anthropic":
        asked.setdefault("max_tokens", 4000)
    return json.dumps(asked).encode()


def request(secret: str, body: bytes, *more: str, path: str = PATHS["openai"], method: str = "POST") -> bytes:
    """A whole request; `more` are header lines."""
    lines = [f"{method} {path} HTTP/1.1", "host: gateway", "content-type: application/json", f"authorization: Bearer {secret}", *more]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in more):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Wire:
    """One connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.seen = b""
        """Everything that came so far."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.leave()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def ask(self, secret: str, text: str, dialect: str = "openai", *more: str, **fields: Any) -> None:
        """Sends one call."""
        self.send(request(secret, body_of(dialect, text, **fields), *more, path=PATHS[dialect]))
        await self.writer.drain()

    async def until(self, mark: bytes) -> bytes:
        """Reads until a mark was seen, in what came since the beginning."""
        while mark not in self.seen:
            piece = await self.reader.read(65536)
            assert piece, f"the gateway closed before {mark!r}: {self.seen[-600:]!r}"
            self.seen += piece
        return self.seen

    def arrived(self) -> bytes:
        """What was read, and what has come and was not."""
        return self.seen + bytes(self.reader._buffer)  # type: ignore[attr-defined]  # there is no public way to look without reading

    async def rest(self) -> bytes:
        """Reads until the gateway closes."""
        try:
            while piece := await self.reader.read(65536):
                self.seen += piece
        except ConnectionResetError:
            pass
        return self.seen

    def leave(self) -> None:
        """Is gone, without a goodbye."""
        self.writer.transport.abort()


async def dial(house: House, **more: Any) -> Wire:
    """A new connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port, **more)
    house.sockets.append(writer)
    return Wire(reader, writer)


async def answered(wire: Wire) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer that has a length."""
    head, _, rest = (await wire.until(b"\r\n\r\n")).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(rest) < int(headers["content-length"]):
        piece = await wire.reader.read(65536)
        assert piece, "cut short"
        wire.seen += piece
        rest += piece
    return int(first.split(" ")[1]), headers, rest
