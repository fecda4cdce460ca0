"""Reading Converse answers, whole and streamed (providers.md §4, A7).

Owns what of an answer is output, and where a stream has its end: in its metadata, which alone tells usage, after the message has stopped.
"""

from typing import Any

import msgspec

from farebox.dialects.base import Ask, Report
from farebox.dialects.bedrock import frames
from farebox.dialects.bedrock import usage as usage_reader
from farebox.dialects.meter import HoldingMeter, decode, flags_of, raw_usage, size
from farebox.dialects.sse import Oversized
from farebox.usage import Usage


class _Answer(msgspec.Struct, rename="camel"):
    output: Any = None
    stop_reason: Any = None
    usage: Any = None
    service_tier: Any = None
    performance_config: Any = None


class _Event(msgspec.Struct, rename="camel"):
    start: Any = None
    delta: Any = None


_ANSWER = msgspec.json.Decoder(_Answer)
_EVENT = msgspec.json.Decoder(_Event)
_EXCEPTIONS = (b"exception", b"error")
_GENERATED = (b"contentBlockDelta", b"contentBlockStart")


def read(ask: Ask, body: bytes) -> Report:
    """Reads a whole answer."""
    answer = decode(_ANSWER, body)
    if answer is None:
        return Report(delivered_bytes=len(body), flags=("unreadable_answer",))
    usage, flags = _usage(answer, body, ask)
    output = answer.output if type(answer.output) is dict else {}
    message = output.get("message")
    content = message.get("content") if type(message) is dict else None
    return Report(
        usage=usage,
        delivered_bytes=sum(map(_shown_bytes, content if type(content) is list else ())),
        finished=type(message) is dict or usage is not None,
        flags=flags_of(usage, flags),
    )


def _usage(told: _Answer, data: bytes, ask: Ask) -> tuple[Usage | None, list[str]]:
    found = usage_reader.read(told.usage, raw_usage(data), ask, tier=told.service_tier, performance=told.performance_config)
    return (None, [found]) if isinstance(found, str) else (found, [])


def _shown_bytes(part: Any) -> int:
    """What of a block, or a piece of one, was generated: text, reasoning, a tool's name and arguments."""
    if type(part) is not dict:
        return 0
    shown = size(part.get("text"))
    for name in ("toolUse", "reasoningContent", "citationsContent", "image"):
        inner = part.get(name)
        if type(inner) is dict:
            shown += sum(size(value) for key, value in inner.items() if key not in ("toolUseId", "type"))
    return shown


class ConverseMeter(HoldingMeter):
    """Meters one stream of frames, byte for byte. From the end of the message on, everything waits for the charge."""

    __slots__ = ("_ask", "_broken", "_frames", "_kind", "_usage", "_usage_flags")

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._frames = frames.FrameSplitter()
        self._broken = False
        self._kind = b""
        self._usage: Usage | None = None
        self._usage_flags: list[str] = []

    def feed(self, data: bytes) -> bytes:
        """What may be relayed now. After bytes that are no frames there is nothing that a client could read."""
        if self._broken:
            return b""
        found, broken = self._frames.feed(data)
        out = b"".join([self._take(frame) for frame in found])
        if broken:
            self._break()
        return out

    def close(self) -> bytes:
        """The upstream has ended; a part of a frame is dropped, as every client would."""
        if self._frames.close() and not self._broken:
            self.flag("cut_event")
        return b""

    def observe(self, event: bytes, data: bytes) -> bytes:
        """Reads the payload of one event."""
        if self._kind == b"metadata":
            self._end(data)
        elif self._kind == b"messageStop":
            self.hold()
        elif self._kind in _GENERATED:
            said = decode(_EVENT, data)
            if said is None:
                return self.opaque(event, data)
            self.delivered += _shown_bytes(said.delta) + _shown_bytes(said.start)
        return event

    def report(self) -> Report:
        """What is known now."""
        return Report(
            usage=self._usage,
            delivered_bytes=self.delivered,
            finished=self.finished,
            upstream_error=self.upstream_error,
            flags=flags_of(self._usage, [*self.flags, *self._usage_flags]),
        )

    def _read(self, event: bytes) -> bytes:
        if self._broken:
            return b""
        if type(event) is Oversized:
            return super()._read(event)
        try:
            frame = frames.read(event)
        except frames.Broken:
            self._break()
            return b""
        if frame.headers.get(b":message-type") in _EXCEPTIONS:
            self.upstream_error = True
            self.hold()
            return event
        self._kind = frame.headers.get(b":event-type", b"")
        return self.observe(event, frame.payload)

    def _break(self) -> None:
        self._broken = True
        self.flag("unreadable_event")

    def _end(self, payload: bytes) -> None:
        self.hold()
        told = decode(_ANSWER, payload)
        if told is not None:
            self._usage, self._usage_flags = _usage(told, payload, self._ask)
        self.finished = True
