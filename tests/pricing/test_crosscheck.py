"""Our sums against genai-prices' own calculation: the same to the pico-dollar, or an exception that is explained here."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data import providers

from farebox import usage
from farebox.clock import US_PER_S, from_rfc3339
from farebox.pricing.book import ModelPrice, PriceBook
from farebox.pricing.importer import Imported
from farebox.pricing.rate import rate
from farebox.usage import INPUT_TOKEN_UNITS, OUTPUT_TOKEN_UNITS, PLAIN, Conditions, Usage

MOMENTS = [from_rfc3339(f"{day}T12:00:00Z") for day in ("2025-06-01", "2026-03-01", "2026-10-13", "2026-11-21", "2027-06-01")]
BASKETS = 6

EXCEPTIONS = {
    ("openai", "ft:gpt-4o"): "no request can name it: genai-prices matches only what begins with `ft:gpt-4o-2024-`",
    ("openai", "ft:gpt-4o-mini"): "no request can name it: genai-prices matches only what begins with `ft:gpt-4o-mini-2024-`",
}

COUNTED_IN = {
    usage.IN_TEXT: ("input_tokens",),
    usage.IN_AUDIO: ("input_tokens", "input_audio_tokens"),
    usage.IN_IMAGE: ("input_tokens", "input_image_tokens"),
    usage.IN_CACHE_READ: ("input_tokens", "cache_read_tokens"),
    usage.IN_CACHE_READ_AUDIO: ("input_tokens", "input_audio_tokens", "cache_read_tokens", "cache_audio_read_tokens"),
    usage.IN_CACHE_READ_IMAGE: ("input_tokens", "input_image_tokens", "cache_read_tokens", "cache_image_read_tokens"),
    usage.IN_CACHE_WRITE_5M: ("input_tokens", "cache_write_tokens"),
    usage.IN_CACHE_WRITE_30M: ("input_tokens", "cache_write_tokens"),
    usage.IN_CACHE_WRITE_1H: ("input_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
    usage.OUT_TEXT: ("output_tokens",),
    usage.OUT_AUDIO: ("output_tokens", "output_audio_tokens"),
    usage.OUT_IMAGE: ("output_tokens", "output_image_tokens"),
    usage.TOOL_WEB_SEARCH: ("web_searches",),
    usage.TOOL_FILE_SEARCH: ("storage_searches",),
    usage.CHARS: ("input_characters",),
}
"""In which of genai-prices' overlapping counts each of our disjoint units is."""


def theirs(units: dict[str, int], provider: str, model: str, at_us: int, conditions: Conditions) -> Decimal:
    """Pico-dollars by genai-prices."""
    counts: dict[str, int] = {}
    for unit, quantity in units.items():
        for key in COUNTED_IN[unit]:
            counts[key] = counts.get(key, 0) + quantity
    context: dict[str, str] = {}
    if conditions.service_tier != "default":
        context["service_tier"] = conditions.service_tier
    if conditions.speed != "standard":
        context["speed"] = conditions.speed
    if conditions.batch:
        context["processing"] = "batch"
    calculated = genai_prices.calc_price(
        genai_prices.Usage(**counts),
        model,
        provider_id=provider,
        genai_request_timestamp=datetime.fromtimestamp(at_us // US_PER_S, UTC),
        price_context=context or None,
    )
    return calculated.total_price * 10**12


def baskets(units: list[str], chance: random.Random) -> Iterator[dict[str, int]]:
    """Random usages: small, around the cliffs, and large."""
    inputs = [unit for unit in units if unit in INPUT_TOKEN_UNITS]
    for size in (50, 3_000, 100_000, 200_000, 272_000, 900_000)[:BASKETS]:
        basket = {unit: chance.randrange(5_000) for unit in units if unit in OUTPUT_TOKEN_UNITS}
        basket |= {unit: chance.randrange(6) for unit in units if unit not in usage.TOKEN_UNITS}
        left = size + chance.choice((-1, 0, 1))
        for unit in inputs[1:]:
            basket[unit] = chance.randrange(left // 2 + 1)
            left -= basket[unit]
        yield basket | ({inputs[0]: left} if inputs else {})


def comparable_units(price: ModelPrice, imported_units: set[tuple[str, str]]) -> list[str]:
    """The units that the list itself prices for a model: not those of the supplement."""
    own = [row.unit for row in price._listed[PLAIN] if row.tier_above == 0 and (price.model, row.unit) in imported_units]
    return sorted({unit for unit in own if unit in COUNTED_IN}, key=list(COUNTED_IN).index)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_rating_agrees_with_genai_prices_to_the_pico_dollar(book: PriceBook, imported: Imported, provider: str) -> None:
    """Every model, every listed set of conditions, before and after every change of price, below and above every cliff."""
    chance = random.Random(20261121)
    from_list = {(row.model, row.unit) for row in imported.prices if row.provider == provider and row.source.startswith("genai-prices")}
    compared: set[str] = set()
    for at_us in MOMENTS:
        for model in book.models(at_us, provider):
            price = book.find(provider, model.model, at_us)
            assert price is not None
            units = comparable_units(price, from_list)
            if not units or (provider, model.model) in EXCEPTIONS:
                continue
            for conditions in [listed for listed in price._listed if listed.geo == "global"]:
                for basket in baskets(units, chance):
                    prompt = sum(quantity for unit, quantity in basket.items() if unit in INPUT_TOKEN_UNITS)
                    ours = rate(Usage(basket, prompt, conditions=conditions), price)
                    assert ours.total_pico == theirs(basket, provider, model.model, at_us, conditions), (
                        model.model,
                        conditions,
                        at_us,
                        basket,
                    )
                    assert ours.flags == ()
                    compared.add(model.model)
    every = {model.id for one in providers if one.id == provider for model in one.models}
    rejected = {item.model for item in imported.rejected if item.provider == provider and not item.unit}
    uncompared = every - compared - rejected - {model for _, model in EXCEPTIONS}
    assert uncompared == {"gpt-transcribe", "whisper-1"} - ({"gpt-transcribe", "whisper-1"} if provider == "anthropic" else set())


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_every_name_means_the_model_that_genai_prices_means(imported: Imported, provider: str) -> None:
    """No name of ours is priced as another model there."""
    theirs = next(one for one in providers if one.id == provider)
    for row in imported.models:
        if row.provider == provider and (provider, row.model) not in EXCEPTIONS and any(model.id == row.model for model in theirs.models):
            for name in row.names:
                found = theirs.find_model(name)
                assert found is not None, name
                assert found.id == row.model
