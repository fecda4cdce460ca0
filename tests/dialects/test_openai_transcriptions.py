"""What a transcription may cost at most, what its answers tell, and how they are given in the form that was asked for."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects import OpenAI
from farebox.dialects.base import Ask
from farebox.dialects.openai import transcripts
from farebox.dialects.openai.hosts import HOSTS
from farebox.dialects.openai.transcriptions import TOKENS_AROUND, TOKENS_PER_BLOCK, TOKENS_PER_S
from farebox.dialects.routes import match
from farebox.errors import AmbiguousBody, InvalidRequest
from farebox.usage import AUDIO_IN_MS, IN_AUDIO, IN_TEXT, OUT_TEXT

ROUTE = match("POST", "/v1/audio/transcriptions", [])
TRANSLATE = match("POST", "/v1/audio/translations", [])
OPENAI = OpenAI()
TOKENS = {
    "type": "tokens",
    "input_tokens": 52,
    "output_tokens": 6,
    "total_tokens": 58,
    "input_token_details": {"audio_tokens": 50, "text_tokens": 2},
}
DELTA = b'data: {"type":"transcript.text.delta","delta":"he"}\n\n'
DONE = b'data: {"type":"transcript.text.done","text":"hello","usage":' + json.dumps(TOKENS).encode() + b"}\n\n"
SEGMENTS = [{"start": 0.0, "end": 3.319999933242798, "text": " He --> said"}, {"start": 3.32, "end": 3600.0005, "text": "so."}]


def wav(seconds: int) -> bytes:
    head = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0" + (8000).to_bytes(4, "little") + (16000).to_bytes(4, "little") + b"\2\0\x10\0"
    return head + b"data" + (16000 * seconds).to_bytes(4, "little") + bytes(16000 * seconds)


def form(file: bytes = wav(5), **members: Any) -> tuple[bytes, dict[bytes, bytes]]:
    request = httpx.Request("POST", "http://x", data={"model": "whisper-1", **members}, files={"file": ("a.wav", file)})
    return request.read(), {b"content-type": request.headers["content-type"].encode()}


def ask(route: Any = ROUTE, **members: Any) -> Ask:
    return OPENAI.ask(route, *form(**members))


def answered(read: Ask, **answer: Any) -> Any:
    return OPENAI.read_answer(read, json.dumps({"text": "hello", **answer}).encode(), {})


def test_time_is_bounded_by_the_bytes() -> None:
    """In seconds begun: nothing that a file tells makes it shorter."""
    assert ask().demand.fees_max == {AUDIO_IN_MS: 6_000}
    assert OPENAI.ask(ROUTE, *form(b"OggS" + bytes(7_496))).demand.fees_max == {AUDIO_IN_MS: 11_000}


def test_tokens_are_bounded_by_the_time_and_the_text() -> None:
    """A recording in one block has one answer of the model; in chunks it has as many as fit."""
    demand = ask(model="openai/gpt-4o-transcribe").demand
    assert (demand.input_units, demand.output_units, demand.output_tokens_named) == ((IN_TEXT, IN_AUDIO), (OUT_TEXT,), 0)
    assert demand.extra_output_tokens == 6 * TOKENS_PER_S + TOKENS_AROUND
    long: dict[str, Any] = {"model": "gpt-4o-transcribe", "file": wav(200)}
    assert OPENAI.ask(ROUTE, *form(**long)).demand.extra_output_tokens == TOKENS_PER_BLOCK
    chunked = OPENAI.ask(ROUTE, *form(**long | {"chunking_strategy[type]": "server_vad"})).demand
    assert chunked.extra_output_tokens == 201 * TOKENS_PER_S + TOKENS_AROUND
    more = ask(model="openai/gpt-4o-transcribe", prompt="x" * 500).demand
    assert more.input_tokens_max >= demand.input_tokens_max + 500


@pytest.mark.parametrize(
    ("route", "model", "asked", "sent"),
    [
        (ROUTE, "whisper-1", None, None),
        (ROUTE, "whisper-1", "json", "json"),
        (ROUTE, "whisper-1", "text", "json"),
        (ROUTE, "whisper-1", "srt", "verbose_json"),
        (ROUTE, "whisper-1", "verbose_json", "verbose_json"),
        (ROUTE, "gpt-4o-transcribe-diarize", "text", "json"),
        (ROUTE, "gpt-4o-transcribe-diarize", "diarized_json", "diarized_json"),
        (ROUTE, "groq/whisper-large-v3", None, "verbose_json"),
        (TRANSLATE, "whisper-1", None, "verbose_json"),
        (TRANSLATE, "whisper-1", "vtt", "verbose_json"),
    ],
)
def test_a_form_that_tells_its_usage_is_asked_for(route: Any, model: str, asked: str | None, sent: str | None) -> None:
    """Only where the one that was asked for does not; nothing else changes."""
    members: dict[str, Any] = {"response_format": asked} if asked else {}
    body, headers = form(model=model, **members)
    read = OPENAI.ask(route, body, headers)
    rewritten = OPENAI.rewrite(read, body, model=None, output_cap=None)
    assert (rewritten is body) == (asked == sent)
    again = OPENAI.ask(route, rewritten, headers)
    assert (again.facts.asked, again.demand) == (sent or "json", read.demand)


def test_another_model_is_named_in_the_form() -> None:
    """In the bytes of its field."""
    body, headers = form(model="mine", prompt="mine")
    sent = OPENAI.rewrite(OPENAI.ask(ROUTE, body, headers), body, model="whisper-1", output_cap=None)
    assert OPENAI.ask(ROUTE, sent, headers).model == "whisper-1"
    assert sent.count(b"mine") == 1


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("text", b"hello\n"),
        ("json", b'{"text":"hello"}'),
        ("srt", b"1\n00:00:00,000 --> 00:00:03,320\nHe -> said\n\n2\n00:00:03,320 --> 01:00:00,000\nso.\n\n"),
        ("vtt", b"WEBVTT\n\n00:00.000 --> 00:03.320\nHe -> said\n\n00:03.320 --> 01:00:00.000\nso.\n\n"),
    ],
)
def test_the_form_that_was_asked_for_is_given(asked: str, shown: bytes) -> None:
    """And charged by what the other one told: seconds begun."""
    read = ask(TRANSLATE, response_format=asked)
    report = answered(read, duration=8.470000267028809, segments=SEGMENTS)
    assert (report.shown, report.finished, report.usage.units) == (shown, True, {AUDIO_IN_MS: 9_000})
    assert read.answer_type == ("" if asked == "json" else "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    "segments", [None, [1], [{"start": 0, "end": "1", "text": "a"}], [{"start": -1, "end": 1, "text": "a"}], [{"start": 0, "end": 1}]]
)
def test_subtitles_that_cannot_be_made_are_no_answer(segments: Any) -> None:
    """Rather than wrong ones."""
    report = answered(ask(response_format="srt"), segments=segments, usage={"type": "duration", "seconds": 5})
    assert (report.finished, report.shown) == (False, None)


@pytest.mark.parametrize(
    ("usage", "units", "flag"),
    [
        (TOKENS, {IN_TEXT: 2, IN_AUDIO: 50, OUT_TEXT: 6}, None),
        ({**TOKENS, "input_token_details": None}, {IN_AUDIO: 52, OUT_TEXT: 6}, None),
        ({**TOKENS, "input_tokens": 40}, {IN_TEXT: 2, IN_AUDIO: 50, OUT_TEXT: 6}, "inconsistent_usage"),
        ({**TOKENS, "gift": 4}, {IN_TEXT: 2, IN_AUDIO: 50, OUT_TEXT: 6}, "unknown_usage_field"),
        ({**TOKENS, "output_tokens": None}, None, "partial_usage"),
        ({**TOKENS, "output_tokens": 1.5}, None, "absurd_usage"),
        ({"type": "duration", "seconds": 5}, {AUDIO_IN_MS: 5_000}, None),
        ({"type": "duration", "seconds": 0.1}, {AUDIO_IN_MS: 100}, None),
        ({"type": "duration"}, None, "partial_usage"),
        ({"type": "duration", "seconds": -1}, None, "absurd_usage"),
        ({"type": "duration", "seconds": True}, None, "absurd_usage"),
        ({"type": "duration", "seconds": 10**9}, None, "absurd_usage"),
        ([], None, "absurd_usage"),
        (None, None, None),
    ],
)
def test_usage_is_tokens_or_time(usage: Any, units: dict[str, int] | None, flag: str | None) -> None:
    """As the provider says."""
    report = answered(ask(model="gpt-4o-transcribe"), usage=usage, duration=7)
    assert (report.usage.units if report.usage else None) == units
    assert report.flags == ((flag,) if flag else ())


@pytest.mark.parametrize("seconds", ["1e-999999", "1e999999999999999999999", "1E+400", "0.0000001"])
def test_numbers_of_any_length_are_read_exactly(seconds: str) -> None:
    """Or not at all: never as a float."""
    report = OPENAI.read_answer(ask(), b'{"text":"a","usage":{"type":"duration","seconds":' + seconds.encode() + b"}}", {})
    assert report.usage is None or report.usage.units == {AUDIO_IN_MS: 1}


def test_some_hosts_bill_no_less_than_so_much() -> None:
    """Held and charged."""
    host = OpenAI(host=HOSTS["groq"])
    read = host.ask(ROUTE, *form(model="groq/whisper-large-v3"))
    assert read.demand.fees_max == {AUDIO_IN_MS: 10_000}
    usage = host.read_answer(read, b'{"text":"a","duration":2}', {}).usage
    assert usage is not None
    assert usage.units == {AUDIO_IN_MS: 10_000}


@pytest.mark.parametrize("answer", [b"{}", b"[]", b"", b'{"text":1}', b'{"error":{"message":"no"}}'])
def test_what_has_no_text_is_no_answer(answer: bytes) -> None:
    """Whatever else it is."""
    for asked in ("json", "text", "srt"):
        assert not OPENAI.read_answer(ask(response_format=asked), answer, {}).finished


def test_the_end_of_a_stream_waits_for_the_charge() -> None:
    """Pieces go out as they come, wherever they are cut."""
    read = ask(model="gpt-4o-transcribe", stream="true")
    whole = DELTA + DELTA + DONE
    for cut in range(len(whole) + 1):
        meter = OPENAI.stream(read, {})
        assert meter.feed(whole[:cut]) + meter.feed(whole[cut:]) == DELTA * 2
        report = meter.report()
        assert (meter.held_back, meter.finished, report.delivered_bytes) == (DONE, True, 4)
        assert report.usage is not None
        assert report.usage.units == {IN_TEXT: 2, IN_AUDIO: 50, OUT_TEXT: 6}


def test_a_stream_that_broke_reports_nothing() -> None:
    """And an error is one."""
    meter = OPENAI.stream(ask(model="gpt-4o-transcribe", stream="true"), {})
    meter.feed(DELTA + DONE[:50])
    meter.close()
    assert (meter.finished, meter.report().usage) == (False, None)
    meter.feed(b'data: {"type":"error","error":{}}\n\n')
    assert meter.report().upstream_error


@pytest.mark.parametrize(
    "members",
    [
        {"response_format": "xml"},
        {"model": ""},
        {"stream": "maybe"},
        {"model": "whisper-large-v3", "stream": "true"},
        {"model": "gpt-4o-transcribe", "stream": "true", "response_format": "srt"},
        {"response_format": "srt", "timestamp_granularities[]": "word"},
    ],
)
def test_what_cannot_be_meant_is_refused(members: dict[str, Any]) -> None:
    """By name."""
    with pytest.raises(InvalidRequest):
        ask(**members)


def test_a_form_has_one_recording() -> None:
    """And one of each field that moves the cost."""
    request = httpx.Request("POST", "http://x", data={"model": "whisper-1"}, files=[("file", ("a", b"a")), ("file", ("b", b"b"))])
    with pytest.raises(InvalidRequest):
        OPENAI.ask(ROUTE, request.read(), {b"content-type": request.headers["content-type"].encode()})
    with pytest.raises(AmbiguousBody):
        ask(model=["whisper-1", "gpt-4o-transcribe"])


def test_whisper_does_not_stream() -> None:
    """It ignores the wish."""
    assert (ask(stream="true").stream, ask(model="gpt-transcribe", stream="True").stream) == (False, True)


@given(st.binary(max_size=200))
def test_hostile_bytes_never_raise(data: bytes) -> None:
    """Whole, as usage, as segments, as events."""
    for read in (ask(), ask(response_format="srt"), ask(model="gpt-4o-transcribe")):
        OPENAI.read_answer(read, data, {})
        for name in (b"usage", b"segments", b"duration", b"text"):
            OPENAI.read_answer(read, b'{"text":"a","segments":[],"' + name + b'":' + data + b"}", {})
    meter = OPENAI.stream(ask(model="gpt-4o-transcribe", stream="true"), {})
    meter.feed(b'data: {"type":"transcript.text.done","usage":' + data + b"}\n\n" + data)
    meter.close()
    assert meter.report() is not None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4), st.lists, max_leaves=6))
def test_hostile_values_never_raise(value: Any) -> None:
    """In any place of an answer."""
    for said in (
        {"text": value},
        {"text": "a", "segments": [{"start": value, "end": value, "text": "a"}]},
        {"text": "a", "duration": value},
    ):
        read = transcripts.read(json.dumps(said).encode())
        if read is not None:
            transcripts.in_form(read, "vtt")
            transcripts.usage_of(read, b"", ms_min=0, by_duration=True)
