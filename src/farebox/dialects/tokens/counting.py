"""Tokens of texts and of whole requests. A count is never too low, and it is exact for everything that people write.

A tokenizer first cuts a text into words and then each word into tokens; how it does the second can take long for one endless word. So a
text is cut here where every one of its readers ends a word, and a stretch without such a place is counted by its bytes, of which no token
covers less than one.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from farebox.dialects.tokens.models import EncodingName, encoding_of

if TYPE_CHECKING:
    from tiktoken import Encoding

SAFETY_HUNDREDTHS = 105
"""What the count of a request is multiplied by: its template is not published, and what is rendered is not the JSON that was counted."""
TOKENS_PER_MESSAGE = 8
"""Four are known (begin, role, separator, end), and one for a name."""
TOKENS_PER_TOOL = 32
TOKENS_PER_REQUEST = 128
TOKENS_PER_MEMBER = 2
"""The quotes, the colon and the comma around a name in a tool's schema."""
_CHUNK_CHARS = 16 * 1024
_TAIL_CHARS = 512
CHARS_MAX = 8 * 1024 * 1024
"""More characters than that are not cut into tokens but counted by their bytes: they fit into no context window."""

_LETTERS = "A-Za-z0-9\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"
_MARKS = r"""!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~\uff0c\u3002\u3001\uff01\uff1f\uff1b\uff1a\u300c\u300d\uff08\uff09"""
# Where both encodings end a word whatever stands around it: no word goes on with a blank or from a letter to a digit, none begins
# with a line's end and has more than line ends and slashes after it, and after letters or digits only the apostrophe can belong to them.
_END_OF_WORD = re.compile(rf"\S(?= )|\n(?=[^\s/])|[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])|[{_LETTERS}](?=[{_MARKS}])")


def text_tokens(text: str, encoding: EncodingName) -> int:
    """Tokens of one text. What looks like a special token is text."""
    return _Counter(encoding).count(text)


def request_tokens(model: str, members: Any, *, messages: int, tools: int, media: Iterable[str] = ()) -> int | None:
    """The input tokens of a parsed request, with the safety factor; None where the model's encoding is not known.

    `media` are the strings of it that are counted otherwise (the very objects). What is kept on the provider's side is not in it either.
    """
    encoding = encoding_of(model)
    if encoding is None:
        return None
    text = _walk(members, _Counter(encoding), frozenset(map(id, media)))
    return -(-text * SAFETY_HUNDREDTHS // 100) + TOKENS_PER_MESSAGE * messages + TOKENS_PER_TOOL * tools + TOKENS_PER_REQUEST


def _walk(members: Any, counter: "_Counter", left_out: frozenset[int]) -> int:
    """Every name and every value, each as a text of its own: joined, two could be one token."""
    tokens = 0
    waiting = [members]
    while waiting:
        value = waiting.pop()
        if type(value) is str:
            tokens += counter.count(value) if id(value) not in left_out else 0
        elif type(value) is dict:
            tokens += sum(map(counter.count, value)) + TOKENS_PER_MEMBER * len(value)
            waiting.extend(value.values())
        elif type(value) is list:
            tokens += len(value)
            waiting.extend(value)
        else:
            tokens += counter.count(str(value))
    return tokens


class _Counter:
    """Counts texts with one encoding, up to so many characters; the rest by their bytes."""

    __slots__ = ("_encode", "_left")

    def __init__(self, encoding: EncodingName) -> None:
        self._encode = _encoding(encoding).encode_ordinary
        self._left = CHARS_MAX

    def count(self, text: str) -> int:
        self._left -= len(text)
        if self._left < 0:
            return _bytes(text)
        if len(text) <= _CHUNK_CHARS:
            return len(self._encode(text))
        return self._count_in_pieces(text)

    def _count_in_pieces(self, text: str) -> int:
        tokens = start = 0
        while len(text) - start > _CHUNK_CHARS:
            end = _last_end(text, start, start + _CHUNK_CHARS)
            if end is not None:
                tokens += len(self._encode(text[start:end]))
            else:
                found = _END_OF_WORD.search(text, start + _CHUNK_CHARS - 1)
                end = found.end() if found is not None else len(text)
                tokens += _bytes(text[start:end])
            start = end
        return tokens + len(self._encode(text[start:]))


def _last_end(text: str, start: int, stop: int) -> int | None:
    """The last place up to `stop` where a word ends; None where there is none after `start`."""
    for first in (max(start, stop - _TAIL_CHARS), start):
        ends = [found.end() for found in _END_OF_WORD.finditer(text, first, stop + 1)]
        if ends:
            return ends[-1]
    return None


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _encoding(name: EncodingName) -> "Encoding":
    if name == "o200k_base":
        from farebox.dialects.tokens.o200k_base import ENCODING

        return ENCODING
    from farebox.dialects.tokens import cl100k_base

    return cl100k_base.ENCODING
