"""Everything that is spoken: each dialect as it is, and as each host speaks it, with every route that its table has.

Owns the enumeration, from the gateway's own tables: a route that is registered and has no example here fails a test.
"""

from collections.abc import Iterator

import msgspec

from farebox.dialects import DIALECTS, OpenAI
from farebox.dialects.base import Ask, Dialect, Route
from farebox.dialects.elevenlabs import paths as elevenlabs
from farebox.dialects.openai import stored
from farebox.dialects.openai.azure import Azure
from farebox.dialects.openai.hosts import HOSTS
from farebox.dialects.routes import PATHS
from farebox.providers.catalogue import KNOWN
from fuzz.examples import EXAMPLES, Example

READ = ("metered", "free", "owned")
"""The kinds of routes whose bodies and answers are read."""
_SPEECH = ("", "/stream", "/with-timestamps", "/stream/with-timestamps")
_STORED = (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items"))


class Spoken(msgspec.Struct, frozen=True):
    """One route, as one provider speaks it."""

    name: str
    dialect: Dialect
    route: Route
    examples: tuple[Example, ...]
    base: str = ""
    """What comes before the dialect's own path, at the simulator."""

    def route_of(self, example: Example) -> Route:
        """The route with what the path of an example says."""
        return msgspec.structs.replace(self.route, query=example.query, argument=example.model or self.route.argument)

    def ask(self, example: Example) -> Ask:
        """The request of an example, read. Raises a Refusal."""
        return self.dialect.ask(self.route_of(example), example.body, example.headers)


def routes() -> dict[str, Route]:
    """Every route whose bodies are read, once, by its dialect and name."""
    return {f"{route.dialect}.{route.name}": route for route in _registered() if route.kind in READ}


def _registered() -> Iterator[Route]:
    for name, paths in PATHS.items():
        yield from paths.EXACT.values()
        yield from getattr(paths, "CALLS", ())
        if name == "openai":
            yield from (route for method, after in _STORED if (route := stored.find(method, f"/v1/responses/resp_1{after}", ("/v1",))))


def spoken() -> Iterator[Spoken]:
    """All of it. Hosts of OpenAI's dialect differ in how they read chat; Azure in what names a model."""
    for name, route in routes().items():
        examples = tuple(EXAMPLES[name])
        yield Spoken(name, DIALECTS[route.dialect], _naming(route), examples, "/v1" if route.dialect == "openai" else "")
        if name == "openai.chat_completions":
            for host, data in HOSTS.items():
                cap_field = KNOWN[host].cap_field if host in KNOWN else "max_tokens"
                base = "/openai/v1" if host == "azure" else f"/{host}/v1"
                yield Spoken(f"{name}@{host}", OpenAI(cap_field=cap_field, host=data), route, tuple(EXAMPLES[f"{name}@{host}"]), base)
        if route.dialect == "openai" and route.kind == "metered":
            deployed = msgspec.structs.replace(route, argument="gpt", provider="azure")
            yield Spoken(f"{name}@deployment", Azure(deployments={"gpt": "gpt-4o"}, api_version=""), deployed, examples[:2])


def _naming(route: Route) -> Route:
    """A route with what its path names, where it names something."""
    if route.dialect == "elevenlabs":
        found = (elevenlabs.find("POST", f"/v1/text-to-speech/voice{rest}", b"", ()) for rest in _SPEECH)
        return next(one for one in found if one is not None and one.name == route.name)
    named = {"gemini": "gemini-2.5-flash", "bedrock": "us.anthropic.claude-opus-5-5"}.get(route.dialect)
    return route if named is None else msgspec.structs.replace(route, argument=named)


SPOKEN = {one.name: one for one in spoken()}
