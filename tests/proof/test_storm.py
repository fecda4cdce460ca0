"""The crash storm: round after round, under load with streams and disconnects, something is killed, frozen or cut; then every book is laid open."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from farebox.money import parse_usd
from proof.books import Figures, compare
from proof.cluster import LOST_S, Cluster
from proof.conftest import SOAK
from proof.load import Load, Shape
from support.postgres import End

ROUNDS = 200 if SOAK else 3
CLIENTS = 24
LIMIT = "0.01"
SHAPES = [
    Shape("gpt-4o-mini", 64, 20),
    Shape("gpt-4o-mini", 64, 30, stream=True, pace_ms=4),
    Shape("gpt-4o-mini", 400, 200, stream=True, leaves=True, pace_ms=2),
    Shape("claude-haiku-4-5", 64, 25, "anthropic", stream=True, pace_ms=20),
    Shape("claude-haiku-4-5", 64, 40, "anthropic"),
]
Blow = Callable[["Storm"], Awaitable[None]]


class Storm:
    """What can happen to a cluster. Each blow is over, and everything up again, when it returns."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self.cluster = cluster
        self.chance = chance

    async def kill_gateway(self) -> None:
        node = self.chance.choice(self.cluster.nodes)
        await node.end(signal.SIGKILL)
        await node.start()

    async def freeze_gateway(self) -> None:
        """Shorter or longer than it takes to be given up for dead."""
        node = self.chance.choice(self.cluster.nodes)
        node.send(signal.SIGSTOP)
        await asyncio.sleep(self.chance.random() * 2 * LOST_S)
        node.send(signal.SIGCONT)

    async def stop_database(self) -> None:
        await self._database("fast")

    async def abort_database(self) -> None:
        await self._database("immediate")

    async def kill_database(self) -> None:
        await self._database("kill")

    async def _database(self, how: End) -> None:
        await self.cluster.stop_database(how)
        await asyncio.sleep(self.chance.random())
        await self.cluster.start_database()

    async def cut_wire(self) -> None:
        """Some connections break; new ones are refused for a while."""
        link = self.chance.choice(self.cluster.links)
        link.cut()
        await asyncio.sleep(self.chance.random() * 1.5 * LOST_S)
        link.mend()

    async def swallow_wire(self) -> None:
        """Nothing arrives and nobody is told; then all of it does, late, or the connections break."""
        link = self.chance.choice(self.cluster.links)
        link.swallow()
        await asyncio.sleep(self.chance.random() * 1.5 * LOST_S)
        if self.chance.random() < 0.5:
            link.cut()
        link.mend()

    async def kill_both(self) -> None:
        """The database away, a gateway killed meanwhile: what its journal holds is booked by the next."""
        node = self.chance.choice(self.cluster.nodes)
        await self.cluster.stop_database("immediate")
        await asyncio.sleep(self.chance.random())
        await node.end(signal.SIGKILL)
        await self.cluster.start_database()
        await node.start()


BLOWS: list[Blow] = [
    Storm.kill_gateway,
    Storm.stop_database,
    Storm.abort_database,
    Storm.kill_database,
    Storm.cut_wire,
    Storm.swallow_wire,
    Storm.freeze_gateway,
    Storm.kill_both,
]


@pytest.mark.timeout(4 * 3600 if SOAK else 400)
async def test_after_every_round_of_the_crash_storm_each_billed_call_has_its_charge(
    cluster: Cluster, seed: int, request: pytest.FixtureRequest, figures: Callable[..., None]
) -> None:
    """Verify passes; exact charges are the bill, every other covers it and is listed; nobody pays more than a cap; what was told is there."""
    rounds = request.config.getoption("--rounds", None) or ROUNDS
    chance = random.Random(seed)
    storm = Storm(cluster, chance)
    load = Load(cluster.nodes, seed)
    total, blown = Figures(), Counter[str]()
    for number in range(rounds):
        since = int((await cluster.rows("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now"))[0]["now"])
        rich, capped = await cluster.customers(4, "5.00"), await cluster.customers(4, "5.00", LIMIT)
        first = len(load.told)
        blow = BLOWS[number % len(BLOWS)] if number < len(BLOWS) else chance.choice(BLOWS)
        async with load.running([*rich, *capped], SHAPES, CLIENTS):
            await asyncio.sleep(0.2 + chance.random())
            await blow(storm)
            await asyncio.sleep(chance.random())
        await cluster.settled()
        caps = {cluster.key_of(secret): parse_usd(LIMIT) for secret in capped}
        found = await compare(cluster, load.told[first:], caps, since)
        blown[blow.__name__] += 1
        total.add(found)
        print(f"round {number} {blow.__name__}: {found.row()}", flush=True)
        for line in found.others:
            print(f"  {line}", flush=True)
    figures(total.row(rounds=rounds, **blown))
    assert total.billed > 20 * rounds, "hardly any call was served: the test shows nothing"
    assert total.others, "no call was in flight when something broke: the test shows nothing"
