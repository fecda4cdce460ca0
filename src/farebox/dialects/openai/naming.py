"""Reading a request as one for another model than it names: what an alias or a deployment stands for decides what moves its cost."""

from collections.abc import Mapping

import msgspec

from farebox.dialects import spans
from farebox.dialects.openai import multipart

UNREADABLE = (ValueError, IndexError, RecursionError)
"""What looking for a member says of a body that nobody has read yet, and that is no JSON."""


def is_form(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the body is a form."""
    return headers.get(b"content-type", b"").lower().startswith(b"multipart/")


def with_model(body: bytes, model: str, headers: Mapping[bytes, bytes]) -> bytes:
    """The body with another model. One that names two, or none by a name, or cannot be read, stays so: whoever reads it next refuses it."""
    if is_form(headers):
        return multipart.edited(body, multipart.read_form(body, headers), {"model": model})
    try:
        span = spans.member(body, "model")
        named = "" if span is None else body[span.value_start : span.value_end].decode()
    except UNREADABLE:
        return body
    if span is None or not named.startswith(('"', "n")):
        return body
    return spans.replaced(body, span, msgspec.json.encode(model))
