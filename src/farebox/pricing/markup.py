"""Cost into the customer's price: basis points and a fixed amount per charged attempt. One exact rational, rounded once."""

import msgspec

from farebox.money import BASIS_POINTS, PICO_PER_NANO, divide_half_even

_DENOMINATOR = PICO_PER_NANO * BASIS_POINTS


class Markup(msgspec.Struct, frozen=True, gc=False):
    """What is added to a provider's list cost. 1,500 basis points are 15 %; negative ones sell below cost, never below nothing."""

    basis_points: int = 0
    fixed_nano: int = 0
    """Per charged attempt. An attempt that is released is not charged and never comes here."""

    def __post_init__(self) -> None:
        if self.basis_points < -BASIS_POINTS:
            raise ValueError(f"a markup of {self.basis_points} basis points would pay the customer")
        if self.fixed_nano < 0:
            raise ValueError(f"a fixed markup of {self.fixed_nano} nano-dollars would pay the customer")


AT_COST = Markup()


def price_up(cost_pico: int, markup: Markup) -> tuple[int, int]:
    """The price as numerator and denominator in nano-dollars: exact, so that it is rounded only once, by whoever books it."""
    return cost_pico * (BASIS_POINTS + markup.basis_points) + markup.fixed_nano * _DENOMINATOR, _DENOMINATOR


def hold_nano(cost_pico: int, markup: Markup) -> int:
    """The price of a worst case in nano-dollars, rounded up."""
    numerator, denominator = price_up(cost_pico, markup)
    return -(-numerator // denominator)


def charge_nano(cost_pico: int, markup: Markup) -> int:
    """The price of what was consumed in nano-dollars, rounded half to even: never above the hold of a cost that is at least as large."""
    return divide_half_even(*price_up(cost_pico, markup))
