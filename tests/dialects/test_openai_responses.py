"""Responses: what a request may cost, what an answer says it did cost, and how a stream of one ends."""

import json
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox import limits
from farebox.dialects import OpenAI
from farebox.dialects.base import Ask, Report
from farebox.dialects.routes import match
from farebox.errors import AmbiguousBody, CostUnbounded, InvalidRequest, UpstreamBadResponse
from farebox.usage import (
    IN_CACHE_READ,
    IN_CACHE_READ_IMAGE,
    IN_CACHE_WRITE_12H,
    IN_CACHE_WRITE_30M,
    IN_IMAGE,
    IN_TEXT,
    OUT_TEXT,
    TOOL_CONTAINER_SESSIONS,
    TOOL_FILE_SEARCH,
    TOOL_WEB_SEARCH,
    TOOL_WEB_SEARCH_PREVIEW,
)

RESPONSES = match("POST", "/openai/v1/responses", [])
OPENAI = OpenAI()
MODEL = "gpt-6-sol"
SEARCH = {"type": "web_search"}
PYTHON = {"type": "code_interpreter", "container": {"type": "auto"}}


def body_of(**members: Any) -> bytes:
    return json.dumps({"model": MODEL, "input": "hi", **members}).encode()


def asked(**members: Any) -> Ask:
    return OPENAI.ask(RESPONSES, body_of(**members), {})


def usage(prompt: int = 1000, output: int = 100, **details: Any) -> dict[str, Any]:
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, **details},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 40},
        "total_tokens": prompt + output,
    }


def answer(**members: Any) -> dict[str, Any]:
    said = {"type": "message", "content": [{"type": "output_text", "text": "hello"}]}
    return {"id": "resp_1", "model": MODEL, "status": "completed", "output": [said], "service_tier": "default", "usage": usage(), **members}


def read(ask: Ask, **members: Any) -> Report:
    return OPENAI.read_answer(ask, json.dumps(answer(**members)).encode(), {})


def units(ask: Ask, **members: Any) -> dict[str, int]:
    found = read(ask, **members).usage
    assert found is not None
    return found.units


# --- the request -------------------------------------------------------------------------------------------------------------------


def test_the_body_bounds_the_input() -> None:
    """Instructions, items and tools are all in it."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "x" * 500}]},
        {"type": "function_call_output", "output": "y" * 300},
    ]
    ask = asked(input=items, instructions="z" * 200, tools=[tool], max_output_tokens=50)
    assert ask.demand.input_tokens_max > 1000
    assert ask.demand.input_tokens_max < len(body_of(input=items, instructions="z" * 200, tools=[tool])) + 1400
    assert (ask.demand.output_tokens_named, ask.cap_field, ask.demand.fees_max) == (50, "max_output_tokens", {})


def test_a_missing_cap_is_inserted_and_a_named_one_kept() -> None:
    """In the member of this API."""
    ask = asked()
    assert json.loads(OPENAI.rewrite(ask, body_of(), model=None, output_cap=900))["max_output_tokens"] == 900
    named = body_of(max_output_tokens=64)
    assert OPENAI.rewrite(OPENAI.ask(RESPONSES, named, {}), named, model=None, output_cap=64) is named


@pytest.mark.parametrize(
    "members",
    [
        {"prompt": {"id": "pmpt_1"}},
        {"context_management": [{"type": "compaction"}]},
        {"max_tokens": 5},
        {"max_completion_tokens": 5},
        {"n": 2},
        {"input": [{"type": "image_generation_call", "result": "aaaa"}]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "a", "image_url": "https://example.com/a.png"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://example.com/a.pdf"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]},
        {"tools": [{"type": "mcp", "server_url": "https://example.com"}]},
        {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
        {"tools": [{"type": "image_generation"}]},
        {"tools": [{"type": "code_interpreter", "container": "cntr_1"}]},
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file_1"]}}]},
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "2g"}}]},
        {"tools": [{"type": "tool_of_tomorrow"}]},
        {"service_tier": "tier_of_tomorrow"},
        {"prompt_cache_options": {"ttl": "7d"}},
    ],
)
def test_what_cannot_be_bounded_is_refused(members: dict[str, Any]) -> None:
    """By the name of its field."""
    with pytest.raises(CostUnbounded):
        asked(**members)


@pytest.mark.parametrize(
    "members",
    [
        {"max_output_tokens": 15},
        {"max_output_tokens": True},
        {"max_tool_calls": 0, "tools": [SEARCH]},
        {"background": True, "store": False},
        {"conversation": 5},
        {"previous_response_id": ""},
        {"input": 5},
        {"tools": [SEARCH, {"type": "web_search_preview"}]},
    ],
)
def test_what_is_wrong_is_refused(members: dict[str, Any]) -> None:
    """Before anything is held."""
    with pytest.raises(InvalidRequest):
        asked(**members)


def test_another_spelling_of_a_name_that_moves_cost_is_refused() -> None:
    """A lenient host might follow it."""
    for name in ("maxOutputTokens", "Max_Output_Tokens", "previousResponseId", "maxToolCalls"):
        with pytest.raises(AmbiguousBody):
            asked(**{name: 5})


def test_the_providers_tools_are_capped_and_run_the_model_again() -> None:
    """The fee of every call, and the input once more for each."""
    plain, searching = asked(max_output_tokens=100), asked(tools=[SEARCH], max_output_tokens=100)
    assert searching.demand.fees_max == {TOOL_WEB_SEARCH: limits.tool_calls_default}
    assert searching.demand.input_tokens_max >= (1 + limits.tool_calls_default) * plain.demand.input_tokens_max
    rewritten = OPENAI.rewrite(searching, body_of(tools=[SEARCH], max_output_tokens=100), model=None, output_cap=100)
    assert json.loads(rewritten)["max_tool_calls"] == limits.tool_calls_default
    named = asked(tools=[{"type": "web_search_preview_2025_03_11"}], max_tool_calls=2, max_output_tokens=100)
    assert named.demand.fees_max == {TOOL_WEB_SEARCH_PREVIEW: 2}
    assert asked(tools=[{"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}}]).demand.fees_max == {
        TOOL_CONTAINER_SESSIONS: 4 * (1 + limits.request_s_max // 1200)
    }


def test_state_at_the_provider_is_named_and_bounded_by_what_the_model_takes() -> None:
    """What it goes on from, and what it leaves."""
    ask = asked(previous_response_id="resp_0", conversation={"id": "conv_1"})
    assert ask.uses == (("response", "resp_0"), ("conversation", "conv_1"))
    assert ask.demand.input_tokens_max > 10**9
    assert ask.own_input_max is not None
    assert ask.own_input_max < 2000
    assert (asked().stores, asked(store=False).stores) == (("response", "item"), ())
    assert asked(background=True).background


def test_a_response_that_is_only_compared_has_to_be_the_callers_own() -> None:
    """The answer tells what of it was in the cache; it adds no input."""
    ask = asked(prompt_cache_options={"mode": "explicit", "comparison_response_id": "resp_0"})
    assert ask.uses == (("response", "resp_0"),)
    assert ask.demand.input_tokens_max < 2000
    for name in (7, "", "x" * 300, "a\nb"):
        with pytest.raises(InvalidRequest):
            asked(prompt_cache_options={"comparison_response_id": name})
    with pytest.raises(AmbiguousBody):
        asked(prompt_cache_options={"Comparison_Response_Id": "resp_0"})


def test_ultrafast_is_a_tier_of_responses() -> None:
    """Held at whatever it may be served as; whether the model has a price for it, is the quote's."""
    tiers = [conditions.service_tier for conditions in asked(service_tier="ultrafast").demand.conditions]
    assert tiers == ["ultrafast", "priority", "default"]
    found = read(asked(service_tier="ultrafast"), service_tier="ultrafast").usage
    assert found is not None
    assert found.conditions.service_tier == "ultrafast"


# --- its answer --------------------------------------------------------------------------------------------------------------------


def test_usage_is_split_into_disjoint_units() -> None:
    """Cached and written tokens are parts of the input."""
    written: dict[str, Any] = {
        "cached_tokens": 600,
        "cache_write_tokens": 300,
        "cache_write_tokens_details": {"ttl_30m_tokens": 200, "ttl_12h_tokens": 100},
    }
    assert units(asked(), usage=usage(**written)) == {
        IN_TEXT: 100,
        IN_CACHE_READ: 600,
        IN_CACHE_WRITE_30M: 200,
        IN_CACHE_WRITE_12H: 100,
        OUT_TEXT: 100,
    }


def test_cache_writes_without_a_split_are_of_the_lifetime_that_was_asked_for() -> None:
    """Half an hour where none was."""
    written = usage(cache_write_tokens=300)
    assert units(asked(), usage=written)[IN_CACHE_WRITE_30M] == 300
    assert units(asked(prompt_cache_options={"ttl": "12h"}), usage=written)[IN_CACHE_WRITE_12H] == 300


def test_media_that_were_cached_are_told_apart_as_far_as_they_can_be() -> None:
    """As in a chat's usage; and a picture that was written is charged as written."""
    seen = units(asked(), usage=usage(cached_tokens=800, image_tokens=900))
    assert seen == {IN_CACHE_READ: 100, IN_CACHE_READ_IMAGE: 700, IN_IMAGE: 200, OUT_TEXT: 100}
    written = read(asked(), usage=usage(cache_write_tokens=900, image_tokens=900)).usage
    assert written is not None
    assert (written.units, written.flags) == ({IN_CACHE_WRITE_30M: 900, IN_IMAGE: 100, OUT_TEXT: 100}, ())


def test_tool_fees_stand_beside_the_usage() -> None:
    """Searches as the provider counts them; the other tools as they stand in the output, a container once."""
    ran = {"type": "code_interpreter_call", "container_id": "cntr_1"}
    output = [{"type": "web_search_call", "action": {"type": "search"}}, {"type": "file_search_call"}, ran, ran]
    found = units(asked(tools=[SEARCH, PYTHON]), output=output, tool_usage={"web_search": {"num_requests": 3}})
    assert (found[TOOL_WEB_SEARCH], found[TOOL_FILE_SEARCH], found[TOOL_CONTAINER_SESSIONS]) == (3, 1, 1)


@pytest.mark.parametrize(
    ("began", "ended", "sessions"),
    [(100, 100.5, 1), (100, 1299, 1), (100, 1301.25, 2), (100, 4000, 4), (100, None, 1), (None, 100, 1), (200, 100, 1), ("x", [], 1)],
)
def test_a_container_is_charged_for_every_twenty_minutes_begun(began: Any, ended: Any, sessions: int) -> None:
    """Whatever of the response's time it ran: the answer tells no more; and no more than was held for."""
    output = [{"type": "code_interpreter_call", "container_id": "cntr_1"}]
    found = units(asked(tools=[PYTHON]), output=output, created_at=began, completed_at=ended)
    assert found[TOOL_CONTAINER_SESSIONS] == sessions


def test_no_number_of_seconds_makes_more_sessions_than_were_held_for() -> None:
    """A moment that cannot be true is the provider's fault."""
    output = [{"type": "code_interpreter_call", "container_id": "cntr_1"}]
    ask = asked(tools=[PYTHON])
    found = units(ask, output=output, created_at=0, completed_at=1e300)
    assert found[TOOL_CONTAINER_SESSIONS] == ask.demand.fees_max[TOOL_CONTAINER_SESSIONS]


def test_a_shell_in_a_container_has_the_fee_of_a_container() -> None:
    """By its size, once for each container; one on the caller's machine has none."""
    hosted = {"type": "shell", "environment": {"type": "container_auto", "memory_limit": "4g"}}
    ran = {"type": "shell_call", "environment": {"type": "container_reference", "container_id": "cntr_1"}}
    ask = asked(tools=[hosted])
    assert ask.demand.fees_max[TOOL_CONTAINER_SESSIONS] % 4 == 0
    assert units(ask, output=[ran, ran])[TOOL_CONTAINER_SESSIONS] == 4
    local = asked(tools=[{"type": "shell", "environment": {"type": "local"}}])
    assert (local.demand.fees_max, local.tools) == ({}, 1)
    assert TOOL_CONTAINER_SESSIONS not in units(local, output=[{"type": "shell_call", "environment": {"type": "local"}}])


@pytest.mark.parametrize(
    "environment",
    [
        None,
        {"type": "container_reference", "container_id": "cntr_1"},
        {"type": "container_auto", "file_ids": ["file_1"]},
        {"type": "container_auto", "skills": [{"type": "skill_reference", "skill_id": "s"}]},
        {"type": "container_auto", "memory_limit": "1t"},
        {"type": "cloud"},
        "local",
    ],
)
def test_a_shell_elsewhere_is_refused(environment: Any) -> None:
    """What is kept by the provider, and what is of no known price."""
    with pytest.raises(CostUnbounded):
        asked(tools=[{"type": "shell", "environment": environment}])


def test_what_a_shell_of_the_callers_printed_is_text() -> None:
    """Calls and their outputs go back as input; of one in a container they do not."""
    call = {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}, "environment": {"type": "local"}}
    printed = {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "x" * 5000, "stderr": "", "outcome": {"type": "exit"}}]}
    assert asked(input=[call, printed]).demand.input_tokens_max > 5000
    picture = {"type": "input_image", "image_url": "https://example.com/a.png"}
    for item in (
        {**call, "environment": {"type": "container_reference", "container_id": "cntr_1"}},
        {**printed, "output": [picture]},
        {**call, "content": [picture]},
    ):
        with pytest.raises(CostUnbounded):
            asked(input=[item])


def test_a_namespace_of_the_callers_tools_costs_what_they_do() -> None:
    """Every tool in it counts; one of the provider's has no place there."""
    inner = {"type": "function", "name": "f", "parameters": {}}
    many = asked(tools=[{"type": "namespace", "name": "crm", "description": "d", "tools": [inner, {"type": "custom", "name": "g"}]}])
    assert (many.tools, many.demand.fees_max) == (3, {})
    for within in ([inner, SEARCH], "x", [{"type": "namespace", "tools": []}]):
        with pytest.raises((CostUnbounded, InvalidRequest)):
            asked(tools=[{"type": "namespace", "name": "crm", "tools": within}])


def test_searches_are_counted_in_the_output_where_the_provider_does_not_say() -> None:
    """Pages that were opened cost nothing."""
    kinds = ("search", "open_page", "find_in_page", "search")
    output = [{"type": "web_search_call", "action": {"type": kind}} for kind in kinds]
    assert units(asked(tools=[SEARCH]), output=output)[TOOL_WEB_SEARCH] == 2
    assert units(asked(tools=[SEARCH]), output=output, tool_usage={"image_gen": {"input_tokens": 0}})[TOOL_WEB_SEARCH] == 2
    assert TOOL_WEB_SEARCH not in units(asked(tools=[SEARCH]), output=output, tool_usage={"web_search": {"num_requests": 0}})


@pytest.mark.parametrize(
    "members",
    [
        {"output": [{"type": "telepathy_call"}]},
        {"tool_usage": {"telepathy": {"num_requests": 1}}},
        {"tool_usage": {"image_gen": {"output_tokens": 1056}}},
        {"tool_usage": {"web_search": {"num_requests": -1}}},
        {"usage": usage(prompt=-5)},
        {"usage": {"input_tokens": 5}},
        {"usage": 7},
        {"usage": None, "status": "failed", "error": {"code": "server_error"}},
    ],
)
def test_what_is_missing_unknown_or_absurd_is_no_usage(members: dict[str, Any]) -> None:
    """The hold is charged, never nothing."""
    found = read(asked(), **members)
    assert found.usage is None
    assert found.finished


def test_inconsistent_counts_are_charged_as_the_larger() -> None:
    """And flagged."""
    found = read(asked(), usage={**usage(), "total_tokens": 1500}).usage
    assert found is not None
    assert (found.units[OUT_TEXT], found.flags) == (500, ("inconsistent_usage",))


def test_the_tier_that_served_is_the_one_that_is_charged() -> None:
    """`fast` comes back as priority."""
    for said, charged in (("default", "default"), ("priority", "priority"), ("fast", "priority"), ("flex", "flex")):
        found = read(asked(service_tier="fast"), service_tier=said).usage
        assert found is not None
        assert found.conditions.service_tier == charged


def test_a_response_in_the_background_tells_where_to_ask() -> None:
    """It is no end, and its id cannot lead anywhere else."""
    found = read(asked(background=True), status="queued", usage=None, output=[])
    assert (found.finished, found.poll_target) == (False, "/responses/resp_1")
    assert read(asked(background=True), status="queued", id="../files").poll_target == ""
    assert not read(asked(), status="queued").finished


# --- its stream --------------------------------------------------------------------------------------------------------------------


def events(*ending: dict[str, Any]) -> bytes:
    begun: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "resp_1", "model": MODEL, "usage": None}},
        {"type": "response.output_text.delta", "delta": "hel"},
        {"type": "response.output_text.delta", "delta": "lo"},
        *ending,
    ]
    lines = [f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n" for number, event in enumerate(begun)]
    return "".join(lines).encode()


@pytest.mark.parametrize("end", ["completed", "incomplete", "failed"])
def test_every_terminal_event_ends_a_stream_and_is_withheld(end: str) -> None:
    """Byte for byte, whatever the pieces."""
    terminal: dict[str, Any] = {"type": f"response.{end}", "response": answer(status=end, usage=None if end == "failed" else usage())}
    stream = events(terminal)
    for width in (1, 7, len(stream)):
        meter = OPENAI.stream(asked(stream=True), {})
        shown = b"".join(meter.feed(stream[at : at + width]) for at in range(0, len(stream), width)) + meter.close()
        found = meter.report()
        assert shown + meter.held_back == stream
        assert terminal["type"].encode() not in shown
        assert (meter.finished, found.finished, found.response_id) == (True, True, "resp_1")
        assert (found.usage is None) == (end == "failed")


def test_a_stream_that_breaks_has_no_usage() -> None:
    """What was shown is counted."""
    meter = OPENAI.stream(asked(stream=True), {})
    meter.feed(events())
    meter.close()
    found = meter.report()
    assert (found.finished, found.usage, found.delivered_bytes, found.response_id) == (False, None, 5, "resp_1")
    meter.feed(b'event: error\ndata: {"type":"error","code":"server_error"}\n\n')
    assert meter.report().upstream_error


def test_the_sdk_raises_on_our_error_frame() -> None:
    """Where the documented event alone would be shown silently; its number goes on from the last one."""
    ask = asked(stream=True)
    meter = OPENAI.stream(ask, {})
    frame = OPENAI.error_frame(UpstreamBadResponse(provider="openai", problem="gone"), "req_1", (meter.feed(events()), ask)[1])
    assert json.loads(frame.partition(b"data: ")[2])["sequence_number"] == 3
    sent = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=events() + frame)
    http = httpx2.Client(transport=httpx2.MockTransport(lambda _request: sent))
    with openai.OpenAI(api_key="k", base_url="http://x/v1", http_client=http, max_retries=0) as client:
        stream = client.responses.create(model=MODEL, input="hi", stream=True)
        with pytest.raises(openai.APIError):
            list(stream)


@given(st.binary(max_size=300), st.integers(min_value=1, max_value=40))
def test_arbitrary_bytes_never_raise(data: bytes, width: int) -> None:
    """Whole or streamed, split anywhere."""
    assert OPENAI.read_answer(asked(), data, {}).delivered_bytes >= 0
    meter = OPENAI.stream(asked(stream=True), {})
    for at in range(0, len(data), width):
        meter.feed(data[at : at + width])
    meter.close()
    assert meter.report().delivered_bytes >= 0
