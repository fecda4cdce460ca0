"""The rigorous upper bound of a request's input tokens, from its bytes (providers.md §5.4).

Every token of a byte-level tokenizer covers at least one byte, and JSON escapes only shrink when they are decoded. A tokenizer may
normalise its text first (NFKC), which can make it longer. What the provider adds around the text is bounded by constants.
"""

import json
import re
import unicodedata
from typing import Any

from farebox.dialects.strict import BACKSLASH

_MARKS_FROM, _MARKS_TO = 0x300, 0x1E950
_MARKS_MADE_OF_MARKS = "\u0f73\u0f75\u0f81\uff9e\uff9f"
"""None by their own class, but by what they are taken apart into."""
_MARKS = re.compile(f"[{''.join(filter(unicodedata.combining, map(chr, range(_MARKS_FROM, _MARKS_TO))))}{_MARKS_MADE_OF_MARKS}]" + "{33}")
"""More marks on one letter than any language has."""
_GROWTH_MAX = 11
"""By how much normalising lengthens UTF-8 at most: U+FDFA, from 3 bytes to 33."""
TOKENS_PER_MESSAGE = 16
"""Role tokens and separators of a chat template."""
TOKENS_PER_TOOL = 64
"""What a tool definition gains when it is rendered into the prompt."""
TOKENS_PER_REQUEST_OPENAI = 1024
TOKENS_PER_REQUEST_ANTHROPIC = 2048
"""With tools the provider adds a system prompt of its own (264 to about 800 tokens were measured)."""


def input_tokens_max(body: bytes, parsed: Any, *, messages: int, tools: int, per_request: int) -> int:
    """The most input tokens that a request without media and without state on the provider's side can be billed for."""
    return text_tokens_max(body, parsed) + TOKENS_PER_MESSAGE * messages + TOKENS_PER_TOOL * tools + per_request


def text_tokens_max(body: bytes, parsed: Any) -> int:
    """The bytes of the body, or of its normalised text where that is longer."""
    if BACKSLASH in body and b"\\u" in body:
        decoded = json.dumps(parsed, ensure_ascii=False)  # \ufdfa is 6 bytes here and 33 once decoded and normalised
    elif body.isascii():
        return len(body)
    else:
        decoded = body.decode()
    return max(len(body), normalised_bytes(decoded))


def normalised_bytes(text: str) -> int:
    """At least the bytes of a text that normalising changes, once it has; 0 for any other. In time proportional to its length: a run of marks is
    sorted in the square of its length, so where there is a long one it is not normalised.
    """
    if text.isascii():
        return 0
    if _MARKS.search(text):
        return _GROWTH_MAX * len(text.encode("utf-8", "surrogatepass"))
    if unicodedata.is_normalized("NFKC", text):
        return 0
    return len(unicodedata.normalize("NFKC", text).encode("utf-8", "surrogatepass"))
