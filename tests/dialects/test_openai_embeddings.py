"""What embeddings may cost at most, what is sent, and what the answer says."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects import OpenAI
from farebox.dialects.base import Ask
from farebox.dialects.routes import match
from farebox.errors import AmbiguousBody, CostUnbounded, InvalidRequest
from farebox.pricing.cards import ModelPrice
from farebox.pricing.quote import bound
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.usage import IN_TEXT

ROUTE = match("POST", "/v1/embeddings", [])
OPENAI = OpenAI()
ANSWER = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}


def encoded(value: Any, **members: Any) -> bytes:
    return json.dumps({"model": "text-embedding-3-small", "input": value, **members}).encode()


def ask(value: Any, **members: Any) -> Ask:
    return OPENAI.ask(ROUTE, encoded(value, **members), {})


def read(**members: Any) -> Any:
    return OPENAI.read_answer(ask("x"), json.dumps({**ANSWER, **members}).encode(), {})


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1"])
def test_the_route_is_metered(prefix: str) -> None:
    """Bare and with its prefix."""
    route = match("POST", f"{prefix}/embeddings", [])
    assert (route.dialect, route.name, route.kind, route.upstream_path) == ("openai", "embeddings", "metered", "/embeddings")


def test_texts_are_bounded_by_their_bytes() -> None:
    """And sixteen for each: nothing is generated."""
    body = encoded(["one", "two", "three"])
    read = OPENAI.ask(ROUTE, body, {})
    assert read.demand.input_tokens_max == len(body) + 3 * 16
    assert (read.demand.input_units, read.demand.output_units, read.demand.prompts) == ((IN_TEXT,), (), 3)
    assert not read.stream


def test_tokens_are_counted_however_long_they_are_written() -> None:
    """An integer is one token, not its digits."""
    tokens = [100_257] * 5_000
    rest = len(json.dumps({"model": "text-embedding-3-small"}))
    assert ask(tokens).demand.input_tokens_max == 5_000 + rest + 16
    assert ask([tokens, tokens]).demand.input_tokens_max == 10_000 + rest + 32
    assert ask([tokens, tokens]).demand.prompts == 2


def test_each_input_may_fill_the_window() -> None:
    """Forty inputs of the window's length are held for forty times, one that is longer for the window only."""
    price = ModelPrice(
        ModelRow("openai", "m", ("m",), 8192),
        [PriceRow("openai", "m", IN_TEXT, 0, "default", "standard", "global", 0, 7, 0, None, "list", 0)],
    )
    assert bound(ask([[1] * 8192] * 40).demand, price).input_tokens == 40 * 8192
    assert bound(ask("x" * 100_000).demand, price).input_tokens == 8192


def test_a_text_that_grows_when_it_is_normalised_is_bounded_by_what_it_becomes() -> None:
    """One character of three bytes may become eighteen."""
    body = json.dumps({"model": "m", "input": "\ufdfa" * 100}, ensure_ascii=False).encode()
    assert OPENAI.ask(ROUTE, body, {}).demand.input_tokens_max > len(body) * 2


@pytest.mark.parametrize(
    "value", [None, 1, "", [], [[]], {}, [None], [1, "x"], ["x", [1]], [[1], []], [[1, "x"]], [-1], [True], [[1.5]], [{}]]
)
def test_other_inputs_are_refused(value: Any) -> None:
    """Mixed, empty or of another type. An empty text is one input, and the provider's to refuse."""
    if value == "":
        assert ask(value).demand.prompts == 1
        return
    with pytest.raises(InvalidRequest):
        ask(value)


def test_more_inputs_than_the_api_takes_are_refused() -> None:
    """A list of tokens is one input."""
    with pytest.raises(InvalidRequest):
        ask(["x"] * 2049)
    assert ask([1] * 2049).demand.prompts == 1


@pytest.mark.parametrize("members", [{"stream": True}, {"messages": [{"role": "user", "content": "x"}]}])
def test_what_has_no_bound_is_refused(members: dict[str, Any]) -> None:
    """Hosts that speak like OpenAI read more than it does."""
    with pytest.raises(CostUnbounded):
        ask("x", **members)


def test_another_spelling_of_the_input_is_refused() -> None:
    """A lenient host might embed it instead."""
    with pytest.raises(AmbiguousBody):
        ask("x", Input="y")


def test_only_the_model_is_rewritten() -> None:
    """Every other byte stays."""
    body = encoded("x", dimensions=5)
    asked = OPENAI.ask(ROUTE, body, {})
    assert OPENAI.rewrite(asked, body, model=None, output_cap=None) is body
    assert OPENAI.rewrite(asked, body, model="m2", output_cap=None) == body.replace(b"text-embedding-3-small", b"m2")


def test_the_usage_is_the_tokens_embedded() -> None:
    """With the model that answered."""
    report = read()
    assert report.finished
    assert report.usage is not None
    assert (report.usage.units, report.usage.prompt_total, report.usage.model_served) == ({IN_TEXT: 8}, 8, "text-embedding-3-small")
    assert json.loads(report.usage.raw) == ANSWER["usage"]
    assert report.flags == ()


@pytest.mark.parametrize(
    ("usage", "tokens", "flag"),
    [
        ({"total_tokens": 8}, 8, None),
        ({"prompt_tokens": 8}, 8, None),
        ({"prompt_tokens": 8, "total_tokens": 9}, 9, "inconsistent_usage"),
        ({"prompt_tokens": 8, "total_tokens": 8, "image_tokens": 5}, 8, "unknown_usage_field"),
        ({"prompt_tokens": -1}, None, "absurd_usage"),
        ({"prompt_tokens": 8.5}, None, "absurd_usage"),
        ({"prompt_tokens": 10**30}, None, "absurd_usage"),
        ({}, None, "partial_usage"),
        ([], None, "absurd_usage"),
        (None, None, None),
    ],
)
def test_usage_that_is_odd_is_read_dearly_or_not_at_all(usage: Any, tokens: int | None, flag: str | None) -> None:
    """And says so."""
    report = read(usage=usage)
    assert (report.usage.units[IN_TEXT] if report.usage else None) == tokens
    assert report.flags == ((flag,) if flag else ())


def test_an_answer_without_data_is_no_answer() -> None:
    """The hold is charged, and the client told."""
    assert not read(data=None).finished
    assert not OPENAI.read_answer(ask("x"), b"<html>", {}).finished


def test_an_answer_that_comes_in_pieces_says_the_same() -> None:
    """Nothing is shown before it is whole."""
    body = json.dumps(ANSWER).encode()
    meter = OPENAI.stream(ask("x"), {})
    assert meter.feed(body[:9]) + meter.feed(body[9:]) + meter.close() == b""
    assert (meter.held_back, meter.finished) == (body, True)
    assert meter.report() == read()


@given(st.binary(max_size=200))
def test_hostile_bytes_never_raise(data: bytes) -> None:
    """Whatever a provider sends."""
    assert OPENAI.read_answer(ask("x"), data, {}).usage is None
    assert OPENAI.read_answer(ask("x"), b'{"data":[],"usage":' + data + b"}", {}) is not None
