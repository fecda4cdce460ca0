"""Gemini's two spellings of every name, `maxOutputTokens` and `max_output_tokens`: both are read, and both at once are refused.

Owns only that; which names an object may have is said where it is read.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from farebox.dialects import extras, fields
from farebox.dialects.fields import Names
from farebox.dialects.strict import Members
from farebox.errors import AmbiguousBody

_HUMP = re.compile(r"(?<=[a-z0-9])[A-Z]")
_LOW = re.compile(r"(?<=[a-z0-9])_([a-z])")


class Extras(extras.Extras):
    """Settings have one name for both spellings, in camelCase."""

    __slots__ = ()

    def named(self, name: str) -> str:
        """The name of the setting."""
        return _LOW.sub(lambda found: found[1].upper(), name)


class Shape(msgspec.Struct, frozen=True):
    """The names that one kind of object may have, in both spellings."""

    names: Names
    camel: dict[str, str]
    """By the other spelling, of names that have two."""


def snake(name: str) -> str:
    """The other spelling of a name."""
    return _HUMP.sub(lambda found: "_" + found[0].lower(), name)


def shape(read: Iterable[str], harmless: Iterable[str] = (), costly: Mapping[str, str] | None = None) -> Shape:
    """As `fields.names`, from names in camelCase."""
    read, harmless, costly = tuple(read), tuple(harmless), dict(costly or {})
    both = {name: why for own, why in costly.items() for name in (own, snake(own))}
    names = fields.names((*read, *map(snake, read)), (*harmless, *map(snake, harmless)), both)
    return Shape(names, {other: name for name in (*read, *harmless, *costly) if (other := snake(name)) != name})


def read(members: Members, allowed: Shape, where: str = "", extras: Extras | None = None) -> tuple[Members, tuple[str, ...]]:
    """The members by their names in camelCase, and the unknown names among them, which pass. Raises CostUnbounded and AmbiguousBody."""
    unknown = fields.examine(members, allowed.names, where, extras)
    other = members.keys() & allowed.camel.keys()
    if not other:
        return members, unknown
    for name in sorted(other):
        if allowed.camel[name] in members:
            raise AmbiguousBody(problem=f"`{where}{name}` and `{where}{allowed.camel[name]}` are the same field.", field=where + name)
    return {allowed.camel.get(name, name): value for name, value in members.items()}, unknown


def objects(value: Any, where: str) -> list[Members]:
    """A list of objects; one alone may stand for a list, as this API takes it."""
    return [value] if type(value) is dict else [] if value is None else fields.objects(value, where)
