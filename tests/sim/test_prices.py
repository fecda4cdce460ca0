"""What a call costs beyond its text: parts at other models, fees, kinds of tokens."""

from decimal import Decimal
from typing import Any

import pytest

from farebox.sim.bill import Bill, Call, State
from farebox.sim.fees import FEES, OWN_MODELS
from farebox.sim.generation import Part, Terms
from farebox.sim.prices import find_model, list_models

AT_S = 1_795_000_000


def call(model: str, **fields: Any) -> Call:
    record = Bill().open("openai", "openai", AT_S)
    record.model, record.state = model, State.FINISHED
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def test_call_is_rounded_once_with_all_its_parts() -> None:
    """Three halves of a nano-dollar are one and a half together, which is two; rounded apart they would be none."""
    half = {"input_tokens": 1, "cache_read_tokens": 1}
    flex = Terms(service_tier="flex")
    record = call("gpt-5-nano", terms=flex, input=1, cached=1, parts=(Part("gpt-5-nano", half), Part("gpt-5-nano", half)))
    assert record.price().usd == 3 * Decimal("0.0000000025")
    assert record.price().nano == 8


def test_fee_that_is_not_listed_is_an_error() -> None:
    """A simulator that counts what it cannot price would give it away."""
    with pytest.raises(KeyError):
        call("gpt-4o", fees={"free_lunch": 1}).price()


@pytest.mark.parametrize("provider", sorted(FEES))
def test_every_fee_costs_something(provider: str) -> None:
    """Exact decimals above nothing."""
    assert all(usd > 0 for usd in FEES[provider].values())


def test_own_models_are_not_genai_prices_own() -> None:
    """A model with a price must not be free because it stands in the other list; each is known all the same."""
    for provider, name in sorted(OWN_MODELS):
        assert find_model(provider, name) is not None
        if provider == "openai":
            assert name not in {entry.id for entry in list_models(provider)}


def test_kinds_of_tokens_are_parts_of_the_whole() -> None:
    """Sound and pictures at their own prices, the rest as text; what is cached and sound at once is none unless it is said."""
    record = call("gpt-realtime", input=100, cached=40, output=10, more={"input_audio_tokens": 30, "output_audio_tokens": 4})
    expected = 30 * 32 + 40 * Decimal("0.4") + 30 * 4 + 6 * 16 + 4 * 64
    assert record.price().usd * 1_000_000 == expected
    assert record.units == {
        "input_tokens": 100,
        "cache_read_tokens": 40,
        "output_tokens": 10,
        "input_audio_tokens": 30,
        "output_audio_tokens": 4,
    }


@pytest.mark.parametrize(("tier", "factor"), [("default", Decimal(1)), ("flex", Decimal("0.5")), ("priority", Decimal(2))])
@pytest.mark.parametrize(("prompt", "rate"), [(272_000, 2), (272_001, 4)])
def test_twelve_hours_in_the_cache_cost_twice_the_input_in_every_tier(tier: str, factor: Decimal, prompt: int, rate: int) -> None:
    """Below and above the cliff, too."""
    record = call("gpt-6-sol", input=prompt, cache_write=1000, terms=Terms(service_tier=tier, cache_ttl="12h"))
    assert record.price().usd * 1_000_000 == (prompt + 1000) * rate * factor
