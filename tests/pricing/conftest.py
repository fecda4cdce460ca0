"""The imported price list, once per process, and rows made by hand for the tests of rules."""

from collections.abc import Callable

import pytest

from farebox.clock import from_rfc3339
from farebox.pricing.book import ModelPrice, ModelRow, PriceBook, PriceRow
from farebox.pricing.importer import Imported, from_genai_prices
from farebox.usage import PLAIN, Conditions

NOW_US = from_rfc3339("2026-11-21T00:00:00Z")

RowMaker = Callable[..., PriceRow]
PriceMaker = Callable[..., ModelPrice]


def make_row(
    unit: str,
    pico: int,
    *,
    above: int = 0,
    conditions: Conditions = PLAIN,
    since: int = 0,
    until: int | None = None,
    provider: str = "p",
    model: str = "m",
) -> PriceRow:
    return PriceRow(
        provider=provider,
        model=model,
        unit=unit,
        tier_above=above,
        service_tier=conditions.service_tier,
        speed=conditions.speed,
        geo=conditions.geo,
        batch=int(conditions.batch),
        pico=pico,
        valid_from_us=since,
        valid_to_us=until,
        source="test",
        checked_at_us=0,
    )


@pytest.fixture(scope="session")
def row() -> RowMaker:
    return make_row


@pytest.fixture(scope="session")
def price_of() -> PriceMaker:
    def price_of(*rows: PriceRow, context: int | None = None, output: int | None = None) -> ModelPrice:
        book = PriceBook(1, [ModelRow("p", "m", ("m",), context, output)], rows)
        price = book.find("p", "m", 0)
        assert price is not None
        return price

    return price_of


@pytest.fixture(scope="session")
def now_us() -> int:
    return NOW_US


@pytest.fixture(scope="session")
def imported() -> Imported:
    return from_genai_prices(NOW_US)


@pytest.fixture(scope="session")
def book(imported: Imported) -> PriceBook:
    return PriceBook(7, imported.models, imported.prices)


@pytest.fixture(scope="session")
def listed(book: PriceBook) -> Callable[..., ModelPrice]:
    def listed(provider: str, name: str, at_us: int = NOW_US) -> ModelPrice:
        price = book.find(provider, name, at_us)
        assert price is not None
        return price

    return listed
