"""What speech may cost at most, and how sound is taken out of the events that say what it cost."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects import OpenAI
from farebox.dialects.base import Ask
from farebox.dialects.routes import match
from farebox.errors import InvalidRequest
from farebox.usage import CHARS, IN_TEXT, OUT_AUDIO

ROUTE = match("POST", "/v1/audio/speech", [])
OPENAI = OpenAI()
DELTA = b'data: {"type":"speech.audio.delta","audio":"' + base64.b64encode(b"\x00sound\xff") + b'"}\n\n'
DONE = b'data: {"type":"speech.audio.done","usage":{"input_tokens":4,"output_tokens":20,"total_tokens":24}}\n\n'


def encoded(**members: Any) -> bytes:
    return json.dumps({"model": "gpt-4o-mini-tts", "input": "héllo", "voice": "alloy", **members}).encode()


def ask(**members: Any) -> Ask:
    return OPENAI.ask(ROUTE, encoded(**members), {})


@pytest.mark.parametrize("model", ["tts-1", "openai/tts-1-hd"])
def test_characters_are_counted_not_bytes(model: str) -> None:
    """They are the bound and the charge; the sound passes as it is."""
    body = encoded(model=model)
    read = OPENAI.ask(ROUTE, body, {})
    assert (read.demand.fees_max, read.demand.output_units, read.binary, read.answer_type) == ({CHARS: 5}, (), True, "")
    assert OPENAI.rewrite(read, body, model=None, output_cap=None) is body
    meter = OPENAI.stream(read, {})
    assert meter.feed(b"\x00a") + meter.feed(b"\xff") + meter.close() == b"\x00a\xff"
    usage = meter.report().usage
    assert usage is not None
    assert (usage.units, meter.finished, meter.held_back) == ({CHARS: 5}, True, b"")


def test_no_sound_is_no_answer() -> None:
    """An empty body was not billed by anything that is known."""
    report = OPENAI.read_answer(ask(model="tts-1"), b"", {})
    assert (report.finished, report.usage) == (False, None)


@pytest.mark.parametrize(("speed", "tokens"), [(None, 1054), (1, 1054), (4.0, 1054), (0.25, 4216), ("slow", 4216)])
def test_the_sound_is_bounded_by_the_text_and_its_speed(speed: Any, tokens: int) -> None:
    """No field caps it."""
    demand = ask(speed=speed).demand
    assert (demand.extra_output_tokens, demand.output_tokens_named, demand.output_units) == (tokens, 0, (OUT_AUDIO,))
    assert demand.input_tokens_max > 1024


def test_events_are_asked_for_and_sound_is_given() -> None:
    """In the type that was asked for; the end waits for the charge."""
    body = encoded(response_format="wav", stream_format="audio")
    read = OPENAI.ask(ROUTE, body, {})
    assert (read.binary, read.stream, read.answer_type) == (True, False, "audio/wav")
    assert json.loads(OPENAI.rewrite(read, body, model=None, output_cap=None))["stream_format"] == "sse"
    meter = OPENAI.stream(read, {})
    whole = DELTA + DELTA + DONE
    assert b"".join(meter.feed(whole[at : at + 1]) for at in range(len(whole))) == b"\x00sound\xff" * 2
    usage = meter.report().usage
    assert usage is not None
    assert (usage.units, meter.finished, meter.held_back) == ({IN_TEXT: 4, OUT_AUDIO: 20}, True, b"")


def test_events_that_were_asked_for_are_given() -> None:
    """Byte for byte."""
    body = encoded(stream_format="sse")
    read = OPENAI.ask(ROUTE, body, {})
    assert (read.binary, read.stream, OPENAI.rewrite(read, body, model=None, output_cap=None)) == (False, True, body)
    meter = OPENAI.stream(read, {})
    assert (meter.feed(DELTA + DONE), meter.held_back) == (DELTA, DONE)


@pytest.mark.parametrize(
    "members",
    [
        {"input": ""},
        {"input": "x" * 4097},
        {"input": 5},
        {"model": None},
        {"model": "tts-1", "stream_format": "sse"},
        {"response_format": "exe"},
    ],
)
def test_what_cannot_be_meant_is_refused(members: dict[str, Any]) -> None:
    """By name."""
    with pytest.raises(InvalidRequest):
        ask(**members)


@pytest.mark.parametrize(
    "event", [b"data: {\n\n", b": comment\n\n", b'data: {"type":"speech.audio.delta","audio":"a"}\n\n', b'data: {"type":"x"}\n\n']
)
def test_what_is_no_sound_is_not_given_as_sound(event: bytes) -> None:
    """Nothing of an event gets into it."""
    assert OPENAI.stream(ask(), {}).feed(event) == b""


@given(st.binary(max_size=200))
def test_hostile_bytes_never_raise(data: bytes) -> None:
    """As sound, as events, as usage."""
    for model in ("tts-1", "gpt-4o-mini-tts"):
        OPENAI.read_answer(ask(model=model), data, {})
    OPENAI.read_answer(ask(), b'data: {"type":"speech.audio.done","usage":' + data + b"}\n\n", {})
