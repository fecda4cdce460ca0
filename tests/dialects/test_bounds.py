"""The byte bound of input tokens is never below what any tokenizer can make of the text."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects import bounds
from farebox.dialects.strict import read_object

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40) | st.text("\ufdfa\u1e9b\u0323ﬁ①가é", max_size=20)


@given(TEXTS, st.booleans())
def test_the_bound_covers_the_text_raw_and_normalised(text: str, ascii_only: bool) -> None:
    """However the JSON was escaped."""
    body = json.dumps({"a": text}, ensure_ascii=ascii_only).encode()
    bound = bounds.text_tokens_max(body, read_object(body))
    assert bound >= len(text.encode())
    assert bound >= len(unicodedata.normalize("NFKC", text).encode())
    assert bound >= len(body)


def test_text_that_grows_by_normalisation_is_counted_grown() -> None:
    """U+FDFA is three bytes and becomes thirty-three."""
    for ascii_only in (True, False):
        body = json.dumps({"a": "\ufdfa" * 100}, ensure_ascii=ascii_only).encode()
        assert bounds.text_tokens_max(body, read_object(body)) >= 3300


def test_lone_surrogates_can_be_bounded() -> None:
    """They have no UTF-8, and must not break the bound."""
    body = b'{"a":"\\ud800\\ufdfa"}'
    assert bounds.text_tokens_max(body, read_object(body)) >= 33


@pytest.mark.parametrize("text", ["plain", "gr\u00fc\u00dfe", "日本語"])
def test_text_that_is_normal_costs_its_bytes(text: str) -> None:
    """Nothing is added where nothing grows."""
    body = json.dumps({"a": text}, ensure_ascii=False).encode()
    assert bounds.text_tokens_max(body, read_object(body)) == len(body)


def test_messages_and_tools_add_their_templates() -> None:
    """The constants are in one place."""
    plain = bounds.input_tokens_max(b"{}", {}, messages=0, tools=0, per_request=0)
    assert bounds.input_tokens_max(b"{}", {}, messages=2, tools=3, per_request=5) == plain + 2 * 16 + 3 * 64 + 5


def test_a_long_run_of_marks_is_bounded_without_sorting_it() -> None:
    """Sorting one takes the square of its length, and anybody may send one: a megabyte took minutes."""
    hostile = "a" + "\u0301" * 300_000 + "\u0316" * 300_000
    assert bounds.normalised_bytes(hostile) == 11 * len(hostile.encode())
    most = "a" + "\u0301" * 16 + "\u0316" * 16
    assert bounds.normalised_bytes(most * 3) == len(unicodedata.normalize("NFKC", most * 3).encode())


def test_every_character_that_is_a_mark_is_known_as_one_and_none_grows_more() -> None:
    """Of all there are: whatever is taken apart into marks alone lengthens a run of them."""
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    marks = [one for one in every if all(map(unicodedata.combining, unicodedata.normalize("NFKD", one)))]
    assert len(marks) > 800
    assert all(bounds.normalised_bytes(one * 33) == 33 * 11 * len(one.encode()) for one in marks)
    assert max(len(unicodedata.normalize("NFKC", one).encode()) / len(one.encode()) for one in every) == 11
