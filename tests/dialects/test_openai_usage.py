"""OpenAI's usage object: inclusive totals become disjoint units, and what cannot be true is not charged as if it were."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects import OpenAI
from farebox.dialects.base import Report
from farebox.dialects.routes import match
from farebox.usage import (
    IN_AUDIO,
    IN_CACHE_READ,
    IN_CACHE_READ_AUDIO,
    IN_CACHE_READ_IMAGE,
    IN_CACHE_WRITE_1H,
    IN_CACHE_WRITE_12H,
    IN_CACHE_WRITE_30M,
    IN_IMAGE,
    IN_TEXT,
    OUT_AUDIO,
    OUT_TEXT,
)

CHAT = match("POST", "/openai/v1/chat/completions", [])
OPENAI = OpenAI()
REQUEST: dict[str, Any] = {"model": "gpt-6-sol", "messages": [{"role": "user", "content": "x"}]}
ASK = OPENAI.ask(CHAT, json.dumps(REQUEST).encode(), {})
FULL = {
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "total_tokens": 1100,
    "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 300, "audio_tokens": 0, "image_tokens": 0, "text_tokens": 1000},
    "completion_tokens_details": {
        "reasoning_tokens": 40,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
        "text_tokens": 60,
    },
}


def answer(usage: Any, **members: Any) -> bytes:
    """A whole answer."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    return json.dumps({"id": "chatcmpl-1", "model": "gpt-6-sol-2026-09-01", "choices": [choice], "usage": usage, **members}).encode()


def report(usage: Any, **members: Any) -> Report:
    """What the dialect reads from it."""
    return OPENAI.read_answer(ASK, answer(usage, **members), {})


def test_cached_and_written_tokens_are_part_of_the_prompt() -> None:
    """The example of the reference."""
    read = report(FULL, service_tier="default")
    assert read.usage is not None
    assert read.usage.units == {IN_TEXT: 100, IN_CACHE_READ: 600, IN_CACHE_WRITE_30M: 300, OUT_TEXT: 100}
    assert read.usage.prompt_total == 1000
    assert read.usage.model_served == read.model_served == "gpt-6-sol-2026-09-01"
    assert read.usage.raw == json.dumps(FULL).encode()
    assert read.usage.conditions.service_tier == "default"
    assert (read.response_id, read.finished, read.upstream_error, read.flags) == ("chatcmpl-1", True, False, ())
    assert read.delivered_bytes == 2


def test_explicit_zero_stays_zero() -> None:
    """A report of nothing is a report."""
    read = report({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})
    assert read.usage is not None
    assert read.usage.units == {}
    assert read.usage.prompt_total == 0


@pytest.mark.parametrize(
    ("usage", "flag"),
    [
        ({"prompt_tokens": 5}, "partial_usage"),
        ({"completion_tokens": 5, "total_tokens": 5}, "partial_usage"),
        ({"prompt_tokens": None, "completion_tokens": 5}, "partial_usage"),
        ({}, "partial_usage"),
        ({"prompt_tokens": -5, "completion_tokens": 5}, "absurd_usage"),
        ({"prompt_tokens": 5, "completion_tokens": -5}, "absurd_usage"),
        ({"prompt_tokens": 5.0, "completion_tokens": 5}, "absurd_usage"),
        ({"prompt_tokens": True, "completion_tokens": 5}, "absurd_usage"),
        ({"prompt_tokens": "5", "completion_tokens": 5}, "absurd_usage"),
        ({"prompt_tokens": 5, "completion_tokens": 10**30}, "absurd_usage"),
        ({"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": -1}}, "absurd_usage"),
        ({"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": [1]}, "absurd_usage"),
        ([], "absurd_usage"),
        ("x", "absurd_usage"),
    ],
)
def test_missing_and_absurd_numbers_are_no_report(usage: Any, flag: str) -> None:
    """Negative usage would refill a wallet."""
    read = report(usage)
    assert read.usage is None
    assert read.flags == (flag,)


def test_no_usage_is_no_report_and_nothing_odd() -> None:
    """Null or absent."""
    assert report(None).usage is None
    assert report(None).flags == ()


@pytest.mark.parametrize(
    ("usage", "units", "flags"),
    [
        # A host that reports cached tokens beside the prompt.
        (
            {"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 5000}},
            {IN_TEXT: 100, IN_CACHE_READ: 5000, OUT_TEXT: 1},
            ("inconsistent_usage",),
        ),
        # DeepSeek.
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6},
            {IN_TEXT: 6, IN_CACHE_READ: 4, OUT_TEXT: 2},
            (),
        ),
        # xAI: reasoning beside the completion, inside the total.
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 42, "completion_tokens_details": {"reasoning_tokens": 30}},
            {IN_TEXT: 10, OUT_TEXT: 32},
            (),
        ),
        # A host whose total includes thoughts that it names nowhere.
        ({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 42}, {IN_TEXT: 10, OUT_TEXT: 32}, ("inconsistent_usage",)),
        ({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 12}, {IN_TEXT: 10, OUT_TEXT: 20}, ("inconsistent_usage",)),
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 30}},
            {IN_TEXT: 10, OUT_TEXT: 32},
            ("inconsistent_usage",),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "completion_tokens_details": {"audio_tokens": 5}},
            {IN_TEXT: 10, OUT_TEXT: 2, OUT_AUDIO: 5},
            ("inconsistent_usage",),
        ),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 30, "audio_tokens": 60, "image_tokens": 20, "cache_write_tokens": 10},
                "completion_tokens_details": {"audio_tokens": 40},
            },
            {IN_CACHE_READ: 10, IN_CACHE_READ_IMAGE: 20, IN_CACHE_WRITE_30M: 10, IN_AUDIO: 60, OUT_TEXT: 10, OUT_AUDIO: 40},
            (),
        ),
        ({"prompt_tokens": 1, "completion_tokens": 1, "holograms": 3}, {IN_TEXT: 1, OUT_TEXT: 1}, ("unknown_usage_field",)),
    ],
)
def test_hosts_that_deviate_are_charged_the_larger_reading(usage: Any, units: dict[str, int], flags: tuple[str, ...]) -> None:
    """Each case is a host, or a contradiction."""
    read = report(usage)
    assert read.usage is not None
    assert read.usage.units == units
    assert read.flags == read.usage.flags == flags


@pytest.mark.parametrize(
    ("details", "units"),
    [
        # More was cached than there is text: the rest of it can only be pictures.
        ({"cached_tokens": 800, "image_tokens": 900}, {IN_CACHE_READ: 100, IN_CACHE_READ_IMAGE: 700, IN_IMAGE: 200}),
        ({"cached_tokens": 100, "image_tokens": 900}, {IN_CACHE_READ: 100, IN_IMAGE: 900}),
        # A write costs more than the picture that is written.
        ({"cache_write_tokens": 900, "image_tokens": 900}, {IN_CACHE_WRITE_30M: 900, IN_IMAGE: 100}),
        ({"cache_write_tokens": 900, "audio_tokens": 900}, {IN_CACHE_WRITE_30M: 100, IN_AUDIO: 900}),
        ({"cached_tokens": 950, "audio_tokens": 900}, {IN_CACHE_READ: 100, IN_CACHE_READ_AUDIO: 850, IN_AUDIO: 50}),
    ],
)
def test_media_that_were_cached_or_written_are_told_apart_as_far_as_they_can_be(details: dict[str, int], units: dict[str, int]) -> None:
    """The number of cached tokens is one for text and media."""
    read = report({"prompt_tokens": 1000, "completion_tokens": 0, "total_tokens": 1000, "prompt_tokens_details": details})
    assert read.usage is not None
    assert (read.usage.units, read.flags) == (units, ())


@pytest.mark.parametrize(
    ("members", "unit"),
    [
        ({}, IN_CACHE_WRITE_30M),
        ({"prompt_cache_options": {"ttl": "30m"}}, IN_CACHE_WRITE_30M),
        ({"prompt_cache_options": {"ttl": "12h"}}, IN_CACHE_WRITE_12H),
        ({"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}, IN_CACHE_WRITE_12H),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, IN_CACHE_WRITE_1H),
    ],
)
def test_what_is_written_to_the_cache_is_charged_for_as_long_as_was_asked(members: dict[str, Any], unit: str) -> None:
    """A chat's usage has one number for all lifetimes: the longest is meant."""
    whole = {name: value for name, value in members.items() if name == "prompt_cache_options"}
    part = {"type": "text", "text": "x", **{name: value for name, value in members.items() if name not in whole}}
    ask = OPENAI.ask(CHAT, json.dumps({**REQUEST, **whole, "messages": [{"role": "user", "content": [part]}]}).encode(), {})
    for usage in (FULL, {**FULL, "new": 0}):
        read = OPENAI.read_answer(ask, answer(usage), {})
        assert read.usage is not None
        assert read.usage.units == {IN_TEXT: 100, IN_CACHE_READ: 600, unit: 300, OUT_TEXT: 100}
        assert unit in ask.demand.input_units


@pytest.mark.parametrize(
    ("asked", "served", "tier"),
    [
        (None, None, "default"),
        ("priority", None, "priority"),
        ("fast", None, "priority"),
        ("flex", None, "default"),
        ("flex", "flex", "flex"),
        ("priority", "default", "default"),
        (None, "fast", "priority"),
        ("auto", "auto", "default"),
    ],
)
def test_the_tier_is_the_one_that_served(asked: str | None, served: str | None, tier: str) -> None:
    """The answer's tier wins over the asked one."""
    ask = OPENAI.ask(CHAT, json.dumps({**REQUEST, "service_tier": asked}).encode(), {})
    read = OPENAI.read_answer(ask, answer(FULL, service_tier=served), {})
    assert read.usage is not None
    assert read.usage.conditions.service_tier == tier


@pytest.mark.parametrize(
    ("usage", "pico"),
    [
        ({"cost_in_usd_ticks": 123}, 12_300),
        ({"cost": 0.00014825}, 148_250_000),
        ({"cost": 2}, 2 * 10**12),
        ({"cost": {"total_cost": 0.5}}, 5 * 10**11),
        ({"cost": 0.00000000000000001}, 1),
        ({"cost": -1}, None),
        ({"cost": "free"}, None),
        ({}, None),
    ],
)
def test_a_cost_the_provider_states_is_kept_exactly(usage: dict[str, Any], pico: int | None) -> None:
    """Rounded up where it has more places than money has, and not at all where it is none: never through a float."""
    read = report({"prompt_tokens": 1, "completion_tokens": 1, **usage})
    assert read.usage is not None
    assert read.usage.reported_cost_pico == pico


COUNTS = st.integers(min_value=-5, max_value=2000) | st.none() | st.just("x")


@given(
    st.fixed_dictionaries({"prompt_tokens": COUNTS, "completion_tokens": COUNTS, "total_tokens": COUNTS}),
    st.dictionaries(st.sampled_from(["cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens"]), COUNTS),
    st.dictionaries(st.sampled_from(["reasoning_tokens", "audio_tokens"]), COUNTS),
)
def test_units_are_never_negative_and_never_below_the_totals(
    totals: dict[str, Any], prompt: dict[str, Any], completion: dict[str, Any]
) -> None:
    """Input units add up to the prompt, output units to at least the completion."""
    read = report({**totals, "prompt_tokens_details": prompt, "completion_tokens_details": completion})
    if read.usage is None:
        return
    units = read.usage.units
    assert all(quantity > 0 for quantity in units.values())
    assert sum(quantity for unit, quantity in units.items() if unit.startswith("in_")) == read.usage.prompt_total >= totals["prompt_tokens"]
    assert units.get(OUT_TEXT, 0) + units.get(OUT_AUDIO, 0) >= totals["completion_tokens"]


@given(st.binary(max_size=60) | st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(
    lambda value: json.dumps({"choices": value, "usage": value, "model": value, "error": value}).encode()
))  # fmt: skip
def test_garbage_is_never_an_exception(body: bytes) -> None:
    """Whatever a provider answers."""
    read = OPENAI.read_answer(ASK, body, {})
    assert read.delivered_bytes >= 0


def test_an_unreadable_answer_counts_all_its_bytes() -> None:
    """It was delivered, whatever it was."""
    read = OPENAI.read_answer(ASK, b"<html>", {})
    assert (read.usage, read.finished, read.delivered_bytes, read.flags) == (None, False, 6, ("unreadable_answer",))


def test_deep_answers_do_not_exhaust_the_stack() -> None:
    """A bomb in a field nobody reads."""
    assert OPENAI.read_answer(ASK, b'{"x":' + b"[" * 100_000, {}).usage is None


def test_a_lone_surrogate_in_the_text_does_not_hide_the_usage() -> None:
    """Models cut emoji in half."""
    body = answer(FULL).replace(b'"Hi"', b'"\\ud83d"')
    assert OPENAI.read_answer(ASK, body, {}).usage is not None


def test_every_kind_of_output_is_counted() -> None:
    """Text, refusal, tool names and arguments, custom input, shown reasoning once."""
    message = {
        "content": "äö",
        "refusal": "no",
        "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}, {"custom": {"name": "g", "input": "abc"}}],
        "function_call": {"name": "h", "arguments": "[]"},
        "reasoning_content": "hmm",
        "reasoning": "hmm",
    }
    read = OPENAI.read_answer(ASK, json.dumps({"choices": [{"message": message}]}).encode(), {})
    assert read.delivered_bytes == 4 + 2 + 3 + 4 + 3 + 3


def test_an_error_with_status_200_is_an_upstream_error() -> None:
    """Some hosts do that."""
    read = OPENAI.read_answer(ASK, b'{"error":{"message":"x"}}', {})
    assert (read.upstream_error, read.finished, read.usage) == (True, False, None)
