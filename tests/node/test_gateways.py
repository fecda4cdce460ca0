"""A node of real gateways under their supervisor: calls are charged whoever answers them, also after one was killed; figures are the node's."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from farebox import sim
from farebox.cli.environment import without_settings
from support.postgres import fresh_database, give_back

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")
SCRIPT = str(Path(__file__).with_name("serving_node.py"))
SOURCE = str(Path(__file__).parents[2] / "src")
WAIT_S = 60


class Node:
    """A node that runs, seen from outside."""

    def __init__(self, process: asyncio.subprocess.Process, http: httpx.AsyncClient, folder: Path) -> None:
        self.process = process
        self.http = http
        note = json.loads((folder / "gateway.json").read_text())
        assert note["pid"] == process.pid
        self.url, self.admin_url = note["url"], note["admin_url"]
        self._admin = {"authorization": f"Bearer {(folder / 'admin.key').read_text().strip()}"}

    async def api(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = await self.http.request(
            "GET" if body is None else "POST", f"{self.admin_url}/api/v1{path}", headers=self._admin, json=body
        )
        assert answer.is_success, answer.text
        return answer.json()

    async def customer(self) -> str:
        """An account with money, and the secret of a key on it."""
        account = (await self.api("/accounts", {"name": "customer"}))["id"]
        await self.api(f"/accounts/{account}/grants", {"amount_usd": "5"})
        return str((await self.api("/keys", {"account": account, "limit": "1"}))["key"])

    async def call(self, secret: str) -> httpx.Response:
        """One call, on a connection of its own: any worker may answer it."""
        body = {"model": "gpt-4o-mini", "max_tokens": 50, "messages": [{"role": "user", "content": "hi sim:output=5"}]}
        headers = {"authorization": f"Bearer {secret}", "connection": "close"}
        return await self.http.post(f"{self.url}/v1/chat/completions", headers=headers, json=body)

    async def respond(self, secret: str, given: Any) -> httpx.Response:
        """A response, on a connection of its own."""
        body = {"model": "gpt-4o-mini", "max_output_tokens": 50, "input": given}
        headers = {"authorization": f"Bearer {secret}", "connection": "close"}
        return await self.http.post(f"{self.url}/v1/responses", headers=headers, json=body)

    async def figure(self, name: str) -> float:
        """The sum of a figure over its labels, as any of the workers shows it."""
        text = (await self.http.get(f"{self.admin_url}/metrics", headers={"connection": "close"})).text
        return sum(one.value for family in text_string_to_metric_families(text) for one in family.samples if one.name == name)

    async def figure_becomes(self, name: str, value: float) -> None:
        """What one worker knows of another is up to a second old."""
        give_up = time.monotonic() + WAIT_S
        while (now := await self.figure(name)) != value:
            assert time.monotonic() < give_up, f"{name} is {now}"

    def workers(self) -> set[int]:
        """The processes of the node, without its supervisor."""
        return children_of(self.process.pid)


def children_of(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


@asynccontextmanager
async def started(folder: Path, store_url: str, workers: int) -> AsyncIterator[Node]:
    simulator = await sim.serve("127.0.0.1", 0)
    with (folder / "node.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, SCRIPT, str(folder), simulator.url, store_url, str(workers),
            stdout=subprocess.PIPE, stderr=log, env={**os.environ, "PYTHONPATH": SOURCE},
        )  # fmt: skip
    try:
        assert process.stdout is not None
        said = await asyncio.wait_for(process.stdout.readline(), WAIT_S)
        assert said.startswith(b"http"), (folder / "node.log").read_text()
        async with httpx.AsyncClient(timeout=WAIT_S) as http:
            yield Node(process, http, folder)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await simulator.close()


def is_gone(pid: int) -> bool:
    """Whether a process has ended, though nobody may have asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
async def database() -> AsyncIterator[str]:
    """An empty PostgreSQL database of the test's own."""
    url = await asyncio.to_thread(fresh_database)
    yield url
    await asyncio.to_thread(give_back, url)


async def test_two_workers_are_one_gateway(tmp_path: Path, database: str) -> None:
    """Calls, a kill -9 of a worker, calls again, SIGTERM: whoever answers, there is one ledger, and one set of figures in which nothing is lost."""
    async with started(tmp_path, database, 2) as node:
        before = node.workers()
        assert len(before) == 2
        secret = await node.customer()
        answers = await asyncio.gather(*(node.call(secret) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        await node.figure_becomes("farebox_charges_total", 20)
        await node.figure_becomes("farebox_workers", 2)
        os.kill(min(before), signal.SIGKILL)
        await node.figure_becomes("farebox_alarms_total", 1)
        answers = await asyncio.gather(*(node.call(secret) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        await node.figure_becomes("farebox_charges_total", 40)
        await node.figure_becomes("farebox_workers", 2)
        assert len(node.workers() - before) == 1
        assert (await node.api("/verify", {}))["ok"]
        own = await node.http.get(f"{node.url}/api/v1/key", headers={"authorization": f"Bearer {secret}"})
        assert own.json()["data"]["usage"] > 0
        node.process.terminate()
        assert await asyncio.wait_for(node.process.wait(), WAIT_S) == 0
        assert not (tmp_path / "gateway.json").exists()


async def test_what_one_worker_was_answered_may_be_named_to_any(tmp_path: Path, database: str) -> None:
    """Whose the items of a response are lies in the database by the time that the client has them: no worker says that they do not exist."""
    async with started(tmp_path, database, 2) as node:
        secret, other = await node.customer(), await node.customer()
        given: list[Any] = [{"role": "user", "content": "hi"}]
        for _ in range(12):
            answer = await node.respond(secret, given)
            assert answer.status_code == 200, answer.text
            (item,) = answer.json()["output"]
            given += [{"type": "item_reference", "id": item["id"]}, {"role": "user", "content": "go on"}]
        theirs = await asyncio.gather(*(node.respond(other, given) for _ in range(6)))
        assert {(answer.status_code, answer.headers["x-farebox-reason"]) for answer in theirs} == {(404, "not_found")}
        await node.figure_becomes("farebox_charges_total", 12)


async def test_the_command_starts_a_node_and_its_workers_do_not_outlive_it(tmp_path: Path, database: str) -> None:
    """`farebox serve --workers 2` says where it is and shows the admin key once; its workers end by themselves when it is killed."""
    arguments = ("serve", "--workers", "2", "--store", database, "--listen", "127.0.0.1:0", "--json")
    environment = {**without_settings(os.environ), "PYTHONPATH": SOURCE}
    shown = []
    for end in (signal.SIGTERM, signal.SIGKILL):
        node = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "farebox", *arguments, cwd=tmp_path, env=environment, stdout=subprocess.PIPE
        )
        assert node.stdout is not None
        said = json.loads(await asyncio.wait_for(node.stdout.readuntil(b"}\n"), WAIT_S))
        shown.append(said["admin_key"])
        workers = children_of(node.pid)
        assert len(workers) == 2
        async with httpx.AsyncClient(timeout=WAIT_S) as http:
            for path in ("/healthz", "/readyz", "/metrics"):
                assert (await http.get(said["url"] + path)).status_code == 200
        node.send_signal(end)
        assert await asyncio.wait_for(node.wait(), WAIT_S) == (0 if end == signal.SIGTERM else -signal.SIGKILL)
        give_up = time.monotonic() + WAIT_S
        while not all(map(is_gone, workers)):
            assert time.monotonic() < give_up
            await asyncio.sleep(0.05)
    assert shown == [(tmp_path / "admin.key").read_text().strip(), None]
