"""A stolen key, hammered through three gateways at once: it costs what its cap has, however far one of them is from the database."""

import asyncio
import random
from collections.abc import Callable

import pytest

from farebox.money import parse_usd
from proof.books import compare
from proof.cluster import Cluster
from proof.load import AGAIN, Load, Shape, client

CLIENTS = 100
CAP = "0.10"
FAR_S = 0.08
SHAPES = [
    Shape("gpt-4o-mini", 20, 20),
    Shape("gpt-4o-mini", 400, 100, stream=True),
    Shape("gpt-4o-mini", 400, 300, stream=True, leaves=True),
    Shape("claude-haiku-4-5", 60, 40, "anthropic", stream=True),
    Shape("gpt-4o-mini", 1500, 1500),
    Shape("claude-haiku-4-5", 300, 300, "anthropic"),
]
"""From the smallest on."""


async def thief(load: Load, secret: str, chance: random.Random) -> None:
    """Calls of any size until one is refused, then smaller ones, until the smallest is refused too."""
    largest = len(SHAPES) - 1
    async with client() as http:
        while True:
            chosen = chance.randint(0, largest)
            told = await load.call(http, chance.choice(load.nodes), secret, SHAPES[chosen])
            if told.status == 402 and chosen == 0:
                return
            if told.status == 402:
                largest = chosen - 1
            assert told.status in (200, 402, *AGAIN)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
async def test_a_stolen_key_costs_at_most_its_cap_on_three_nodes(
    cluster: Cluster, seed: int, figures: Callable[..., None], *, far: bool
) -> None:
    """100 clients, three gateways, one of them (`far`) 80 ms from the database: bill at most the cap, every call charged as it was billed."""
    (secret,) = await cluster.customers(1, "1.00", CAP)
    load = Load(cluster.nodes, seed)
    async with client() as http:
        for node in cluster.nodes:  # each knows the key, so that the far one is not late for all of it
            await load.call(http, node, secret, SHAPES[0])
    if far:
        cluster.links[1].delay_s = FAR_S
    await asyncio.gather(*(thief(load, secret, random.Random(seed + number)) for number in range(CLIENTS)))
    await cluster.settled()
    found = await compare(cluster, load.told)
    figures(found.row())
    cap = parse_usd(CAP)
    assert found.bill == found.charged <= cap
    assert (found.written_off, found.others) == (0, [])
    async with client() as http:
        assert cap - found.charged < await load.quote(http, secret, SHAPES[0])
    holds = [row["holds"] for row in await cluster.rows("SELECT count(*) AS holds FROM holds GROUP BY owner")]
    assert len(holds) == 3
    assert min(holds) > 1, "one gateway held nothing: the test shows less than it says"
