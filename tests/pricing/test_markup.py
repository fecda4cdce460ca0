"""Markup: rounding, and that no charge exceeds the hold of a cost at least as large."""

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farebox.money import nano_half_even, nano_up
from farebox.pricing.markup import AT_COST, Markup, charge_nano, hold_nano, price_up

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

COSTS = st.integers(0, 10**18)
MARKUPS = st.builds(Markup, basis_points=st.integers(-10_000, 100_000), fixed_nano=st.integers(0, 10**9))


def test_at_cost_is_only_rounding() -> None:
    """Without a markup the price is the cost: up for a hold, half to even for a charge."""
    for pico in (0, 1, 499, 500, 501, 1500, 2500, 10**12 + 500):
        assert hold_nano(pico, AT_COST) == nano_up(pico)
        assert charge_nano(pico, AT_COST) == nano_half_even(pico)


def test_fifteen_percent_and_a_fixed_amount() -> None:
    """Basis points on the cost, then the fixed amount, rounded once."""
    markup = Markup(1500, 100)
    assert charge_nano(1_000_000, markup) == 1150 + 100
    assert (charge_nano(10, markup), hold_nano(10, markup)) == (100, 101)


def test_a_price_is_rounded_once() -> None:
    """Half a nano-dollar of cost and fifty percent are three quarters, not a rounded half and fifty percent."""
    assert charge_nano(500, Markup(5000)) == 1
    assert charge_nano(500, Markup(0)) == 0


@UNTIMED
@given(cost=COSTS, markup=MARKUPS)
def test_the_numerator_is_exact(cost: int, markup: Markup) -> None:
    """The rational is cost in nano-dollars times one plus the markup, plus the fixed amount."""
    exact = Fraction(cost, 1000) * (1 + Fraction(markup.basis_points, 10_000)) + markup.fixed_nano
    assert Fraction(*price_up(cost, markup)) == exact


@UNTIMED
@given(one=COSTS, other=COSTS, markup=MARKUPS)
def test_a_charge_never_exceeds_the_hold_of_a_cost_at_least_as_large(one: int, other: int, markup: Markup) -> None:
    """What is consumed within its bound is charged within its hold."""
    assert 0 <= charge_nano(min(one, other), markup) <= hold_nano(max(one, other), markup)


@pytest.mark.parametrize(("basis_points", "fixed_nano"), [(-10_001, 0), (0, -1)])
def test_a_markup_that_pays_the_customer_is_refused(basis_points: int, fixed_nano: int) -> None:
    """A price below cost is a choice, a price below nothing is a mistake."""
    with pytest.raises(ValueError, match="pay the customer"):
        Markup(basis_points, fixed_nano)
