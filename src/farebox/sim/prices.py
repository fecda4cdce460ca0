"""What the simulated providers charge, by the calculation of genai-prices and the fees of `fees.py`; and which models they have.

Never on the way of a call, but for the first one of each model name.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

import msgspec
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import PriceCalculation, TieredPrices

from .fees import OWN_MODELS, SELF_HOSTED, fee_usd, geo_factor
from .generation import Model, Terms

_NANO_PER_USD = 1_000_000_000
_TOKENS_PER_RATE = 1_000_000
PRICE_STEP_S = 900
"""Prices change at a date or at a quarter of an hour: equal calls within one such step are priced once."""


Pairs = tuple[tuple[str, int], ...]
# Where two kinds of a token meet and genai-prices wants to be told how many are both: none, unless the dialect says so.
_JOINS = (
    ("input_audio_tokens", "cache_read_tokens", "cache_audio_read_tokens"),
    ("input_image_tokens", "cache_read_tokens", "cache_image_read_tokens"),
    ("input_video_tokens", "cache_read_tokens", "cache_video_read_tokens"),
    ("input_audio_tokens", "cache_write_tokens", "cache_audio_write_tokens"),
    ("input_image_tokens", "cache_write_tokens", "cache_image_write_tokens"),
    ("output_audio_tokens", "output_reasoning_tokens", "output_audio_reasoning_tokens"),
    ("output_image_tokens", "output_reasoning_tokens", "output_image_reasoning_tokens"),
)


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
    reasoning: int = 0
    more: Pairs = ()
    fees: Pairs = ()
    parts: tuple[tuple[str, Pairs], ...] = ()
    """Models and what was used at each."""

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to pay for."""
        return not (self.input or self.output or self.more or self.fees or self.parts)


class Price(msgspec.Struct, frozen=True, gc=False):
    """Dollars, exact, and the nano-dollars they round to (half to even)."""

    usd: Decimal
    nano: int


class Shares(msgspec.Struct, frozen=True, gc=False):
    """Dollars of a call's input, of its output, of what is beside them, and of all."""

    input: Decimal
    output: Decimal
    beside: Decimal
    total: Decimal


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
    if provider in SELF_HOSTED:
        return Model(context_window=None, writes_cache=False, offers=frozenset())
    try:
        found = calc_price(Usage(input_tokens=0, output_tokens=0), name, provider_id=provider)
    except LookupError:
        return Model(context_window=None, writes_cache=False, offers=frozenset()) if (provider, name) in OWN_MODELS else None
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


def token_units(billed: Billed) -> dict[str, int]:
    """What was consumed at the call's own model, by the names of genai-prices' `Usage`."""
    units = {
        "input_tokens": billed.input,
        "cache_read_tokens": billed.cached,
        "cache_write_tokens": billed.cache_write,
        "cache_write_1h_tokens": billed.cache_write if billed.terms.cache_ttl == "1h" else 0,
        "output_tokens": billed.output,
        "output_reasoning_tokens": billed.reasoning,
    }
    units.update(billed.more)
    return units


@lru_cache(maxsize=65_536)
def price(billed: Billed) -> Price:
    """What a call costs: its tokens, its parts at other models and its fees, rounded to nano-dollars once."""
    if billed.nothing:
        return FREE
    usd = _usd(billed, billed.model, token_units(billed))
    for model, units in billed.parts:
        usd += _usd(billed, model, dict(units))
    usd *= geo_factor(billed.provider, billed.terms.geo)
    for fee, count in billed.fees:
        usd += fee_usd(billed.provider, fee) * count
    return Price(usd=usd, nano=int((usd * _NANO_PER_USD).to_integral_value(ROUND_HALF_EVEN)))


def shares(billed: Billed) -> Shares:
    """What a call costs by its parts, for answers that tell their own price."""
    total = price(billed).usd
    if billed.nothing or billed.provider in SELF_HOSTED:
        return Shares(Decimal(0), Decimal(0), total, total)
    cost = _calculated(billed, billed.model, token_units(billed))
    return Shares(cost.input_price, cost.output_price, total - cost.input_price - cost.output_price, total)


def _usd(billed: Billed, model: str, units: dict[str, int]) -> Decimal:
    """What so many units cost at a model, under the call's terms and at its time."""
    if billed.provider in SELF_HOSTED or (billed.provider, model) in OWN_MODELS:
        return Decimal(0)
    long_written = units.get("cache_write_tokens", 0) if billed.terms.cache_ttl == "12h" else 0
    if long_written:
        units["cache_write_tokens"] = 0
    cost = _calculated(billed, model, units)
    return cost.total_price + (_input_rate(cost, units["input_tokens"]) * long_written if long_written else 0)


def _calculated(billed: Billed, model: str, units: dict[str, int]) -> PriceCalculation:
    """The calculation of genai-prices."""
    for one, other, both in _JOINS:
        if units.get(one) and units.get(other):
            units.setdefault(both, 0)
    return calc_price(
        Usage(**units),
        model,
        provider_id=billed.provider,
        genai_request_timestamp=datetime.fromtimestamp(billed.step * PRICE_STEP_S, UTC),
        price_context={"service_tier": billed.terms.service_tier, "speed": billed.terms.speed},
    )


def _input_rate(cost: PriceCalculation, tokens: int) -> Decimal:
    """Dollars for a plain input token: what twelve hours in OpenAI's cache cost on top of reading the token, twice its price in all.

    genai-prices has no price for it; the factor is the one OpenAI documents.
    """
    rate = cost.model_price.input_mtok
    if isinstance(rate, TieredPrices):
        return max([rate.base, *[tier.price for tier in rate.tiers if tokens > tier.start]]) / _TOKENS_PER_RATE
    return (rate or Decimal(0)) / _TOKENS_PER_RATE


def format_usd(usd: Decimal) -> str:
    """Exact decimal dollars without an exponent."""
    text = f"{usd:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
