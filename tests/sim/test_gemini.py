"""Gemini's dialect, as Google's own SDK sees it, and what that does not: arrays, snake case, `?key=`."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types

from farebox.sim import Server

MODEL = "gemini-3.5-flash"
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]


@pytest.fixture
async def gemini(sim: Server) -> AsyncIterator[Any]:
    """Google's own client, asynchronous."""
    options = types.HttpOptions(base_url=sim.url, timeout=20_000, retry_options=types.HttpRetryOptions(attempts=1))
    client = genai.Client(api_key="any", http_options=options)
    async with client.aio as aio:
        yield aio
    client.close()


def said(text: str, **fields: object) -> dict[str, object]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **fields}


def path(method: str, model: str = MODEL, version: str = "v1beta") -> str:
    return f"/{version}/models/{model}:{method}"


def events(answer: httpx.Response) -> list[Any]:
    assert answer.headers["content-type"] == "text/event-stream"
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\r\n\r\n") if line]


async def test_answer_reports_the_usage_that_is_billed(gemini: Any, rows: Rows) -> None:
    """The SDK reads text, every count and the id; the bill has the same, thoughts and the tools' input added to their sums."""
    text = "sim:bill=g sim:output=7 sim:reasoning=3 sim:cached=4 sim:tool_use=30"
    answer = await gemini.models.generate_content(model=MODEL, contents=text)
    assert answer.text == " fare box coin ride line stop gate"
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    usage = answer.usage_metadata
    assert (usage.candidates_token_count, usage.thoughts_token_count, usage.cached_content_token_count) == (7, 3, 4)
    assert usage.tool_use_prompt_token_count == 30
    assert usage.total_token_count == usage.prompt_token_count + 7 + 3 + 30
    [row] = await rows()
    assert row["id"] == answer.response_id
    assert row["tokens"] == {"input": usage.prompt_token_count + 30, "cached": 4, "cache_write": 0, "output": 10, "reasoning": 3}
    assert (row["label"], row["dialect"], row["provider"], row["model"], row["finished"]) == ("g", "gemini", "google", MODEL, True)
    assert row["nano"] == 1500 * (usage.prompt_token_count + 26) + 150 * 4 + 9000 * 10


async def test_stream_carries_the_usage_so_far_in_every_chunk(gemini: Any, rows: Rows) -> None:
    """Counts only grow, the first has the prompt already, and the last is the bill's."""
    stream = await gemini.models.generate_content_stream(model=MODEL, contents="sim:output=5 sim:reasoning=2")
    chunks = [chunk async for chunk in stream]
    assert [chunk.text for chunk in chunks if chunk.text] == [" fare", " box", " coin", " ride", " line"]
    assert [chunk.usage_metadata.candidates_token_count for chunk in chunks] == [1, 2, 3, 4, 5, 5]
    [row] = await rows()
    assert {chunk.usage_metadata.prompt_token_count for chunk in chunks} == {row["tokens"]["input"]}
    assert chunks[-1].usage_metadata.total_token_count == row["tokens"]["input"] + 7
    assert chunks[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert (row["tokens"]["output"], row["streamed"], row["finished"]) == (7, True, True)


async def test_stream_without_events_is_one_array_cut_anywhere(sim: Server, http: httpx.AsyncClient) -> None:
    """Whole it is the same objects as the events; no piece of it is a whole object."""
    body = said("sim:output=6 sim:pace=1")
    async with http.stream("POST", path("streamGenerateContent"), json=body) as answer:
        assert answer.headers["content-type"].startswith("application/json")
        written = [piece async for piece in answer.aiter_raw()]
    whole = json.loads(b"".join(written))
    assert any(piece.endswith(b",\r") for piece in written)
    assert not any(piece.startswith(b"{") and piece.endswith(b"}") for piece in written)
    streamed = events(await http.post(f"{sim.url}{path('streamGenerateContent')}?alt=sse", json=body))
    assert [each["candidates"] for each in whole] == [each["candidates"] for each in streamed]
    assert [each["usageMetadata"] for each in whole] == [each["usageMetadata"] for each in streamed]


async def test_field_names_are_taken_in_both_cases(http: httpx.AsyncClient, rows: Rows) -> None:
    """The same cap, candidates and media; the tokens are the same too. Numbers may be strings."""
    part = {"text": "sim:output=20"}
    camel = {
        "contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, part]}],
        "generationConfig": {"maxOutputTokens": 8, "candidateCount": 2},
        "systemInstruction": {"parts": [{"text": "be short"}]},
    }
    snake = {
        "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "AAAA"}}, part]}],
        "generation_config": {"max_output_tokens": "8", "candidate_count": "2"},
        "system_instruction": {"parts": [{"text": "be short"}]},
    }
    one, other = [(await http.post(path("generateContent"), json=body)).raise_for_status().json() for body in (camel, snake)]
    assert one["candidates"] == other["candidates"]
    assert one["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert one["usageMetadata"]["candidatesTokenCount"] == 16
    assert one["usageMetadata"]["promptTokensDetails"][1] == {"modality": "IMAGE", "tokenCount": 258}
    first, second = await rows()
    assert first["cap"] == second["cap"] == 8
    assert abs(first["tokens"]["input"] - second["tokens"]["input"]) <= 1  # a number is two bytes shorter than a string


async def test_media_are_counted_and_billed_by_modality(http: httpx.AsyncClient, rows: Rows) -> None:
    """Sound costs more than text, here and in the cache; the base64 itself counts nothing."""
    sound = {"inlineData": {"mimeType": "audio/wav", "data": "A" * 40_000}}
    asked = {"contents": [{"role": "user", "parts": [sound, {"text": "sim:cached=50 sim:output=0 sim:audio_in=100"}]}]}
    usage = (await http.post(path("generateContent", "gemini-2.5-flash"), json=asked)).json()["usageMetadata"]
    text = usage["promptTokensDetails"][0]["tokenCount"]
    assert text < 60
    assert usage["promptTokensDetails"] == [{"modality": "TEXT", "tokenCount": text}, {"modality": "AUDIO", "tokenCount": 100}]
    from_sound = 50 - min(50, text)
    assert sum(each["tokenCount"] for each in usage["cacheTokensDetails"]) == 50
    [row] = await rows()
    assert row["units"]["input_audio_tokens"] == 100
    assert row["units"].get("cache_audio_read_tokens", 0) == from_sound
    from_text = 50 - from_sound
    assert row["nano"] == 300 * (text - from_text) + 30 * from_text + 1000 * (100 - from_sound) + 100 * from_sound


async def test_prompt_above_the_step_costs_more_throughout(http: httpx.AsyncClient, rows: Rows) -> None:
    """Beyond 200,000 tokens Gemini 2.5 Pro has another price for every token, the tools' input counted as well."""
    for extra in (199_000, 201_000):
        await http.post(path("generateContent", "gemini-2.5-pro"), json=said(f"sim:output=100 sim:tool_use={extra}"))
    below, above = await rows()
    assert below["nano"] == 1250 * below["tokens"]["input"] + 10_000 * 100
    assert above["nano"] == 2500 * above["tokens"]["input"] + 15_000 * 100


@pytest.mark.parametrize(("model", "searches", "nano"), [(MODEL, 3, 14_000_000), ("gemini-2.5-flash", 1, 35_000_000)])
async def test_grounding_is_billed_by_query_or_by_prompt(http: httpx.AsyncClient, rows: Rows, model: str, searches: int, nano: int) -> None:
    """Gemini 3 sells queries, those before it grounded prompts; both tell the queries once."""
    asked = said("sim:queries=3 sim:output=0", generationConfig={"candidateCount": 2})
    answer = (await http.post(path("generateContent", model), json=asked)).json()
    grounded = [each["groundingMetadata"]["webSearchQueries"] for each in answer["candidates"] if "groundingMetadata" in each]
    assert [len(queries) for queries in grounded] == [3]
    [row] = await rows()
    assert row["units"]["web_searches"] == searches
    assert row["nano"] >= nano * searches > row["nano"] - 100_000


async def test_image_is_billed_at_its_own_price_and_ends_at_the_cap(http: httpx.AsyncClient, rows: Rows) -> None:
    """A picture that does not fit is not made."""
    for cap in (2000, 1000):
        asked = said("sim:image_out=1290 sim:output=10", generationConfig={"maxOutputTokens": cap})
        answer = (await http.post(path("generateContent", "gemini-2.5-flash-image"), json=asked)).json()
        parts = answer["candidates"][0]["content"]["parts"]
        assert ["inlineData" in part for part in parts] == ([True, False] if cap == 2000 else [False])
        assert answer["candidates"][0]["finishReason"] == ("STOP" if cap == 2000 else "MAX_TOKENS")
    made, refused = await rows()
    assert made["units"]["output_image_tokens"] == 1290
    assert made["nano"] == 300 * made["tokens"]["input"] + 30_000 * 1290 + 2500 * 10
    assert (refused["tokens"]["output"], "output_image_tokens" in refused["units"]) == (10, False)


async def test_sound_is_generated_where_it_is_asked_for(http: httpx.AsyncClient, rows: Rows) -> None:
    """Its tokens are told by modality."""
    asked = said("sim:audio_out=60", generationConfig={"responseModalities": ["AUDIO"]})
    answer = (await http.post(path("generateContent", "gemini-3.1-flash-tts-preview"), json=asked)).json()
    assert answer["usageMetadata"]["candidatesTokensDetails"] == [{"modality": "AUDIO", "tokenCount": 60}]
    assert answer["candidates"][0]["content"]["parts"][0]["inlineData"]["mimeType"].startswith("audio/")
    [row] = await rows()
    assert (row["tokens"]["output"], row["units"]["output_audio_tokens"]) == (60, 60)


async def test_blocked_prompt_has_no_candidates_and_costs_its_input(gemini: Any, rows: Rows) -> None:
    """Streamed or not."""
    text = "sim:block=1 sim:output=50 sim:reasoning=9 sim:queries=2"
    whole = await gemini.models.generate_content(model=MODEL, contents=text)
    stream = await gemini.models.generate_content_stream(model=MODEL, contents=text)
    [chunk] = [chunk async for chunk in stream]
    for answer in (whole, chunk):
        assert answer.candidates is None
        assert answer.prompt_feedback.block_reason is types.BlockedReason.PROHIBITED_CONTENT
        assert answer.usage_metadata.total_token_count == answer.usage_metadata.prompt_token_count
    for row in await rows():
        assert (row["tokens"]["output"], row["nano"], row["finished"]) == (0, 1500 * row["tokens"]["input"], True)


async def test_function_is_called_when_one_is_offered(gemini: Any) -> None:
    """Its arguments come whole, in a stream too; without functions there is only text."""
    note = types.FunctionDeclaration(name="note", parameters_json_schema={"type": "object", "properties": {"text": {"type": "string"}}})
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[note])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    text = "sim:tool=1 sim:output=3"
    whole = await gemini.models.generate_content(model=MODEL, contents=text, config=config)
    assert [(call.name, call.args) for call in whole.function_calls] == [("note", {"text": " fare box coin"})]
    stream = await gemini.models.generate_content_stream(model=MODEL, contents=text, config=config)
    called = [chunk.function_calls async for chunk in stream if chunk.function_calls]
    assert [call.args for [call] in called] == [{"text": " fare box coin"}]
    assert (await gemini.models.generate_content(model=MODEL, contents=text)).text == " fare box coin"


async def test_count_is_the_very_number_of_the_call(gemini: Any, http: httpx.AsyncClient, rows: Rows) -> None:
    """It costs nothing and stands on no bill; a whole request inside it counts whole."""
    counted = await gemini.models.count_tokens(model=MODEL, contents="how many are these")
    assert await rows() == []
    answer = await gemini.models.generate_content(model=MODEL, contents="how many are these")
    assert counted.total_tokens == answer.usage_metadata.prompt_token_count
    asked = said("x", systemInstruction={"parts": [{"text": "y" * 400}]})
    wrapped = await http.post(path("countTokens"), json={"generateContentRequest": {"model": f"models/{MODEL}", **asked}})
    inside = (await http.post(path("generateContent"), json=asked)).json()
    assert wrapped.json()["totalTokens"] == inside["usageMetadata"]["promptTokenCount"] > 100


async def test_embeddings_are_billed_by_their_input(gemini: Any, http: httpx.AsyncClient, rows: Rows) -> None:
    """One, or a batch; with their usage, or without where the API is older."""
    config = types.EmbedContentConfig(output_dimensionality=5)
    several = await gemini.models.embed_content(model="gemini-embedding-001", contents=["one", "another"], config=config)
    assert [len(each.values) for each in several.embeddings] == [5, 5]
    one = await http.post(path("embedContent", "gemini-embedding-001"), json={"content": {"parts": [{"text": "x sim:usage=missing"}]}})
    assert len(one.json()["embedding"]["values"]) == 3072
    assert "usageMetadata" not in one.json()
    batch, single = await rows()
    assert several.usage_metadata.prompt_token_count == batch["tokens"]["input"]
    for row in (batch, single):
        assert (row["tokens"]["output"], row["nano"]) == (0, 150 * row["tokens"]["input"])


async def test_models_are_listed_in_pages(gemini: Any, http: httpx.AsyncClient) -> None:
    """Below both versions, each by its name, none of another company's."""
    listed = [model.name async for model in await gemini.models.list(config={"page_size": 7})]
    assert f"models/{MODEL}" in listed
    assert len(listed) == len(set(listed)) > 40
    assert not any("claude" in name for name in listed)
    assert (await gemini.models.get(model=MODEL)).output_token_limit == 65_536
    below = (await http.get("/v1beta/models?pageSize=3", headers={"x-goog-api-key": "any"})).json()
    assert (len(below["models"]), below["nextPageToken"]) == (3, "3")
    assert (await http.get("/v1/models/none?key=any")).json()["error"]["status"] == "NOT_FOUND"
    assert (await http.get("/v1/models")).json()["object"] == "list"


async def test_errors_raise_the_sdks_own_classes(gemini: Any) -> None:
    """Status and name are Google's; a name that is asked for is told."""
    for text, kind, code, status in [
        ("sim:status=400", errors.ClientError, 400, "INVALID_ARGUMENT"),
        ("sim:status=402", errors.ClientError, 402, "RESOURCE_EXHAUSTED"),
        ("sim:status=429", errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        ("sim:status=400 sim:code=FAILED_PRECONDITION", errors.ClientError, 400, "FAILED_PRECONDITION"),
        ("sim:status=503", errors.ServerError, 503, "UNAVAILABLE"),
    ]:
        with pytest.raises(kind) as caught:
            await gemini.models.generate_content(model=MODEL, contents=text)
        assert (caught.value.code, caught.value.status) == (code, status)
        with pytest.raises(kind) as caught:
            await (await gemini.models.generate_content_stream(model=MODEL, contents=text)).__anext__()
        assert (caught.value.code, caught.value.status) == (code, status)


async def test_errors_of_an_array_are_in_an_array(http: httpx.AsyncClient) -> None:
    """Before it begins, and as its last member in the middle; events have them as they are."""
    refused = await http.post(path("streamGenerateContent"), json=said("sim:status=429"))
    assert refused.status_code == 429
    [wrapped] = refused.json()
    assert wrapped["error"]["details"][1]["retryDelay"] == "34s"
    for pieces in (0, 2):
        text = f"sim:fail={pieces} sim:status=503"
        members = (await http.post(path("streamGenerateContent"), json=said(text))).json()
        assert len(members) == pieces + 1
        assert members[-1]["error"]["status"] == "UNAVAILABLE"
        assert events(await http.post(f"{path('streamGenerateContent')}?alt=sse", json=said(text)))[-1] == members[-1]


@pytest.mark.parametrize(
    ("target", "sent", "status", "told"),
    [
        (path("generateContent"), {}, 400, "INVALID_ARGUMENT"),
        (path("generateContent"), {"contents": "hi"}, 400, "INVALID_ARGUMENT"),
        (path("generateContent"), said("hi", generationConfig={"maxOutputTokens": 0}), 400, "INVALID_ARGUMENT"),
        (path("generateContent"), said("hi", generationConfig={"candidateCount": 9}), 400, "INVALID_ARGUMENT"),
        (path("generateContent"), said("sim:nonsense=1"), 400, "INVALID_ARGUMENT"),
        (path("generateContent", "gemini-0"), said("hi"), 404, "NOT_FOUND"),
        (path("generateContent", "claude-opus-4-5"), said("hi"), 404, "NOT_FOUND"),
        (path("batchEmbedContents", "gemini-embedding-001"), {"requests": []}, 400, "INVALID_ARGUMENT"),
        (path("embedContent", "gemini-embedding-001"), {"content": {"parts": []}, "outputDimensionality": 4000}, 400, "INVALID_ARGUMENT"),
        (path("generateContent"), said("x" * 4_400_000), 400, "INVALID_ARGUMENT"),
    ],
)
async def test_what_the_provider_refuses_is_refused_and_free(
    http: httpx.AsyncClient, rows: Rows, target: str, sent: dict[str, object], status: int, told: str
) -> None:
    """In Google's words, and the row costs nothing."""
    answer = await http.post(target, json=sent)
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["status"]) == (status, status, told)
    [row] = await rows()
    assert (row["status"], row["nano"], row["open"]) == (status, 0, False)


async def test_credential_may_be_a_header_or_in_the_query(sim: Server) -> None:
    """Without any the call is refused; a route that is none is, in the same words."""
    async with httpx.AsyncClient(base_url=sim.url) as bare:
        for target, headers, status in [
            (path("generateContent"), {}, 403),
            (path("generateContent"), {"x-goog-api-key": "k"}, 200),
            (path("generateContent", version="v1"), {"authorization": "Bearer k"}, 200),
            (f"{path('generateContent')}?key=k", {}, 200),
            (f"{path('generateContent')}?key=", {}, 403),
            ("/v1beta/nothing", {"x-goog-api-key": "k"}, 404),
        ]:
            answer = await bare.post(target, json=said("hi"), headers=headers)
            assert answer.status_code == status
            assert status == 200 or answer.json()["error"]["code"] == status


@pytest.mark.parametrize("how", ["missing", "partial", "zero", "negative"])
async def test_usage_is_misreported_as_asked_and_billed_truly(http: httpx.AsyncClient, rows: Rows, how: str) -> None:
    """In every chunk, the details by modality too."""
    for target in (path("generateContent"), f"{path('streamGenerateContent')}?alt=sse"):
        answer = await http.post(target, json=said(f"sim:output=4 sim:usage={how}"))
        found = events(answer) if "alt" in target else [answer.json()]
        for each in found:
            usage = each.get("usageMetadata")
            assert (usage is None) == (how == "missing")
            assert how != "partial" or list(usage) == ["promptTokenCount"]
            assert how not in {"zero", "negative"} or usage["promptTokensDetails"][0]["tokenCount"] <= 0
    assert [row["tokens"]["output"] for row in await rows()] == [4, 4]


@pytest.mark.parametrize("alt", ["?alt=sse", ""])
async def test_cut_stream_is_billed_as_asked(http: httpx.AsyncClient, rows: Rows, alt: str) -> None:
    """After three pieces the connection drops: all is billed, or what was sent, the hidden thoughts before it included."""
    for on_abort in ("bill_all", "bill_sent"):
        text = f"sim:output=9 sim:reasoning=5 sim:cut=3 sim:on_abort={on_abort}"
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(f"{path('streamGenerateContent')}{alt}", json=said(text))
    assert [row["tokens"]["output"] for row in await rows()] == [14, 8]


async def test_garbage_is_no_answer(http: httpx.AsyncClient) -> None:
    """The array that is bad JSON cannot be read; a page of HTML is one."""
    bad = await http.post(path("streamGenerateContent"), json=said("sim:garbage=badjson"))
    with pytest.raises(json.JSONDecodeError):
        bad.json()
    page = await http.post(path("generateContent"), json=said("sim:garbage=html"))
    assert page.headers["content-type"] == "text/html"
