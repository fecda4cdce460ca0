"""Azure's OpenAI API: where it is served, and what is particular about a provider of this kind (providers.md §0.1, §4).

Azure names deployments where OpenAI names models, in the path or in the body. Here a deployment is the model's name at the provider: a request
on an Azure path asks for `azure/DEPLOYMENT`, as any client of OpenAI's dialect may. Which model is behind one, is a setting. Does not own
prices, nor what Azure charges for errors (`providers/catalogue.py`).
"""

from collections.abc import Mapping

import msgspec

from farebox.dialects import spans
from farebox.dialects.base import Ask, Headers, Route
from farebox.dialects.extras import Bounds
from farebox.dialects.openai import paths, stored
from farebox.dialects.openai.dialect import OpenAI
from farebox.dialects.openai.hosts import HOSTS
from farebox.dialects.openai.naming import UNREADABLE
from farebox.dialects.patterns import object_id
from farebox.errors import RouteNotFound

PROVIDER = "azure"
"""Whose deployments Azure's paths name."""
_BOUNDS = Bounds(PROVIDER)
_BY_DEPLOYMENT = "/openai/deployments/"
_BY_BODY = ("/openai/v1", "/openai")
_ROUTES = {route.upstream_path: msgspec.structs.replace(route, provider=PROVIDER) for route in paths.ROUTES}
_DEPLOYED = frozenset(("chat_completions", "embeddings", "completions", "speech", "transcriptions", "translations")) | frozenset(
    ("image_generations", "image_edits")
)
"""What has a path behind a deployment; the rest is under `/openai/v1` only."""


class Azure(OpenAI):
    """OpenAI's API at Azure. With an `api_version` deployments are called by their paths, without one by `/openai/v1`."""

    def __init__(self, *, deployments: Mapping[str, str], api_version: str, bounds: Bounds = _BOUNDS) -> None:
        super().__init__(tiers_of_auto=("default",), host=HOSTS[PROVIDER], bounds=bounds)
        self._deployments = deployments
        self._api_version = api_version

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
        """Reads and bounds a request as one for the model behind the deployment that `route.argument` names; where it names none, as it is."""
        self._check(route)
        if not route.argument or route.kind != "metered":
            return super().ask(route, body, headers)
        model = self._deployments.get(route.argument, route.argument)
        ask = self.ask_as(route, body, headers, model)
        ask.model = f"{PROVIDER}/{route.argument}"
        return ask

    def target(self, ask: Ask, route: Route, model: str, query: bytes) -> str:
        """The path behind the base URL. The operator's `api-version` counts, whatever the client's SDK sends: it decides what is reported."""
        self._check(route)
        if not self._api_version:
            return super().target(ask, route, model, query)
        return f"/{model}{route.upstream_path}?api-version={self._api_version}"

    def _check(self, route: Route) -> None:
        """Raises RouteNotFound for what no deployment has a path for, where they are called by their paths."""
        if self._api_version and route.name not in _DEPLOYED:
            hint = "This Azure resource is called by api-version: only what has a path behind a deployment is served there."
            raise RouteNotFound(method=route.method, path=route.upstream_path, hint=hint)


def find(method: str, path: str, headers: Headers) -> Route | None:
    """The route of a request in Azure's manner: behind a deployment, or with Azure's credential header, or with the prefix `/azure`."""
    rest = path.removeprefix("/azure")
    if rest.startswith(_BY_DEPLOYMENT):
        name, _, operation = rest.removeprefix(_BY_DEPLOYMENT).partition("/")
        route = _ROUTES.get("/" + operation)
        if route is None or route.name not in _DEPLOYED or method != route.method or object_id("/" + name, "/") is None:
            return None
        return msgspec.structs.replace(route, argument=name)
    if rest is path and all(name != b"api-key" for name, _ in headers):
        return None
    if method == "GET" and rest in ("/openai/v1/models", "/openai/models"):
        return paths.MODELS
    for prefix in _BY_BODY:
        route = _ROUTES.get(rest.removeprefix(prefix)) if rest.startswith(prefix) else None
        if route is not None and route.method == method:
            return route
    return stored.find(method, rest, _BY_BODY)


def whole(route: Route, body: bytes) -> bytes:
    """A JSON body that names its model: behind a deployment it need not. Whatever cannot be read is left to who reads it next."""
    if not route.argument or not body.lstrip(b" \t\r\n").startswith(b"{"):
        return body
    try:
        named = spans.member(body, "model") is not None
    except UNREADABLE:
        return body
    return body if named else spans.inserted(body, "model", msgspec.json.encode(route.argument))


class _Named(msgspec.Struct):
    model: str = ""


_NAMED = msgspec.json.Decoder(_Named)


def model_in(body: bytes) -> str:
    """The model that a JSON body names, whatever else is in it; "" where it names none that can be read."""
    try:
        return _NAMED.decode(body).model
    except (msgspec.DecodeError, RecursionError):
        return ""


def named(route: Route, model: str) -> str:
    """`azure/DEPLOYMENT` of a request on one of Azure's paths, the model of any other. What the path names counts before what the body does,
    as it does at Azure.
    """
    if not route.provider:
        return model
    name = route.argument or model
    return name if name.startswith(PROVIDER + "/") else f"{PROVIDER}/{name}"
