"""Our prices against a second, independent list (litellm's table): the same, or a difference that differences.csv explains.

genai-prices, where most of our prices are from, is held against our sums in test_crosscheck.py. What the supplement took from the second
list itself agrees here by construction; what the two lists both have is what this is for.
"""

import csv
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from genai_prices.data import providers

from farebox.pricing.book import ModelPrice, PriceBook
from farebox.pricing.importer import Imported
from farebox.pricing.importer.tables import lines
from farebox.pricing.rate import rate
from farebox.usage import ALL_UNITS, INPUT_TOKEN_UNITS, TOKEN_UNITS, Conditions, Usage
from pricing import make_second_list
from support.second_list import PROVIDERS, Listed, table

COMPARED = ("openai", "anthropic", "google", "aws", "mistral", "x-ai")
"""The five largest makers and clouds that both lists have by the names that requests ask for, and one more."""
PROMPTS = (1_000, 150_000, 900_000)
"""Below every cliff, between the first and the others, above all."""
ROUNDING = Fraction(1, 1_000_000)
"""The second list writes some decimals shortened: 3.083e-05 for a price by the hour."""
MAKERS = {"azure": "openai"}
DIFFERENCES = {
    (line["provider"], line["key"], line["service_tier"]): (frozenset(line["units"].split()), line["reason"])
    for line in csv.DictReader(Path(__file__).with_name("differences.csv").read_text(encoding="utf-8").splitlines())
}


def basket(row: Listed, prompt: int, tier: str) -> dict[str, int]:
    """So many of every unit that the second list prices, no two alike, that the input makes up the prompt."""
    units = [unit for unit in sorted(ALL_UNITS) if row.pico(unit, prompt, tier) is not None]
    inputs = [unit for unit in units if unit in INPUT_TOKEN_UNITS]
    quantities = {unit: 1_000 + 7 * at for at, unit in enumerate(units) if unit not in inputs}
    for at, unit in enumerate(inputs[1:]):
        quantities[unit] = prompt // 20 + at
    return quantities | ({inputs[0]: prompt - sum(quantities[unit] for unit in inputs[1:])} if inputs else {})


def differing(row: Listed, price: ModelPrice, tier: str) -> frozenset[str]:
    """The units of the basket that our book charges otherwise, at any prompt size."""
    found: set[str] = set()
    for prompt in PROMPTS:
        quantities = basket(row, prompt, tier)
        ours = rate(Usage(quantities, prompt, conditions=Conditions(service_tier=tier)), price)
        assert {line.unit for line in ours.lines} >= quantities.keys()
        for line in ours.lines:
            each = row.pico(line.unit, prompt, tier)
            if each is not None and not is_same(Fraction(line.pico), each * line.quantity):
                found.add(line.unit)
    return frozenset(found)


def is_same(ours: Fraction, theirs: Fraction) -> bool:
    return abs(ours - theirs) <= theirs * ROUNDING


def compared(book: PriceBook, now_us: int) -> Iterator[tuple[Listed, ModelPrice, str]]:
    """Every row of the second list that has a price in ours, in each of its service tiers."""
    for row in table()[1]:
        price = book.find(row.provider, row.name, now_us) if row.provider in COMPARED else None
        if price is not None:
            for tier in row.tiers():
                if basket(row, PROMPTS[0], tier):
                    yield row, price, tier


@pytest.fixture(scope="module")
def found(book: PriceBook, now_us: int) -> dict[tuple[str, str, str], frozenset[str]]:
    """What differs now."""
    every = {(row.provider, row.key, tier): differing(row, price, tier) for row, price, tier in compared(book, now_us)}
    seen = {(row.provider, price.model) for row, price, _ in compared(book, now_us)}
    alone = {(row.provider, row.model, ""): frozenset[str]() for row in book.models(now_us) if row.provider in COMPARED}
    return {key: units for key, units in every.items() if units} | {key: units for key, units in alone.items() if key[:2] not in seen}


def test_every_price_is_the_second_lists_or_its_difference_is_explained(found: dict[tuple[str, str, str], frozenset[str]]) -> None:
    """Every model of six providers, in every service tier that the second list has, below and above every cliff, by unit."""
    assert {key: units for key, units in found.items() if key not in DIFFERENCES} == {}
    assert {key: (units, DIFFERENCES[key][0]) for key, units in found.items() if units != DIFFERENCES[key][0]} == {}


def test_no_explained_difference_is_stale(found: dict[tuple[str, str, str], frozenset[str]]) -> None:
    """An entry whose difference is gone is taken out, and each says why it is there."""
    assert {key: reason for key, (_, reason) in DIFFERENCES.items() if key not in found} == {}
    assert all(len(reason) > 20 for _, reason in DIFFERENCES.values())


def test_enough_is_compared_to_mean_something(book: PriceBook, now_us: int) -> None:
    """The two lists know each other's names: some hundreds of rows, in several tiers, of every provider."""
    every = list(compared(book, now_us))
    assert {row.provider for row, _, _ in every} == set(COMPARED)
    assert {tier for _, _, tier in every} == {"default", "flex", "priority", "ultrafast"}
    assert sum(len(basket(row, prompt, tier)) for row, _, tier in every for prompt in PROMPTS) > 5_000


def test_a_price_that_is_off_by_a_thousandth_is_seen(book: PriceBook, now_us: int) -> None:
    """The comparison has teeth: for a row that agrees, a little more is a difference, on any unit."""
    row = next(row for row in table()[1] if row.key == "gpt-6-luna")
    for unit in (unit for unit in TOKEN_UNITS if row.pico(unit, 1_000, "default") is not None):
        price = row.pico(unit, 1_000, "default")
        assert price is not None
        assert not is_same(price * Fraction(1001, 1000), price)
        assert not is_same(price * Fraction(999, 1000), price)
    assert book.find("openai", row.name, now_us) is not None


def test_the_second_list_is_the_pinned_one() -> None:
    """It says which version of which package it was taken from, and the script that takes it pins the same."""
    origin, rows = table()
    assert origin["sha256"] == make_second_list.SHA256
    assert origin["version"] == make_second_list.VERSION
    assert {row.provider for row in rows} == set(PROVIDERS.values())
    assert (Path(__file__).with_name(make_second_list.LICENSE)).read_text(encoding="utf-8").count("MIT License") == 1


# --- what the importer takes on two lists' word --------------------------------------------------------------------------------------------


def dearest(book: PriceBook, row: Listed, provider: str, name: str, now_us: int) -> bool:
    """Whether no plain price of a row is above ours for that model."""
    price = book.find(provider, name, now_us)
    assert price is not None, name
    for prompt in PROMPTS[:1]:
        quantities = {unit: 1 for unit in basket(row, prompt, "default") if unit in TOKEN_UNITS}
        for line in rate(Usage(quantities, prompt), price).lines:
            each = row.pico(line.unit, prompt, "default")
            if each is not None and line.pico < each * (1 - ROUNDING):
                return False
    return True


def test_a_name_is_taken_on_the_word_of_two_lists(book: PriceBook, now_us: int) -> None:
    """Each name of names.csv is what genai-prices' own matching makes of it, and no dearer in the second list."""
    rows = {(row.provider, row.name): row for row in table()[1]}
    models = {provider.id: provider for provider in providers}
    given = [line for line in lines("names.csv") if line["model"]]
    assert len(given) > 90
    for line in given:
        matched = models[line["provider"]].find_model(line["name"])
        assert matched is not None, line
        assert matched.id == line["model"]
        named = book.model(line["provider"], line["name"])
        assert named is not None
        assert named.model == line["model"]
        assert dearest(book, rows[line["provider"], line["name"]], line["provider"], line["name"], now_us), line


def test_a_name_that_costs_more_than_its_model_is_taken_away(book: PriceBook, imported: Imported, now_us: int) -> None:
    """It has no price, or a model of its own that has a dearer one; the second list has it dearer than what it was a name of."""
    rows = {(row.provider, row.name): row for row in table()[1]}
    models = {provider.id: provider for provider in providers}
    for line in (line for line in lines("names.csv") if not line["model"]):
        matched = models[MAKERS.get(line["provider"], line["provider"])].find_model(line["name"])
        assert matched is not None, line
        own = book.model(line["provider"], line["name"])
        assert own is None or own.model != matched.id
        if own is None and line["provider"] not in MAKERS:
            assert not dearest(book, rows[line["provider"], line["name"]], line["provider"], matched.id, now_us), line
    assert not [row for row in imported.models if "gpt-4o-mini-search-preview" in row.names and row.model == "gpt-4o-mini"]


def test_what_is_resold_costs_what_its_maker_charges(book: PriceBook, now_us: int) -> None:
    """Azure's models are priced as OpenAI's, where the second list has none of them dearer; the fees of tools are Azure's own."""
    rows = [row for row in table()[1] if row.provider == "azure"]
    resold = [line["model"] for line in lines("resold.csv")]
    assert "gpt-6-sol" in resold
    for model in resold:
        ours, makers = book.find("azure", model, now_us), book.find("openai", model, now_us)
        assert ours is not None
        assert makers is not None
        for conditions in makers._listed:
            if conditions.geo == "global":
                ours_level, level = ours.card(conditions).levels[0], makers.card(conditions).levels[0]
                assert {unit: level.prices[unit] for unit in level.prices if unit in TOKEN_UNITS} == {
                    unit: ours_level.prices[unit] for unit in ours_level.prices if unit in TOKEN_UNITS
                }
        named = [row for row in rows if (known := book.model("azure", row.name)) is not None and known.model == model]
        assert all(dearest(book, row, "azure", row.name, now_us) for row in named)
