"""Azure's OpenAI through the gateway: its own SDK client, unmodified, deployments instead of models, and charges that are its bill."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from farebox.ledger.model import Charge
from support.house import House, open_house

VERSION = "2024-10-21"
DEPLOYMENTS = {
    "prod-gpt-4o": "gpt-4o",
    "thinker-gpt-6-sol": "gpt-6-sol",
    "find-text-embedding-3-small": "text-embedding-3-small",
    "gpt-4o": "gpt-4o",
}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
WAYS = {"by version": {"api_version": VERSION}, "by v1": {}}


def at(url: str, **more: Any) -> dict[str, Any]:
    return {"providers": {"azure": {"api_key": "resource-key", "base_url": url, "deployments": DEPLOYMENTS, **more}}}


@pytest.fixture(params=WAYS)
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """A house with a resource at the simulator, called in either of the ways that Azure has."""
    async with open_house(tmp_path, lambda url: at(url, **WAYS[request.param])) as opened:
        yield opened


@pytest.fixture
async def azure(house: House) -> AsyncIterator[openai.AsyncAzureOpenAI]:
    """Azure's client, of a customer with money."""
    async with client_of(house, await house.customer("50.00", None)) as client:
        yield client


def client_of(house: House, secret: str) -> openai.AsyncAzureOpenAI:
    return openai.AsyncAzureOpenAI(azure_endpoint=house.url, api_key=secret, api_version="2024-06-01", max_retries=0, timeout=20)


def said(text: str, deployment: str = "prod-gpt-4o", **more: Any) -> dict[str, Any]:
    return {"model": deployment, "messages": [{"role": "user", "content": text}], **more}


def exact(charges: list[Charge]) -> None:
    assert {charge.completeness for charge in charges} == {"exact"}
    assert {charge.provider for charge in charges} == {"azure"}
    assert {charge.flags for charge in charges} == {""}


async def test_every_charge_is_the_bill_to_the_nano(house: House, azure: openai.AsyncAzureOpenAI) -> None:
    """Whole and streamed, with usage and without, with reasoning, caches, choices and tools: the model is charged that is behind the name."""
    create = azure.chat.completions.create
    for deployment in ("prod-gpt-4o", "thinker-gpt-6-sol"):
        for text in ("sim:output=6 sim:cached=3", "sim:output=30 sim:reasoning=9", "again " * 50 + "sim:output=2 sim:cached=40"):
            answer = await create(**said(text, deployment))
            assert answer.model == DEPLOYMENTS[deployment]
            for options in ({}, {"stream_options": {"include_usage": True}}):
                async for _ in await create(**said(text, deployment, stream=True, **options)):
                    pass
    called = await create(**said("sim:tool=look", tools=[TOOL], n=2))
    assert called.choices[1].message.tool_calls
    charges = await house.agree_with(19)
    exact(charges)
    assert {(charge.model, charge.model_served) for charge in charges} == {
        ("prod-gpt-4o", "gpt-4o"),
        ("thinker-gpt-6-sol", "gpt-6-sol"),
    }


@pytest.mark.parametrize("words", ["", " sim:content_filter=late", " sim:content_filter=finish"])
async def test_filters_chunks_reach_the_client_and_hide_no_usage(house: House, azure: openai.AsyncAzureOpenAI, words: str) -> None:
    """A first chunk without a choice, and late ones without text: the client sees what Azure sends; no usage where it asked for none."""
    secret = azure.api_key
    for options in ({}, {"stream_options": {"include_usage": True}}):
        asked = {**said(f"sim:output=5{words}", stream=True, max_tokens=50), **options}
        seen = []
        for url, key in ((house.url, secret), (house.sim.url, "any")):
            path = f"{url}/openai/deployments/prod-gpt-4o/chat/completions?api-version={VERSION}"
            answer = await house.http.post(path, json=asked, headers={"api-key": key})
            chunks = [line for line in answer.text.split("\n\n") if line]
            assert '"choices":[]' in chunks[0]
            assert "prompt_filter_results" in chunks[0]
            seen.append((len(chunks), [('"usage":' in chunk, "content_filter" in chunk, "_offsets" in chunk) for chunk in chunks]))
        assert seen[0] == seen[1]
    exact(await house.agree_with(2))


async def test_paths_of_both_kinds_and_both_credentials_serve(house: House) -> None:
    """Behind a deployment (whose body need not name it), under `/openai/v1` by the key's header, and both under `/azure` with any header."""
    secret = await house.customer("50.00", None)
    bearer, own = {"authorization": f"Bearer {secret}"}, {"api-key": secret}
    named, nameless = said("sim:output=2"), {"messages": said("sim:output=2")["messages"]}
    for path, asked, headers in (
        (f"/openai/deployments/prod-gpt-4o/chat/completions?api-version={VERSION}", nameless, own),
        (f"/openai/deployments/prod-gpt-4o/chat/completions?api-version={VERSION}", nameless, bearer),
        (f"/openai/deployments/prod-gpt-4o/chat/completions?api-version={VERSION}", {**named, "model": "thinker-gpt-6-sol"}, own),
        ("/openai/v1/chat/completions", named, own),
        ("/azure/openai/v1/chat/completions", named, bearer),
        (f"/azure/openai/deployments/prod-gpt-4o/chat/completions?api-version={VERSION}", nameless, bearer),
        ("/v1/chat/completions", {**named, "model": "azure/prod-gpt-4o"}, bearer),
    ):
        answer = await house.http.post(house.url + path, json=asked, headers=headers)
        assert (answer.status_code, answer.json()["model"]) == (200, "gpt-4o"), path
    charges = await house.agree_with(7)
    exact(charges)
    assert {charge.model for charge in charges} == {"prod-gpt-4o"}


async def test_embeddings_and_forms_go_to_their_deployment(house: House, azure: openai.AsyncAzureOpenAI) -> None:
    """Whatever has a path behind a deployment; a deployment that is not there has its own words."""
    vectors = await azure.embeddings.create(model="find-text-embedding-3-small", input=["a word", "another"])
    assert len(vectors.data) == 2
    with pytest.raises(openai.NotFoundError):
        await azure.embeddings.create(model="text-embedding-3-small", input="a word")
    exact(await house.agree_with(1))


async def test_openais_own_client_reaches_azure_too(house: House) -> None:
    """By `azure/DEPLOYMENT`, or by an alias: the same call, the same bill; the listing tells the deployments."""
    client = house.openai(await house.customer("50.00", None))
    answer = await client.chat.completions.create(**said("sim:output=4", "azure/thinker-gpt-6-sol"))
    assert answer.model == "gpt-6-sol"
    async for _ in await client.chat.completions.create(**said("sim:output=4", "azure/prod-gpt-4o", stream=True)):
        pass
    exact(await house.agree_with(2))
    listed = {model.id async for model in client.models.list()}
    assert {f"azure/{name}" for name in ("prod-gpt-4o", "thinker-gpt-6-sol")} <= listed
    assert "azure/gpt-4.1" not in listed


async def test_responses_are_served_where_the_resource_is_called_by_v1(tmp_path: Path) -> None:
    """By OpenAI's client and by Azure's; a resource that is called by its version has none, and says so before anything is held."""
    async with open_house(tmp_path, at) as house:
        secret = await house.customer("50.00", None)
        plain = await house.openai(secret).responses.create(model="azure/prod-gpt-4o", input="sim:output=3", store=False)
        async with client_of(house, secret) as client:
            own = await client.responses.create(model="prod-gpt-4o", input="sim:output=3", store=False)
        assert plain.output_text == own.output_text == " fare box coin"
        exact(await house.agree_with(2))
    (tmp_path / "version").mkdir()
    async with open_house(tmp_path / "version", lambda url: at(url, api_version=VERSION)) as house:
        books = house.books()
        with pytest.raises(openai.NotFoundError):
            await house.openai(await house.customer("0", None)).responses.create(model="azure/prod-gpt-4o", input="hi", store=False)
        assert house.books() == books


@pytest.mark.parametrize(
    ("words", "status", "charged"),
    [
        ("sim:status=400 sim:code=content_filter", 400, "estimated"),
        ("sim:status=408", 408, "unknown"),
        ("sim:status=400 sim:code=invalid_prompt", 400, ""),
        ("sim:status=429", 429, ""),
        ("sim:status=500", 500, ""),
    ],
)
async def test_errors_that_azure_charges_are_charged(
    house: House, azure: openai.AsyncAzureOpenAI, words: str, status: int, charged: str
) -> None:
    """A filtered prompt costs what its input may, a timeout what was held, other errors nothing. The client gets Azure's own error."""
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as caught:
            await azure.chat.completions.create(**said(words, stream=stream, max_tokens=1000))
        assert caught.value.status_code == status
        assert (caught.value.response.headers.get("x-should-retry") == "false") is bool(charged)
    charges = await house.agree()
    assert {charge.completeness if charge.price else "" for charge in charges} == {charged}
    output = 1000 * 10_000
    assert all((charge.price > output) is (charged == "unknown") for charge in charges)
    assert {charge.outcome for charge in charges if charge.price} <= {f"upstream_{status}"}


async def test_a_prompt_that_the_filter_stopped_raises_what_azure_raises(azure: openai.AsyncAzureOpenAI) -> None:
    """With its inner error."""
    with pytest.raises(openai.BadRequestError) as caught:
        await azure.chat.completions.create(**said("sim:status=400 sim:code=content_filter"))
    assert caught.value.code == "content_filter"
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["innererror"]["code"] == "ResponsibleAIPolicyViolation"


async def test_no_money_is_402_in_one_attempt(house: House) -> None:
    """And nothing reaches Azure."""
    async with client_of(house, await house.customer("0", None)) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.with_options(max_retries=3).chat.completions.create(**said("hi"))
    assert caught.value.status_code == 402
    assert len(house.seen) == 1
    assert await house.sim_calls() == []


@pytest.mark.parametrize("how", ["sim:cut=3", "sim:fail=3", "sim:usage=missing", "sim:usage=partial", "sim:usage=negative"])
async def test_a_broken_or_silent_answer_is_never_cheaper_than_its_bill(house: House, azure: openai.AsyncAzureOpenAI, how: str) -> None:
    """Cut, failed, or without its report: at least what was billed."""
    for deployment in ("prod-gpt-4o", "thinker-gpt-6-sol"):
        for stream in (True, False):
            try:
                answer = await azure.chat.completions.create(**said(f"sim:output=9 {how}", deployment, stream=stream, max_tokens=200))
                if stream:
                    async for _ in answer:
                        pass
            except openai.APIError:
                pass
    assert len(await house.agree()) == 4


async def test_whoever_leaves_is_charged_what_azure_bills(house: House) -> None:
    """Left after the first chunk: the rest is read all the same."""
    secret = await house.customer("50.00", None)
    path = f"{house.url}/openai/deployments/prod-gpt-4o/chat/completions?api-version={VERSION}"
    asked = said("sim:output=40 sim:pace=1", stream=True)
    async with house.http.stream("POST", path, json=asked, headers={"api-key": secret}) as answer:
        async for _ in answer.aiter_raw():
            break
    exact(await house.agree_with(1))


async def test_the_blocking_client_does_the_same(house: House) -> None:
    """Whole and streamed."""
    secret = await house.customer("50.00", None)

    def ask() -> tuple[str | None, int]:
        with openai.AzureOpenAI(azure_endpoint=house.url, api_key=secret, api_version=VERSION, max_retries=0) as client:
            whole = client.chat.completions.create(**said("sim:output=2"))
            pieces = list(client.chat.completions.create(**said("sim:output=2", stream=True)))
        return whole.choices[0].message.content, len(pieces)

    text, pieces = await asyncio.to_thread(ask)
    assert text == " fare box"
    assert pieces > 3
    exact(await house.agree_with(2))


async def test_with_no_deployments_set_a_name_is_a_models(tmp_path: Path) -> None:
    """It is priced as that model; a name that is none, or that is more than a name, goes nowhere."""
    async with open_house(tmp_path, lambda url: at(url, deployments={})) as house:
        secret = await house.customer("50.00", None)
        async with client_of(house, secret) as client:
            answer = await client.chat.completions.create(**said("sim:output=3", "gpt-4o"))
            assert answer.model == "gpt-4o"
            for name in ("knitting", "../../other/openai/deployments/gpt-4o", "gpt-4o?x=y"):
                with pytest.raises(openai.APIStatusError) as caught:
                    await house.openai(secret, max_retries=0).chat.completions.create(**said("hi", f"azure/{name}"))
                assert caught.value.status_code in (403, 404)
        exact(await house.agree_with(1))
        assert len(await house.sim_calls()) == 1
