"""OpenAI's responses, as OpenAI's own SDK sees them."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

MODEL = "gpt-6-sol"
TOOLS: list[Any] = [
    {"type": "web_search"},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}},
    {"type": "image_generation", "model": "gpt-image-1", "partial_images": 2},
    {"type": "function", "name": "note", "parameters": {"type": "object", "properties": {}}},
]
TERMINAL = {"response.completed", "response.incomplete", "response.failed", "error"}
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]


async def events(chat: openai.AsyncOpenAI, said: str, **fields: Any) -> list[Any]:
    async with await chat.responses.create(model=MODEL, input=said, stream=True, **fields) as stream:
        return [event async for event in stream]


async def test_response_reports_the_usage_that_is_billed(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Cached, written and hidden tokens are parts of the totals, in the SDK's own types."""
    answer = await chat.responses.create(model=MODEL, input="sim:output=7 sim:reasoning=3 sim:cached=4 sim:cache_write=2 sim:bill=a")
    assert answer.usage is not None
    assert (answer.status, answer.output_text) == ("completed", " fare box coin ride line stop gate")
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    [row] = await rows()
    usage, details = answer.usage, answer.usage.input_tokens_details
    assert (row["label"], row["finished"], row["id"]) == ("a", True, answer._request_id)
    assert row["tokens"] == {
        "input": usage.input_tokens,
        "cached": details.cached_tokens,
        "cache_write": details.cache_write_tokens,
        "output": usage.output_tokens,
        "reasoning": usage.output_tokens_details.reasoning_tokens,
    }
    assert (details.cached_tokens, details.cache_write_tokens, usage.output_tokens, usage.total_tokens - usage.input_tokens) == (
        4,
        2,
        10,
        10,
    )


async def test_tools_of_the_provider_are_billed_beside_the_tokens(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Searches and containers are fees, pictures are tokens of the image model; `tool_usage` tells the first and the last of them."""
    said = "sim:web_search=3 sim:file_search=2 sim:containers=2 sim:image_gen=1056"
    answer = await chat.responses.create(model=MODEL, input=said, tools=TOOLS)
    assert answer.tool_usage is not None
    assert answer.tool_usage.web_search.num_requests == 3
    assert (answer.tool_usage.image_gen.input_tokens, answer.tool_usage.image_gen.output_tokens) == (50, 1056)
    searches = [item.action.type for item in answer.output if item.type == "web_search_call"]
    assert sorted(searches) == ["open_page", "search", "search", "search"]
    containers = [item.container_id for item in answer.output if item.type == "code_interpreter_call"]
    assert (len(containers), len(set(containers))) == (3, 2)
    assert sum(item.type == "file_search_call" for item in answer.output) == 2
    [row] = await rows()
    assert row["fees"] == {"web_search": 3, "file_search": 2, "container_4g": 2}
    assert row["parts"] == [{"model": "gpt-image-1", "units": {"input_tokens": 50, "output_tokens": 1056, "output_image_tokens": 1056}}]
    tokens = row["units"]["input_tokens"] * Decimal("0.000002") + 5 * Decimal("0.00001")
    fees = 3 * Decimal("0.01") + 2 * Decimal("0.0025") + 2 * Decimal("0.12")
    picture = 50 * Decimal("0.000005") + 1056 * Decimal("0.00004")
    assert Decimal(row["usd"]) == tokens + fees + picture
    assert row["nano"] == (tokens + fees + picture) * 10**9


async def test_tools_stay_within_what_the_request_offers_and_allows(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Nothing without tools, no more calls than `max_tool_calls`, and the preview's price for a model that does not reason."""
    said = "sim:web_search=3 sim:file_search=2 sim:containers=2 sim:image_gen=9"
    await chat.responses.create(model=MODEL, input=said)
    await chat.responses.create(model=MODEL, input=said, tools=TOOLS, max_tool_calls=4)
    await chat.responses.create(model="gpt-4o", input=said, tools=[{"type": "web_search_preview"}])
    nothing, capped, preview = await rows()
    assert (nothing["fees"], nothing["parts"]) == ({}, [])
    assert (capped["fees"], capped["parts"]) == ({"web_search": 3, "file_search": 1}, [])
    assert preview["fees"] == {"web_search_preview": 3}


async def test_tool_usage_can_be_left_out(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """The items are there to be counted; the bill is the same."""
    answer = await chat.responses.create(model=MODEL, input="sim:web_search=2 sim:tool_usage=missing", tools=TOOLS)
    assert answer.tool_usage is None
    assert sum(item.type == "web_search_call" and item.action.type == "search" for item in answer.output) == 2
    assert [row["fees"] for row in await rows()] == [{"web_search": 2}]


async def test_events_are_numbered_and_end_with_one_that_carries_usage(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Every event has the next number; the text is whole; nothing but the last response has usage."""
    found = await events(chat, "sim:output=4 sim:reasoning=2")
    assert [event.sequence_number for event in found] == list(range(len(found)))
    assert "".join(event.delta for event in found if event.type == "response.output_text.delta") == " fare box coin ride"
    assert [event.type for event in found if event.type in TERMINAL] == ["response.completed"]
    assert [event.response.usage is None for event in found if hasattr(event, "response")] == [True, True, False]
    [row] = await rows()
    assert (found[-1].response.usage.input_tokens, found[-1].response.usage.output_tokens) == (row["tokens"]["input"], 6)
    assert found[-1].response.output_text == " fare box coin ride"


async def test_tool_events_tell_each_stage_and_partial_pictures_cost_tokens(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Two partial pictures add a hundred output tokens each at the image model."""
    found = await events(chat, "sim:web_search=1 sim:image_gen=10", tools=TOOLS)
    types = [event.type for event in found]
    assert types.count("response.web_search_call.searching") == 2
    assert types.count("response.image_generation_call.partial_image") == 2
    assert types.count("response.output_item.added") == types.count("response.output_item.done") == 4
    assert found[-1].response.tool_usage.image_gen.output_tokens == 210
    assert [row["parts"][0]["units"]["output_tokens"] for row in await rows()] == [210]


async def test_function_is_called_by_name(chat: openai.AsyncOpenAI) -> None:
    """Streamed or not, the arguments are the same JSON; a name that is not offered is refused."""
    whole = await chat.responses.create(model=MODEL, input="sim:tool=note sim:output=2", tools=TOOLS)
    [call] = whole.output
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("note", '{"text":" fare box"}')
    found = await events(chat, "sim:tool=note sim:output=2", tools=TOOLS)
    assert "".join(event.delta for event in found if event.type == "response.function_call_arguments.delta") == call.arguments
    with pytest.raises(openai.BadRequestError, match="no function of this name"):
        await chat.responses.create(model=MODEL, input="sim:tool=other", tools=TOOLS)


@pytest.mark.parametrize(
    ("said", "last", "finished"),
    [
        ("sim:end=incomplete", "response.incomplete", True),
        ("sim:end=failed", "response.failed", False),
        ("sim:end=error", "error", False),
        ("sim:fail=2", "error", False),
    ],
)
async def test_every_ending_is_billed(chat: openai.AsyncOpenAI, rows: Rows, said: str, last: str, *, finished: bool) -> None:
    """A failed response reports no usage, and its tokens cost what they cost."""
    found = await events(chat, f"sim:output=9 {said}")
    assert (found[-1].type, sum(event.type in TERMINAL for event in found)) == (last, 1)
    if last == "response.failed":
        assert found[-1].response.usage is None
        assert found[-1].response.error.code == "server_error"
    if last == "response.incomplete":
        assert found[-1].response.incomplete_details.reason == "content_filter"
        assert found[-1].response.usage.output_tokens == 9
    [row] = await rows()
    assert (row["tokens"]["output"], row["finished"]) == (9, finished)


async def test_failed_answer_may_bill_only_what_was_sent(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Not streamed, nothing of the output was: the input alone is billed."""
    answer = await chat.responses.create(model=MODEL, input="sim:output=9 sim:end=failed sim:on_abort=bill_sent")
    assert (answer.status, answer.usage) == ("failed", None)
    [row] = await rows()
    assert (row["tokens"]["output"], row["tokens"]["input"] > 0) == (0, True)


async def test_cap_makes_a_response_incomplete(chat: openai.AsyncOpenAI) -> None:
    """The reason is the cap, and reasoning counts against it."""
    answer = await chat.responses.create(model=MODEL, input="sim:output=50 sim:reasoning=10", max_output_tokens=20)
    assert answer.usage is not None
    assert answer.incomplete_details is not None
    assert (answer.status, answer.incomplete_details.reason, answer.usage.output_tokens) == ("incomplete", "max_output_tokens", 20)


async def test_twelve_hours_in_the_cache_cost_twice_the_input(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Half an hour costs a quarter more; the usage splits what was written by how long it stays."""
    for ttl in ("30m", "12h"):
        said = "sim:cache_write=1000 sim:output=0" + " word" * 1000
        answer = await chat.responses.create(model=MODEL, input=said, prompt_cache_options={"ttl": ttl})
        assert answer.usage is not None
        split = answer.usage.input_tokens_details.cache_write_tokens_details
        assert split is not None
        assert (split.ttl_30m_tokens, split.ttl_12h_tokens) == ((1000, 0) if ttl == "30m" else (0, 1000))
    half_hour, long = await rows()
    plain = (long["units"]["input_tokens"] - 1000) * Decimal("0.000002")
    assert (Decimal(half_hour["usd"]), Decimal(long["usd"])) == (plain + Decimal("0.0025"), plain + Decimal("0.004"))


async def test_prewarming_writes_the_cache_and_says_nothing(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """All of the input is written, and there is no output."""
    await chat.responses.create(model=MODEL, input="keep this", prompt_cache_options={"prewarm": True})
    [row] = await rows()
    assert (row["tokens"]["cache_write"], row["tokens"]["output"]) == (row["tokens"]["input"], 0)


@pytest.mark.parametrize(
    ("sent", "code", "param"),
    [
        ({"input": "hi"}, "missing_required_parameter", "model"),
        ({"model": MODEL}, "missing_required_parameter", "input"),
        ({"model": MODEL, "input": "hi", "max_output_tokens": 15}, "integer_below_min_value", "max_output_tokens"),
        ({"model": MODEL, "input": "hi", "previous_response_id": "resp_none"}, "previous_response_not_found", "previous_response_id"),
        ({"model": MODEL, "input": "hi", "previous_response_id": "resp_1", "conversation": "conv_1"}, None, "previous_response_id"),
        ({"model": MODEL, "input": "hi", "background": True, "store": False}, None, "background"),
        ({"model": MODEL, "input": "x" * 4_400_000}, "context_length_exceeded", "input"),
        ({"model": MODEL, "input": "sim:nonsense=1"}, None, None),
        (
            {"model": MODEL, "input": "hi", "tools": [{"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "2g"}}]},
            "invalid_value",
            "tools[].container.memory_limit",
        ),
    ],
)
async def test_what_the_provider_refuses_is_refused_and_free(
    http: httpx.AsyncClient, rows: Rows, sent: dict[str, object], code: str | None, param: str | None
) -> None:
    """Code and parameter are the provider's, and the row costs nothing."""
    answer = await http.post("/v1/responses", json=sent)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"], error["type"]) == (400, code, param, "invalid_request_error")
    assert [(row["status"], row["nano"]) for row in await rows()] == [(400, 0)]


async def test_unknown_model_of_a_tool_is_refused(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """What has no price is never billed."""
    with pytest.raises(openai.NotFoundError):
        await chat.responses.create(model=MODEL, input="sim:image_gen=5", tools=[{"type": "image_generation", "model": "gpt-image-none"}])
    assert [row["nano"] for row in await rows()] == [0]
