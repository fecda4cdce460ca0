"""Changing one value of a JSON object where it stands in the bytes, leaving every other byte as it is.

Owns byte spans. The object is walked with the same decoder that read it, so the two cannot disagree about where a value is.
"""

import json

import msgspec

_DECODER = json.JSONDecoder()
_SPACE = " \t\n\r"


class Span(msgspec.Struct, frozen=True, gc=False):
    """Where one member stands: its name starts at `start`, its value is `[value_start, value_end)`."""

    start: int
    value_start: int
    value_end: int


def member(body: bytes, name: str, start: int = 0) -> Span | None:
    """The span of a member of the object that begins at `start` (after white space). The body must be JSON that was read before."""
    view = body.decode("latin-1")  # one character per byte; everything that structures JSON is ASCII
    at = _skip(view, start) + 1
    while view[at := _skip(view, at)] != "}":
        key_start = at
        key, at = _DECODER.raw_decode(view, at)
        value_start = _skip(view, _skip(view, at) + 1)
        value, at = _DECODER.raw_decode(view, value_start)
        del value
        if key == name:
            return Span(key_start, value_start, at)
        at = _skip(view, at)
        if view[at] == ",":
            at += 1
    return None


def replaced(body: bytes, span: Span, literal: bytes) -> bytes:
    """The body with one value exchanged."""
    return body[: span.value_start] + literal + body[span.value_end :]


def inserted(body: bytes, name: str, literal: bytes, start: int = 0) -> bytes:
    """The body with a member added as the first of the object that begins at `start`."""
    brace = body.index(b"{", start) + 1
    after = brace
    while body[after] in b" \t\n\r":
        after += 1
    comma = b"" if body[after] == ord("}") else b","
    return body[:brace] + b'"' + name.encode() + b'":' + literal + comma + body[brace:]


def removed(body: bytes, span: Span) -> bytes:
    """The body without a member and the comma that belonged to it."""
    view = body.decode("latin-1")
    before = span.start
    while view[before - 1] in _SPACE:
        before -= 1
    if view[before - 1] == ",":
        return body[: before - 1] + body[span.value_end :]
    after = _skip(view, span.value_end)
    if view[after] == ",":
        return body[: span.start] + body[_skip(view, after + 1) :]
    return body[: span.start] + body[span.value_end :]


def _skip(view: str, at: int) -> int:
    while view[at] in _SPACE:
        at += 1
    return at
