"""The book: names, validity, aliases, laziness."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from farebox.pricing.book import ModelPrice, ModelRow, PriceBook, PriceRow, undated
from farebox.usage import IN_TEXT, OUT_TEXT, PLAIN, TOOL_WEB_SEARCH, Conditions

RowMaker = Callable[..., PriceRow]


def base_pico(price: ModelPrice | None, unit: str = IN_TEXT) -> int | None:
    return None if price is None else price.card(PLAIN).levels[0].prices[unit]


@pytest.fixture
def small(row: RowMaker) -> PriceBook:
    models = [
        ModelRow("openai", "gpt-x", ("gpt-x", "gpt-x-chat", "gpt-x-2026-01-02"), 1000, 100),
        ModelRow("openai", "gpt-x-2025-05-05", ("gpt-x-2025-05-05", "gpt-x"), None, None),
        ModelRow("google", "gemini-x", ("gemini-x",)),
    ]
    prices = [
        row(IN_TEXT, 1, provider="openai", model="gpt-x"),
        row(IN_TEXT, 2, provider="openai", model="gpt-x-2025-05-05"),
        row(IN_TEXT, 3, provider="google", model="gemini-x"),
        row(IN_TEXT, 4, provider="openrouter", model="gpt-x"),
    ]
    return PriceBook(3, models, prices)


@pytest.mark.parametrize("name", ["gpt-x", "gpt-x-chat", "gpt-x-2026-01-02", "gpt-x-2027-12-31", "gpt-x-20271231", "gpt-x@20271231"])
def test_exact_names_and_dated_names_are_found(small: PriceBook, name: str) -> None:
    """A model is found by each of its names, and by each of them with a date behind it."""
    assert base_pico(small.find("openai", name, 0)) == 1


def test_an_exact_dated_name_wins_over_the_name_without_its_date(small: PriceBook) -> None:
    """A snapshot with prices of its own is not priced as the model it is named after."""
    assert base_pico(small.find("openai", "gpt-x-2025-05-05", 0)) == 2


@pytest.mark.parametrize(
    "name",
    [
        *["gpt-x-", "gpt", "GPT-X", "gpt-x-mini", "gpt-x-2026-13-01", "gpt-x-2026-01-32", "gpt-x-2026-1-01", "gpt-x-99991231"],
        *[
            "gpt-x@2026-01-01",
            "gpt-x-latest",
            "",
            "-2026-01-01",
            "gpt-x-2026-01-01-2026-01-01",
            "gpt-x-\uff12\uff10\uff12\uff16-01-01",
            "openai/gpt-x",
        ],
    ],
)
def test_nothing_looser_than_a_date_is_found(small: PriceBook, name: str) -> None:
    """A name that is not exactly a model's, with at most one real date behind it, has no price."""
    assert small.find("openai", name, 0) is None


def test_undated_takes_one_date_off() -> None:
    """Three spellings of a date are taken off, once; anything else stays."""
    assert undated("a-2026-09-01") == undated("a-20260901") == undated("a@20260901") == "a"
    assert undated("a-2026-09-01-2026-09-01") == "a-2026-09-01"
    assert undated("a-0613") == "a-0613"


def test_provider_aliases_reach_the_same_rows(small: PriceBook) -> None:
    """`gemini` is another name for what the price list calls `google`; an unknown provider has nothing."""
    assert small.find("gemini", "gemini-x", 0) is small.find("google", "gemini-x", 0)
    assert small.find("gemini", "gemini-x", 0) is not None
    assert small.find("nobody", "gemini-x", 0) is None


def test_known_names_every_provider_of_a_bare_name(small: PriceBook) -> None:
    """The candidates for a message are all providers that have the name, dated or not."""
    assert small.known("gpt-x-20270101") == small.known("gpt-x") == ["openai/gpt-x", "openrouter/gpt-x"]
    assert small.known("unheard-of") == []


def test_a_price_without_a_model_row_is_found_by_its_name(small: PriceBook) -> None:
    """An operator's own price needs no model row."""
    price = small.find("openrouter", "gpt-x", 0)
    assert price is not None
    assert (price.context_tokens_max, price.output_tokens_max) == (None, None)


def test_each_moment_has_its_own_price(row: RowMaker) -> None:
    """A price holds from its first moment up to, not including, its last; before and after there is none."""
    book = PriceBook(1, [], [row(IN_TEXT, 10, since=100, until=200), row(IN_TEXT, 20, since=200, until=300)])
    found = [base_pico(book.find("p", "m", at)) for at in (99, 100, 199, 200, 299, 300, 150)]
    assert found == [None, 10, 10, 20, 20, None, 10]


def test_compiled_prices_are_kept_until_the_next_change(row: RowMaker) -> None:
    """Between two changes a lookup answers with the same object, whatever spelling of the name asks."""
    book = PriceBook(1, [], [row(IN_TEXT, 10, since=0, until=200), row(IN_TEXT, 20, since=200), row(OUT_TEXT, 5)])
    first = book.find("p", "m", 10)
    assert first is book.find("p", "m-2026-01-01", 199)
    assert first is not None
    assert (first.valid_from_us, first.valid_to_us) == (0, 200)
    assert book.find("p", "m", 200) is not first


def test_nothing_is_compiled_before_it_is_asked_for(book: PriceBook, imported: object) -> None:
    """Making a book compiles no model, and a lookup compiles one model and none of its cards."""
    fresh = PriceBook(1, [], book.prices())
    assert not fresh._compiled
    price = fresh.find("openai", "gpt-6-sol", 2**60)
    assert price is not None
    assert len(fresh._compiled) == 1
    assert not price._cards


def test_names_from_outside_do_not_grow_the_cache(small: PriceBook) -> None:
    """However many dated or unknown names are asked for, only models are kept."""
    for day in range(10, 28):
        small.find("openai", f"gpt-x-202601{day}", 0)
        small.find("openai", f"unknown-{day}", 0)
    assert len(small._compiled) == 1


def test_of_two_rows_that_both_hold_the_later_word_counts_then_the_dearer(row: RowMaker) -> None:
    """A price that was added without closing the one before replaces it."""
    late = PriceBook(1, [], [row(IN_TEXT, 5, since=10), row(IN_TEXT, 9, since=0), row(OUT_TEXT, 1), row(OUT_TEXT, 2)])
    assert base_pico(late.find("p", "m", 20)) == 5
    assert base_pico(late.find("p", "m", 20), OUT_TEXT) == 2


def test_models_lists_what_has_a_price_now(row: RowMaker) -> None:
    """Only models with a price at that moment are listed, of all providers or of one."""
    book = PriceBook(
        1,
        [ModelRow("p", "bare", ("bare",))],
        [row(IN_TEXT, 1, until=10), row(IN_TEXT, 1, model="n"), row(IN_TEXT, 1, provider="google", model="g")],
    )
    assert [model.model for model in book.models(5)] == ["m", "n", "g"]
    assert [model.model for model in book.models(10, "p")] == ["n"]
    assert [model.model for model in book.models(10, "gemini")] == ["g"]


def test_the_dearest_fee_is_looked_for_in_the_whole_book(row: RowMaker) -> None:
    """What a use costs at most anywhere, for a model that lists no price for it."""
    rows = [
        row(TOOL_WEB_SEARCH, 10),
        row(TOOL_WEB_SEARCH, 35, model="n"),
        row(TOOL_WEB_SEARCH, 99, model="o", conditions=Conditions(batch=True)),
    ]
    book = PriceBook(1, [], rows)
    assert book.fee_dearest(TOOL_WEB_SEARCH) == 35
    assert book.fee_dearest("pages") is None


def test_the_way_of_a_request_never_imports_price_lists() -> None:
    """Neither the rooms that price a request nor the importer's own import load genai-prices or pydantic."""
    code = (
        "import sys, farebox.pricing.book, farebox.pricing.rate, farebox.pricing.quote, farebox.pricing.markup; "
        "assert not any(name.startswith('farebox.pricing.importer') for name in sys.modules); "
        "import farebox.pricing.importer; "
        "sys.exit(sorted({name.split('.')[0] for name in sys.modules} & {'genai_prices', 'pydantic'}) != [])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
