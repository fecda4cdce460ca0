"""A whole gateway for a test: the real simulator, the real data plane on a real port, a real store in a temporary folder.

Everything runs on the test's own event loop. Leaving it stops the gateway as a signal would, and verifies the books.
"""

import asyncio
import json
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Mapping, MutableSequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import apsw
import httpx
import openai

from farebox import sim
from farebox.app import Running, front
from farebox.connection import Serve
from farebox.gateway.identify import hash_of
from farebox.gateway.turns import Turns
from farebox.ids import new_id
from farebox.ledger.commands import Done, EditKey, GrantMoney, IssueKey, OpenAccount, Outcome
from farebox.ledger.model import Charge, Key
from farebox.logs import configure
from farebox.money import parse_usd
from farebox.request import Request
from farebox.serving import QuietServer, listening_socket, server
from farebox.store.reading import Books
from farebox.store.rows import charge_of
from farebox.store.sqlite_connection import connect_reader
from farebox.store.verify import Verdict, verify
from support.gateway_settings import settings_for

_CHARGES = (
    "SELECT hold_id, request_id, key, account, root, wallet, at, outcome, completeness, price, paid, written_off, cost, list_cost, tokens, "
    "legs, provider, model, model_served, route, usage, lines, timings, flags, status, upstream_request_id, refunded, revised FROM charges"
)


class House:
    """A running gateway and what a test wants of it."""

    def __init__(self, running: Running, simulator: Any, port: int, front_server: QuietServer, seen: list[str]) -> None:
        self.server = front_server
        self.running = running
        self.sim = simulator
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.AsyncClient(timeout=30, verify=False)
        self.seen = seen
        """Every request that reached the gateway, as `METHOD /path`."""
        self.sockets: list[asyncio.StreamWriter] = []
        """Bare connections of a test, closed with the house."""
        self._reader = connect_reader(running.settings.store_path)
        self._openai: openai.AsyncOpenAI | None = None
        self._anthropic: anthropic.AsyncAnthropic | None = None

    # --- people and money -------------------------------------------------------------------------------------------------------

    async def command(self, command: Any) -> Outcome:
        return await self.running.batcher.one(command)

    async def account(self, usd: str = "5.00", *, parent: str | None = None, own_wallet: bool = True, **more: Any) -> str:
        """A new account with money in its wallet; its id."""
        account_id = new_id("acc")
        opened = await self.command(OpenAccount(new_id("cmd"), account_id, own_wallet=own_wallet, parent=parent, **more))
        assert isinstance(opened, Done), opened
        if parse_usd(usd) and own_wallet:
            await self.top_up(account_id, usd)
        return account_id

    async def top_up(self, account_id: str, usd: str) -> None:
        granted = await self.command(GrantMoney(new_id("cmd"), new_id("grt"), account_id, parse_usd(usd)))
        assert isinstance(granted, Done), granted

    async def key(self, account_id: str, limit_usd: str | None = "1.00", **fields: Any) -> str:
        """A new key of an account; its secret."""
        secret = f"fbx_test_{new_id('secret')}"
        key = Key(new_id("key"), account_id, account_id, hash_of(secret), secret[-4:], 0, **fields)
        issued = await self.command(IssueKey(new_id("cmd"), key, None if limit_usd is None else parse_usd(limit_usd)))
        assert isinstance(issued, Done), issued
        return secret

    async def customer(self, usd: str = "5.00", limit_usd: str | None = "1.00", **fields: Any) -> str:
        """An account with money and a key on it; the key's secret."""
        return await self.key(await self.account(usd), limit_usd, **fields)

    async def edit_key(self, secret: str, **changes: Any) -> Outcome:
        return await self.command(EditKey(new_id("cmd"), self.key_id(secret), changes))

    def key_id(self, secret: str) -> str:
        return str(self.rows("SELECT id FROM keys WHERE hash = ?", hash_of(secret))[0][0])

    # --- clients ------------------------------------------------------------------------------------------------------------------

    def openai(self, secret: str, **more: Any) -> openai.AsyncOpenAI:
        """The real SDK's client for a key. All of a house share one connection pool: making one takes longer than a call."""
        if self._openai is None:
            self._openai = openai.AsyncOpenAI(api_key="-", base_url=f"{self.url}/v1")
        return self._openai.with_options(api_key=secret, **more)

    def anthropic(self, secret: str, **more: Any) -> anthropic.AsyncAnthropic:
        """The same of the other SDK."""
        if self._anthropic is None:
            self._anthropic = anthropic.AsyncAnthropic(api_key="-", base_url=self.url)
        return self._anthropic.with_options(api_key=secret, **more)

    async def chat(self, secret: str, text: str = "hi", headers: Mapping[str, str] | None = None, **body: Any) -> httpx.Response:
        """One chat call, as plain HTTP."""
        asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **body}
        return await self.http.post(
            f"{self.url}/v1/chat/completions", headers={"authorization": f"Bearer {secret}", **(headers or {})}, json=asked
        )

    async def messages(self, secret: str, text: str = "hi", headers: Mapping[str, str] | None = None, **body: Any) -> httpx.Response:
        """One messages call, as plain HTTP."""
        asked = {"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": [{"role": "user", "content": text}], **body}
        sent = {"x-api-key": secret, "anthropic-version": "2023-06-01", **(headers or {})}
        return await self.http.post(f"{self.url}/v1/messages", headers=sent, json=asked)

    # --- what happened ------------------------------------------------------------------------------------------------------------

    async def refuse_key(self, key: str, status: int | None = 401, code: str = "") -> None:
        """The provider refuses one of our keys from now on; with no status it takes it again."""
        told = {"key": key, **({} if status is None else {"status": str(status), "code": code})}
        assert (await self.http.post(f"{self.sim.url}/sim/keys", params=told)).status_code == 200

    def forget_health(self) -> None:
        """Every provider is as well as at the start, whatever was asked of it before."""
        self.running.turns.health = Turns(self.running.catalogue).health

    async def sim_calls(self) -> list[dict[str, Any]]:
        """The provider's own bill, one row per call."""
        rows: list[dict[str, Any]] = []
        after = ""
        while True:
            page = json.loads((await self.http.get(f"{self.sim.url}/sim/calls", params={"after": after} if after else {})).text)
            rows += page["data"]
            if not page.get("next"):
                return rows
            after = page["next"]

    def rows(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        return list(self._reader.execute(sql, arguments))

    def charges(self) -> list[Charge]:
        """Every charge, oldest first."""
        return [charge_of(row) for row in self.rows(f"{_CHARGES} ORDER BY hold_id")]

    def verdict(self) -> Verdict:
        return verify(self.running.settings.store_path)

    def books(self) -> dict[str, int]:
        """All sums of money: what must not move after a refusal."""
        verdict = self.verdict()
        return {**verdict.sums, **{name: verdict.counts[name] for name in ("holds", "charges", "transfers")}}

    async def agree(self, *, but: tuple[str, ...] = ()) -> list[Charge]:
        """Checks our charges against the provider's own bill, call by call: exact ones are equal, all others cover it (`but` names labels
        whose bill the policy lets go). Gives the charges of calls that reached the provider.
        """
        await self.settled()
        rows = await self.sim_calls()
        charges = charged_by_id(self.charges())
        for row in rows:
            nano, charge = int(row["nano"]), charges.get(row["id"])
            if charge is None:
                missing = sum(1 for one in self.charges() if not one.upstream_request_id and one.completeness == "unknown")
                assert nano == 0 or missing, f"billed and not charged: {row}"
            elif charge.completeness == "exact" and charge.outcome != "released":
                assert charge.price == nano or row["label"] in but, (charge, row)
            else:
                assert charge.price >= nano or row["label"] in but, (charge, row)
            assert charge is None or charge.paid + charge.written_off == charge.price
        return [charge for charge in self.charges() if charge.upstream_request_id]

    async def agree_with(self, calls: int) -> list[Charge]:
        """As `agree`, and so many calls reached the provider through the gateway (the rest of its bill was asked for straight)."""
        await self.settled()
        ours = {charge.upstream_request_id for charge in self.charges()}
        billed = {row["id"]: row for row in await self.sim_calls()}
        charges = [charge for charge in self.charges() if charge.upstream_request_id]
        assert len(charges) == calls == len(ours & billed.keys())
        for charge in charges:
            nano = int(billed[charge.upstream_request_id]["nano"])
            assert charge.price == nano if charge.completeness == "exact" else charge.price >= nano, (charge, nano)
            assert charge.paid + charge.written_off == charge.price
        return charges

    async def settled(self) -> None:
        """Waits until nothing is in flight."""
        await until(lambda: not len(self.running.flights) and not self.running.settler.detached and not self.running.outage.lasts)

    async def held(self) -> None:
        """Waits until money is set aside."""
        await until(lambda: self.rows("SELECT 1 FROM holds WHERE state = 'open'"))

    @asynccontextmanager
    async def ledger_occupied(self) -> AsyncIterator[None]:
        """The ledger's thread is busy with something else for as long as this lasts: what is submitted waits."""
        begun, over = threading.Event(), threading.Event()

        def occupy() -> None:
            begun.set()
            over.wait(20)

        work = asyncio.ensure_future(self.running.batcher.work(occupy))
        await until(begun.is_set)
        try:
            yield
        finally:
            over.set()
            await work

    def connections(self) -> int:
        """How many clients are connected to the gateway."""
        return len(self.server.server_state.connections)

    async def close(self) -> None:
        self._reader.close()
        for writer in self.sockets:
            writer.transport.abort()
        for client in (self._openai, self._anthropic):
            if client is not None:
                await client.close()
        await self.http.aclose()


async def until(true: Callable[[], object]) -> None:
    """Waits until something is so, which sets no event when it comes to be; fails when it does not in the time of the slowest machine."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.002)


class _Filled(NamedTuple):
    """A store with its price book filled, and that book as a gateway read it."""

    path: Path
    books: Books


_filled: list[_Filled] = []
"""Made once per test process: filling one takes longer than most tests, and reading its book longer than most calls."""


async def _copy_filled_store(folder: Path) -> Books:
    if not _filled:
        place = Path(tempfile.mkdtemp(prefix="farebox-store-"))
        running = Running(settings_for(place, "http://127.0.0.1:9"))
        await running.begin()
        await running.end(0)
        running.close()
        db = apsw.Connection(str(place / "farebox.db"))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        _filled.append(_Filled(place / "farebox.db", running._shelf.books()))
    shutil.copy(_filled[0].path, folder / "farebox.db")
    return _filled[0].books


def _noting(serve: Serve, seen: MutableSequence[str]) -> Serve:
    async def noting(request: Request) -> None:
        seen.append(f"{request.method} {request.place()}")
        await serve(request)

    return noting


async def _stop(front_server: QuietServer, serving: "asyncio.Future[None]") -> None:
    """At once: everything that the server waits for when a process stops has ended already."""
    serving.cancel()
    await asyncio.wait([serving])
    for one in front_server.servers:
        one.close()
    for connection in list(front_server.server_state.connections):
        connection.transport.abort()
    await until(lambda: not front_server.server_state.connections)


@asynccontextmanager
async def open_house(
    folder: Path,
    settings: Mapping[str, Any] | Callable[[str], Mapping[str, Any]] | None = None,
    *,
    sim_url: str | None = None,
    vfs: str | None = None,
) -> AsyncIterator[House]:
    """A house in a folder; settings may depend on where the simulator is. At its end nothing may be held and every equation must hold."""
    known = None if (folder / "farebox.db").exists() else await _copy_filled_store(folder)
    simulator = await sim.serve("127.0.0.1", 0)
    more = settings(simulator.url) if callable(settings) else settings
    running = Running(settings_for(folder, sim_url or simulator.url, more), vfs=vfs)
    configure(running.settings.log)
    await running.begin(known)
    listening = listening_socket("127.0.0.1", 0)
    seen: list[str] = []
    front_server = server(front(_noting(running.app, seen), None))
    serving = asyncio.ensure_future(front_server.serve([listening]))
    await until(lambda: front_server.started)
    house = House(running, simulator, listening.getsockname()[1], front_server, seen)
    try:
        yield house
    finally:
        await house.close()
        await running.end(10)
        await _stop(front_server, serving)
        running.close()
        await simulator.close()
    verdict = verify(running.settings.store_path)
    assert verdict.ok, verdict.findings
    assert verdict.sums["held"] == 0, "something is still held"


def nano_by_id(calls: list[dict[str, Any]]) -> dict[str, int]:
    """The provider's bill by the id it gave each call."""
    return {call["id"]: int(call["nano"]) for call in calls if int(call["nano"])}


def charged_by_id(charges: list[Charge]) -> dict[str, Charge]:
    """Our charges by the id the provider gave the call."""
    return {charge.upstream_request_id: charge for charge in charges if charge.upstream_request_id}


__all__ = ["House", "charged_by_id", "nano_by_id", "open_house", "settings_for", "until"]
