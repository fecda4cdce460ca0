"""Responses that the provider keeps: read again, followed, cancelled, deleted (providers.md §1.2). Nothing here is metered.

Owns which paths there are and what of their queries goes along. Whose a response is, is decided by whoever serves these routes.
"""

from collections.abc import Mapping

from farebox.dialects.base import Ask, Report, Route, StreamMeter
from farebox.dialects.openai.whole import WholeMeter
from farebox.dialects.patterns import object_id
from farebox.usage import Demand

_FREE = Demand(input_tokens_max=0, output_units=())
_NAME = "response"
_BEFORE = "/responses/"
_AFTER = {("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")}
_QUERY = frozenset(
    (
        *(b"stream", b"starting_after", b"include", b"include[]", b"include%5B%5D", b"include_obfuscation"),
        *(b"after", b"limit", b"order"),
    )
)


class StoredResponse:
    """What is asked about one response."""

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:  # noqa: ARG002 - the path says it all
        """Which response it is about."""
        return Ask(dialect="openai", route=route.name, model="", stream=False, demand=_FREE, uses=((_NAME, route.argument),))

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:  # noqa: ARG002 - there is neither
        """Nothing is changed."""
        return body

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:  # noqa: ARG002 - nothing is metered
        """Nothing is read: the request that made the response knows how."""
        return Report(finished=True)

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:
        """Gathers the answer."""
        return WholeMeter(lambda body: self.read_answer(ask, body, headers))


def find(method: str, path: str, prefixes: tuple[str, ...]) -> Route | None:
    """The route of a path about one response."""
    for prefix in prefixes:
        for known, after in sorted(_AFTER):
            name = object_id(path, prefix + _BEFORE, after) if known == method else None
            if name is not None:
                return Route("openai", _NAME, method, f"{_BEFORE}{name}{after}", kind="owned", argument=name)
    return None


def target(route: Route, query: bytes) -> str:
    """The path behind the base URL, and what of the query goes along."""
    known = [pair for pair in query.split(b"&") if pair.partition(b"=")[0] in _QUERY and pair.isascii()]
    return route.upstream_path + ("?" + b"&".join(known).decode("ascii") if known else "")
