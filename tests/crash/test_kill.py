"""kill -9 of a real gateway process in the middle of load, again and again: nothing that a client was told is lost, nothing is held for ever."""

import asyncio
import contextlib
import json
import os
import random
import signal
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
from farebox.store.sqlite import SqliteStore
from farebox.store.sqlite_connection import connect_reader
from farebox.store.verify import verify

SOAK = os.environ.get("FAREBOX_SOAK") == "1"
pytestmark = pytest.mark.timeout(3600 if SOAK else 600)
ROUNDS = {"synced": 100, "unsynced": 100} if SOAK else {"synced": 5, "unsynced": 4}
CLIENTS = 24
SECRET = "fbx_crash"


def seed(folder: Path, cap: int = 10**14) -> None:
    store = SqliteStore(folder / "farebox.db", alarm=lambda *names, **facts: None)
    store.decide([(OpenAccount("open", "acc_crash", own_wallet=True),)])
    store.decide([(GrantMoney("fill", "grt_crash", "acc_crash", 10**15),)])
    store.decide([(IssueKey("issue", Key("key_crash", "acc_crash", "", hash_of(SECRET), "", 0), cap),)])
    store.close()


REFUSED = (402, 429)


class OutOfMoney(Exception):
    """The gateway said no for want of money (or of money that is not held)."""


class Client:
    """Calls until the gateway is gone; remembers what it was told, by a name of its own for each call."""

    def __init__(self, http: httpx.AsyncClient, url: str, told: dict[str, str], chance: random.Random) -> None:
        self.http = http
        self.url = url
        self.told = told
        self.chance = chance

    async def run(self) -> None:
        with contextlib.suppress(httpx.HTTPError):
            while True:
                await self.call()

    async def call(self) -> None:
        name = new_id("c")
        stream = self.chance.random() < 0.4
        words = f"sim:bill={name} sim:output={self.chance.randrange(1, 30)}" + (" sim:pace=3" if stream else "")
        body = {"model": "gpt-4o-mini", "max_tokens": 64, "stream": stream, "messages": [{"role": "user", "content": words}]}
        headers = {"authorization": f"Bearer {SECRET}", "x-farebox-user": name}
        async with self.http.stream("POST", f"{self.url}/v1/chat/completions", headers=headers, json=body) as answer:
            leaves = stream and self.chance.random() < 0.2
            text = ""
            async for piece in answer.aiter_text():
                text += piece
                if leaves:
                    return
            if answer.status_code in REFUSED:
                raise OutOfMoney(answer.headers["x-farebox-reason"])
            assert answer.status_code == 200, text
            if not stream:
                self.told[name] = answer.headers["x-farebox-cost"]
            elif text.rstrip().endswith("data: [DONE]"):
                self.told[name] = ""


def booked(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Every call by the client's name for it: state of its hold, price, paid, written off, completeness. The books add up, and nothing is held."""
    verdict = verify(folder / "farebox.db")
    assert verdict.ok, verdict.findings
    assert verdict.sums["held"] == 0
    db = connect_reader(folder / "farebox.db")
    try:
        sql = "SELECT h.user, h.state, c.price, c.paid, c.written_off, c.completeness, c.outcome FROM holds h LEFT JOIN charges c ON c.hold_id = h.id"
        rows = {row[0]: row[1:] for row in db.execute(sql)}
    finally:
        db.close()
    return rows


async def bill(http: httpx.AsyncClient, sim_url: str) -> dict[str, int]:
    """The provider's bill by label."""
    found: dict[str, int] = {}
    after = ""
    while True:
        page = json.loads((await http.get(f"{sim_url}/sim/calls", params={"after": after} if after else {})).text)
        found |= {row["label"]: row["nano"] for row in page["data"] if row["nano"]}
        after = page.get("next") or ""
        if not after:
            return found


async def served(told: dict[str, str], calls: int) -> None:
    """Until so many more were told the end of theirs."""
    enough = len(told) + calls
    async with asyncio.timeout(WAIT_S):
        while len(told) < enough:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("layer", ["synced", "unsynced"])
async def test_after_kill_9_every_call_is_booked_and_nothing_told_is_lost(tmp_path: Path, gateways: Gateways, layer: str) -> None:
    """Kills under load, again and again: verify holds after each restart, told charges are there, in-flight calls are charged whole, none is held."""
    chance = random.Random(20261121)
    simulator = await sim.serve("127.0.0.1", 0)
    seed(tmp_path)
    told: dict[str, str] = {}
    orphans = 0
    async with httpx.AsyncClient(timeout=WAIT_S, limits=httpx.Limits(max_connections=None)) as http:
        for _ in range(ROUNDS[layer]):
            process, url = await gateways.start(tmp_path, simulator.url, layer)
            clients = [asyncio.ensure_future(Client(http, url, told, chance).run()) for _ in range(CLIENTS)]
            await served(told, chance.randrange(8, 80))
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await asyncio.wait(clients)
            for client in clients:
                client.result()
        process, _ = await gateways.start(tmp_path, simulator.url, layer)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), WAIT_S) == 0
        billed = await bill(http, simulator.url)
    await simulator.close()
    calls = booked(tmp_path)
    for name, cost in told.items():
        state, price, _, _, completeness, _ = calls[name]
        assert (state, completeness, price) == ("captured", "exact", billed[name])
        assert not cost or round(float(cost) * 1e9) == price
    for name, nano in billed.items():
        state, price, paid, written_off, completeness, outcome = calls[name]
        assert paid + written_off == price >= nano
        if completeness == "exact":
            assert price == nano
        orphans += outcome == "orphaned"
    assert orphans > 0, "no call was in flight when the gateway died: the test shows nothing"


CAP = 20_000_000  # $0.02


async def test_a_stolen_key_costs_at_most_its_cap_though_the_gateway_is_killed(tmp_path: Path, gateways: Gateways) -> None:
    """Hammered, killed in the middle, hammered again until nothing is left: charges and write-offs cover the bill, and the cap holds."""
    chance = random.Random(7)
    simulator = await sim.serve("127.0.0.1", 0)
    seed(tmp_path, CAP)
    told: dict[str, str] = {}
    async with httpx.AsyncClient(timeout=WAIT_S, limits=httpx.Limits(max_connections=None)) as http:
        for killed in (True, False):
            process, url = await gateways.start(tmp_path, simulator.url)
            clients = [asyncio.ensure_future(until_refused(Client(http, url, told, chance))) for _ in range(CLIENTS)]
            if killed:
                await served(told, 200)
                process.send_signal(signal.SIGKILL)
            refused = sum(await asyncio.gather(*clients))
            if not killed:
                assert refused == CLIENTS
                process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), WAIT_S)
        billed = await bill(http, simulator.url)
    await simulator.close()
    calls = booked(tmp_path)
    for name, nano in billed.items():
        _, price, paid, written_off, completeness, _ = calls[name]
        assert paid + written_off == price >= nano
        assert completeness != "exact" or price == nano
    assert sum(paid for _, _, paid, *_ in calls.values()) <= CAP
    assert sum(billed.values()) <= CAP


async def until_refused(client: Client) -> bool:
    """Whether it was refused; False when the gateway went away first."""
    held = 0
    while held < 50:
        try:
            await client.run()
        except OutOfMoney as refused:
            if str(refused) != "held":
                return True
            held += 1
        else:
            return False
    return True
