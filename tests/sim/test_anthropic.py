"""Anthropic's dialect, as Anthropic's own SDK sees it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types import MessageParam, ToolParam

from farebox.sim import Server

MODEL = "claude-opus-5-5"
TOOL: ToolParam = {"name": "note", "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}}}
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]


def said(text: str) -> list[MessageParam]:
    return [{"role": "user", "content": text}]


def body(text: str, **fields: object) -> dict[str, object]:
    return {"model": MODEL, "max_tokens": 1000, "messages": said(text), **fields}


def events(answer: httpx.Response) -> list[tuple[str, Any]]:
    found = []
    for block in answer.text.split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    assert all(name == data["type"] for name, data in found)
    return found


async def test_answer_reports_disjoint_buckets(claude: anthropic.AsyncAnthropic, rows: Rows) -> None:
    """What is read from the cache or written to it is not in `input_tokens`; the bill has the sum."""
    text = "sim:bill=a sim:output=7 sim:reasoning=3 sim:cached=4 sim:cache_write=2"
    answer = await claude.messages.create(model=MODEL, max_tokens=100, messages=said(text))
    usage = answer.usage
    assert answer.content[0].type == "text"
    assert answer.content[0].text == " fare box coin ride line stop gate"
    assert (answer.stop_reason, usage.output_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (
        "end_turn",
        10,
        4,
        2,
    )
    assert usage.cache_creation is not None
    assert (usage.cache_creation.ephemeral_5m_input_tokens, usage.cache_creation.ephemeral_1h_input_tokens) == (2, 0)
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 3
    [row] = await rows()
    assert row["id"] == answer._request_id
    assert row["tokens"] == {"input": usage.input_tokens + 6, "cached": 4, "cache_write": 2, "output": 10, "reasoning": 3}
    assert (row["label"], row["dialect"], row["provider"], row["cap"]) == ("a", "anthropic", "anthropic", 100)


async def test_stream_has_the_providers_events_in_order(http: httpx.AsyncClient) -> None:
    """Start, block, pieces, block's end, final usage, stop."""
    found = events(await http.post("/v1/messages", json=body("sim:output=2", stream=True)))
    assert [name for name, _ in found] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert found[0][1]["message"]["usage"]["output_tokens"] == 1
    assert found[-2][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert found[-2][1]["usage"]["output_tokens"] == 2


async def test_sdk_accumulates_a_stream_to_the_same_message(claude: anthropic.AsyncAnthropic, rows: Rows) -> None:
    """Text and final usage of a stream equal the answer at once."""
    text = "sim:output=9 sim:reasoning=2 sim:cached=3"
    async with claude.messages.stream(model=MODEL, max_tokens=100, messages=said(text)) as stream:
        streamed = await stream.get_final_message()
    whole = await claude.messages.create(model=MODEL, max_tokens=100, messages=said(text))
    assert streamed.content[0].type == "text"
    assert whole.content[0].type == "text"
    assert streamed.content[0].text == whole.content[0].text
    for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
        assert getattr(streamed.usage, name) == getattr(whole.usage, name), name
    first, second = await rows()
    assert first["tokens"] == second["tokens"]
    assert (first["streamed"], second["streamed"]) == (True, False)


async def test_sync_client_works_as_well(sim: Server) -> None:
    """Answers and streams do not depend on the SDK's transport."""

    def call() -> list[str]:
        with anthropic.Anthropic(base_url=sim.url, api_key="any", max_retries=0) as client:
            whole = client.messages.create(model=MODEL, max_tokens=50, messages=said("hi")).content[0]
            assert whole.type == "text"
            with client.messages.stream(model=MODEL, max_tokens=50, messages=said("hi")) as stream:
                return [whole.text, "".join(stream.text_stream)]

    assert await asyncio.to_thread(call) == ["This is a simulated answer"] * 2


async def test_cap_ends_the_answer(claude: anthropic.AsyncAnthropic) -> None:
    """The stop reason tells, and nothing is generated for a cap of zero."""
    answer = await claude.messages.create(model=MODEL, max_tokens=8, messages=said("sim:output=50 sim:reasoning=3"))
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 8)
    warmed = await claude.messages.create(model=MODEL, max_tokens=0, messages=said("sim:cache_write=5"))
    assert (warmed.content, warmed.usage.output_tokens, warmed.usage.cache_creation_input_tokens) == ([], 0, 5)


async def test_tool_is_called_when_one_is_offered(claude: anthropic.AsyncAnthropic) -> None:
    """Its input is an object, at once or from pieces of JSON."""
    words = "sim:tool=1 sim:output=3"
    whole = await claude.messages.create(model=MODEL, max_tokens=50, messages=said(words), tools=[TOOL])
    assert whole.content[0].type == "tool_use"
    assert (whole.stop_reason, whole.content[0].name, whole.content[0].input) == ("tool_use", "note", {"text": " fare box coin"})
    async with claude.messages.stream(model=MODEL, max_tokens=50, messages=said(words), tools=[TOOL]) as stream:
        final = await stream.get_final_message()
    assert final.content[0].type == "tool_use"
    assert final.content[0].input == {"text": " fare box coin"}
    cut = await claude.messages.create(model=MODEL, max_tokens=2, messages=said(words), tools=[TOOL])
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 2)


async def test_cache_written_for_an_hour_is_billed_as_such(http: httpx.AsyncClient, rows: Rows) -> None:
    """The time to live stands in the request; an hour costs 2x where five minutes cost 1.25x."""
    system = [{"type": "text", "text": "x" * 4000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    hour = (await http.post("/v1/messages", json=body("sim:cache_write=1000 sim:output=0", system=system))).json()["usage"]
    assert hour["cache_creation"] == {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1000}
    system[0]["cache_control"] = {"type": "ephemeral"}
    minutes = (await http.post("/v1/messages", json=body("sim:cache_write=1000 sim:output=0", system=system))).json()["usage"]
    assert minutes["cache_creation"] == {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 0}
    costs = [row["nano"] for row in await rows()]
    assert costs == [hour["input_tokens"] * 4000 + 1000 * 8000, minutes["input_tokens"] * 4000 + 1000 * 5000]


async def test_fast_speed_is_reported_and_billed_where_there_is_one(http: httpx.AsyncClient, rows: Rows) -> None:
    """A model that has no fast mode is served at its own speed."""
    fast = (await http.post("/v1/messages", json=body("sim:output=100", speed="fast"))).json()
    await http.post("/v1/messages", json=body("sim:output=100"))
    none = (await http.post("/v1/messages", json=body("sim:output=100", speed="fast") | {"model": "claude-haiku-5-5"})).json()
    assert (fast["usage"]["speed"], none["usage"]["speed"]) == ("fast", "standard")
    costs = [row["nano"] for row in await rows()]
    assert costs[0] == 2 * costs[1]


async def test_counted_tokens_are_the_billed_ones(claude: anthropic.AsyncAnthropic, rows: Rows) -> None:
    """`count_tokens` is free, on no bill, and exact."""
    counted = await claude.messages.count_tokens(model=MODEL, messages=said("hello"), system="be brief", tools=[TOOL])
    assert await rows() == []
    answer = await claude.messages.create(model=MODEL, max_tokens=9, messages=said("hello"), system="be brief", tools=[TOOL])
    assert counted.input_tokens == answer.usage.input_tokens
    with pytest.raises(anthropic.NotFoundError):
        await claude.messages.count_tokens(model="claude-none", messages=said("hello"))


@pytest.mark.parametrize(
    ("sent", "status", "kind", "message"),
    [
        ({"max_tokens": 1, "messages": said("hi")}, 400, "invalid_request_error", "model: Field required"),
        ({"model": MODEL, "max_tokens": 1}, 400, "invalid_request_error", "messages: Field required"),
        ({"model": MODEL, "max_tokens": 1, "messages": []}, 400, "invalid_request_error", "messages: at least one message is required"),
        ({"model": MODEL, "messages": said("hi")}, 400, "invalid_request_error", "max_tokens: Field required"),
        (body("hi", max_tokens=-1), 400, "invalid_request_error", "max_tokens"),
        (body("hi", thinking={"type": "enabled", "budget_tokens": 1000}), 400, "invalid_request_error", "budget_tokens"),
        (body("hi") | {"model": "claude-none"}, 404, "not_found_error", "model: claude-none"),
        (body("hi") | {"model": "gpt-6-sol"}, 404, "not_found_error", "model: gpt-6-sol"),
        (body("x" * 4_400_000), 400, "invalid_request_error", "prompt is too long"),
    ],
)
async def test_what_the_provider_refuses_is_refused_and_free(
    http: httpx.AsyncClient, rows: Rows, sent: dict[str, object], status: int, kind: str, message: str
) -> None:
    """Status, type and message are the provider's, and the row costs nothing."""
    answer = await http.post("/v1/messages", json=sent)
    told = answer.json()
    assert (answer.status_code, told["type"], told["error"]["type"]) == (status, "error", kind)
    assert message in told["error"]["message"]
    [row] = await rows()
    assert (row["status"], row["nano"], row["finished"]) == (status, 0, False)
    assert row["id"] == answer.headers["request-id"] == told["request_id"]


async def test_errors_raise_the_sdks_own_classes(claude: anthropic.AsyncAnthropic) -> None:
    """Each status means to the SDK what it means with the provider."""
    expected: list[tuple[str, type[anthropic.APIStatusError], str]] = [
        ("sim:status=400", anthropic.BadRequestError, "invalid_request_error"),
        ("sim:status=401", anthropic.AuthenticationError, "authentication_error"),
        ("sim:status=402", anthropic.PaymentRequiredError, "billing_error"),
        ("sim:status=403", anthropic.PermissionDeniedError, "permission_error"),
        ("sim:status=409", anthropic.ConflictError, "conflict_error"),
        ("sim:status=418", anthropic.APIStatusError, "invalid_request_error"),
        ("sim:status=429", anthropic.RateLimitError, "rate_limit_error"),
        ("sim:status=400 sim:code=billing_error", anthropic.BadRequestError, "billing_error"),
        ("sim:status=500", anthropic.InternalServerError, "api_error"),
        ("sim:status=529", anthropic.InternalServerError, "overloaded_error"),
        ("sim:status=599", anthropic.InternalServerError, "api_error"),
    ]
    for text, kind, error_type in expected:
        with pytest.raises(kind) as caught:
            await claude.messages.create(model=MODEL, max_tokens=9, messages=said(text))
        assert isinstance(caught.value.body, dict)
        assert caught.value.body["error"]["type"] == error_type


async def test_codes_stand_where_the_provider_puts_them(http: httpx.AsyncClient) -> None:
    """In the error's details; a balance that is too low is told by the message alone."""
    spend = await http.post("/v1/messages", json=body("sim:status=429 sim:code=enforced_spend_limit_reached"))
    assert spend.json()["error"]["details"] == {"error_code": "enforced_spend_limit_reached"}
    low = await http.post("/v1/messages", json=body("sim:status=400 sim:code=credit_balance_too_low"))
    assert low.json()["error"]["message"].startswith("Your credit balance is too low")
    assert "details" not in low.json()["error"]


async def test_either_credential_is_accepted_and_one_is_needed(http: httpx.AsyncClient) -> None:
    """`x-api-key` and bearer keys both, as the SDK's versions send them."""
    assert (await http.post("/v1/messages", json=body("hi"), headers={"authorization": "", "x-api-key": "k"})).status_code == 200
    assert (await http.post("/v1/messages?beta=true", json=body("hi"))).status_code == 200
    answer = await http.post("/v1/messages", json=body("hi"), headers={"authorization": ""})
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")


async def test_models_are_listed_page_by_page(claude: anthropic.AsyncAnthropic) -> None:
    """The SDK walks the pages; context windows are told."""
    listed = {model.id: model async for model in claude.models.list(limit=5)}
    assert listed[MODEL].max_input_tokens == 1_000_000
    assert len(listed) > 10
    assert (await claude.models.retrieve(MODEL)).display_name
    with pytest.raises(anthropic.NotFoundError):
        await claude.models.retrieve("claude-none")
    for query in ({"limit": "0"}, {"limit": "9" * 5000}, {"after_id": "claude-none"}):
        with pytest.raises(anthropic.BadRequestError):
            await claude.models.list(extra_query=query)
