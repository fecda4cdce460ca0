"""Reading chat completions answers, whole and streamed (providers.md §1.1).

Owns what of an answer is output, what is the end of a stream, and what a client that did not ask for usage gets to see.
"""

import re
from typing import Any

import msgspec

from farebox.dialects import spans
from farebox.dialects.base import Ask, Report
from farebox.dialects.meter import UNREADABLE, HoldingMeter, as_text, decode, flags_of, raw_usage, size
from farebox.dialects.openai import usage as usage_reader
from farebox.dialects.openai.hosts import OPENAI, Host
from farebox.dialects.sse import with_payload
from farebox.usage import Usage

_DONE = b"[DONE]"
_NULL_USAGE = b',"usage":null'
_NULL_USAGE_END = _NULL_USAGE + b"}\n\n"
_SCALARS_TO_THE_END = re.compile(rb'(?:,"[^"\\]*+":(?:"[^"\\]*+"|null|true|false|[-+.0-9eE]++))*+\}[\r\n]*+')


class _Said(msgspec.Struct, gc=False):
    """A message, or a piece of one. Leaves are loose: hosts differ, and a surprise in one field must not hide the usage."""

    content: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    reasoning_content: Any = None
    reasoning: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: Any = 0
    finish_reason: Any = None
    delta: _Said | None = None
    message: _Said | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Any = msgspec.UNSET
    model: Any = None
    id: Any = None
    service_tier: Any = None
    error: Any = None
    x_groq: Any = None


_CHUNK = msgspec.json.Decoder(_Chunk)


class _Whole(_Chunk, gc=False):
    """A whole answer, with its usage as it is written."""

    usage: msgspec.Raw = msgspec.Raw()


_WHOLE = msgspec.json.Decoder(_Whole)
_NO_USAGE = (b"", b"null")


class _Own(msgspec.Struct, gc=False):
    x_groq: msgspec.Raw = msgspec.Raw()


_OWN = msgspec.json.Decoder(_Own)


def _said_bytes(said: _Said) -> int:
    delivered = size(said.content) if said.content is not None else 0
    if said.refusal is not None:
        delivered += size(said.refusal)
    if said.tool_calls is not None:
        delivered += _calls_bytes(said.tool_calls)
    if said.function_call is not None:
        delivered += _call_bytes(said.function_call)
    if said.reasoning_content is not None or said.reasoning is not None:
        delivered += max(size(said.reasoning_content), size(said.reasoning))  # some hosts say the same under both names
    return delivered


def _calls_bytes(calls: Any) -> int:
    if type(calls) is not list:
        return size(calls)
    return sum(_call_bytes(call.get("function") or call.get("custom")) if type(call) is dict else size(call) for call in calls)


def _call_bytes(call: Any) -> int:
    if type(call) is not dict:
        return size(call)
    return size(call.get("name")) + size(call.get("arguments")) + size(call.get("input"))


class _Seen(msgspec.Struct):
    """What the answer said about itself so far."""

    model: str = ""
    id: str = ""
    tier: str = ""

    def note(self, chunk: _Chunk) -> None:
        """Takes over what a chunk says."""
        self.model = as_text(chunk.model) or self.model
        self.id = as_text(chunk.id) or self.id
        self.tier = as_text(chunk.service_tier) or self.tier

    def usage(self, raw: bytes, ask: Ask, host: Host) -> Usage | str:
        """Reads a usage object in the light of what else was said."""
        return usage_reader.read(raw, ask, model_served=self.model, tier_served=self.tier, host=host)


def read(ask: Ask, body: bytes, host: Host = OPENAI) -> Report:
    """Reads a whole answer: at once where its report is plain, as nearly all are, else as an event of a stream is read."""
    try:
        answer = _WHOLE.decode(body)
    except UNREADABLE:
        return _read_again(ask, body, host)
    raw = bytes(answer.usage)
    model = as_text(answer.model)
    usage = None
    if raw not in _NO_USAGE:
        usage = usage_reader.plain(raw, ask, model, as_text(answer.service_tier), host)
        if usage is None:
            return _read_again(ask, body, host)
    return _report(answer, model, usage, ())


def _read_again(ask: Ask, body: bytes, host: Host) -> Report:
    """What was made of an answer is made of it that has to be repaired, or whose report is another: what cannot be read in it counts too."""
    answer = decode(_CHUNK, body)
    if answer is None:
        return Report(delivered_bytes=len(body), flags=("unreadable_answer",))
    model = as_text(answer.model)
    if type(answer.usage) is msgspec.UnsetType or answer.usage is None:
        return _report(answer, model, None, ())
    found = usage_reader.careful(raw_usage(body), ask, model, as_text(answer.service_tier), host)
    return _report(answer, model, None, (found,)) if isinstance(found, str) else _report(answer, model, found, found.flags)


def _report(answer: _Chunk, model: str, usage: Usage | None, flags: tuple[str, ...]) -> Report:
    delivered = 0
    for choice in answer.choices or ():
        if choice.message is not None:
            delivered += _said_bytes(choice.message)
    return Report(
        usage=usage,
        delivered_bytes=delivered,
        finished=bool(answer.choices),
        upstream_error=answer.error is not None,
        model_served=model,
        response_id=as_text(answer.id),
        flags=flags,
    )


class ChatMeter(HoldingMeter):
    """Meters one streamed chat completion."""

    __slots__ = ("_ask", "_final", "_finished_choices", "_host", "_raw_usage", "_seen")

    def __init__(self, ask: Ask, host: Host = OPENAI) -> None:
        super().__init__()
        self._ask = ask
        self._host = host
        self._seen = _Seen()
        self._raw_usage = b""
        self._final = False
        """The last usage came when every choice had finished, and no output came after it."""
        self._finished_choices: set[Any] = set()

    def observe(self, event: bytes, data: bytes) -> bytes:
        """Reads one event."""
        if data == _DONE:
            self.finished = True
            self.hold()
            return event
        chunk = decode(_CHUNK, data)
        if chunk is None:
            return self.opaque(event, data)
        if chunk.error is not None:
            self.upstream_error = True
        if not self._seen.id or chunk.service_tier not in (None, self._seen.tier):
            self._seen.note(chunk)
        for choice in chunk.choices or ():
            if choice.delta is not None and (said := _said_bytes(choice.delta)):
                self.delivered += said
                self._final = False
            if choice.finish_reason:  # some hosts send "" until the end
                self._finish(choice.index)
        if chunk.x_groq is not None and (own := raw_usage(_own(data))):
            self._raw_usage, self._final = own, self._all_choices_finished()
        if chunk.usage is msgspec.UNSET:
            return event
        return self._usage(event, data, chunk)

    def close(self) -> bytes:
        """The upstream has ended. An answer with all its finishes and its report is whole, even from a host that sends no `[DONE]`."""
        piece = super().close()
        self.finished = self.finished or (self._final and not self.upstream_error)
        return piece

    def complete(self, data: bytes) -> bool:
        """Whether the data of an unterminated event is whole."""
        return data == _DONE or super().complete(data)

    def report(self) -> Report:
        """What is known now. Some hosts send counts so far with each piece: in a stream that broke, only a final report counts."""
        flags = list(self.flags)
        usage = None
        if self._raw_usage and (self.finished or self._final):
            found = self._seen.usage(self._raw_usage, self._ask, self._host)
            if isinstance(found, str):
                flags.append(found)
            else:
                usage = found
        return Report(
            usage=usage,
            delivered_bytes=self.delivered,
            finished=self.finished,
            upstream_error=self.upstream_error,
            model_served=self._seen.model,
            response_id=self._seen.id,
            flags=flags_of(usage, flags),
        )

    def _finish(self, index: Any) -> None:
        self._finished_choices.add(index if type(index) is int else 0)
        if self._all_choices_finished():
            self.hold()

    def _usage(self, event: bytes, data: bytes, chunk: _Chunk) -> bytes:
        """A chunk with a `usage` member: null on most, the report on the last. The last report counts, whatever came before."""
        if chunk.usage is None:
            return without_null_usage(event, data) if self._ask.hides_usage else event
        self._raw_usage = raw_usage(data)
        self._final = self._all_choices_finished()
        if chunk.choices:
            return event  # a host that reports on its content chunks does so unasked: not ours to take out
        self.hold()
        return b"" if self._ask.hides_usage else event

    def _all_choices_finished(self) -> bool:
        return len(self._finished_choices) >= self._ask.demand.choices


def _own(data: bytes) -> bytes:
    """Groq's own member, which has the usage of a stream whether it was asked for or not."""
    found = decode(_OWN, data)
    return bytes(found.x_groq) if found is not None else b""


def without_null_usage(event: bytes, data: bytes) -> bytes:
    """The event as the provider sends it when no usage was asked for: without the top-level member `"usage":null`."""
    if event.endswith(_NULL_USAGE_END):
        return event[: -len(_NULL_USAGE_END)] + b"}\n\n"
    at = event.rfind(_NULL_USAGE)
    if at > 0 and _SCALARS_TO_THE_END.fullmatch(event, at + len(_NULL_USAGE)):
        return event[:at] + event[at + len(_NULL_USAGE) :]
    span = spans.member(data, "usage")
    return event if span is None else with_payload(event, data, spans.removed(data, span))
