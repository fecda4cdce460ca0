"""Chat completions: the parts of its request and its answer put together (providers.md §1.1)."""

from collections.abc import Mapping

import msgspec

from farebox.dialects import spans
from farebox.dialects.base import Ask, Report, Route, StreamMeter
from farebox.dialects.openai import answer, request

_USAGE_ON = b'{"include_usage":true}'


class Chat:
    """`POST /chat/completions`, as OpenAI and compatible hosts speak it."""

    def __init__(self, *, cap_field: str, tiers_of_auto: tuple[str, ...]) -> None:
        self._cap_field = cap_field
        self._tiers_of_auto = tiers_of_auto

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:  # noqa: ARG002 - no header moves cost
        """Reads and bounds a request."""
        return request.read(body, cap_field=self._cap_field, tiers_of_auto=self._tiers_of_auto)

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:
        """Sets the model, the output cap, and `include_usage` on streams whose client did not ask for it."""
        body = with_model_and_cap(ask, body, model=model, output_cap=output_cap)
        return _with_usage(ask, body) if ask.hides_usage else body

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:  # noqa: ARG002 - nothing in them is metered
        """Reads a whole answer."""
        return answer.read(ask, body)

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:  # noqa: ARG002 - nothing in them is metered
        """A meter for one streamed answer."""
        return answer.ChatMeter(ask)


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


def _with_usage(ask: Ask, body: bytes) -> bytes:
    options = spans.member(body, "stream_options") if "stream_options" in ask.names else None
    if options is None:
        return spans.inserted(body, "stream_options", _USAGE_ON)
    if body[options.value_start : options.value_end] == b"null":
        return spans.replaced(body, options, _USAGE_ON)
    asked = spans.member(body, "include_usage", options.value_start)
    if asked is None:
        return spans.inserted(body, "include_usage", b"true", options.value_start)
    return spans.replaced(body, asked, b"true")
