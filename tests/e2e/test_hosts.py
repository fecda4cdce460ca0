"""OpenAI's unmodified SDK through the gateway at every host that speaks its API: what each calls usage is charged as what each bills."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from farebox.control.views import metered
from farebox.dialects.openai.hosts import HOSTS
from farebox.money import format_usd
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.providers.catalogue import KNOWN
from farebox.store.pricebook import publish, publishing
from farebox.usage import IN_TEXT, OUT_TEXT, PLAIN
from support.house import House, open_house

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
    "gemini-openai": "gemini-2.5-flash",
}
NO_CACHE_PRICE = {"cohere"}
"""It reports what came from its cache, and lists no other price for it."""
OWN = {"vllm": "any/model", "ollama": "llama3"}
"""Servers of the operator's own: they bill nothing, what they cost is the operator's to say."""
ASKS = (
    "sim:output=6 sim:reasoning=40 sim:cached=3",
    "sim:output=3",
    "sim:output=30 sim:cached=11",
    "again " * 100 + "sim:output=2 sim:reasoning=500 sim:cached=90",
)
PROVIDERS = MODELS.keys() | OWN.keys()


def settings(url: str) -> dict[str, Any]:
    return {"providers": {name: {"api_key": "sk-upstream", "base_url": f"{url}/{name}/v1"} for name in PROVIDERS}}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house with all of them at the simulator, wherever that turns out to be."""
    async with open_house(tmp_path, settings) as opened:
        yield opened


async def own_prices(house: House) -> None:
    """A price for the servers that have none in any list."""
    running = house.running
    async with publishing(running.batcher) as owner:
        books = await running._shelf.refresh()
        models = [ModelRow(provider=name, model=model, names=(model,)) for name, model in OWN.items()]
        prices = [
            PriceRow(name, model, unit, 0, "default", "standard", "global", 0, pico, 0, None, "own", 0)
            for name, model in OWN.items()
            for unit, pico in ((IN_TEXT, 1_000_000), (OUT_TEXT, 7_000_000))
        ]
        await publish(running.batcher, owner, books, [*books.listed.rows(), *models], [*books.listed.prices(), *prices], note="own")


def body(host: str, text: str, **more: Any) -> dict[str, Any]:
    return {"model": f"{host}/{MODELS.get(host) or OWN[host]}", "messages": [{"role": "user", "content": text}], **more}


async def ask_in_every_way(client: openai.AsyncOpenAI, host: str) -> int:
    """Whole, streamed with usage and without, with several choices, cut short by either cap. How many calls that was."""
    create = client.chat.completions.create
    for text in ASKS:
        await create(**body(host, text))
        for options in ({}, {"stream_options": {"include_usage": True}}):
            async for _ in await create(**body(host, text, stream=True, **options)):
                pass
    capped = [await create(**body(host, "sim:output=90", **{name: 5})) for name in ("max_tokens", "max_completion_tokens")]
    assert [answer.choices[0].finish_reason for answer in capped] == ["length", "length"]
    await create(**body(host, "sim:output=7 sim:reasoning=9", n=3))
    return 3 * len(ASKS) + 3


@pytest.mark.parametrize("host", MODELS)
async def test_every_charge_is_the_bill_to_the_nano(house: House, host: str) -> None:
    """Cache, hidden reasoning, choices, caps, streamed or not: exact, by the host's own report, without an oddity."""
    calls = await ask_in_every_way(house.openai(await house.customer("50.00", None)), host)
    charges = await house.agree_with(calls)
    assert {charge.completeness for charge in charges} == {"exact"}
    assert {charge.flags for charge in charges} <= ({"", "unit_priced_as_parent"} if host in NO_CACHE_PRICE else {""})
    assert {charge.provider for charge in charges} == {host}
    assert all(charge.price > 0 for charge in charges)


@pytest.mark.parametrize("host", OWN)
async def test_own_servers_cost_what_their_operator_says(house: House, host: str) -> None:
    """What was used is what the server counted."""
    await own_prices(house)
    await ask_in_every_way(house.openai(await house.customer("50.00", None)), host)
    await house.settled()
    rows = {row["id"]: row["tokens"] for row in await house.sim_calls()}
    charges = house.charges()
    assert [charge.price for charge in charges] == [
        rows[charge.upstream_request_id]["input"] * 1_000 + rows[charge.upstream_request_id]["output"] * 7_000 for charge in charges
    ]
    assert len(charges) == 3 * len(ASKS) + 3


@pytest.mark.parametrize("host", MODELS)
async def test_nobody_gets_more_or_less_than_the_host_sends(house: House, host: str) -> None:
    """Not a byte of a stream differs but what names the call and its second."""
    secret = await house.customer("50.00", None)
    for options in ({}, {"stream_options": {"include_usage": True}}):
        seen = []
        for url, key, model in ((f"{house.url}/v1", secret, f"{host}/{MODELS[host]}"), (f"{house.sim.url}/{host}/v1", "any", MODELS[host])):
            asked = {**body(host, "sim:output=5 sim:reasoning=3", stream=True, max_tokens=50, **options), "model": model}
            answer = await house.http.post(f"{url}/chat/completions", json=asked, headers={"authorization": f"Bearer {key}"})
            seen.append([_plain(line) for line in answer.text.split("\n\n")])
        assert seen[0] == seen[1]


def _plain(event: str) -> Any:
    if not event.startswith("data: {"):
        return event
    chunk = json.loads(event.removeprefix("data: "))
    own = chunk.get("x_groq") or {}
    return {**chunk, "id": "", "created": 0, "x_groq": {**own, "id": ""}}


@pytest.mark.parametrize("host", MODELS)
@pytest.mark.parametrize("how", ["sim:cut=3", "sim:fail=3", "sim:usage=missing", "sim:usage=partial", "sim:usage=negative"])
async def test_a_broken_or_silent_host_is_never_cheaper_than_its_bill(house: House, host: str, how: str) -> None:
    """Cut, failed, or without its report: at least what was billed, at most what was held."""
    client = house.openai(await house.customer("50.00", None), max_retries=0)
    for stream in (True, False):
        try:
            answer = await client.chat.completions.create(
                **body(host, f"sim:output=9 sim:reasoning=30 {how}", stream=stream, max_tokens=200)
            )
            if stream:
                async for _ in answer:
                    pass
        except (openai.APIError, openai.APIConnectionError):
            pass
    await house.agree()


@pytest.mark.parametrize("host", MODELS)
async def test_whoever_leaves_is_charged_what_the_host_bills(house: House, host: str) -> None:
    """Left after the first chunk: the rest is read all the same, and charged by the report at its end."""
    secret = await house.customer("50.00", None)
    asked = body(host, "sim:output=40 sim:reasoning=30 sim:pace=1", stream=True)
    async with house.http.stream(
        "POST", f"{house.url}/v1/chat/completions", json=asked, headers={"authorization": f"Bearer {secret}"}
    ) as answer:
        async for _ in answer.aiter_raw():
            break
    (charge,) = await house.agree_with(1)
    assert charge.completeness == "exact"


@pytest.mark.parametrize("host", ["xai", "openrouter", "perplexity"])
async def test_a_reported_cost_is_kept_beside_the_charge(house: House, host: str) -> None:
    """What the host says that it charges is shown with the charge and the generation, and is what was charged."""
    secret = await house.customer("50.00", None)
    await house.openai(secret).chat.completions.create(**body(host, "sim:output=20 sim:cached=2"))
    (charge,) = await house.agree_with(1)
    assert metered(charge)["usage"]["reported_cost_usd"] == format_usd(charge.price)


_DEAR = (
    b'{"id":"x","model":"grok-4.7","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":%b}'
)


@pytest.mark.parametrize(
    ("reported", "picos"),
    [
        (b'"cost_in_usd_ticks":20000001', 2_000_000_100),
        (b'"cost":0.0020000001', 2_000_000_100),
        (b'"cost":{"total_cost":0.0020000001}', 2_000_000_100),
        (b'"cost":1.23456789012345e-3', 1_234_567_891),
        (b'"cost":0', 0),
    ],
)
@pytest.mark.parametrize("counts", [False, True])
async def test_the_dearer_of_computed_and_reported_is_charged_where_asked(
    tmp_path: Path, reported: bytes, picos: int, *, counts: bool
) -> None:
    """`reported_cost = "max"` charges a higher report, with the difference as a line; without it, what the prices come to."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        told = _DEAR % (b'{"prompt_tokens":10,"completion_tokens":100,"total_tokens":110,%b}' % reported)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(told), told))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    setting = {"reported_cost": "max"} if counts else {}
    async with server, open_house(tmp_path, {"providers": {"xai": {"api_key": "sk", "base_url": url, **setting}}}) as house:
        await house.openai(await house.customer("50.00", None)).chat.completions.create(**body("xai", "hi"))
        (charge,) = house.charges()
    computed = 10 * 2_000_000 + 100 * 6_000_000
    wanted = max(computed, picos) if counts else computed
    assert charge.price == charge.cost == round(wanted / 1000)
    assert sum(line[3] for line in json.loads(charge.lines)) == wanted
    assert ("reported_cost_counts" in charge.flags) == (wanted > computed)


async def test_a_host_that_searches_is_asked_how_much(house: House) -> None:
    """What Perplexity charges for is read and held there; at a host that does not say what it costs, it is refused before anything is held."""
    client = house.openai(await house.customer("50.00", None), max_retries=0)
    options = {"web_search_options": {"search_context_size": "high"}}
    await client.chat.completions.create(**body("perplexity", "sim:output=5 sim:queries=2"), extra_body=options)
    await client.chat.completions.create(**body("perplexity", "sim:output=5"), extra_body=options)
    (first, second) = await house.agree_with(2)
    assert (first.completeness, second.completeness) == ("exact", "exact")
    books = house.books()
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(**body("groq", "hi"), extra_body=options)
    assert caught.value.code == "cost_unbounded"
    assert house.books() == books


async def test_a_host_that_is_not_built_in_takes_three_lines(tmp_path: Path) -> None:
    """Its dialect, its address, its key: its models are priced under its name, its usage is read as that of a host nobody knows."""

    def three(url: str) -> dict[str, Any]:
        return {"providers": {"moonshotai": {"dialect": "openai", "base_url": f"{url}/vllm/v1", "api_key": "sk"}}}

    async with open_house(tmp_path, three) as house:
        client = house.openai(await house.customer("50.00", None), max_retries=0)
        asked: dict[str, Any] = {"model": "moonshotai/kimi-k2.5", "messages": [{"role": "user", "content": "sim:output=7"}]}
        for one in (asked, asked | {"max_completion_tokens": 5}):
            await client.chat.completions.create(**one)
            async for _ in await client.chat.completions.create(**one, stream=True):
                pass
        await house.settled()
        used = {row["id"]: row["tokens"] for row in await house.sim_calls()}
        charges = house.charges()
        price = house.running._shelf.books().listed.find("moonshotai", "kimi-k2.5", house.running.clock())
        assert price is not None
        each = price.card(PLAIN).at(0).prices
    assert [charge.completeness for charge in charges] == ["exact"] * 4
    for charge in charges:
        tokens = used[charge.upstream_request_id]
        assert charge.price == round((tokens["input"] * each[IN_TEXT] + tokens["output"] * each[OUT_TEXT]) / 1000) > 0


async def test_every_known_host_has_its_address_and_its_ways() -> None:
    """Whoever is described in one place is described in the other."""
    assert {name for name, known in KNOWN.items() if known.dialect == "openai" and known.cap_field == "max_tokens"} == PROVIDERS
    assert HOSTS.keys() >= PROVIDERS
