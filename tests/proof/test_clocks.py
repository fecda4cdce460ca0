"""Clocks that are minutes and days apart, clocks that jump, a machine that sleeps: windows, leases and expiry stay right."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from crash.test_kill import SECRET, bill, booked
from crash.test_kill import seed as furnish
from farebox.clock import US_PER_DAY, US_PER_S
from farebox.gateway.identify import hash_of
from farebox.ids import new_id
from farebox.ledger.commands import GrantMoney, IssueKey, OpenAccount
from farebox.ledger.model import Key
from farebox.money import parse_usd
from farebox.store.sqlite_connection import connect_reader
from proof.books import compare
from proof.cluster import LOST_S, Cluster, Node, provider, until
from proof.load import Load, Shape, Told, answered, client

APART_S = (-180, 180, 26 * 3600)
SHORT = Shape("gpt-4o-mini", 64, 10)
LONG = Shape("gpt-4o-mini", 400, 100, stream=True, pace_ms=20)
CAP = "0.002"
JUMP_S = 3600
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now"


@pytest.fixture
def apart(cluster: Cluster) -> Cluster:
    """Each gateway takes another time to be now; none of them the database's."""
    for node, wrong_by_s in zip(cluster.nodes, APART_S, strict=True):
        node.set_clock(wrong_by_s)
    return cluster


async def now(cluster: Cluster) -> int:
    return int((await cluster.rows(_NOW))[0]["now"])


async def everywhere(load: Load, secret: str) -> set[int]:
    """How each gateway answers a call."""
    async with client() as http:
        return {told.status for told in await asyncio.gather(*(load.call(http, node, secret, SHORT) for node in load.nodes))}


async def test_gateways_whose_clocks_differ_spend_from_one_window(apart: Cluster, seed: int, figures: Callable[..., None]) -> None:
    """A day's budget is spent once, in the day that the database says it is."""
    account, secret = new_id("acc"), new_id("secret")
    key = Key(new_id("key"), account, account, hash_of(secret), "", 0, limit_reset="day")
    await apart.decide([OpenAccount(new_id("cmd"), account, own_wallet=True), GrantMoney(new_id("cmd"), new_id("grt"), account, 10**9)])
    await apart.decide([IssueKey(new_id("cmd"), key, parse_usd(CAP))])
    load = Load(apart.nodes, seed)
    days = {await now(apart) // US_PER_DAY}

    async def spend() -> None:
        async with client() as http:
            while (await load.call(http, load.chance.choice(load.nodes), secret, SHORT)).status != 402:
                pass

    await asyncio.gather(*(spend() for _ in range(12)))
    await apart.settled()
    days.add(await now(apart) // US_PER_DAY)
    found = await compare(apart, load.told, {key.id: parse_usd(CAP) * len(days)})
    figures(found.row())
    windows = await apart.rows("SELECT start FROM windows WHERE counter = $1", f"{key.id}/day")
    assert {row["start"] // US_PER_DAY for row in windows} == days
    assert {row["owner"] for row in await apart.rows("SELECT DISTINCT owner FROM holds")} == {
        row["id"] for row in await apart.rows("SELECT id FROM processes")
    }


async def test_a_grant_ends_for_all_gateways_at_once_when_the_database_says_so(apart: Cluster, seed: int) -> None:
    """Until then each admits, though one is a day ahead; from then on none does, though one is minutes behind."""
    account, secret = new_id("acc"), new_id("secret")
    key = Key(new_id("key"), account, account, hash_of(secret), "", 0)
    await apart.decide([OpenAccount(new_id("cmd"), account, own_wallet=True), IssueKey(new_id("cmd"), key)])
    load = Load(apart.nodes, seed)
    assert await everywhere(load, secret) == {402}
    ends = await now(apart) + 8 * US_PER_S
    await apart.decide([GrantMoney(new_id("cmd"), new_id("grt"), account, 10**9, expires_at=ends)])
    assert await everywhere(load, secret) == {200}

    async def over() -> bool:
        return await now(apart) > ends

    await until(over)
    assert await everywhere(load, secret) == {402}
    await apart.settled()
    await compare(apart, load.told)


async def test_a_lease_lasts_as_long_as_was_asked_whatever_a_gateway_takes_the_time_to_be(apart: Cluster) -> None:
    """Five seconds made by each of them are five seconds of the database's; a quarter of an hour is not over when they are."""
    (secret,) = await apart.customers(1, "5.00")
    asked = {"key": apart.key_of(secret), "amount_usd": "0.10"}
    for node in apart.nodes:
        for lasts in (5, 900):
            answer = await apart.api(node, "/holds", {**asked, "lifetime_s": lasts})
            assert answer.status_code == 201, answer.text

    async def ended() -> bool:
        return len(await apart.rows("SELECT 1 FROM holds WHERE state = 'expired'")) == len(apart.nodes)

    await until(ended)
    for row in await apart.rows("SELECT state, deadline - created_at AS lasts, deadline, closed_at FROM holds"):
        lasts = 5 if row["state"] == "expired" else 900
        assert row["lasts"] == lasts * US_PER_S
        assert row["closed_at"] is None or row["closed_at"] >= row["deadline"]
    for row in await apart.rows("SELECT id FROM holds WHERE state = 'open'"):
        assert (await apart.api(apart.nodes[0], f"/holds/{row['id']}/release", {})).status_code == 200


async def test_a_clock_that_jumps_ends_no_call_and_moves_no_window(cluster: Cluster, seed: int, figures: Callable[..., None]) -> None:
    """Hours forth and back under load: every call is answered, and charged exactly, in one window."""
    (secret,) = await cluster.customers(1, "5.00")
    load = Load(cluster.nodes, seed)
    async with load.running([secret], [SHORT, LONG], 9):
        for jump_s in (7200, -7200, 26 * 3600, 0):
            for node in cluster.nodes:
                node.set_clock(jump_s)
            await answered(load, 3)
            await asyncio.sleep(LOST_S / 3)  # more than one round of the sweeper
    await cluster.settled()
    found = await compare(cluster, load.told)
    figures(found.row())
    assert {told.status for told in load.told} == {200}
    assert found.others == []
    assert not await cluster.rows("SELECT 1 FROM charges WHERE revised = 1")


async def frozen_streams(load: Load, secret: str, node: Node) -> list["asyncio.Task[Told]"]:
    """Calls of one gateway, which is then put to sleep in the middle of them."""

    async def one() -> Told:
        async with client() as http:
            return await load.call(http, node, secret, LONG)

    return [asyncio.ensure_future(one()) for _ in range(6)]


async def test_a_gateway_that_sleeps_is_given_up_for_dead_and_corrects_what_was_charged_when_it_wakes(
    cluster: Cluster, seed: int, figures: Callable[..., None]
) -> None:
    """Its holds are charged whole by another; its calls end when it wakes, and the truth replaces that. It takes calls again."""
    (secret,) = await cluster.customers(1, "5.00")
    load, sleeper = Load(cluster.nodes, seed), cluster.nodes[1]
    tasks = await frozen_streams(load, secret, sleeper)

    async def holds(state: str) -> bool:
        return len(await cluster.rows("SELECT 1 FROM holds WHERE state = $1", state)) == len(tasks)

    await until(lambda: holds("open"))
    sleeper.send(signal.SIGSTOP)
    await until(lambda: holds("expired"))
    provisional = (await cluster.rows("SELECT sum(price)::bigint AS price FROM charges"))[0]["price"]
    sleeper.send(signal.SIGCONT)
    assert all(told.whole for told in await asyncio.gather(*tasks))
    assert await everywhere(load, secret) == {200}
    await cluster.settled()
    found = await compare(cluster, load.told)
    figures(found.row())
    assert found.others == []
    assert found.charged < provisional
    assert len(await cluster.rows("SELECT 1 FROM charges WHERE revised = 1")) == len(tasks)


# --- on SQLite: one process, whose clock is the only one ------------------------------------------------------------------------------------


@asynccontextmanager
async def on_sqlite(folder: Path) -> AsyncIterator[tuple[Node, str]]:
    """A gateway on a file, with SECRET's money in it, and the provider's URL. At its end the books are right, and nothing is held."""
    furnish(folder)
    async with provider() as sim_url:
        node = Node(folder, sim_url, f"lost={LOST_S}")
        await node.start()
        try:
            yield node, sim_url
        finally:
            if node.runs:
                await node.end(signal.SIGTERM)


async def check_exact(folder: Path, sim_url: str, load: Load) -> None:
    async with httpx.AsyncClient(verify=False) as http:
        billed = await bill(http, sim_url)
    calls = booked(folder)
    assert {name: (row[1], row[4]) for name, row in calls.items()} == {name: (nano, "exact") for name, nano in billed.items()}
    assert all(told.whole for told in load.told)


async def test_on_sqlite_a_clock_that_jumps_back_does_not_turn_time_back(tmp_path: Path, seed: int) -> None:
    """An hour forth and two back under load: charges are in order, in one window, exact; a call in flight outlives a jump past its deadline."""
    async with on_sqlite(tmp_path) as (node, sim_url):
        load = Load([node], seed)
        async with load.running([SECRET], [SHORT, LONG], 6):
            for jump_s in (JUMP_S, -JUMP_S, 2 * JUMP_S, 0):
                node.set_clock(jump_s)
                await answered(load, 3)
                await asyncio.sleep(LOST_S / 3)  # more than one round of the sweeper
        await node.end(signal.SIGTERM)
        await check_exact(tmp_path, sim_url, load)
    db = connect_reader(tmp_path / "farebox.db")
    created = [
        row[0] for row in db.execute("SELECT created_at FROM holds ORDER BY id")
    ]  # as they were asked: not quite as they were decided
    windows = db.execute("SELECT count(*) FROM windows WHERE counter LIKE '%/day'").get
    db.close()
    assert all(later > earlier - US_PER_S for earlier, later in pairwise(created))
    assert max(created) - min(created) > JUMP_S * US_PER_S
    assert windows <= 2, "hours were gone through, not days"


async def test_on_sqlite_a_laptop_that_sleeps_wakes_to_the_same_books(tmp_path: Path, seed: int) -> None:
    """Nobody gives it up for dead meanwhile: its calls end when it wakes, exact, and nothing had to be corrected."""
    async with on_sqlite(tmp_path) as (node, sim_url):
        load = Load([node], seed)
        tasks = await frozen_streams(load, SECRET, node)
        db = connect_reader(tmp_path / "farebox.db")

        async def held() -> bool:
            return list(db.execute("SELECT count(*) FROM holds")) == [(len(tasks),)]

        await until(held)
        node.send(signal.SIGSTOP)
        await asyncio.sleep(2 * LOST_S)
        node.send(signal.SIGCONT)
        await asyncio.gather(*tasks)
        assert list(db.execute("SELECT count(*) FROM charges WHERE revised = 1")) == [(0,)]
        db.close()
        await node.end(signal.SIGTERM)
        await check_exact(tmp_path, sim_url, load)
