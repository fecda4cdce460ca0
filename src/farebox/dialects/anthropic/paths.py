"""Where Anthropic's API is served: with its own prefix, and bare as its SDKs take a base URL."""

from farebox.dialects.base import Headers, Route
from farebox.dialects.patterns import model_id

_PREFIXES = ("/anthropic", "")
_ROUTES = (
    Route("anthropic", "messages", "POST", "/v1/messages"),
    Route("anthropic", "count_tokens", "POST", "/v1/messages/count_tokens", kind="free"),
)
_PROBE = Route("anthropic", "probe", "HEAD", kind="probe")
MODELS = Route("anthropic", "models", "GET", kind="models")
EXACT = {
    **{(route.method, prefix + route.upstream_path): route for route in _ROUTES for prefix in _PREFIXES},
    ("GET", "/anthropic/v1/models"): MODELS,
    **{("HEAD", path): _PROBE for path in ("/", "/anthropic", "/anthropic/")},
}


def find(method: str, path: str, query: bytes, headers: Headers) -> Route | None:  # noqa: ARG001 - the same for every dialect
    """A route whose path names something."""
    name = model_id(path, "/anthropic/v1/models/")
    return Route("anthropic", "model", "GET", kind="model", argument=name) if name is not None else None
