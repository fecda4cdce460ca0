"""Where OpenAI's API is served: with its own prefix, and bare as its SDKs take a base URL."""

from farebox.dialects.base import Headers, Route
from farebox.dialects.patterns import model_id

_PREFIXES = ("/openai/v1", "/v1")
_ROUTES = (Route("openai", "chat_completions", "POST", "/chat/completions"),)
MODELS = Route("openai", "models", "GET", kind="models")
EXACT = {
    **{(route.method, prefix + route.upstream_path): route for route in _ROUTES for prefix in _PREFIXES},
    ("GET", "/openai/v1/models"): MODELS,
}


def find(method: str, path: str, query: bytes, headers: Headers) -> Route | None:  # noqa: ARG001 - the same for every dialect
    """A route whose path names something."""
    name = model_id(path, "/openai/v1/models/")
    return Route("openai", "model", "GET", kind="model", argument=name) if name is not None else None
