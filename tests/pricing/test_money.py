"""Dollars as they are written, and as they are booked."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from farebox.money import NANO_MAX, NotMoneyError, format_usd, parse_usd, write_usd

digits = st.text("0123456789", max_size=11)


@given(digits, st.none() | digits, st.sampled_from(["", "", "", "-", "+", " ", "$"]), st.sampled_from(["", "", "", "e2", " ", "\n"]))
def test_an_amount_is_what_it_is_written_as_or_none(whole: str, part: str | None, before: str, after: str) -> None:
    """However plain it is written: the amount is the number times a thousand million, exactly, or it is refused."""
    text = before + whole + ("" if part is None else f".{part}") + after
    try:
        nano = parse_usd(text)
    except NotMoneyError:
        number = text.strip().removeprefix("$")
        assert not (whole or part) or Decimal(number) * 10**9 % 1 or abs(Decimal(number)) * 10**9 >= NANO_MAX
    else:
        assert nano == Decimal(text.strip().removeprefix("$")) * 10**9
        assert parse_usd(format_usd(nano)) == nano


@given(st.integers(-(10**12), 10**12) | st.integers(-NANO_MAX, NANO_MAX))
@example(0)
@example(-1)
@example(999_999_999)
@example(-1_000_000_000)
@example(1_010_000_000)
def test_an_amount_is_written_exactly_with_its_cents_and_no_more_places_than_it_needs(nano: int) -> None:
    """Remembered or not, it is written the same: a plain number, two decimal places or as many as are not zero."""
    text = write_usd(nano)
    assert text == format_usd(nano)
    assert Decimal(text) * 10**9 == nano
    whole, _, places = text.partition(".")
    assert whole == ("-" if nano < 0 else "") + str(abs(nano) // 10**9)
    assert len(places) == 2 or (2 < len(places) <= 9 and not places.endswith("0"))


@pytest.mark.parametrize("text", ["", ".", "$", "1,50", "NaN", "Infinity", "1e40", "0.0000000001", "--1", "0x1"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """In words that name it."""
    with pytest.raises(NotMoneyError, match=r"is not|larger|more decimal"):
        parse_usd(text)
