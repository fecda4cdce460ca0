"""Money: integers only. Amounts are nano-dollars (1e-9 USD), prices and charge lines pico-dollars (1e-12 USD).

`Decimal` appears here and nowhere else: to read what people type, and to print it. A float never does.
"""

import re
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import lru_cache

NANO_PER_USD = 1_000_000_000
PICO_PER_NANO = 1_000
PICO_PER_USD = NANO_PER_USD * PICO_PER_NANO
NANO_MAX = 2**62
"""The largest amount that anything may hold: sums of two still fit a signed 64-bit column."""
BASIS_POINTS = 10_000
_PLAIN = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?")
"""What nearly every amount is written as: no sign, no exponent, and few enough digits to be booked."""
_EXPONENT_MAX = 18  # beyond it no amount can be; and a product may be more than Decimal can hold


class NotMoneyError(ValueError):
    """Not an amount in dollars."""


def parse_usd(text: str) -> int:
    """Nano-dollars of a decimal string such as "12.50". Refuses what is not exact in nano-dollars, not finite, or too large."""
    plain = _PLAIN.fullmatch(text)
    if plain is None:
        return _parse(text, NANO_PER_USD, "nano-dollars")
    whole, part = plain.groups("")
    return int(whole + part.ljust(9, "0"))


def parse_pico(text: str) -> int:
    """Pico-dollars of a decimal string in dollars. Refuses what is not exact in pico-dollars, not finite, or too large."""
    return _parse(text, PICO_PER_USD, "pico-dollars")


def parse_pico_up(text: str) -> int:
    """Pico-dollars of what a provider says in dollars, rounded up: it may say them in a float, with more decimal places than money has."""
    return _parse(text, PICO_PER_USD, "pico-dollars", up=True)


def _parse(text: str, scale: int, unit: str, *, up: bool = False) -> int:
    try:
        value = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        raise NotMoneyError(f"{text!r} is not an amount in dollars, such as 12.50") from None
    if not value.is_finite():
        raise NotMoneyError(f"{text!r} is not a finite amount in dollars")
    if value.adjusted() > _EXPONENT_MAX or abs(value) * scale >= NANO_MAX:
        raise NotMoneyError(f"{text!r} is larger than any amount that can be booked")
    scaled = value * scale
    if up:
        return int(scaled.to_integral_value(ROUND_CEILING))
    if scaled != scaled.to_integral_value():
        raise NotMoneyError(f"{text!r} has more decimal places than {unit} can hold")
    return int(scaled)


@lru_cache(maxsize=4096)
def format_usd(nano: int) -> str:
    """A decimal string of dollars: at least two decimal places, no more than needed. 1_500_000_000 -> "1.50"."""
    return write_usd(nano)


def write_usd(nano: int) -> str:
    """The same for an amount that is hardly ever the same twice, such as what is left of a wallet: it is not remembered."""
    if nano < NANO_PER_USD:
        return f"-{write_usd(-nano)}" if nano < 0 else f"0{write_usd(NANO_PER_USD + nano)[1:]}"
    digits = str(nano)
    return f"{digits[:-9]}.{digits[-9:-7]}{digits[-7:].rstrip('0')}"


def nano_up(pico: int) -> int:
    """Nano-dollars of pico-dollars, rounded up: how holds are rounded."""
    return -(-pico // PICO_PER_NANO)


def nano_half_even(pico: int) -> int:
    """Nano-dollars of pico-dollars, rounded half to even: how a charge's total is rounded, once."""
    return divide_half_even(pico, PICO_PER_NANO)


def divide_half_even(numerator: int, denominator: int) -> int:
    """The quotient of two integers, rounded half to even. The denominator is positive."""
    quotient, rest = divmod(numerator, denominator)
    twice = rest * 2
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient
