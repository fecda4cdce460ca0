"""What the list lacks: limits and extra prices, each with its source."""

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from farebox.clock import from_rfc3339
from farebox.errors import CostUnbounded
from farebox.pricing.book import ModelPrice, ModelRow, PriceBook, PriceRow
from farebox.pricing.importer import Imported, from_genai_prices
from farebox.pricing.importer.supplement import _extras, completed
from farebox.pricing.quote import bound
from farebox.pricing.rate import rate
from farebox.usage import (
    AUDIO_IN_MS,
    CHARS,
    CREDITS,
    IMAGES,
    IMAGES_256,
    IMAGES_512,
    IMAGES_HD,
    IMAGES_HD_WIDE,
    IMAGES_WIDE,
    IN_AUDIO,
    IN_CACHE_READ,
    IN_CACHE_WRITE_12H,
    IN_TEXT,
    OUT_AUDIO,
    OUT_CITATION,
    OUT_REASONING,
    OUT_TEXT,
    PLAIN,
    REQUESTS,
    REQUESTS_HIGH,
    REQUESTS_LOW,
    REQUESTS_MEDIUM,
    TOKEN_UNITS,
    TOOL_CONTAINER_SESSIONS,
    TOOL_FILE_SEARCH,
    TOOL_GROUNDING,
    TOOL_GROUNDING_MAPS,
    TOOL_WEB_SEARCH,
    TOOL_WEB_SEARCH_PREVIEW,
    Conditions,
    Demand,
    Usage,
)

RowMaker = Callable[..., PriceRow]
Listed = Callable[..., ModelPrice]


def plain(price: ModelPrice, unit: str) -> int:
    level = price.card(PLAIN).levels[0]
    assert unit not in level.stand_ins
    return level.prices[unit]


def test_every_line_says_where_it_is_from_and_when_that_was_read(imported: Imported) -> None:
    """A price without a source is a rumour, one without a day an old one."""
    for extra in _extras():
        assert extra.source
        assert bool(extra.usd) != bool(extra.percent)
        assert from_rfc3339(f"{extra.checked}T00:00:00Z") > 0
    own = [row for row in imported.prices if not row.source.startswith("genai-prices")]
    assert own
    assert all("(2026-" in row.source for row in own if not row.source.startswith("as openai charges it"))
    assert all("genai-prices" in row.source or "(2026-" in row.source for row in own)


def test_every_line_adds_a_price() -> None:
    """A line that the list has outgrown, or that fits no model, is taken out."""
    whole = from_genai_prices(0)
    sources = {row.source for row in whole.prices}
    for extra in _extras():
        began = f"{extra.source} ({extra.checked})"
        assert any(source.startswith(began) for source in sources), (extra.provider, extra.model, extra.unit, extra.source)


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
    assert plain(listed("openai", "gpt-4o-mini-search-preview-2025-03-11"), TOOL_WEB_SEARCH) == 25 * 10**9
    assert plain(listed("openai", "gpt-5-search-api"), TOOL_WEB_SEARCH) == 10 * 10**9


@pytest.mark.parametrize(("model", "cents"), [("gpt-6-sol", 1), ("o4-mini", 1), ("gpt-4o", "2.5"), ("gpt-4.1-mini", "2.5")])
def test_the_older_search_tool_costs_more_on_models_that_do_not_reason(listed: Listed, model: str, cents: int | str) -> None:
    """The two tools are two units: a request says which one it asks for."""
    assert plain(listed("openai", model), TOOL_WEB_SEARCH) == 10**10
    assert plain(listed("openai", model), TOOL_WEB_SEARCH_PREVIEW) == Decimal(cents) * 10**10


@pytest.mark.parametrize("gigabytes", [1, 4, 16, 64])
def test_a_container_costs_by_its_memory(listed: Listed, gigabytes: int) -> None:
    """Sessions are counted times gigabytes: 1, 4, 16 and 64 GB at 0.03, 0.12, 0.48 and 1.92 dollars."""
    each = {1: "0.03", 4: "0.12", 16: "0.48", 64: "1.92"}[gigabytes]
    rated = rate(Usage({TOOL_CONTAINER_SESSIONS: gigabytes}, 0), listed("openai", "gpt-6-sol"))
    assert rated.total_pico == Decimal(each) * 10**12
    assert rated.flags == ()


def test_images_cost_by_quality_and_size(listed: Listed) -> None:
    """A class that a model does not have is not priced there, so a quote refuses it."""
    three = {IMAGES: 4, IMAGES_WIDE: 8, IMAGES_HD: 8, IMAGES_HD_WIDE: 12}
    assert {unit: plain(listed("openai", "dall-e-3"), unit) // 10**10 for unit in three} == three
    two = {IMAGES: 20, IMAGES_512: 18, IMAGES_256: 16}
    assert {unit: plain(listed("openai", "dall-e-2"), unit) // 10**9 for unit in two} == two
    with pytest.raises(CostUnbounded):
        bound(Demand(0, output_units=(), fees_max={IMAGES_HD: 1}), listed("openai", "dall-e-2"))


def test_audio_tokens_have_their_own_prices(listed: Listed) -> None:
    """What the list leaves out of older audio models and of speech would else cost what text does."""
    assert (plain(listed("openai", "gpt-4o-audio-preview"), IN_AUDIO), plain(listed("openai", "gpt-4o-audio-preview"), OUT_AUDIO)) == (
        40_000_000,
        80_000_000,
    )
    assert plain(listed("openai", "gpt-4o-mini-tts"), OUT_AUDIO) == 12_000_000
    assert plain(listed("openai", "gpt-4o-transcribe"), IN_AUDIO) == 6_000_000
    assert plain(listed("gemini", "gemini-2.5-flash-tts"), OUT_AUDIO) == 10_000_000
    assert plain(listed("openai", "whisper-1"), AUDIO_IN_MS) == 100_000
    assert plain(listed("groq", "whisper-large-v3-turbo"), AUDIO_IN_MS) == 11_112


@pytest.mark.parametrize("model", ["gpt-6-astra", "gpt-6.1-sol"])
def test_ultrafast_costs_six_times_the_plain_price(listed: Listed, model: str) -> None:
    """Every token, in every tier; fees stay. Models that do not offer it have no such price."""
    price = listed("openai", model)
    plainly, fast = price.card(PLAIN), price.card(Conditions(service_tier="ultrafast"))
    assert plainly.above == fast.above == (272_000,)
    for one, other in zip(plainly.levels, fast.levels, strict=True):
        for unit in TOKEN_UNITS & one.prices.keys():
            assert other.prices[unit] == 6 * one.prices[unit]
        assert other.prices[TOOL_WEB_SEARCH] == one.prices[TOOL_WEB_SEARCH]
    assert not listed("openai", "gpt-6-luna").lists("service_tier", "ultrafast")


def test_fast_and_priority_are_one_price(listed: Listed) -> None:
    """A request for fast comes back as priority."""
    price = listed("openai", "gpt-6-sol")
    assert price.card(Conditions(service_tier="fast")) == price.card(Conditions(service_tier="priority"))


@pytest.mark.parametrize("geo", ["us", "eu"])
def test_data_residency_costs_a_tenth_more_under_all_other_conditions(listed: Listed, geo: str) -> None:
    """At OpenAI, on newer models; older ones have no such price."""
    price = listed("openai", "gpt-6-sol")
    for conditions in [listed for listed in price._listed if listed.geo == "global"]:
        here, there = price.card(conditions), price.card(msgspec.structs.replace(conditions, geo=geo))
        for one, other in zip(here.levels, there.levels, strict=True):
            assert all(other.prices[unit] * 10 == one.prices[unit] * 11 for unit in TOKEN_UNITS & one.prices.keys())
    assert not listed("openai", "gpt-4o").lists("geo", geo)


def test_gemini_has_flex_and_priority(listed: Listed) -> None:
    """Half and 1.8 times, by what each unit costs in the tier; audio that costs what text does, does so there."""
    price = listed("gemini", "gemini-3.5-flash")
    flex = price.card(Conditions(service_tier="flex")).levels[0].prices
    priority = price.card(Conditions(service_tier="priority")).levels[0].prices
    assert (flex[IN_TEXT], flex[IN_AUDIO], flex[IN_CACHE_READ], flex[OUT_TEXT]) == (750_000, 750_000, 80_000, 4_500_000)
    assert (priority[IN_TEXT], priority[IN_AUDIO], priority[IN_CACHE_READ], priority[OUT_TEXT]) == (
        2_700_000,
        2_700_000,
        270_000,
        16_200_000,
    )


@pytest.mark.parametrize(
    ("name", "pico"),
    [
        ("global.anthropic.claude-opus-4-7", 5_000_000),
        ("us.anthropic.claude-opus-4-7", 5_500_000),
        ("eu.anthropic.claude-opus-4-5-20251101-v1:0", 5_500_000),
        ("us.openai.gpt-6-sol", 2_200_000),
        ("us.amazon.nova-lite-v1:0", 60_000),
    ],
)
def test_bedrock_profiles_have_prices_by_their_region(listed: Listed, name: str, pico: int) -> None:
    """A name from one region costs a tenth more than the global one, where AWS asks that."""
    assert plain(listed("bedrock", name), IN_TEXT) == pico


@pytest.mark.parametrize("name", ["eu.amazon.nova-lite-v1:0", "us-gov.anthropic.claude-sonnet-5"])
def test_a_bedrock_profile_that_costs_more_than_any_listed_price_has_none(book: PriceBook, now_us: int, name: str) -> None:
    """Sold at the price of another region it would be sold below cost."""
    assert book.find("aws", name, now_us) is None


@pytest.mark.parametrize(("model", "fees"), [("sonar", (5, 8, 12)), ("sonar-pro", (6, 10, 14)), ("sonar-reasoning-pro", (6, 10, 14))])
def test_a_search_of_perplexity_costs_by_its_context(listed: Listed, model: str, fees: tuple[int, int, int]) -> None:
    """Whoever counts a size counts no plain request; who counts neither is charged the dearest, which is what is held."""
    price = listed("perplexity", model)
    for unit, fee in zip((REQUESTS_LOW, REQUESTS_MEDIUM, REQUESTS_HIGH), fees, strict=True):
        assert rate(Usage({IN_TEXT: 0, REQUESTS: 0, unit: 1}, 0), price).total_pico == fee * 10**9
    assert rate(Usage({IN_TEXT: 1}, 1), price).lines[-1].pico == fees[-1] * 10**9
    assert bound(Demand(0, output_units=()), price).base_pico == fees[-1] * 10**9


def test_reasoning_that_is_counted_beside_the_answer_has_its_own_price(listed: Listed) -> None:
    """Perplexity's deep research tells reasoning and citations apart; for everyone else they cost what the answer does."""
    deep = listed("perplexity", "sonar-deep-research")
    assert [plain(deep, unit) for unit in (OUT_TEXT, OUT_REASONING, OUT_CITATION)] == [8_000_000, 3_000_000, 2_000_000]
    assert plain(listed("openai", "gpt-6-sol"), OUT_REASONING) == plain(listed("openai", "gpt-6-sol"), OUT_TEXT)


@pytest.mark.parametrize(
    ("model", "pico"), [("eleven_v3", 80_000_000), ("eleven_multilingual_v2", 80_000_000), ("eleven_flash_v2_5", 40_000_000)]
)
def test_a_credit_costs_the_same_for_every_voice(listed: Listed, model: str, pico: int) -> None:
    """Characters cost by the model, credits are already counted by it."""
    assert plain(listed("elevenlabs", model), CHARS) == pico
    assert plain(listed("elevenlabs", model), CREDITS) == 80_000_000


def test_azure_sells_openais_models_with_fees_of_its_own(listed: Listed) -> None:
    """No settings but the provider's name: tokens as OpenAI charges them, tiers and all; searches and containers as Azure does."""
    azure, openai = listed("azure", "gpt-6-sol"), listed("openai", "gpt-6-sol")
    assert azure.card(PLAIN).levels[1].prices[OUT_TEXT] == openai.card(PLAIN).levels[1].prices[OUT_TEXT]
    assert plain(azure, TOOL_WEB_SEARCH) == 14 * 10**9
    assert plain(azure, TOOL_CONTAINER_SESSIONS) == 33 * 10**9
    assert azure.output_tokens_max == 128_000


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
    assert plain(listed("gemini", "gemini-3.1-flash-lite-image"), TOOL_GROUNDING) == 14 * 10**9
    assert plain(listed("gemini", "gemini-2.5-flash"), TOOL_GROUNDING_MAPS) == 25 * 10**9
    assert plain(listed("gemini", "gemini-4-argon"), TOOL_GROUNDING_MAPS) == 14 * 10**9


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


def test_a_token_price_holds_under_all_conditions_that_the_list_names(row: RowMaker) -> None:
    """A variant that does not name a token costs what the plain price says, as in the list itself, from the day the variant starts."""
    batch = Conditions(batch=True)
    rows = [
        row(IN_TEXT, 3_750_000, provider="openai", model="ft:gpt-4o"),
        row(IN_TEXT, 1_875_000, provider="openai", model="ft:gpt-4o", conditions=batch, since=77),
    ]
    full = completed(Imported([ModelRow("openai", "ft:gpt-4o", ("ft:gpt-4o",))], rows, []), 0)
    added = {(one.conditions, one.valid_from_us, one.pico) for one in full.prices if one.model == "ft:gpt-4o" and one.unit == IN_CACHE_READ}
    assert added == {(PLAIN, 0, 1_875_000), (batch, 77, 1_875_000)}


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
