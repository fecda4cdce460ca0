"""Azure OpenAI, as OpenAI's own client for it sees it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import openai
import pytest

from farebox.sim import Server, serve
from farebox.sim.azure import model_of
from farebox.sim.options import described

VERSION = "2024-10-21"
PATH = f"/openai/deployments/prod-gpt-4o/chat/completions?api-version={VERSION}"
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]


def body(text: str, **fields: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}], **fields}


def chunks(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


@pytest.fixture
async def azure(sim: Server) -> AsyncIterator[openai.AsyncAzureOpenAI]:
    async with openai.AsyncAzureOpenAI(azure_endpoint=sim.url, api_key="any", api_version=VERSION, max_retries=0, timeout=20) as client:
        yield client


async def test_client_gets_the_model_behind_the_deployment(azure: openai.AsyncAzureOpenAI, rows: Rows) -> None:
    """The bill names the model, never the deployment, at OpenAI's price."""
    answer = await azure.chat.completions.create(model="prod-gpt-4o", messages=[{"role": "user", "content": "sim:bill=a sim:output=4"}])
    assert answer.model == "gpt-4o"
    assert answer.choices[0].message.content == " fare box coin ride"
    [row] = await rows()
    assert (row["dialect"], row["provider"], row["model"], row["label"]) == ("azure", "openai", "gpt-4o", "a")
    assert answer.usage is not None
    assert row["nano"] == answer.usage.prompt_tokens * 2_500 + 4 * 10_000
    assert row["id"] == answer._request_id


async def test_client_reads_a_stream_past_the_filters_chunks(azure: openai.AsyncAzureOpenAI, rows: Rows) -> None:
    """The first chunk has no choice, and late ones no text; usage stands between."""
    stream = await azure.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "sim:output=3 sim:content_filter=late"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    found = [chunk async for chunk in stream]
    assert found[0].choices == []
    deltas = [getattr(choice, "delta", None) for chunk in found for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas if delta is not None) == " fare box coin"
    assert deltas[-1] is None
    usage = [chunk.usage for chunk in found if chunk.usage is not None]
    assert [each.completion_tokens for each in usage] == [3]
    assert (await rows())[0]["tokens"]["output"] == 3


async def test_filter_tells_what_it_found(http: httpx.AsyncClient) -> None:
    """In the prompt first, then beside every choice; late findings come without text after everything else."""
    found = chunks(await http.post(PATH, json=body("sim:output=2 sim:content_filter=late", stream=True)))
    assert found[0]["choices"] == []
    assert found[0]["prompt_filter_results"][0]["content_filter_results"]["hate"] == {"filtered": False, "severity": "safe"}
    assert all("content_filter_results" in choice for chunk in found for choice in chunk["choices"])
    assert "content_filter_offsets" in found[-1]["choices"][0]
    assert "delta" not in found[-1]["choices"][0]
    whole = (await http.post(PATH, json=body("sim:output=2"))).json()
    assert whole["prompt_filter_results"]
    assert whole["choices"][0]["content_filter_results"]["violence"]["filtered"] is False


async def test_answer_that_the_filter_ends_is_billed(http: httpx.AsyncClient, rows: Rows) -> None:
    """The finish reason says so, streamed or not."""
    whole = (await http.post(PATH, json=body("sim:output=2 sim:content_filter=finish"))).json()
    assert whole["choices"][0]["finish_reason"] == "content_filter"
    assert whole["choices"][0]["content_filter_results"]["violence"]["filtered"] is True
    found = chunks(await http.post(PATH, json=body("sim:output=2 sim:content_filter=finish", stream=True)))
    assert found[-1]["choices"][0]["finish_reason"] == "content_filter"
    first, second = await rows()
    assert first["nano"] == second["nano"] > 0


@pytest.mark.parametrize(
    ("text", "status", "code", "paid"),
    [
        ("sim:status=400 sim:code=content_filter", 400, "content_filter", True),
        ("sim:status=408", 408, "408", True),
        ("sim:status=400 sim:code=invalid_prompt", 400, "invalid_prompt", False),
        ("sim:status=401", 401, "401", False),
        ("sim:status=429", 429, "429", False),
        ("sim:status=500", 500, None, False),
    ],
)
async def test_errors_that_were_processed_are_charged(
    http: httpx.AsyncClient, rows: Rows, text: str, status: int, code: str | None, paid: bool
) -> None:
    """The filter's 400 and 408 cost their input, 401 and 429 nothing."""
    answer = await http.post(PATH, json=body(text))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    [row] = await rows()
    assert row["status"] == status
    assert row["nano"] == (row["tokens"]["input"] * 2_500 if paid else 0)
    assert (row["nano"] > 0) is paid


async def test_filtered_prompt_raises_what_azure_raises(azure: openai.AsyncAzureOpenAI) -> None:
    """Its inner error tells what was found."""
    with pytest.raises(openai.BadRequestError) as caught:
        await azure.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "sim:status=400 sim:code=content_filter"}]
        )
    assert caught.value.code == "content_filter"
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["innererror"]["code"] == "ResponsibleAIPolicyViolation"


async def test_either_path_and_either_credential_serve(http: httpx.AsyncClient, rows: Rows) -> None:
    """With a version in the query and the deployment in the path, or with neither and the deployment in the body."""
    bare: dict[str, str] = {"authorization": ""}
    assert (await http.post(PATH, json=body("hi"), headers=bare)).status_code == 401
    assert (await http.post(PATH, json=body("hi"), headers=bare | {"api-key": "k"})).status_code == 200
    assert (await http.post(PATH.partition("?")[0], json=body("hi"))).status_code == 404
    by_body = await http.post("/openai/v1/chat/completions", json=body("hi", model="prod-gpt-4o"))
    assert by_body.json()["model"] == "gpt-4o"
    none = await http.post(PATH.replace("prod-gpt-4o", "knitting"), json=body("hi"))
    assert (none.status_code, none.json()["error"]["code"]) == (404, "DeploymentNotFound")
    assert [row["status"] for row in await rows()] == [401, 200, 200, 404]


async def test_old_versions_do_not_report_usage_in_streams(http: httpx.AsyncClient) -> None:
    """They refuse to be asked for it."""
    old = PATH.replace(VERSION, "2024-06-01")
    assert (await http.post(old, json=body("hi", stream=True))).status_code == 200
    refused = await http.post(old, json=body("hi", stream=True, stream_options={"include_usage": True}))
    assert (refused.status_code, "stream_options" in refused.json()["error"]["message"]) == (400, True)


async def test_other_operations_are_openais_behind_a_deployment(azure: openai.AsyncAzureOpenAI, sim: Server, rows: Rows) -> None:
    """Embeddings, speech, forms with files; and responses on the path without a deployment."""
    vectors = await azure.embeddings.create(model="team-text-embedding-3-small", input=["a word", "another"])
    assert len(vectors.data) == 2
    heard = await azure.audio.transcriptions.create(model="my-whisper-1", file=("a.wav", bytes(32_000)))
    assert heard.text
    async with openai.AsyncOpenAI(base_url=f"{sim.url}/openai/v1", api_key="any", max_retries=0) as plain:
        answer = await plain.responses.create(model="prod-gpt-4o", input="sim:output=3", store=False)
        again = await plain.audio.transcriptions.create(model="my-whisper-1", file=("a.wav", bytes(32_000)))
    assert answer.output_text == " fare box coin"
    assert again.text == heard.text
    found = await rows()
    assert [row["model"] for row in found] == ["text-embedding-3-small", "whisper-1", "gpt-4o", "whisper-1"]
    assert {row["dialect"] for row in found} == {"azure"}
    assert all(row["nano"] > 0 for row in found)


def test_deployment_names_its_model() -> None:
    """Configured first, then its own name, then the longest end that is a model's."""
    configured = {"gpt-4o": "gpt-6-sol"}
    assert model_of("gpt-4o", configured) == "gpt-6-sol"
    assert model_of("gpt-4o", {}) == "gpt-4o"
    assert model_of("prod-gpt-4o-mini", {}) == "gpt-4o-mini"
    assert model_of("team_a.o3", {}) == "o3"
    assert model_of("gpt-4o-2024-11-20", {}) == "gpt-4o-2024-11-20"
    assert model_of("knitting", {}) == "knitting"


async def test_deployments_are_configured_by_pairs() -> None:
    """As the command line writes them."""
    server = await serve(options=described(["mine=gpt-4o"], []))
    try:
        async with openai.AsyncAzureOpenAI(azure_endpoint=server.url, api_key="any", api_version=VERSION, max_retries=0) as client:
            answer = await client.chat.completions.create(model="mine", messages=[{"role": "user", "content": "hi"}])
            assert answer.model == "gpt-4o"
    finally:
        await server.close()
    for wrong in ("mine", "=gpt-4o", "mine="):
        with pytest.raises(ValueError, match="NAME=MODEL"):
            described([wrong], [])
