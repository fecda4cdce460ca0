"""Our sums against genai-prices' own calculation: the same to the pico-dollar, or an exception that is explained here."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import ModelInfo, Provider

from farebox import usage
from farebox.clock import US_PER_S, from_rfc3339
from farebox.pricing.book import PriceBook, PriceRow
from farebox.pricing.importer import Imported
from farebox.pricing.rate import rate
from farebox.usage import INPUT_TOKEN_UNITS, OUTPUT_TOKEN_UNITS, PLAIN, Conditions, Usage

MOMENTS = [from_rfc3339(f"{day}T12:00:00Z") for day in ("2025-06-01", "2026-03-01", "2026-10-13", "2026-11-21", "2027-06-01")]
BASKETS = 6

PROVIDERS = ["openai", "anthropic", "google", "aws", "mistral", "x-ai", "groq"]
SECONDS = ("audio_seconds", "input_audio_seconds")

COUNTED_IN = {
    usage.IN_TEXT: ("input_tokens",),
    usage.IN_AUDIO: ("input_tokens", "input_audio_tokens"),
    usage.IN_IMAGE: ("input_tokens", "input_image_tokens"),
    usage.IN_VIDEO: ("input_tokens", "input_video_tokens"),
    usage.IN_CACHE_READ: ("input_tokens", "cache_read_tokens"),
    usage.IN_CACHE_READ_AUDIO: ("input_tokens", "input_audio_tokens", "cache_read_tokens", "cache_audio_read_tokens"),
    usage.IN_CACHE_READ_IMAGE: ("input_tokens", "input_image_tokens", "cache_read_tokens", "cache_image_read_tokens"),
    usage.IN_CACHE_WRITE_5M: ("input_tokens", "cache_write_tokens"),
    usage.IN_CACHE_WRITE_30M: ("input_tokens", "cache_write_tokens"),
    usage.IN_CACHE_WRITE_1H: ("input_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
    usage.OUT_TEXT: ("output_tokens",),
    usage.OUT_AUDIO: ("output_tokens", "output_audio_tokens"),
    usage.OUT_IMAGE: ("output_tokens", "output_image_tokens"),
    usage.OUT_VIDEO: ("output_tokens", "output_video_tokens"),
    usage.TOOL_WEB_SEARCH: ("web_searches",),
    usage.TOOL_GROUNDING: ("web_searches",),
    usage.TOOL_FILE_SEARCH: ("storage_searches",),
    usage.CHARS: ("input_characters",),
    usage.AUDIO_IN_MS: SECONDS,
}
"""In which of genai-prices' overlapping counts each of our disjoint units is."""


def theirs(units: dict[str, int], model: ModelInfo, provider: Provider, at_us: int, conditions: Conditions) -> Decimal:
    """Pico-dollars by genai-prices."""
    counts: dict[str, int] = {}
    for unit, quantity in units.items():
        for key in COUNTED_IN[unit]:
            counts[key] = counts.get(key, 0) + (quantity // 1000 if key in SECONDS else quantity)
    context: dict[str, str] = {}
    if conditions.service_tier != "default":
        context["service_tier"] = conditions.service_tier
    if conditions.speed != "standard":
        context["speed"] = conditions.speed
    if conditions.batch:
        context["processing"] = "batch"
    calculated = model.calc_price(
        genai_prices.Usage(**counts),
        provider,
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
        if usage.AUDIO_IN_MS in units:
            basket[usage.AUDIO_IN_MS] = chance.randrange(10, 9_000) * 1000
        left = size + chance.choice((-1, 0, 1))
        for unit in inputs[1:]:
            basket[unit] = chance.randrange(left // 2 + 1)
            left -= basket[unit]
        yield basket | ({inputs[0]: left} if inputs else {})


@pytest.mark.parametrize("name", PROVIDERS)
def test_rating_agrees_with_genai_prices_to_the_pico_dollar(book: PriceBook, imported: Imported, name: str) -> None:
    """Every model, every listed set of conditions, before and after every change of price, below and above every cliff.

    Only a price of time that was rounded up may differ, by less than a pico-dollar for each millisecond.
    """
    chance = random.Random(20261121)
    provider = next(one for one in providers if one.id == name)
    own: dict[str, list[PriceRow]] = {}
    for row in imported.prices:
        if row.provider == name and row.source.startswith("genai-prices"):
            own.setdefault(row.model, []).append(row)
    compared: set[str] = set()
    for at_us in MOMENTS:
        for model in provider.models:
            price = book.find(name, model.id, at_us)
            units = {row.unit for row in own.get(model.id, ()) if row.holds_at(at_us) and row.conditions == PLAIN} & COUNTED_IN.keys()
            if price is None or not units:
                continue
            rounded = any("rounded up" in row.source for row in own[model.id])
            for conditions in {row.conditions: None for row in own[model.id] if row.holds_at(at_us)}:
                for basket in baskets(sorted(units, key=list(COUNTED_IN).index), chance):
                    prompt = sum(quantity for unit, quantity in basket.items() if unit in INPUT_TOKEN_UNITS)
                    ours = rate(Usage(basket, prompt, conditions=conditions), price)
                    more = ours.total_pico - theirs(basket, model, provider, at_us, conditions)
                    assert 0 <= more <= (basket.get(usage.AUDIO_IN_MS, 0) if rounded else 0), (model.id, conditions, at_us, basket)
                    assert ours.flags == ()
            compared.add(model.id)
    rejected = {item.model for item in imported.rejected if item.provider == name and not item.unit}
    by_the_page = {row.model for row in imported.prices if row.provider == name and row.unit == usage.PAGES}
    assert {model.id for model in provider.models} == compared | rejected | by_the_page


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_name_means_the_model_that_genai_prices_means(imported: Imported, provider: str) -> None:
    """No name of ours is priced as another model there; a model's own id may be a name that no request has."""
    theirs = next(one for one in providers if one.id == provider)
    known = {model.id for model in theirs.models}
    for row in imported.models:
        if row.provider == provider and row.model in known:
            for name in row.names:
                found = theirs.find_model(name)
                assert (found is None and name == row.model) or (found is not None and found.id == row.model), name
