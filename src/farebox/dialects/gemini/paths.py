"""Where Gemini's API is served: with its own prefix, and bare as its SDKs take a base URL. The model and the method stand in the path."""

from farebox.dialects.base import Headers, Kind, Route
from farebox.dialects.patterns import model_id

_BASES = {"/gemini/v1beta": "/v1beta", "/gemini/v1": "/v1", "/v1beta": "/v1beta", "/v1": "/v1"}
"""What is asked for, and where that is at the provider."""
_OTHERS_HAVE_IT_TOO = "/v1"
_KINDS: dict[str, tuple[str, Kind]] = {
    "generateContent": ("generate_content", "metered"),
    "streamGenerateContent": ("stream_generate_content", "metered"),
    "embedContent": ("embed_content", "metered"),
    "batchEmbedContents": ("batch_embed_contents", "metered"),
    "countTokens": ("count_tokens", "free"),
}
METHODS = {name: method for method, (name, _) in _KINDS.items()}
"""What the API calls each route."""
MODELS = Route("gemini", "models", "GET", kind="models")
CALLS = tuple(Route("gemini", name, "POST", "/v1beta/models/", kind) for name, kind in _KINDS.values())
"""The routes that name a model, with none."""
EXACT = {("GET", base + "/models"): MODELS for base in _BASES if base != _OTHERS_HAVE_IT_TOO}


def find(method: str, path: str, query: bytes, headers: Headers) -> Route | None:  # noqa: ARG001 - the same for every dialect
    """A route whose path names something."""
    base, slash, _ = path.partition("/models/")
    upstream = _BASES.get(base) if slash else None
    if upstream is None:
        return None
    if method == "POST":
        named, _, called = path.rpartition(":")
        name, kind = _KINDS.get(called, ("", "metered"))
        model = model_id(named, base + slash) if name else None
        return None if model is None else Route("gemini", name, "POST", upstream + slash, kind, model, query)
    model = None if base == _OTHERS_HAVE_IT_TOO else model_id(path, base + slash)
    return None if model is None else Route("gemini", "model", "GET", kind="model", argument=model)
