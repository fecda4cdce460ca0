"""Reading request bodies, as far as all dialects do it alike: JSON or a refusal, and the words in the last user message."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from .refusals import invalid
from .wire import Request
from .words import NO_WORDS, BadWordError, Words, read_words

T = TypeVar("T")
NOTHING = msgspec.Raw(b"")
_TEXT_PARTS = frozenset({"text", "input_text"})


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    text: str = ""


class _Message(msgspec.Struct):
    role: str = ""
    content: str | list[_Part] | None = None


_message = msgspec.json.Decoder(_Message)


def has_bearer(request: Request) -> bool:
    """Whether the call carries a bearer key."""
    scheme, _, secret = request.headers.get(b"authorization", b"").partition(b" ")
    return bool(secret.strip()) and scheme.lower() == b"bearer"


def decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw) -> T:
    """The typed value of a JSON body; a refusal that says what is wrong with it otherwise."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise invalid(f"We could not parse the JSON body of your request: {problem}") from None


def obey(messages: Sequence[msgspec.Raw]) -> Words:
    """The words in the last message of the user: in its text, or in any of its text parts."""
    for written in reversed(messages):
        message = decode(_message, written)
        if message.role == "user":
            return _words(message.content)
    return NO_WORDS


def _words(content: str | list[_Part] | None) -> Words:
    return heed(content if isinstance(content, str) else "\n".join([part.text for part in content or () if part.type in _TEXT_PARTS]))


def heed(said: str) -> Words:
    """The words in a text. Raises `RefusedError` naming the one that cannot be obeyed."""
    try:
        return read_words(said)
    except BadWordError as problem:
        raise invalid(str(problem)) from None
