"""Chat completions: the parts of its request and its answer put together (providers.md §1.1)."""

from collections.abc import Mapping

import msgspec

from farebox.dialects import spans
from farebox.dialects.base import Ask, Report, Route, StreamMeter
from farebox.dialects.extras import Bounds
from farebox.dialects.openai import answer, request
from farebox.dialects.openai.hosts import Host

_USAGE_ON = b'{"include_usage":true}'


class Chat:
    """`POST /chat/completions`, as OpenAI and compatible hosts speak it."""

    def __init__(self, *, cap_field: str, tiers_of_auto: tuple[str, ...], host: Host, bounds: Bounds) -> None:
        self._cap_field = cap_field
        self._tiers_of_auto = tiers_of_auto
        self._host = host
        self._bounds = bounds

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:  # noqa: ARG002 - no header moves cost
        """Reads and bounds a request."""
        return request.read(body, cap_field=self._cap_field, tiers_of_auto=self._tiers_of_auto, host=self._host, admits=self._bounds)

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:
        """Sets the model, the output cap, and `include_usage` on streams whose client did not ask for it."""
        if not self._host.both_caps:
            body, output_cap = _with_one_cap(ask, body, output_cap)
        body = with_model_and_cap(ask, body, model=model, output_cap=output_cap)
        return with_usage(ask, body) if ask.hides_usage else body

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:  # noqa: ARG002 - nothing in them is metered
        """Reads a whole answer."""
        return answer.read(ask, body, self._host)

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:  # noqa: ARG002 - nothing in them is metered
        """A meter for one streamed answer."""
        return answer.ChatMeter(ask, self._host)


def _with_one_cap(ask: Ask, body: bytes, output_cap: int | None) -> tuple[bytes, int | None]:
    """A body whose cap has the one name that the host knows, with the cap to write where it had another."""
    for name in request.CAPS:
        if name != ask.cap_field and name in ask.names:
            span = spans.member(body, name)
            if span is not None and body[span.value_start : span.value_end] != b"null":
                named = ask.demand.output_tokens_named if output_cap is None else output_cap
                return with_member(ask, spans.removed(body, span), ask.cap_field, str(named).encode()), None
    return body, output_cap


def with_model_and_cap(ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:
    """A JSON body with another model or output cap where they differ from what was asked."""
    if model is not None and model != ask.model:
        body = with_member(ask, body, "model", msgspec.json.encode(model))
    if output_cap is not None and output_cap != ask.demand.output_tokens_named:
        body = with_member(ask, body, ask.cap_field, str(output_cap).encode())
    return body


def with_member(ask: Ask, body: bytes, name: str, literal: bytes) -> bytes:
    """A JSON body with one top-level member replaced or inserted."""
    span = spans.member(body, name) if name in ask.names else None
    return spans.inserted(body, name, literal) if span is None else spans.replaced(body, span, literal)


def with_usage(ask: Ask, body: bytes) -> bytes:
    """A JSON body that asks for the usage of its stream."""
    options = spans.member(body, "stream_options") if "stream_options" in ask.names else None
    if options is None:
        return spans.inserted(body, "stream_options", _USAGE_ON)
    if body[options.value_start : options.value_end] == b"null":
        return spans.replaced(body, options, _USAGE_ON)
    asked = spans.member(body, "include_usage", options.value_start)
    if asked is None:
        return spans.inserted(body, "include_usage", b"true", options.value_start)
    return spans.replaced(body, asked, b"true")
