"""Routes and tables of them: which handler answers a method and a path. Owns matching; knows no dialect's routes.

A path is fixed, or has arguments in braces, each one segment or a part of one: `/v1/responses/{id}/cancel`, `/v1/models/{model}:generateContent`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import unquote

from .desk import Desk
from .dialect import Dialect
from .refusals import no_route, wrong_method
from .replies import Reply
from .wire import Request

Handler = Callable[[Desk, Request], Reply]
_SHOWN_MAX = 200
_BRACED = re.compile(r"\{(\w+)\}", re.ASCII)
NO_ARGUMENTS: Final[Mapping[str, str]] = MappingProxyType({})


class Route(NamedTuple):
    """One thing that can be asked for."""

    method: str
    path: str
    handle: Handler
    dialect: Dialect | None = None
    """Who says no on this route; None: whoever the request's headers name."""


class Found(NamedTuple):
    """A route with the values of its path's arguments."""

    route: Route
    arguments: Mapping[str, str]


class _Pattern(NamedTuple):
    path: re.Pattern[str]
    by_method: dict[bytes, Route]


def generating(method: str, path: str, dialect: Dialect) -> Route:
    """A route whose calls generate and stand on the bill."""
    return Route(method, path, lambda desk, request: desk.generate(dialect, request), dialect)


class Table:
    """Every route of the simulator. Fixed paths are looked up; the others are tried in their order."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[bytes, dict[bytes, Found]] = {}
        patterns: dict[str, _Pattern] = {}
        for route in routes:
            if "{" in route.path:
                patterns.setdefault(route.path, _Pattern(_compile(route.path), {})).by_method[route.method.encode()] = route
            else:
                self._fixed.setdefault(route.path.encode(), {})[route.method.encode()] = Found(route, NO_ARGUMENTS)
        self._patterns = tuple(patterns.values())

    def find(self, method: bytes, path: bytes) -> Found:
        """The route. Raises `RefusedError` when there is none, or none for this method."""
        fixed = self._fixed.get(path)
        if fixed is not None and method in fixed:
            return fixed[method]
        text, other_method = path.decode("latin-1"), fixed is not None
        for pattern in self._patterns:
            matched = pattern.path.fullmatch(text)
            if matched is None:
                continue
            if method in pattern.by_method:
                return Found(pattern.by_method[method], {name: unquote(value) for name, value in matched.groupdict().items()})
            other_method = True
        refuse = wrong_method if other_method else no_route
        raise refuse(_shown(method), _shown(path))


def _compile(path: str) -> re.Pattern[str]:
    texts = _BRACED.split(path)
    return re.compile("".join(f"(?P<{text}>[^/]+)" if index % 2 else re.escape(text) for index, text in enumerate(texts)))


def _shown(part: bytes) -> str:
    return part[:_SHOWN_MAX].decode("latin-1")
