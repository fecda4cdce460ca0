"""`POST /responses`: what reads its request, rewrites it, and meters its answers."""

from collections.abc import Mapping

from farebox.dialects.base import Ask, Report, Route, StreamMeter
from farebox.dialects.extras import Bounds
from farebox.dialects.openai.chat import with_member, with_model_and_cap
from farebox.dialects.openai.responses import answer, request


class Responses:
    """Creates a response, streamed or not."""

    def __init__(self, *, tiers_of_auto: tuple[str, ...], bounds: Bounds, keeps_items: bool) -> None:
        self._tiers_of_auto = tiers_of_auto
        self._bounds = bounds
        self._keeps_items = keeps_items

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:  # noqa: ARG002 - no header moves cost
        """Reads and bounds a request."""
        return request.read(route.name, body, tiers_of_auto=self._tiers_of_auto, admits=self._bounds, keeps_items=self._keeps_items)

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:
        """Sets the model, the output cap, and the cap on calls of the provider's own tools where the caller named none."""
        body = with_model_and_cap(ask, body, model=model, output_cap=output_cap)
        calls = request.facts_of(ask).tool_calls_set
        return with_member(ask, body, "max_tool_calls", str(calls).encode()) if calls is not None else body

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:  # noqa: ARG002 - nothing in them is metered
        """Reads a whole response."""
        return answer.read(ask, body)

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:  # noqa: ARG002 - nothing in them is metered
        """A meter for one streamed response."""
        return answer.ResponseMeter(ask)
