"""Reading messages answers, whole and streamed (providers.md §2.1, §2.2).

Owns what of an answer is output, what is the end of a stream, and which usage of a stream is final.
"""

from typing import Any

import msgspec

from farebox.dialects.anthropic import usage as usage_reader
from farebox.dialects.anthropic.usage import Parts
from farebox.dialects.base import Ask, Report
from farebox.dialects.meter import HoldingMeter, as_text, decode, flags_of, raw_usage, size
from farebox.usage import EXPLICIT_ZERO, Usage


class _Answer(msgspec.Struct):
    id: Any = None
    model: Any = None
    content: Any = None
    usage: Any = None
    stop_reason: Any = None
    error: Any = None
    input_tokens: Any = None


class _Delta(msgspec.Struct, gc=False):
    text: Any = None
    partial_json: Any = None
    thinking: Any = None
    content: Any = None
    stop_reason: Any = None


class _Event(msgspec.Struct, gc=False):
    type: Any = None
    delta: _Delta | None = None
    message: Any = None
    content_block: Any = None
    usage: Any = None


class _Start(msgspec.Struct):
    message: msgspec.Raw = msgspec.Raw()


_ANSWER = msgspec.json.Decoder(_Answer)
_EVENT = msgspec.json.Decoder(_Event)
_START = msgspec.json.Decoder(_Start)


def _block_bytes(block: Any) -> int:
    """What of a content block was generated: text, thinking, the name and input of a tool call. Signatures and ids were not."""
    if type(block) is not dict:
        return size(block)
    delivered = size(block.get("text")) + size(block.get("thinking"))
    if "input" in block:
        delivered += size(block.get("name"))
        if block["input"]:
            delivered += size(block["input"])
    return delivered


def read(ask: Ask, body: bytes) -> Report:
    """Reads a whole answer."""
    answer = decode(_ANSWER, body)
    if answer is None:
        return Report(delivered_bytes=len(body), flags=("unreadable_answer",))
    if ask.route == "count_tokens":
        return Report(usage=EXPLICIT_ZERO, finished=answer.input_tokens is not None, upstream_error=answer.error is not None)
    flags: list[str] = []
    usage = None
    if type(answer.usage) is dict:
        found = usage_reader.read(
            Parts(answer.usage, raw_usage(body)), ask, model_served=as_text(answer.model), stop_reason=as_text(answer.stop_reason)
        )
        usage = _trusted(found, flags)
    elif answer.usage is not None:
        flags.append("absurd_usage")
    content = answer.content if type(answer.content) is list else []
    return Report(
        usage=usage,
        delivered_bytes=sum(_block_bytes(block) for block in content),
        finished=type(answer.content) is list,
        upstream_error=answer.error is not None,
        model_served=as_text(answer.model),
        response_id=as_text(answer.id),
        flags=flags_of(usage, flags),
    )


def _trusted(found: Usage | str, flags: list[str]) -> Usage | None:
    if isinstance(found, str):
        flags.append(found)
        return None
    return found


class MessageMeter(HoldingMeter):
    """Meters one streamed message."""

    __slots__ = ("_ask", "_final", "_id", "_last", "_model", "_start", "_stop_reason")

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._start: Parts | None = None
        self._last: Parts | None = None
        self._stop_reason = ""
        self._final = False
        """The last usage came with or after the stop reason, and no output came after it."""
        self._model = ""
        self._id = ""

    def observe(self, event: bytes, data: bytes) -> bytes:
        """Reads one event."""
        said = decode(_EVENT, data)
        if said is None:
            return self.opaque(event, data)
        kind = said.type
        if kind == "content_block_delta":
            self._delta(said.delta)
        elif kind == "content_block_start":
            self.delivered += _block_bytes(said.content_block)
            self._final = False
        elif kind == "message_start":
            self._begin(said.message, data)
        elif kind == "message_delta":
            self._end(said, data)
        elif kind == "message_stop":
            self.finished = True
            self.hold()
        elif kind == "error":
            self.upstream_error = True
        return event

    def report(self) -> Report:
        """What is known now. Only a usage that came with a stop reason is final: the ones before it are counts so far."""
        flags = list(self.flags)
        usage = None
        if self._last is not None and self._stop_reason and (self.finished or self._final):
            parts = usage_reader.overlaid(self._start, self._last)
            usage = _trusted(usage_reader.read(parts, self._ask, model_served=self._model, stop_reason=self._stop_reason), flags)
        return Report(
            usage=usage,
            input_seen=self._input_seen(),
            delivered_bytes=self.delivered,
            finished=self.finished,
            upstream_error=self.upstream_error,
            model_served=self._model,
            response_id=self._id,
            flags=flags_of(usage, flags),
        )

    def _input_seen(self) -> Usage | None:
        if self._start is None:
            return None
        parts = self._start if self._last is None else usage_reader.overlaid(self._start, self._last)
        return usage_reader.read_input(parts, self._ask, model_served=self._model)

    def _delta(self, delta: _Delta | None) -> None:
        if delta is None:
            return
        self._final = False
        if delta.text is not None:
            self.delivered += size(delta.text)
        elif delta.partial_json is not None:
            self.delivered += size(delta.partial_json)
        elif delta.thinking is not None:
            self.delivered += size(delta.thinking)
        elif delta.content is not None:
            self.delivered += size(delta.content)

    def _begin(self, message: Any, data: bytes) -> None:
        if type(message) is not dict:
            return
        self._id = as_text(message.get("id"))
        self._model = as_text(message.get("model"))
        if type(message.get("usage")) is dict:
            found = decode(_START, data)
            self._start = Parts(message["usage"], raw_usage(bytes(found.message)) if found is not None else b"")
        content = message.get("content")
        for block in content if type(content) is list else ():
            self.delivered += _block_bytes(block)

    def _end(self, said: _Event, data: bytes) -> None:
        if type(said.usage) is dict:
            self._last = Parts(said.usage, raw_usage(data))
        elif said.usage is not None:
            self.flag("absurd_usage")
        if said.delta is not None and said.delta.stop_reason is not None:
            self._stop_reason = as_text(said.delta.stop_reason) or "unreadable"
            self.hold()
        if type(said.usage) is dict:
            self._final = bool(self._stop_reason)
