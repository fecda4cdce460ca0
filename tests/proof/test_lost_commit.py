"""The connection breaks after COMMIT was sent: whether it took effect nobody can say. What was held without anybody's knowledge is given back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proof.cluster import Cluster, cluster_of, until
from proof.load import Load, Shape, client

CALL = Shape("gpt-4o-mini", 64, 10)
COMMIT = b"COMMIT\0"
HOLDS = "SELECT h.state, c.price, c.flags FROM holds h LEFT JOIN charges c ON c.hold_id = h.id"
WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Cluster]:
    """One gateway on a database."""
    async with cluster_of(tmp_path, 1) as made:
        yield made


async def refused_while_cut(cluster: Cluster, secret: str, *, delivered: bool) -> None:
    """A call whose hold's commit is on its way when the wire breaks. The wire stays broken until the caller was told that nothing was done."""
    load = Load(cluster.nodes, 0)
    async with client() as http:
        warm = await load.call(http, cluster.nodes[0], secret, CALL)
        assert warm.status == 200
        caught = cluster.links[0].cut_at(COMMIT, delivered=delivered)
        told = await load.call(http, cluster.nodes[0], secret, CALL)
    await caught
    assert (told.status, told.reason) == (503, "ledger_unavailable")


async def given_back(cluster: Cluster) -> None:
    await cluster.settled()
    rows = [tuple(row) for row in await cluster.rows(HOLDS)]
    assert len(rows) == 2
    assert ("released", 0, "not_sent") in rows
    assert len([row for row in await cluster.bill() if int(row["nano"])]) == 1


async def test_a_hold_that_was_committed_unheard_is_given_back(alone: Cluster) -> None:
    """It was there, held, while its caller had been told that it was not; once the wire is whole it is released."""
    (secret,) = await alone.customers(1, "1.00")
    await refused_while_cut(alone, secret, delivered=True)
    assert await alone.rows("SELECT 1 FROM holds WHERE state = 'open'")
    alone.links[0].mend()
    await given_back(alone)


async def test_a_commit_that_arrives_after_the_wire_was_mended_is_waited_for(alone: Cluster) -> None:
    """The gateway asks by a new connection while the old one's COMMIT is on its way still: it waits for that one's lock, then gives back."""
    (secret,) = await alone.customers(1, "1.00")
    await refused_while_cut(alone, secret, delivered=False)
    assert not await alone.rows("SELECT 1 FROM holds WHERE state = 'open'")
    alone.links[0].mend()
    await until(lambda: alone.rows(WAITING))
    alone.links[0].deliver()
    await given_back(alone)


async def test_a_hold_that_never_was_is_made_and_given_back_at_once(alone: Cluster) -> None:
    """The COMMIT never arrives: no money stays held, and nothing is charged."""
    (secret,) = await alone.customers(1, "1.00")
    await refused_while_cut(alone, secret, delivered=False)
    await alone.stop_database("fast")
    await alone.start_database()
    alone.links[0].mend()
    await given_back(alone)
