"""Decimals of price lists into integer pico-dollars: exactly, or not at all."""

from decimal import Decimal
from fractions import Fraction

import msgspec

from farebox.money import PICO_PER_USD
from farebox.usage import CHARS, TOKEN_UNITS

_PER_TOKEN_PICO_MAX = 10_000 * 10**6
"""$10,000 per million tokens: sixteen times the dearest price ever listed. Above it stands a sentinel or a slipped decimal point."""
_DIGITS_MAX = 30
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
    """Pico-dollars per unit of a price in dollars per so many units. Refuses what is not finite, negative, absurd or not exact."""
    if not dollars.is_finite():
        raise InexactPriceError(f"${dollars} is not a finite price")
    if dollars < 0:
        raise InexactPriceError(f"${dollars} is negative")
    if dollars and not -_DIGITS_MAX <= dollars.adjusted() <= _DIGITS_MAX:
        raise InexactPriceError(f"${dollars} is not the size of any price there is")
    exact = Fraction(dollars) * PICO_PER_USD / per
    if exact > (_PER_TOKEN_PICO_MAX if unit in TOKEN_UNITS or unit == CHARS else _PER_USE_PICO_MAX):
        raise InexactPriceError(f"${dollars} per {per} is more than any price there is")
    if exact.denominator != 1:
        raise InexactPriceError(f"${dollars} per {per} is not a whole number of pico-dollars each")
    return exact.numerator
