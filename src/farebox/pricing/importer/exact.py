"""Decimals of price lists into integer pico-dollars: exactly, or not at all. Only a price of time may be rounded, upwards.

A price by the hour is hardly ever a whole number of pico-dollars per millisecond: it is taken at the next one, which is at most
$0.0000036 an hour above the list and never below it.
"""

from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil

import msgspec

from farebox.money import PICO_PER_USD
from farebox.usage import AUDIO_IN_MS, AUDIO_OUT_MS, CHARS, CREDITS, TOKEN_UNITS, VIDEO_MS

ROUNDED_UP = "rounded up to a whole pico-dollar per millisecond"
"""What a source says of a price that was."""

_PER_TOKEN_PICO_MAX = 10_000 * 10**6
"""$10,000 per million tokens: sixteen times the dearest price ever listed. Above it stands a sentinel or a slipped decimal point."""
_DIGITS_MAX = 30
_PRICED_LIKE_TOKENS = TOKEN_UNITS | {CHARS, CREDITS}
_TIME_UNITS = frozenset((AUDIO_IN_MS, AUDIO_OUT_MS, VIDEO_MS))
_PER_USE_PICO_MAX = 1_000 * PICO_PER_USD


class Rejected(msgspec.Struct, frozen=True):
    """A price, or a whole model (`unit` empty), that was not taken in."""

    provider: str
    model: str
    unit: str
    reason: str


class InexactPriceError(ValueError):
    """Not a price that can be kept as whole pico-dollars."""


def pico_of(dollars: Decimal, per: int, unit: str) -> int:
    """Pico-dollars per unit of a price in dollars per so many units. Refuses what is not finite, negative, absurd or not exact.

    A price of time that is not exact is rounded up (`is_rounded` tells).
    """
    if not dollars.is_finite():
        raise InexactPriceError(f"${dollars} is not a finite price")
    if dollars < 0:
        raise InexactPriceError(f"${dollars} is negative")
    if dollars and not -_DIGITS_MAX <= dollars.adjusted() <= _DIGITS_MAX:
        raise InexactPriceError(f"${dollars} is not the size of any price there is")
    exact = _exact(dollars, per)
    if exact > (_PER_TOKEN_PICO_MAX if unit in _PRICED_LIKE_TOKENS else _PER_USE_PICO_MAX):
        raise InexactPriceError(f"${dollars} per {per} is more than any price there is")
    if exact.denominator != 1 and unit not in _TIME_UNITS:
        raise InexactPriceError(f"${dollars} per {per} is not a whole number of pico-dollars each")
    return ceil(exact)


def is_rounded(dollars: Decimal, per: int) -> bool:
    """Whether a price that `pico_of` takes is not a whole number of pico-dollars."""
    return _exact(dollars, per).denominator != 1


@lru_cache(maxsize=4096)  # a list of ten thousand prices has some hundred amounts
def _exact(dollars: Decimal, per: int) -> Fraction:
    """Pico-dollars of a finite price."""
    return Fraction(dollars) * PICO_PER_USD / per
