"""What the simulated providers charge, by the calculation of genai-prices; and which models they have.

Never on the way of a call, but for the first one of each model name.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

import msgspec
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot

from .generation import Model, Terms

_NANO_PER_USD = 1_000_000_000
PRICE_STEP_S = 900
"""Prices change at a date or at a quarter of an hour: equal calls within one such step are priced once."""


class Billed(msgspec.Struct, frozen=True, gc=False):
    """Everything that one call's price depends on."""

    provider: str
    model: str
    terms: Terms
    input: int
    cached: int
    cache_write: int
    output: int
    step: int
    """When, in steps of `PRICE_STEP_S` since 1970."""


class Price(msgspec.Struct, frozen=True, gc=False):
    """Dollars, exact, and the nano-dollars they round to (half to even)."""

    usd: Decimal
    nano: int


class ModelEntry(msgspec.Struct, frozen=True):
    """A line of a provider's list of models."""

    id: str
    name: str
    context_window: int | None
    deprecated: bool


FREE = Price(usd=Decimal(0), nano=0)


@lru_cache(maxsize=4096)
def find_model(provider: str, name: str) -> Model | None:
    """What is known of a model; None when the provider has none of that name."""
    try:
        found = calc_price(Usage(input_tokens=0, output_tokens=0), name, provider_id=provider)
    except LookupError:
        return None
    variants = found.model.price_variants or ()
    return Model(
        context_window=found.model.context_window,
        writes_cache=found.model_price.cache_write_mtok is not None,
        offers=frozenset(value for variant in variants for key, value in variant.when.items() if key in {"service_tier", "speed"}),
    )


@lru_cache(maxsize=8)
def list_models(provider: str) -> Sequence[ModelEntry]:
    """Every model of a provider."""
    models = get_snapshot().find_provider(None, provider, None).models
    return tuple(ModelEntry(model.id, model.name or model.id, model.context_window, bool(model.deprecated)) for model in models)


@lru_cache(maxsize=65_536)
def price(billed: Billed) -> Price:
    """What a call costs."""
    hour_writes = billed.cache_write if billed.terms.cache_ttl == "1h" else 0
    usage = Usage(
        input_tokens=billed.input,
        cache_read_tokens=billed.cached,
        cache_write_tokens=billed.cache_write,
        cache_write_1h_tokens=hour_writes,
        output_tokens=billed.output,
    )
    usd = calc_price(
        usage,
        billed.model,
        provider_id=billed.provider,
        genai_request_timestamp=datetime.fromtimestamp(billed.step * PRICE_STEP_S, UTC),
        price_context={"service_tier": billed.terms.service_tier, "speed": billed.terms.speed},
    ).total_price
    return Price(usd=usd, nano=int((usd * _NANO_PER_USD).to_integral_value(ROUND_HALF_EVEN)))


def format_usd(usd: Decimal) -> str:
    """Exact decimal dollars without an exponent."""
    text = f"{usd:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
