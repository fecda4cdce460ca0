"""Where Bedrock's API is served: with its own prefix, and bare as its SDKs take an endpoint. The model stands in the path, escaped.

Colons and slashes, which ids and ARNs of models have, are the only characters that may be escaped there: a model's id has no others.
"""

import re

from farebox.dialects.base import Headers, Kind, Route
from farebox.dialects.patterns import model_id

_BASES = ("/bedrock", "")
_MODEL = "/model/"
_LISTING = "/foundation-models"
_ESCAPED = {"%3A": ":", "%3a": ":", "%2F": "/", "%2f": "/"}
_ESCAPE = re.compile("|".join(_ESCAPED))
_CALLS: dict[str, tuple[str, Kind]] = {
    "converse": ("converse", "metered"),
    "converse-stream": ("converse_stream", "metered"),
    "count-tokens": ("count_model_tokens", "free"),
}
ACTIONS = {name: action for action, (name, _) in _CALLS.items()}
"""What the API calls each route."""
MODELS = Route("bedrock", "models", "GET", kind="models")
CALLS = tuple(Route("bedrock", name, "POST", kind=kind) for name, kind in _CALLS.values())
"""The routes that name a model, with none."""
EXACT = {("GET", base + _LISTING): MODELS for base in _BASES}
OWN_PATHS = frozenset(("model", "foundation-models", "guardrail", "guardrail-checks", "async-invoke"))
"""What the paths of this API, and of no other, begin with."""
NOT_SERVED = (
    "Of Bedrock's API, Converse, ConverseStream and CountTokens are served: InvokeModel has a body and a usage of its own for every model. "
    "Use `converse` or `converse_stream`."
)


def find(method: str, path: str, query: bytes, headers: Headers) -> Route | None:  # noqa: ARG001 - the same for every dialect
    """A route whose path names something."""
    for base in _BASES:
        if path.startswith(base + _MODEL):
            named, slash, action = path[len(base + _MODEL) :].rpartition("/")
            name, kind = _CALLS.get(action, ("", "metered"))
            model = model_id(unescaped(named), "") if name and slash and "/" not in named else None
            return None if model is None else Route("bedrock", name, "POST", kind=kind, argument=model)
        if path.startswith(base + _LISTING + "/"):
            model = model_id(unescaped(path[len(base + _LISTING) + 1 :]), "")
            return None if model is None else Route("bedrock", "model", "GET", kind="model", argument=model)
    return None


def unescaped(name: str) -> str:
    """A model's name as it is meant."""
    return _ESCAPE.sub(lambda found: _ESCAPED[found[0]], name) if "%" in name else name


def escaped(name: str) -> str:
    """A model's name as one segment of a path."""
    return name.replace(":", "%3A").replace("/", "%2F").replace("@", "%40").replace("+", "%2B")
