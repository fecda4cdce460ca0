"""kill -9 of gateways while responses wait in the background: another process asks on, and each hold ends in one charge, the provider's bill."""

import asyncio
import contextlib
import json
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from crash.gateways import WAIT_S, Gateways
from farebox import sim
from farebox.gateway.identify import hash_of
from farebox.ids import new_id
from farebox.ledger.commands import GrantMoney, IssueKey, OpenAccount
from farebox.ledger.model import Key
from farebox.store.opening import open_store
from farebox.store.verify import verify
from support.homes import Home, PostgresHome, home

__all__ = ["home"]

SECRET = "fbx_background"
CALLS = 24
ROUNDS = 3
pytestmark = pytest.mark.timeout(600)


class Fleet:
    """Gateways on one store, and what the provider was asked."""

    def __init__(self, home: Home, folder: Path, simulator: Any, gateways: Gateways) -> None:
        self.home, self.folder, self.sim, self.gateways = home, folder, simulator, gateways
        self.running: list[tuple[asyncio.subprocess.Process, str]] = []
        self.http = httpx.AsyncClient(timeout=WAIT_S)

    async def start(self) -> str:
        folder = self.folder / new_id("node")
        folder.mkdir()
        store = f"sqlite:///{self.home.place}" if isinstance(self.home.place, Path) else self.home.place
        process, url = await self.gateways.start(folder, self.sim.url, "hurried", "lost=3", f"store={store}")
        self.running.append((process, url))
        return url

    async def kill(self) -> None:
        """The oldest, in the middle of whatever it does."""
        process, _ = self.running.pop(0)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()

    async def ask(self, text: str, **body: Any) -> str | None:
        """A response in the background, from any gateway; None when it was killed meanwhile."""
        asked = {"model": "gpt-4o-mini", "input": text, "background": True, "max_output_tokens": 200, **body}
        url = random.choice(self.running)[1]
        with contextlib.suppress(httpx.HTTPError):
            answer = await self.http.post(f"{url}/v1/responses", headers={"authorization": f"Bearer {SECRET}"}, json=asked)
            if answer.status_code == httpx.codes.OK:
                return str(answer.json()["id"])
        return None

    async def end(self) -> None:
        for process, _ in self.running:
            process.terminate()
            await process.wait()
        await self.http.aclose()


@pytest.fixture
def seeded(home: Home) -> Home:
    """With one rich customer."""
    store = open_store(home.place, alarm=lambda *names, **facts: None)
    store.decide([(OpenAccount("open", "acc_crash", own_wallet=True),)])
    store.decide([(GrantMoney("fill", "grt_crash", "acc_crash", 10**15),)])
    store.decide([(IssueKey("issue", Key("key_crash", "acc_crash", "", hash_of(SECRET), "", 0), 10**14),)])
    store.close()
    return home


@pytest.fixture
async def fleet(seeded: Home, tmp_path: Path, gateways: Gateways) -> AsyncIterator[Fleet]:
    simulator = await sim.serve("127.0.0.1", 0)
    fleet = Fleet(seeded, tmp_path, simulator, gateways)
    yield fleet
    await fleet.end()
    await simulator.close()


async def test_whoever_is_left_settles_what_killed_gateways_began(fleet: Fleet) -> None:
    """On PostgreSQL the second gateway, which was there all the time; on a file the next one. Nothing that a client was told is lost: each is
    charged once, exactly what the provider billed; and whatever a client was not told is charged whole.
    """
    told: set[str] = set()
    together = isinstance(fleet.home, PostgresHome)
    await fleet.start()
    for number in range(ROUNDS):
        if together:
            await fleet.start()
        texts = [f"sim:polls={polls % 9} sim:output={20 + polls} sim:delay={polls}" for polls in range(CALLS)]
        calls = [asyncio.ensure_future(fleet.ask(text)) for text in texts]
        async with asyncio.timeout(WAIT_S):
            while sum(call.done() for call in calls) < 4 * number + 2:  # noqa: ASYNC110 - some are told, and others never will be
                await asyncio.sleep(0.001)
        await fleet.kill()
        told |= {name for name in await asyncio.gather(*calls) if name is not None}
        if not together:
            await fleet.start()
    async with asyncio.timeout(WAIT_S):
        while fleet.home.rows("SELECT 1 FROM holds WHERE state = 'open'"):  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.05)
    await agree(fleet, told)


async def agree(fleet: Fleet, told: set[str]) -> None:
    verdict = verify(fleet.home.place)
    assert verdict.ok, verdict.findings
    billed: dict[str, int] = {}
    after = ""
    while True:
        page = json.loads((await fleet.http.get(f"{fleet.sim.url}/sim/calls", params={"after": after} if after else {})).text)
        billed |= {row["id"]: int(row["nano"]) for row in page["data"]}
        after = page.get("next")
        if not after:
            break
    rows = fleet.home.rows("SELECT upstream_request_id, price, completeness, outcome FROM charges WHERE price > 0")
    exact = {row[0]: row[1] for row in rows if row[2] == "exact"}
    assert len(exact) >= len(told) > 0
    assert all(billed[name] == price for name, price in exact.items())
    assert sum(row[1] for row in rows) >= sum(billed.values())
    known = {row[0] for row in fleet.home.rows("SELECT id FROM objects")}
    assert told <= known
    assert fleet.home.rows("SELECT 1 FROM background") == []
