"""OpenAI's `/v1/responses`: its requests, and what is kept of them for the requests that go on from there."""

from collections.abc import Iterator, Mapping
from typing import cast

import msgspec

from .desk import Kept
from .dialect import Frame
from .generation import NO_UNITS, Ask, Generation, prompt_tokens
from .openai_dialect import OpenAIDialect, check_parts, missing, terms, tool_of
from .openai_items import keep, recall, shown
from .openai_media import NONE, media_of
from .openai_response import Asked, Item, asked_of, response, response_id, status_at_end
from .openai_response_stream import frame, frames
from .openai_tools import tools_used
from .reading import NOTHING, decode, heed, obey
from .refusals import RefusedError, invalid
from .schemas import Format, said_in
from .wire import Request
from .words import NO_WORDS, Words

OUTPUT_TOKENS_MIN = 16
_ENCRYPTED = "reasoning.encrypted_content"
STORED_PROMPT_TOKENS = 100
"""What a stored prompt (`prompt.id`) adds to the input: not in the request's bytes, like the conversation before it."""


class _CacheOptions(msgspec.Struct):
    ttl: str | None = None
    prewarm: bool | None = None


class _Text(msgspec.Struct):
    format: Format | None = None


class _Conversation(msgspec.Struct):
    id: str = ""


class _Body(msgspec.Struct):
    model: str | None = None
    input: str | list[msgspec.Raw] | None = None
    instructions: msgspec.Raw = NOTHING
    tools: list[msgspec.Raw] | None = None
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    include: list[str] | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    previous_response_id: str | None = None
    conversation: str | _Conversation | None = None
    prompt: dict[str, msgspec.Raw] | None = None
    service_tier: str | None = None
    prompt_cache_options: _CacheOptions | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    tool_choice: msgspec.Raw = NOTHING
    reasoning: msgspec.Raw = NOTHING
    text: msgspec.Raw = NOTHING
    metadata: msgspec.Raw = NOTHING
    truncation: str | None = None


class Stored:
    """A response that can be asked for again."""

    __slots__ = ("cancelled_output", "generation", "polls_left")

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self.polls_left = generation.ask.words.polls if asked_of(generation).background else 0
        self.cancelled_output: int | None = None
        """The output that is billed although it was cancelled; None: it was not."""


_body = msgspec.json.Decoder(_Body)
_item = msgspec.json.Decoder(Item)
_text = msgspec.json.Decoder(_Text | None)


class Responses(OpenAIDialect):
    """The dialect of one simulator: it knows the responses and the conversations that are kept."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def read(self, request: Request) -> Ask:
        """The request. What the provider would refuse is refused."""
        asked = _read(request.body)
        cap = asked.max_output_tokens
        if cap is not None and cap < OUTPUT_TOKENS_MIN:
            message = (
                f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {OUTPUT_TOKENS_MIN}, but got {cap} instead."
            )
            raise invalid(message, param="max_output_tokens", code="integer_below_min_value")
        if asked.background and asked.store is False:
            raise invalid("Background mode requires the response to be stored: set 'store' to true.", param="background")
        words = _words(asked)
        prompt, units = self._prompt(asked, words, request.body)
        prewarm = bool(asked.prompt_cache_options and asked.prompt_cache_options.prewarm)
        if prewarm and not words.cache_write:
            words = msgspec.structs.replace(words, cache_write=prompt)
        tools = tools_used(asked.tools or [], words, asked.model or "", asked.max_tool_calls, streamed=bool(asked.stream))
        check_parts(self, tools.parts)
        return Ask(
            model=asked.model or "",
            prompt=prompt + (words.tool_use if asked.tools else 0),
            cap=cap,
            streamed=bool(asked.stream),
            tool=tool_of(asked.tools or [], words),
            terms=terms(asked.service_tier, words, cache_ttl=(asked.prompt_cache_options and asked.prompt_cache_options.ttl) or ""),
            words=words,
            output=0 if prewarm else None,
            said=_said(asked.text),
            units=units,
            fees=tools.fees or NO_UNITS,
            parts=tools.parts,
            detached=bool(asked.background),
            fails=words.end in {"failed", "error"},
            detail=Asked(
                input=tuple(_items(asked, self._kept)),
                echo=_echo(asked),
                tools=tools,
                conversation=_conversation(asked),
                background=bool(asked.background),
                store=asked.store is not False,
                streamed=bool(asked.stream),
                encrypts=_ENCRYPTED in (asked.include or ()),
            ),
        )

    def count(self, body: bytes) -> tuple[str, int]:
        """The model, and the very number of input tokens that the call would be billed."""
        asked = _read(body)
        return asked.model or "", self._prompt(asked, _words(asked), body)[0]

    def answer(self, generation: Generation) -> bytes:
        """A `response`: at its end, or waiting when it was sent to the background."""
        self._keep(generation)
        status = "queued" if asked_of(generation).background else status_at_end(generation)
        return msgspec.json.encode(response(generation, status))

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """Its events, up to one that ends it."""
        self._keep(generation)
        return frames(generation)

    def error_frame(self, refused: RefusedError, call_id: bytes) -> bytes:
        """The event `error`, which ends the stream; its number is far behind all that were sent."""
        del call_id
        event: dict[str, object] = {"type": "error", "code": refused.code or "server_error", "message": refused.message, "param": None}
        return frame(event, 1_000_000)

    def too_long(self, tokens: int, window: int) -> RefusedError:
        """Too long for the model."""
        del tokens, window
        message = "Your input exceeds the context window of this model. Please adjust your input and try again."
        return invalid(message, param="input", code="context_length_exceeded")

    def _prompt(self, asked: _Body, words: Words, body: bytes) -> tuple[int, Mapping[str, int]]:
        """Input tokens, and which of them are no text: what is written in the body, and what came before."""
        written = asked.input if isinstance(asked.input, list) else []
        media = media_of(body, written, words, asked.model or "")
        recalled = recall(written, self._kept, store=asked.store is not False)
        tokens = (
            recalled.tokens + prompt_tokens(recalled.written, asked.tools or [], asked.instructions, without=media.bytes) + media.tokens
        )
        if isinstance(asked.input, str):
            tokens += prompt_tokens([msgspec.Raw(msgspec.json.encode(asked.input))], [], NOTHING) - prompt_tokens([], [], NOTHING)
        if asked.prompt is not None:
            tokens += STORED_PROMPT_TOKENS
        return tokens + self._before(asked), NO_UNITS if media is NONE else media.units

    def _before(self, asked: _Body) -> int:
        """The tokens of the conversation so far."""
        if asked.previous_response_id is not None:
            if asked.conversation is not None:
                raise invalid("Mutually exclusive parameters: 'previous_response_id' and 'conversation'.", param="previous_response_id")
            stored = self._kept.get(asked.previous_response_id)
            if not isinstance(stored, Stored):
                message = f"Previous response with id '{asked.previous_response_id}' not found."
                raise invalid(message, param="previous_response_id", code="previous_response_not_found")
            return stored.generation.ask.prompt + stored.generation.output_total
        return cast("int", self._kept.get(_conversation(asked)) or 0) if asked.conversation is not None else 0

    def _keep(self, generation: Generation) -> None:
        asked = asked_of(generation)
        if asked.store:
            self._kept.put(response_id(generation), Stored(generation))
            keep(self._kept, generation)
        if asked.conversation:
            self._kept.put(asked.conversation, generation.ask.prompt + generation.output_total)


def _read(body: bytes) -> _Body:
    asked = decode(_body, body)
    if not asked.model:
        raise missing("model")
    if asked.input is None and asked.prompt is None and asked.previous_response_id is None and asked.conversation is None:
        raise missing("input")
    return asked


def _words(asked: _Body) -> Words:
    if isinstance(asked.input, str):
        return heed(asked.input)
    return obey(asked.input) if asked.input else NO_WORDS


def _said(text: msgspec.Raw) -> tuple[str, ...]:
    """The answer, where `text.format` asks for JSON."""
    written = decode(_text, text) if bytes(text) else None
    return said_in(written.format) if written else ()


def _conversation(asked: _Body) -> str:
    if asked.conversation is None:
        return ""
    return asked.conversation if isinstance(asked.conversation, str) else asked.conversation.id


def _items(asked: _Body, kept: Kept) -> Iterator[Item]:
    """The input as a list of items, as it can be asked for again."""
    if isinstance(asked.input, str):
        content = [{"type": "input_text", "text": asked.input}]
        yield {"id": "msg_input_0", "type": "message", "role": "user", "status": "completed", "content": content}
        return
    for index, written in enumerate(shown(asked.input or [], kept)):
        item = decode(_item, written)
        if isinstance(item.get("content"), str):
            item["content"] = [{"type": "input_text", "text": item["content"]}]
        yield {"id": f"msg_input_{index}", "type": "message", "status": "completed", **item}


def _echo(asked: _Body) -> dict[str, object]:
    """What the response repeats of the request."""

    def said(written: msgspec.Raw, default: object) -> object:
        return written if bytes(written) else default

    conversation = _conversation(asked)
    return {
        "instructions": said(asked.instructions, None),
        "max_output_tokens": asked.max_output_tokens,
        "max_tool_calls": asked.max_tool_calls,
        "metadata": said(asked.metadata, {}),
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": asked.previous_response_id,
        "reasoning": said(asked.reasoning, {"effort": None, "summary": None}),
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "text": said(asked.text, {"format": {"type": "text"}}),
        "tool_choice": said(asked.tool_choice, "auto"),
        "tools": asked.tools or [],
        "top_p": 1.0 if asked.top_p is None else asked.top_p,
        "truncation": asked.truncation or "disabled",
        "user": None,
        "conversation": {"id": conversation} if conversation else None,
    }
