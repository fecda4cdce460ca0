"""Several gateway processes on one real PostgreSQL, calling one simulated provider: started, killed, frozen, cut off, and seen from outside.

Each has a data folder (and journal) of its own, and a wire of its own to the database. Owns no load and no comparison (`load`, `books`).
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx

from farebox.app import prepare
from farebox.gateway.identify import hash_of
from farebox.ids import new_id
from farebox.ledger.commands import Command, GrantMoney, IssueKey, OpenAccount
from farebox.ledger.model import Key
from farebox.money import parse_usd
from farebox.store.opening import open_store
from farebox.store.verify import Verdict, verify
from proof.link import Link
from support.gateway_settings import settings_for
from support.postgres import End, Server, fresh_database, give_back, own_server

LOST_S = 3
"""After so long a silence a process is taken for dead here; in earnest it is ten times that."""
WAIT_S = 90
_GATEWAY = str(Path(__file__).parents[1] / "support" / "gateway_process.py")
_SOURCE = str(Path(__file__).parents[2] / "src")
_ENVIRONMENT = {**{name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}, "PYTHONPATH": _SOURCE}


class Node:
    """One gateway process, and the next one in its place."""

    def __init__(self, folder: Path, sim_url: str, *words: str) -> None:
        self.folder = folder
        self.clock = folder / "clock"
        self._command = (sys.executable, _GATEWAY, str(folder), sim_url, f"clock={self.clock}", *words)
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def set_clock(self, wrong_by_s: int) -> None:
        """Its own clock is wrong by so much from now on."""
        new = self.clock.with_suffix(".new")
        new.write_text(str(wrong_by_s))
        new.replace(self.clock)

    async def start(self) -> None:
        """Returns when it takes calls. A start that finds no database fails, and is made again, as any supervisor would."""
        async with asyncio.timeout(WAIT_S):
            while not await self._started():  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.2)

    async def _started(self) -> bool:
        if not self.clock.exists():
            self.set_clock(0)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*self._command, stdout=subprocess.PIPE, stderr=log, env=_ENVIRONMENT)
        assert self._process.stdout is not None
        self.url = (await self._process.stdout.readline()).decode().strip()
        if self.url:
            return True
        await self._process.wait()
        return False

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def end(self, how: signal.Signals = signal.SIGKILL) -> int:
        """Ends it; its exit status."""
        assert self._process is not None
        if self.runs:
            self.send(how)
        return await asyncio.wait_for(self._process.wait(), WAIT_S)


class Cluster:
    """Everything that runs."""

    def __init__(self, folder: Path, server: Server, store: str, sim_url: str, http: httpx.AsyncClient) -> None:
        self.folder = folder
        self._server = server
        self._database_runs = True
        self.store = store
        self.sim_url = sim_url
        self.http = http
        self.nodes: list[Node] = []
        self.links: list[Link] = []

    async def add_node(self) -> Node:
        """One more gateway process to be started, with a wire of its own to the database."""
        there = urlsplit(self.store)
        assert there.hostname is not None
        assert there.port is not None
        link = Link(there.hostname, there.port)
        port = await link.open()
        self.links.append(link)
        through = urlunsplit(there._replace(netloc=f"{there.username}@127.0.0.1:{port}"))
        folder = self.folder / f"node{len(self.nodes)}"
        folder.mkdir()
        node = Node(folder, self.sim_url, f"store={through}", f"lost={LOST_S}")
        self.nodes.append(node)
        return node

    async def stop_database(self, how: End) -> None:
        self._database_runs = False
        await asyncio.to_thread(self._server.stop, how)

    async def start_database(self) -> None:
        """Returns when it takes connections; at once, if it does already."""
        if not self._database_runs:
            await asyncio.to_thread(self._server.start)
            self._database_runs = True

    # --- people and money ------------------------------------------------------------------------------------------------------------

    async def decide(self, commands: Iterable[Command]) -> None:
        """Commands from outside, each of which must take effect."""
        asked = list(commands)

        def decide() -> list[Any]:
            store = open_store(self.store, alarm=lambda *_, **__: None)
            try:
                return store.decide([(command,) for command in asked])
            finally:
                store.close()

        for answer in await asyncio.to_thread(decide):
            assert type(answer[0]).__name__ == "Done", answer

    async def customers(self, count: int, usd: str, limit_usd: str | None = None, **key: Any) -> list[str]:
        """New accounts with money and a key each; the keys' secrets."""
        commands: list[Command] = []
        secrets = []
        for _ in range(count):
            account, secret = new_id("acc"), f"fbx_test_{new_id('secret')}"
            secrets.append(secret)
            held = Key(self.key_of(secret), account, account, hash_of(secret), "", 0, **key)
            commands += [
                OpenAccount(new_id("cmd"), account, own_wallet=True),
                GrantMoney(new_id("cmd"), new_id("grt"), account, parse_usd(usd)),
                IssueKey(new_id("cmd"), held, None if limit_usd is None else parse_usd(limit_usd)),
            ]
        await self.decide(commands)
        return secrets

    @staticmethod
    def key_of(secret: str) -> str:
        """The id of a customer's key."""
        return f"key_{secret[-20:]}"

    async def api(self, node: Node, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """What the control API of a gateway answers to who administers."""
        headers = {"authorization": f"Bearer {(self.folder / 'admin.key').read_text().strip()}"}
        return await self.http.request("GET" if body is None else "POST", f"{node.url}/api/v1{path}", headers=headers, json=body)

    # --- what happened ---------------------------------------------------------------------------------------------------------------

    async def rows(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.store)
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    async def bill(self) -> list[dict[str, Any]]:
        """The provider's own, a row for each call."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = json.loads((await self.http.get(f"{self.sim_url}/sim/calls", params={"after": after} if after else {})).text)
            found += page["data"]
            after = page.get("next") or ""
            if not after:
                return found

    async def settled(self) -> None:
        """Waits until every process is ready again, and nothing that calls held is held."""
        for node in self.nodes:
            await until(lambda node=node: self._ready(node))  # type: ignore[misc]  # the node of this turn
        await until(self._nothing_held)

    async def _ready(self, node: Node) -> bool:
        try:
            return (await self.http.get(f"{node.url}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    async def _nothing_held(self) -> bool:
        return not await self.rows("SELECT 1 FROM holds WHERE state = 'open' AND owner <> 'api' LIMIT 1")

    async def verdict(self) -> Verdict:
        return await asyncio.to_thread(verify, self.store)

    async def close(self) -> None:
        for node in self.nodes:
            if node.runs:
                await node.end()
        for link in self.links:
            await link.close()


async def until(true: Callable[[], Awaitable[object]]) -> None:
    """Waits until something is so that is only seen by asking."""
    async with asyncio.timeout(WAIT_S):
        while not await true():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.05)


@asynccontextmanager
async def provider() -> AsyncIterator[str]:
    """A simulator as a process of its own; its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "farebox", "sim", "--listen", "127.0.0.1:0", "--json", stdout=subprocess.PIPE, env=_ENVIRONMENT
    )
    try:
        assert process.stdout is not None
        said = json.loads(await asyncio.wait_for(process.stdout.readuntil(b"}\n"), WAIT_S))
        yield str(said["url"])
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def cluster_of(folder: Path, nodes: int) -> AsyncIterator[Cluster]:
    """A database with prices, a provider, and so many gateways. At its end every equation must hold and nothing be held."""
    server = await asyncio.to_thread(own_server)
    store = await asyncio.to_thread(fresh_database)
    async with provider() as sim_url, httpx.AsyncClient(timeout=WAIT_S, verify=False, trust_env=False) as http:
        await prepare(settings_for(folder, sim_url, {"store": {"url": store}, "server": {"data_dir": str(folder)}}))
        cluster = Cluster(folder, server, store, sim_url, http)
        try:
            await asyncio.gather(*[(await cluster.add_node()).start() for _ in range(nodes)])
            yield cluster
            await cluster.start_database()  # a test that failed may have left it
            await cluster.settled()
            verdict = await cluster.verdict()
            assert verdict.ok, verdict.findings
            assert verdict.sums["held"] == 0
        finally:
            await cluster.close()
    await asyncio.to_thread(give_back, store)
