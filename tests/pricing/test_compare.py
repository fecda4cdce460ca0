"""What an import changes, and what has to be accepted by a person."""

from collections.abc import Callable
from fractions import Fraction

import pytest

from farebox.pricing.book import PriceRow
from farebox.pricing.importer import Imported, check, diff
from farebox.usage import IN_CACHE_READ, IN_TEXT, OUT_TEXT, Conditions

RowMaker = Callable[..., PriceRow]
FLEX = Conditions(service_tier="flex")


def test_the_same_prices_have_no_difference(imported: Imported) -> None:
    """Taking in the same list again changes nothing, in whatever order."""
    assert diff(imported.prices, reversed(imported.prices)) == []


def test_the_first_import_adds_everything_and_needs_no_acceptance(imported: Imported) -> None:
    """There is nothing yet that it could spoil."""
    changes = diff([], imported.prices)
    assert {change.kind for change in changes} == {"added"}
    assert check(changes) == []


def test_spans_cut_otherwise_are_no_difference(row: RowMaker) -> None:
    """Prices over time are compared, not rows; what was checked anew or from elsewhere is no change of price."""
    whole = [row(IN_TEXT, 10)]
    assert diff(whole, [row(IN_TEXT, 10, since=0, until=50), row(IN_TEXT, 10, since=50)]) == []
    assert (
        diff([row(IN_TEXT, 9, since=0), row(IN_TEXT, 10, since=50)], [row(IN_TEXT, 9, since=0, until=50), row(IN_TEXT, 10, since=50)]) == []
    )


def test_a_change_says_from_when_until_when_and_by_how_much(row: RowMaker) -> None:
    """Only the span that differs is a change."""
    changes = diff([row(IN_TEXT, 10)], [row(IN_TEXT, 10, until=100), row(IN_TEXT, 15, since=100, until=200), row(IN_TEXT, 10, since=200)])
    assert [(c.kind, c.from_us, c.to_us, c.old_pico, c.new_pico, c.factor) for c in changes] == [
        ("changed", 100, 200, 10, 15, Fraction(3, 2))
    ]


@pytest.mark.parametrize(("pico", "needs"), [(300, False), (301, True), (10_000, True), (34, False), (33, True), (1, True), (0, True)])
def test_a_jump_beyond_the_factor_either_way_needs_acceptance(row: RowMaker, pico: int, needs: bool) -> None:
    """A price a hundred times too high or too low does not slip in; a price of zero never does."""
    changes = diff([row(IN_TEXT, 100)], [row(IN_TEXT, pico)])
    assert bool(check(changes)) is needs
    assert bool(check(changes, factor_max=1000)) is (pico == 0)


@pytest.mark.parametrize(("pico", "needs"), [(50, False), (33, True), (0, True)])
def test_cheaper_hours_of_a_known_model_are_compared_with_its_plain_price(row: RowMaker, pico: int, needs: bool) -> None:
    """Hours at less than a third of what the day cost so far do not slip in."""
    day = row(IN_TEXT, 100)
    changes = diff([day], [day, row(IN_TEXT, pico, conditions=Conditions(service_tier="hours 16:30-00:30"))])
    assert [change.kind for change in changes] == ["added"]
    assert bool(check(changes)) is needs


def test_a_price_that_stops_being_zero_needs_acceptance(row: RowMaker) -> None:
    """There is no factor from nothing."""
    assert len(check(diff([row(IN_TEXT, 0)], [row(IN_TEXT, 1)]))) == 1


def test_whatever_is_removed_needs_acceptance(row: RowMaker) -> None:
    """A model, a tier or a unit that is gone is not news to be taken in silently."""
    old = [row(IN_TEXT, 10), row(IN_TEXT, 20, above=100), row(IN_TEXT, 1, model="n")]
    changes = check(diff(old, [row(IN_TEXT, 10)]))
    assert [(c.kind, c.model, c.tier_above, c.model_removed) for c in changes] == [("removed", "m", 100, False), ("removed", "n", 0, True)]


def test_a_price_that_ends_is_removed_from_then_on(row: RowMaker) -> None:
    """Ending a price without another after it leaves the model without one."""
    changes = check(diff([row(IN_TEXT, 10)], [row(IN_TEXT, 10, until=70)]))
    assert [(c.kind, c.from_us, c.to_us) for c in changes] == [("removed", 70, None)]


def test_an_added_variant_or_tier_is_measured_by_the_base_price(row: RowMaker) -> None:
    """A tier a hundred times the base price is as much of a slip as a base price a hundred times the old one."""
    old = [row(IN_TEXT, 100)]
    fine = [row(IN_TEXT, 100), row(IN_TEXT, 200, above=9), row(IN_TEXT, 50, conditions=FLEX)]
    slips = [row(IN_TEXT, 100), row(IN_TEXT, 20_000, above=9), row(IN_TEXT, 0, conditions=FLEX)]
    assert check(diff(old, fine)) == []
    assert [(c.tier_above, c.conditions.service_tier, c.factor) for c in check(diff(old, slips))] == [
        (0, "flex", Fraction(0)),
        (9, "default", Fraction(200)),
    ]


def test_a_unit_that_appears_as_free_needs_acceptance_unless_its_model_is_new(row: RowMaker) -> None:
    """Of a known model it makes free what was charged as its parent."""
    old = [row(IN_TEXT, 100)]
    changes = diff(old, [*old, row(IN_CACHE_READ, 0), row(OUT_TEXT, 0, model="new")])
    assert [change.unit for change in check(changes)] == [IN_CACHE_READ]


def test_changes_come_in_a_fixed_order(imported: Imported) -> None:
    """By provider, model, unit, tier, conditions and time: the same import reads the same each time."""
    assert diff([], imported.prices[:500]) == diff([], imported.prices[:500][::-1])
