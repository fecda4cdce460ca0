"""Gemini's generateContent and streamGenerateContent: answers, streams of events or of one JSON array. Pure.

Requests are read in `gemini_requests.py`.
"""

from collections.abc import Iterator

import msgspec

from .dialect import Frame
from .gemini_body import Counts, Told, spread
from .gemini_dialect import JSON_UTF8, Gemini
from .gemini_requests import read_generate
from .generation import PLAIN, Ask, Generation, arguments, pieces, text
from .refusals import RefusedError
from .spoil import spoil_usage
from .wire import Request

# A picture of one pixel: its tokens are those of `sim:image_out`, not those of its size.
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_SILENCE = "AAAAAAAAAAAAAAAA"
"""In base64, for each token of sound: far less than a real one lasts."""
_TIERS = {"flex": "FLEX", "priority": "PRIORITY"}
_encode = msgspec.json.encode
Event = tuple[dict[str, object], int]
"""One object of a stream and the output tokens it carries."""


class GenerateContent(Gemini):
    """`generateContent`."""

    _streamed = False
    _content_type = JSON_UTF8

    def read(self, request: Request) -> Ask:
        """The request. What the provider would refuse is refused."""
        return read_generate(request.body, self.model_of(request), streamed=self._streamed, content_type=self._content_type)

    def answer(self, generation: Generation) -> bytes:
        """One object with every candidate whole."""
        finish = _finish_reason(generation)
        usage = _usage(generation, generation.output_total - generation.reasoning_total)
        if generation.ask.words.block:
            return _encode(_blocked(generation, usage))
        parts = _media_parts(generation) + _text_parts(generation)
        candidates = [_candidate(generation, index, parts, finish) for index in range(generation.ask.choices)]
        return _encode(_object(generation, candidates, usage))

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """An event for each piece, in each the usage so far; for each candidate a last one with its finish."""
        for data, tokens in _events(generation):
            yield b"data: " + _encode(data) + b"\r\n\r\n", tokens


class StreamEvents(GenerateContent):
    """`streamGenerateContent?alt=sse`: no event says that it was the last."""

    method = "streamGenerateContent"
    _streamed = True
    _content_type = b"text/event-stream"


class StreamArray(GenerateContent):
    """`streamGenerateContent` without `alt=sse`: one JSON array, written as it comes, in pieces that end anywhere."""

    method = "streamGenerateContent"
    _streamed = True

    def __init__(self, version: str = "v1beta") -> None:
        super().__init__(version)
        self._opened = False

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """Each object in two writes: cut in the middle, or between the two bytes of the line's end that parts it from the one before."""
        opening = b"["
        for number, (data, tokens) in enumerate(_events(generation)):
            written = opening + _encode(data)
            at = 2 if number % 2 else len(written) // 2
            yield written[:at], 0
            yield written[at:], tokens
            self._opened, opening = True, b",\r\n"
        yield b"]", 0

    def error(self, refused: RefusedError, call_id: bytes) -> bytes:
        """Errors are in an array, too."""
        return b"[" + super().error(refused, call_id) + b"]"

    def error_frame(self, refused: RefusedError, call_id: bytes) -> bytes:
        """The array's last member."""
        error = self.error(refused, call_id)
        return b",\r\n" + error[1:] if self._opened else error


def modality_counts(counts: Counts) -> list[dict[str, object]]:
    """Tokens by modality as the API writes them; none that are zero."""
    return [{"modality": modality, "tokenCount": tokens} for modality, tokens in counts if tokens]


def reported(generation: Generation, usage: dict[str, object]) -> msgspec.Raw | None:
    """The usage as `sim:usage` asks for it; None when it is missing."""
    how = generation.ask.words.usage
    written = spoil_usage(_encode(usage), how, "promptTokenCount")
    return msgspec.Raw(written) if written else None


def told_of(generation: Generation) -> Told:
    """What the request's reader noted for the answer."""
    told = generation.ask.detail
    if not isinstance(told, Told):
        raise TypeError("the ask of another dialect")
    return told


def _events(generation: Generation) -> Iterator[Event]:
    """The objects of a stream: every candidate's first piece, every candidate's second, in the end a finish for each."""
    candidates, hidden, told = range(generation.ask.choices), generation.reasoning, told_of(generation)
    sent = 0
    if generation.ask.words.block:
        yield _blocked(generation, _usage(generation, 0)), 0
        return
    for parts, tokens in _piece_parts(generation, told):
        for index in candidates:
            sent += tokens
            yield _object(generation, [_candidate(generation, index, parts)], _usage(generation, sent)), tokens + hidden
        hidden = 0
    for index in candidates:
        last = _candidate(generation, index, [{"text": ""}], _finish_reason(generation))
        yield _object(generation, [last], _usage(generation, generation.output_total - generation.reasoning_total)), 0


def _piece_parts(generation: Generation, told: Told) -> Iterator[tuple[list[dict[str, object]], int]]:
    """What one candidate says at a time. A call of a function comes whole."""
    if told.image or generation.audio:
        yield _media_parts(generation), told.image + generation.audio
    if generation.ask.tool is not None:
        if generation.visible:
            yield _text_parts(generation), generation.visible
        return
    for piece, tokens in pieces(generation):
        yield [{"text": piece}], tokens


def _object(generation: Generation, candidates: list[dict[str, object]], usage: dict[str, object]) -> dict[str, object]:
    """A `GenerateContentResponse`."""
    whole: dict[str, object] = {"candidates": candidates}
    return whole | _ending(generation, usage)


def _blocked(generation: Generation, usage: dict[str, object]) -> dict[str, object]:
    feedback: dict[str, object] = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
    return feedback | _ending(generation, usage)


def _ending(generation: Generation, usage: dict[str, object]) -> dict[str, object]:
    written = reported(generation, usage)
    named: dict[str, object] = {} if written is None else {"usageMetadata": written}
    return named | {"modelVersion": generation.ask.model, "responseId": generation.id.decode()}


def _candidate(generation: Generation, index: int, parts: list[dict[str, object]], finish: str = "") -> dict[str, object]:
    candidate: dict[str, object] = {"content": {"parts": parts, "role": "model"}}
    if finish:
        candidate["finishReason"] = finish
    candidate["index"] = index
    if finish and generation.ask.words.queries and not index:
        candidate["groundingMetadata"] = _grounding(generation.ask.words.queries)
    return candidate


def _grounding(queries: int) -> dict[str, object]:
    return {
        "webSearchQueries": [f"simulated query {number}" for number in range(1, queries + 1)],
        "searchEntryPoint": {"renderedContent": "<div></div>"},
        "groundingChunks": [{"web": {"uri": "https://example.org/", "title": "example.org"}}],
    }


def _text_parts(generation: Generation) -> list[dict[str, object]]:
    if generation.ask.tool is None:
        return [{"text": text(generation)}] if generation.visible else []
    if generation.truncated:
        return []
    written = msgspec.Raw(arguments(generation).encode() or b"{}")
    return [{"functionCall": {"id": generation.stem.decode(), "name": generation.ask.tool, "args": written}}]


def _media_parts(generation: Generation) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    if told_of(generation).image:
        found.append({"inlineData": {"mimeType": "image/png", "data": _PNG}})
    if generation.audio:
        found.append({"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": _SILENCE * generation.audio}})
    return found


def _finish_reason(generation: Generation) -> str:
    return "MAX_TOKENS" if generation.truncated or told_of(generation).cut else "STOP"


def _usage(generation: Generation, said: int) -> dict[str, object]:
    """What is used so far, with so many tokens of candidates. What is zero is left out, as everywhere in this API."""
    told, words, thoughts = told_of(generation), generation.ask.words, generation.reasoning_total
    image = min(said, told.image * generation.ask.choices)
    audio = min(said - image, generation.audio * generation.ask.choices)
    counts = {
        "promptTokenCount": told.prompt,
        "cachedContentTokenCount": generation.cached,
        "candidatesTokenCount": said,
        "thoughtsTokenCount": thoughts,
        "toolUsePromptTokenCount": words.tool_use,
        "totalTokenCount": told.prompt + said + thoughts + words.tool_use,
    }
    usage: dict[str, object] = {name: count for name, count in counts.items() if count}
    details = {
        "promptTokensDetails": told.modalities,
        "cacheTokensDetails": spread(generation.cached, told.modalities),
        "candidatesTokensDetails": (("TEXT", said - image - audio), ("IMAGE", image), ("AUDIO", audio)) if image or audio else (),
        "toolUsePromptTokensDetails": (("TEXT", words.tool_use),),
    }
    usage |= {name: found for name, counted in details.items() if (found := modality_counts(counted))}
    if generation.terms is not PLAIN:
        usage["serviceTier"] = _TIERS.get(generation.terms.service_tier, "STANDARD")
    return usage
