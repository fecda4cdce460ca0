"""What is counted here is never below what tiktoken counts of the whole, and never above the bytes."""

import gzip
import importlib
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import tiktoken.model
from hypothesis import example, given, settings
from hypothesis import strategies as st

from farebox.dialects import bounds
from farebox.dialects.tokens import cl100k_base, counting, models, o200k_base, ranks
from farebox.dialects.tokens.models import EncodingName
from farebox.errors import SettingsError

NAMES: tuple[EncodingName, ...] = ("o200k_base", "cl100k_base")
openai_public = importlib.import_module("tiktoken_ext.openai_public")
ENCODINGS = {"o200k_base": o200k_base.ENCODING, "cl100k_base": cl100k_base.ENCODING}
ODD = (
    "a",
    "A",
    "é",
    "ß",
    "'s",
    "'LL",
    "7",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "/",
    "...",
    "-",
    "_",
    "中",
    "\uff0c",
    "か",
    "é\u0301",
    "\x00",
    "\x1c",
    "\u2028",
    "🙂",
    "ﷺ",
)
TEXTS = st.text(max_size=60) | st.lists(st.sampled_from(ODD), max_size=60).map("".join)


def whole(text: str, name: EncodingName) -> int:
    """tiktoken's own count, the text in one piece."""
    return len(ENCODINGS[name].encode_ordinary(text))


@settings(deadline=None)
@given(TEXTS, st.sampled_from(NAMES))
def test_no_text_has_more_tokens_than_bytes(text: str, name: EncodingName) -> None:
    """The byte bound holds for whatever can be written."""
    text = text.encode("utf-8", "replace").decode()
    assert counting.text_tokens(text, name) <= len(text.encode())


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(NAMES), st.integers(1, 12), st.integers(1, 8))
@example("a  \n\n  b", "cl100k_base", 4, 1)
@example("!\n/\n/x don't1'd", "o200k_base", 3, 2)
def test_cutting_a_text_never_lowers_its_count(text: str, name: EncodingName, chunk: int, tail: int) -> None:
    """Cut into the smallest pieces, so that every kind of cut is made: each piece is whole words, or counted by its bytes."""
    counter, pieces = counting._Counter(name), text * 3
    before = counting._CHUNK_CHARS, counting._TAIL_CHARS
    try:
        counting._CHUNK_CHARS, counting._TAIL_CHARS = chunk, tail
        assert counter.count(pieces) >= whole(pieces, name)
    finally:
        counting._CHUNK_CHARS, counting._TAIL_CHARS = before


@settings(max_examples=300, deadline=None)
@given(TEXTS.filter(bool), TEXTS, st.sampled_from(NAMES))
def test_every_cut_is_the_end_of_a_word(before: str, after: str, name: EncodingName) -> None:
    """At each place where a text may be cut, its parts have exactly as many tokens as the whole."""
    text = (before + after) * 2
    for end in counting._END_OF_WORD.finditer(text):
        assert whole(text[: end.end()], name) + whole(text[end.end() :], name) == whole(text, name)


LONG: dict[str, Callable[[int], str]] = {
    "prose": lambda size: ("The quick brown fox isn't 42 years old, is it?\n\n" * (size // 40))[:size],
    "code": lambda size: ("    def count(self, text: str) -> int:\n        return len(text)\n" * (size // 50))[:size],
    "chinese": lambda size: ("敏捷的棕色狐狸跳过了懒狗\uff0c然后睡着了。" * (size // 10))[:size],
    "base64": lambda size: ("q83vASNFZ4mrze8BI0VniavN7wEjRWeJ" * (size // 30))[:size],
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", LONG)
def test_long_texts_that_people_write_are_counted_exactly(kind: str, name: EncodingName) -> None:
    """Cut into pieces and not one token dearer."""
    text = LONG[kind](300_000)
    assert counting.text_tokens(text, name) == whole(text, name)


@pytest.mark.parametrize("letter", ["a", " ", "\n", "-", "中", "\x00", "'s", " \n", "\u0301"])
def test_megabytes_without_a_word_are_counted_by_their_bytes(letter: str) -> None:
    """One endless word would take long to cut, so it is not cut. Its bytes are no fewer than its tokens."""
    text = letter * (2_000_000 // len(letter))
    counter, pieces = counting._Counter("o200k_base"), [0]

    def encode(text: str) -> list[int]:
        pieces.append(len(text))
        return ENCODINGS["o200k_base"].encode_ordinary(text)

    counter._encode = encode
    tokens = counter.count(text)
    assert max(pieces) <= counting._CHUNK_CHARS
    assert whole(text[:16_000], "o200k_base") * (len(text) // 16_000) <= tokens <= len(text.encode())


def test_what_fits_into_no_context_is_counted_by_its_bytes() -> None:
    """The time for one request is bounded, whatever it holds."""
    text = "word " * 500_000
    request = [text, text, text, text, "tail"]
    bound = counting.request_tokens("gpt-5", request, messages=0, tools=0)
    assert bound is not None
    assert len(text) < bound < 2 * len(text)  # the last long one and what follows it


def test_special_tokens_are_text() -> None:
    """Whoever writes one pays for its letters."""
    assert counting.text_tokens("<|endoftext|>", "o200k_base") == whole("<|endoftext|>", "o200k_base") > 1


def test_lone_surrogates_are_counted() -> None:
    """They have no UTF-8; a provider reads something of three bytes in their place."""
    assert counting.text_tokens("\ud800", "o200k_base") >= 1
    assert counting.text_tokens("\ud800" * 40_000, "o200k_base") >= whole("\ufffd" * 40_000, "o200k_base")


# --- a whole request -----------------------------------------------------------------------------------------------------------------------

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def strings(value: Any) -> list[str]:
    """Every name and every string in it."""
    if isinstance(value, dict):
        return [*value, *(text for inner in value.values() for text in strings(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [value] if isinstance(value, str) else []


@settings(deadline=None)
@given(JSON, st.integers(0, 9), st.integers(0, 9))
def test_the_count_of_a_request_covers_all_that_is_in_it(request: Any, messages: int, tools: int) -> None:
    """Each name and string with the factor, and the templates."""
    bound = counting.request_tokens("gpt-4o-2024-11-20", request, messages=messages, tools=tools)
    assert bound is not None
    texts = sum(whole(text, "o200k_base") for text in strings(request))
    assert bound * 100 >= texts * 105 + 100 * (8 * messages + 32 * tools + 128)


def test_the_known_overhead_of_a_chat_is_covered() -> None:
    """The published rule: three tokens per message and one for a name, and three before the answer."""
    messages = [{"role": "user", "name": "ann", "content": "Hello there."}] * 50
    real = 3 + sum(3 + 1 + sum(whole(value, "o200k_base") for value in message.values()) for message in messages)
    bound = counting.request_tokens("gpt-4o", {"messages": messages}, messages=len(messages), tools=0)
    assert bound is not None
    assert real <= bound < 4 * real


def test_media_are_left_out_by_what_they_are_and_not_by_how_they_look() -> None:
    """A text that only looks like media is counted."""
    picture = "data:image/png;base64," + "QUJD" * 1000
    twin = picture[:1] + picture[1:]
    assert twin is not picture
    with_both = counting.request_tokens("gpt-4o", [picture, twin], messages=0, tools=0)
    with_one = counting.request_tokens("gpt-4o", [picture, twin], messages=0, tools=0, media=[picture])
    with_none = counting.request_tokens("gpt-4o", [picture, twin], messages=0, tools=0, media=[picture, twin])
    assert with_both is not None
    assert with_one is not None
    assert with_none is not None
    assert with_both > with_one > with_none


def test_a_request_is_counted_far_below_its_bytes() -> None:
    """That is what the second stage is for."""
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"' + b"Some ordinary words. " * 2000 + b'"}]}'
    members = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Some ordinary words. " * 2000}]}
    bound = counting.request_tokens("gpt-4o", members, messages=1, tools=0)
    assert bound is not None
    assert bound * 3 < bounds.input_tokens_max(body, members, messages=1, tools=0, per_request=bounds.TOKENS_PER_REQUEST_OPENAI)


# --- models and files ----------------------------------------------------------------------------------------------------------------------


def test_models_have_the_encoding_that_tiktoken_says() -> None:
    """Every name and every prefix that it knows; the older encodings are not carried along."""
    theirs = {
        **tiktoken.model.MODEL_TO_ENCODING,
        **{f"{prefix}-2026": name for prefix, name in tiktoken.model.MODEL_PREFIX_TO_ENCODING.items()},
    }
    for model, theirs_is in theirs.items():
        name = "o200k_base" if theirs_is == "o200k_harmony" else theirs_is
        assert models.encoding_of(model) == (name if name in NAMES else None), model


@pytest.mark.parametrize(
    "model", ["gpt-6-sol", "claude-opus-5-5", "gemini-3.5-flash", "someone/gpt-4o", "gpt-41", "", "o5", "text-embedding-4"]
)
def test_a_model_of_which_it_is_not_known_is_not_counted_here(model: str) -> None:
    """The provider is asked instead."""
    assert not models.exact_for(model)
    assert counting.request_tokens(model, {}, messages=1, tools=0) is None


@pytest.mark.parametrize("model", ["gpt-4o", "openai/gpt-4.1-mini", "ft:gpt-4o-mini:org::id", "o3", "text-embedding-3-small"])
def test_spellings_of_a_model_are_understood(model: str) -> None:
    """With its maker or a fine-tune's marks."""
    assert models.exact_for(model)


def test_rank_files_and_patterns_are_tiktokens_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hashes and the patterns that the library itself would use, and every rank once."""
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda _url, expected_hash: expected_hash)
    for ours, theirs in ((o200k_base, openai_public.o200k_base()), (cl100k_base, openai_public.cl100k_base())):
        assert theirs["pat_str"] == ours.PATTERN
        assert theirs["mergeable_ranks"] == ours.SHA256
        assert ours.ENCODING.max_token_value == ours.ENCODING.n_vocab - 1 == len(ours.ENCODING.token_byte_values()) - 1


def test_a_damaged_rank_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong count would be worse than none."""
    monkeypatch.setattr(gzip, "decompress", lambda _packed: b"IQ== 0\n")
    with pytest.raises(SettingsError, match="o200k_base"):
        ranks.load("o200k_base", sha256=o200k_base.SHA256, pattern=o200k_base.PATTERN)


def test_nothing_is_loaded_before_the_first_count_and_then_once() -> None:
    """A gateway that never needs it does not carry it; threads that need it at once wait for one of them to load it."""
    code = """
import sys
from concurrent.futures import ThreadPoolExecutor
import farebox.app
from farebox.dialects.tokens import counting, models, ranks
loaded, load = [], ranks.load
ranks.load = lambda name, **rest: loaded.append(name) or load(name, **rest)
assert models.exact_for("gpt-4o")
assert not {"tiktoken", "regex", "requests", "tinytag"} & set(sys.modules), sys.modules.keys()
with ThreadPoolExecutor(8) as threads:
    assert len(set(threads.map(lambda _: counting.text_tokens("hello world", "o200k_base"), range(16)))) == 1
assert loaded == ["o200k_base"], loaded
assert "requests" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_threads_count_alike() -> None:
    """One encoding serves them all."""
    text = LONG["code"](60_000)
    with ThreadPoolExecutor(4) as threads:
        counts = set(threads.map(lambda _: counting.text_tokens(text, "cl100k_base"), range(12)))
    assert counts == {whole(text, "cl100k_base")}
