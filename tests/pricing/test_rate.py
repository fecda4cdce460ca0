"""Rating: sums, tiers, and what is charged when the book does not say."""

from collections.abc import Callable

import pytest

from farebox.pricing.book import ModelPrice, PriceBook, PriceRow
from farebox.pricing.rate import Line, rate
from farebox.usage import (
    EXPLICIT_ZERO,
    IN_AUDIO,
    IN_CACHE_READ,
    IN_CACHE_READ_IMAGE,
    IN_CACHE_WRITE_1H,
    IN_CACHE_WRITE_5M,
    IN_CACHE_WRITE_12H,
    IN_IMAGE,
    IN_TEXT,
    OUT_AUDIO,
    OUT_TEXT,
    PAGES,
    REQUESTS,
    TOOL_GROUNDING,
    TOOL_WEB_SEARCH,
    Conditions,
    Usage,
)

RowMaker = Callable[..., PriceRow]
PriceMaker = Callable[..., ModelPrice]
Listed = Callable[..., ModelPrice]

PRIORITY = Conditions(service_tier="priority")
FLEX = Conditions(service_tier="flex")
FAST = Conditions(speed="fast")
US = Conditions(geo="us")
FAST_US = Conditions(speed="fast", geo="us")
BATCH = Conditions(batch=True)


def test_a_charge_is_the_sum_of_its_lines(row: RowMaker, price_of: PriceMaker) -> None:
    """Each unit is quantity times price, exactly; the total is their sum; units of zero leave no line."""
    price = price_of(row(IN_TEXT, 2_000_000), row(OUT_TEXT, 10_000_000), row(TOOL_WEB_SEARCH, 10**10))
    rated = rate(Usage({IN_TEXT: 1000, IN_IMAGE: 0, OUT_TEXT: 7, TOOL_WEB_SEARCH: 2}, 1000), price)
    assert rated.lines == (
        Line(IN_TEXT, 1000, 2_000_000, 2_000_000_000),
        Line(OUT_TEXT, 7, 10_000_000, 70_000_000),
        Line(TOOL_WEB_SEARCH, 2, 10**10, 2 * 10**10),
    )
    assert rated.total_pico == 22_070_000_000
    assert rated.flags == ()


def test_explicit_zero_costs_nothing(row: RowMaker, price_of: PriceMaker) -> None:
    """A call that consumed nothing costs nothing, not even the price per request."""
    price = price_of(row(IN_TEXT, 1), row(REQUESTS, 12))
    assert rate(EXPLICIT_ZERO, price).total_pico == 0
    assert rate(Usage({IN_TEXT: 0, OUT_TEXT: 0}, 0), price).total_pico == 0


def test_a_price_per_request_is_charged_once(row: RowMaker, price_of: PriceMaker) -> None:
    """Once for a call that consumed anything; as often as the usage says where it counts requests itself."""
    price = price_of(row(IN_TEXT, 1), row(REQUESTS, 12))
    assert rate(Usage({IN_TEXT: 5}, 5), price).total_pico == 5 + 12
    assert rate(Usage({IN_TEXT: 5, REQUESTS: 3}, 5), price).total_pico == 5 + 36


def test_a_request_without_a_price_per_request_is_free_of_it(row: RowMaker, price_of: PriceMaker) -> None:
    """A list that names no fee per request charges none, and nothing is odd about that."""
    rated = rate(Usage({IN_TEXT: 5, REQUESTS: 1}, 5), price_of(row(IN_TEXT, 1)))
    assert (rated.total_pico, rated.flags) == (5, ())


@pytest.mark.parametrize(
    ("provider", "model", "above", "below_in", "below_out", "above_in", "above_out"),
    [
        ("anthropic", "claude-haiku-5-5", 100_000, 100_000, 500_000, 500_000, 2_500_000),
        ("openai", "gpt-6-sol", 272_000, 2_000_000, 10_000_000, 4_000_000, 15_000_000),
        ("gemini", "gemini-2.5-pro", 200_000, 1_250_000, 10_000_000, 2_500_000, 15_000_000),
        ("gemini", "gemini-3-pro-preview", 200_000, 2_000_000, 12_000_000, 4_000_000, 18_000_000),
    ],
)
def test_the_price_cliff_is_at_one_token_above_the_tier(
    listed: Listed, provider: str, model: str, above: int, below_in: int, below_out: int, above_in: int, above_out: int
) -> None:
    """At the tier's size the whole request costs the base price, one prompt token more and all of it costs the tier's, in and out."""
    price = listed(provider, model)
    under = rate(Usage({IN_TEXT: above, OUT_TEXT: 10}, above), price)
    over = rate(Usage({IN_TEXT: above + 1, OUT_TEXT: 10}, above + 1), price)
    assert under.total_pico == above * below_in + 10 * below_out
    assert over.total_pico == (above + 1) * above_in + 10 * above_out


def test_cached_tokens_count_towards_the_cliff(listed: Listed) -> None:
    """The tier is decided by all prompt tokens, cached reads and writes too."""
    units = {IN_TEXT: 1, IN_CACHE_READ: 60_000, IN_CACHE_WRITE_5M: 40_000, OUT_TEXT: 1}
    rated = rate(Usage(units, 100_001), listed("anthropic", "claude-haiku-5-5"))
    assert rated.total_pico == 500_000 + 60_000 * 50_000 + 40_000 * 625_000 + 2_500_000


@pytest.mark.parametrize(
    ("unit", "charged"),
    [
        (IN_CACHE_READ, 10),
        (IN_AUDIO, 10),
        (IN_CACHE_WRITE_1H, 12),
        (IN_CACHE_WRITE_12H, 12),
        (OUT_AUDIO, 30),
        (TOOL_GROUNDING, 99),
    ],
)
def test_a_unit_the_row_lacks_is_priced_as_its_dearer_parent(row: RowMaker, price_of: PriceMaker, unit: str, charged: int) -> None:
    """Never zero: the dearest listed relative stands in, and the charge is flagged."""
    price = price_of(row(IN_TEXT, 10), row(IN_CACHE_WRITE_5M, 12), row(OUT_TEXT, 30), row(TOOL_WEB_SEARCH, 99))
    rated = rate(Usage({unit: 3}, 3), price)
    assert rated.total_pico == 3 * charged
    assert rated.flags == ("unit_priced_as_parent",)


def test_images_cost_what_text_does_where_no_price_of_their_own_is_listed(row: RowMaker, price_of: PriceMaker) -> None:
    """Price lists leave out what is not special: such a unit is not an oddity."""
    price = price_of(row(IN_TEXT, 10), row(IN_CACHE_READ, 1), row(OUT_TEXT, 30))
    rated = rate(Usage({IN_IMAGE: 3, IN_CACHE_READ_IMAGE: 4}, 7), price)
    assert (rated.total_pico, rated.flags) == (34, ())


def test_cached_images_cost_what_images_do_where_images_have_a_price(row: RowMaker, price_of: PriceMaker) -> None:
    """The text's cache discount says nothing about images that are priced apart."""
    price = price_of(row(IN_TEXT, 10), row(IN_CACHE_READ, 1), row(IN_IMAGE, 50))
    rated = rate(Usage({IN_CACHE_READ_IMAGE: 4}, 4), price)
    assert (rated.total_pico, rated.flags) == (200, ("unit_priced_as_parent",))


def test_a_token_without_any_relative_costs_the_dearest_token(row: RowMaker, price_of: PriceMaker) -> None:
    """An embedding model that reports output is charged for it, and the charge is flagged."""
    rated = rate(Usage({OUT_TEXT: 3}, 0), price_of(row(IN_TEXT, 10)))
    assert (rated.total_pico, rated.flags) == (30, ("unit_priced_as_dearest",))


def test_a_fee_without_a_price_costs_the_dearest_in_the_book(row: RowMaker) -> None:
    """A use that the model lists no price for is charged at the dearest price that any model has for it."""
    book = PriceBook(1, [], [row(IN_TEXT, 10), row(PAGES, 500, model="ocr")])
    price = book.find("p", "m", 0)
    assert price is not None
    rated = rate(Usage({PAGES: 2}, 0), price)
    assert (rated.total_pico, rated.flags) == (1000, ("unit_priced_as_dearest",))


def test_a_unit_that_nobody_prices_is_said_not_to_be_priced(row: RowMaker, price_of: PriceMaker) -> None:
    """The flag tells whoever settles that the sum is not the truth."""
    rated = rate(Usage({IN_TEXT: 1, "perfume": 2}, 1), price_of(row(IN_TEXT, 10)))
    assert rated.flags == ("unit_not_priced",)
    assert rated.lines[-1] == Line("perfume", 2, 0, 0)


def test_a_negative_quantity_refunds_nothing(row: RowMaker, price_of: PriceMaker) -> None:
    """A negative count is as none, and flagged."""
    rated = rate(Usage({IN_TEXT: 10, OUT_TEXT: -1000}, 10), price_of(row(IN_TEXT, 1), row(OUT_TEXT, 1)))
    assert (rated.total_pico, rated.flags) == (10, ("negative_quantity",))


def test_zero_is_a_price_when_the_book_says_so(row: RowMaker, price_of: PriceMaker) -> None:
    """A listed price of zero is charged as zero and is not an oddity."""
    rated = rate(Usage({IN_TEXT: 10, OUT_TEXT: 5}, 10), price_of(row(IN_TEXT, 1), row(OUT_TEXT, 0)))
    assert (rated.total_pico, rated.flags) == (10, ())


# --- conditions ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def varied(row: RowMaker, price_of: PriceMaker) -> ModelPrice:
    return price_of(
        row(IN_TEXT, 10),
        row(TOOL_WEB_SEARCH, 100),
        row(IN_TEXT, 5, conditions=FLEX),
        row(IN_TEXT, 18, conditions=PRIORITY),
        row(IN_TEXT, 40, conditions=FAST),
        row(IN_TEXT, 11, conditions=US),
        row(IN_TEXT, 44, conditions=FAST_US),
        row(IN_TEXT, 4, conditions=BATCH),
    )


@pytest.mark.parametrize(("conditions", "pico"), [(FLEX, 5), (PRIORITY, 18), (FAST, 40), (US, 11), (FAST_US, 44), (BATCH, 4)])
def test_listed_conditions_have_their_own_prices(varied: ModelPrice, conditions: Conditions, pico: int) -> None:
    """Exactly these conditions, exactly this price; fees stay what they are."""
    rated = rate(Usage({IN_TEXT: 1, TOOL_WEB_SEARCH: 1}, 1, conditions=conditions), varied)
    assert (rated.total_pico, rated.flags) == (pico + 100, ())


@pytest.mark.parametrize(
    ("conditions", "pico"),
    [
        (Conditions(service_tier="scale"), 18),
        (Conditions(geo="mars"), 11),
        (Conditions(speed="warp"), 40),
        (Conditions(speed="fast", geo="mars"), 44),
        (Conditions(service_tier="priority", speed="fast"), 44),
    ],
)
def test_unlisted_conditions_cost_the_dearest_that_agree(varied: ModelPrice, conditions: Conditions, pico: int) -> None:
    """An unknown value costs the dearest of its kind, all else being as asked; a combination that nobody lists, the dearest of all."""
    rated = rate(Usage({IN_TEXT: 1}, 1, conditions=conditions), varied)
    assert (rated.total_pico, rated.flags) == (pico, ("conditions_priced_as_dearest",))


def test_unlisted_conditions_are_dearest_in_every_tier(row: RowMaker, price_of: PriceMaker) -> None:
    """The dearest is taken tier by tier: a variant without a tier does not hide the cliff of another."""
    price = price_of(row(IN_TEXT, 10), row(IN_TEXT, 30, above=100), row(IN_TEXT, 20, conditions=PRIORITY))
    unknown = Conditions(service_tier="scale")
    assert [rate(Usage({IN_TEXT: 1}, size, conditions=unknown), price).total_pico for size in (100, 101)] == [20, 30]


def test_a_variant_that_names_no_tier_is_flat(row: RowMaker, price_of: PriceMaker) -> None:
    """A variant's own prices replace the plain ones with their tiers."""
    price = price_of(row(IN_TEXT, 10), row(IN_TEXT, 30, above=100), row(IN_TEXT, 20, conditions=PRIORITY))
    assert rate(Usage({IN_TEXT: 1}, 101, conditions=PRIORITY), price).total_pico == 20


def test_strange_conditions_do_not_grow_the_cards(varied: ModelPrice) -> None:
    """Whatever a provider calls its tiers, the number of cards kept is bounded."""
    for number in range(200):
        rate(Usage({IN_TEXT: 1}, 1, conditions=Conditions(service_tier=f"tier{number}")), varied)
    assert len(varied._cards) <= 64


def test_anthropic_conditions_multiply(listed: Listed) -> None:
    """Fast is twice, the US a tenth more, batch half, on every token category; the fee of a web search stays."""
    price = listed("anthropic", "claude-opus-5-5")
    units = {IN_TEXT: 100, IN_CACHE_READ: 1000, IN_CACHE_WRITE_5M: 400, IN_CACHE_WRITE_1H: 600, OUT_TEXT: 50}
    plain = rate(Usage(units, 2100), price).total_pico
    assert plain == 100 * 4_000_000 + 1000 * 200_000 + 400 * 5_000_000 + 600 * 8_000_000 + 50 * 20_000_000
    for conditions, numerator, denominator in (
        (US, 11, 10),
        (FAST, 2, 1),
        (FAST_US, 22, 10),
        (BATCH, 1, 2),
        (Conditions(geo="us", batch=True), 11, 20),
    ):
        rated = rate(Usage({**units, TOOL_WEB_SEARCH: 1}, 2100, conditions=conditions), price)
        assert (rated.total_pico - 10**10) * denominator == plain * numerator
        assert rated.flags == ()
