"""Metering a chat completions stream: the client's bytes, the provider's usage, and what waits for the charge."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox import limits
from farebox.dialects import OpenAI
from farebox.dialects.base import Ask, Report
from farebox.dialects.routes import match
from farebox.usage import IN_TEXT, OUT_TEXT

CHAT = match("POST", "/openai/v1/chat/completions", [])
OPENAI = OpenAI()
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 2,
    "total_tokens": 11,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
DONE = b"data: [DONE]\n\n"


def asked(*, include_usage: bool = False, n: int = 1) -> Ask:
    """A request for a stream."""
    members = {
        "model": "gpt-6-sol",
        "messages": [{"role": "user", "content": "x"}],
        "stream": True,
        "n": n,
        "stream_options": {"include_usage": include_usage},
    }
    return OPENAI.ask(CHAT, json.dumps(members).encode(), {})


def chunk(*choices: tuple[int, dict[str, Any], str | None], **members: Any) -> bytes:
    """One event, written compactly as OpenAI does."""
    listed = [{"index": index, "delta": delta, "finish_reason": finish} for index, delta, finish in choices]
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-6-sol", "service_tier": "default", "choices": listed}
    return b"data: " + json.dumps({**body, **members}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


START = chunk((0, {"role": "assistant", "content": ""}, None), usage=None)
TEXT = chunk((0, {"content": "Hi"}, None), usage=None, obfuscation="x9")
FINISH = chunk((0, {}, "stop"), usage=None)
LAST = chunk(usage=USAGE)
STREAM = START + TEXT + FINISH + LAST + DONE
UNASKED = STREAM.replace(b',"usage":null', b"").replace(LAST, b"")
"""What the provider sends to a client that does not ask for usage."""


def run(ask: Ask, *pieces: bytes) -> tuple[bytes, bytes, Report]:
    """What is relayed, what is held back, what is known."""
    meter = OPENAI.stream(ask, {})
    relayed = b"".join([meter.feed(piece) for piece in pieces]) + meter.close()
    return relayed, meter.held_back, meter.report()


def test_a_client_that_asked_gets_every_byte() -> None:
    """From the finish on, after the charge."""
    relayed, held, report = run(asked(include_usage=True), STREAM)
    assert relayed == START + TEXT
    assert held == FINISH + LAST + DONE
    assert report.usage is not None
    assert report.usage.units == {IN_TEXT: 9, OUT_TEXT: 2}
    assert report.usage.raw == json.dumps(USAGE, separators=(",", ":")).encode()
    assert (report.finished, report.delivered_bytes, report.model_served, report.response_id) == (True, 2, "gpt-6-sol", "c1")
    assert report.flags == ()


def test_a_client_that_did_not_ask_gets_what_the_provider_would_have_sent() -> None:
    """Byte for byte; the usage is metered all the same."""
    relayed, held, report = run(asked(), STREAM)
    assert relayed + held == UNASKED
    assert b"usage" not in relayed + held
    assert report.usage is not None
    assert report.usage.units == {IN_TEXT: 9, OUT_TEXT: 2}


@pytest.mark.parametrize("include_usage", [True, False])
def test_splits_at_every_byte_change_nothing(include_usage: bool) -> None:
    """One byte at a time, and cut in two at every place."""
    ask = asked(include_usage=include_usage)
    whole = run(ask, STREAM)
    assert run(ask, *(STREAM[at : at + 1] for at in range(len(STREAM)))) == whole
    assert all(run(ask, STREAM[:at], STREAM[at:]) == whole for at in range(len(STREAM)))


FRAGMENTS = st.sampled_from(
    [START, TEXT, FINISH, LAST, DONE, STREAM, b"data: ", b"\n", b"\r", b"\n\n", b": c\n\n", b'{"usage":null}', b'{"choices":[],"usage":{}}']
)


@given(
    st.lists(FRAGMENTS | st.binary(max_size=8), max_size=12).map(b"".join), st.lists(st.integers(min_value=0), max_size=6), st.booleans()
)
def test_arbitrary_bytes_survive_arbitrary_splits(data: bytes, cuts: list[int], include_usage: bool) -> None:
    """The same output however it is cut, never an exception; to a client that asked, nothing is lost but a cut last event."""
    ask = asked(include_usage=include_usage)
    whole = run(ask, data)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    assert run(ask, *(data[start:end] for start, end in pairwise(edges))) == whole
    if include_usage:
        out = whole[0] + whole[1]
        assert data.startswith(out.rstrip(b"\r\n")) or out.startswith(data)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b'{"choices":[],"usage":null}', b'{"choices":[]}'),
        (b'{"usage":null,"choices":[]}', b'{"choices":[]}'),
        (b'{"usage":null}', b"{}"),
        (b'{"choices": [], "usage": null, "x": 1}', b'{"choices": [], "x": 1}'),
        (b'{"choices":[],"usage":null,"x":{"y":[1]}}', b'{"choices":[],"x":{"y":[1]}}'),
        (b'{"choices":[],"usage":null,"obfuscation":"a\\"b"}', b'{"choices":[],"obfuscation":"a\\"b"}'),
        (b'{"choices":[],"usage":null,"a":"b","c":-1.5e3,"d":true}', b'{"choices":[],"a":"b","c":-1.5e3,"d":true}'),
        (b'{"choices":[],"x":{"usage":null},"usage":null}', b'{"choices":[],"x":{"usage":null}}'),
        (b'{"usage":null,"choices":[],"x":{"a":1,"usage":null}}', b'{"choices":[],"x":{"a":1,"usage":null}}'),
        (b'{"choices":[{"delta":{"content":",\\"usage\\":null"}}]}', b'{"choices":[{"delta":{"content":",\\"usage\\":null"}}]}'),
    ],
)
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_only_the_null_usage_of_the_chunk_itself_is_taken_out(sent: bytes, expected: bytes, end: bytes) -> None:
    """Wherever it stands and however it is spaced; never one that is nested or quoted."""
    relayed, _, _ = run(asked(), b"data: " + sent + end)
    assert relayed == b"data: " + expected + end


def test_a_null_usage_is_taken_out_of_data_on_several_lines() -> None:
    """Nobody sends that, and it must not break."""
    relayed, _, _ = run(asked(), b'id: 7\ndata: {"choices":[],\ndata: "usage":null}\n\n')
    assert b"usage" not in relayed
    assert relayed.endswith(b"id: 7\n\n")


def test_the_last_of_several_reports_counts() -> None:
    """Hosts with cumulative usage on every chunk: last wins, nothing is summed; their content chunks pass as they are."""
    first = chunk((0, {"content": "a"}, None), usage={"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10})
    second = chunk((0, {"content": "b"}, "stop"), usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11})
    relayed, held, report = run(asked(), first + second + DONE)
    assert (relayed, held) == (first, second + DONE)
    assert report.usage is not None
    assert report.usage.units == {IN_TEXT: 9, OUT_TEXT: 2}


def test_with_three_choices_the_end_begins_at_the_last_finish() -> None:
    """Two may finish while the third still talks."""
    first, second = chunk((0, {}, "stop"), usage=None), chunk((2, {}, "length"), usage=None)
    talk, third = chunk((1, {"content": "x"}, None), usage=None), chunk((1, {}, "stop"), usage=None)
    relayed, held, report = run(asked(include_usage=True, n=3), first + second + talk + third + LAST + DONE)
    assert relayed == first + second + talk
    assert held == third + LAST + DONE
    assert report.finished


def test_what_comes_after_a_withheld_finish_keeps_its_place() -> None:
    """Late content filter chunks, comments, moderation: all after the charge, in order."""
    late = b": keep-alive\n\n" + chunk((0, {"content": "late"}, None), usage=None) + chunk(moderation={"x": 1}, usage=None)
    relayed, held, report = run(asked(include_usage=True), START + FINISH + late + LAST + DONE)
    assert relayed == START
    assert held == FINISH + late + LAST + DONE
    assert report.delivered_bytes == 4


def test_an_empty_finish_reason_is_no_finish() -> None:
    """Some hosts send it on every chunk until the end."""
    talk = chunk((0, {"content": "a"}, ""))
    assert run(asked(), talk + talk)[:2] == (talk + talk, b"")


def test_chunks_with_no_choices_and_no_usage_pass() -> None:
    """Prompt filter results come first on some hosts."""
    prompt_filter = chunk(prompt_filter_results=[])
    assert run(asked(), prompt_filter)[0] == prompt_filter


@pytest.mark.parametrize("cut", [0, len(START), len(START + TEXT), len(START + TEXT + FINISH)])
def test_a_stream_cut_before_its_report_has_none(cut: int) -> None:
    """At the first byte, in the middle, after the last delta before usage."""
    _, _, report = run(asked(), STREAM[:cut])
    assert (report.usage, report.finished) == (None, False)
    assert report.delivered_bytes == (2 if cut >= len(START + TEXT) else 0)


def test_a_cut_event_is_dropped_and_said() -> None:
    """As any client would drop it: what follows it must not be glued to it."""
    relayed, held, report = run(asked(include_usage=True), START + TEXT[:-20])
    assert (relayed, held) == (START, b"")
    assert report.flags == ("cut_event",)


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n"])
def test_an_end_without_its_blank_line_is_an_end(end: bytes) -> None:
    """The blank line is added."""
    relayed, held, report = run(asked(include_usage=True), START + FINISH + LAST + end)
    assert (relayed, held) == (START, FINISH + LAST + DONE)
    assert report.finished


def test_a_complete_answer_without_done_is_finished_when_the_stream_ends() -> None:
    """Some hosts never send it; until the end it may still come."""
    meter = OPENAI.stream(asked(), {})
    meter.feed(START + FINISH + LAST)
    assert not meter.finished
    meter.close()
    assert meter.finished


def test_an_error_in_the_stream_passes_and_is_said() -> None:
    """The provider's own words reach the client."""
    error = b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'
    relayed, _, report = run(asked(), START + error)
    assert relayed.endswith(error)
    assert (report.upstream_error, report.finished, report.usage) == (True, False, None)


@pytest.mark.parametrize(
    ("usage", "flag"),
    [({"prompt_tokens": -1, "completion_tokens": 1}, "absurd_usage"), ({"prompt_tokens": 1}, "partial_usage"), ({}, "partial_usage")],
)
def test_a_report_that_cannot_be_trusted_is_none(usage: dict[str, Any], flag: str) -> None:
    """Flagged, and hidden from the client all the same."""
    relayed, held, report = run(asked(), START + FINISH + chunk(usage=usage) + DONE)
    assert report.usage is None
    assert report.flags == (flag,)
    assert b"usage" not in relayed + held


def test_what_cannot_be_read_passes_and_counts_in_full() -> None:
    """Better charged by its bytes than free."""
    _, _, report = run(asked(), b"data: {nonsense}\n\n")
    assert report.delivered_bytes == len(b"{nonsense}")
    assert report.flags == ("unreadable_event",)


def test_a_lone_surrogate_is_read_and_passes_as_it_came() -> None:
    """Half an emoji in one delta."""
    event = TEXT.replace(b"Hi", b"\\ud83d")
    relayed, _, report = run(asked(include_usage=True), event)
    assert relayed == event
    assert (report.delivered_bytes, report.flags) == (3, ())


def test_visible_reasoning_and_tool_arguments_are_output() -> None:
    """Everything that was generated and shown."""
    calls = [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": '{"a"'}}]
    events = (
        chunk((0, {"tool_calls": calls}, None))
        + chunk((0, {"reasoning": "hm"}, None))
        + chunk((0, {"refusal": "nö", "content": None}, None))
    )
    assert run(asked(), events)[2].delivered_bytes == 5 + 2 + 3


def test_an_oversized_event_passes_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, the bytes are charged."""
    monkeypatch.setattr(limits, "stream_event_bytes_max", 300)
    event = chunk((0, {"content": "x" * 1000}, None))
    relayed, _, report = run(asked(include_usage=True), event[:500], event[500:], TEXT)
    assert relayed == event + TEXT
    assert report.delivered_bytes == len(event) + 2
    assert report.flags == ("oversized_event",)


def test_withholding_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that never stops after its finish does not fill the memory."""
    monkeypatch.setattr(limits, "stream_event_bytes_max", 1000)
    relayed, held, report = run(asked(include_usage=True), START, FINISH, *[TEXT] * 20, LAST, DONE)
    assert relayed + held == START + FINISH + TEXT * 20 + LAST + DONE
    assert held == b""
    assert report.flags == ("withheld_too_much",)


def test_deep_data_does_not_exhaust_the_stack() -> None:
    """A bomb in an event."""
    _, _, report = run(asked(), b'data: {"x":' + b"[" * 100_000 + b"\n\n")
    assert report.flags == ("unreadable_event",)


SURPRISES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5) | st.just(10**40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["function", "name", "delta", "content", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from(["content", "refusal", "tool_calls", "function_call", "reasoning", "x"])


@given(
    st.lists(
        st.tuples(
            st.dictionaries(FIELDS, SURPRISES, max_size=3),
            SURPRISES,
            SURPRISES,
            st.dictionaries(st.sampled_from(["id", "usage", "error"]), SURPRISES),
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_surprising_types_in_chunks_never_break_the_relay(chunks: list[tuple[Any, Any, Any, Any]], include_usage: bool) -> None:
    """Every event passes; what cannot be understood is flagged or counted."""
    stream = b"".join(
        b"data: " + json.dumps({"choices": [{"index": index, "delta": delta, "finish_reason": finish}], **members}).encode() + b"\n\n"
        for delta, index, finish, members in chunks
    )
    relayed, held, report = run(asked(include_usage=include_usage), stream)
    if include_usage:
        assert relayed + held == stream
    assert report.delivered_bytes >= 0
