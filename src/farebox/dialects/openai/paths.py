"""Where OpenAI's API is served: with its own prefix, and bare as its SDKs take a base URL."""

from farebox.dialects.base import Headers, Route
from farebox.dialects.openai import stored
from farebox.dialects.patterns import model_id

_PREFIXES = ("/openai/v1", "/v1")
ROUTES = (
    Route("openai", "chat_completions", "POST", "/chat/completions"),
    Route("openai", "responses", "POST", "/responses"),
    Route("openai", "embeddings", "POST", "/embeddings"),
    Route("openai", "completions", "POST", "/completions"),
    Route("openai", "speech", "POST", "/audio/speech"),
    Route("openai", "transcriptions", "POST", "/audio/transcriptions"),
    Route("openai", "translations", "POST", "/audio/translations"),
    Route("openai", "image_generations", "POST", "/images/generations"),
    Route("openai", "image_edits", "POST", "/images/edits"),
    Route("openai", "moderations", "POST", "/moderations", kind="free"),
    Route("openai", "input_tokens", "POST", "/responses/input_tokens", kind="free"),
)
MODELS = Route("openai", "models", "GET", kind="models")
EXACT = {
    **{(route.method, prefix + route.upstream_path): route for route in ROUTES for prefix in _PREFIXES},
    ("GET", "/openai/v1/models"): MODELS,
}


def find(method: str, path: str, query: bytes, headers: Headers) -> Route | None:  # noqa: ARG001 - the same for every dialect
    """A route whose path names something."""
    name = model_id(path, "/openai/v1/models/")
    if name is not None:
        return Route("openai", "model", "GET", kind="model", argument=name)
    return stored.find(method, path, _PREFIXES)
