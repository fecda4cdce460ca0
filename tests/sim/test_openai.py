"""OpenAI's dialect, as OpenAI's own SDK sees it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionToolParam

from farebox.sim import Server

MODEL = "gpt-6-sol"
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "note", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}},
}
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]


def body(text: str, **fields: object) -> dict[str, object]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}


def events(answer: httpx.Response) -> list[Any]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    written = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert written.pop() == "[DONE]"
    return [json.loads(each) for each in written]


async def test_answer_reports_the_usage_that_is_billed(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """The SDK reads text, usage and the request id, and the bill has the same."""
    text = "sim:bill=a sim:output=7 sim:reasoning=3 sim:cached=4 sim:cache_write=2"
    answer = await chat.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}])
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.choices[0].message.content == " fare box coin ride line stop gate"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 10
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 10
    [row] = await rows()
    assert row["id"] == answer._request_id
    assert row["tokens"] == {
        "input": answer.usage.prompt_tokens,
        "cached": answer.usage.prompt_tokens_details.cached_tokens,
        "cache_write": answer.usage.prompt_tokens_details.cache_write_tokens,
        "output": 10,
        "reasoning": answer.usage.completion_tokens_details.reasoning_tokens,
    }
    assert (row["tokens"]["cached"], row["tokens"]["cache_write"], row["tokens"]["reasoning"]) == (4, 2, 3)
    assert (row["label"], row["dialect"], row["model"], row["status"], row["finished"], row["streamed"]) == (
        "a",
        "openai",
        MODEL,
        200,
        True,
        False,
    )


async def test_stream_ends_with_usage_when_it_was_asked_for(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """One piece per token, then a finish, then usage alone."""
    stream = await chat.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "sim:output=5"}], stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    said = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert said == [" fare", " box", " coin", " ride", " line"]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    [row] = await rows()
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (row["tokens"]["input"], row["tokens"]["output"])
    assert row["streamed"]
    assert row["finished"]


async def test_usage_is_null_in_every_chunk_but_the_last_only_when_asked_for(http: httpx.AsyncClient) -> None:
    """A caller that did not ask never sees the member."""
    asked = events(await http.post("/v1/chat/completions", json=body("hi", stream=True, stream_options={"include_usage": True})))
    assert [chunk["usage"] for chunk in asked[:-1]] == [None] * (len(asked) - 1)
    assert set(asked[-1]["usage"]) >= {"prompt_tokens", "completion_tokens", "total_tokens"}
    unasked = events(await http.post("/v1/chat/completions", json=body("hi", stream=True)))
    assert not any("usage" in chunk for chunk in unasked)
    assert len(unasked) == len(asked) - 1


async def test_sync_client_works_as_well(sim: Server) -> None:
    """Answers and streams do not depend on the SDK's transport."""

    def call() -> tuple[str | None, str]:
        with openai.OpenAI(base_url=f"{sim.url}/v1", api_key="any", max_retries=0) as client:
            whole = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
            with client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}], stream=True) as stream:
                parts = [chunk.choices[0].delta.content or "" for chunk in stream]
            return whole.choices[0].message.content, "".join(parts)

    assert await asyncio.to_thread(call) == ("This is a simulated answer",) * 2


async def test_choices_are_billed_together(http: httpx.AsyncClient, rows: Rows) -> None:
    """Three choices of four tokens are twelve, streamed or not, and each choice is whole."""
    whole = (await http.post("/v1/chat/completions", json=body("sim:output=4", n=3))).json()
    assert [choice["index"] for choice in whole["choices"]] == [0, 1, 2]
    assert whole["usage"]["completion_tokens"] == 12
    chunks = events(await http.post("/v1/chat/completions", json=body("sim:output=4", n=3, stream=True)))
    for index in range(3):
        mine = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
        assert "".join(choice["delta"].get("content") or "" for choice in mine) == " fare box coin ride"
        assert mine[-1]["finish_reason"] == "stop"
    assert [row["tokens"]["output"] for row in await rows()] == [12, 12]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_cap_ends_the_answer(http: httpx.AsyncClient, rows: Rows, name: str) -> None:
    """Both names of the cap work, and the bill stays under it unless asked otherwise."""
    capped = (await http.post("/v1/chat/completions", json=body("sim:output=50", **{name: 8}))).json()
    assert capped["choices"][0]["finish_reason"] == "length"
    assert capped["usage"]["completion_tokens"] == 8
    ignored = (await http.post("/v1/chat/completions", json=body("sim:output=50 sim:ignore_cap=1", **{name: 8}))).json()
    assert ignored["usage"]["completion_tokens"] == 50
    assert [(row["cap"], row["tokens"]["output"]) for row in await rows()] == [(8, 8), (8, 50)]


async def test_tool_is_called_when_one_is_offered(chat: openai.AsyncOpenAI) -> None:
    """The arguments are JSON, at once or piece by piece; without tools there is only text."""
    said = "sim:tool=1 sim:output=3"
    whole = await chat.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": said}], tools=[TOOL])
    assert whole.choices[0].finish_reason == "tool_calls"
    assert whole.choices[0].message.tool_calls is not None
    [call] = whole.choices[0].message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("note", {"text": " fare box coin"})
    async with chat.chat.completions.stream(model=MODEL, messages=[{"role": "user", "content": said}], tools=[TOOL]) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.tool_calls is not None
    assert json.loads(final.choices[0].message.tool_calls[0].function.arguments) == {"text": " fare box coin"}
    none = await chat.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": said}])
    assert none.choices[0].message.content == " fare box coin"


async def test_service_tier_is_reported_and_billed(http: httpx.AsyncClient, rows: Rows) -> None:
    """`fast` is served as priority; a tier costs what it costs."""
    asked = ("default", "flex", "fast", "auto")
    answers = [await http.post("/v1/chat/completions", json=body("sim:output=100", service_tier=tier)) for tier in asked]
    assert [answer.json()["service_tier"] for answer in answers] == ["default", "flex", "priority", "default"]
    plain, flex, fast, auto = [row["nano"] for row in await rows()]
    assert (flex * 2, fast, auto) == (plain, plain * 2, plain)


@pytest.mark.parametrize(
    ("sent", "status", "code", "param"),
    [
        ({"messages": [{"role": "user", "content": "hi"}]}, 400, None, None),
        ({"model": MODEL}, 400, "missing_required_parameter", "messages"),
        ({"model": MODEL, "messages": []}, 400, "missing_required_parameter", "messages"),
        (body("hi", max_tokens=0), 400, None, "max_tokens"),
        (body("hi", max_tokens=1, max_completion_tokens=1), 400, None, "max_tokens"),
        (body("hi", n=0), 400, None, "n"),
        (body("hi", n=129), 400, None, "n"),
        (body("hi", max_tokens="many"), 400, None, None),
        (body("sim:nonsense=1"), 400, None, None),
        ({"model": "gpt-none", "messages": [{"role": "user", "content": "hi"}]}, 404, "model_not_found", "model"),
        ({"model": "x" * 5000, "messages": [{"role": "user", "content": "hi"}]}, 404, "model_not_found", "model"),
        (body("x" * 4_400_000), 400, "context_length_exceeded", "messages"),
    ],
)
async def test_what_the_provider_refuses_is_refused_and_free(
    http: httpx.AsyncClient, rows: Rows, sent: dict[str, object], status: int, code: str | None, param: str | None
) -> None:
    """Status, code and parameter are the provider's, and the row costs nothing."""
    answer = await http.post("/v1/chat/completions", json=sent)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"], error["type"]) == (status, code, param, "invalid_request_error")
    [row] = await rows()
    assert (row["status"], row["nano"], row["usd"], row["finished"], row["open"]) == (status, 0, "0", False, False)
    assert row["id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("written", [b"", b"{", b"[]", b'{"model":"\xff"}', b'{"messages":' + b"[" * 100_000, b"\xef\xbb\xbf{}"])
async def test_body_that_is_no_json_object_is_refused(http: httpx.AsyncClient, written: bytes) -> None:
    """Whatever is sent is answered."""
    assert (await http.post("/v1/chat/completions", content=written)).status_code == 400


async def test_errors_raise_the_sdks_own_classes(chat: openai.AsyncOpenAI) -> None:
    """Each status means to the SDK what it means with the provider."""
    expected: list[tuple[str, type[openai.APIStatusError], str, str | None]] = [
        ("sim:status=400", openai.BadRequestError, "invalid_request_error", None),
        ("sim:status=401", openai.AuthenticationError, "invalid_request_error", "invalid_api_key"),
        ("sim:status=403", openai.PermissionDeniedError, "invalid_request_error", None),
        ("sim:status=429", openai.RateLimitError, "rate_limit_exceeded", "rate_limit_exceeded"),
        ("sim:status=429 sim:code=credit_balance_exhausted", openai.RateLimitError, "insufficient_quota", "credit_balance_exhausted"),
        ("sim:status=500", openai.InternalServerError, "server_error", None),
        ("sim:status=503 sim:code=slow_down", openai.InternalServerError, "server_error", "slow_down"),
    ]
    for said, kind, error_type, code in expected:
        with pytest.raises(kind) as caught:
            await chat.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": said}])
        assert (type(caught.value), caught.value.type, caught.value.code) == (kind, error_type, code)


async def test_call_without_a_credential_is_refused(http: httpx.AsyncClient) -> None:
    """An empty bearer key is none, and Anthropic's header is none here."""
    for headers in (
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Basic eA=="},
        {"authorization": "", "x-api-key": "k"},
    ):
        answer = await http.post("/v1/chat/completions", json=body("hi"), headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"


async def test_models_are_listed(chat: openai.AsyncOpenAI) -> None:
    """Every known model, and each by its name."""
    listed = [model.id async for model in chat.models.list()]
    assert MODEL in listed
    assert (await chat.models.retrieve(MODEL)).id == MODEL
    with pytest.raises(openai.NotFoundError):
        await chat.models.retrieve("gpt-none")
