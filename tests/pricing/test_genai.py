"""Taking in genai-prices: names, history, variants, what is priced at its dearest, what is refused."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from genai_prices.types import ModelPrice as GenaiPrice

from farebox.clock import from_rfc3339
from farebox.pricing.book import ModelPrice, PriceBook, PriceRow
from farebox.pricing.importer import Imported
from farebox.pricing.importer.exact import InexactPriceError, pico_of
from farebox.pricing.importer.genai import _ModelRejectedError, _names, _price_rows
from farebox.usage import (
    ALL_UNITS,
    AUDIO_IN_MS,
    IN_CACHE_READ,
    IN_IMAGE,
    IN_TEXT,
    IN_VIDEO,
    OUT_REASONING,
    OUT_TEXT,
    PLAIN,
    REQUESTS,
    TOKEN_UNITS,
    TOOL_GROUNDING,
    TOOL_WEB_SEARCH,
    Conditions,
)

Listed = Callable[..., ModelPrice]


def info(prices: GenaiPrice | list[ConditionalPrice], *variants: PriceVariant, model: str = "m") -> ModelInfo:
    return ModelInfo(id=model, match=ClauseEquals(model), prices=prices, price_variants=list(variants) or None)


def rows_of(model: ModelInfo, provider: str = "p") -> list[PriceRow]:
    return _price_rows(Provider(provider, provider, "", models=[model]), model, "list", 0)[0]


def flat(**dollars: str) -> GenaiPrice:
    return GenaiPrice(**{key: Decimal(value) for key, value in dollars.items()})


def midnight(day: str) -> int:
    return from_rfc3339(f"{day}T00:00:00Z")


# --- the whole list --------------------------------------------------------------------------------------------------------------


def test_every_provider_of_the_list_is_taken_in(imported: Imported) -> None:
    """All providers under the list's own names, and every model either taken in or rejected with a reason."""
    taken = {(row.provider, row.model) for row in imported.models}
    refused = {(row.provider, row.model) for row in imported.rejected if not row.unit}
    every = {(provider.id, model.id) for provider in providers for model in provider.models}
    assert every <= taken | refused
    assert not taken & refused
    assert len(refused) < len(every) / 50
    assert all(row.reason for row in imported.rejected)


def test_no_row_is_odd(imported: Imported) -> None:
    """Known units, prices of at least nothing, sources, no two rows for the same thing at the same time."""
    slots = Counter((row.provider, row.model, row.unit, row.tier_above, row.conditions, row.valid_from_us) for row in imported.prices)
    assert max(slots.values()) == 1
    for row in imported.prices:
        assert row.unit in ALL_UNITS
        assert row.pico >= 0
        assert row.source
        assert row.batch in (0, 1)
        assert row.valid_to_us is None or row.valid_to_us > row.valid_from_us


def test_a_name_means_one_model_of_a_provider(imported: Imported) -> None:
    """No name is claimed twice, and each model has its own."""
    names = Counter((row.provider, name) for row in imported.models for name in row.names)
    assert max(names.values()) == 1
    assert all(row.model in row.names for row in imported.models)


def test_the_book_rates_a_model_without_leaving_integers(imported: Imported) -> None:
    """Every figure of every row is an integer or nothing."""
    for row in imported.prices:
        assert type(row.pico) is type(row.tier_above) is type(row.valid_from_us) is int


def test_free_models_are_free_by_their_name_only(imported: Imported) -> None:
    """A list without a price is not a price of zero; `:free` in the name is."""
    zero = {row.model for row in imported.prices if "free by its name" in row.source}
    assert zero
    assert all(model.endswith(":free") for model in zero)
    assert ("google", "gemma-3") in {(row.provider, row.model) for row in imported.rejected}


def test_grounding_is_a_unit_of_its_own(listed: Listed) -> None:
    """What Google lists as web searches are grounding queries."""
    assert listed("gemini", "gemini-3.5-flash").card(PLAIN).levels[0].prices[TOOL_GROUNDING] == 14 * 10**9


def test_a_price_per_request_is_taken_in(listed: Listed) -> None:
    """Perplexity's fee per request is held and charged."""
    assert listed("perplexity", "sonar").card(PLAIN).levels[0].prices[REQUESTS] == 12 * 10**9


def test_history_is_kept(book: PriceBook) -> None:
    """The price of a model at an earlier date is the one that held then."""
    before = book.find("openai", "o3", midnight("2025-06-10") - 1)
    after = book.find("openai", "o3", midnight("2025-06-10"))
    assert before is not None
    assert after is not None
    assert before.card(PLAIN).levels[0].prices[IN_TEXT] == 10_000_000
    assert after.card(PLAIN).levels[0].prices[IN_TEXT] == 2_000_000
    assert after.card(PLAIN).levels[0].prices[IN_CACHE_READ] == 500_000


# --- names -----------------------------------------------------------------------------------------------------------------------


def test_only_exact_names_are_names() -> None:
    """Equality clauses and the id name a model; patterns and beginnings name nothing."""
    match = ClauseOr([ClauseEquals("a-1"), ClauseOr([ClauseEquals("a-one")]), ClauseStartsWith("a-"), ClauseRegex("^a.*$")])
    provider = Provider("p", "p", "", models=[ModelInfo("a", match), ModelInfo("a-2", ClauseStartsWith("a-2"))])
    assert _names(provider) == {"a": ("a", "a-1", "a-one"), "a-2": ("a-2",)}


def test_a_name_claimed_twice_belongs_to_the_first_and_an_id_to_its_model() -> None:
    """As genai-prices resolves it, but an id is always its own model's."""
    models = [
        ModelInfo("a", ClauseOr([ClauseEquals("x"), ClauseEquals("b")])),
        ModelInfo("b", ClauseOr([ClauseEquals("x"), ClauseEquals("b")])),
    ]
    assert _names(Provider("p", "p", "", models=models)) == {"a": ("a", "x"), "b": ("b",)}


# --- dates, hours, variants --------------------------------------------------------------------------------------------------------


def test_a_start_date_ends_the_price_before_it() -> None:
    """Spans meet at midnight UTC; a unit that does not change is one row throughout."""
    later = ConditionalPrice(StartDateConstraint(date(2026, 3, 13)), prices=flat(input_mtok="1", output_mtok="7"))
    rows = rows_of(info([ConditionalPrice(prices=flat(input_mtok="2", output_mtok="7")), later]))
    spans = {(row.unit, row.pico, row.valid_from_us, row.valid_to_us) for row in rows}
    turn = midnight("2026-03-13")
    assert spans == {(IN_TEXT, 2_000_000, 0, turn), (IN_TEXT, 1_000_000, turn, None), (OUT_TEXT, 7_000_000, 0, None)}


def between(begins: time, ends: time, **dollars: str) -> ConditionalPrice:
    return ConditionalPrice(TimeOfDateConstraint(begins, ends), prices=flat(**dollars))


def by_hour(rows: list[PriceRow]) -> dict[str, dict[str, int]]:
    """Pico-dollars by tier and unit."""
    return {tier: {row.unit: row.pico for row in rows if row.service_tier == tier} for tier in {row.service_tier for row in rows}}


def test_the_plain_price_of_a_model_with_prices_by_the_hour_is_the_dearest_hours() -> None:
    """No hold knows at which hour its call will end: the dearest of each unit counts, and the source says so. Beside it are the hours."""
    night = between(time(1, tzinfo=UTC), time(4, tzinfo=UTC), input_mtok="3", output_mtok="5")
    rows = rows_of(info([ConditionalPrice(prices=flat(input_mtok="1", output_mtok="9")), night]))
    assert by_hour(rows) == {
        "default": {IN_TEXT: 3_000_000, OUT_TEXT: 9_000_000},
        "hours 01:00-04:00": {IN_TEXT: 3_000_000, OUT_TEXT: 5_000_000},
        "hours 04:00-01:00": {IN_TEXT: 1_000_000, OUT_TEXT: 9_000_000},
    }
    assert all(("dearest hour of the day" in row.source) == (row.conditions == PLAIN) for row in rows)


def test_only_hours_that_differ_from_the_dearest_have_rows() -> None:
    """Windows that meet at the same price are one, over midnight too; a time of another zone counts in UTC; the last that is listed wins."""
    east = timezone(timedelta(hours=8))
    rows = rows_of(
        info(
            [
                ConditionalPrice(prices=flat(input_mtok="1")),
                between(time(9, tzinfo=east), time(12, tzinfo=east), input_mtok="2"),
                between(time(4), time(6), input_mtok="2"),
                between(time(5), time(6), input_mtok="1"),
                between(time(22), time(2), input_mtok="1"),
            ]
        )
    )
    assert by_hour(rows) == {"default": {IN_TEXT: 2_000_000}, "hours 05:00-02:00": {IN_TEXT: 1_000_000}}


@pytest.mark.parametrize(
    "odd",
    [
        between(time(1, 0, 30), time(4), input_mtok="1"),
        between(time(1), time(4), input_mtok="1", cache_read_mtok="0.1"),
        between(time(4), time(4), input_mtok="1"),
    ],
)
def test_hours_that_cannot_be_told_apart_exactly_leave_the_dearest(odd: ConditionalPrice) -> None:
    """A turn within a minute, a unit that only some hours have, hours of no length: nothing cheaper than the dearest is in the book."""
    rows = rows_of(info([ConditionalPrice(prices=flat(input_mtok="3")), odd]))
    assert {row.conditions for row in rows} == {PLAIN}
    assert {row.pico for row in rows if row.unit == IN_TEXT} == {3_000_000}


def test_hours_of_a_model_with_unknown_variants_are_not_told_apart() -> None:
    """Which variant it is nobody can tell, so at no hour is it cheaper than the dearest of all."""
    model = info([ConditionalPrice(prices=flat(input_mtok="3")), between(time(1), time(4), input_mtok="1")])
    model.price_variants = [PriceVariant({"route": "eu"}, flat(input_mtok="5"))]
    assert by_hour(rows_of(model)) == {"default": {IN_TEXT: 5_000_000}}


def test_a_price_of_an_hour_replaced_by_a_later_date_no_longer_counts() -> None:
    """The last price that started goes before everything listed above it."""
    hours = ConditionalPrice(TimeOfDateConstraint(time(1), time(4)), prices=flat(input_mtok="9"))
    later = ConditionalPrice(StartDateConstraint(date(2026, 1, 1)), prices=flat(input_mtok="1"))
    rows = rows_of(info([ConditionalPrice(prices=flat(input_mtok="2")), hours, later]))
    turn = midnight("2026-01-01")
    assert [(row.pico, row.service_tier, row.valid_from_us, row.valid_to_us) for row in rows] == [
        (9_000_000, "default", 0, turn),
        (1_000_000, "default", turn, None),
        (2_000_000, "hours 04:00-01:00", 0, turn),
    ]


def test_a_variant_names_every_token_and_only_the_fees_it_moves() -> None:
    """What a variant leaves out it takes from the standard price, as genai-prices does; the first variant that states a price decides."""
    standard = flat(input_mtok="2", cache_read_mtok="1", output_mtok="8", web_searches_kcount="10")
    batch = {"processing": "batch"}
    since = StartDateConstraint(date(2026, 10, 14))
    rows = rows_of(
        info(standard, PriceVariant(batch, flat(output_mtok="4"), since), PriceVariant(batch, flat(input_mtok="1", output_mtok="3"), since))
    )
    varied = {row.unit: (row.pico, row.valid_from_us) for row in rows if row.conditions == Conditions(batch=True)}
    turn = midnight("2026-10-14")
    assert varied == {IN_TEXT: (1_000_000, turn), IN_CACHE_READ: (1_000_000, turn), OUT_TEXT: (4_000_000, turn)}


def test_a_variant_that_moves_a_fee_names_it() -> None:
    """A fee that differs under some conditions has a row of its own there."""
    rows = rows_of(info(flat(input_mtok="2", web_searches_kcount="10"), PriceVariant({"speed": "fast"}, flat(web_searches_kcount="20"))))
    assert {(row.unit, row.speed): row.pico for row in rows} == {
        (IN_TEXT, "standard"): 2_000_000,
        (IN_TEXT, "fast"): 2_000_000,
        (TOOL_WEB_SEARCH, "standard"): 10**10,
        (TOOL_WEB_SEARCH, "fast"): 2 * 10**10,
    }


def test_the_default_tier_is_the_plain_price() -> None:
    """A variant that says nothing new makes no rows."""
    rows = rows_of(info(flat(input_mtok="2"), PriceVariant({"service_tier": "default"}, flat())))
    assert [(row.unit, row.conditions) for row in rows] == [(IN_TEXT, PLAIN)]


def test_a_variant_that_no_request_can_be_told_to_be_makes_the_plain_price_dearest() -> None:
    """A route inside an aggregator is not known at the quote."""
    rows = rows_of(info(flat(input_mtok="2", output_mtok="5"), PriceVariant({"route": "eu"}, flat(input_mtok="3"))))
    assert {row.unit: row.pico for row in rows} == {IN_TEXT: 3_000_000, OUT_TEXT: 5_000_000}
    assert all("dearest of its variants" in row.source for row in rows)


def test_tiers_are_rows() -> None:
    """A tier applies above its start."""
    tiered = GenaiPrice(input_mtok=TieredPrices(Decimal(1), [Tier(100, Decimal(2)), Tier(50, Decimal("1.5"))]))
    assert [(row.tier_above, row.pico) for row in rows_of(info(tiered))] == [(0, 1_000_000), (50, 1_500_000), (100, 2_000_000)]


def test_units_we_cannot_tell_apart_cost_the_dearest() -> None:
    """Who does not count reasoning beside the answer has it inside: the answer is priced at the dearer of the two, tier by tier."""
    tiered = TieredPrices(Decimal(1), [Tier(100, Decimal(9))])
    rows = rows_of(info(GenaiPrice(output_mtok=tiered, output_reasoning_mtok=Decimal(4), input_mtok=Decimal(1))))
    assert {row.tier_above: row.pico for row in rows if row.unit == OUT_TEXT} == {0: 4_000_000, 100: 9_000_000}
    assert {row.tier_above: row.pico for row in rows if row.unit == OUT_REASONING} == {0: 4_000_000}
    assert all("output_reasoning_mtok" in row.source for row in rows if row.unit == OUT_TEXT)


@pytest.mark.parametrize(("hourly", "pico"), [("0.36", 100_000), ("0.111", 30_834), ("0.04", 11_112)])
def test_a_price_by_the_hour_is_never_below_the_list(hourly: str, pico: int) -> None:
    """What is not a whole number of pico-dollars per millisecond is the next one, and the source says so."""
    (row,) = rows_of(info(flat(audio_hours=hourly, input_audio_hours=hourly)))
    assert (row.unit, row.pico) == (AUDIO_IN_MS, pico)
    assert ("rounded up" in row.source) == (pico != 100_000)


def test_video_is_not_images(listed: Listed) -> None:
    """Each has the list's own price; where it names neither, both cost what text does."""
    embedding = listed("gemini", "gemini-embedding-2").card(PLAIN).levels[0].prices
    assert (embedding[IN_TEXT], embedding[IN_IMAGE], embedding[IN_VIDEO]) == (200_000, 450_000, 12_000_000)
    flash = listed("gemini", "gemini-2.5-flash").card(PLAIN).levels[0]
    assert flash.prices[IN_VIDEO] == flash.prices[IN_TEXT]
    assert IN_VIDEO not in flash.stand_ins


# --- refused -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        (flat(), "not the same as a price of zero"),
        (flat(input_mtok="-1", output_mtok="1"), "negative"),
        (flat(input_mtok="0.18000000000000002"), "whole number of pico-dollars"),
        (flat(input_mtok="1000000"), "more than any price"),
        (flat(input_mtok="NaN"), "not a finite price"),
        (flat(input_mtok="1E+400"), "not the size of any price"),
        (flat(input_mtok="1", cache_write_mtok="1.0000000000000001"), "whole number"),
        (flat(input_mtok="1", input_gpixels="1"), "no unit counts"),
        (flat(input_mtok="1", audio_hours="3"), "time a session is connected"),
    ],
)
def test_a_model_with_a_price_that_cannot_be_kept_is_rejected_whole(prices: GenaiPrice, reason: str) -> None:
    """Priced in part, a model would be sold below cost."""
    with pytest.raises(_ModelRejectedError, match=reason):
        rows_of(info(prices))


def test_a_discount_that_cannot_be_kept_is_left_out_alone() -> None:
    """The dearer input price stands in for a cache price that is not exact, and the rejection says so."""
    model = info(flat(input_mtok="0.3", cache_write_mtok="0.0833333333333333"))
    rows, rejected = _price_rows(Provider("p", "p", "", models=[model]), model, "list", 0)
    assert [row.unit for row in rows] == [IN_TEXT]
    assert [(item.unit, "stands in" in item.reason) for item in rejected] == [("cache_write_mtok", True)]


@pytest.mark.parametrize(
    ("dollars", "per", "unit", "pico"),
    [
        ("2.50", 10**6, IN_TEXT, 2_500_000),
        ("0.0028", 10**6, IN_TEXT, 2800),
        ("10", 1000, REQUESTS, 10**10),
        ("0", 1, IN_TEXT, 0),
        ("0.36", 3_600_000, "audio_in_ms", 100_000),
    ],
)
def test_prices_become_exact_integers(dollars: str, per: int, unit: str, pico: int) -> None:
    """Dollars per so many units are whole pico-dollars per unit."""
    assert pico_of(Decimal(dollars), per, unit) == pico


def test_a_price_is_never_rounded() -> None:
    """A ten-millionth of a pico-dollar too much is refused."""
    with pytest.raises(InexactPriceError):
        pico_of(Decimal("2.5000000000001"), 10**6, IN_TEXT)


def test_dated_prices_agree_with_the_list_itself(book: PriceBook) -> None:
    """On each side of every date of every dated model, the plain price is what genai-prices says holds then."""
    seen = 0
    for provider in providers:
        for model in provider.models:
            if isinstance(model.prices, GenaiPrice) or any(isinstance(part.constraint, TimeOfDateConstraint) for part in model.prices):
                continue
            days = [part.constraint.start_date for part in model.prices if isinstance(part.constraint, StartDateConstraint)]
            for at_us in [moment for day in days for turn in [midnight(day.isoformat())] for moment in (turn - 1, turn)]:
                price = book.find(provider.id, model.id, at_us)
                listed = model.get_prices(datetime.fromtimestamp(at_us // 1_000_000, UTC)).input_mtok
                if price is None or listed is None or "route" in str(model.price_variants):
                    continue
                base = listed.base if isinstance(listed, TieredPrices) else listed
                assert price.card(PLAIN).levels[0].prices[IN_TEXT] == base * 10**6, (provider.id, model.id, at_us)
                seen += 1
    assert seen > 400


def test_every_card_of_the_list_names_its_tokens(book: PriceBook, now_us: int) -> None:
    """No listed conditions leave out a token unit that the plain price has."""
    for model in book.models(now_us):
        price = book.find(model.provider, model.model, now_us)
        assert price is not None
        plain = {row.unit for row in price._listed[PLAIN]} & TOKEN_UNITS
        for conditions, rows in price._listed.items():
            assert plain <= {row.unit for row in rows}, (model.provider, model.model, conditions)
