"""Hosts of OpenAI-compatible chat: DeepSeek, Mistral, xAI, Groq, OpenRouter, Together, Fireworks, Perplexity, Cohere, vLLM, Ollama, Gemini. Pure.

One dialect for all of them; what makes each of them differ stands in its `Host`: where its usage is, its shape, and what is around it.
"""

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

import msgspec

from . import host_errors, host_usage
from .dialect import Frame
from .generation import Ask, Generation, argument_pieces, arguments, pieces, text
from .host_errors import Error
from .host_requests import is_continuous, read_chat
from .host_usage import Shape, Spent
from .openai_dialect import OpenAIDialect
from .refusals import RefusedError
from .spoil import spoil_usage
from .wire import Request

_encode = msgspec.json.encode
_ID_HEADER = b"x-request-id"
_DONE = b"data: [DONE]\n\n"
Chunk = dict[str, object]


class When(Enum):
    """Where a stream has its usage."""

    ASKED = auto()
    """In a chunk of its own behind the others, with `include_usage`."""
    ALWAYS = auto()
    """The same without being asked."""
    FINISH = auto()
    """In the chunk with the last finish, always."""
    EVERY = auto()
    """In every chunk, the sum so far."""


class Host(msgspec.Struct, frozen=True):
    """What is particular about one of them."""

    name: str
    provider: str
    """Its name in genai-prices."""
    usage: Shape
    when: When
    error: Error = host_errors.openai
    id_header: bytes = _ID_HEADER
    comment: bytes = b""
    """A comment while the call waits, before the first chunk."""
    members: Mapping[str, object] = MappingProxyType({})
    """What stands in every object besides what is everybody's."""
    continuous: bool = False
    """Whether usage can be asked for with every chunk."""
    groq: bool = False
    """Whether `x_groq` stands in the first and in the last chunk."""
    searches: bool = False
    """Whether its models search the web by themselves: `sim:queries` says how often."""
    token_headers: bytes = b""
    """Begin of the names of headers that tell tokens of the input."""


HOSTS: Final[Mapping[str, Host]] = {
    host.name: host
    for host in (
        Host("deepseek", "deepseek", host_usage.deepseek, When.ASKED, host_errors.deepseek, comment=b": keep-alive\n\n"),
        Host("mistral", "mistral", host_usage.mistral, When.FINISH, host_errors.mistral),
        Host("xai", "x-ai", host_usage.xai, When.ALWAYS, host_errors.xai, members={"system_fingerprint": "fp_sim"}),
        Host("groq", "groq", host_usage.groq, When.ASKED, groq=True),
        Host(
            "openrouter",
            "openrouter",
            host_usage.openrouter,
            When.ALWAYS,
            host_errors.openrouter,
            id_header=b"x-generation-id",
            comment=b": OPENROUTER PROCESSING\n\n",
            members={"provider": "Simulated"},
        ),
        Host("together", "together", host_usage.plain, When.FINISH),
        Host("fireworks", "fireworks", host_usage.fireworks, When.FINISH, host_errors.fireworks, token_headers=b"fireworks-"),
        Host(
            "perplexity",
            "perplexity",
            host_usage.perplexity,
            When.EVERY,
            host_errors.perplexity,
            members={"citations": ["https://example.org/"]},
            searches=True,
        ),
        Host("cohere", "cohere", host_usage.detailed, When.ASKED, host_errors.cohere),
        Host("vllm", "vllm", host_usage.plain, When.ASKED, host_errors.vllm, continuous=True),
        Host("ollama", "ollama", host_usage.plain, When.ASKED, members={"system_fingerprint": "fp_ollama"}),
        Host("gemini-openai", "google", host_usage.gemini, When.ASKED, host_errors.google),
    )
}


class HostChat(OpenAIDialect):
    """`/v1/chat/completions` of one host."""

    account_headers = b""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.name, self.provider, self.id_header = host.name, host.provider, host.id_header

    def read(self, request: Request) -> Ask:
        """The request."""
        ask = read_chat(request, searches=self.host.searches)
        return msgspec.structs.replace(ask, headers=_token_headers(self.host, ask)) if self.host.token_headers else ask

    def answer(self, generation: Generation) -> bytes:
        """A `chat.completion`; behind empty lines where the host sends them while a call waits."""
        message, finish = _message(generation), _finish_reason(generation)
        choices = [{"index": index, "message": message, "finish_reason": finish} for index in range(generation.ask.choices)]
        whole = _object(self.host, generation, "chat.completion", choices)
        usage = self._usage(host_usage.whole(generation, self.provider))
        if usage is not None:
            whole["usage"] = usage
        if self.host.groq:
            whole["x_groq"] = {"id": generation.id.decode()}
        waited = b"\n" if self.host.comment and generation.ask.words.delay else b""
        return waited + _encode(whole)

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """The chunks, each with the usage that this host has there, and `[DONE]`."""
        if self.host.comment:
            yield self.host.comment, 0
        every = self.host.when is When.EVERY or (self.host.continuous and is_continuous(generation))
        spent = Spent(generation, self.provider, 0, 0, final=False)
        for chunk, tokens, hidden in _chunks(self.host, generation):
            spent = Spent(generation, self.provider, spent.output + tokens, spent.reasoning + hidden, final=False)
            usage = self._usage(spent) if every else None
            yield _event(chunk if usage is None else chunk | {"usage": usage}), tokens
        yield from self._last_frames(generation, every=every)
        yield _DONE, 0

    def _last_frames(self, generation: Generation, *, every: bool) -> Iterator[Frame]:
        """A finish for each choice, and the usage of the whole: with the last of them, or behind it."""
        usage = self._usage(host_usage.whole(generation, self.provider))
        finish, last = _finish_reason(generation), generation.ask.choices - 1
        for index in range(generation.ask.choices):
            chunk = _chunk(self.host, generation, index, {}, finish)
            if usage is not None and (every or (index == last and self.host.when is When.FINISH)):
                chunk["usage"] = usage
            if index == last and self.host.groq:
                chunk["x_groq"] = {"id": generation.id.decode()} | ({} if usage is None else {"usage": usage})
            yield _event(chunk), 0
        behind = self.host.when is When.ALWAYS or (self.host.when is When.ASKED and generation.ask.reports_usage)
        if behind and usage is not None:
            yield _event(_object(self.host, generation, "chat.completion.chunk", []) | {"usage": usage}), 0

    def error(self, refused: RefusedError, call_id: bytes) -> bytes:
        """An error in the host's shape."""
        del call_id
        return _encode(self.host.error(refused))

    def error_frame(self, refused: RefusedError, call_id: bytes) -> bytes:
        """The same object as an event; OpenRouter's stands in a chunk that ends the answer."""
        if self.host.error is not host_errors.openrouter:
            return super().error_frame(refused, call_id)
        choices = [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]
        chunk = {"id": call_id.decode(), "object": "chat.completion.chunk", "choices": choices}
        return b"data: " + _encode(chunk | {"error": {"code": refused.code or "server_error", "message": refused.message}}) + b"\n\n"

    def _usage(self, spent: Spent) -> msgspec.Raw | None:
        """As the host reports it, and as `sim:usage` asks; None when it is missing."""
        written = spoil_usage(_encode(self.host.usage(spent)), spent.generation.ask.words.usage, "prompt_tokens")
        return msgspec.Raw(written) if written else None


def _token_headers(host: Host, ask: Ask) -> bytes:
    counts = (host.token_headers, ask.prompt, host.token_headers, min(ask.words.cached, ask.prompt))
    return b"%bprompt-tokens: %d\r\n%bcached-prompt-tokens: %d\r\n" % counts


def _event(chunk: Chunk) -> bytes:
    return b"data: " + _encode(chunk) + b"\n\n"


def _object(host: Host, generation: Generation, kind: str, choices: list[dict[str, object]]) -> Chunk:
    """An answer or a chunk. OpenRouter's is named as its header says, the others' as OpenAI's."""
    name = generation.id if host.id_header != _ID_HEADER else b"chatcmpl-" + generation.stem
    return {
        "id": name.decode(),
        "object": kind,
        "created": generation.created_s,
        "model": generation.ask.model,
        **host.members,
        "choices": choices,
    }


def _chunk(host: Host, generation: Generation, index: int, delta: dict[str, object], finish: str | None = None) -> Chunk:
    return _object(host, generation, "chat.completion.chunk", [{"index": index, "delta": delta, "finish_reason": finish}])


def _chunks(host: Host, generation: Generation) -> Iterator[tuple[Chunk, int, int]]:
    """Each chunk before the finish, the output tokens it carries, and how many of them are hidden."""
    choices = range(generation.ask.choices)
    for index in choices:
        chunk = _chunk(host, generation, index, _first_delta(generation))
        if host.groq and not index:
            chunk["x_groq"] = {"id": generation.id.decode()}
        yield chunk, 0, 0
    hidden = generation.reasoning
    for delta, tokens in _deltas(generation):
        for index in choices:
            yield _chunk(host, generation, index, delta), tokens + hidden, hidden
        hidden = 0


def _first_delta(generation: Generation) -> dict[str, object]:
    if generation.ask.tool is None:
        return {"role": "assistant", "content": ""}
    return {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **_tool_call(generation, "")}]}


def _deltas(generation: Generation) -> Iterator[tuple[dict[str, object], int]]:
    if generation.ask.tool is None:
        for piece, tokens in pieces(generation):
            yield {"content": piece}, tokens
        return
    for piece, tokens in argument_pieces(generation):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}, tokens


def _message(generation: Generation) -> dict[str, object]:
    if generation.ask.tool is None:
        return {"role": "assistant", "content": text(generation)}
    return {"role": "assistant", "content": None, "tool_calls": [_tool_call(generation, arguments(generation))]}


def _tool_call(generation: Generation, written: str) -> dict[str, object]:
    return {"id": f"call_{generation.stem.decode()}", "type": "function", "function": {"name": generation.ask.tool, "arguments": written}}


def _finish_reason(generation: Generation) -> str:
    if generation.truncated:
        return "length"
    return "stop" if generation.ask.tool is None else "tool_calls"
