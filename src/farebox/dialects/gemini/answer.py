"""Reading Gemini's answers, whole and streamed (providers.md §3.1, A4).

Owns what of an answer is output, what is grounded, and where a stream has its end: nothing in it says so but that every candidate has
finished. Its usage is the sum so far in every event: the last one counts.
"""

from typing import Any

import msgspec

from farebox.dialects.base import Ask, Report
from farebox.dialects.gemini import usage as usage_reader
from farebox.dialects.gemini.array import ElementSplitter, blank, element
from farebox.dialects.gemini.tools import per_prompt
from farebox.dialects.gemini.usage import Parts
from farebox.dialects.meter import HoldingMeter, as_text, decode, flags_of, size
from farebox.dialects.sse import Oversized
from farebox.usage import TOOL_GROUNDING, TOOL_GROUNDING_MAPS, Usage


class _Answer(msgspec.Struct, rename="camel"):
    candidates: Any = None
    prompt_feedback: Any = None
    usage_metadata: Any = None
    model_version: Any = None
    response_id: Any = None
    error: Any = None


class _RawUsage(msgspec.Struct, rename="camel"):
    usage_metadata: msgspec.Raw = msgspec.Raw()


_ANSWER = msgspec.json.Decoder(_Answer)
_RAW_USAGE = msgspec.json.Decoder(_RawUsage)


class Framing(msgspec.Struct):
    """How a stream is written: what an error frame must know to fit in."""

    begun: bool = False
    """The array's bracket, and something in it, was relayed."""


class Seen:
    """What the objects of one answer have said so far."""

    __slots__ = (
        *("_ask", "_candidates", "_finished", "_flags", "_maps", "_queries", "_shown", "_stale", "_usage", "_web"),
        *("delivered", "error", "id", "model"),
    )

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._candidates: set[int] = set()
        self._finished: set[int] = set()
        self._queries: dict[int, tuple[int, set[str]]] = {}
        """By candidate: the most that one list of queries had, and all different ones."""
        self._web = self._maps = False
        self._shown: set[str] = set()
        """The modalities of media in it."""
        self._usage: Parts | None = None
        self._stale = False
        """Output came after the last usage."""
        self._flags: list[str] = []
        self.delivered = 0
        self.error = False
        self.id = ""
        self.model = ""

    def take(self, said: _Answer, data: bytes) -> None:
        """Reads one object."""
        before = self.delivered
        self.id = as_text(said.response_id) or self.id
        self.model = as_text(said.model_version) or self.model
        self.error = self.error or said.error is not None
        for position, candidate in enumerate(said.candidates if type(said.candidates) is list else ()):
            if type(candidate) is dict:
                self._candidate(candidate, position)
        feedback = said.prompt_feedback
        if type(feedback) is dict and feedback.get("blockReason") is not None and not self._candidates:
            self._finished.update(range(self._ask.demand.choices))
        self._take_usage(said, data, grown=self.delivered > before)

    @property
    def over(self) -> bool:
        """Whether everything that has begun has finished."""
        return bool(self._finished) and self._candidates <= self._finished

    def usage(self, *, ended: bool) -> tuple[Usage | None, tuple[str, ...]]:
        """The final usage, and what was odd. `ended`: that was all; else every candidate asked for must have finished, and nothing have a fee:
        what the answer was grounded in may be told last.
        """
        flags = list(self._flags)
        final = ended or (self.over and len(self._finished) >= self._ask.demand.choices and not self._ask.demand.fees_max)
        if self._usage is None or self._stale or not final:
            return None, flags_of(None, flags)
        found = usage_reader.read(self._usage, self._ask, model_served=self.model, fees=self._fees(), shown=self._shown)
        if isinstance(found, str):
            return None, flags_of(None, [*flags, found])
        return found, flags_of(found, flags)

    def input_seen(self) -> Usage | None:
        """The exact input, as soon as it is known."""
        found = usage_reader.read_input(self._usage, self._ask, model_served=self.model) if self._usage is not None else ""
        return None if isinstance(found, str) else found

    def _take_usage(self, said: _Answer, data: bytes, *, grown: bool) -> None:
        if type(said.usage_metadata) is dict:
            raw = decode(_RAW_USAGE, data)
            self._usage, self._stale = Parts(said.usage_metadata, bytes(raw.usage_metadata) if raw is not None else b""), False
        elif grown:
            self._stale = True
        if said.usage_metadata is not None and type(said.usage_metadata) is not dict:
            self._flags.append("absurd_usage")
            self._stale = True

    def _candidate(self, candidate: dict[str, Any], position: int) -> None:
        told = candidate.get("index")
        index = told if type(told) is int else position
        self._candidates.add(index)
        if candidate.get("finishReason") is not None:
            self._finished.add(index)
        content = candidate.get("content")
        parts = content.get("parts") if type(content) is dict else None
        for part in parts if type(parts) is list else ():
            self.delivered += _part_bytes(part)
            self._shown.update(_modality(part))
        if type(candidate.get("groundingMetadata")) is dict:
            self._ground(candidate["groundingMetadata"], index)

    def _ground(self, grounding: dict[str, Any], index: int) -> None:
        queries = _strings(grounding.get("webSearchQueries")) + _strings(grounding.get("imageSearchQueries"))
        chunks = grounding.get("groundingChunks")
        kinds = {kind for chunk in (chunks if type(chunks) is list else ()) if type(chunk) is dict for kind in chunk}
        self._maps = self._maps or "maps" in kinds or bool(grounding.get("googleMapsWidgetContextToken"))
        self._web = self._web or bool(queries) or (bool(grounding) and "maps" not in kinds)
        most, known = self._queries.get(index, (0, set()))
        self._queries[index] = max(most, len(queries)), known | set(queries)

    def _fees(self) -> dict[str, int]:
        """Grounding: by the answer or by the query, as the model that answered is charged."""
        queries = sum(max(most, len(known)) for most, known in self._queries.values())
        searches = int(self._web) if per_prompt(self.model or self._ask.model) else queries
        return {TOOL_GROUNDING: searches, TOOL_GROUNDING_MAPS: int(self._maps)}


def read(ask: Ask, body: bytes) -> Report:
    """Reads a whole answer."""
    answer = decode(_ANSWER, body)
    if answer is None:
        return Report(delivered_bytes=len(body), flags=("unreadable_answer",))
    seen = Seen(ask)
    seen.take(answer, body)
    usage, flags = seen.usage(ended=True)
    return Report(
        usage=usage,
        input_seen=seen.input_seen(),
        delivered_bytes=seen.delivered,
        finished=not seen.error
        and (type(answer.candidates) is list or dict in (type(answer.prompt_feedback), type(answer.usage_metadata))),
        upstream_error=seen.error,
        model_served=seen.model,
        response_id=seen.id,
        flags=flags,
    )


class EventMeter(HoldingMeter):
    """Meters a stream of events. Its end is that of the connection: what comes once every candidate has finished is withheld until then."""

    __slots__ = ("_seen",)

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._seen = Seen(ask)

    def observe(self, event: bytes, data: bytes) -> bytes:
        """Reads one event."""
        said = decode(_ANSWER, data)
        if said is None:
            return self.opaque(event, data)
        self._seen.take(said, data)
        self.upstream_error = self._seen.error
        if self._seen.over:
            self.hold()
        return event

    def close(self) -> bytes:
        """The connection has ended: that was the end, if every candidate has finished."""
        rest = super().close()
        self.finished = self._seen.over and not self.upstream_error
        return rest

    def report(self) -> Report:
        """What is known now."""
        usage, flags = self._seen.usage(ended=self.finished)
        trusted = not {"unreadable_event", "oversized_event"} & set(self.flags) or self.finished
        return Report(
            usage=usage if trusted else None,
            input_seen=self._seen.input_seen(),
            delivered_bytes=self.delivered + self._seen.delivered,
            finished=self.finished,
            upstream_error=self.upstream_error,
            model_served=self._seen.model,
            response_id=self._seen.id,
            flags=tuple(dict.fromkeys((*self.flags, *flags))),
        )


class ArrayMeter(EventMeter):
    """Meters one JSON array that comes in pieces. Its bracket is withheld, too."""

    __slots__ = ("_elements", "_framing")

    def __init__(self, ask: Ask, framing: Framing) -> None:
        super().__init__(ask)
        self._elements = ElementSplitter()
        self._framing = framing

    def feed(self, data: bytes) -> bytes:
        """What may be relayed now."""
        return self._noted(b"".join([self._take(piece) for piece in self._elements.feed(data)]))

    def close(self) -> bytes:
        """The connection has ended."""
        rest = self._elements.close()
        if not blank(rest):
            self.flag("cut_event")
        out = self._noted(self._take(rest) if rest and blank(rest) else b"")
        super().close()
        self.finished = self.finished and self._elements.whole
        return out

    @property
    def held_back(self) -> bytes:
        """The withheld end. Of an array that is not whole nothing: the error that follows takes its place, and closes it."""
        return super().held_back if self.finished or self.upstream_error or self._released else b""

    def _noted(self, out: bytes) -> bytes:
        self._framing.begun = self._framing.begun or bool(out)
        return out

    def _read(self, event: bytes) -> bytes:
        if type(event) is Oversized:
            return super()._read(event)
        data = element(event)
        if data and not blank(data):
            return self.observe(event, data)
        self.hold()
        return event


def _part_bytes(part: Any) -> int:
    """What of a part was generated: text and thoughts, a call's name and arguments, programs, media."""
    if type(part) is not dict:
        return size(part)
    delivered = size(part.get("text"))
    for name in ("functionCall", "executableCode", "toolCall"):
        if type(part.get(name)) is dict:
            delivered += sum(size(value) for key, value in part[name].items() if key != "id" and value)
    blob = part.get("inlineData")
    return delivered + (size(blob.get("data")) if type(blob) is dict else 0)


def _modality(part: Any) -> tuple[str, ...]:
    """Of the medium in a part."""
    blob = part.get("inlineData") if type(part) is dict else None
    return (as_text(blob.get("mimeType")).partition("/")[0].upper(),) if type(blob) is dict else ()


def _strings(value: Any) -> list[str]:
    return [one for one in value if type(one) is str] if type(value) is list else []
