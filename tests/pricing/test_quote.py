"""The quote: what is refused, and that no usage within a demand costs more than its bound."""

from collections.abc import Callable, Iterable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farebox.clock import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE
from farebox.errors import CostUnbounded, ModelNotPriced
from farebox.pricing.book import ModelPrice, ModelRow, PriceBook, PriceRow
from farebox.pricing.quote import CostBound, bound
from farebox.pricing.rate import rate
from farebox.usage import (
    CHARS,
    IN_AUDIO,
    IN_CACHE_READ,
    IN_CACHE_WRITE_5M,
    IN_CACHE_WRITE_30M,
    IN_IMAGE,
    IN_TEXT,
    INPUT_TOKEN_UNITS,
    OUT_AUDIO,
    OUT_TEXT,
    OUTPUT_TOKEN_UNITS,
    REQUESTS,
    TOOL_FILE_SEARCH,
    TOOL_WEB_SEARCH,
    Conditions,
    Demand,
    Usage,
)

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

RowMaker = Callable[..., PriceRow]
PriceMaker = Callable[..., ModelPrice]
Listed = Callable[..., ModelPrice]

FEES = (TOOL_WEB_SEARCH, TOOL_FILE_SEARCH, REQUESTS, CHARS)


def test_a_bound_is_input_at_its_dearest_and_so_much_per_output_token(row: RowMaker, price_of: PriceMaker) -> None:
    """All input at the dearest of its units, choices in the price per token of the cap, extra output and fees in the base."""
    price = price_of(
        row(IN_TEXT, 10), row(IN_CACHE_WRITE_30M, 12), row(IN_CACHE_READ, 1), row(OUT_TEXT, 50), row(TOOL_WEB_SEARCH, 1000), output=800
    )
    demand = Demand(
        100,
        (IN_TEXT, IN_CACHE_READ, IN_CACHE_WRITE_30M),
        output_tokens_named=20,
        choices=3,
        extra_output_tokens=7,
        fees_max={TOOL_WEB_SEARCH: 2},
    )
    found = bound(demand, price)
    assert found.base_pico == 100 * 12 + 7 * 50 + 2 * 1000
    assert found.per_output_token_pico == 150
    assert (found.input_tokens, found.output_tokens_max) == (100, 800)
    assert found.worst_pico(20) == found.base_pico + 3000


def test_what_a_setting_admits_comes_on_top_of_the_context_window(row: RowMaker, price_of: PriceMaker) -> None:
    """Its tokens are not cut, and decide the tier with the rest; its fee is list money."""
    price = price_of(row(IN_TEXT, 10), row(IN_TEXT, 30, above=1500), row(OUT_TEXT, 50), context=1000)
    plain = bound(Demand(5000, output_tokens_named=1), price)
    found = bound(Demand(5000, output_tokens_named=1, admitted=True, extra_input_tokens=900, fee_pico=77), price)
    assert (plain.input_tokens, plain.base_pico) == (1000, 10_000)
    assert (found.input_tokens, found.base_pico) == (1900, 1900 * 30 + 77)


def test_input_is_cut_to_the_context_window(row: RowMaker, price_of: PriceMaker) -> None:
    """A model cannot be billed for more than it can take; an unknown window is as large as any."""
    prices = row(IN_TEXT, 1), row(OUT_TEXT, 1)
    assert bound(Demand(10**9), price_of(*prices, context=1000)).input_tokens == 1000
    assert bound(Demand(10**9), price_of(*prices)).input_tokens == 2_000_000


def test_server_tools_run_the_model_again(row: RowMaker, price_of: PriceMaker) -> None:
    """With so many calls of a server tool, the window can be filled once more for each of them."""
    price = price_of(row(IN_TEXT, 1), row(OUT_TEXT, 1), row(TOOL_WEB_SEARCH, 0), context=1000)
    assert bound(Demand(10**9, fees_max={TOOL_WEB_SEARCH: 3}), price).input_tokens == 4000


@pytest.mark.parametrize(("tokens", "each_in", "each_out"), [(100_000, 100_000, 500_000), (100_001, 500_000, 2_500_000)])
def test_a_tier_counts_only_when_the_input_can_reach_it(listed: Listed, tokens: int, each_in: int, each_out: int) -> None:
    """At exactly the tier's size the base price is the worst, one token more and the tier's is, for the whole request."""
    found = bound(Demand(tokens), listed("anthropic", "claude-haiku-5-5"))
    assert (found.base_pico, found.per_output_token_pico) == (tokens * each_in, each_out)


def test_every_set_of_conditions_is_held_for(listed: Listed) -> None:
    """A tier that the provider may choose is held at its dearest."""
    both = Demand(1000, conditions=(Conditions(), Conditions(service_tier="priority")))
    assert bound(both, listed("openai", "gpt-6-sol")).per_output_token_pico == 20_000_000


def test_a_tier_that_is_not_offered_for_the_model_moves_nothing(listed: Listed) -> None:
    """Asking `priority` of a model that lists no such price is held at what the model lists."""
    demand = Demand(1000, conditions=(Conditions(service_tier="priority"),))
    assert bound(demand, listed("openai", "o1")).per_output_token_pico == 60_000_000


@pytest.mark.parametrize(
    ("conditions", "field"),
    [(Conditions(service_tier="ultrafast"), "service_tier"), (Conditions(speed="fast"), "speed"), (Conditions(geo="jp"), "geo")],
)
def test_conditions_without_a_price_are_unbounded(listed: Listed, conditions: Conditions, field: str) -> None:
    """What may multiply a price by a factor that the book does not know is refused, by name."""
    with pytest.raises(CostUnbounded) as refused:
        bound(Demand(10, conditions=(conditions,)), listed("openai", "gpt-6-sol"))
    assert refused.value.facts["field"] == field
    assert "farebox prices import" in refused.value.message


@pytest.mark.parametrize(
    "demand",
    [
        Demand(10, (IN_TEXT, IN_AUDIO)),
        Demand(10, output_units=(OUT_TEXT, OUT_AUDIO)),
        Demand(10, fees_max={TOOL_WEB_SEARCH: 1}),
        Demand(10, fees_max={CHARS: 5}),
    ],
)
def test_a_unit_whose_price_may_be_anything_is_unbounded(row: RowMaker, price_of: PriceMaker, demand: Demand) -> None:
    """Sound and fees without a price of their own are refused before the call; only afterwards would a stand-in do."""
    with pytest.raises(CostUnbounded):
        bound(demand, price_of(row(IN_TEXT, 1), row(OUT_TEXT, 1)))


def test_a_model_without_a_price_for_text_is_not_priced(row: RowMaker, price_of: PriceMaker) -> None:
    """Neither a speech model asked to chat nor an embedding model asked to write can be held for."""
    with pytest.raises(ModelNotPriced):
        bound(Demand(10), price_of(row(CHARS, 1)))
    with pytest.raises(ModelNotPriced):
        bound(Demand(10), price_of(row(IN_TEXT, 1)))


def test_a_call_without_output_needs_no_output_price(row: RowMaker, price_of: PriceMaker) -> None:
    """Embeddings, speech and cache warming say that they generate nothing."""
    embedding = price_of(row(IN_TEXT, 3))
    assert bound(Demand(10, output_units=()), embedding).worst_pico(0) == 30
    assert bound(Demand(10, output_tokens_named=0), embedding).per_output_token_pico == 0
    assert bound(Demand(0, output_units=(), fees_max={CHARS: 9}), price_of(row(CHARS, 2))).base_pico == 18


def test_a_price_per_request_is_held_as_often_as_it_may_be_charged(row: RowMaker, price_of: PriceMaker) -> None:
    """A demand of several requests holds the fee of each, and of one at least."""
    price = price_of(row(IN_TEXT, 1), row(OUT_TEXT, 1), row(REQUESTS, 12))
    assert [bound(Demand(0, fees_max={REQUESTS: count}), price).base_pico for count in (0, 1, 3)] == [12, 12, 36]


def test_the_order_of_conditions_does_not_matter(listed: Listed) -> None:
    """The dearest is held wherever it stands."""
    plain, priority = Conditions(), Conditions(service_tier="priority")
    price = listed("openai", "gpt-6-sol")
    assert bound(Demand(1000, conditions=(priority, plain)), price) == bound(Demand(1000, conditions=(plain, priority)), price)


def test_a_fee_that_is_not_asked_for_needs_no_price(row: RowMaker, price_of: PriceMaker) -> None:
    """A count of none is no use of it."""
    assert bound(Demand(1, fees_max={TOOL_WEB_SEARCH: 0}), price_of(row(IN_TEXT, 1), row(OUT_TEXT, 1))).base_pico == 1


def test_a_price_per_request_is_always_held(row: RowMaker, price_of: PriceMaker) -> None:
    """No dialect has to know that a model charges by the request."""
    assert bound(Demand(1), price_of(row(IN_TEXT, 1), row(OUT_TEXT, 1), row(REQUESTS, 12))).base_pico == 13


def test_cache_units_without_a_price_are_held_at_their_parents(row: RowMaker, price_of: PriceMaker) -> None:
    """A model that lists no cache prices can be called with caching: its input price covers it."""
    found = bound(Demand(10, (IN_TEXT, IN_CACHE_READ, IN_CACHE_WRITE_5M, IN_IMAGE)), price_of(row(IN_TEXT, 4), row(OUT_TEXT, 1)))
    assert found.base_pico == 40


# --- no usage within a demand costs more than its bound ------------------------------------------------------------------------------

PICO = st.integers(0, 10**8)
CONDITIONS = st.builds(
    Conditions,
    service_tier=st.sampled_from(["default", "priority", "flex", "scale"]),
    speed=st.sampled_from(["standard", "fast"]),
    geo=st.sampled_from(["global", "us"]),
    batch=st.booleans(),
)


WINDOWS = ["hours 01:00-04:00", "hours 03:00-10:00", "hours 16:30-00:30", "hours 10:00-01:00"]
MOMENTS = st.sampled_from([at * US_PER_MINUTE + more for at in (0, 30, 60, 240, 600, 990, 1439) for more in (-1, 0)])
SPANS = st.tuples(MOMENTS, st.sampled_from([0, 1, US_PER_HOUR, US_PER_DAY])).map(lambda drawn: (drawn[0], sum(drawn)))


@st.composite
def rows_under(draw: st.DrawFn, conditions: Conditions) -> list[PriceRow]:
    left_out = draw(st.sets(st.sampled_from([*INPUT_TOKEN_UNITS[1:], *FEES]), max_size=6))
    units = [unit for unit in (*INPUT_TOKEN_UNITS, *OUTPUT_TOKEN_UNITS, *FEES) if unit not in left_out]
    tiers = st.lists(st.sampled_from([50, 100, 1000]), max_size=2, unique=True)
    where = (conditions.service_tier, conditions.speed, conditions.geo, int(conditions.batch))
    return [PriceRow("p", "m", unit, above, *where, draw(PICO), 0, None, "test", 0) for unit in units for above in [0, *draw(tiers)]]


@st.composite
def prices(draw: st.DrawFn) -> ModelPrice:
    several = dict.fromkeys([Conditions(), *draw(st.lists(CONDITIONS, max_size=3))])
    rows = [row for conditions in several for row in draw(rows_under(conditions))]
    for window in draw(st.lists(st.sampled_from(WINDOWS), max_size=3, unique=True)):
        rows += draw(rows_under(Conditions(service_tier=window)))
    book = PriceBook(1, [ModelRow("p", "m", ("m",), draw(st.sampled_from([None, 60, 5000])), None)], rows)
    price = book.find("p", "m", 0)
    assert price is not None
    return price


def _units(choices: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(choices), min_size=1, max_size=4, unique=True).map(tuple)


def demands(conditions: Iterable[Conditions]) -> st.SearchStrategy[Demand]:
    """Demands that may be billed under any of some conditions."""
    return st.builds(
        Demand,
        input_tokens_max=st.sampled_from([0, 1, 49, 50, 51, 99, 100, 101, 1000, 1001, 20_000]),
        input_units=_units(INPUT_TOKEN_UNITS),
        output_tokens_named=st.one_of(st.none(), st.integers(0, 50)),
        output_units=_units(OUTPUT_TOKEN_UNITS),
        choices=st.integers(1, 4),
        extra_output_tokens=st.integers(0, 40),
        fees_max=st.dictionaries(st.sampled_from(FEES), st.integers(0, 3), max_size=3),
        conditions=st.lists(st.sampled_from(list(conditions)), min_size=1, max_size=3).map(tuple),
    )


def _split(data: st.DataObject, most: int, units: tuple[str, ...]) -> dict[str, int]:
    """At most so many tokens, shared out among units in any way."""
    left = data.draw(st.one_of(st.just(most), st.integers(0, most)))
    shares: dict[str, int] = {}
    for unit in units:
        shares[unit] = data.draw(st.one_of(st.just(left), st.integers(0, left)))
        left -= shares[unit]
    return shares


def _extremes(most: int, units: tuple[str, ...]) -> list[dict[str, int]]:
    """All of it in any one unit."""
    return [{unit: most} for unit in units] or [{}]


def _assert_no_usage_beats_the_bound(price: ModelPrice, demand: Demand, data: st.DataObject) -> None:
    try:
        found = bound(demand, price)
    except (CostUnbounded, ModelNotPriced):
        return
    cap = data.draw(st.integers(0, 60)) if demand.output_tokens_named is None else demand.output_tokens_named
    output = cap * demand.choices + demand.extra_output_tokens
    usages = [
        Usage({**inputs, **outputs, **demand.fees_max}, found.input_tokens, conditions=conditions)
        for inputs in _extremes(found.input_tokens, demand.input_units)
        for outputs in _extremes(output, demand.output_units)
        for conditions in demand.conditions
    ]
    inputs, outputs = _split(data, found.input_tokens, demand.input_units), _split(data, output, demand.output_units)
    fees = {unit: data.draw(st.integers(0, most)) for unit, most in demand.fees_max.items()}
    usages.append(Usage({**inputs, **outputs, **fees}, sum(inputs.values()), conditions=data.draw(st.sampled_from(demand.conditions))))
    span = data.draw(SPANS)
    for usage in usages:
        assert rate(usage, price, span).total_pico <= rate(usage, price).total_pico <= found.worst_pico(cap)


@UNTIMED
@given(price=prices(), data=st.data())
def test_no_usage_within_a_demand_costs_more_than_its_bound(price: ModelPrice, data: st.DataObject) -> None:
    """Whatever tier, split, conditions or fees a provider reports within what was asked for, at whatever hour, the hold covers it."""
    unlisted = Conditions(service_tier="priority", batch=True)
    _assert_no_usage_beats_the_bound(price, data.draw(demands([*price._listed, unlisted])), data)


def _said(demand: Demand, price: ModelPrice) -> object:
    """The bound, or what is said against it."""
    try:
        return bound(demand, price)
    except (CostUnbounded, ModelNotPriced) as refusal:
        return type(refusal), refusal.facts


@UNTIMED
@given(price=prices(), data=st.data())
def test_what_is_remembered_of_a_price_changes_no_bound(price: ModelPrice, data: st.DataObject) -> None:
    """A price that other demands were bounded by before bounds the next one, and refuses it, as one that is seen for the first time."""
    unlisted = Conditions(service_tier="priority", batch=True)
    for demand in data.draw(st.lists(demands([*price._listed, unlisted]), min_size=2, max_size=6)):
        found, remembered = _said(demand, price), dict(price.dearest)
        price.dearest.clear()
        assert _said(demand, price) == found
        price.dearest.update(remembered)


@UNTIMED
@given(price=prices(), data=st.data())
def test_under_several_conditions_a_bound_is_the_dearest_of_each(price: ModelPrice, data: st.DataObject) -> None:
    """The dearest base and the dearest output of what each of them alone would come to, even where none is dearer than another in all."""
    demand = data.draw(demands(price._listed))
    each = [_said(msgspec.structs.replace(demand, conditions=(one,)), price) for one in demand.conditions]
    bounds = [one for one in each if isinstance(one, CostBound)]
    found = _said(demand, price)
    if len(bounds) < len(each):
        assert found in each
    else:
        assert isinstance(found, CostBound)
        assert found.base_pico == max(one.base_pico for one in bounds)
        assert found.per_output_token_pico == max(one.per_output_token_pico for one in bounds)


@UNTIMED
@given(price=prices(), data=st.data())
def test_a_bound_is_reached_by_one_unit_under_one_set_of_conditions(price: ModelPrice, data: st.DataObject) -> None:
    """Without tiers a bound is no more than what some usage within the demand costs: nothing is held twice."""
    flat = [row for rows in price._listed.values() for row in rows if row.tier_above == 0 and row.unit not in FEES]
    plain = PriceBook(1, [], flat).find("p", "m", 0)
    assert plain is not None
    demand = Demand(1000, data.draw(_units(INPUT_TOKEN_UNITS)), conditions=(data.draw(st.sampled_from(list(price._listed))),))
    try:
        found = bound(demand, plain)
    except (CostUnbounded, ModelNotPriced):
        return
    worst = max(
        rate(Usage({unit: 1000, OUT_TEXT: 9}, 1000, conditions=demand.conditions[0]), plain).total_pico for unit in demand.input_units
    )
    assert worst == found.worst_pico(9)


@UNTIMED
@given(data=st.data())
def test_no_usage_beats_the_bound_of_a_listed_model(book: PriceBook, now_us: int, data: st.DataObject) -> None:
    """The same over the real price book, around its real cliffs."""
    models = [model for provider in ("openai", "anthropic", "google", "deepseek") for model in book.models(now_us, provider)]
    model = data.draw(st.sampled_from(models))
    price = book.find(model.provider, model.model, now_us)
    assert price is not None
    tokens = data.draw(st.sampled_from([10, 100_000, 100_001, 200_000, 200_001, 272_000, 272_001, 10**9]))
    units = data.draw(_units((IN_TEXT, IN_CACHE_READ, IN_CACHE_WRITE_5M, IN_CACHE_WRITE_30M, IN_IMAGE)))
    conditions = data.draw(st.lists(st.sampled_from(list(price._listed)), min_size=1, max_size=3).map(tuple))
    demand = Demand(
        tokens, units, choices=data.draw(st.integers(1, 3)), conditions=conditions, fees_max={TOOL_WEB_SEARCH: data.draw(st.integers(0, 2))}
    )
    _assert_no_usage_beats_the_bound(price, demand, data)
