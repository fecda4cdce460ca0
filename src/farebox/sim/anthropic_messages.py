"""Anthropic's `/v1/messages` and `/v1/messages/count_tokens`: their requests, answers, streams and errors. Pure."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from .anthropic_asked import NEWEST, SAMPLING, Extras, Tool, asks_for_extras, check_version, extras_of, served_by
from .anthropic_blocks import block_frames, content
from .anthropic_media import media_tokens
from .anthropic_usage import delta_usage, opening_usage, whole_usage
from .dialect import Frame
from .generation import NO_UNITS, PLAIN, Ask, Generation, Terms, prompt_tokens
from .prices import find_model
from .reading import NOTHING, decode, has_bearer, obey
from .refusals import RefusedError, invalid
from .schemas import Format, said_in
from .spoil import spoil_usage
from .wire import Request
from .words import NO_WORDS, Words

FIRST_TOOL = "1"
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
REFUSAL_TOKENS = 5
"""What a refusal says at most, where `sim:output` does not ask for more."""
_TYPES = frozenset(_TYPE_OF_STATUS.values())
LOW_CREDIT = "credit_balance_too_low"
"""The one code that is told by the message alone: see `error`."""
_LOW_CREDIT_MESSAGE = (
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."
)
# The shapes as templates, for speed: this runs beside the load that measures the gateway.
_MESSAGE = b'{"id":"msg_%b","type":"message","role":"assistant","model":%b,"content":[%b],"stop_reason":%b,"stop_sequence":null%b}'
_MESSAGE_START = b'event: message_start\ndata: {"type":"message_start","message":%b}\n\n'
_MESSAGE_DELTA = b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":%b,"stop_sequence":null%b}%b}\n\n'
_MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_REFUSED = b',"stop_details":{"type":"refusal","category":"general_harms","explanation":"Simulated refusal."}'
_encode = msgspec.json.encode


class _Thinking(msgspec.Struct, gc=False):
    type: str = ""
    budget_tokens: int | None = None


class _OutputConfig(msgspec.Struct):
    format: Format | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    messages: list[msgspec.Raw] | None = None
    system: msgspec.Raw = NOTHING
    tools: list[msgspec.Raw] | None = None
    max_tokens: int | None = None
    stream: bool | None = None
    thinking: _Thinking | None = None
    speed: str | None = None
    inference_geo: str | None = None
    fallbacks: msgspec.Raw = NOTHING
    output_config: _OutputConfig | None = None
    output_format: Format | None = None
    temperature: msgspec.Raw = NOTHING
    top_p: msgspec.Raw = NOTHING
    top_k: msgspec.Raw = NOTHING


_body = msgspec.json.Decoder(_Body)
_tool = msgspec.json.Decoder(Tool)


class AnthropicMessages:
    """The dialect; it has no state."""

    name = "anthropic"
    provider = "anthropic"
    id_header = b"request-id"
    account_headers = (
        b"anthropic-organization-id: sim-organization\r\nanthropic-ratelimit-requests-limit: 10000\r\n"
        b"anthropic-ratelimit-requests-remaining: 9999\r\nanthropic-ratelimit-requests-reset: 2030-01-01T00:00:00Z\r\n"
    )

    def has_credential(self, request: Request) -> bool:
        """Either of the headers that the SDK's versions send."""
        return has_bearer(request) or bool(request.headers.get(b"x-api-key"))

    def read(self, request: Request) -> Ask:
        """The request. What the provider would refuse is refused."""
        asked, body = _read(request), request.body
        cap = _cap(asked)
        words = obey(asked.messages or [])
        tools = asked.tools or []
        prompt = _prompt(asked, body)
        extras = _extras(asked, words, cap)
        model = asked.model or ""
        if extras is not None:
            model = served_by(extras, asked.fallbacks)
            self._check_models(asked.model, extras.advisor)
            prompt += extras.grown
        refused = None if words.refusal is None else min(words.refusal, REFUSAL_TOKENS if words.output is None else words.output)
        if refused == 0:
            words = msgspec.structs.replace(words, reasoning=0)
        return Ask(
            model=model,
            prompt=prompt,
            cap=cap,
            streamed=bool(asked.stream),
            tool=_called(tools, words.tool) if words.tool else None,
            terms=_terms(asked, body, hour=bool(words.cache_write) and not words.cache_write_1h),
            words=words,
            output=refused,
            said=said_in((asked.output_config and asked.output_config.format) or asked.output_format),
            fees=extras.fees if extras else NO_UNITS,
            parts=extras.parts(model, prompt) if extras else (),
            detail=extras,
            billed=refused != 0,
        )

    def _check_models(self, *names: str | None) -> None:
        """Models beside the one that answers have to be there as well."""
        for name in names:
            if name and find_model(self.provider, name) is None:
                raise self.unknown_model(name)

    def count(self, request: Request) -> tuple[str, bytes]:
        """The model and the answer of `count_tokens`: the very number that the call would be billed, but for what tools bring back."""
        asked = _read(request)
        return asked.model or "", _encode({"input_tokens": _prompt(asked, request.body)})

    def answer(self, generation: Generation) -> bytes:
        """A `message`."""
        usage = spoil_usage(whole_usage(generation), generation.ask.words.usage, "input_tokens")
        reason, details = _stop(generation)
        return _message(generation, content(generation), reason + details, usage)

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """`message_start`, content blocks, `message_delta` with the final usage, `message_stop`."""
        how = generation.ask.words.usage
        opening = opening_usage(generation)
        start = _message(generation, b"", b"null", opening if how == "partial" else spoil_usage(opening, how, "input_tokens"))
        yield _MESSAGE_START % start, 0
        yield from block_frames(generation)
        yield from _delta_frames(generation, how)
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


def _read(request: Request) -> _Body:
    asked = decode(_body, request.body)
    if check_version(request.headers.get(b"anthropic-version", b"")) == NEWEST:
        for name in SAMPLING:
            if bytes(getattr(asked, name)) not in {b"", b"null"}:
                raise invalid(f"{name}: Extra inputs are not permitted")
    if not asked.model:
        raise invalid("model: Field required")
    if asked.messages is None:
        raise invalid("messages: Field required")
    if not asked.messages:
        raise invalid("messages: at least one message is required")
    return asked


def _cap(asked: _Body) -> int:
    if asked.max_tokens is None:
        raise invalid("max_tokens: Field required")
    if asked.max_tokens < 0:
        raise invalid("max_tokens: Input should be greater than or equal to 0")
    if asked.thinking and asked.thinking.budget_tokens and asked.thinking.budget_tokens >= asked.max_tokens:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    return asked.max_tokens


def _called(tools: Sequence[msgspec.Raw], wanted: str) -> str | None:
    """The tool of that name, or the first one that is the caller's own to run."""
    offered = [decode(_tool, tool) for tool in tools]
    own = [tool.name for tool in offered if tool.type in {"", "custom"}]
    if wanted not in {FIRST_TOOL, *own}:
        raise invalid(f"sim:tool={wanted}: the request has no tool of this name")
    return (own[0] if own else None) if wanted == FIRST_TOOL else wanted


def _prompt(asked: _Body, body: bytes) -> int:
    messages = asked.messages or []
    written = prompt_tokens(messages, asked.tools or [], asked.system)
    return written + media_tokens(messages, asked.model or "") if b'"source"' in body else written


def _extras(asked: _Body, words: Words, cap: int) -> Extras | None:
    """None where the answer is text or the call of a tool, told as it always is."""
    thinks = asked.thinking is not None and asked.thinking.type in {"enabled", "adaptive"}
    if not thinks and (words is NO_WORDS or not asks_for_extras(words)):
        return None
    return extras_of(words, asked.tools or [], model=asked.model or "", cap=cap, thinks=thinks)


def _terms(asked: _Body, body: bytes, *, hour: bool) -> Terms:
    hour = hour and b'"1h"' in body and _HOUR_TTL.search(body) is not None
    if asked.speed != "fast" and asked.inference_geo is None and not hour:
        return PLAIN
    if asked.inference_geo not in {None, "us", "global"}:
        raise invalid("inference_geo: Input should be 'us' or 'global'")
    return Terms(
        speed="fast" if asked.speed == "fast" else "standard", cache_ttl="1h" if hour else "5m", geo=asked.inference_geo or "global"
    )


def _stop(generation: Generation) -> tuple[bytes, bytes]:
    """The reason, as JSON, and what stands beside it."""
    if generation.truncated:
        return b'"max_tokens"', b""
    if generation.ask.words.refusal is not None:
        return b'"refusal"', _REFUSED
    return b'"end_turn"' if generation.ask.tool is None else b'"tool_use"', b""


def _delta_frames(generation: Generation, how: str) -> Iterator[Frame]:
    """The usage, each time the sum so far; the reason with the last of them."""
    total, deltas = generation.output_total, generation.ask.words.deltas
    reason, details = _stop(generation)
    for count in range(1, deltas + 1):
        last = count == deltas
        usage = b"" if how == "partial" else spoil_usage(delta_usage(generation, total * count // deltas, last=last), how, "input_tokens")
        yield _MESSAGE_DELTA % (reason if last else b"null", details if last else b"", _member(usage)), 0


def _message(generation: Generation, blocks: bytes, stop_reason: bytes, usage: bytes) -> bytes:
    return _MESSAGE % (generation.stem, _encode(generation.ask.model), blocks, stop_reason, _member(usage))


def _member(usage: bytes) -> bytes:
    return b',"usage":' + usage if usage else b""
