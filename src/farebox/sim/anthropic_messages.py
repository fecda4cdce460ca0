"""Anthropic's `/v1/messages` and `/v1/messages/count_tokens`: their requests, answers, streams and errors. Pure."""

import re
from collections.abc import Iterator

import msgspec

from .dialect import Frame
from .generation import PLAIN, Ask, Generation, Terms, argument_pieces, arguments, pieces, prompt_tokens, text
from .reading import NOTHING, decode, obey
from .refusals import RefusedError, invalid
from .spoil import spoil_usage

_HOUR_TTL = re.compile(rb'"ttl"\s*:\s*"1h"')
_TYPE_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_TYPES = frozenset(_TYPE_OF_STATUS.values())
LOW_CREDIT = "credit_balance_too_low"
"""The one code that is told by the message alone: see `error`."""
_LOW_CREDIT_MESSAGE = (
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."
)
# The shapes as templates, for speed: this runs beside the load that measures the gateway.
_MESSAGE = b'{"id":"msg_%b","type":"message","role":"assistant","model":%b,"content":[%b],"stop_reason":%b,"stop_sequence":null%b}'
_USAGE = (
    b'{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,'
    b'"cache_creation":{"ephemeral_5m_input_tokens":%d,"ephemeral_1h_input_tokens":%d},'
    b'"output_tokens":%d%b,"service_tier":"standard","speed":"%b","inference_geo":"global"}'
)
_DELTA_USAGE = (
    b'{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,'
    b'"output_tokens":%d,"output_tokens_details":{"thinking_tokens":%d}}'
)
_MESSAGE_START = b'event: message_start\ndata: {"type":"message_start","message":%b}\n\n'
_BLOCK_START = b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":%b}\n\n'
_TEXT_BLOCK = b'{"type":"text","text":""}'
_MESSAGE_DELTA = b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"%b","stop_sequence":null}%b}\n\n'
_BLOCK_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_encode = msgspec.json.encode


class _Thinking(msgspec.Struct, gc=False):
    budget_tokens: int | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    messages: list[msgspec.Raw] | None = None
    system: msgspec.Raw = NOTHING
    tools: list[msgspec.Raw] | None = None
    max_tokens: int | None = None
    stream: bool | None = None
    thinking: _Thinking | None = None
    speed: str | None = None


class _Tool(msgspec.Struct):
    name: str = "tool"


_body = msgspec.json.Decoder(_Body)
_tool = msgspec.json.Decoder(_Tool)


class AnthropicMessages:
    """The dialect; it has no state."""

    name = "anthropic"
    provider = "anthropic"
    id_header = b"request-id"
    account_headers = (
        b"anthropic-organization-id: sim-organization\r\nanthropic-ratelimit-requests-limit: 10000\r\n"
        b"anthropic-ratelimit-requests-remaining: 9999\r\nanthropic-ratelimit-requests-reset: 2030-01-01T00:00:00Z\r\n"
    )

    def read(self, body: bytes) -> Ask:
        """The request. What the provider would refuse is refused."""
        asked = _read(body)
        if asked.max_tokens is None:
            raise invalid("max_tokens: Field required")
        if asked.max_tokens < 0:
            raise invalid("max_tokens: Input should be greater than or equal to 0")
        if asked.thinking and asked.thinking.budget_tokens and asked.thinking.budget_tokens >= asked.max_tokens:
            raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
        words = obey(asked.messages or [])
        tools = asked.tools or []
        return Ask(
            model=asked.model or "",
            prompt=_prompt(asked),
            cap=asked.max_tokens,
            streamed=bool(asked.stream),
            tool=decode(_tool, tools[0]).name if words.tool and tools else None,
            terms=_terms(asked, body, written=words.cache_write),
            words=words,
        )

    def count(self, body: bytes) -> tuple[str, bytes]:
        """The model and the answer of `count_tokens`: the very number that the call would be billed."""
        asked = _read(body)
        return asked.model or "", _encode({"input_tokens": _prompt(asked)})

    def answer(self, generation: Generation) -> bytes:
        """A `message`."""
        thinking = b',"output_tokens_details":{"thinking_tokens":%d}' % generation.reasoning
        usage = spoil_usage(_usage(generation, generation.output_total, thinking), generation.ask.words.usage, "input_tokens")
        return _message(generation, _content(generation), b'"%b"' % _stop_reason(generation), usage)

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """`message_start`, one content block, `message_delta` with the final usage, `message_stop`."""
        how = generation.ask.words.usage
        opening = _usage(generation, min(1, generation.output_total), b"")
        start = _message(generation, b"", b"null", opening if how == "partial" else spoil_usage(opening, how, "input_tokens"))
        yield _MESSAGE_START % start, 0
        yield _BLOCK_START % (_TEXT_BLOCK if generation.ask.tool is None else _tool_use(generation, b"{}")), 0
        yield _PING, 0
        yield from _piece_frames(generation)
        yield _BLOCK_STOP, 0
        usage = b"" if how == "partial" else spoil_usage(_delta_usage(generation), how, "input_tokens")
        yield _MESSAGE_DELTA % (_stop_reason(generation), _member(usage)), 0
        yield _MESSAGE_STOP, 0

    def error(self, refused: RefusedError, call_id: bytes) -> bytes:
        """An error object. A code that is a type of error is its type; others stand in its details."""
        kind = _TYPE_OF_STATUS.get(refused.status, "invalid_request_error" if refused.status < 500 else "api_error")  # noqa: PLR2004  # HTTP's own number
        error: dict[str, object] = {"type": kind, "message": refused.message}
        if refused.code in _TYPES:
            error["type"] = refused.code
        elif refused.code == LOW_CREDIT:
            error["message"] = _LOW_CREDIT_MESSAGE
        elif refused.code:
            error["details"] = {"error_code": refused.code}
        return _encode({"type": "error", "error": error, "request_id": call_id.decode()})

    def error_frame(self, refused: RefusedError, call_id: bytes) -> bytes:
        """The same object as an event."""
        return b"event: error\ndata: " + self.error(refused, call_id) + b"\n\n"

    def no_credential(self) -> RefusedError:
        """Neither `x-api-key` nor a bearer key."""
        return RefusedError(401, "x-api-key header is required")

    def unknown_model(self, name: str) -> RefusedError:
        """No such model."""
        return RefusedError(404, f"model: {name}")

    def too_long(self, tokens: int, window: int) -> RefusedError:
        """Too long for the model."""
        return invalid(f"prompt is too long: {tokens} tokens > {window} maximum")


def _read(body: bytes) -> _Body:
    asked = decode(_body, body)
    if not asked.model:
        raise invalid("model: Field required")
    if asked.messages is None:
        raise invalid("messages: Field required")
    if not asked.messages:
        raise invalid("messages: at least one message is required")
    return asked


def _prompt(asked: _Body) -> int:
    return prompt_tokens(asked.messages or [], asked.tools or [], asked.system)


def _terms(asked: _Body, body: bytes, *, written: int) -> Terms:
    hour = bool(written) and _HOUR_TTL.search(body) is not None
    if asked.speed != "fast" and not hour:
        return PLAIN
    return Terms(speed="fast" if asked.speed == "fast" else "standard", cache_ttl="1h" if hour else "5m")


def _stop_reason(generation: Generation) -> bytes:
    if generation.truncated:
        return b"max_tokens"
    return b"end_turn" if generation.ask.tool is None else b"tool_use"


def _message(generation: Generation, content: bytes, stop_reason: bytes, usage: bytes) -> bytes:
    return _MESSAGE % (generation.stem, _encode(generation.ask.model), content, stop_reason, _member(usage))


def _member(usage: bytes) -> bytes:
    return b',"usage":' + usage if usage else b""


def _content(generation: Generation) -> bytes:
    if generation.ask.tool is not None:
        written = arguments(generation)
        return _tool_use(generation, b"{}" if generation.truncated or not written else written.encode())
    return b'{"type":"text","text":%b}' % _encode(text(generation)) if generation.visible else b""


def _tool_use(generation: Generation, given: bytes) -> bytes:
    return b'{"type":"tool_use","id":"toolu_%b","name":%b,"input":%b}' % (generation.stem, _encode(generation.ask.tool), given)


def _piece_frames(generation: Generation) -> Iterator[Frame]:
    """The pieces. The reasoning before the first piece counts with it."""
    kind, member, written = (
        (b"text_delta", b"text", pieces(generation))
        if generation.ask.tool is None
        else (b"input_json_delta", b"partial_json", argument_pieces(generation))
    )
    before = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"%b","%b":' % (kind, member)
    hidden = generation.reasoning
    for piece, tokens in written:
        yield before + _encode(piece) + b"}}\n\n", tokens + hidden
        hidden = 0


def _uncached(generation: Generation) -> int:
    """The buckets are disjoint here: what is read from the cache or written to it is not in `input_tokens`."""
    return generation.ask.prompt - generation.cached - generation.cache_write


def _delta_usage(generation: Generation) -> bytes:
    counts = (_uncached(generation), generation.cache_write, generation.cached, generation.output_total, generation.reasoning_total)
    return _DELTA_USAGE % counts


def _usage(generation: Generation, output: int, details: bytes) -> bytes:
    written, hour = generation.cache_write, generation.terms.cache_ttl == "1h"
    by_ttl = (0, written) if hour else (written, 0)
    return _USAGE % (_uncached(generation), written, generation.cached, *by_ttl, output, details, generation.terms.speed.encode())
