"""Customers with five cents each (250; a hundred in the short form), all at once, while a gateway is killed and the database goes away: nobody over,
nothing lost, no wrong refusal.
"""

import asyncio
import random
import signal
from collections.abc import Callable

import pytest

from farebox.money import parse_usd
from proof.books import compare, least_available, replayed
from proof.cluster import Cluster
from proof.conftest import SOAK
from proof.load import AGAIN, Load, Shape, after, client

CUSTOMERS = 250 if SOAK else 100
SHORT_LEAST = 5
SHORT_EVERY = 5
"""Each such customer wants nothing but the dearest, of which two fit at once."""
USD = "0.05"
SHAPES = [
    Shape("gpt-4o", 200, 150),
    Shape("gpt-4o", 700, 100, stream=True, pace_ms=5),
    Shape("gpt-4o", 700, 300, stream=True, leaves=True),
    Shape("gpt-4o", 1600, 1500),
]
OVERSIZED = Shape("gpt-4o", 8000, 10)
CALLS = 4
TRIES_MAX = 40


async def customer(load: Load, secret: str, chance: random.Random, shapes: list[Shape]) -> None:
    """Some calls at once, an oversized one among them; each again until it is answered or refused for good."""
    wanted = [*(chance.choice(shapes) for _ in range(CALLS)), OVERSIZED]
    async with client() as http:

        async def until_answered(shape: Shape) -> None:
            for _ in range(TRIES_MAX):
                told = await load.call(http, chance.choice(load.nodes), secret, shape)
                if told.status not in AGAIN or shape.leaves:
                    return
                await asyncio.sleep(0.3 + chance.random())
            raise AssertionError("never answered")

        await asyncio.gather(*map(until_answered, wanted))


@pytest.mark.timeout(600)
async def test_customers_all_at_once_are_neither_overdrawn_nor_refused_wrongly(
    cluster: Cluster, seed: int, figures: Callable[..., None]
) -> None:
    """Also with a kill and an outage in between: each refused call had, at some moment while it was asked, less left than its quote."""
    secrets = await cluster.customers(CUSTOMERS, USD)
    load = Load(cluster.nodes, seed)
    async with client() as http:
        quotes = {shape: await load.quote(http, secrets[0], shape) for shape in (*SHAPES, OVERSIZED)}
    print({shape.cap: nano for shape, nano in quotes.items()})
    assert quotes[OVERSIZED] > parse_usd(USD) > quotes[SHAPES[-1]]

    async def restart() -> None:
        node = cluster.nodes[1]
        await node.end(signal.SIGKILL)
        await node.start()

    async def outage() -> None:
        await cluster.stop_database("fast")
        await asyncio.sleep(1)
        await cluster.start_database()

    await asyncio.gather(
        after(load, CUSTOMERS // 2, restart),
        after(load, 2 * CUSTOMERS, outage),
        *(
            customer(load, secret, random.Random(seed + number), SHAPES if number % SHORT_EVERY else SHAPES[-1:])
            for number, secret in enumerate(secrets)
        ),
    )
    await cluster.settled()
    found = await compare(cluster, load.told)
    moments = await replayed(cluster)
    wallets = {
        row["hash"]: row["wallet"] for row in await cluster.rows("SELECT k.hash, a.wallet FROM keys k JOIN accounts a ON a.id = k.account")
    }
    refused = load.told_of(402, 429)
    wrong = [told for told in refused if least_available(moments[wallets[told.hash]], told.sent, told.answered) >= quotes[told.shape]]
    figures(found.row(wrongly_refused=len(wrong)))
    assert not wrong, wrong[:3]
    oversized = [told for told in load.told if told.shape is OVERSIZED]
    assert {told.status for told in oversized} <= {402, *AGAIN}
    short = len([told for told in refused if told.shape is not OVERSIZED])
    assert short >= SHORT_LEAST, "hardly anybody ran short: the test shows nothing"
    spent = await cluster.rows("SELECT wallet, amount - spent - held - expired AS free FROM grants")
    assert len(spent) == CUSTOMERS
    assert all(0 <= row["free"] <= parse_usd(USD) for row in spent)
