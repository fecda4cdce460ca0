"""Cohere's own `/v2/chat`: its answers, its named events and its usage, billed units beside all tokens. Pure.

Requests are read as all hosts read them (`host_requests.py`). What is billed is what the bill counts; the template that Cohere puts around a
prompt is in `tokens` and costs nothing.
"""

from collections.abc import Iterator

import msgspec

from .dialect import Frame
from .generation import Ask, Generation, argument_pieces, arguments, pieces, text
from .host_requests import read_chat
from .openai_dialect import OpenAIDialect
from .refusals import RefusedError
from .spoil import spoil_usage
from .wire import Request

_TEMPLATE_TOKENS = 66
_encode = msgspec.json.encode


class CohereChat(OpenAIDialect):
    """The dialect; it has no state."""

    name = "cohere"
    provider = "cohere"
    account_headers = b""

    def read(self, request: Request) -> Ask:
        """The request."""
        return read_chat(request)

    def answer(self, generation: Generation) -> bytes:
        """One message."""
        message: dict[str, object] = {"role": "assistant"}
        if generation.ask.tool is None:
            message["content"] = [{"type": "text", "text": text(generation)}]
        else:
            message["tool_calls"] = [_tool_call(generation, arguments(generation))]
        whole = {"id": generation.id.decode(), "finish_reason": _finish_reason(generation), "message": message}
        return _encode(whole | _usage(generation))

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """`message-start`, one content or one call of a tool, `message-end` with the usage."""
        start = {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}
        yield _event("message-start", {"id": generation.id.decode(), "delta": start}), 0
        hidden, plainly = generation.reasoning, generation.ask.tool is None
        opening: dict[str, object] = {"content": {"type": "text", "text": ""}} if plainly else {"tool_calls": _tool_call(generation, "")}
        yield _event("content-start" if plainly else "tool-call-start", _delta(opening)), 0
        for piece, tokens in pieces(generation) if plainly else argument_pieces(generation):
            said: dict[str, object] = {"content": {"text": piece}} if plainly else {"tool_calls": {"function": {"arguments": piece}}}
            yield _event("content-delta" if plainly else "tool-call-delta", _delta(said)), tokens + hidden
            hidden = 0
        yield _event("content-end" if plainly else "tool-call-end", {"index": 0}), 0
        yield _event("message-end", {"delta": {"finish_reason": _finish_reason(generation)} | _usage(generation)}), 0

    def error(self, refused: RefusedError, call_id: bytes) -> bytes:
        """An id and a message."""
        return _encode({"id": call_id.decode(), "message": refused.message})

    def error_frame(self, refused: RefusedError, call_id: bytes) -> bytes:
        """The last event: it names its failure where its finish would be."""
        del call_id
        return _event("message-end", {"delta": {"finish_reason": "ERROR", "error": refused.message}})


def _event(kind: str, members: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **members}))


def _delta(message: dict[str, object]) -> dict[str, object]:
    return {"index": 0, "delta": {"message": message}}


def _usage(generation: Generation) -> dict[str, object]:
    """The member of the usage; none when it is missing. A partial one has all tokens and not those that are billed."""
    prompt, output = generation.ask.prompt, generation.output_total
    usage = {
        "billed_units": {"input_tokens": prompt, "output_tokens": output},
        "tokens": {"input_tokens": prompt + _TEMPLATE_TOKENS, "output_tokens": output},
        "cached_tokens": generation.cached,
    }
    written = spoil_usage(_encode(usage), generation.ask.words.usage, "tokens")
    return {"usage": msgspec.Raw(written)} if written else {}


def _tool_call(generation: Generation, written: str) -> dict[str, object]:
    return {"id": f"call_{generation.stem.decode()}", "type": "function", "function": {"name": generation.ask.tool, "arguments": written}}


def _finish_reason(generation: Generation) -> str:
    if generation.truncated:
        return "MAX_TOKENS"
    return "COMPLETE" if generation.ask.tool is None else "TOOL_CALL"
