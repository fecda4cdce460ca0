"""Gemini's routes, below `/v1beta` and `/v1`, and its list of models."""

from collections.abc import Callable
from typing import Final

import msgspec

from .desk import Desk, admit, check_model
from .dialect import Dialect
from .gemini import GenerateContent, StreamArray, StreamEvents, modality_counts
from .gemini_dialect import JSON_UTF8
from .gemini_embed import BatchEmbedContents, EmbedContent
from .gemini_requests import read_count
from .prices import ModelEntry, list_models
from .refusals import RefusedError, invalid
from .replies import Reply
from .routes import Handler, Route
from .wire import Request

SPEAKER: Final = GenerateContent()
_VERSIONS = ("v1beta", "v1")
_OUTPUT_TOKENS = 65_536
_PAGE_DEFAULT = 50
_PAGE_MAX = 1000
_encode = msgspec.json.encode


def is_meant(request: Request) -> bool:
    """Whether the credential speaks to Gemini where the path does not tell."""
    return b"x-goog-api-key" in request.headers or (b"key=" in request.target and "key" in request.query())


def models(desk: Desk, request: Request) -> Reply:
    """A page of models: `pageSize` of them from `pageToken` on."""
    admit(SPEAKER, request)
    query = request.query()
    entries = _entries()
    size, start = _number(query.get("pageSize") or str(_PAGE_DEFAULT)), _number(query.get("pageToken") or "0")
    end = start + max(1, min(size, _PAGE_MAX))
    page: dict[str, object] = {"models": [_model(entry) for entry in entries[start:end]]}
    if end < len(entries):
        page["nextPageToken"] = str(end)
    return desk.answer(SPEAKER, request, _encode(page), content_type=JSON_UTF8)


def model(desk: Desk, request: Request) -> Reply:
    """One model."""
    admit(SPEAKER, request)
    name = request.arguments["model"]
    entry = next((entry for entry in _entries() if entry.id == name), None)
    if entry is None:
        raise RefusedError(404, f"Model is not found: models/{name} for api version {_version(request)}")
    return desk.answer(SPEAKER, request, _encode(_model(entry)), content_type=JSON_UTF8)


def _count(desk: Desk, request: Request) -> Reply:
    """`countTokens`: free."""
    admit(SPEAKER, request)
    counts = read_count(request.body)
    check_model(SPEAKER, SPEAKER.model_of(request))
    counted = {"totalTokens": sum(tokens for _, tokens in counts), "promptTokensDetails": modality_counts(counts)}
    return desk.answer(SPEAKER, request, _encode(counted), content_type=JSON_UTF8)


def _version(request: Request) -> str:
    return request.path.split(b"/")[1].decode("latin-1")


def _stream(version: str, request: Request) -> Dialect:
    """`alt=sse` or not: two ways of streaming on one path."""
    return (StreamEvents if request.query().get("alt") == "sse" else StreamArray)(version)


def _speaking(choose: Callable[[str, Request], Dialect]) -> Handler:
    """A handler of calls that generate, each with a dialect of its own."""
    return lambda desk, request: desk.generate(choose(_version(request), request), request)


def _entries() -> list[ModelEntry]:
    return [entry for entry in list_models(SPEAKER.provider) if not entry.id.startswith("claude")]


def _model(entry: ModelEntry) -> dict[str, object]:
    embeds = "embedding" in entry.id
    methods = ("embedContent", "batchEmbedContents") if embeds else ("generateContent", "countTokens")
    return {
        "name": f"models/{entry.id}",
        "version": "001",
        "displayName": entry.name,
        "inputTokenLimit": entry.context_window or 1_048_576,
        "outputTokenLimit": 1 if embeds else _OUTPUT_TOKENS,
        "supportedGenerationMethods": methods,
    }


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < len("1000000")):
        raise invalid("Invalid value for page size or page token.")
    return int(text)


_HANDLERS: dict[str, Handler] = {
    "generateContent": _speaking(lambda version, _: GenerateContent(version)),
    "streamGenerateContent": _speaking(_stream),
    "embedContent": _speaking(lambda version, _: EmbedContent(version)),
    "batchEmbedContents": _speaking(lambda version, _: BatchEmbedContents(version)),
    "countTokens": _count,
}
ROUTES = (
    *(
        Route("POST", f"/{version}/models/{{model}}:{method}", handle, SPEAKER)
        for version in _VERSIONS
        for method, handle in _HANDLERS.items()
    ),
    Route("GET", "/v1beta/models", models, SPEAKER),
    Route("GET", "/v1beta/models/{model}", model, SPEAKER),
)
"""The lists of models below `/v1` are on paths that it shares with others: see `openai_routes.py`."""
