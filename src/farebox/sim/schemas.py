"""Answers that have a form: the smallest honest instance of a JSON schema, in tokens of four characters. Pure.

Knows the part of JSON Schema that providers take, in their spellings: Gemini's types are in upper case, its
numbers may be strings, its keywords in snake_case.

- Smallest: an object has what is required of it, an array as many items as it must have; nothing is 0, false, or `fare`.
- Of `enum`, of several types, of `anyOf` and `oneOf` it is the first that can be followed; a `$ref` inside itself cannot.
- Honest: what holds a keyword that is not followed here, or has no instance, or a large one alone, is answered with `{}`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote

import msgspec

from .generation import BYTES_PER_TOKEN
from .reading import NOTHING
from .schema_values import UnfollowedError, bound, number, word

Schema = Mapping[str, object]
DEPTH_MAX = 64
CHARACTERS_MAX = 100_000
"""What is tried may come to so many characters, whether it is in the answer or not."""
_TYPES: Final = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_ALTERNATIVES: Final = ("anyOf", "oneOf")
_SNAKE: Final = {
    "any_of": "anyOf",
    "additional_properties": "additionalProperties",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering",
}
"""Google's own SDK writes these in a schema, and its API takes them."""
_UNFOLLOWED: Final = frozenset(
    (
        *("not", "if", "contains", "patternProperties", "propertyNames", "dependencies", "dependentRequired", "dependentSchemas"),
        *("unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef"),
    )
)
_SAY_NOTHING: Final = frozenset(
    (
        *("title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly", "nullable", "propertyOrdering"),
        *("$comment", "$schema", "$id", "$defs", "definitions", "defs"),
    )
)
"""Keywords that may differ between two schemas that both hold; `nullable` only ever allows more."""


class _Named(msgspec.Struct):
    schema: msgspec.Raw = NOTHING


class Format(msgspec.Struct):
    """How an answer is to be written, as nearly every API says it: the schema is its member, or one of `json_schema`."""

    type: str | None = None
    schema: msgspec.Raw = NOTHING
    json_schema: _Named | None = None


def said_in(form: Format | None) -> tuple[str, ...]:
    """The tokens of an answer in a format; none where it is plain text."""
    if form is None or form.type not in {"json_schema", "json_object"}:
        return ()
    return said_by(form.json_schema.schema if form.json_schema else form.schema)


def said_by(schema: bytes | msgspec.Raw) -> tuple[str, ...]:
    """The tokens of the instance of a schema, as it is written; without one, of an empty object. All of them ASCII."""
    try:
        written = json.dumps(instance_of(msgspec.json.decode(schema) if bytes(schema) else {}), separators=(",", ":"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        written = "{}"
    return tuple(written[at : at + BYTES_PER_TOKEN] for at in range(0, len(written), BYTES_PER_TOKEN))


def instance_of(schema: object) -> object:
    """The instance; `{}` of a schema that cannot be followed."""
    try:
        return _Maker(schema).made(schema, frozenset(), 0)
    except UnfollowedError:
        return {}


class _Maker:
    """Makes one instance: it knows where references lead, and how much may still be tried."""

    __slots__ = ("_left", "_root")

    def __init__(self, root: object) -> None:
        self._root = root
        self._left = CHARACTERS_MAX

    def made(self, schema: object, within: frozenset[str], depth: int) -> object:
        """The instance of a schema inside the references `within`."""
        self._spend(1)
        if depth > DEPTH_MAX:
            raise UnfollowedError
        if schema is True:
            return {}
        if not isinstance(schema, dict) or _UNFOLLOWED & schema.keys():
            raise UnfollowedError
        spelled: Schema = {_SNAKE.get(str(name), str(name)): value for name, value in schema.items()}
        try:
            return self._composed(spelled, within, depth)
        except UnfollowedError:
            if schema.get("nullable") is not True:
                raise
            return None

    def _spend(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise UnfollowedError

    def _composed(self, schema: Schema, within: frozenset[str], depth: int) -> object:
        """Schemas in several parts, made one; then its value."""
        for name in ("$ref", "ref"):
            if isinstance(place := schema.get(name), str):
                if place in within:
                    raise UnfollowedError
                return self.made(_both(_without(schema, name), self._at(place)), within | {place}, depth + 1)
        if parts := _listed(schema, "allOf"):
            return self.made(_both({**schema, "allOf": parts[1:]}, parts[0]), within, depth + 1)
        for name in _ALTERNATIVES:
            if name in schema:
                return self._alternative(_without(schema, name), _listed(schema, name), within, depth + 1)
        return self._value(schema, within, depth)

    def _alternative(self, rest: Schema, alternatives: Sequence[object], within: frozenset[str], depth: int) -> object:
        for each in alternatives:
            try:
                return self.made(_both(rest, each), within, depth)
            except UnfollowedError:
                continue
        raise UnfollowedError

    def _at(self, place: str) -> object:
        """What a reference inside this document leads to."""
        start, *names = place.split("/")
        if start != "#":
            raise UnfollowedError
        found: object = self._root
        for name in names:
            key = unquote(name).replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                raise UnfollowedError
            found = found[key]
        return found

    def _value(self, schema: Schema, within: frozenset[str], depth: int) -> object:
        if "const" in schema:
            return self._given(schema["const"])
        if values := _listed(schema, "enum"):
            return self._given(values[0])
        for kind in _types(schema):
            try:
                return self._typed(kind, schema, within, depth)
            except UnfollowedError:
                continue
        raise UnfollowedError

    def _given(self, value: object) -> object:
        """A value that the schema itself holds."""
        self._spend(len(json.dumps(value)))
        return value

    def _typed(self, kind: str, schema: Schema, within: frozenset[str], depth: int) -> object:
        if kind == "object":
            return self._object(schema, within, depth)
        if kind == "array":
            return self._array(schema, within, depth)
        if kind == "string":
            said = word(schema, self._left)
            self._spend(len(said))
            return said
        if kind in {"number", "integer"}:
            return number(schema, whole=kind == "integer")
        return False if kind == "boolean" else None

    def _object(self, schema: Schema, within: frozenset[str], depth: int) -> dict[str, object]:
        """What is required, in the order of the properties; then more of them, where there must be more."""
        properties = schema.get("properties")
        known: Schema = properties if isinstance(properties, dict) else {}
        required = {name: None for name in _listed(schema, "required") if isinstance(name, str)}
        fewest, most = bound(schema, "minProperties"), bound(schema, "maxProperties")
        rest = schema.get("additionalProperties", True)
        made: dict[str, object] = {}
        for name in [*[name for name in known if name in required], *[name for name in required if name not in known]]:
            self._spend(len(name))
            made[name] = self.made(known.get(name, rest), within, depth + 1)
        for name in known:
            if fewest is None or len(made) >= fewest:
                break
            if name not in made:
                made[name] = self.made(known[name], within, depth + 1)
        if (fewest is not None and len(made) < fewest) or (most is not None and len(made) > most):
            raise UnfollowedError
        return made

    def _array(self, schema: Schema, within: frozenset[str], depth: int) -> list[object]:
        """As many items as there must be, each by the schema of its place."""
        items = schema.get("items", True)
        first = items if isinstance(items, list) else _listed(schema, "prefixItems")
        rest = schema.get("additionalItems", True) if isinstance(items, list) else items
        fewest, most = bound(schema, "minItems") or 0, bound(schema, "maxItems")
        if fewest > self._left or (most is not None and most < fewest):
            raise UnfollowedError
        made = [self.made(first[index] if index < len(first) else rest, within, depth + 1) for index in range(math.ceil(fewest))]
        if schema.get("uniqueItems") is True and len({json.dumps(each, sort_keys=True) for each in made}) < len(made):
            raise UnfollowedError
        return made


def _listed(schema: Schema, name: str) -> Sequence[object]:
    found = schema.get(name)
    return found if isinstance(found, list) else ()


def _without(schema: Schema, name: str) -> Schema:
    return {each: value for each, value in schema.items() if each != name}


def _types(schema: Schema) -> Sequence[str]:
    """The types that it may have, in its order; where it says none, the one that its keywords are about."""
    said = schema.get("type")
    names = [name.lower() for name in (said if isinstance(said, list) else [said]) if isinstance(name, str)]
    if known := [name for name in names if name in _TYPES]:
        return known
    about_arrays = ("items" in schema or "prefixItems" in schema) and "properties" not in schema
    return ("array",) if about_arrays else ("object",)


def _both(one: Schema, other: object) -> Schema:
    """One schema for what two ask together. Raises `UnfollowedError` where they have different things to say about the same."""
    if other is True:
        return one
    if not isinstance(other, dict):
        raise UnfollowedError
    merged = {**one, **other}
    for name in one.keys() & other.keys() - _SAY_NOTHING:
        if name == "properties":
            merged[name] = _both_properties(one[name], other[name])
        elif name in {"required", "allOf"}:
            merged[name] = [*_listed(one, name), *_listed(other, name)]
        elif one[name] != other[name]:
            raise UnfollowedError
    if _forbids(one, other) or _forbids(other, one):
        raise UnfollowedError
    return merged


def _both_properties(one: object, other: object) -> Schema:
    if not isinstance(one, dict) or not isinstance(other, dict):
        raise UnfollowedError
    return {**one, **other, **{name: {"allOf": [one[name], other[name]]} for name in one.keys() & other.keys()}}


def _forbids(one: Schema, other: Schema) -> bool:
    """Whether a schema that has no other properties is put together with one that has."""
    if one.get("additionalProperties") is not False:
        return False
    own, others = (each if isinstance(each, dict) else {} for each in (one.get("properties"), other.get("properties")))
    return bool(others.keys() - own.keys())
