"""Words in a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.sim.words import NO_WORDS, BadWordError, Words, read_words


def test_text_without_words_asks_for_nothing() -> None:
    """The common message costs nothing to read."""
    assert read_words("hello, simulator") is NO_WORDS


def test_several_words_are_read_from_running_text() -> None:
    """Words stand anywhere, and end where a name or a number ends."""
    words = read_words("please sim:bill=team-a sim:output=200, then sim:usage=missing.\nsim:cut=0")
    assert words == Words(bill="team-a", output=200, usage="missing", cut=0)


def test_word_begins_where_nothing_stands_before_it() -> None:
    """The end of another word is none; one that follows is."""
    assert read_words("xsim:output=1") is NO_WORDS
    assert read_words("xsim:output=1 sim:output=2") == Words(output=2)


@pytest.mark.parametrize(
    "text",
    [
        "sim:outptu=3",
        "sim:output=many",
        "sim:output=-1",
        "sim:status=200",
        "sim:status=600",
        "sim:usage=odd",
        "sim:output=1000001",
        "sim:bill=" + "a" * 65,
    ],
)
def test_word_that_cannot_be_obeyed_is_refused(text: str) -> None:
    """A misspelt test fails loudly."""
    with pytest.raises(BadWordError, match="sim:"):
        read_words(text)


@given(st.text() | st.lists(st.sampled_from(["sim:", "output", "=", "9", "bill", " ", "usage", "zero", "-", "٣"])).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing a caller writes raises anything else."""
    try:
        read_words(text)
    except BadWordError:
        return
