"""The unmodified Anthropic SDK through the gateway: the same results as straight at the provider, charged what the provider billed."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from farebox.money import parse_usd
from support.house import House

MODEL = "claude-sonnet-5-5"
_TOOLS: Any = [{"name": "look_up", "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}}}]
_LONG = "again " * 200
_ASKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "hundred_tokens": {"text": "count sim:output=100", "max_tokens": 500},
    "cut_by_its_cap": {"text": "count sim:output=100", "max_tokens": 10},
    "tool": {"text": "call it sim:tool=1", "tools": _TOOLS},
    "cached": {"text": f"{_LONG} sim:cached=50 sim:cache_write=60", "cache_control": {"type": "ephemeral"}},
    "cached_for_an_hour": {"text": f"{_LONG} sim:cache_write=60", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    "thinking": {"text": "think sim:reasoning=300", "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000}},
    "system": {"system": "Be brief.", "text": "naïve 💶 ﷺ"},
    "blocks": {"text": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]},
    "haiku": {"model": "claude-haiku-4-5", "text": "hi sim:output=40"},
}


def _body(ask: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in ask.items() if name != "text"}
    return {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": ask.get("text", "hi")}], **rest}


def _same(answer: Any) -> Any:
    """What must be equal in two answers: all but the ids of the call."""
    return _without_ids(answer.model_dump(exclude_unset=True))


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "id" if name == "id" else _without_ids(inner) for name, inner in value.items()}
    return [_without_ids(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture
async def straight(house: House) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """The same SDK at the provider itself."""
    async with anthropic.AsyncAnthropic(api_key="any", base_url=house.sim.url, max_retries=0) as client:
        yield client


async def test_answers_are_those_of_the_provider(house: House, straight: anthropic.AsyncAnthropic) -> None:
    """Content, usage, stop reason, tool use: equal, for every kind of request; each charged exactly what it was billed."""
    client = house.anthropic(await house.customer("50.00", None))
    for name, ask in _ASKS.items():
        through = await client.messages.create(**_body(ask))
        assert _same(through) == _same(await straight.messages.create(**_body(ask))), name
    charges = await house.agree_with(len(_ASKS))
    assert all(charge.completeness == "exact" and charge.paid for charge in charges)


async def test_streams_are_those_of_the_provider(house: House, straight: anthropic.AsyncAnthropic) -> None:
    """Event by event the same, raw and through the SDK's accumulating helper; charged exactly."""
    client = house.anthropic(await house.customer("50.00", None))
    for name, ask in _ASKS.items():
        through = [_same(event) async for event in await client.messages.create(**_body(ask), stream=True)]
        assert through == [_same(event) async for event in await straight.messages.create(**_body(ask), stream=True)], name
    async with client.messages.stream(**_body(_ASKS["hundred_tokens"])) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text == "".join([block.text for block in final.content if block.type == "text"])
    assert final.usage.output_tokens == 100
    charges = await house.agree_with(len(_ASKS) + 1)
    assert all(charge.completeness == "exact" and charge.paid for charge in charges)


async def test_a_stream_is_byte_for_byte_what_the_provider_sends(house: House) -> None:
    """Not a byte differs but the ids."""
    secret = await house.customer()
    body = f'{{"model":"{MODEL}","max_tokens":64,"messages":[{{"role":"user","content":"hi sim:output=12"}}],"stream":true}}'.encode()
    raw = []
    for url, key in ((house.url, secret), (house.sim.url, "any")):
        answer = await house.http.post(f"{url}/v1/messages", content=body, headers={"x-api-key": key, "anthropic-version": "2023-06-01"})
        raw.append(re.sub(rb'"id":"msg_\w+"', b"", answer.content))
    assert raw[0] == raw[1]
    await house.agree_with(1)


async def test_the_raw_response_carries_our_headers_and_not_the_operators(house: House) -> None:
    """Request id, hold, cost, what is available, the provider's request id; nothing about the operator's account."""
    client = house.anthropic(await house.customer("5.00", "1.00"))
    raw = await client.messages.with_raw_response.create(model=MODEL, max_tokens=64, messages=[{"role": "user", "content": "hi"}])
    (charge,) = house.charges()
    headers = raw.headers
    assert headers["x-farebox-request-id"] == charge.request_id
    assert parse_usd(headers["x-farebox-cost"]) == charge.price
    assert parse_usd(headers["x-farebox-hold"]) > charge.price
    assert parse_usd(headers["x-farebox-available"]) == 1_000_000_000 - charge.paid
    assert "x-farebox-max-output-tokens" not in headers
    assert headers["x-upstream-request-id"] == headers["request-id"] == charge.upstream_request_id
    assert not [name for name in headers if name.startswith("anthropic-")]


def _in_a_thread(url: str, secret: str) -> list[str]:
    with anthropic.Anthropic(api_key=secret, base_url=url) as client:
        messages: Any = [{"role": "user", "content": "hi sim:output=5"}]
        whole = client.messages.create(model=MODEL, max_tokens=64, messages=messages)
        with client.messages.stream(model=MODEL, max_tokens=64, messages=messages) as stream:
            text = "".join(stream.text_stream)
        names = [model.id for model in client.models.list()]
        return [whole.content[0].text if whole.content[0].type == "text" else "", text, MODEL if MODEL in names else ""]


async def test_the_blocking_sdk_works_from_a_thread(house: House) -> None:
    """Whole, streamed, and the listing of models over its pages."""
    secret = await house.customer()
    answers = await asyncio.to_thread(_in_a_thread, house.url, secret)
    assert answers == [" fare box coin ride line", " fare box coin ride line", MODEL]
    await house.agree_with(2)


async def test_a_token_as_bearer_works_as_well(house: House) -> None:
    """Claude Code and others send the key as `Authorization: Bearer`."""
    secret = await house.customer()
    async with anthropic.AsyncAnthropic(auth_token=secret, base_url=f"{house.url}/anthropic") as client:
        answer = await client.messages.create(model=MODEL, max_tokens=64, messages=[{"role": "user", "content": "hi"}])
    assert answer.stop_reason == "end_turn"
    await house.agree_with(1)


async def test_beta_calls_pass_with_their_query_and_headers(house: House) -> None:
    """`client.beta.messages` goes to `/v1/messages?beta=true` with `anthropic-beta`: a call like any other."""
    client = house.anthropic(await house.customer())
    answer = await client.beta.messages.create(
        model=MODEL, max_tokens=64, messages=[{"role": "user", "content": "hi"}], betas=["context-management-2025-06-27"]
    )
    assert answer.stop_reason == "end_turn"
    await house.agree_with(1)


async def test_counting_tokens_costs_nothing_and_says_what_a_call_is_billed(house: House) -> None:
    """Passed on to the provider: no hold, no charge, and the number that the call then has."""
    client = house.anthropic(await house.customer())
    messages: Any = [{"role": "user", "content": "hi there"}]
    counted = await client.messages.count_tokens(model=MODEL, messages=messages)
    assert house.books()["holds"] == 0
    answer = await client.messages.create(model=MODEL, max_tokens=64, messages=messages)
    assert answer.usage.input_tokens == counted.input_tokens
    with pytest.raises(anthropic.AuthenticationError):
        await house.anthropic("fbx_nobody").messages.count_tokens(model=MODEL, messages=messages)


_UPSTREAM_ERRORS: dict[str, tuple[type[anthropic.APIStatusError], int]] = {
    "sim:status=400": (anthropic.BadRequestError, 400),
    "sim:status=404": (anthropic.NotFoundError, 404),
    "sim:status=429": (anthropic.RateLimitError, 429),
    "sim:status=500": (anthropic.InternalServerError, 500),
    "sim:status=529": (anthropic.OverloadedError, 529),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_upstream_errors_pass_as_they_are_and_cost_nothing(house: House, *, stream: bool) -> None:
    """The provider's status and words, unmodified, in the SDK's class; the hold is given back and the charge is zero."""
    client = house.anthropic(await house.customer(), max_retries=0)
    for words, (kind, status) in _UPSTREAM_ERRORS.items():
        with pytest.raises(kind, match=f"Simulated error {status}") as raised:
            await client.messages.create(model=MODEL, max_tokens=64, messages=[{"role": "user", "content": words}], stream=stream)
        assert raised.value.status_code == status
        assert raised.value.request_id == raised.value.response.headers["x-upstream-request-id"]
        assert "x-farebox-reason" not in raised.value.response.headers
    assert house.books()["spent"] == 0
    assert [charge.outcome for charge in house.charges()] == ["released"] * len(_UPSTREAM_ERRORS)


_ACCOUNT_TROUBLE = (
    "sim:status=400 sim:code=credit_balance_too_low",
    "sim:status=401",
    "sim:status=403",
    "sim:status=402 sim:code=billing_error",
    "sim:status=400 sim:code=enforced_spend_limit_reached",
)


async def test_the_operators_trouble_is_not_told_as_the_callers(house: House) -> None:
    """The operator's key or credit with the provider: 503 `upstream_account`, one attempt, uncharged, alarmed; not a word of the body."""
    client = house.anthropic(await house.customer())
    for asked, words in enumerate(_ACCOUNT_TROUBLE, 1):
        with pytest.raises(anthropic.ServiceUnavailableError, match="operator has been told") as raised:
            await client.messages.create(model=MODEL, max_tokens=64, messages=[{"role": "user", "content": f"hi {words}"}])
        assert raised.value.status_code == 503
        assert "credit balance" not in raised.value.response.text
        assert len(house.seen) == len(house.charges()) == asked
        house.forget_health()
    assert house.books()["spent"] == 0


async def test_an_error_in_the_middle_of_a_stream_raises(house: House) -> None:
    """Anthropic's error event passes as it is, the SDK raises on it, and the call is charged, for it may have been billed."""
    client = house.anthropic(await house.customer())
    messages: Any = [{"role": "user", "content": "hi sim:output=40 sim:fail=3"}]
    text: list[str] = []

    async def read() -> None:
        async with client.messages.stream(model=MODEL, max_tokens=64, messages=messages) as stream:
            async for piece in stream.text_stream:
                text.append(piece)  # noqa: PERF401 - what came before the error is wanted

    with pytest.raises(anthropic.APIStatusError, match="Simulated failure in the middle"):
        await read()
    assert text == [" fare", " box", " coin"]
    (charge,) = await house.agree_with(1)
    assert charge.outcome == "upstream_error"
    assert charge.completeness != "exact"


async def test_the_tool_runner_goes_on_without_a_thread(house: House) -> None:
    """It asks for one unasked; refused in the API's own words it sends the whole history instead, and every turn is charged exactly."""
    client = house.anthropic(await house.customer("50.00", None))
    seen: list[str] = []

    @anthropic.beta_async_tool
    async def look_up(text: str) -> str:
        """Looks something up."""
        seen.append(text)
        return "nothing"

    ask: Any = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "call it sim:tool=1"}]}
    whole = [message async for message in client.beta.messages.tool_runner(**ask, tools=[look_up], max_iterations=2)]
    assert [message.stop_reason for message in whole][:1] == ["tool_use"]
    streamed = 0
    async for stream in client.beta.messages.tool_runner(**ask, tools=[look_up], max_iterations=2, stream=True):
        streamed += bool([event async for event in stream])
    assert (len(whole), streamed) == (2, 2)
    assert len(seen) >= 2
    await house.agree_with(4)
