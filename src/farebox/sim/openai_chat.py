"""OpenAI's `/v1/chat/completions`: its requests, answers, streams and errors. Pure."""

from collections.abc import Iterator

import msgspec

from .dialect import Frame
from .generation import PLAIN, Ask, Generation, Terms, argument_pieces, arguments, pieces, prompt_tokens, text
from .reading import NOTHING, decode, obey
from .refusals import RefusedError, invalid
from .spoil import spoil_usage

CHOICES_MAX = 128
_TIERS = {"flex": Terms(service_tier="flex"), "priority": Terms(service_tier="priority"), "fast": Terms(service_tier="priority")}
_QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
    }
)
_CODE_OF_STATUS = {401: "invalid_api_key", 402: "insufficient_quota", 429: "rate_limit_exceeded"}
# The shapes as templates: msgspec would be as right, but this runs beside the load that measures the gateway.
_COMPLETION = b'{"id":"chatcmpl-%b","object":"chat.completion","created":%d,"model":%b,"service_tier":"%b","system_fingerprint":null,"choices":[%b]%b}'
_CHOICE = b'{"index":%d,"message":%b,"logprobs":null,"finish_reason":"%b"}'
_CHUNK = b'data: {"id":"chatcmpl-%b","object":"chat.completion.chunk","created":%d,"model":%b,"service_tier":"%b","system_fingerprint":null,"choices":['
_USAGE = (
    b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
    b'"prompt_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d,"audio_tokens":0},"completion_tokens_details":'
    b'{"reasoning_tokens":%d,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
)
_DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.encode


class _StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


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


class _Function(msgspec.Struct):
    name: str = "tool"


class _Tool(msgspec.Struct):
    function: _Function = msgspec.field(default_factory=_Function)


_body = msgspec.json.Decoder(_Body)
_tool = msgspec.json.Decoder(_Tool)


class OpenAIChat:
    """The dialect; it has no state."""

    name = "openai"
    provider = "openai"
    id_header = b"x-request-id"
    account_headers = (
        b"openai-organization: sim-organization\r\nopenai-project: proj_sim\r\nopenai-version: 2020-10-01\r\n"
        b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\nx-ratelimit-reset-requests: 6ms\r\n"
    )

    def read(self, body: bytes) -> Ask:
        """The request. What the provider would refuse is refused."""
        asked = decode(_body, body)
        if not asked.model:
            raise invalid("you must provide a model parameter")
        if not asked.messages:
            raise invalid("Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter")
        choices = 1 if asked.n is None else asked.n
        if not 1 <= choices <= CHOICES_MAX:
            raise invalid(f"Invalid value for 'n': expected an integer from 1 to {CHOICES_MAX}.", param="n")
        words = obey(asked.messages)
        tools = asked.tools or []
        return Ask(
            model=asked.model,
            prompt=prompt_tokens(asked.messages, tools, NOTHING),
            cap=_cap(asked),
            choices=choices,
            streamed=bool(asked.stream),
            reports_usage=bool(asked.stream_options and asked.stream_options.include_usage),
            tool=decode(_tool, tools[0]).function.name if words.tool and tools else None,
            terms=_TIERS.get(asked.service_tier, PLAIN) if asked.service_tier else PLAIN,
            words=words,
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

    def error(self, refused: RefusedError, call_id: bytes) -> bytes:
        """An error object; its request id is in the header only."""
        del call_id
        code = refused.code or _CODE_OF_STATUS.get(refused.status)
        return _encode(
            {"error": {"message": refused.message, "type": _error_type(refused.status, code), "param": refused.param, "code": code}}
        )

    def error_frame(self, refused: RefusedError, call_id: bytes) -> bytes:
        """The same object as an event."""
        return b"data: " + self.error(refused, call_id) + b"\n\n"

    def no_credential(self) -> RefusedError:
        """No bearer key."""
        return RefusedError(401, "You didn't provide an API key. Provide it in an Authorization header using Bearer auth.")

    def unknown_model(self, name: str) -> RefusedError:
        """No such model."""
        return RefusedError(
            404, f"The model `{name}` does not exist or you do not have access to it.", code="model_not_found", param="model"
        )

    def too_long(self, tokens: int, window: int) -> RefusedError:
        """Too long for the model."""
        message = f"This model's maximum context length is {window} tokens. However, your messages resulted in {tokens} tokens."
        return invalid(message, param="messages", code="context_length_exceeded")


def _cap(asked: _Body) -> int | None:
    if asked.max_completion_tokens is not None and asked.max_tokens is not None:
        raise invalid("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.", param="max_tokens")
    name = "max_tokens" if asked.max_completion_tokens is None else "max_completion_tokens"
    cap = asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens
    if cap is not None and cap < 1:
        raise invalid(f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {cap} instead.", param=name)
    return cap


def _finish_reason(generation: Generation) -> bytes:
    if generation.truncated:
        return b"length"
    return b"stop" if generation.ask.tool is None else b"tool_calls"


def _message(generation: Generation) -> bytes:
    if generation.ask.tool is None:
        return b'{"role":"assistant","content":%b,"refusal":null,"annotations":[]}' % _encode(text(generation))
    call = _encode(_tool_call(generation, arguments(generation)))
    return b'{"role":"assistant","content":null,"tool_calls":[%b],"refusal":null,"annotations":[]}' % call


def _tool_call(generation: Generation, written: str) -> dict[str, object]:
    return {"id": f"call_{generation.stem.decode()}", "type": "function", "function": {"name": generation.ask.tool, "arguments": written}}


def _first_delta(generation: Generation) -> bytes:
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
    if generation.ask.tool is None:
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


def _usage(generation: Generation) -> bytes:
    """What is reported, as JSON; empty when nothing is."""
    prompt, output = generation.ask.prompt, generation.output_total
    counts = (prompt, output, prompt + output, generation.cached, generation.cache_write, generation.reasoning_total)
    return spoil_usage(_USAGE % counts, generation.ask.words.usage, "prompt_tokens")


def _error_type(status: int, code: str | None) -> str:
    if code in _QUOTA_CODES:
        return "insufficient_quota"
    if status == 429:  # noqa: PLR2004  # HTTP's own number
        return "rate_limit_exceeded"
    return "invalid_request_error" if status < 500 else "server_error"  # noqa: PLR2004  # HTTP's own number
