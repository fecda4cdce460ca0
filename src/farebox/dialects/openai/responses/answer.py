"""Reading responses, whole and streamed (providers.md §1.2, Appendix A2).

Owns what of a response is output, which events end a stream, and what a response that is not over yet says.
"""

from typing import Any

import msgspec

from farebox import limits
from farebox.dialects.base import OUTPUT_UNSEEN, Ask, Made, Report
from farebox.dialects.meter import HoldingMeter, as_text, decode, flags_of, raw_usage, size
from farebox.dialects.openai.responses import kept
from farebox.dialects.openai.responses import usage as usage_reader
from farebox.dialects.openai.responses.request import facts_of
from farebox.dialects.patterns import object_id
from farebox.usage import OUT_TEXT, Usage

_ENDS = frozenset(("completed", "incomplete", "failed", "cancelled"))
_GOES_ON = frozenset(("queued", "in_progress"))
_TERMINAL = frozenset(("response.completed", "response.incomplete", "response.failed", "response.cancelled"))


_NUMBERS = (int, float)


class _Response(msgspec.Struct):
    id: Any = None
    model: Any = None
    status: Any = None
    usage: Any = None
    tool_usage: Any = None
    output: Any = None
    service_tier: Any = None
    error: Any = None
    created_at: Any = None
    completed_at: Any = None


class _Event(msgspec.Struct, gc=False):
    type: Any = None
    delta: Any = None
    item: Any = None
    sequence_number: Any = None


class _Ending(msgspec.Struct):
    response: msgspec.Raw = msgspec.Raw()


_RESPONSE = msgspec.json.Decoder(_Response)
_EVENT = msgspec.json.Decoder(_Event)
_ENDING = msgspec.json.Decoder(_Ending)


def _item_bytes(item: Any) -> int:
    """What of an item was generated: text, refusals, shown reasoning, names and arguments of calls."""
    if type(item) is not dict:
        return size(item)
    delivered = size(item.get("name")) + size(item.get("arguments")) + size(item.get("input")) + size(item.get("code"))
    for name in ("content", "summary"):
        parts = item.get(name)
        for part in parts if type(parts) is list else ():
            delivered += size(part.get("text")) + size(part.get("refusal")) if type(part) is dict else size(part)
    return delivered


def read(ask: Ask, body: bytes) -> Report:
    """Reads a whole response, or what is known of one that goes on in the background."""
    answer = decode(_RESPONSE, body)
    if answer is None:
        return Report(delivered_bytes=len(body), flags=("unreadable_answer",))
    name, status = as_text(answer.id), as_text(answer.status)
    if status in _GOES_ON and (place := _poll_target(ask, name)):
        return Report(response_id=name, model_served=as_text(answer.model), poll_target=place)
    flags: list[str] = []
    usage = _usage(ask, answer, body, flags)
    if usage is None and ask.background and status == "cancelled":
        flags.append(OUTPUT_UNSEEN)
    output = answer.output if type(answer.output) is list else []
    return Report(
        usage=usage,
        delivered_bytes=sum(_item_bytes(item) for item in output),
        finished=status in _ENDS,
        upstream_error=status == "failed",
        model_served=as_text(answer.model),
        response_id=name,
        made=kept.made_of(output, None if usage is None else usage.units.get(OUT_TEXT, 0)) if kept.ITEM in ask.stores else (),
        flags=flags_of(usage, flags),
    )


def _poll_target(ask: Ask, name: str) -> str:
    """Where a response in the background is asked after; nothing where it is none, or its id cannot be one."""
    return f"/responses/{name}" if ask.background and object_id("/" + name, "/") is not None else ""


def _usage(ask: Ask, answer: _Response, body: bytes, flags: list[str]) -> Usage | None:
    if type(answer.usage) is not dict:
        if answer.usage is not None:
            flags.append("absurd_usage")
        return None
    found = usage_reader.read(
        answer.usage,
        raw_usage(body),
        answer.tool_usage,
        answer.output,
        ask,
        model=as_text(answer.model),
        tier=as_text(answer.service_tier),
        seconds=_seconds(answer.created_at, answer.completed_at),
    )
    if isinstance(found, str):
        flags.append(found)
        return None
    return found


def _seconds(began: Any, ended: Any) -> int:
    """How long a response took, begun seconds counted; nothing where it does not say."""
    if type(began) not in _NUMBERS or type(ended) not in _NUMBERS or not 0 <= began <= ended:
        return 0
    return int(ended) - int(began)


class ResponseMeter(HoldingMeter):
    """Meters one streamed response. Only its terminal event says what it cost."""

    __slots__ = ("_ask", "_begun", "_end", "_facts", "_id", "_model")

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._begun: list[Made] = []
        """Items that the client has seen, of a stream that is not over."""
        self._end: Report | None = None
        self._facts = facts_of(ask)
        self._id = ""
        self._model = ""

    def observe(self, event: bytes, data: bytes) -> bytes:
        """Reads one event."""
        said = decode(_EVENT, data)
        if said is None:
            return self.opaque(event, data)
        kind = as_text(said.type)
        if type(said.sequence_number) is int:
            self._facts.sequence = said.sequence_number
        if said.delta is not None:
            self.delivered += size(said.delta)
        elif kind == "response.output_item.added" and type(said.item) is dict:
            self.delivered += size(said.item.get("name"))
            self._begin(said.item)
        elif kind in _TERMINAL:
            self.hold()
            self._end = self._read_end(data)
            self.finished = True
        elif kind == "response.created":
            begun = decode(_ENDING, data)
            response = decode(_RESPONSE, bytes(begun.response)) if begun is not None else None
            if response is not None:
                self._id, self._model = as_text(response.id), as_text(response.model)
        elif kind == "error":
            self.upstream_error = True
        return event

    def report(self) -> Report:
        """What is known now."""
        if self._end is not None:
            end = self._end
            end.delivered_bytes = max(end.delivered_bytes, self.delivered)
            end.finished = self.finished
            end.flags = flags_of(end.usage, [*self.flags, *end.flags])
            return end
        return Report(
            delivered_bytes=self.delivered,
            upstream_error=self.upstream_error,
            model_served=self._model,
            response_id=self._id,
            made=tuple(self._begun),
            poll_target=_poll_target(self._ask, self._id),
            flags=flags_of(None, self.flags),
        )

    def _begin(self, item: dict[str, Any]) -> None:
        """Whose it is has to be known although the stream may break off: the provider may keep it all the same."""
        if kept.ITEM in self._ask.stores and len(self._begun) < limits.response_items_max and (begun := kept.begun(item)) is not None:
            self._begun.append(begun)

    def _read_end(self, data: bytes) -> Report:
        ending = decode(_ENDING, data)
        found = read(self._ask, bytes(ending.response)) if ending is not None else Report(flags=("unreadable_answer",))
        found.response_id = found.response_id or self._id
        found.made = kept.with_begun(found.made, self._begun)
        found.upstream_error = False  # a failed response is an end of its own: the client is shown it
        return found
