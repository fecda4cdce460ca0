"""The database away, with calls on their way: no new holds, every stream has its end, and what they came to is booked before anything new."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from proof.books import compare
from proof.cluster import Cluster, Node, until
from proof.conftest import SOAK
from proof.load import Load, Shape, Told, client

AWAY_S = 60 if SOAK else 5
STREAMS = 12
SHORT = Shape("gpt-4o-mini", 64, 10)
STREAMED = Shape("gpt-4o-mini", 400, 120, stream=True, pace_ms=10)
SPOKEN = Shape("claude-haiku-4-5", 400, 120, "anthropic", stream=True, pace_ms=20)
CHARGES = 'SELECT h."user" AS name, h.state, c.completeness, c.price, c.revised FROM holds h JOIN charges c ON c.hold_id = h.id'


async def streams(load: Load, cluster: Cluster, secret: str) -> list["asyncio.Task[Told]"]:
    """Calls that are on their way, some at each gateway, and in both dialects."""

    async def one(number: int) -> Told:
        async with client() as http:
            return await load.call(http, cluster.nodes[number % len(cluster.nodes)], secret, (STREAMED, SPOKEN)[number % 2])

    tasks = [asyncio.ensure_future(one(number)) for number in range(STREAMS)]

    async def begun() -> bool:
        return len(await cluster.rows("SELECT 1 FROM holds WHERE state = 'open'")) == STREAMS

    await until(begun)
    return tasks


async def refused(load: Load, cluster: Cluster, node: Node, secret: str) -> None:
    """A gateway without its ledger says so, in the words of each dialect, and when to ask again."""
    async with client() as http:
        for shape, words in ((SHORT, '"code":"ledger_unavailable"'), (SPOKEN, '"error_code":"ledger_unavailable"')):
            told = await load.call(http, node, secret, shape)
            assert (told.status, told.reason) == (503, "ledger_unavailable"), told
            assert told.retry_after, told
            assert words in told.message.replace(" ", ""), told.message
    assert (await cluster.http.get(f"{node.url}/healthz")).status_code == 200


@pytest.mark.timeout(400)
async def test_no_hold_is_made_while_the_database_is_away_and_every_stream_is_charged_exactly(
    cluster: Cluster, seed: int, figures: Callable[..., None]
) -> None:
    """Streams end as they would have, with the database gone before and for long after; then each is charged to the nano-dollar."""
    (secret,) = await cluster.customers(1, "5.00")
    load = Load(cluster.nodes, seed)
    tasks = await streams(load, cluster, secret)
    await cluster.stop_database("immediate")
    async with load.running([secret], [SHORT], 6):
        told = await asyncio.gather(*tasks)
        assert all(one.whole for one in told), told
        for node in cluster.nodes:
            await refused(load, cluster, node, secret)
            assert (await cluster.http.get(f"{node.url}/readyz")).json()["reason"] == "ledger_unavailable"
        await asyncio.sleep(AWAY_S)
        meanwhile = [one.name for one in load.told]
        await cluster.start_database()
        await cluster.settled()
    await cluster.settled()
    found = await compare(cluster, load.told)
    figures(found.row(away_s=AWAY_S))
    assert found.bill == found.charged
    assert found.others == []
    charged = {row["name"] for row in await cluster.rows(CHARGES) if row["price"]}
    assert charged & set(meanwhile) == {one.name for one in told}, "nothing was held while it was away"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
async def test_a_gateway_that_ends_before_the_database_is_back_leaves_its_journal_to_the_next(
    cluster: Cluster, seed: int, figures: Callable[..., None], how: signal.Signals
) -> None:
    """Started again on the same folder, it books the truth: exact, of every stream, whichever gateway had charged it whole meanwhile."""
    (secret,) = await cluster.customers(1, "5.00")
    load = Load(cluster.nodes, seed)
    tasks = await streams(load, cluster, secret)
    await cluster.stop_database("kill")
    told = await asyncio.gather(*tasks)
    assert all(one.whole for one in told), told
    for node in cluster.nodes:
        await node.end(how)
    await cluster.start_database()
    await asyncio.gather(*(node.start() for node in cluster.nodes))
    await cluster.settled()
    found = await compare(cluster, load.told)
    figures(found.row())
    assert (found.billed, found.others) == (STREAMS, [])
    assert found.bill == found.charged


@pytest.mark.timeout(400)
async def test_where_the_journal_is_lost_with_its_machine_the_whole_hold_stands(
    cluster: Cluster, seed: int, figures: Callable[..., None]
) -> None:
    """One volume is gone: the holds of that gateway are charged whole, which covers the bill; those of the others are exact."""
    (secret,) = await cluster.customers(1, "5.00")
    load = Load(cluster.nodes, seed)
    tasks = await streams(load, cluster, secret)
    await cluster.stop_database("immediate")
    await asyncio.gather(*tasks)
    lost = cluster.nodes[0]
    await lost.end()
    for journal in lost.folder.glob("*.journal"):
        journal.unlink()
    await cluster.start_database()
    await lost.start()
    await cluster.settled()
    found = await compare(cluster, [])
    figures(found.row())
    assert len(found.others) == STREAMS // len(cluster.nodes)
    assert all("orphaned" in line for line in found.others)
    assert found.charged > found.bill
