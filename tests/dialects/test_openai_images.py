"""What making images may cost at most, and what their answers and streams come to."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects import OpenAI
from farebox.dialects.base import Ask
from farebox.dialects.routes import match
from farebox.errors import CostUnbounded, InvalidRequest
from farebox.usage import IMAGES, IMAGES_256, IMAGES_HD_WIDE, IMAGES_WIDE, IN_IMAGE, IN_TEXT, OUT_IMAGE, OUT_TEXT

ROUTE = match("POST", "/v1/images/generations", [])
OPENAI = OpenAI()
USAGE = {"input_tokens": 12, "input_tokens_details": {"text_tokens": 12, "image_tokens": 0}, "output_tokens": 1056, "total_tokens": 1068}
PARTIAL = b'event: image_generation.partial_image\ndata: {"type":"image_generation.partial_image","b64_json":"aa"}\n\n'
COMPLETED = b"data: " + json.dumps({"type": "image_generation.completed", "b64_json": "aa", "usage": USAGE}).encode() + b"\n\n"


def encoded(**members: Any) -> bytes:
    return json.dumps({"model": "gpt-image-1.5", "prompt": "a cat", **members}).encode()


def ask(**members: Any) -> Ask:
    return OPENAI.ask(ROUTE, encoded(**members), {})


@pytest.mark.parametrize(
    ("members", "tokens"),
    [
        ({}, 6240),
        ({"quality": "low", "size": "1024x1024"}, 272),
        ({"quality": "low", "size": "1024x1536"}, 408),
        ({"quality": "medium", "size": "1024x1024", "n": 3}, 3168),
        ({"quality": "high", "size": "1024x1024", "partial_images": 3, "stream": True}, 4460),
        ({"quality": "high", "size": "16x16"}, 4160),
        ({"quality": "auto", "size": "whatever"}, 6240),
        ({"model": "gpt-image-2"}, 32907),
        ({"model": "openai/gpt-image-2", "size": "2048x1024"}, 8320),
    ],
)
def test_the_output_is_bounded_by_quality_size_and_number(members: dict[str, Any], tokens: int) -> None:
    """At the dearest where the model chooses; no field caps it."""
    demand = ask(**members).demand
    assert (demand.extra_output_tokens, demand.output_tokens_named) == (tokens, 0)
    assert demand.output_units == (OUT_TEXT, OUT_IMAGE)


def test_the_prompt_is_bounded_by_its_bytes() -> None:
    """And what the provider adds."""
    body = encoded()
    assert OPENAI.ask(ROUTE, body, {}).demand.input_tokens_max == len(body) + 1024


@pytest.mark.parametrize(
    ("members", "fees"),
    [
        ({}, {IMAGES: 1}),
        ({"size": "256x256", "n": 2}, {IMAGES_256: 2}),
        ({"size": "1792x1024"}, {IMAGES_WIDE: 1}),
        ({"size": "1024x1792", "quality": "hd"}, {IMAGES_HD_WIDE: 1}),
    ],
)
def test_older_models_are_held_by_the_image(members: dict[str, Any], fees: dict[str, int]) -> None:
    """Of its class, and charged by how many there are."""
    read = ask(model="dall-e-3", **members)
    assert (read.demand.fees_max, read.demand.output_units, read.demand.input_tokens_max) == (fees, (), 0)
    ((unit, number),) = fees.items()
    report = OPENAI.read_answer(read, json.dumps({"data": [{"url": "u"}] * number}).encode(), {})
    assert report.usage is not None
    assert report.usage.units == {unit: number}


@pytest.mark.parametrize(
    "members",
    [
        {"output_format": "svg"},
        {"output_format": "gif"},
        {"svg": {"model": "gpt-6-sol"}},
        {"frame_count": 4},
        {"quality": "max"},
        {"quality": "hd"},
        {"complexity": "high"},
        {"model": "dall-e-3", "size": "1x1"},
    ],
)
def test_what_has_no_bound_is_refused(members: dict[str, Any]) -> None:
    """By name."""
    with pytest.raises(CostUnbounded):
        ask(**members)


@pytest.mark.parametrize(
    "members",
    [{"n": 0}, {"n": 11}, {"partial_images": 4}, {"stream": True, "n": 2}, {"model": "dall-e-2", "stream": True}, {"model": None}],
)
def test_what_cannot_be_meant_is_refused(members: dict[str, Any]) -> None:
    """Numbers out of range, and streams of several images."""
    with pytest.raises(InvalidRequest):
        ask(**members)


@pytest.mark.parametrize(
    ("usage", "units", "flag"),
    [
        ({}, {IN_TEXT: 12, OUT_IMAGE: 1056}, None),
        ({"output_tokens_details": {"text_tokens": 56, "image_tokens": 1000}}, {IN_TEXT: 12, OUT_TEXT: 56, OUT_IMAGE: 1000}, None),
        ({"input_tokens_details": {"text_tokens": 2, "image_tokens": 10}}, {IN_TEXT: 2, IN_IMAGE: 10, OUT_IMAGE: 1056}, None),
        ({"input_tokens_details": {"image_tokens": 20}}, {IN_IMAGE: 20, OUT_IMAGE: 1056}, "inconsistent_usage"),
        ({"gift_tokens": 1}, {IN_TEXT: 12, OUT_IMAGE: 1056}, "unknown_usage_field"),
        ({"output_tokens": None}, None, "partial_usage"),
        ({"output_tokens": -1}, None, "absurd_usage"),
        ({"input_tokens_details": 1}, None, "absurd_usage"),
    ],
)
def test_tokens_are_told_apart(usage: dict[str, Any], units: dict[str, int] | None, flag: str | None) -> None:
    """Text from images, in and out."""
    report = OPENAI.read_answer(ask(), json.dumps({"data": [{}], "usage": {**USAGE, **usage}}).encode(), {})
    assert (report.usage.units if report.usage else None) == units
    assert report.flags == ((flag,) if flag else ())


def test_an_answer_without_images_is_no_answer() -> None:
    """Whatever else it is."""
    assert not OPENAI.read_answer(ask(), b'{"error":{}}', {}).finished


def test_the_completed_image_waits_for_the_charge() -> None:
    """Partial ones go out as they come, whatever the pieces."""
    meter = OPENAI.stream(ask(stream=True), {})
    relayed = b"".join(meter.feed((PARTIAL + COMPLETED)[at : at + 1]) for at in range(len(PARTIAL + COMPLETED)))
    assert (relayed, meter.held_back, meter.finished) == (PARTIAL, COMPLETED, True)
    usage = meter.report().usage
    assert usage is not None
    assert usage.units == {IN_TEXT: 12, OUT_IMAGE: 1056}


def test_a_stream_that_broke_reports_nothing() -> None:
    """Partial images carry no usage."""
    meter = OPENAI.stream(ask(stream=True), {})
    meter.feed(PARTIAL + COMPLETED[:40])
    meter.close()
    assert (meter.finished, meter.report().usage) == (False, None)


@given(st.binary(max_size=200))
def test_hostile_bytes_never_raise(data: bytes) -> None:
    """Whole or as a stream."""
    OPENAI.read_answer(ask(), data, {})
    OPENAI.read_answer(ask(), b'{"data":[],"usage":' + data + b"}", {})
    meter = OPENAI.stream(ask(stream=True), {})
    meter.feed(b'data: {"type":"image_generation.completed","usage":' + data + b"}\n\n")
    meter.close()
    assert meter.report() is not None
