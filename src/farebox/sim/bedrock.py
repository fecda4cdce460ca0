"""Bedrock's Converse API: answers, event streams and errors. Pure.

Input that is read from the cache or written to it is not in `inputTokens`; `totalTokens` is the sum of them all. A service tier is told again as it
was asked for and moves no price: genai-prices has one price for all of them.
"""

from collections.abc import Iterator

import msgspec

from . import bedrock_asked, eventstream
from .dialect import Frame
from .generation import Ask, Generation, argument_pieces, arguments, pieces, text, thoughts
from .reading import has_bearer
from .refusals import RefusedError, invalid
from .sigv4 import ALGORITHM
from .spoil import spoil_usage
from .wire import JSON, Request

_EXCEPTIONS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_IN_STREAM = {
    400: b"validationException",
    424: b"modelStreamErrorException",
    429: b"throttlingException",
    500: b"internalServerException",
    503: b"serviceUnavailableException",
}
"""The exceptions that a stream can end with."""
_SERVER_ERROR = 500
_SIGNATURE = "c2ltdWxhdGVkIHNpZ25hdHVyZQ=="
_encode = msgspec.json.encode


class Converse:
    """The dialect, streamed or not; it has no state."""

    name = "bedrock"
    provider = "aws"
    id_header = b"x-amzn-requestid"
    account_headers = b""

    def __init__(self, *, streamed: bool = False) -> None:
        self._streamed = streamed

    def has_credential(self, request: Request) -> bool:
        """A bearer key, or a signature: its route has checked it."""
        return has_bearer(request) or request.headers.get(b"authorization", b"").startswith(ALGORITHM)

    def read(self, request: Request) -> Ask:
        """The request, for the model in the path."""
        content_type = eventstream.CONTENT_TYPE if self._streamed else JSON
        return bedrock_asked.read(request.body, request.arguments["model"], streamed=self._streamed, content_type=content_type)

    def answer(self, generation: Generation) -> bytes:
        """The message, and what it took."""
        told: dict[str, object] = {
            "output": {"message": {"role": "assistant", "content": list(_blocks(generation))}},
            "stopReason": _stop_reason(generation),
        }
        return _encode(told | _metadata(generation))

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """`messageStart`, content blocks, `messageStop`, and `metadata` last."""
        yield _event("messageStart", {"role": "assistant"}), 0
        index, hidden = 0, generation.reasoning
        if _thinks(generation):
            yield from _thinking_frames(generation)
            index, hidden = 1, 0
        yield from _piece_frames(generation, index, hidden)
        yield _event("contentBlockStop", {"contentBlockIndex": index}), 0
        yield _event("messageStop", {"stopReason": _stop_reason(generation)}), 0
        yield _event("metadata", _metadata(generation)), 0

    def error(self, refused: RefusedError, call_id: bytes) -> bytes:
        """What went wrong; its kind stands in the head."""
        del call_id
        return _encode({"message": refused.message})

    def error_headers(self, refused: RefusedError) -> bytes:
        """The kind of error."""
        return b"x-amzn-errortype: %b\r\n" % _kind(refused).encode()

    def error_frame(self, refused: RefusedError, call_id: bytes) -> bytes:
        """The exception that ends a stream."""
        del call_id
        told: dict[str, object] = {"message": refused.message}
        kind = _IN_STREAM.get(refused.status, _IN_STREAM[424 if refused.status < _SERVER_ERROR else 500])
        if kind == _IN_STREAM[424]:
            told |= {"originalStatusCode": refused.status, "originalMessage": refused.message}
        return eventstream.exception_frame(kind, _encode(told))

    def no_credential(self) -> RefusedError:
        """Neither a signature nor a bearer key."""
        return RefusedError(403, "Missing Authentication Token", code="MissingAuthenticationTokenException")

    def unknown_model(self, name: str) -> RefusedError:
        """No such model."""
        del name
        return invalid("The provided model identifier is invalid.")

    def too_long(self, tokens: int, window: int) -> RefusedError:
        """Too long for the model."""
        return invalid(
            f"The model returned the following errors: Input is too long for requested model: {tokens} tokens > {window} maximum"
        )


def _kind(refused: RefusedError) -> str:
    return refused.code or _EXCEPTIONS.get(refused.status, _EXCEPTIONS[400 if refused.status < _SERVER_ERROR else 500])


def _event(kind: str, told: dict[str, object]) -> bytes:
    return eventstream.event_frame(kind.encode(), _encode(told))


def _stop_reason(generation: Generation) -> str:
    if generation.truncated:
        return "max_tokens"
    if generation.ask.words.content_filter == "finish":
        return "content_filtered"
    return "end_turn" if generation.ask.tool is None else "tool_use"


def _metadata(generation: Generation) -> dict[str, object]:
    detail = generation.ask.detail
    told: dict[str, object] = {"metrics": {"latencyMs": generation.ask.words.delay + 1}}
    usage = spoil_usage(_encode(_usage(generation)), generation.ask.words.usage, "inputTokens")
    if usage:
        told["usage"] = msgspec.Raw(usage)
    if isinstance(detail, bedrock_asked.Detail) and detail.tier:
        told["serviceTier"] = {"type": detail.tier}
    return told


def _usage(generation: Generation) -> dict[str, object]:
    read, written, prompt, output = generation.cached, generation.cache_write, generation.ask.prompt, generation.output_total
    told: dict[str, object] = {
        "inputTokens": prompt - read - written,
        "outputTokens": output,
        "totalTokens": prompt + output,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    }
    how = generation.ask.words.cache_split
    if written and how != "missing":
        hour = written if generation.terms.cache_ttl == "1h" else generation.cache_write_1h
        share = 2 if how == "mismatch" else 1
        by_ttl = {"5m": (written - hour) // share, "1h": hour // share}
        told["cacheDetails"] = [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in by_ttl.items() if tokens]
    return told


def _thinks(generation: Generation) -> bool:
    detail = generation.ask.detail
    return isinstance(detail, bedrock_asked.Detail) and detail.thinks and generation.reasoning > 0


def _tool_id(generation: Generation) -> str:
    return f"tooluse_{generation.stem.decode()}"


def _blocks(generation: Generation) -> Iterator[dict[str, object]]:
    if _thinks(generation):
        yield {"reasoningContent": {"reasoningText": {"text": "".join(thoughts(generation)), "signature": _SIGNATURE}}}
    if generation.ask.tool is not None:
        written = arguments(generation)
        given = msgspec.Raw(b"{}" if generation.truncated or not written else written.encode())
        yield {"toolUse": {"toolUseId": _tool_id(generation), "name": generation.ask.tool, "input": given}}
    elif generation.visible:
        yield {"text": text(generation)}


def _thinking_frames(generation: Generation) -> Iterator[Frame]:
    for thought in thoughts(generation):
        yield _delta(0, {"reasoningContent": {"text": thought}}), thought.count(" ")
    yield _delta(0, {"reasoningContent": {"signature": _SIGNATURE}}), 0
    yield _event("contentBlockStop", {"contentBlockIndex": 0}), 0


def _piece_frames(generation: Generation, index: int, hidden: int) -> Iterator[Frame]:
    """The pieces. Reasoning that is not shown counts with the first one; only the call of a tool is announced."""
    tool = generation.ask.tool
    if tool is not None:
        start = {"toolUse": {"toolUseId": _tool_id(generation), "name": tool}}
        yield _event("contentBlockStart", {"start": start, "contentBlockIndex": index}), 0
    for piece, tokens in pieces(generation) if tool is None else argument_pieces(generation):
        yield _delta(index, {"text": piece} if tool is None else {"toolUse": {"input": piece}}), tokens + hidden
        hidden = 0


def _delta(index: int, delta: dict[str, object]) -> bytes:
    return _event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})
