"""Google's unmodified SDK through the gateway: as straight at the provider, charged what the provider billed."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from farebox.ledger.model import Charge
from support.house import House, open_house, until
from upstream.scripted import Peer, serving

MODEL = "gemini-3.5-flash"
EMBEDS = "gemini-embedding-001"
_PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
_WAV = (
    b"RIFF"
    + (36 + 64_000).to_bytes(4, "little")
    + b"WAVEfmt "
    + bytes.fromhex("100000000100010080 3e0000007d000002001000".replace(" ", ""))
)
_WAV += b"data" + (64_000).to_bytes(4, "little") + b"\0" * 64_000
_PDF = b"%PDF-1.4\n1 0 obj<</Type/Pages/Count 1/Kids[2 0 R]>>endobj\n"


class City(BaseModel):
    name: str
    people: int


def look_up(text: str) -> str:
    """Looks something up."""
    return f"nothing about {text}"


_FUNCTION = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="look_up", parameters=types.Schema(type=types.Type.OBJECT, properties={"text": types.Schema(type=types.Type.STRING)})
        )
    ]
)
_HISTORY = [
    types.Content(role="user", parts=[types.Part(text="a")]),
    types.Content(role="model", parts=[types.Part(text="b")]),
    types.Content(role="user", parts=[types.Part(text="hi")]),
]
_SEARCH = types.Tool(google_search=types.GoogleSearch())
_Ask = tuple[str, Any, dict[str, Any]]
_ASKS: dict[str, _Ask] = {
    "plain": (MODEL, "hi", {}),
    "hundred_tokens": (MODEL, "count sim:output=100", {}),
    "cut_by_its_cap": (MODEL, "count sim:output=100", {"max_output_tokens": 20}),
    "thoughts": (MODEL, "think sim:reasoning=300", {"thinking_config": types.ThinkingConfig(thinking_budget=1000, include_thoughts=True)}),
    "cached": (MODEL, "again " * 200 + "sim:cached=50", {}),
    "instructions_and_history": (MODEL, _HISTORY, {"system_instruction": "Be brief."}),
    "function": (MODEL, "call it sim:tool=look_up", {"tools": [_FUNCTION]}),
    "schema": (MODEL, "one sim:output=4", {"response_mime_type": "application/json", "response_schema": City}),
    "candidates": (MODEL, "hi sim:output=7", {"candidate_count": 3}),
    "picture_in": (MODEL, [types.Part.from_bytes(data=_PNG, mime_type="image/png"), "what is it?"], {}),
    "sound_in": ("gemini-2.5-flash", [types.Part.from_bytes(data=_WAV, mime_type="audio/wav"), "what is it?"], {}),
    "document_in": (MODEL, [types.Part.from_bytes(data=_PDF, mime_type="application/pdf"), "what is it?"], {}),
    "grounded_by_query": (MODEL, "who? sim:queries=3 sim:tool_use=40", {"tools": [_SEARCH]}),
    "grounded_by_prompt": ("gemini-2.5-flash", "who? sim:queries=3", {"tools": [_SEARCH]}),
    "picture_out": ("gemini-2.5-flash-image", "draw sim:image_out=1290", {"response_modalities": ["TEXT", "IMAGE"]}),
    "blocked": (MODEL, "hi sim:block=1", {}),
    "above_the_step": ("gemini-2.5-pro", "hi sim:tool_use=201000", {"tools": [_SEARCH]}),
    "sampling": (MODEL, "hi", {"temperature": 0.3, "top_p": 0.5, "top_k": 3, "stop_sequences": ["x"], "seed": 7}),
}
_OWN = {"response_id", "id", "sdk_http_response", "create_time"}


def _same(value: Any) -> Any:
    """What must be equal in two answers: all but ids, and how they were sent."""
    if isinstance(value, dict):
        return {name: _same(inner) for name, inner in value.items() if name not in _OWN}
    return [_same(inner) for inner in value] if isinstance(value, list) else value


@contextmanager
def client_of(url: str, key: str, version: str | None = None, attempts: int = 1) -> Iterator[genai.Client]:
    """The SDK as its user makes it."""
    options = types.HttpOptions(base_url=url, api_version=version, timeout=20_000, retry_options=types.HttpRetryOptions(attempts=attempts))
    client = genai.Client(api_key=key, http_options=options)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
async def straight(house: House) -> AsyncIterator[Any]:
    """The same SDK at the provider itself."""
    with client_of(house.sim.url, "any") as client:
        async with client.aio as aio:
            yield aio


async def _agree_in_order(house: House) -> list[Charge]:
    """Charges and bills of calls that were made one after the other, of routes whose answers have no id."""
    await house.settled()
    charges, rows = house.charges(), await house.sim_calls()
    assert [charge.price for charge in charges] == [int(row["nano"]) for row in rows]
    return charges


@pytest.mark.parametrize("version", [None, "v1beta"])
async def test_answers_are_those_of_the_provider(house: House, straight: Any, version: str | None) -> None:
    """Whole and as streams, chunk by chunk, of either version of the API; each charged exactly what it was billed."""
    with client_of(house.url, await house.customer("50.00", None), version) as client:
        async with client.aio as aio:
            for name, (model, contents, config) in _ASKS.items():
                ask = {"model": model, "contents": contents, "config": {"max_output_tokens": 2400, **config}}
                through = (await aio.models.generate_content(**ask)).model_dump()
                assert _same(through) == _same((await straight.models.generate_content(**ask)).model_dump()), name
                chunks = [_same(chunk.model_dump()) async for chunk in await aio.models.generate_content_stream(**ask)]
                stream = await straight.models.generate_content_stream(**ask)
                assert chunks == [_same(chunk.model_dump()) async for chunk in stream], name
    charges = await house.agree_with(2 * len(_ASKS))
    assert {charge.completeness for charge in charges} == {"exact"}
    assert {charge.flags for charge in charges} == {""}


async def test_the_client_without_async_gets_the_same(house: House) -> None:
    """Whole and streamed."""
    secret = await house.customer("50.00", None)

    def ask(url: str, key: str) -> list[Any]:
        with client_of(url, key) as client:
            found: list[Any] = []
            for model, contents, config in _ASKS.values():
                more: Any = {"max_output_tokens": 2400, **config}
                found.append(_same(client.models.generate_content(model=model, contents=contents, config=more).model_dump()))
                stream = client.models.generate_content_stream(model=model, contents=contents, config=more)
                found.append([_same(chunk.model_dump()) for chunk in stream])
            return found

    through = await asyncio.to_thread(ask, house.url, secret)
    assert through == await asyncio.to_thread(ask, house.sim.url, "any")
    assert {charge.completeness for charge in await house.agree_with(2 * len(_ASKS))} == {"exact"}


async def test_functions_are_called_by_the_sdk_itself(house: House) -> None:
    """Which asks again with what they gave: two calls, two charges; and a chat goes on."""
    with client_of(house.url, await house.customer("50.00", None)) as client:
        async with client.aio as aio:
            config = types.GenerateContentConfig(tools=[look_up], max_output_tokens=500)
            answer = await aio.models.generate_content(model=MODEL, contents="call it sim:tool=1", config=config)
            assert answer.text == "This is a simulated answer"
            assert len(answer.automatic_function_calling_history or ()) == 3
            chat = aio.chats.create(model=MODEL)
            assert (await chat.send_message("hi")).text == "This is a simulated answer"
            assert (await chat.send_message("sim:output=2")).text == " fare box"
    assert len(await house.agree_with(4)) == 4


async def test_embeddings_and_counts(house: House, straight: Any) -> None:
    """One or several; a count costs nothing, and is what the call is then billed."""
    with client_of(house.url, await house.customer("50.00", None)) as client:
        async with client.aio as aio:
            for contents in ("one", ["one", "two", "three"]):
                through = await aio.models.embed_content(model=EMBEDS, contents=contents, config={"output_dimensionality": 12})
                sizes = [len(one.values or ()) for one in through.embeddings or ()]
                assert sizes == [12] * (1 if contents == "one" else 3)
            counted = await aio.models.count_tokens(model=MODEL, contents="how many?")
            assert _same(counted.model_dump()) == _same(
                (await straight.models.count_tokens(model=MODEL, contents="how many?")).model_dump()
            )
            answer = await aio.models.generate_content(model=MODEL, contents="how many?")
            assert answer.usage_metadata is not None
            assert answer.usage_metadata.prompt_token_count == counted.total_tokens
    charges = await _agree_in_order(house)
    assert [charge.route for charge in charges] == ["batch_embed_contents", "batch_embed_contents", "generate_content"]
    assert {charge.completeness for charge in charges} == {"exact"}


async def test_an_embedding_without_a_report_costs_its_bound(house: House) -> None:
    """As older versions of the API answer."""
    with client_of(house.url, await house.customer("50.00", None)) as client:
        await asyncio.to_thread(client.models.embed_content, model=EMBEDS, contents="sim:usage=missing " + "word " * 50)
    await house.settled()
    (charge,) = house.charges()
    (row,) = await house.sim_calls()
    assert charge.completeness == "estimated"
    assert int(row["nano"]) < charge.price < 20 * int(row["nano"])


async def test_models_are_listed_and_told(house: House) -> None:
    """Over pages; a model that is not there is not found."""
    with client_of(house.url, await house.customer()) as client:
        async with client.aio as aio:
            names = [model.name async for model in await aio.models.list(config={"page_size": 10})]
            assert len(names) == len(set(names)) > 10
            assert f"models/{MODEL}" in names
            model = await aio.models.get(model=MODEL)
            assert (model.name, model.input_token_limit) == (f"models/{MODEL}", 1_048_576)
            with pytest.raises(errors.ClientError) as raised:
                await aio.models.get(model="gemini-0")
            assert (raised.value.code, raised.value.status) == (404, "NOT_FOUND")


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_errors_of_the_provider_are_the_same_errors(house: House, straight: Any, status: int, *, stream: bool) -> None:
    """The same class, code, status and message; nothing is charged."""
    seen = []
    with client_of(house.url, await house.customer()) as client:
        async with client.aio as aio:
            for one in (aio, straight):
                with pytest.raises(errors.APIError) as raised:
                    await _all(one, f"hi sim:status={status}", stream=stream)
                problem = raised.value
                seen.append((type(problem), problem.code, problem.status, problem.message, problem.details))
    assert seen[0] == seen[1]
    await house.settled()
    assert [charge.price for charge in house.charges()] == [0]


async def _all(aio: Any, text: str, *, stream: bool, model: str = MODEL, **config: Any) -> list[Any]:
    if not stream:
        return [await aio.models.generate_content(model=model, contents=text, config=config)]
    return [chunk async for chunk in await aio.models.generate_content_stream(model=model, contents=text, config=config)]


@pytest.mark.parametrize(("how", "code"), [("sim:fail=3", 500), ("sim:cut=3", 502)])
async def test_a_stream_that_breaks_raises(house: House, how: str, code: int) -> None:
    """By the provider's own event, or by one in its words; charged no less than its bill."""
    with client_of(house.url, await house.customer("50.00", None)) as client:
        async with client.aio as aio:
            with pytest.raises(errors.ServerError) as raised:
                await _all(aio, f"hi sim:output=9 {how}", stream=True)
    assert raised.value.code == code
    (charge,) = await house.agree()
    assert charge.completeness == "unknown"


async def test_a_client_that_leaves_is_charged_what_was_billed(house: House) -> None:
    """The rest is read for it."""
    with client_of(house.url, await house.customer("50.00", None)) as client:
        async with client.aio as aio:
            stream: Any = await aio.models.generate_content_stream(model=MODEL, contents="hi sim:output=60 sim:pace=5")
            async for _ in stream:
                break
            await stream.aclose()
    (charge,) = await house.agree_with(1)
    assert charge.completeness == "exact"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_no_money_is_said_once(house: House, *, stream: bool) -> None:
    """The SDK makes one attempt though it may make five, and its error says why."""
    with client_of(house.url, await house.customer("0.0001", None), attempts=5) as client:
        async with client.aio as aio:
            with pytest.raises(errors.ClientError) as raised:
                await _all(aio, "x" * 40_000, stream=stream, max_output_tokens=5000)
    assert (raised.value.code, raised.value.status) == (402, "RESOURCE_EXHAUSTED")
    assert raised.value.details["error"]["farebox"]["reason"] == "exceeds_available"
    assert len(house.seen) == 1
    assert await house.sim_calls() == []


_REFUSED: dict[str, tuple[int, str, dict[str, Any]]] = {
    "code_execution": (400, "cost_unbounded", {"config": {"tools": [types.Tool(code_execution=types.ToolCodeExecution())]}}),
    "cached_content": (400, "cost_unbounded", {"config": {"cached_content": "cachedContents/theirs"}}),
    "file": (
        400,
        "cost_unbounded",
        {"contents": [types.Part.from_uri(file_uri="https://x/v1beta/files/theirs", mime_type="image/png"), "hi"]},
    ),
    "model": (404, "model_not_found", {"model": "nobody/gemini"}),
}


@pytest.mark.parametrize("name", _REFUSED)
async def test_what_cannot_be_bounded_is_refused(house: House, name: str) -> None:
    """By the field's name; nothing reaches the provider, and nothing moves."""
    code, reason, more = _REFUSED[name]
    with client_of(house.url, await house.customer()) as client:
        before = house.books()
        with pytest.raises(errors.ClientError) as raised:
            await asyncio.to_thread(client.models.generate_content, **{"model": MODEL, "contents": "hi", **more})
    assert raised.value.code == code
    assert raised.value.details["error"]["farebox"]["reason"] == reason
    assert house.books() == before
    assert await house.sim_calls() == []


@pytest.mark.filterwarnings("ignore:The SDK's token creation")
async def test_what_is_kept_by_the_provider_cannot_be_made(house: House) -> None:
    """Caches are billed by the hour, files and tokens go round the gateway: there is no such route."""
    with client_of(house.url, await house.customer()) as client:
        for call in (
            lambda: client.caches.create(model=MODEL, config={"contents": "hi", "ttl": "60s"}),
            client.caches.list,
            lambda: client.files.get(name="files/theirs"),
            client.files.list,
            lambda: client.auth_tokens.create(config={"uses": 1}),
        ):
            with pytest.raises(errors.ClientError) as raised:
                await asyncio.to_thread(call)
            assert (raised.value.code, raised.value.status) == (404, "NOT_FOUND")
    assert await house.sim_calls() == []


async def test_a_wrong_key_is_the_callers(house: House) -> None:
    """401 in the API's words."""
    with client_of(house.url, "fbx_wrong") as client, pytest.raises(errors.ClientError) as raised:
        await asyncio.to_thread(client.models.generate_content, model=MODEL, contents="hi")
    assert (raised.value.code, raised.value.status) == (401, "UNAUTHENTICATED")


# --- what the SDK does not do ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", ["generationConfig", "generation_config"])
async def test_an_array_is_the_providers_byte_for_byte(house: House, config: str) -> None:
    """The stream without `alt=sse`, in either spelling; only its id differs."""
    secret = await house.customer("50.00", None)
    body = {"contents": [{"role": "user", "parts": [{"text": "hi sim:output=8 sim:reasoning=4"}]}], config: {"maxOutputTokens": 90}}
    path = f"/v1beta/models/{MODEL}:streamGenerateContent"
    through = await house.http.post(f"{house.url}{path}", params={"key": secret}, json=body)
    alone = await house.http.post(f"{house.sim.url}{path}", params={"key": "any"}, json=body)
    assert through.headers["content-type"] == alone.headers["content-type"]
    ids = [json.loads(answer.content)[0]["responseId"].encode() for answer in (through, alone)]
    assert through.content.replace(ids[0], b"") == alone.content.replace(ids[1], b"")
    (charge,) = await house.agree_with(1)
    assert charge.completeness == "exact"


async def test_a_broken_array_is_still_one_array(house: House) -> None:
    """Its last element says what went wrong."""
    secret = await house.customer("50.00", None)
    body = {"contents": [{"role": "user", "parts": [{"text": "hi sim:output=8 sim:cut=5"}]}]}
    answer = await house.http.post(f"{house.url}/v1/models/{MODEL}:streamGenerateContent", headers={"x-goog-api-key": secret}, json=body)
    *chunks, last = json.loads(answer.content)
    assert all(chunk["candidates"] for chunk in chunks)
    assert (last["error"]["code"], last["error"]["farebox"]["reason"]) == (502, "upstream_bad_response")
    await house.agree()


@pytest.mark.parametrize("query", ["alt=sse", ""])
async def test_the_end_is_withheld_until_the_charge_is_durable(house: House, query: str) -> None:
    """With the ledger's thread occupied the client has all of the text and not the end."""
    secret = await house.customer("50.00", None)
    body = {"contents": [{"role": "user", "parts": [{"text": "hi sim:output=8 sim:pace=20"}]}]}
    url = f"{house.url}/v1/models/{MODEL}:streamGenerateContent?{query}"
    async with house.http.stream("POST", url, headers={"x-goog-api-key": secret}, json=body) as answer:
        pieces = answer.aiter_raw()
        seen = await anext(pieces)
        async with house.ledger_occupied():
            while b" pass" not in seen:
                seen += await anext(pieces)
            await until(lambda: house.running.batcher.waiting)
            assert house.charges() == []
            assert b"finishReason" not in seen
        seen += b"".join([piece async for piece in pieces])
    assert b"finishReason" in seen
    assert not any(line.startswith(b":") for line in seen.splitlines())
    (charge,) = await house.agree_with(1)
    assert charge.completeness == "exact"


async def test_a_key_in_the_query_goes_nowhere(tmp_path: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Not to the provider, not into a log line, not into a refusal; the operator's key goes in its header."""
    said: list[bytes] = []
    whole = b'{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"totalTokenCount":1}}'

    async def answer(peer: Peer) -> None:
        said.append(await peer.request())
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(whole), whole))
        await peer.writer.drain()

    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    async with serving(answer) as upstream, _logging_house(tmp_path, upstream.origin.port) as house:
        secret = await house.customer()
        path = f"{house.url}/v1beta/models/{MODEL}:generateContent"
        good = await house.http.post(path, params={"key": secret, "$alt": "json", "fields": "candidates"}, json=body)
        assert good.status_code == 200
        bad = await house.http.post(path, params={"key": f"{secret}x"}, json=body)
        differ = await house.http.post(path, params={"key": secret}, headers={"x-goog-api-key": "fbx_other"}, json=body)
        none = await house.http.get(f"{house.url}/v1beta/nothing", params={"key": secret})
        assert [one.status_code for one in (bad, differ, none)] == [401, 401, 404]
        answers = [one.text + str(one.headers) for one in (good, bad, differ, none)]
        await house.settled()
    (sent,) = said
    assert sent.startswith(b"POST /v1beta/models/%b:generateContent HTTP/1.1\r\n" % MODEL.encode())
    assert b"x-goog-api-key: sk-upstream" in sent
    logged = "".join(capfd.readouterr())
    assert "request" in logged
    for text in (*answers, logged, sent.decode()):
        assert secret not in text


def _logging_house(folder: Any, port: int) -> Any:
    more = {"providers": {"gemini": {"base_url": f"http://127.0.0.1:{port}"}}, "log": {"requests": True}}
    return open_house(folder, more)


async def test_the_quote_of_a_body_alone_has_its_model(house: House) -> None:
    """A dry run is the worst case, and holds nothing."""
    secret = await house.customer("50.00", None)
    body = {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 1000, "candidateCount": 2}}
    headers = {"x-goog-api-key": secret, "x-farebox-dry-run": "1"}
    answer: httpx.Response = await house.http.post(f"{house.url}/v1/models/{MODEL}:generateContent", headers=headers, json=body)
    quote = answer.json()
    assert (quote["model"], quote["max_output_tokens"]) == (f"gemini/{MODEL}", 1000)
    assert float(quote["worst_case_usd"]) > 2 * 1000 * 9e-6
    assert house.charges() == []
