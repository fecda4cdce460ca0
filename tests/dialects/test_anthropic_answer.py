"""Metering messages, whole and streamed: disjoint buckets, cumulative deltas, and what waits for the charge."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects import Anthropic
from farebox.dialects.base import Ask, Report
from farebox.dialects.routes import match
from farebox.usage import (
    EXPLICIT_ZERO,
    IN_CACHE_READ,
    IN_CACHE_WRITE_1H,
    IN_CACHE_WRITE_5M,
    IN_TEXT,
    OUT_TEXT,
    TOOL_WEB_SEARCH,
    Conditions,
)

MESSAGES = match("POST", "/anthropic/v1/messages", [])
COUNT_TOKENS = match("POST", "/anthropic/v1/messages/count_tokens", [])
ANTHROPIC = Anthropic()
FULL = {
    "input_tokens": 100,
    "cache_creation_input_tokens": 1000,
    "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600},
    "cache_read_input_tokens": 5000,
    "output_tokens": 50,
    "output_tokens_details": {"thinking_tokens": 20},
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
    "service_tier": "standard",
    "speed": "standard",
    "inference_geo": "global",
}


def asked(ttl: str | None = None, **members: Any) -> Ask:
    """A request."""
    cache = {"cache_control": {"type": "ephemeral", "ttl": ttl}} if ttl else {}
    body = {"model": "claude-opus-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": "x"}], **cache, **members}
    return ANTHROPIC.ask(MESSAGES, json.dumps(body).encode(), {})


ASK = asked("1h")


def answer(usage: Any, stop_reason: str = "end_turn", **members: Any) -> bytes:
    """A whole answer."""
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "stop_reason": stop_reason}
    return json.dumps({**body, "content": [{"type": "text", "text": "Hi"}], "usage": usage, **members}).encode()


def report(usage: Any, stop_reason: str = "end_turn", ask: Ask = ASK, **members: Any) -> Report:
    """What the dialect reads from it."""
    return ANTHROPIC.read_answer(ask, answer(usage, stop_reason, **members), {})


def event(kind: str, **members: Any) -> bytes:
    """One event of a stream."""
    return f"event: {kind}\ndata: ".encode() + json.dumps({"type": kind, **members}, separators=(",", ":")).encode() + b"\n\n"


START_USAGE = {
    "input_tokens": 25,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 2,
    "service_tier": "standard",
}
DELTA_USAGE = {"input_tokens": 25, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 15}


def start(usage: dict[str, Any]) -> bytes:
    """The first event."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": [], "usage": usage}
    return event("message_start", message=message)


def text(content: str) -> bytes:
    """A piece of text."""
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": content})


def end(usage: dict[str, Any] | None, stop_reason: str | None = "end_turn") -> bytes:
    """A message_delta."""
    return event("message_delta", delta={"stop_reason": stop_reason, "stop_sequence": None}, **({} if usage is None else {"usage": usage}))


START = start(START_USAGE)
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
PING = event("ping")
BODY = BLOCK + PING + text("Hi") + event("content_block_stop", index=0)
STOP = event("message_stop")
STREAM = START + BODY + end(DELTA_USAGE) + STOP


def run(ask: Ask, *pieces: bytes) -> tuple[bytes, bytes, Report]:
    """What is relayed, what is held back, what is known."""
    meter = ANTHROPIC.stream(ask, {})
    relayed = b"".join([meter.feed(piece) for piece in pieces]) + meter.close()
    return relayed, meter.held_back, meter.report()


def test_buckets_are_disjoint() -> None:
    """The example of the reference: the prompt is the sum of its buckets."""
    read = report(FULL)
    assert read.usage is not None
    assert read.usage.units == {
        IN_TEXT: 100,
        IN_CACHE_READ: 5000,
        IN_CACHE_WRITE_5M: 400,
        IN_CACHE_WRITE_1H: 600,
        OUT_TEXT: 50,
        TOOL_WEB_SEARCH: 2,
    }
    assert read.usage.prompt_total == 6100
    assert read.usage.raw == json.dumps(FULL).encode()
    assert (read.response_id, read.model_served, read.finished, read.delivered_bytes, read.flags) == (
        "msg_1",
        "claude-opus-5-5",
        True,
        2,
        (),
    )


@pytest.mark.parametrize(
    ("ttl", "split", "units", "flags"),
    [
        ("5m", None, {IN_CACHE_WRITE_5M: 1000}, ()),
        ("1h", None, {IN_CACHE_WRITE_1H: 1000}, ()),
        (None, None, {IN_CACHE_WRITE_1H: 1000}, ()),
        ("1h", (400, 0), {IN_CACHE_WRITE_5M: 400, IN_CACHE_WRITE_1H: 600}, ("inconsistent_usage",)),
        ("5m", (400, 0), {IN_CACHE_WRITE_5M: 1000}, ("inconsistent_usage",)),
        ("1h", (700, 900), {IN_CACHE_WRITE_5M: 700, IN_CACHE_WRITE_1H: 900}, ("inconsistent_usage",)),
        ("1h", (400, 600), {IN_CACHE_WRITE_5M: 400, IN_CACHE_WRITE_1H: 600}, ()),
    ],
)
def test_cache_writes_that_are_not_split_are_charged_the_dearest(
    ttl: str | None, split: tuple[int, int] | None, units: dict[str, int], flags: tuple[str, ...]
) -> None:
    """Of the lifetimes that the request can have caused."""
    creation = {} if split is None else {"cache_creation": {"ephemeral_5m_input_tokens": split[0], "ephemeral_1h_input_tokens": split[1]}}
    read = report({"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 1000, **creation}, ask=asked(ttl))
    assert read.usage is not None
    assert read.usage.units == units
    assert read.usage.prompt_total == sum(units.values())
    assert read.flags == flags


@pytest.mark.parametrize(
    ("usage", "flag"),
    [
        ({"input_tokens": 5}, "partial_usage"),
        ({"output_tokens": 5}, "partial_usage"),
        ({"input_tokens": -5, "output_tokens": 5}, "absurd_usage"),
        ({"input_tokens": 5, "output_tokens": True}, "absurd_usage"),
        ({"input_tokens": 5, "output_tokens": 5.5}, "absurd_usage"),
        ({"input_tokens": 5, "output_tokens": 5, "cache_read_input_tokens": "1"}, "absurd_usage"),
        ({"input_tokens": 5, "output_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": -1}}, "absurd_usage"),
        ({"input_tokens": 5, "output_tokens": 5, "server_tool_use": {"holograms": 1}}, "unknown_tool"),
        ({**FULL, "iterations": [{"type": "seance"}]}, "unknown_iteration"),
        ({**FULL, "iterations": [{"type": "message"}, {"type": "seance"}]}, "unknown_iteration"),
        ({**FULL, "iterations": [{"type": "fallback_message"}, {"type": "message"}]}, "partial_usage"),
        ({**FULL, "iterations": [{"type": "compaction", "input_tokens": -1, "output_tokens": 1}]}, "absurd_usage"),
        ({**FULL, "iterations": "x"}, "absurd_usage"),
        ("x", "absurd_usage"),
    ],
)
def test_what_is_missing_absurd_or_not_understood_is_no_report(usage: Any, flag: str) -> None:
    """The hold is charged then, never zero."""
    read = report(usage)
    assert read.usage is None
    assert read.flags == (flag,)


@pytest.mark.parametrize("iterations", [None, [], [{"type": "message", "input_tokens": 100, "output_tokens": 50}]])
def test_one_plain_iteration_is_what_the_top_level_says(iterations: Any) -> None:
    """Nothing is added."""
    assert report({**FULL, "iterations": iterations}).usage is not None


def test_a_refusal_before_any_output_costs_nothing() -> None:
    """Its counts are informational; one after some output is charged."""
    declined = report({"input_tokens": 500, "output_tokens": 0}, "refusal")
    assert declined.usage is not None
    assert declined.usage.units == {}
    later = report({"input_tokens": 500, "output_tokens": 3}, "refusal")
    assert later.usage is not None
    assert later.usage.units == {IN_TEXT: 500, OUT_TEXT: 3}
    prewarm = report({"input_tokens": 500, "output_tokens": 0}, "max_tokens")
    assert prewarm.usage is not None
    assert prewarm.usage.units == {IN_TEXT: 500}


@pytest.mark.parametrize(
    ("members", "usage", "conditions"),
    [
        ({}, {}, Conditions()),
        ({"inference_geo": "us"}, {}, Conditions(geo="us")),
        ({"inference_geo": "us"}, {"inference_geo": "global"}, Conditions()),
        ({}, {"inference_geo": "not_available"}, Conditions()),
        ({"speed": "fast"}, {}, Conditions(speed="fast")),
        ({"speed": "fast"}, {"speed": "standard"}, Conditions()),
        ({}, {"service_tier": "priority", "inference_geo": "us"}, Conditions(service_tier="priority", geo="us")),
        ({}, {"service_tier": "batch"}, Conditions(batch=True)),
    ],
)
def test_conditions_are_the_ones_that_served(members: dict[str, Any], usage: dict[str, Any], conditions: Conditions) -> None:
    """What the answer does not say is taken from the request."""
    read = report({"input_tokens": 1, "output_tokens": 1, **usage}, ask=asked(**members))
    assert read.usage is not None
    assert read.usage.conditions == conditions


def test_every_kind_of_output_is_counted() -> None:
    """Text, thinking, the name and input of a tool call; signatures and ids were not generated as output."""
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "x" * 99},
        {"type": "text", "text": "äö"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "t", "name": "g", "input": {}},
    ]
    assert report(FULL, content=content).delivered_bytes == 2 + 4 + 1 + 7 + 1


def test_counting_tokens_is_an_explicit_zero() -> None:
    """Free."""
    ask = ANTHROPIC.ask(COUNT_TOKENS, json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode(), {})
    read = ANTHROPIC.read_answer(ask, b'{"input_tokens":7}', {})
    assert (read.usage, read.finished) == (EXPLICIT_ZERO, True)
    assert not ANTHROPIC.read_answer(ask, b"{}", {}).finished


@given(st.binary(max_size=60) | st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(
    lambda value: json.dumps({"content": value, "usage": value, "model": value, "error": value}).encode()
))  # fmt: skip
def test_garbage_is_never_an_exception(body: bytes) -> None:
    """Whatever a provider answers."""
    assert ANTHROPIC.read_answer(ASK, body, {}).delivered_bytes >= 0


def test_a_stream_is_relayed_whole_and_its_end_waits() -> None:
    """From the message_delta that carries the stop reason on."""
    relayed, held, read = run(ASK, STREAM)
    assert relayed == START + BODY
    assert held == end(DELTA_USAGE) + STOP
    assert read.usage is not None
    assert read.usage.units == {IN_TEXT: 25, OUT_TEXT: 15}
    assert (read.finished, read.delivered_bytes, read.response_id, read.flags) == (True, 2, "msg_1", ())
    assert json.loads(read.usage.raw) == {"message_start": START_USAGE, "message_delta": DELTA_USAGE}


def test_of_several_cumulative_deltas_the_last_counts() -> None:
    """Field by field over the start; null does not erase."""
    begin = start({**START_USAGE, "cache_creation_input_tokens": 10, "cache_creation": {"ephemeral_1h_input_tokens": 10}, "speed": "fast"})
    first, second = end({"output_tokens": 5}, None), end({"output_tokens": 9}, None)
    last = end({"output_tokens": 15, "input_tokens": 40, "cache_read_input_tokens": None})
    relayed, held, read = run(ASK, begin + first + text("x") + second + last + STOP)
    assert relayed == begin + first + text("x") + second
    assert held == last + STOP
    assert read.usage is not None
    assert read.usage.units == {IN_TEXT: 40, IN_CACHE_WRITE_1H: 10, OUT_TEXT: 15}
    assert read.usage.conditions.speed == "fast"


@pytest.mark.parametrize("tail", [b"", end({"output_tokens": 5}, None), end(None)])
def test_without_a_final_usage_only_the_input_is_known(tail: bytes) -> None:
    """Cut before, between, or sent without: the first usage is never taken as the last."""
    _, _, read = run(ASK, START + BODY + tail)
    assert read.usage is None
    assert read.input_seen is not None
    assert read.input_seen.units == {IN_TEXT: 25}
    assert (read.finished, read.delivered_bytes) == (False, 2)


def test_before_the_start_nothing_is_known() -> None:
    """A client that leaves at byte zero."""
    _, _, read = run(ASK)
    assert (read.usage, read.input_seen, read.delivered_bytes, read.finished) == (None, None, 0, False)


def test_an_absurd_start_gives_no_input() -> None:
    """And an absurd end no usage."""
    _, _, read = run(ASK, start({"input_tokens": -25, "output_tokens": 1}) + BODY + end({"output_tokens": -3}) + STOP)
    assert (read.usage, read.input_seen, read.flags) == (None, None, ("absurd_usage",))


def test_an_error_in_the_stream_passes_and_is_said() -> None:
    """The provider's own words reach the client."""
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    relayed, held, read = run(ASK, START + BODY + error)
    assert (relayed, held) == (START + BODY + error, b"")
    assert (read.upstream_error, read.finished, read.usage) == (True, False, None)


def test_visible_thinking_and_tool_input_are_output() -> None:
    """Signatures are not."""
    pieces = [
        event("content_block_start", index=0, content_block={"type": "tool_use", "id": "t", "name": "fn", "input": {}}),
        *(
            event("content_block_delta", index=0, delta=delta)
            for delta in (
                {"type": "input_json_delta", "partial_json": '{"a":1}'},
                {"type": "thinking_delta", "thinking": "hmm"},
                {"type": "signature_delta", "signature": "x" * 50},
            )
        ),
    ]
    assert run(ASK, START, *pieces)[2].delivered_bytes == 2 + 7 + 3


def test_splits_at_every_byte_change_nothing() -> None:
    """One byte at a time, and cut in two at every place; line ends of either kind."""
    for stream in (STREAM, STREAM.replace(b"\n", b"\r\n")):
        whole = run(ASK, stream)
        assert whole[0] + whole[1] == stream
        assert run(ASK, *(stream[at : at + 1] for at in range(len(stream)))) == whole
        assert all(run(ASK, stream[:at], stream[at:]) == whole for at in range(len(stream)))


FRAGMENTS = st.sampled_from(
    [START, BODY, STREAM, STOP, end(DELTA_USAGE), text("x"), b"event: x\n", b"data: ", b"{}", b"\n", b"\r", b"\n\n"]
)


@given(st.lists(FRAGMENTS | st.binary(max_size=8), max_size=12).map(b"".join), st.lists(st.integers(min_value=0), max_size=6))
def test_arbitrary_bytes_survive_arbitrary_splits(data: bytes, cuts: list[int]) -> None:
    """The same output however it is cut, never an exception, nothing lost but a cut last event."""
    whole = run(ASK, data)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    assert run(ASK, *(data[first:last] for first, last in pairwise(edges))) == whole
    out = whole[0] + whole[1]
    assert data.startswith(out.rstrip(b"\r\n")) or out.startswith(data)


SURPRISES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5) | st.just(10**40),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "input", "name", "usage", "content", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KINDS = ["message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "error", "future_event"]


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(["message", "delta", "usage", "content_block"]), SURPRISES)))
)
def test_surprising_types_in_events_never_break_the_relay(events: list[tuple[str, dict[str, Any]]]) -> None:
    """Every event passes; what cannot be understood is flagged or counted."""
    stream = b"".join(event(kind, **members) for kind, members in events)
    relayed, held, read = run(ASK, stream)
    assert relayed + held == stream
    assert read.delivered_bytes >= 0


def test_a_start_may_carry_content() -> None:
    """Compatible hosts put the first text there; one without usage or message is read as far as it goes."""
    message = {"content": [{"type": "text", "text": "abc"}], "usage": START_USAGE}
    assert run(ASK, event("message_start", message=message))[2].delivered_bytes == 3
    assert run(ASK, event("message_start", message="x") + event("content_block_delta", delta=None))[2].input_seen is None
    delta = event("content_block_delta", delta={"type": "compaction_delta", "content": "abcd"})
    assert run(ASK, delta)[2].delivered_bytes == 4


def test_a_usage_that_is_no_object_is_absurd() -> None:
    """In the stream's last delta too."""
    assert run(ASK, START + event("message_delta", delta={"stop_reason": "end_turn"}, usage=5) + STOP)[2].flags == ("absurd_usage",)


def test_an_end_without_a_start_is_a_partial_report() -> None:
    """The input was never said."""
    read = run(ASK, end({"output_tokens": 5}) + STOP)[2]
    assert (read.usage, read.flags) == (None, ("partial_usage",))


def iteration(kind: str, prompt: int, output: int, model: str | None = None) -> dict[str, Any]:
    """One run of a model."""
    return {"type": kind, "input_tokens": prompt, "output_tokens": output, **({"model": model} if model else {})}


def billed(*runs: dict[str, Any]) -> list[tuple[str, dict[str, int], int]]:
    """Model, units and prompt of everything that is billed: the answer first."""
    usage = report({**FULL, "iterations": list(runs)}).usage
    assert usage is not None
    return [(one.model_served, one.units, one.prompt_total) for one in (usage, *usage.others)]


SEARCHED = {TOOL_WEB_SEARCH: 2}


def test_a_compaction_is_billed_beside_the_answer() -> None:
    """The counts at the top do not hold it."""
    assert billed(iteration("compaction", 900, 40), iteration("message", 100, 50)) == [
        ("claude-opus-5-5", {IN_TEXT: 100, OUT_TEXT: 50, **SEARCHED}, 100),
        ("claude-opus-5-5", {IN_TEXT: 900, OUT_TEXT: 40}, 900),
    ]


def test_an_adviser_is_billed_at_its_own_model() -> None:
    """However often it was asked."""
    advice = iteration("advisor_message", 300, 20, "claude-fable-5-2")
    assert [model for model, _, _ in billed(iteration("message", 100, 5), advice, advice, iteration("message", 400, 45))] == [
        "claude-opus-5-5",
        "claude-opus-5-5",
        "claude-fable-5-2",
        "claude-fable-5-2",
    ]


def test_an_attempt_that_declined_before_any_output_is_not_billed() -> None:
    """One that declined later is, at its own model; the answer is the one that was served."""
    served = iteration("fallback_message", 100, 50, "claude-sonnet-5-5")
    assert billed(iteration("message", 100, 0), served) == [("claude-sonnet-5-5", {IN_TEXT: 100, OUT_TEXT: 50, **SEARCHED}, 100)]
    assert billed(iteration("message", 100, 7), served)[1:] == [("claude-opus-5-5", {IN_TEXT: 100, OUT_TEXT: 7}, 100)]


def test_a_run_that_had_nothing_to_say_did_not_decline() -> None:
    """No other model went on, and the answer is no refusal: its input was billed."""
    compaction = iteration("compaction", 900, 20)
    assert billed(compaction, iteration("message", 100, 0))[0] == ("claude-opus-5-5", {IN_TEXT: 100, **SEARCHED}, 100)
    assert len(billed(iteration("message", 100, 0), iteration("message", 100, 0))) == 2


@pytest.mark.parametrize(
    ("ttl", "split", "completeness"),
    [
        (None, (400, 600), "exact"),
        ("1h", (400, 600), "exact"),
        ("5m", None, "exact"),
        ("5m", (400, 0), "exact"),
        ("1h", None, "estimated"),
        ("1h", (400, 500), "estimated"),
        (None, None, "estimated"),
        ("5m", (900, 600), "estimated"),
    ],
)
def test_writes_that_may_have_been_cheaper_than_what_is_charged_are_an_estimate(
    ttl: str | None, split: tuple[int, int] | None, completeness: str
) -> None:
    """Where lifetimes are not told, the dearest is charged: the bill may be below it."""
    creation = {} if split is None else {"cache_creation": {"ephemeral_5m_input_tokens": split[0], "ephemeral_1h_input_tokens": split[1]}}
    usage = {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 1000, **creation}
    compaction = {"type": "compaction", "input_tokens": 1, "output_tokens": 1}
    for told in (usage, {**usage, "iterations": [{"type": "message", **usage}, compaction]}):
        read = report(told, ask=asked(ttl)).usage
        assert read is not None
        assert read.completeness == completeness


def test_an_attempt_before_a_fallback_is_charged_at_the_speed_it_was_asked_for() -> None:
    """The answer tells the speed of the attempt that answered."""
    ask = asked(speed="fast", fallbacks=[{"model": "claude-sonnet-5-5", "speed": "standard"}])
    runs = [
        {"type": "message", "model": "claude-opus-5-5", "input_tokens": 100, "output_tokens": 7},
        {"type": "fallback_message", "model": "claude-sonnet-5-5", "input_tokens": 100, "output_tokens": 9},
    ]
    usage = report({"input_tokens": 100, "output_tokens": 9, "speed": "standard", "iterations": runs}, ask=ask).usage
    assert usage is not None
    assert (usage.model_served, usage.conditions.speed) == ("claude-sonnet-5-5", "standard")
    assert [(other.model_served, other.conditions.speed) for other in usage.others] == [("claude-opus-5-5", "fast")]


def test_a_run_of_the_answering_model_without_output_did_not_decline() -> None:
    """What a fallback did before its last run is billed, whatever came out of it."""
    runs = [
        {"type": "message", "model": "claude-sonnet-5-5", "input_tokens": 50, "output_tokens": 0},
        {"type": "fallback_message", "model": "claude-sonnet-5-5", "input_tokens": 100, "output_tokens": 9},
    ]
    usage = report({"input_tokens": 100, "output_tokens": 9, "iterations": runs}).usage
    assert usage is not None
    assert [other.units for other in usage.others] == [{IN_TEXT: 50}]
