"""Every client that is run against the gateway: a new one is an entry here and a program beside the others."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from farebox.dialects.routes import match
from sdks.driving import javascript_command, python_command, python_environment

Header = tuple[bytes, bytes]


class Client(msgspec.Struct, frozen=True):
    """One client in one API."""

    name: str
    program: str
    """In `programs/`, or in `tests/javascript/`."""
    asks: tuple[tuple[str, str], ...]
    """Method and path of every route that it reaches."""
    raises: Mapping[str, str]
    """The asks whose outcome is an error, and the class of it; all others succeed."""
    broke: str
    """What it raises when there is no money."""
    broke_status: int | None = 402
    """The status on that error; none where the class has no such thing."""
    free: frozenset[str] = frozenset()
    """The asks that cost nothing: they succeed without money."""
    overlay: str = ""
    """The folder of `.venv/clients` that is laid over the environment."""
    arguments: tuple[str, ...] = ()
    """What the program is told when it starts."""
    language: Literal["python", "javascript"] = "python"
    headers: tuple[Header, ...] = ()
    """What besides the path tells which API it speaks."""

    secure: bool = False
    """It sends its key to https alone."""

    @property
    def command(self) -> list[str]:
        start = python_command if self.language == "python" else javascript_command
        return [*start(self.program), *self.arguments]

    @property
    def environment(self) -> dict[str, str]:
        return python_environment(self.overlay) if self.language == "python" else {}

    def __str__(self) -> str:
        return self.name


_CHAT = (("POST", "/v1/chat/completions"),)
_MESSAGES = (("POST", "/v1/messages"),)
_COUNTED = (*_MESSAGES, ("POST", "/v1/messages/count_tokens"))
_RESPONSES = (("POST", "/v1/responses"),)
_AZURE = "/openai/deployments/gpt-4o-mini"
_CONVERSE = "/model/anthropic.claude-haiku-4-5-20251001-v1:0"
_SPEECH = "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM"


def _gemini(version: str, *calls: str) -> tuple[tuple[str, str], ...]:
    return tuple(("POST", f"/{version}/models/{call}") for call in calls)


_GENERATES = ("gemini-3.5-flash:generateContent", "gemini-3.5-flash:streamGenerateContent")
_COUNTS = "gemini-3.5-flash:countTokens"
_EMBEDS, _EMBEDS_MANY = "gemini-embedding-001:embedContent", "gemini-embedding-001:batchEmbedContents"


_OPENAI_ERRORS = {
    "structured_cut": "LengthFinishReasonError",
    "rate_limited": "RateLimitError",
    "bad_request": "BadRequestError",
    "server_error": "InternalServerError",
    "fails_midway": "APIError",
}
_ANTHROPIC_ERRORS = {
    "rate_limited": "RateLimitError",
    "bad_request": "BadRequestError",
    "overloaded": "OverloadedError",
    "fails_midway": "APIStatusError",
}
_LANGCHAIN_OPENAI_ERRORS = {
    "rate_limited": "OpenAIRateLimitError",
    "bad_request": "OpenAIInvalidRequestError",
    "server_error": "OpenAIAPIError",
}
_LANGCHAIN_ANTHROPIC_ERRORS = {
    "rate_limited": "AnthropicRateLimitError",
    "bad_request": "AnthropicInvalidRequestError",
    "server_error": "AnthropicAPIError",
}
_RESPONSES_ERRORS = {name: raised for name, raised in _OPENAI_ERRORS.items() if name not in ("structured_cut", "fails_midway")}
_GEMINI_ERRORS = {"rate_limited": "ClientError", "bad_request": "ClientError", "server_error": "ServerError"}
_BEDROCK_ERRORS = {
    "rate_limited": "ThrottlingException",
    "bad_request": "ValidationException",
    "server_error": "InternalServerException",
}
_LLAMA_INDEX_ERRORS = {"rate_limited": "RateLimitError", "bad_request": "BadRequestError", "server_error": "InternalServerError"}
_VERCEL_ERRORS = dict.fromkeys(("rate_limited", "bad_request", "server_error"), "AI_APICallError")
_GEMINI_KEY = ((b"x-goog-api-key", b"-"),)


def _vercel(api: str, asks: tuple[tuple[str, str], ...], headers: tuple[Header, ...] = ()) -> Client:
    arguments = (api,)
    return Client(
        f"vercel {api}",
        "vercel",
        asks,
        _VERCEL_ERRORS,
        broke="AI_APICallError",
        arguments=arguments,
        language="javascript",
        headers=headers,
    )


CLIENTS = (
    Client("openai chat", "openai_chat", _CHAT, _OPENAI_ERRORS, broke="APIStatusError"),
    Client("anthropic", "anthropic_messages", _COUNTED, _ANTHROPIC_ERRORS, broke="PaymentRequiredError", free=frozenset({"counted"})),
    Client(
        "anthropic 1",
        "anthropic_messages",
        _COUNTED,
        _ANTHROPIC_ERRORS,
        broke="APIStatusError",
        free=frozenset({"counted"}),
        overlay="anthropic-1",
    ),
    Client("langchain-openai", "langchain_chat", _CHAT, _LANGCHAIN_OPENAI_ERRORS, broke="APIStatusError"),
    Client("langchain-anthropic", "langchain_messages", _MESSAGES, _LANGCHAIN_ANTHROPIC_ERRORS, broke="PaymentRequiredError"),
    Client("llama-index", "llama_index_chat", _CHAT, _LLAMA_INDEX_ERRORS, broke="APIStatusError", overlay="llama-index"),
    _vercel("chat", (*_CHAT, ("POST", "/v1/embeddings"))),
    _vercel("messages", _MESSAGES),
    _vercel("responses", _RESPONSES),
    _vercel("gemini", _gemini("v1beta", *_GENERATES, _EMBEDS, _EMBEDS_MANY), headers=_GEMINI_KEY),
    Client("openai responses", "openai_responses", _RESPONSES, _RESPONSES_ERRORS, broke="APIStatusError"),
    Client(
        "openai texts",
        "openai_texts",
        (("POST", "/v1/completions"), ("POST", "/v1/embeddings"), ("POST", "/v1/moderations")),
        {"rate_limited": "RateLimitError", "bad_request": "BadRequestError"},
        broke="APIStatusError",
        free=frozenset({"moderated"}),
    ),
    Client(
        "openai images",
        "openai_images",
        (("POST", "/v1/images/generations"), ("POST", "/v1/images/edits")),
        {"bad_request": "BadRequestError"},
        broke="APIStatusError",
    ),
    Client(
        "openai audio",
        "openai_audio",
        (("POST", "/v1/audio/speech"), ("POST", "/v1/audio/transcriptions"), ("POST", "/v1/audio/translations")),
        {"bad_request": "BadRequestError"},
        broke="APIStatusError",
    ),
    Client(
        "azure",
        "azure_chat",
        (("POST", f"{_AZURE}/chat/completions"),),
        _RESPONSES_ERRORS,
        broke="APIStatusError",
        headers=((b"api-key", b"-"),),
    ),
    Client(
        "google-genai",
        "gemini",
        _gemini("v1", *_GENERATES, _COUNTS, _EMBEDS_MANY),
        _GEMINI_ERRORS,
        broke="ClientError",
        free=frozenset({"counted"}),
        headers=_GEMINI_KEY,
    ),
    Client(
        "google-genai 2",
        "gemini",
        _gemini("v1beta", *_GENERATES, _COUNTS, _EMBEDS_MANY),
        _GEMINI_ERRORS,
        broke="ClientError",
        free=frozenset({"counted"}),
        headers=_GEMINI_KEY,
        overlay="google-genai-2",
    ),
    Client(
        "boto3",
        "bedrock",
        (("POST", f"{_CONVERSE}/converse"), ("POST", f"{_CONVERSE}/converse-stream")),
        _BEDROCK_ERRORS,
        broke="ServiceQuotaExceededException",
        secure=True,
    ),
    Client(
        "elevenlabs",
        "speech",
        tuple(("POST", _SPEECH + kind) for kind in ("", "/stream", "/with-timestamps", "/stream/with-timestamps")),
        {"bad_request": "ApiError", "not_found": "ApiError"},
        broke="ApiError",
        headers=((b"xi-api-key", b"-"),),
    ),
)


def routes_of(client: Client) -> set[tuple[str, str]]:
    """(dialect, name) of the routes that it reaches."""
    return {(route.dialect, route.name) for route in (match(method, path, client.headers) for method, path in client.asks)}
