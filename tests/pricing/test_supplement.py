"""What the list lacks: limits and extra prices, each with its source."""

from collections.abc import Callable

import pytest

from farebox.pricing.book import ModelPrice, ModelRow, PriceBook, PriceRow
from farebox.pricing.importer import Imported
from farebox.pricing.importer.supplement import _extras, completed
from farebox.usage import (
    CHARS,
    IN_AUDIO,
    IN_CACHE_WRITE_12H,
    IN_TEXT,
    OUT_TEXT,
    PLAIN,
    TOKEN_UNITS,
    TOOL_CONTAINER_SESSIONS,
    TOOL_FILE_SEARCH,
    TOOL_GROUNDING,
    TOOL_WEB_SEARCH,
    Conditions,
)

RowMaker = Callable[..., PriceRow]
Listed = Callable[..., ModelPrice]


def plain(price: ModelPrice, unit: str) -> int:
    level = price.card(PLAIN).levels[0]
    assert unit not in level.stand_ins
    return level.prices[unit]


def test_every_line_says_where_it_is_from() -> None:
    """A price without a source is a rumour."""
    assert all(extra.source and bool(extra.usd) != bool(extra.percent) for extra in _extras())


@pytest.mark.parametrize(("model", "input_pico"), [("gpt-6-sol", 2_000_000), ("gpt-6-luna", 100_000), ("gpt-5.6-cyber", 12_500_000)])
def test_openai_writes_for_twelve_hours_cost_twice_the_input(listed: Listed, model: str, input_pico: int) -> None:
    """From gpt-5.6 on, in every tier and service tier."""
    price = listed("openai", model)
    assert plain(price, IN_CACHE_WRITE_12H) == 2 * input_pico
    for conditions in price._listed:
        for level in price.card(conditions).levels:
            assert level.prices[IN_CACHE_WRITE_12H] == 2 * level.prices[IN_TEXT]


def test_models_without_cache_writes_get_none_for_twelve_hours(imported: Imported) -> None:
    """Before gpt-5.6 nothing is billed for writing."""
    assert not [row for row in imported.prices if row.model == "gpt-4o" and row.unit == IN_CACHE_WRITE_12H]


def test_openai_tools_have_fees(listed: Listed) -> None:
    """The list's own web search fee stands; file search and containers are there; a model that names no fee has the dearer."""
    price = listed("openai", "gpt-6-sol")
    assert plain(price, TOOL_WEB_SEARCH) == 10 * 10**9
    assert plain(price, TOOL_FILE_SEARCH) == 25 * 10**8
    assert plain(price, TOOL_CONTAINER_SESSIONS) == 3 * 10**10
    assert plain(listed("openai", "gpt-4o-search-preview"), TOOL_WEB_SEARCH) == 25 * 10**9


def test_anthropic_in_the_us_costs_a_tenth_more_on_every_token(book: PriceBook, now_us: int) -> None:
    """For every model, under all its other conditions and tiers; fees stay."""
    for model in book.models(now_us, "anthropic"):
        price = book.find("anthropic", model.model, now_us)
        assert price is not None
        for conditions in [listed for listed in price._listed if listed.geo == "global"]:
            here = price.card(conditions)
            there = price.card(Conditions(conditions.service_tier, conditions.speed, "us", conditions.batch))
            assert here.above == there.above
            for one, other in zip(here.levels, there.levels, strict=True):
                assert {unit: pico * 11 for unit, pico in one.prices.items() if unit in TOKEN_UNITS} == {
                    unit: pico * 10 for unit, pico in other.prices.items() if unit in TOKEN_UNITS
                }
                assert one.prices[TOOL_WEB_SEARCH] == other.prices[TOOL_WEB_SEARCH]


def test_gemini_modalities_without_a_price_cost_what_text_does(listed: Listed) -> None:
    """Where the list names audio, that stands; where it does not, audio costs what text does, in every tier."""
    assert plain(listed("gemini", "gemini-2.5-flash"), IN_AUDIO) == 1_000_000
    assert [level.prices[IN_AUDIO] for level in listed("gemini", "gemini-2.5-pro").card(PLAIN).levels] == [1_250_000, 2_500_000]
    assert plain(listed("gemini", "gemini-2.5-pro"), TOOL_GROUNDING) == 35 * 10**9


def test_other_extras_are_there(listed: Listed) -> None:
    """Moderation is free, TypeSafe's output is free, ElevenLabs charges by the character."""
    assert plain(listed("openai", "omni-moderation-latest"), IN_TEXT) == 0
    assert plain(listed("typesafe", "jev-1.14.0"), OUT_TEXT) == 0
    assert plain(listed("elevenlabs", "eleven_v3"), CHARS) == 80_000_000


def test_a_supplement_never_overrides_the_list(row: RowMaker) -> None:
    """What the list states stays, and a model keeps its one row."""
    own = row(TOOL_WEB_SEARCH, 1, provider="openai", model="x")
    text = row(OUT_TEXT, 1, provider="openai", model="x")
    full = completed(Imported([ModelRow("openai", "x", ("x",))], [own, text], []), 5)
    assert [one.pico for one in full.prices if one.model == "x" and one.unit == TOOL_WEB_SEARCH] == [1]
    assert [one.checked_at_us for one in full.prices if one.model == "x" and one.unit == TOOL_FILE_SEARCH] == [5]


def test_a_share_that_is_not_exact_is_rejected(row: RowMaker) -> None:
    """A tenth more of seven pico-dollars is no price."""
    full = completed(Imported([], [row(IN_TEXT, 7, provider="anthropic", model="x")], []), 0)
    assert not full.rejected  # the model has no row of its own and so is not in the list
    full = completed(Imported([ModelRow("anthropic", "x", ("x",))], [row(IN_TEXT, 7, provider="anthropic", model="x")], []), 0)
    assert [(item.model, item.unit) for item in full.rejected] == [("x", IN_TEXT)]


@pytest.mark.parametrize(
    ("provider", "model", "context", "output"),
    [
        ("anthropic", "claude-opus-5-5", 1_000_000, 128_000),
        ("anthropic", "claude-haiku-4-5", 200_000, 64_000),
        ("openai", "gpt-6-sol", 1_050_000, 128_000),
        ("openai", "gpt-4o", 128_000, 16_384),
        ("gemini", "gemini-2.5-pro", 1_048_576, 65_536),
    ],
)
def test_models_have_limits(listed: Listed, provider: str, model: str, context: int, output: int) -> None:
    """Context windows and output maxima are there for what is asked for most."""
    price = listed(provider, model)
    assert (price.context_tokens_max, price.output_tokens_max) == (context, output)


def test_the_larger_of_two_context_windows_counts() -> None:
    """The window cuts what is held, so where sources disagree it errs upwards; the list's own may be the larger or the smaller."""
    models = [ModelRow("openai", "gpt-4o", ("gpt-4o",), 500_000), ModelRow("openai", "o3", ("o3",), 1)]
    rows = {row.model: row for row in completed(Imported(models, [], []), 0).models}
    assert rows["gpt-4o"].context_tokens_max == 500_000
    assert rows["o3"].context_tokens_max == 200_000


def test_kinds_tell_what_a_model_is_for(imported: Imported) -> None:
    """A label for lists."""
    kinds = {(row.provider, row.model): row.kind for row in imported.models}
    assert kinds["openai", "gpt-6-sol"] == "chat"
    assert kinds["openai", "text-embedding-3-small"] == "embedding"
    assert kinds["openai", "tts-1"] == "speech"
    assert kinds["openai", "whisper-1"] == "transcription"
    assert kinds["openai", "omni-moderation-latest"] == "moderation"
    assert kinds["voyageai", "voyage-4"] == "embedding"
