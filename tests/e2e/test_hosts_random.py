"""Some hundreds of random calls to every host that speaks OpenAI's API: what each is charged as, beside what the host bills, call by call."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from farebox.ledger.model import Charge
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.store.pricebook import publish, publishing
from farebox.usage import IN_TEXT, OUT_TEXT
from support.house import House, charged_by_id, open_house
from support.joined import calls

CALLS = calls(50)
AT_ONCE = 8
MODELS = {
    "deepseek": ("deepseek-chat",),
    "mistral": ("mistral-large-4",),
    "xai": ("grok-4.7",),
    "groq": ("openai/gpt-oss-120b",),
    "openrouter": ("openai/gpt-6-sol",),
    "together": ("Qwen/Qwen3.8-Flash",),
    "fireworks": ("accounts/fireworks/models/kimi-k3",),
    "perplexity": ("sonar",),
    "cohere": ("command-a-03-2025",),
    "gemini-openai": ("gemini-2.5-flash",),
    "vllm": ("any/model",),
    "ollama": ("llama3",),
    "azure": ("prod-gpt-4o", "thinker-gpt-6-sol"),
}
OWN_PICO = {IN_TEXT: 1_000_000, OUT_TEXT: 7_000_000}
"""What a token costs at servers of the operator's own, which bill nothing."""
DEPLOYMENTS = {"prod-gpt-4o": "gpt-4o", "thinker-gpt-6-sol": "gpt-6-sol"}
SHOWS_ALL = {"prod-gpt-4o"}
"""An answer that is not reported is charged by what was delivered: at a provider that bills for more than it sent, that would be too little."""


def settings(url: str) -> dict[str, Any]:
    hosts = {name: {"api_key": "sk", "base_url": f"{url}/{name}/v1"} for name in MODELS if name != "azure"}
    azure = {"api_key": "sk", "base_url": url, "deployments": DEPLOYMENTS}
    return {"providers": {**hosts, "azure": azure}, "log": {"level": "error"}}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house with all of them, and a price for the servers that have none in any list."""
    async with open_house(tmp_path, settings) as opened:
        batcher, own = opened.running.batcher, [(host, MODELS[host][0]) for host in ("vllm", "ollama")]
        async with publishing(batcher) as owner:
            books = await opened.running._shelf.refresh()
            models = [ModelRow(provider=host, model=model, names=(model,)) for host, model in own]
            prices = [
                PriceRow(host, model, unit, 0, "default", "standard", "global", 0, pico, 0, None, "own", 0)
                for host, model in own
                for unit, pico in OWN_PICO.items()
            ]
            await publish(batcher, owner, books, [*books.listed.rows(), *models], [*books.listed.prices(), *prices], note="own")
        yield opened


def words(dice: random.Random, model: str, *, stream: bool) -> str:
    """What a call asks of the simulator: how much of everything, and what goes wrong."""
    said = [f"sim:output={dice.choice((0, 1, 7, 40, 300))}", "pad " * dice.choice((1, 1, 30, 400))]
    if dice.random() < 0.4:
        said.append(f"sim:cached={dice.randint(1, 500)}")
    if dice.random() < 0.4 and model not in SHOWS_ALL:
        said.append(f"sim:reasoning={dice.choice((1, 20, 900))}")
    if dice.random() < 0.3:
        said.append(dice.choice(("sim:usage=missing", "sim:usage=partial", "sim:usage=negative", "sim:status=400", "sim:status=422")))
    if stream and dice.random() < 0.3:
        said.append(dice.choice((f"sim:cut={dice.randint(0, 9)}", f"sim:fail={dice.randint(0, 9)}")))
        said.append("sim:on_abort=bill_sent" if model in SHOWS_ALL or dice.random() < 0.5 else "")
    if model == "sonar" and dice.random() < 0.4:
        said.append(f"sim:queries={dice.randint(1, 9)}")
    if model in DEPLOYMENTS and dice.random() < 0.3:
        found = ("sim:content_filter=late", "sim:content_filter=finish", "sim:status=400 sim:code=content_filter", "sim:status=408")
        said = [word for word in said if "status=" not in word] + [dice.choice(found)]
    return " ".join(said)


def call(dice: random.Random, host: str) -> tuple[dict[str, Any], bool]:
    """The body of a random call, and whether its caller leaves in the midst of the answer."""
    model, stream, leaves = dice.choice(MODELS[host]), dice.random() < 0.6, dice.random() < 0.15
    text = words(dice, model, stream=stream) + (" sim:pace=1" if stream and leaves else "")
    asked: dict[str, Any] = {"model": f"{host}/{model}", "messages": [{"role": "user", "content": text}], "stream": stream}
    if dice.random() < 0.5:
        asked[dice.choice(("max_tokens", "max_completion_tokens"))] = dice.choice((1, 5, 64, 2000))
    if dice.random() < 0.2:
        asked["n"] = dice.randint(2, 4)
    if stream and dice.random() < 0.5:
        asked["stream_options"] = {"include_usage": dice.random() < 0.7}
    if dice.random() < 0.2:
        asked["tools"] = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
        asked["messages"][0]["content"] += " sim:tool=look"
    return asked, leaves


async def make(house: House, secret: str, asked: dict[str, Any], *, leaves: bool) -> None:
    sent = {"authorization": f"Bearer {secret}"}
    try:
        async with house.http.stream("POST", f"{house.url}/v1/chat/completions", json=asked, headers=sent) as answer:
            async for _ in answer.aiter_raw():
                if leaves:
                    return
    except httpx.HTTPError:
        pass  # cut, as it was asked to be


def bill_of(row: dict[str, Any]) -> int:
    """Nano-dollars that a call costs at its host."""
    if row["dialect"] not in ("vllm", "ollama") or row["status"] != 200:
        return int(row["nano"])
    tokens = row["tokens"]
    return (int(tokens["input"]) * OWN_PICO[IN_TEXT] + int(tokens["output"]) * OWN_PICO[OUT_TEXT]) // 1000


def over(row: dict[str, Any], charge: Charge) -> int:
    """By how much a charge is above the bill: nothing where the host reported, and never less."""
    bill = bill_of(row)
    if charge.completeness == "exact" and charge.outcome != "released":
        assert charge.price == bill, (charge, row)
    assert charge.price >= bill, (charge, row)
    assert charge.paid + charge.written_off == charge.price
    return charge.price - bill


@pytest.mark.parametrize("host", MODELS)
async def test_random_calls_are_charged_what_they_cost_or_what_bounds_it(house: House, host: str, record_property: Any) -> None:
    """Exact to the nano-dollar where the host reports, cuts and leavers included; at least the bill where it does not."""
    dice, turn = random.Random(f"farebox {host}"), asyncio.Semaphore(AT_ONCE)
    secret = await house.customer("100000.00", None)

    async def one(asked: dict[str, Any], *, leaves: bool) -> None:
        async with turn:
            await make(house, secret, asked, leaves=leaves)

    calls = [call(dice, host) for _ in range(CALLS)]
    await asyncio.gather(*[one(asked, leaves=leaves) for asked, leaves in calls])
    await house.settled()
    charges, rows = charged_by_id(house.charges()), await house.sim_calls()
    assert len(rows) == CALLS
    assert all(row["id"] in charges or not bill_of(row) for row in rows)
    differences = [over(row, charges[row["id"]]) for row in rows if row["id"] in charges]
    reported = [charge for charge in charges.values() if charge.completeness == "exact" and charge.price]
    assert len(reported) > CALLS / 3
    billed, more = sum(map(bill_of, rows)), sum(differences)
    told = f"{host}: {len(reported)} of {len(rows)} exact; billed {billed} nano-dollars, charged {more} more where nothing was reported"
    record_property("difference", told)
    print(told)
