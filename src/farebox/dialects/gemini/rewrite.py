"""Setting the model and the output cap of a body where they stand, in whichever spelling its caller used (providers.md §6)."""

import json

import msgspec

from farebox.dialects import spans
from farebox.dialects.base import Ask

_DECODER = json.JSONDecoder()
_CONFIG = ("generationConfig", "generation_config")
_CAP = ("maxOutputTokens", "max_output_tokens")
_NESTED = ("generateContentRequest", "generate_content_request")
_SPACE = " \t\n\r"


def with_cap(ask: Ask, body: bytes, cap: int) -> bytes:
    """The body with its output cap set; `generationConfig` is inserted where there is none."""
    literal = str(cap).encode()
    whole = b'{"maxOutputTokens":' + literal + b"}"
    name = _spelled(_CONFIG, ask)
    config = spans.member(body, name) if name else None
    if config is None:
        return spans.inserted(body, _CONFIG[0], whole)
    if body[config.value_start : config.value_end] == b"null":
        return spans.replaced(body, config, whole)
    for spelled in _CAP:
        span = spans.member(body, spelled, config.value_start)
        if span is not None:
            return spans.replaced(body, span, literal)
    return spans.inserted(body, _CAP[0], literal, config.value_start)


def with_model(ask: Ask, body: bytes, model: str) -> bytes:
    """The body with another model, wherever it names one: itself, the request that is to be counted, each request of a batch."""
    if "requests" in ask.names:
        return _each(body, model)
    name = _spelled(_NESTED, ask)
    if name and (nested := spans.member(body, name)) is not None and body[nested.value_start : nested.value_start + 1] == b"{":
        inner = _named(body[nested.value_start : nested.value_end], model)
        body = spans.replaced(body, nested, inner)
    return _named(body, model) if "model" in ask.names else body


def _spelled(names: tuple[str, ...], ask: Ask) -> str:
    return next((name for name in names if name in ask.names), "")


def _named(body: bytes, model: str) -> bytes:
    span = spans.member(body, "model")
    if span is None or body[span.value_start : span.value_end] == b"null":
        return body
    return spans.replaced(body, span, msgspec.json.encode(f"models/{model}"))


def _each(body: bytes, model: str) -> bytes:
    requests = spans.member(body, "requests")
    assert requests is not None  # noqa: S101 - it was read
    if body[requests.value_start : requests.value_start + 1] == b"{":
        return spans.replaced(body, requests, _named(body[requests.value_start : requests.value_end], model))
    view = body[requests.value_start : requests.value_end].decode("latin-1")
    pieces = ["["]
    at = _skip(view, 1)
    while view[at] != "]":
        start = at
        _, at = _DECODER.raw_decode(view, start)
        pieces.append(_named(view[start:at].encode("latin-1"), model).decode("latin-1"))
        at = _skip(view, at)
        if view[at] == ",":
            pieces.append(",")
            at = _skip(view, at + 1)
    return spans.replaced(body, requests, ("".join(pieces) + "]").encode("latin-1"))


def _skip(view: str, at: int) -> int:
    while view[at] in _SPACE:
        at += 1
    return at
