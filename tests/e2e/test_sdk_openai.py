"""The unmodified OpenAI SDK through the gateway: the same results as straight at the provider, charged what the provider billed."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pydantic
import pytest

from farebox.money import parse_usd
from support.house import House

MODEL = "gpt-4o-mini"
_TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "look_up",
            "description": "Looks something up.",
            "parameters": {
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "required": ["text"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
]
_ASKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "hundred_tokens": {"text": "count sim:output=100"},
    "cut_by_its_cap": {"text": "count sim:output=100", "max_tokens": 10},
    "newer_cap_field": {"text": "count sim:output=100", "max_completion_tokens": 10},
    "three_choices": {"text": "count sim:output=7", "n": 3},
    "tool": {"text": "call it sim:tool=1", "tools": _TOOLS},
    "cached": {"text": "again " * 200 + "sim:cached=50"},
    "reasoning": {"text": "think sim:reasoning=300", "model": "gpt-5.4"},
    "cache_write": {"text": "again " * 200 + "sim:cache_write=60", "model": "gpt-5.6-terra"},
    "unicode": {"text": "naïve 💶 ﷺ"},
    "system_and_history": {"history": True},
}


def _body(ask: dict[str, Any]) -> dict[str, Any]:
    body = {"model": MODEL, **{name: value for name, value in ask.items() if name not in ("text", "history")}}
    earlier = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    body["messages"] = [*(earlier if ask.get("history") else ()), {"role": "user", "content": ask.get("text", "hi")}]
    return body


def _same(answer: Any) -> Any:
    """What must be equal in two answers: all but the ids of the call and its second."""
    return _without_ids(answer.model_dump(exclude={"id", "created"}, exclude_unset=True))


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "id" if name == "id" and inner else _without_ids(inner) for name, inner in value.items()}
    return [_without_ids(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture
async def straight(house: House) -> AsyncIterator[openai.AsyncOpenAI]:
    """The same SDK at the provider itself."""
    async with openai.AsyncOpenAI(api_key="any", base_url=f"{house.sim.url}/v1", max_retries=0) as client:
        yield client


async def test_answers_are_those_of_the_provider(house: House, straight: openai.AsyncOpenAI) -> None:
    """Text, usage, finish reasons, tool calls, choices: equal, for every kind of request; each charged exactly what it was billed."""
    client = house.openai(await house.customer("50.00", None))
    for name, ask in _ASKS.items():
        through = await client.chat.completions.create(**_body(ask))
        assert _same(through) == _same(await straight.chat.completions.create(**_body(ask))), name
    charges = await house.agree_with(len(_ASKS))
    assert all(charge.completeness == "exact" and charge.paid for charge in charges)


@pytest.mark.parametrize(
    "options", [{}, {"stream_options": {"include_usage": True}}, {"stream_options": None}], ids=["plain", "usage", "null"]
)
async def test_streams_are_those_of_the_provider(house: House, straight: openai.AsyncOpenAI, options: dict[str, Any]) -> None:
    """Chunk by chunk the same, with usage for those who asked for it and without for those who did not; charged exactly either way."""
    client = house.openai(await house.customer("50.00", None))
    for name, ask in _ASKS.items():
        body = {**_body(ask), "stream": True, **options}
        through = [_same(chunk) async for chunk in await client.chat.completions.create(**body)]
        assert through == [_same(chunk) async for chunk in await straight.chat.completions.create(**body)], name
    charges = await house.agree_with(len(_ASKS))
    assert all(charge.completeness == "exact" and charge.paid for charge in charges)


@pytest.mark.parametrize(
    "extra", ["", ',"stream_options":{}', ',"stream_options":{"include_usage":false}', ',"stream_options": null', ',"n":3']
)
async def test_a_stream_without_usage_is_byte_for_byte_what_the_provider_sends(house: House, extra: str) -> None:
    """Usage is asked for on behalf of a client that did not, and taken out again: not a byte differs but ids and the second."""
    secret = await house.customer()
    body = f'{{"model":"{MODEL}","messages":[{{"role":"user","content":"hi sim:output=12"}}],"stream":true{extra}}}'.encode()
    raw = []
    for url, key in ((f"{house.url}/v1", secret), (f"{house.sim.url}/v1", "any")):
        answer = await house.http.post(f"{url}/chat/completions", content=body, headers={"authorization": f"Bearer {key}"})
        assert answer.headers["content-type"].startswith("text/event-stream")
        raw.append(re.sub(rb'"id":"chatcmpl-\w+"|"created":\d+', b"", answer.content))
    assert raw[0] == raw[1]
    assert b"usage" not in raw[0]
    assert raw[0].endswith(b"data: [DONE]\n\n")
    (charge,) = await house.agree_with(1)
    assert charge.completeness == "exact"


class _Answer(pydantic.BaseModel):
    text: str


async def test_structured_output_is_parsed(house: House, straight: openai.AsyncOpenAI) -> None:
    """`parse` with a response format and with strict tools works, and so does its streaming twin."""
    client = house.openai(await house.customer("50.00", None))
    messages: Any = [{"role": "user", "content": "call it sim:tool=1"}]
    for one in (client, straight):
        parsed = await one.chat.completions.parse(model=MODEL, messages=messages, tools=_TOOLS)
        calls = parsed.choices[0].message.tool_calls
        assert calls
        assert calls[0].function.parsed_arguments == {"text": "This is a simulated answer"}
        formed = await one.chat.completions.parse(model=MODEL, messages=[{"role": "user", "content": "hi"}], response_format=_Answer)
        assert formed.choices[0].message.parsed == _Answer(text="fare")
    async with client.chat.completions.stream(model=MODEL, messages=[{"role": "user", "content": "hi sim:output=9"}]) as stream:
        text = "".join([event.delta async for event in stream if event.type == "content.delta"])
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == text == " fare box coin ride line stop gate pass seat"
    await house.agree_with(3)


async def test_the_raw_response_carries_our_headers_and_not_the_operators(house: House) -> None:
    """Request id, hold, cost, what is available, the cap that was set, the provider's request id; nothing about the operator's account."""
    client = house.openai(await house.customer("5.00", "1.00"))
    raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    assert raw.parse().choices[0].message.content == "This is a simulated answer"
    (charge,) = house.charges()
    headers = raw.headers
    assert headers["x-farebox-request-id"] == charge.request_id
    assert parse_usd(headers["x-farebox-cost"]) == charge.price
    assert parse_usd(headers["x-farebox-hold"]) > charge.price
    assert parse_usd(headers["x-farebox-available"]) == 1_000_000_000 - charge.paid, "a key learns its own limit, not the account's money"
    assert headers["x-farebox-max-output-tokens"] == "8192"
    assert headers["x-upstream-request-id"] == headers["x-request-id"] == charge.upstream_request_id
    assert not [name for name in headers if name.startswith(("x-ratelimit", "openai-organization", "openai-project", "set-cookie"))]
    named = await client.chat.completions.with_raw_response.create(model=MODEL, max_tokens=50, messages=[{"role": "user", "content": "hi"}])
    assert "x-farebox-max-output-tokens" not in named.headers


async def test_a_stream_has_the_same_headers_but_for_its_cost(house: House) -> None:
    """What it cost is known when it ends, and is on record the moment that the end is seen."""
    client = house.openai(await house.customer())
    async with client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=[{"role": "user", "content": "hi"}], stream=True
    ) as answer:
        headers = answer.headers
        assert "x-farebox-cost" not in headers
        assert parse_usd(headers["x-farebox-available"]) == 1_000_000_000 - parse_usd(headers["x-farebox-hold"])
        async for line in answer.iter_lines():
            if line == "data: [DONE]":
                assert [charge.request_id for charge in house.charges()] == [headers["x-farebox-request-id"]]
                break
        else:
            raise AssertionError("no end")


def _in_a_thread(url: str, secret: str) -> list[str]:
    with openai.OpenAI(api_key=secret, base_url=f"{url}/v1") as client:
        messages: Any = [{"role": "user", "content": "hi sim:output=5"}]
        whole = client.chat.completions.create(model=MODEL, messages=messages)
        pieces = client.chat.completions.create(model=MODEL, messages=messages, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" for chunk in pieces])
        names = [model.id for model in client.models.list()]
        assert client.models.retrieve(MODEL).id == MODEL
        return [whole.choices[0].message.content or "", text, MODEL if MODEL in names else ""]


async def test_the_blocking_sdk_works_from_a_thread(house: House) -> None:
    """Whole, streamed, and the listing of models."""
    secret = await house.customer()
    answers = await asyncio.to_thread(_in_a_thread, house.url, secret)
    assert answers == [" fare box coin ride line", " fare box coin ride line", MODEL]
    await house.agree_with(2)


_UPSTREAM_ERRORS: dict[str, tuple[type[openai.APIStatusError], int]] = {
    "sim:status=400": (openai.BadRequestError, 400),
    "sim:status=404 sim:code=model_not_found": (openai.NotFoundError, 404),
    "sim:status=429": (openai.RateLimitError, 429),
    "sim:status=500": (openai.InternalServerError, 500),
    "sim:status=529": (openai.InternalServerError, 529),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_upstream_errors_pass_as_they_are_and_cost_nothing(house: House, straight: openai.AsyncOpenAI, *, stream: bool) -> None:
    """The provider's status and body, unmodified, in the SDK's class; the hold is given back and the charge is zero."""
    client = house.openai(await house.customer(), max_retries=0)
    for words, (kind, status) in _UPSTREAM_ERRORS.items():
        problems = []
        for one in (client, straight):
            with pytest.raises(kind) as raised:
                await one.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": words}], stream=stream)
            problems.append(raised.value)
        assert problems[0].status_code == status
        assert problems[0].body == problems[1].body
        assert "x-farebox-reason" not in problems[0].response.headers
        assert parse_usd(problems[0].response.headers["x-farebox-cost"]) == 0
    assert house.books()["spent"] == 0
    assert [charge.outcome for charge in house.charges()] == ["released"] * len(_UPSTREAM_ERRORS)
    assert [charge.status for charge in house.charges()] == [status for _, status in _UPSTREAM_ERRORS.values()]


_ACCOUNT_TROUBLE = (
    "sim:status=429 sim:code=insufficient_quota",
    "sim:status=401",
    "sim:status=403",
    "sim:status=402",
    "sim:status=429 sim:code=billing_not_active",
)


async def test_the_operators_trouble_is_not_told_as_the_callers(house: House) -> None:
    """The operator's key or credit with the provider: 503 `upstream_account`, one attempt, uncharged, alarmed; not a word of the body."""
    client = house.openai(await house.customer())
    for asked, words in enumerate(_ACCOUNT_TROUBLE, 1):
        with pytest.raises(openai.InternalServerError, match="operator has been told") as raised:
            await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": f"hi {words}"}])
        assert raised.value.status_code == 503
        assert "Simulated" not in raised.value.response.text
        assert len(house.seen) == len(house.charges()) == asked
        house.forget_health()
    assert house.books()["spent"] == 0


async def test_retries_of_the_sdk_are_calls_of_their_own(house: House) -> None:
    """A 429 of the provider is retried by the SDK as ever: each attempt is a request with its own hold and charge, of zero."""
    client = house.openai(await house.customer(), max_retries=2)
    with pytest.raises(openai.RateLimitError):
        await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi sim:status=429"}])
    assert len(house.seen) == 3
    assert len({charge.request_id for charge in house.charges()}) == 3
    assert house.books()["spent"] == 0


async def test_models_are_those_the_key_may_use(house: House) -> None:
    """The listing is what can be called: priced, in this dialect, allowed."""
    everything = [model.id async for model in house.openai(await house.customer()).models.list()]
    assert MODEL in everything
    assert not [name for name in everything if "claude" in name]
    few = house.openai(await house.customer(models=("gpt-4o*",)))
    assert {model.id.partition("-2024")[0] for model in (await few.models.list()).data} >= {"gpt-4o", "gpt-4o-mini"}
    assert all(model.id.startswith("gpt-4o") for model in (await few.models.list()).data)
    with pytest.raises(openai.PermissionDeniedError):
        await few.models.retrieve("gpt-5.4")
    with pytest.raises(openai.NotFoundError):
        await few.models.retrieve("gpt-0-imaginary")


async def test_the_gateway_key_never_reaches_the_provider(house: House) -> None:
    """What the provider sees is the operator's key: nothing of what the caller sent to identify itself goes along."""
    seen: list[bytes] = []

    async def provider(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(provider, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    home = house.running.catalogue.providers["openai"]
    calls = house.running.app._calls
    calls._forwarder._places["openai"] = type(calls._forwarder._places["openai"][0]).from_url(f"http://127.0.0.1:{port}/v1")
    secret = await house.customer()
    sent = {"x-custom": "a", "cookie": "b", "openai-organization": "org-x", "openai-project": "p", "x-farebox-tags": "a=b"}
    try:
        assert (await house.chat(secret, headers=sent)).status_code == 502
    finally:
        server.close()
    head = seen[0].lower()
    assert f"authorization: bearer {home.api_key}".encode() in head
    assert head.count(b"authorization") == 1
    for name in (secret.encode(), *(name.encode() for name in sent), b"x-api-key"):
        assert name not in head


async def test_a_plain_http_client_gets_keep_alive(house: House) -> None:
    """Refusals and answers leave the connection open for the next request."""
    secret = await house.customer()
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1), verify=False) as one:
        for text in ("hi", "hi sim:status=429", "hi"):
            body = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
            answer = await one.post(f"{house.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {secret}"})
            assert "close" not in answer.headers.get("connection", "")
