"""Hosts of OpenAI-compatible chat, as OpenAI's own SDK sees them: each reports its usage in its own shape, and all of it is on the bill."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionToolParam

from farebox.sim import Server

MODELS = {
    "deepseek": "deepseek-chat",
    "mistral": "mistral-large-4",
    "xai": "grok-4.7",
    "groq": "openai/gpt-oss-120b",
    "openrouter": "openai/gpt-6-sol",
    "together": "Qwen/Qwen3.8-Flash",
    "fireworks": "accounts/fireworks/models/kimi-k3",
    "perplexity": "sonar",
    "cohere": "command-a-03-2025",
    "vllm": "any/model",
    "ollama": "llama3",
    "gemini-openai": "gemini-2.5-flash",
}
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "note", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}},
}
PROVIDERS = {"xai": "x-ai", "gemini-openai": "google"}
UNASKED = {"mistral", "xai", "openrouter", "together", "fireworks", "perplexity"}
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]
Client = Callable[[str], openai.AsyncOpenAI]


@pytest.fixture
async def client(sim: Server) -> AsyncIterator[Client]:
    """OpenAI's own client, pointed at a host."""
    async with AsyncExitStack() as stack:

        def of(host: str) -> openai.AsyncOpenAI:
            made = openai.AsyncOpenAI(base_url=f"{sim.url}/{host}/v1", api_key="any", max_retries=0, timeout=20)
            stack.push_async_callback(made.close)
            return made

        yield of


def body(host: str, text: str, **fields: object) -> dict[str, object]:
    return {"model": MODELS[host], "messages": [{"role": "user", "content": text}], **fields}


def path(host: str) -> str:
    return f"/{host}/v1/chat/completions"


def events(answer: httpx.Response) -> list[Any]:
    written = [part.removeprefix("data: ") for part in answer.text.split("\n\n") if part and not part.startswith(":")]
    assert written.pop() == "[DONE]"
    return [json.loads(each) for each in written]


def reported(chunks: list[Any]) -> list[Any]:
    return [chunk["usage"] for chunk in chunks if chunk.get("usage")]


@pytest.mark.parametrize("host", MODELS)
async def test_answer_and_stream_are_the_same_and_both_are_billed(client: Client, rows: Rows, host: str) -> None:
    """The SDK reads text, finish and usage, whole or streamed, and the two calls cost the same."""
    text = "sim:bill=h sim:output=6 sim:reasoning=4 sim:cached=3"
    whole = await client(host).chat.completions.create(model=MODELS[host], messages=[{"role": "user", "content": text}])
    stream = await client(host).chat.completions.create(
        model=MODELS[host], messages=[{"role": "user", "content": text}], stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == whole.choices[0].message.content == " fare box coin ride line stop"
    finishes = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    assert finishes == [whole.choices[0].finish_reason] == ["stop"]
    assert [chunk.usage for chunk in chunks if chunk.usage][-1] == whole.usage
    first, second = await rows()
    assert first["tokens"] == second["tokens"]
    assert (first["tokens"]["output"], first["tokens"]["reasoning"], first["tokens"]["cached"]) == (10, 4, 3)
    assert (first["nano"], first["dialect"], first["provider"]) == (second["nano"], host, PROVIDERS.get(host, host))
    assert (first["nano"] == 0) == (host in {"vllm", "ollama"})
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == first["tokens"]["input"]


@pytest.mark.parametrize("host", MODELS)
async def test_usage_is_in_a_stream_unasked_only_where_the_host_does_so(http: httpx.AsyncClient, host: str) -> None:
    """Mistral, Together and Fireworks tell it with the finish, xAI and OpenRouter behind it, Perplexity all the time."""
    chunks = events(await http.post(path(host), json=body(host, "sim:output=3", stream=True)))
    assert bool(reported(chunks)) == (host in UNASKED)
    if host in {"mistral", "together", "fireworks"}:
        assert [chunk["choices"][0]["finish_reason"] for chunk in chunks if "usage" in chunk] == ["stop"]
    if host in {"xai", "openrouter"}:
        assert [chunk["choices"] for chunk in chunks if "usage" in chunk] == [[]]
    if host == "perplexity":
        assert [usage["completion_tokens"] for usage in reported(chunks)] == [0, 1, 2, 3, 3]


@pytest.mark.parametrize("host", MODELS)
async def test_choices_caps_and_tools_work_at_every_host(client: Client, rows: Rows, host: str) -> None:
    """Two choices are billed together, a cap ends them, a tool is called, in streams piece by piece."""
    messages: Any = [{"role": "user", "content": "sim:output=9 sim:tool=1"}]
    capped = await client(host).chat.completions.create(model=MODELS[host], messages=messages, n=2, max_tokens=4)
    assert [choice.finish_reason for choice in capped.choices] == ["length", "length"]
    called = await client(host).chat.completions.create(model=MODELS[host], messages=messages, tools=[TOOL])
    async with client(host).chat.completions.stream(model=MODELS[host], messages=messages, tools=[TOOL]) as stream:
        streamed = await stream.get_final_completion()
    for answer in (called, streamed):
        assert answer.choices[0].message.tool_calls is not None
        [call] = answer.choices[0].message.tool_calls
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)["text"][:5]) == ("note", " fare")
    assert [(row["cap"], row["tokens"]["output"]) for row in await rows()] == [(4, 8), (None, 9), (None, 9)]


@pytest.mark.parametrize("host", MODELS)
async def test_errors_raise_the_sdks_own_classes_and_are_free(client: Client, rows: Rows, host: str) -> None:
    """Whatever shape a host gives them."""
    for status, kind in [(400, openai.BadRequestError), (429, openai.RateLimitError), (503, openai.InternalServerError)]:
        with pytest.raises(kind) as caught:
            await client(host).chat.completions.create(model=MODELS[host], messages=[{"role": "user", "content": f"sim:status={status}"}])
        assert f"Simulated error {status}." in caught.value.response.text
    assert [row["nano"] for row in await rows()] == [0, 0, 0]


@pytest.mark.parametrize("host", MODELS)
async def test_stream_that_ends_early_is_billed_as_asked(http: httpx.AsyncClient, rows: Rows, host: str) -> None:
    """Cut after two pieces, or failed with an event that is an error; the hidden part counts with the first piece."""
    for on_abort in ("bill_all", "bill_sent"):
        text = f"sim:output=9 sim:reasoning=5 sim:cut=2 sim:on_abort={on_abort}"
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(path(host), json=body(host, text, stream=True))
    failed = await http.post(path(host), json=body(host, "sim:output=9 sim:fail=2 sim:on_abort=bill_sent", stream=True))
    last = failed.text.rstrip().rpartition("data: ")[2]
    assert "Simulated failure" in last
    assert "[DONE]" not in failed.text
    assert [row["tokens"]["output"] for row in await rows()] == [14, 7, 2]


@pytest.mark.parametrize("host", MODELS)
@pytest.mark.parametrize("how", ["missing", "partial", "zero", "negative"])
async def test_usage_is_misreported_as_asked_and_billed_truly(http: httpx.AsyncClient, rows: Rows, host: str, how: str) -> None:
    """A cost that a host tells is spoilt with it."""
    asked = body(host, f"sim:output=4 sim:usage={how}", stream=True, stream_options={"include_usage": True})
    whole = (await http.post(path(host), json=body(host, f"sim:output=4 sim:usage={how}"))).json()
    for usages in ([whole["usage"]] if "usage" in whole else [], reported(events(await http.post(path(host), json=asked)))):
        assert bool(usages) == (how != "missing")
        for usage in usages:
            assert how != "partial" or list(usage) == ["prompt_tokens"]
            assert how not in {"zero", "negative"} or all(usage[name] <= 0 for name in ("prompt_tokens", "total_tokens"))
            assert how != "zero" or usage.get("cost", 0) in (0, dict.fromkeys(usage.get("cost") or (), 0))
    assert [row["tokens"]["output"] for row in await rows()] == [4, 4]


async def test_deepseek_tells_hits_and_misses_and_keeps_alive(http: httpx.AsyncClient, rows: Rows) -> None:
    """The hits are billed at the cache's price; comments come in streams, empty lines before an answer that waits."""
    whole = await http.post(path("deepseek"), json=body("deepseek", "sim:output=2 sim:cached=5 sim:delay=1"))
    assert whole.text.startswith("\n{")
    usage = whole.json()["usage"]
    assert usage["prompt_cache_hit_tokens"] == 5
    assert usage["prompt_cache_hit_tokens"] + usage["prompt_cache_miss_tokens"] == usage["prompt_tokens"]
    streamed = await http.post(path("deepseek"), json=body("deepseek", "hi", stream=True))
    assert streamed.text.startswith(": keep-alive\n\ndata: ")
    poor = await http.post(path("deepseek"), json=body("deepseek", "sim:status=402"))
    assert (poor.status_code, poor.json()["error"]["message"]) == (402, "Insufficient Balance")
    assert (await rows())[0]["units"]["cache_read_tokens"] == 5


async def test_xai_leaves_reasoning_out_of_the_completion_and_tells_its_price_in_ticks(http: httpx.AsyncClient, rows: Rows) -> None:
    """The total has everything; ten thousand million ticks are a dollar."""
    usage = (await http.post(path("xai"), json=body("xai", "sim:output=7 sim:reasoning=40 sim:cached=5"))).json()["usage"]
    assert (usage["completion_tokens"], usage["completion_tokens_details"]["reasoning_tokens"]) == (7, 40)
    assert usage["total_tokens"] == usage["prompt_tokens"] + 47
    [row] = await rows()
    assert usage["cost_in_usd_ticks"] == Decimal(row["usd"]) * 10**10 > 0


async def test_groq_has_usage_in_its_own_member_with_the_finish(http: httpx.AsyncClient) -> None:
    """Asked for or not; the usual one comes when it is asked for."""
    for options in ({}, {"stream_options": {"include_usage": True}}):
        chunks = events(await http.post(path("groq"), json=body("groq", "sim:output=3", stream=True, **options)))
        own = [chunk["x_groq"] for chunk in chunks if "x_groq" in chunk]
        assert [("usage" in each) for each in own] == [False, True]
        assert own[1]["usage"]["completion_tokens"] == 3
        assert reported(chunks) == ([own[1]["usage"]] if options else [])


async def test_openrouter_tells_its_price_at_once_and_afterwards(http: httpx.AsyncClient, rows: Rows) -> None:
    """In the last message, and by the generation's id even for a stream that was cut."""
    answer = await http.post(path("openrouter"), json=body("openrouter", "sim:output=7 sim:cache_write=4", stream=True))
    assert answer.text.startswith(": OPENROUTER PROCESSING\n\n")
    chunks = events(answer)
    [usage] = reported(chunks)
    assert chunks[0]["id"] == answer.headers["x-generation-id"]
    with pytest.raises(httpx.RemoteProtocolError):
        await http.post(path("openrouter"), json=body("openrouter", "sim:output=7 sim:cut=1", stream=True))
    whole, cut = await rows()
    assert str(usage["cost"]) in {whole["usd"], f"{float(whole['usd'])}"}
    assert usage["prompt_tokens_details"]["cache_write_tokens"] == whole["tokens"]["cache_write"] == 4
    told = (await http.get("/openrouter/v1/generation", params={"id": cut["id"]})).json()["data"]
    assert (told["total_cost"], told["native_tokens_completion"]) == (float(cut["usd"]), 7)
    assert (await http.get("/openrouter/v1/generation", params={"id": "gen-none"})).status_code == 404


async def test_fireworks_tells_input_tokens_in_headers(http: httpx.AsyncClient, rows: Rows) -> None:
    """Streamed or not, before the answer."""
    for streamed in (False, True):
        answer = await http.post(path("fireworks"), json=body("fireworks", "sim:cached=4", stream=streamed))
        [*_, row] = await rows()
        told = (answer.headers["fireworks-prompt-tokens"], answer.headers["fireworks-cached-prompt-tokens"])
        assert told == (str(row["tokens"]["input"]), "4")


async def test_perplexity_adds_a_fee_and_keeps_reasoning_out_of_its_sums(http: httpx.AsyncClient, rows: Rows) -> None:
    """A fee for the request, or for each search; the last usage has the cost by parts, and it is the bill's."""
    plainly = (await http.post(path("perplexity"), json=body("perplexity", "sim:output=100"))).json()["usage"]
    asked = {"model": "sonar-deep-research", "messages": [{"role": "user", "content": "sim:output=3 sim:reasoning=50 sim:queries=4"}]}
    chunks = events(await http.post(path("perplexity"), json={**asked, "stream": True}))
    assert [("cost" in usage) for usage in reported(chunks)] == [False] * 4 + [True]
    deeply = reported(chunks)[-1]
    assert (deeply["completion_tokens"], deeply["reasoning_tokens"], deeply["num_search_queries"]) == (3, 50, 4)
    assert deeply["total_tokens"] == deeply["prompt_tokens"] + 3
    one, other = await rows()
    assert (plainly["cost"]["request_cost"], plainly["cost"]["total_cost"]) == (0.012, float(one["usd"]))
    assert (deeply["cost"]["request_cost"], deeply["cost"]["total_cost"]) == (0.02, float(other["usd"]))
    assert other["nano"] == 20_000_000 + 2000 * other["tokens"]["input"] + 8000 * 3 + 3000 * 50


async def test_vllm_tells_usage_with_every_chunk_when_asked(http: httpx.AsyncClient) -> None:
    """The sum so far, reasoning not parted from it; without the option only in the end."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    asked = body("vllm", "sim:output=3 sim:reasoning=2", stream=True, stream_options=options)
    assert [usage["completion_tokens"] for usage in reported(events(await http.post(path("vllm"), json=asked)))] == [0, 3, 4, 5, 5, 5]
    asked["stream_options"] = {"include_usage": True}
    assert [usage["completion_tokens"] for usage in reported(events(await http.post(path("vllm"), json=asked)))] == [5]


@pytest.mark.parametrize("target", [path("gemini-openai"), "/v1beta/openai/chat/completions"])
async def test_gemini_leaves_thoughts_out_of_the_completion_only(http: httpx.AsyncClient, rows: Rows, target: str) -> None:
    """Only the total tells them; its errors are in an array."""
    usage = (await http.post(target, json=body("gemini-openai", "sim:output=7 sim:reasoning=40"))).json()["usage"]
    [row] = await rows()
    assert (usage["completion_tokens"], usage["total_tokens"] - usage["prompt_tokens"], row["tokens"]["output"]) == (7, 47, 47)
    [refused] = (await http.post(target, json=body("gemini-openai", "sim:status=429"))).json()
    assert refused["error"]["status"] == "RESOURCE_EXHAUSTED"


async def test_cohere_bills_units_that_are_fewer_than_its_tokens(http: httpx.AsyncClient, rows: Rows) -> None:
    """Its own API has named events, and the usage in the last."""
    whole = (await http.post("/cohere/v2/chat", json=body("cohere", "sim:output=5 sim:reasoning=2"))).json()
    streamed = await http.post("/cohere/v2/chat", json=body("cohere", "sim:output=5 sim:reasoning=2", stream=True))
    written = [part.split("\ndata: ") for part in streamed.text.split("\n\n") if part]
    kinds = [name.removeprefix("event: ") for name, _ in written]
    assert kinds == ["message-start", "content-start", *["content-delta"] * 5, "content-end", "message-end"]
    final = json.loads(written[-1][1])["delta"]
    assert (final["finish_reason"], final["usage"]) == ("COMPLETE", whole["usage"])
    assert whole["message"]["content"] == [{"type": "text", "text": " fare box coin ride line"}]
    for row in await rows():
        assert whole["usage"]["billed_units"] == {"input_tokens": row["tokens"]["input"], "output_tokens": 7}
        assert whole["usage"]["tokens"]["input_tokens"] > row["tokens"]["input"]
        assert row["nano"] == 2500 * row["tokens"]["input"] + 10_000 * 7
    called = (await http.post("/cohere/v2/chat", json=body("cohere", "sim:tool=1 sim:output=2", tools=[TOOL]))).json()
    assert json.loads(called["message"]["tool_calls"][0]["function"]["arguments"]) == {"text": " fare box"}
    calls = await http.post("/cohere/v2/chat", json=body("cohere", "sim:tool=1 sim:output=2", tools=[TOOL], stream=True))
    assert calls.text.count("event: tool-call-delta") == 2
    missing = (await http.post("/cohere/v2/chat", json=body("cohere", "sim:usage=partial"))).json()["usage"]
    assert list(missing) == ["tokens"]
    refused = await http.post("/cohere/v2/chat", json=body("cohere", "sim:status=429"))
    assert set(refused.json()) == {"id", "message"}
    failed = await http.post("/cohere/v2/chat", json=body("cohere", "sim:fail=1", stream=True))
    assert json.loads(failed.text.rstrip().rpartition("data: ")[2])["delta"]["finish_reason"] == "ERROR"


@pytest.mark.parametrize("host", MODELS)
async def test_models_are_listed_and_unknown_ones_refused(client: Client, http: httpx.AsyncClient, host: str) -> None:
    """Servers that their owners run list none and take any; a call without a credential is refused everywhere."""
    own = host in {"vllm", "ollama"}
    assert bool([model async for model in client(host).models.list()]) != own
    answer = await http.post(path(host), json={"model": "no-such-model", "messages": [{"role": "user", "content": "hi"}]})
    assert answer.status_code == (200 if own else 404)
    bare = await http.post(path(host), json=body(host, "hi"), headers={"authorization": ""})
    assert bare.status_code == 401
    assert (await http.post(f"/{host}/v1/nothing", json={})).status_code == 404
