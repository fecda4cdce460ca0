"""The kinds of values that bodies hold: dollars, times, names, tags, patterns. Each says what is wrong with a value in words."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from farebox import limits
from farebox.clock import from_rfc3339
from farebox.money import NotMoneyError, parse_usd

_TAG_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TAG_VALUE = re.compile(r"[\x21-\x2b\x2d-\x7e](?:[\x20-\x2b\x2d-\x7e]*[\x21-\x2b\x2d-\x7e])?")
_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+-]*\*?|\*")
DIGITS_MAX = 40
ID_CHARS_MAX = 200


def _dollars(value: object) -> int:
    """Nano-dollars of a string or of a number's literal."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError('an amount in dollars is a string such as "12.50", or a number')  # noqa: TRY004 - pydantic reports ValueErrors
    text = value if isinstance(value, str) else str(value)
    if len(text) > DIGITS_MAX or not text.isascii():
        raise ValueError("this is larger, or more exact, than any amount that can be booked")
    try:
        return parse_usd(text)
    except NotMoneyError as problem:
        raise ValueError(str(problem)) from None


def _not_negative(value: int) -> int:
    if value < 0:
        raise ValueError("an amount here is not negative")
    return value


def _positive(value: int) -> int:
    if value <= 0:
        raise ValueError("an amount here is more than zero")
    return value


def _moment(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("a time is a string such as 2026-11-21T09:30:00Z")  # noqa: TRY004 - pydantic reports ValueErrors
    try:
        at = from_rfc3339(value)
    except (ValueError, OverflowError):
        raise ValueError("this is not a time such as 2026-11-21T09:30:00Z, with its zone") from None
    if at < 0:
        raise ValueError("this time is before 1970")
    return at


def _text(value: str) -> str:
    if not value.isprintable():
        raise ValueError("there are control characters in it")
    return value


def _storable(value: dict[str, str]) -> dict[str, str]:
    if any("\0" in part for part in (*value, *value.values())):
        raise ValueError("there is text in it that cannot be stored")
    return value


def allowed_tags(value: dict[str, str]) -> dict[str, str]:
    """These tags. Raises ValueError for what is none."""
    for name, worth in value.items():
        if not _TAG_NAME.fullmatch(name) or not _TAG_VALUE.fullmatch(worth):
            raise ValueError("a tag's name has letters, digits, dots, dashes; its value is printable ASCII without a comma")
        if len(name) + len(worth) >= limits.tag_bytes_max:
            raise ValueError(f"a tag has at most {limits.tag_bytes_max} bytes")
    return value


def _pattern(value: str) -> str:
    if not _PATTERN.fullmatch(value):
        raise ValueError("a model is written provider/model or model, and may end in *")
    return value


def _amount_schema(*, least: str) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": rf"^{least}[0-9]{{1,9}}(\.[0-9]{{1,9}})?$"}, {"type": "number"}],
            "description": "Dollars, as a decimal string (or a number, read from its literal). Exact to a nano-dollar.",
            "examples": ["12.50"],
        }
    )


_TIME_SCHEMA = WithJsonSchema({"type": "string", "format": "date-time"})
SignedUsd = Annotated[int, BeforeValidator(_dollars), _amount_schema(least="-?")]
Usd = Annotated[int, BeforeValidator(_dollars), AfterValidator(_not_negative), _amount_schema(least="")]
SomeUsd = Annotated[int, BeforeValidator(_dollars), AfterValidator(_positive), _amount_schema(least="")]
Moment = Annotated[int, BeforeValidator(_moment), _TIME_SCHEMA]
Name = Annotated[str, Field(max_length=200), AfterValidator(_text)]
Note = Annotated[str, Field(max_length=500), AfterValidator(_text)]
Id = Annotated[str, Field(min_length=1, max_length=ID_CHARS_MAX), AfterValidator(_text)]
ModelPattern = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_pattern)]
Models = Annotated[list[ModelPattern], Field(max_length=200)]
Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=500)]],
    Field(max_length=50),
    AfterValidator(_storable),
]
Tags = Annotated[dict[str, str], Field(max_length=limits.tag_pairs_max), AfterValidator(allowed_tags)]
Count = Annotated[int, Field(ge=1, le=10**12)]
BasisPoints = Annotated[int, Field(ge=-10_000, le=1_000_000)]
