"""The smallest numbers and texts that a schema allows. Pure; knows nothing of schemas in schemas."""

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

_WORD: Final = "fare"
_FORMATS: Final = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "fare@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.com/",
}
_DIGITS_MAX: Final = 40


class UnfollowedError(Exception):
    """A schema has no instance, or none that can be found here."""


def word(schema: Mapping[str, object], longest: int) -> str:
    """A text: what its format asks for, else a word as long as it must be. A pattern is followed only where it says what the format says."""
    fewest, most = bound(schema, "minLength") or Fraction(0), bound(schema, "maxLength")
    said = _FORMATS.get(str(schema.get("format")))
    if said is None:
        length = max(fewest, Fraction(len(_WORD)) if most is None else min(most, Fraction(len(_WORD))))
        if "pattern" in schema or not 0 <= length <= longest:
            raise UnfollowedError
        size = math.ceil(length)
        said = (_WORD * -(-size // len(_WORD)))[:size]
    if len(said) < fewest or (most is not None and len(said) > most):
        raise UnfollowedError
    return said


def number(schema: Mapping[str, object], *, whole: bool) -> int | float:
    """0, or what is nearest to the ends of its range."""
    low, high = bound(schema, "minimum"), bound(schema, "maximum")
    above, below = _excluded(schema, "exclusiveMinimum", low), _excluded(schema, "exclusiveMaximum", high)
    step = bound(schema, "multipleOf")
    if step is not None and step <= 0:
        raise UnfollowedError
    if whole:
        step = Fraction(1 if step is None else step.numerator)
    for value in _candidates(low, high, above, below, step):
        fits = (low is None or value >= low) and (high is None or value <= high)
        if fits and (above is None or value > above) and (below is None or value < below):
            return value.numerator if value.denominator == 1 else float(value)
    raise UnfollowedError


def bound(schema: Mapping[str, object], name: str) -> Fraction | None:
    """A number that a schema holds, which some APIs write as a string; None where there is none."""
    value = schema.get(name)
    if value is None or isinstance(value, bool):
        return None
    written = str(value)
    if len(written) > _DIGITS_MAX or not (isinstance(value, int | float) or written.removeprefix("-").isdecimal()):
        raise UnfollowedError
    return Fraction(written)


def _excluded(schema: Mapping[str, object], name: str, end: Fraction | None) -> Fraction | None:
    """The end itself, where an older schema says only that it does not belong."""
    return end if schema.get(name) is True else bound(schema, name)


def _candidates(*ends: Fraction | None) -> Iterator[Fraction]:
    """0, every end, what is a step inside of it, and what is in the middle; on the steps where there are some."""
    *places, step = ends
    known = [place for place in places if place is not None]
    yield Fraction(0)
    for place in known:
        if step is None:
            yield from (place, place + 1, place - 1)
        else:
            at = math.floor(place / step) * step
            yield from (at, at + step, at - step)
    if step is None and known:
        yield (min(known) + max(known)) / 2
