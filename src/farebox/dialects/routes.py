"""Which API a request speaks, and which of its routes it means (providers.md §0.1).

Owns the list of everything that is served on the data plane: a route that is not here does not exist. Paths are compared as they
were sent: nothing is decoded or collapsed first, so nothing can be smuggled past.
"""

import re
from collections.abc import Sequence

import msgspec

from farebox.errors import MethodNotAllowed, RouteNotFound

Headers = Sequence[tuple[bytes, bytes]]
"""Header lines as they came; names in lower case."""


class Route(msgspec.Struct, frozen=True):
    """One place to go."""

    dialect: str
    name: str
    """`chat_completions`, `messages`, `count_tokens`, `models`, `model`, `probe`."""
    method: str
    upstream_path: str = ""
    """The path behind the provider's base URL; empty where nothing is forwarded."""
    argument: str = ""
    """The model's id on `model`."""


_OPENAI = {
    "/chat/completions": Route("openai", "chat_completions", "POST", "/chat/completions"),
    "/models": Route("openai", "models", "GET"),
}
_ANTHROPIC = {
    "/v1/messages": Route("anthropic", "messages", "POST", "/v1/messages"),
    "/v1/messages/count_tokens": Route("anthropic", "count_tokens", "POST", "/v1/messages/count_tokens"),
    "/v1/models": Route("anthropic", "models", "GET"),
}
_PROBE = Route("anthropic", "probe", "HEAD")
_BARE_MODELS = {"openai": _OPENAI["/models"], "anthropic": _ANTHROPIC["/v1/models"]}
_EXACT = {
    **{"/openai/v1" + path: route for path, route in _OPENAI.items()},
    **{"/anthropic" + path: route for path, route in _ANTHROPIC.items()},
    "/v1/chat/completions": _OPENAI["/chat/completions"],
    "/v1/messages": _ANTHROPIC["/v1/messages"],
    "/v1/messages/count_tokens": _ANTHROPIC["/v1/messages/count_tokens"],
    "/": _PROBE,
    "/anthropic": _PROBE,
    "/anthropic/": _PROBE,
}
_MODEL = re.compile(r"(?P<prefix>/openai|/anthropic|)/v1/models/(?P<id>[A-Za-z0-9][A-Za-z0-9._:@+-]*(?:/[A-Za-z0-9][A-Za-z0-9._:@+-]*)*)")
_PATH_SHOWN_CHARS = 128
_NOT_SERVED_YET = ((b"x-goog-api-key", "Gemini"), (b"xi-api-key", "ElevenLabs"))


def match(method: str, path: str, headers: Headers) -> Route:
    """The route of a request. `path` is the path as it was sent (ASGI's `raw_path`); a query string on it is ignored.

    Raises RouteNotFound or MethodNotAllowed.
    """
    path = path.partition("?")[0]
    route = _EXACT.get(path) or _models(path, headers)
    if route is None:
        raise RouteNotFound(method=_shown(method), path=_shown(path), hint=_hint(path))
    if method != route.method:
        raise MethodNotAllowed(path=_shown(path), allowed=route.method, method=_shown(method))
    return route


def spoken(path: str, headers: Headers) -> str:
    """The dialect to answer in where no route matched."""
    if path.startswith("/anthropic"):
        return "anthropic"
    if path.startswith("/openai"):
        return "openai"
    return "anthropic" if path.startswith("/v1/messages") else _by_headers(headers)


def _by_headers(headers: Headers) -> str:
    """The order of §0.1. Callers of APIs that are not spoken yet are answered in OpenAI's words."""
    sent = {name for name, _ in headers}
    if b"x-goog-api-key" in sent or b"xi-api-key" in sent:
        return "openai"
    return "anthropic" if b"anthropic-version" in sent or b"x-api-key" in sent else "openai"


def _models(path: str, headers: Headers) -> Route | None:
    if path != "/v1/models" and not path.startswith(("/v1/models/", "/openai/v1/models/", "/anthropic/v1/models/")):
        return None
    if any(name == header for header, _ in _NOT_SERVED_YET for name, _ in headers):
        return None
    if path == "/v1/models":
        return _BARE_MODELS[_by_headers(headers)]
    found = _MODEL.fullmatch(path)
    if found is None:
        return None
    return Route(found["prefix"][1:] or _by_headers(headers), "model", "GET", argument=found["id"])


def _hint(path: str) -> str:
    if "//" in path or "/." in path or "%" in path:
        return "Paths are taken literally: send it without empty or dotted segments and without percent-encoding."
    return "OpenAI clients use the base URL …/openai/v1, Anthropic clients …/anthropic."


def _shown(value: str) -> str:
    text = value if value.isprintable() else ascii(value)[1:-1]
    return text[:_PATH_SHOWN_CHARS]
