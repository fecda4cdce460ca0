"""Prices by the hour of the day: which hour a call is charged at, that nobody can ask for one, and that no quote is cheaper for them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import genai_prices
import pytest
from genai_prices.data import providers

from farebox.clock import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, from_rfc3339
from farebox.control.imports import below_cost
from farebox.control.quotes import items
from farebox.errors import CostUnbounded
from farebox.pricing.book import ModelPrice, PriceBook, PriceRow
from farebox.pricing.hours import Window, conditions_of, is_named, window_of
from farebox.pricing.importer import read_price_csv, write_price_csv
from farebox.pricing.quote import bound
from farebox.pricing.rate import CONDITIONS_PRICED_AS_DEAREST, rate
from farebox.usage import IN_CACHE_READ, IN_TEXT, OUT_TEXT, PLAIN, REQUESTS, Conditions, Demand, Usage

RowMaker = Callable[..., PriceRow]
PriceMaker = Callable[..., ModelPrice]
Listed = Callable[..., ModelPrice]

NIGHT = Conditions(service_tier="hours 16:30-00:30")
MORNING = Conditions(service_tier="hours 06:00-10:00")
SOME = Usage({IN_TEXT: 1000, IN_CACHE_READ: 100, OUT_TEXT: 10}, 1100)
DAYS = ("2025-06-01", "2026-08-16", "2026-08-17", "2026-09-10", "2026-11-21", "2027-03-01")
"""On either side of every date at which a price of these models changes."""


def at(clock: str, day: str = "2026-11-21") -> int:
    return from_rfc3339(f"{day}T{clock}Z")


def each(price: ModelPrice, begins: str, ends: str | None = None, days: int = 0) -> int:
    """What an input token costs of a call that was on its way so long."""
    return rate(Usage({IN_TEXT: 1}, 1), price, (at(begins), at(ends or begins) + days * US_PER_DAY)).total_pico


# --- windows -------------------------------------------------------------------------------------------------------------------------


def test_a_window_reads_as_it_is_named() -> None:
    """Over midnight or not, until midnight, and from it."""
    for begins, ends in ((0, 60), (990, 30), (1439, 0), (0, 1439), (1, 0)):
        named = conditions_of(begins * US_PER_MINUTE, ends * US_PER_MINUTE)
        assert window_of(named) == Window(begins * US_PER_MINUTE, (ends - begins) % 1440 * US_PER_MINUTE)
        assert is_named(named.service_tier)
    assert conditions_of(990 * US_PER_MINUTE, 30 * US_PER_MINUTE) == NIGHT


@pytest.mark.parametrize(
    "tier", ["default", "hours", "hours ", "hours 1:00-2:00", "hours 24:00-01:00", "hours 01:60-02:00", "hours 01:00-01:00"]
)
def test_other_names_are_no_window(tier: str) -> None:
    """A day has 24 hours, an hour 60 minutes, and a window is shorter than a day."""
    assert window_of(Conditions(service_tier=tier)) is None
    assert window_of(Conditions(service_tier=f"{NIGHT.service_tier}\n")) is None


@pytest.mark.parametrize("more", [{"speed": "fast"}, {"geo": "us"}, {"batch": True}])
def test_a_window_has_no_other_conditions(row: RowMaker, price_of: PriceMaker, more: dict[str, object]) -> None:
    """Such a row prices nothing: neither an hour nor a tier that one could ask for."""
    odd = Conditions(NIGHT.service_tier, **more)  # type: ignore[arg-type]
    assert window_of(odd) is None
    price = price_of(row(IN_TEXT, 10), row(IN_TEXT, 1, conditions=odd))
    assert not price.hours
    assert not price.listed(odd)
    assert price.card(odd).at(0).prices[IN_TEXT] == 10


@pytest.mark.parametrize(
    ("begins", "ends", "pico"),
    [
        ("16:29:59.999999", None, 10),
        ("16:30:00", None, 4),
        ("23:59:59.999999", None, 4),
        ("00:00:00", None, 4),
        ("00:29:59.999999", None, 4),
        ("00:30:00", None, 10),
        ("00:30:00", "16:29:59.999999", 10),
        ("16:30:00", "23:00:00", 4),
        ("16:29:59.999999", "16:30:00", 10),
        ("00:29:59.999999", "00:30:00", 10),
        ("17:00:00", "16:00:00", 4),
    ],
)
def test_a_call_is_charged_at_its_hour_and_over_an_edge_at_the_dearest(
    row: RowMaker, price_of: PriceMaker, begins: str, ends: str | None, pico: int
) -> None:
    """The first moment of a window is in it, the one at its end is not. A clock that was set back meanwhile says when the call began."""
    assert each(price_of(row(IN_TEXT, 10), row(IN_TEXT, 4, conditions=NIGHT)), begins, ends) == pico


def test_a_call_over_midnight_is_within_its_window(row: RowMaker, price_of: PriceMaker) -> None:
    """One that lasts into the next day's hours, or for a whole day, is not."""
    price = price_of(row(IN_TEXT, 10), row(IN_TEXT, 4, conditions=NIGHT))
    assert [each(price, "23:50:00", ends, 1) for ends in ("00:10:00", "00:30:00", "17:00:00", "23:50:00")] == [4, 10, 10, 10]


def test_a_call_that_spans_the_dearest_hours_is_charged_at_them(row: RowMaker, price_of: PriceMaker) -> None:
    """Though it began and ended at cheaper ones, in the same window or in another."""
    price = price_of(row(IN_TEXT, 10), row(IN_TEXT, 4, conditions=NIGHT), row(IN_TEXT, 5, conditions=MORNING))
    assert [each(price, "09:00:00"), each(price, "17:00:00"), each(price, "12:00:00")] == [5, 4, 10]
    assert [each(price, "09:00:00", "17:00:00"), each(price, "17:00:00", "09:00:00", 1), each(price, "11:00:00", "11:00:00", 1)] == [
        10,
        10,
        10,
    ]


def test_hours_may_be_dearer_than_the_rest_of_the_day(row: RowMaker, price_of: PriceMaker) -> None:
    """Then the quote is theirs; outside of them the charge is what the plain row says. Units that they do not name cost what they always do."""
    price = price_of(row(IN_TEXT, 4), row(OUT_TEXT, 2), row(REQUESTS, 1), row(IN_TEXT, 10, conditions=MORNING))
    assert [each(price, "05:00:00"), each(price, "06:00:00"), each(price, "05:00:00", "06:00:00")] == [5, 11, 11]
    assert rate(Usage({OUT_TEXT: 3}, 0), price, (at("07:00:00"), at("07:00:00"))).total_pico == 7
    assert bound(Demand(1), price).base_pico == 11


def test_windows_that_overlap_cost_the_dearest(row: RowMaker, price_of: PriceMaker) -> None:
    """Two words about one hour are no word."""
    other = Conditions(service_tier="hours 09:00-17:00")
    price = price_of(row(IN_TEXT, 10), row(IN_TEXT, 4, conditions=MORNING), row(IN_TEXT, 5, conditions=other))
    assert [each(price, clock) for clock in ("08:59:59", "09:00:00", "10:00:00")] == [4, 10, 5]


# --- nobody asks for an hour -----------------------------------------------------------------------------------------------------------


def test_a_tier_named_like_a_window_is_unknown(listed: Listed) -> None:
    """It is refused where it is asked for, and charged at the dearest where it is reported, at any hour."""
    price = listed("deepseek", "deepseek-chat")
    assert not price.listed(NIGHT)
    assert not price.lists("service_tier", NIGHT.service_tier)
    with pytest.raises(CostUnbounded, match="hours 16:30"):
        bound(Demand(10, conditions=(NIGHT,)), price)
    for conditions in (NIGHT, Conditions(service_tier="imaginary"), Conditions(speed="fast")):
        rated = rate(Usage(SOME.units, 1100, conditions=conditions), price, (at("18:00:00"), at("18:00:00")))
        assert rated.flags == (CONDITIONS_PRICED_AS_DEAREST,)
        assert rated.total_pico == rate(SOME, price).total_pico == 1000 * 270_000 + 100 * 70_000 + 10 * 1_100_000


def test_without_a_time_the_dearest_hour_counts(listed: Listed) -> None:
    """Quotes have none, and neither do their parts as people see them."""
    price = listed("deepseek", "deepseek-chat")
    demand = Demand(1000)
    assert bound(demand, price).worst_pico(10) == 1000 * 270_000 + 10 * 1_100_000
    assert sum(part.pico for part in items(demand, price, 1000, 10)) == bound(demand, price).worst_pico(10)


# --- the whole list ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", DAYS)
def test_every_hour_costs_what_genai_prices_says_and_no_quote_is_below_any(book: PriceBook, day: str) -> None:
    """Of all models with prices by the hour: exactly, at every quarter of an hour and the microsecond before it."""
    hourly = {row.model for row in book.prices() if is_named(row.service_tier)}
    assert hourly == {"deepseek-chat", "deepseek-flash", "deepseek-reasoner", "deepseek-v4-flash", "deepseek-v4-pro"}
    deepseek = next(one for one in providers if one.id == "deepseek")
    counts = genai_prices.Usage(input_tokens=1100, cache_read_tokens=100, output_tokens=10)
    for model in (one for one in deepseek.models if one.id in hourly):
        seen = set()
        for moment in (at("00:00:00", day) + quarter * US_PER_HOUR // 4 + more for quarter in range(96) for more in (-1, 0)):
            price = book.find("deepseek", model.id, moment)
            assert price is not None
            ours = rate(SOME, price, (moment, moment))
            when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)
            assert ours.total_pico == model.calc_price(counts, deepseek, genai_request_timestamp=when).total_price * 10**12, (
                model.id,
                when,
            )
            assert ours.flags == ()
            assert ours.total_pico <= rate(SOME, price).total_pico <= bound(Demand(1100), price).worst_pico(10)
            seen.add(ours.total_pico)
        assert len(seen) > 1


def test_hours_name_every_unit_that_the_plain_price_has(book: PriceBook, now_us: int) -> None:
    """Nothing of a call at a cheaper hour is charged as something else."""
    for model in book.models(now_us, "deepseek"):
        price = book.find("deepseek", model.model, now_us)
        assert price is not None
        for _, card in price.hours:
            assert card.levels[0].prices.keys() == price.card(PLAIN).levels[0].prices.keys()
            assert card.levels[0].stand_ins == price.card(PLAIN).levels[0].stand_ins


def test_hours_are_written_and_read_as_any_price(book: PriceBook) -> None:
    """A price file has them by their name."""
    rows = [row for row in book.prices() if row.model == "deepseek-chat" and row.provider == "deepseek"]
    assert {row.conditions for row in rows} == {PLAIN, NIGHT}
    assert read_price_csv(write_price_csv(rows)) == rows


# --- own prices --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "hours", "below"),
    [
        (10, {}, False),
        (9, {}, True),
        (10, {NIGHT: 4}, False),
        (20, {NIGHT: 3}, True),
        (10, {MORNING: 9}, True),
        (9, {NIGHT: 20}, True),
        (9, {Conditions(service_tier="hours 00:30-16:30"): 10}, False),
        (10, {Conditions(service_tier="hours 16:00-00:30"): 4}, True),
        (10, {Conditions(service_tier="hours 17:00-00:30"): 4}, False),
    ],
)
def test_own_prices_are_held_against_the_providers_hour_by_hour(
    row: RowMaker, plain: int, hours: dict[Conditions, int], below: bool
) -> None:
    """A discount at night is passed on without being a loss; the same by day is one."""
    listed = PriceBook(1, (), [row(IN_TEXT, 10), row(IN_TEXT, 4, conditions=NIGHT)])
    own = [row(IN_TEXT, plain), *(row(IN_TEXT, pico, conditions=window) for window, pico in hours.items())]
    assert below_cost(listed, own) == (["p/m in_text_uncached"] if below else [])


def test_own_hours_where_the_provider_has_none_are_compared(row: RowMaker) -> None:
    """An hour below the provider's one price is a loss at that hour."""
    listed = PriceBook(1, (), [row(IN_TEXT, 10)])
    assert below_cost(listed, [row(IN_TEXT, 10), row(IN_TEXT, 9, conditions=NIGHT)]) == ["p/m in_text_uncached"]
    assert below_cost(listed, [row(IN_TEXT, 10), row(IN_TEXT, 12, conditions=NIGHT)]) == []
