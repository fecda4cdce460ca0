"""Legacy completions: what they may cost at most, what is sent, and how their answers are metered."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects import OpenAI
from farebox.dialects.base import Ask, Report
from farebox.dialects.routes import match
from farebox.errors import CostUnbounded, InvalidRequest
from farebox.usage import IN_TEXT, OUT_TEXT

ROUTE = match("POST", "/v1/completions", [])
OPENAI = OpenAI()
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def encoded(**members: Any) -> bytes:
    return json.dumps({"model": "gpt-3.5-turbo-instruct", "prompt": "hello", **members}).encode()


def ask(**members: Any) -> Ask:
    return OPENAI.ask(ROUTE, encoded(**members), {})


def chunk(*choices: tuple[int, str, str | None], **members: Any) -> bytes:
    listed = [{"text": text, "index": index, "logprobs": None, "finish_reason": finish} for index, text, finish in choices]
    body = {"id": "cmpl-1", "object": "text_completion", "model": "gpt-3.5-turbo-instruct", "choices": listed, **members}
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def run(asked: Ask, *pieces: bytes) -> tuple[bytes, bytes, Report]:
    meter = OPENAI.stream(asked, {})
    relayed = b"".join([meter.feed(piece) for piece in pieces]) + meter.close()
    return relayed, meter.held_back, meter.report()


def test_the_prompt_is_bounded_by_its_bytes() -> None:
    """And what the provider adds."""
    body = encoded()
    read = OPENAI.ask(ROUTE, body, {})
    assert (read.route, read.demand.input_tokens_max, read.demand.prompts) == ("completions", len(body) + 16 + 1024, 1)


@pytest.mark.parametrize(
    ("members", "choices"),
    [
        ({}, 1),
        ({"n": 3}, 3),
        ({"best_of": 4}, 4),
        ({"n": 2, "best_of": 5}, 5),
        ({"prompt": ["a", "b"], "n": 2}, 4),
        ({"prompt": [[1, 2], [3]], "best_of": 2}, 4),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": None}, 1),
    ],
)
def test_every_prompt_is_generated_as_often_as_the_best_is_chosen_from(members: dict[str, Any], choices: int) -> None:
    """The output cap is for each."""
    assert ask(**members).demand.choices == choices


@pytest.mark.parametrize(("n", "best_of", "stream"), [(3, 2, False), (1, 2, True), (129, None, False), (0, None, False), (1, 129, False)])
def test_numbers_that_the_api_does_not_take_are_refused(n: int, best_of: int | None, stream: bool) -> None:
    """A stream cannot show the best of several."""
    with pytest.raises(InvalidRequest):
        ask(n=n, best_of=best_of, stream=stream)


@pytest.mark.parametrize(("members", "cap"), [({}, 16), ({"max_tokens": None}, 16), ({"max_tokens": 0}, 0), ({"max_tokens": 99}, 99)])
def test_the_cap_is_sixteen_where_none_is_named(members: dict[str, Any], cap: int) -> None:
    """As the API has it, and it is sent along: other hosts have other defaults."""
    body = encoded(**members)
    read = OPENAI.ask(ROUTE, body, {})
    assert read.demand.output_tokens_named == cap
    assert json.loads(OPENAI.rewrite(read, body, model=None, output_cap=None)) == {**json.loads(body), "max_tokens": cap}
    assert json.loads(OPENAI.rewrite(read, body, model="m", output_cap=7)) == {**json.loads(body), "max_tokens": 7, "model": "m"}


@pytest.mark.parametrize("members", [{"max_completion_tokens": 5}, {"service_tier": "flex"}, {"use_beam_search": True}, {"n_predict": 5}])
def test_what_may_move_the_cost_unseen_is_refused(members: dict[str, Any]) -> None:
    """Names of other routes and other hosts."""
    with pytest.raises(CostUnbounded):
        ask(**members)


def test_a_whole_answer_is_read_as_a_chats_is() -> None:
    """Its texts are the output that it shows."""
    answer = {"id": "cmpl-1", "model": "m", "choices": [{"text": "hé", "index": 0, "finish_reason": "stop"}], "usage": USAGE}
    report = OPENAI.read_answer(ask(), json.dumps(answer).encode(), {})
    assert (report.finished, report.delivered_bytes, report.response_id) == (True, 3, "cmpl-1")
    assert report.usage is not None
    assert report.usage.units == {IN_TEXT: 5, OUT_TEXT: 3}


def test_a_stream_hides_the_usage_that_was_not_asked_for() -> None:
    """It is asked for on the client's behalf, and its end waits for the charge."""
    body = encoded(stream=True)
    read = OPENAI.ask(ROUTE, body, {})
    assert json.loads(OPENAI.rewrite(read, body, model=None, output_cap=None))["stream_options"] == {"include_usage": True}
    pieces = [chunk((0, "Hi", None), usage=None), chunk((0, "!", "stop"), usage=None), chunk(usage=USAGE), b"data: [DONE]\n\n"]
    relayed, held, report = run(read, *pieces)
    assert relayed == chunk((0, "Hi", None))
    assert held == chunk((0, "!", "stop")) + b"data: [DONE]\n\n"
    assert (report.finished, report.delivered_bytes) == (True, 3)
    assert report.usage is not None
    assert report.usage.units == {IN_TEXT: 5, OUT_TEXT: 3}


def test_usage_that_was_asked_for_is_shown() -> None:
    """Byte for byte."""
    body = encoded(stream=True, stream_options={"include_usage": True})
    pieces = [chunk((0, "Hi", "stop"), usage=None), chunk(usage=USAGE), b"data: [DONE]\n\n"]
    relayed, held, _ = run(OPENAI.ask(ROUTE, body, {}), *pieces)
    assert relayed + held == b"".join(pieces)


def test_a_count_so_far_is_not_the_final_report_of_a_stream_that_broke() -> None:
    """More text after it: only what was delivered is known."""
    _, _, report = run(ask(stream=True), chunk((0, "a", "stop"), usage=USAGE), chunk((0, "more", None)))
    assert (report.usage, report.delivered_bytes, report.finished) == (None, 5, False)


@given(st.binary(max_size=200))
def test_hostile_bytes_never_raise(data: bytes) -> None:
    """Whole or as a stream."""
    OPENAI.read_answer(ask(), data, {})
    OPENAI.read_answer(ask(), b'{"choices":[{"text":' + data + b"}]}", {})
    run(ask(stream=True), b"data: " + data + b"\n\n")
