"""Whose trouble an upstream error is: what is common to every dialect.

Owns reading an error body without ever failing on it. Does not own the codes.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from farebox.dialects.base import Fault
from farebox.dialects.meter import as_text, decode

BUSY_STATUSES = frozenset((408, 409, 425, 429, 503, 529))
ACCOUNT_STATUSES = frozenset((401, 402, 403))


class _Body(msgspec.Struct):
    error: Any = None


class Trouble(msgspec.Struct, frozen=True):
    """The error object of an upstream answer; empty strings where it says nothing."""

    readable: bool = False
    type: str = ""
    code: str = ""
    message: str = ""


_BODY = msgspec.json.Decoder(_Body)


def trouble(body: bytes) -> Trouble:
    """Reads an error body. `code` is `error.code`, or `error.details.error_code` where the API has that."""
    answer = decode(_BODY, body)
    error = answer.error if answer is not None else None
    if type(error) is not dict:
        return Trouble()
    details = error.get("details")
    inner = as_text(details.get("error_code")) if type(details) is dict else ""
    return Trouble(
        readable=True,
        type=as_text(error.get("type")),
        code=as_text(error.get("code")) or inner,
        message=as_text(error.get("message")),
    )


def by_status(status: int, said: Trouble) -> Fault:
    """The fault where the codes do not decide."""
    if status in ACCOUNT_STATUSES:
        return "account"
    if status in BUSY_STATUSES:
        return "busy"
    if 400 <= status < 500 and said.readable:  # noqa: PLR2004 - the class of client errors
        return "caller"
    return "provider"


def says(said: Trouble, openings: Iterable[str]) -> bool:
    """Whether the message begins with one of these, so that text a caller smuggles into a message cannot match."""
    return said.message.lower().startswith(tuple(openings))
