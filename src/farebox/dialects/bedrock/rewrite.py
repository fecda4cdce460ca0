"""Setting the output cap of a Converse body where it stands (providers.md §6). Its model stands in the path."""

from farebox.dialects import spans
from farebox.dialects.base import Ask

_CONFIG = "inferenceConfig"
_CAP = "maxTokens"


def with_cap(ask: Ask, body: bytes, cap: int) -> bytes:
    """The body with its output cap set; `inferenceConfig` is inserted where there is none."""
    literal = str(cap).encode()
    whole = b'{"maxTokens":' + literal + b"}"
    config = spans.member(body, _CONFIG) if _CONFIG in ask.names else None
    if config is None:
        return spans.inserted(body, _CONFIG, whole)
    if body[config.value_start : config.value_end] == b"null":
        return spans.replaced(body, config, whole)
    span = spans.member(body, _CAP, config.value_start)
    if span is not None:
        return spans.replaced(body, span, literal)
    return spans.inserted(body, _CAP, literal, config.value_start)
