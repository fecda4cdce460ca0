"""An operator's own prices: read with errors that name their line, written so that they read back."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farebox.clock import from_rfc3339
from farebox.pricing.book import PriceRow
from farebox.pricing.importer import Imported, PriceCsvError, read_price_csv, write_price_csv
from farebox.pricing.importer.own import COLUMNS
from farebox.usage import ALL_UNITS, IN_TEXT, Conditions

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_five_columns_are_enough() -> None:
    """Everything else has a default that says the plain thing."""
    (row,) = read_price_csv("provider,model,unit,usd,per\nopenai,my-model,in_text_uncached,$2.50,1000000\n", now_us=77)
    assert (row.provider, row.model, row.unit, row.pico) == ("openai", "my-model", IN_TEXT, 2_500_000)
    assert (row.tier_above, row.conditions, row.valid_from_us, row.valid_to_us) == (0, Conditions(), 0, None)
    assert (row.source, row.checked_at_us) == ("own price", 77)


def test_every_column_is_read() -> None:
    """Conditions, tier, validity and source, in any order of columns, with spaces and a byte order mark."""
    text = (
        "\ufeffmodel,provider,unit,usd,per,tier_above,service_tier,speed,geo,batch,valid_from,valid_to,source,checked_at\r\n"
        'm,p, out_text ,0.6,1000000,100000,priority,fast,us,1,2026-01-01T00:00:00Z,2027-01-01T00:00:00+01:00,"the list, page 3",2026-11-21T10:00:00Z\r\n'
    )
    (row,) = read_price_csv(text)
    assert row.conditions == Conditions("priority", "fast", "us", batch=True)
    assert (row.tier_above, row.pico, row.source) == (100_000, 600_000, "the list, page 3")
    assert row.valid_from_us == from_rfc3339("2026-01-01T00:00:00Z")
    assert row.valid_to_us == from_rfc3339("2026-12-31T23:00:00Z")
    assert row.checked_at_us == from_rfc3339("2026-11-21T10:00:00Z")


GOOD = "p,m,in_text_uncached,1,1000000"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("p,m,in_text_uncached,1", "not as many cells"),
        (f"{GOOD},7", "not as many cells"),
        (",m,in_text_uncached,1,1", "`provider` is empty"),
        ("p,m,tokens,1,1", "unknown unit 'tokens'"),
        ("p,m,in_text_uncached,cheap,1", "`usd` 'cheap' is not an amount"),
        ("p,m,in_text_uncached,-1,1000000", "negative"),
        ("p,m,in_text_uncached,0.00000000000001,1", "not a whole number of pico-dollars"),
        ("p,m,in_text_uncached,2.50,1", "more than any price there is"),
        ("p,m,in_text_uncached,inf,1", "not a finite price"),
        ("p,m,in_text_uncached,1e99999999,1", "not the size of any price"),
        ("p,m,in_text_uncached,1,0", "`per` '0' is not a whole number from 1"),
        ("p,m,in_text_uncached,1,1.5", "`per` '1.5' is not a whole number"),
    ],
)
def test_an_error_names_its_line(line: str, problem: str) -> None:
    """Whoever typed it finds it."""
    with pytest.raises(PriceCsvError) as refused:
        read_price_csv(f"provider,model,unit,usd,per\np,n,in_text_uncached,1,1000000\n{line}\n")
    assert refused.value.problems[0].startswith("line 3: ")
    assert problem in refused.value.problems[0]


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("tier_above", "-1", "not a whole number from 0"),
        ("tier_above", "9" * 5000, ""),
        ("batch", "2", "from 0 to 1"),
        ("valid_from", "2026-01-01", "not a time such as"),
        ("valid_from", "yesterday", "not a time such as"),
        ("valid_from", "1969-01-01T00:00:00Z", "before 1970"),
        ("service_tier", "hours 25:00-01:00", "not a window of the day"),
        ("service_tier", "hours 16:30-16:30", "not a window of the day"),
        ("service_tier,speed", "hours 16:30-00:30,fast", "not a window of the day"),
    ],
)
def test_optional_cells_are_checked_too(column: str, value: str, problem: str) -> None:
    """A column that is given has to make sense."""
    with pytest.raises(PriceCsvError) as refused:
        read_price_csv(f"provider,model,unit,usd,per,{column}\n{GOOD},{value}\n")
    assert refused.value.problems[0].startswith("line 2: ")
    assert problem in refused.value.problems[0]


def test_a_span_ends_after_it_begins() -> None:
    """A price that never holds is a mistake."""
    with pytest.raises(PriceCsvError, match="not after"):
        read_price_csv(f"provider,model,unit,usd,per,valid_from,valid_to\n{GOOD},2026-01-02T00:00:00Z,2026-01-02T00:00:00Z\n")


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("", "lacks provider, model, unit, usd, per"),
        ("provider,model,unit,usd", "lacks per"),
        ("provider,model,unit,usd,per,price", "unknown column 'price'"),
        ("provider,model,unit,usd,per,usd", "twice"),
    ],
)
def test_the_header_is_checked(header: str, problem: str) -> None:
    """A misspelt column is not silently left out."""
    with pytest.raises(PriceCsvError) as refused:
        read_price_csv(f"{header}\n{GOOD},x\n")
    assert problem in str(refused.value)


def test_the_same_price_twice_is_refused() -> None:
    """Two lines that say different things of the same price: nobody can know which is meant."""
    with pytest.raises(PriceCsvError, match="line 3: says again what line 2 says"):
        read_price_csv("provider,model,unit,usd,per\np,m,in_text_uncached,1,1000000\np,m,in_text_uncached,2,1000000\n")


def test_all_problems_are_reported_at_once_and_nothing_is_taken() -> None:
    """One round of corrections, with a bound on what is shown."""
    lines = "".join(f"p,m{number},bad-unit,1,1\n" for number in range(30))
    with pytest.raises(PriceCsvError) as refused:
        read_price_csv(f"provider,model,unit,usd,per\n{lines}{GOOD}\n")
    assert len(refused.value.problems) == 30
    assert str(refused.value).endswith("and 10 more")


def test_the_imported_list_reads_back_as_it_was_written(imported: Imported) -> None:
    """All of it, row for row."""
    assert read_price_csv(write_price_csv(imported.prices)) == imported.prices


WORDS = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\x85"), min_size=1, max_size=12)
ROWS = st.builds(
    PriceRow,
    provider=WORDS,
    model=WORDS,
    unit=st.sampled_from(sorted(ALL_UNITS)),
    tier_above=st.integers(0, 10**7),
    service_tier=WORDS,
    speed=WORDS,
    geo=WORDS,
    batch=st.integers(0, 1),
    pico=st.integers(0, 10**10),
    valid_from_us=st.integers(0, 2**50),
    valid_to_us=st.one_of(st.none(), st.integers(2**50 + 1, 2**52)),
    source=WORDS,
    checked_at_us=st.integers(0, 2**51),
)


@UNTIMED
@given(rows=st.lists(ROWS, max_size=5, unique_by=lambda row: (row.provider, row.model)))
def test_any_rows_read_back_as_they_were_written(rows: list[PriceRow]) -> None:
    """Commas, quotes, fractions of a pico-dollar that do not exist, microseconds: all survive."""
    assert read_price_csv(write_price_csv(rows)) == rows


@UNTIMED
@given(text=st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Never another error than the one that names lines."""
    for whole in (text, ",".join(COLUMNS) + "\n" + text):
        with contextlib.suppress(PriceCsvError):
            assert isinstance(read_price_csv(whole), list)
