"""The most input tokens that one picture can be billed as."""

from farebox.dialects.media import pixels
from farebox.dialects.media.families import DEAREST, FAMILIES

MARKERS = 16
"""Tokens around a picture: where it begins and ends, and what stands for it in the text."""


def image_tokens_max(family: str, media_type: str, base64_text: str, *, detail: str = "") -> int:
    """Of a picture whose bytes are in the request. `detail` is the resolution that the request asks for, in its API's own words."""
    size = pixels.size_of(base64_text, media_type.lower(), url_safe=family.startswith("gemini"))
    if size is None:
        return image_tokens_full(family, detail=detail)
    width, height = size
    return MARKERS + max(rule.tokens(width, height, detail) for rule in FAMILIES.get(family, FAMILIES[DEAREST]))


def image_tokens_full(family: str, *, detail: str = "") -> int:
    """Of a picture that is not in the request (an address, a stored file), or cannot be read."""
    return MARKERS + max(rule.full(detail) for rule in FAMILIES.get(family, FAMILIES[DEAREST]))
