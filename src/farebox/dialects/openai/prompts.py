"""Inputs that are a text, a list of texts, a list of tokens or a list of such lists (providers.md §1.4): how many, and their bound.

Owns the four shapes that embeddings and legacy completions share. Does not own which member carries them.
"""

import json
from typing import Any, NoReturn

import msgspec

from farebox.dialects import bounds, fields
from farebox.dialects.strict import Members

PROMPTS_MAX = 2048
"""What the API takes in one request."""


class Prompts(msgspec.Struct, frozen=True, gc=False):
    """The inputs of one request."""

    count: int
    tokens_max: int
    """Of all of them together, with what the provider adds around each."""


def read(body: bytes, members: Members, name: str) -> Prompts:
    """Counts and bounds the inputs under a name. A token is an integer, however many digits it has; a text is bounded by its bytes."""
    value = members.get(name)
    if type(value) is str:
        return _texts(body, members, 1)
    if type(value) is not list or not value:
        _refuse(name)
    if len(value) > PROMPTS_MAX and type(value[0]) is not int:
        raise fields.invalid(name, f"must hold at most {PROMPTS_MAX} inputs")
    kinds = {type(one) for one in value}
    if kinds == {str}:
        return _texts(body, members, len(value))
    if kinds == {int}:
        return _tokens(members, name, [value])
    if kinds == {list}:
        return _tokens(members, name, value)
    return _refuse(name)


def _texts(body: bytes, members: Members, count: int) -> Prompts:
    return Prompts(count, bounds.text_tokens_max(body, members) + bounds.TOKENS_PER_MESSAGE * count)


def _tokens(members: Members, name: str, lists: list[list[Any]]) -> Prompts:
    for tokens in lists:
        if not tokens or {type(token) for token in tokens} != {int} or min(tokens) < 0:
            _refuse(name)
    rest = {other: value for other, value in members.items() if other != name}
    written = json.dumps(rest).encode()
    around = bounds.text_tokens_max(written, rest) + bounds.TOKENS_PER_MESSAGE * len(lists)
    return Prompts(len(lists), sum(map(len, lists)) + around)


def _refuse(name: str) -> NoReturn:
    raise fields.invalid(name, "must be a text, a list of texts, a list of tokens or a list of lists of tokens, and not empty")
