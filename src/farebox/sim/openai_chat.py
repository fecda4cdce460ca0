"""OpenAI's `/v1/chat/completions`: its requests, answers and streams. Pure."""

from collections.abc import Iterator, Mapping

import msgspec

from .dialect import Frame
from .generation import BYTES_PER_TOKEN, NO_UNITS, Ask, Generation, argument_pieces, arguments, pieces, prompt_tokens, text
from .openai_dialect import OpenAIDialect, missing, named, one_of, terms, tool_of, within
from .openai_media import NONE, media_of
from .reading import NOTHING, decode, obey
from .refusals import invalid
from .schemas import Format, said_in
from .spoil import spoil_usage
from .wire import Request
from .words import Words

CHOICES_MAX = 128
_AUDIO_OUT_DEFAULT = 20
_AUDIO_FORMATS = ("wav", "aac", "mp3", "flac", "opus", "pcm16")
_SOUND_OF_TOKEN = b"AAAA" * 800
"""In base64: 2,400 bytes, a twentieth of a second of silence in 16-bit mono at 24 kHz."""
_SOUND_PIECE_TOKENS = 10
# The shapes as templates: msgspec would be as right, but this runs beside the load that measures the gateway.
_COMPLETION = b'{"id":"chatcmpl-%b","object":"chat.completion","created":%d,"model":%b,"service_tier":"%b","system_fingerprint":null,"choices":[%b]%b}'
_CHOICE = b'{"index":%d,"message":%b,"logprobs":null,"finish_reason":"%b"}'
_CHUNK = b'data: {"id":"chatcmpl-%b","object":"chat.completion.chunk","created":%d,"model":%b,"service_tier":"%b","system_fingerprint":null,"choices":['
_USAGE = (
    b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
    b'"prompt_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d,"audio_tokens":%d,"image_tokens":%d},"completion_tokens_details":'
    b'{"reasoning_tokens":%d,"audio_tokens":%d,"accepted_prediction_tokens":%d,"rejected_prediction_tokens":%d}}'
)
_DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.encode


class _StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class _Audio(msgspec.Struct, gc=False):
    format: str | None = None


class _Prediction(msgspec.Struct):
    content: msgspec.Raw = NOTHING


class _CacheOptions(msgspec.Struct, gc=False):
    ttl: str | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    messages: list[msgspec.Raw] | None = None
    tools: list[msgspec.Raw] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    n: int | None = None
    service_tier: str | None = None
    modalities: list[str] | None = None
    audio: _Audio | None = None
    prediction: _Prediction | None = None
    web_search_options: dict[str, msgspec.Raw] | None = None
    prompt_cache_options: _CacheOptions | None = None
    response_format: Format | None = None


_body = msgspec.json.Decoder(_Body)


class OpenAIChat(OpenAIDialect):
    """The dialect; it has no state."""

    def read(self, request: Request) -> Ask:
        """The request. What the provider would refuse is refused."""
        asked = decode(_body, request.body)
        model = named(asked.model)
        if not asked.messages:
            raise missing("messages")
        choices = within("n", asked.n, 1, CHOICES_MAX, 1)
        words = obey(asked.messages)
        tools = asked.tools or []
        media = media_of(request.body, asked.messages, words, model)
        prompt = prompt_tokens(asked.messages, tools, NOTHING, without=media.bytes) + media.tokens
        return Ask(
            model=model,
            prompt=prompt,
            cap=_cap(asked),
            choices=choices,
            streamed=bool(asked.stream),
            reports_usage=bool(asked.stream_options and asked.stream_options.include_usage),
            tool=tool_of(tools, words),
            terms=terms(asked.service_tier, words, cache_ttl=(asked.prompt_cache_options and asked.prompt_cache_options.ttl) or ""),
            words=words,
            said=said_in(asked.response_format),
            audio=_audio(asked, words),
            rejected=_rejected(asked, words),
            units=NO_UNITS if media is NONE else media.units,
            fees=_fees(model, words, asked=asked.web_search_options is not None),
            detail=asked.prediction,
        )

    def answer(self, generation: Generation) -> bytes:
        """A `chat.completion`."""
        message, finish = _message(generation), _finish_reason(generation)
        choices = b",".join([_CHOICE % (index, message, finish) for index in range(generation.ask.choices)])
        usage = _usage(generation)
        return _COMPLETION % (*_named(generation), choices, b',"usage":' + usage if usage else b"")

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """`chat.completion.chunk` events: a role and a finish for each choice, their pieces in turn, usage if it was asked for, `[DONE]`."""
        before, after = _chunk(generation)
        choices = range(generation.ask.choices)
        first = _first_delta(generation)
        for index in choices:
            yield before + b'{"index":%d,"delta":%b,"logprobs":null,"finish_reason":null}' % (index, first) + after, 0
        yield from _piece_frames(generation, before, after)
        finish = _finish_reason(generation)
        for index in choices:
            yield before + b'{"index":%d,"delta":{},"logprobs":null,"finish_reason":"%b"}' % (index, finish) + after, 0
        if generation.ask.reports_usage:
            usage = _usage(generation)
            if usage:
                yield before + b'],"usage":' + usage + b"}\n\n", 0
        yield _DONE, 0


def _cap(asked: _Body) -> int | None:
    if asked.max_completion_tokens is not None and asked.max_tokens is not None:
        raise invalid("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.", param="max_tokens")
    name = "max_tokens" if asked.max_completion_tokens is None else "max_completion_tokens"
    cap = asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens
    if cap is not None and cap < 1:
        raise invalid(f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {cap} instead.", param=name)
    return cap


def _audio(asked: _Body, words: Words) -> int:
    """Tokens of sound for each choice: none unless the request asks for sound."""
    if not asked.modalities or "audio" not in asked.modalities:
        return 0
    if asked.audio is None:
        raise missing("audio")
    one_of("audio.format", asked.audio.format, ("pcm16",) if asked.stream else _AUDIO_FORMATS, "wav")
    return _AUDIO_OUT_DEFAULT if words.audio_out is None else words.audio_out


def _rejected(asked: _Body, words: Words) -> int:
    """No more of a prediction is rejected than it has: a quarter of its bytes."""
    if asked.prediction is None:
        return 0
    if asked.n is not None and asked.n > 1:
        raise invalid("Predicted outputs are not supported when 'n' is greater than 1.", param="n")
    return min(words.rejected, -(-len(asked.prediction.content) // BYTES_PER_TOKEN))


def _fees(model: str, words: Words, *, asked: bool) -> Mapping[str, int]:
    """Searches of the web: one for a model that always searches or a request that asks for it, unless the words say how many."""
    searches = "-search-" in model
    if not (searches or asked):
        return NO_UNITS
    return {"web_search_preview" if "-search-preview" in model else "web_search": words.web_search or 1}


def _finish_reason(generation: Generation) -> bytes:
    if generation.truncated:
        return b"length"
    return b"stop" if generation.ask.tool is None else b"tool_calls"


def _message(generation: Generation) -> bytes:
    if generation.audio:
        sound = {**_sound(generation), "data": (_SOUND_OF_TOKEN * generation.audio).decode(), "transcript": text(generation)}
        return b'{"role":"assistant","content":null,"refusal":null,"annotations":[],"audio":%b}' % _encode(sound)
    if generation.ask.tool is None:
        return b'{"role":"assistant","content":%b,"refusal":null,"annotations":[]}' % _encode(text(generation))
    call = _encode(_tool_call(generation, arguments(generation)))
    return b'{"role":"assistant","content":null,"tool_calls":[%b],"refusal":null,"annotations":[]}' % call


def _sound(generation: Generation) -> dict[str, object]:
    return {"id": f"audio_{generation.stem.decode()}", "expires_at": generation.created_s + 3600}


def _tool_call(generation: Generation, written: str) -> dict[str, object]:
    return {"id": f"call_{generation.stem.decode()}", "type": "function", "function": {"name": generation.ask.tool, "arguments": written}}


def _first_delta(generation: Generation) -> bytes:
    if generation.audio:
        return _encode({"role": "assistant", "content": None, "refusal": None, "audio": {**_sound(generation), "transcript": ""}})
    if generation.ask.tool is None:
        return b'{"role":"assistant","content":"","refusal":null}'
    return _encode({"role": "assistant", "content": None, "tool_calls": [{"index": 0, **_tool_call(generation, "")}]})


def _named(generation: Generation) -> tuple[bytes, int, bytes, bytes]:
    """What names the call in every object: id, time, model, tier."""
    return generation.stem, generation.created_s, _encode(generation.ask.model), generation.terms.service_tier.encode()


def _chunk(generation: Generation) -> tuple[bytes, bytes]:
    """What stands before and after the choices of every chunk."""
    return _CHUNK % _named(generation), b'],"usage":null}\n\n' if generation.ask.reports_usage else b"]}\n\n"


def _piece_frames(generation: Generation, before: bytes, after: bytes) -> Iterator[Frame]:
    """The pieces, every choice's first, then every choice's second. The reasoning before the first piece counts with it."""
    hidden = generation.reasoning
    if generation.audio:
        delta, delta_end, written_pieces = b'{"audio":{"transcript":', b"}}", pieces(generation)
    elif generation.ask.tool is None:
        delta, delta_end, written_pieces = b'{"content":', b"}", pieces(generation)
    else:
        delta, delta_end, written_pieces = b'{"tool_calls":[{"index":0,"function":{"arguments":', b"}}]}", argument_pieces(generation)
    openings = [before + b'{"index":%d,"delta":' % index + delta for index in range(generation.ask.choices)]
    closing = delta_end + b',"logprobs":null,"finish_reason":null}' + after
    for piece, tokens in written_pieces:
        written = _encode(piece) + closing
        for each in openings:
            yield each + written, tokens + hidden
        hidden = 0
    for size in _sound_pieces(generation.audio):
        for index in range(generation.ask.choices):
            delta = b'{"index":%d,"delta":{"audio":{"data":"%b"}},"logprobs":null,"finish_reason":null}' % (index, _SOUND_OF_TOKEN * size)
            yield before + delta + after, size


def _sound_pieces(tokens: int) -> Iterator[int]:
    for start in range(0, tokens, _SOUND_PIECE_TOKENS):
        yield min(_SOUND_PIECE_TOKENS, tokens - start)


def _usage(generation: Generation) -> bytes:
    """What is reported, as JSON; empty when nothing is."""
    ask, units = generation.ask, generation.units
    counts = (
        ask.prompt,
        generation.output_total,
        ask.prompt + generation.output_total,
        generation.cached,
        generation.cache_write,
        units.get("input_audio_tokens", 0),
        units.get("input_image_tokens", 0),
        generation.reasoning_total,
        units.get("output_audio_tokens", 0),
        min(ask.words.accepted, generation.visible) if isinstance(ask.detail, _Prediction) else 0,
        ask.rejected,
    )
    return spoil_usage(_USAGE % counts, ask.words.usage, "prompt_tokens")
