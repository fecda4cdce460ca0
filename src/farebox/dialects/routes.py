"""Which API a request speaks, and which of its routes it means (providers.md §0.1).

Owns the list of everything that is served on the data plane (each dialect's `paths.py` put together): a route that is not there does
not exist. Paths are compared as they were sent: nothing is decoded or collapsed first, so nothing can be smuggled past.
"""

from typing import Protocol

import msgspec

from farebox.dialects.anthropic import paths as anthropic
from farebox.dialects.base import Headers, Route
from farebox.dialects.bedrock import paths as bedrock
from farebox.dialects.elevenlabs import paths as elevenlabs
from farebox.dialects.gemini import paths as gemini
from farebox.dialects.openai import azure
from farebox.dialects.openai import paths as openai
from farebox.dialects.patterns import model_id
from farebox.errors import MethodNotAllowed, RouteNotFound


class Paths(Protocol):
    """One dialect's routes."""

    EXACT: dict[tuple[str, str], Route]
    """By method and path."""

    def find(self, method: str, path: str, query: bytes, headers: Headers) -> Route | None:
        """A route whose path names something."""
        ...


PATHS: dict[str, Paths] = {"openai": openai, "anthropic": anthropic, "gemini": gemini, "elevenlabs": elevenlabs, "bedrock": bedrock}
_EXACT = {asked: route for paths in PATHS.values() for asked, route in paths.EXACT.items()}
_NAMING = (*gemini.CALLS, *elevenlabs.CALLS, *bedrock.CALLS)
METERED = {(route.dialect, route.name): route for route in (*_EXACT.values(), *_NAMING) if route.kind == "metered"}
"""What can be quoted: by dialect and name."""
_BARE_MODELS = {"openai": openai.MODELS, "anthropic": anthropic.MODELS, "gemini": gemini.MODELS, "elevenlabs": elevenlabs.MODELS}
_METHODS = ("GET", "POST", "HEAD", "DELETE")
_PATH_SHOWN_CHARS = 128


def match(method: str, path: str, headers: Headers, query: bytes = b"") -> Route:
    """The route of a request. `path` is the path as it was sent (ASGI's `raw_path`); a query string on it is ignored.

    Raises RouteNotFound or MethodNotAllowed.
    """
    if "?" in path:
        path = path.partition("?")[0]
    route = _azure(method, path, headers) or _EXACT.get((method, path)) or _found(method, path, query, headers)
    if route is not None:
        return route
    for other in _METHODS:
        if other != method and (_azure(other, path, headers) or _EXACT.get((other, path)) or _found(other, path, query, headers)):
            raise MethodNotAllowed(path=_shown(path), allowed=other, method=_shown(method))
    raise RouteNotFound(method=_shown(method), path=_shown(path), hint=_hint(path))


def spoken(path: str, headers: Headers) -> str:
    """The dialect to answer in where no route matched; callers of APIs that are not spoken get OpenAI's words."""
    first = path[1:].partition("/")[0]
    if first in PATHS:
        return first
    if first == "v1beta":
        return "gemini"
    if first in bedrock.OWN_PATHS:
        return "bedrock"
    found = "anthropic" if path.startswith("/v1/messages") else _by_headers(headers)
    return found if found in PATHS else "openai"


def _by_headers(headers: Headers, query: bytes = b"") -> str:
    """The order of §0.1."""
    sent = {name for name, _ in headers}
    if b"x-goog-api-key" in sent or (b"key=" in query and query.partition(b"key=")[0][-1:] in (b"", b"&")):
        return "gemini"
    if b"xi-api-key" in sent:
        return "elevenlabs"
    return "anthropic" if b"anthropic-version" in sent or b"x-api-key" in sent else "openai"


def _azure(method: str, path: str, headers: Headers) -> Route | None:
    """Azure's API shares its prefix with OpenAI's; it is told by what stands behind it, or by where its key stands."""
    return azure.find(method, path, headers) if path.startswith(("/openai/", "/azure/openai/")) else None


def _found(method: str, path: str, query: bytes, headers: Headers) -> Route | None:
    if path == "/v1/models" or path.startswith("/v1/models/"):
        route = _models(path, query, headers)
        if route is not None and route.method == method:
            return route
    for paths in PATHS.values():
        route = paths.find(method, path, query, headers)
        if route is not None and route.method == method:
            return route
    return None


def _models(path: str, query: bytes, headers: Headers) -> Route | None:
    """The paths that several APIs have: which one is meant is told by where its key stands."""
    listing = _BARE_MODELS.get(_by_headers(headers, query))
    if listing is None or path == "/v1/models":
        return listing
    name = model_id(path, "/v1/models/")
    return msgspec.structs.replace(listing, name="model", kind="model", argument=name) if name is not None else None


def _hint(path: str) -> str:
    if spoken(path, ()) == "bedrock":
        return bedrock.NOT_SERVED
    if "//" in path or "/." in path or "%" in path:
        return "Paths are taken literally: send it without empty or dotted segments and without percent-encoding."
    return "OpenAI clients use the base URL …/openai/v1, Anthropic clients …/anthropic."


def _shown(value: str) -> str:
    text = value if value.isprintable() else ascii(value)[1:-1]
    return text[:_PATH_SHOWN_CHARS]
