"""Drives a real store through a batcher, as the gateway does: many at once, from event loops."""

import asyncio
import threading
from typing import Self

from farebox.ledger.bounds import Affine, Bound
from farebox.ledger.commands import (
    Authorize,
    Authorized,
    Capture,
    Command,
    Gate,
    GrantMoney,
    IssueKey,
    OpenAccount,
    Outcome,
    PublishBook,
    Release,
    Result,
    Settled,
)
from farebox.ledger.model import Key
from farebox.store.batcher import Batcher
from farebox.store.database import Place, Store
from farebox.store.loading import Loader
from farebox.store.opening import connect
from farebox.store.verify import verify
from support.homes import Home

FAR = 2**60


def first_commands(money: int = 0) -> list[Command]:
    """One account with a key, and money if there is to be some."""
    key = Key("key", "acc", "acc", "hash", "fb-…", 0)
    commands: list[Command] = [OpenAccount("c1", "acc", own_wallet=True), IssueKey("c2", key), PublishBook("c3", 1)]
    return [*commands, GrantMoney("c4", "grt", "acc", money)] if money else commands


def hold(gate: Gate, name: str, price: int, tokens: int = 10) -> Authorize:
    bound = Bound(Affine(price), Affine(price), Affine(tokens), 1, 1)
    return Authorize(name, f"req_{name}", 1, gate, bound, 0, 0, "openai", "gpt-4o", "chat", "proc_1", FAR)


def capture(name: str, price: int, gate: Gate | None = None) -> Capture:
    return Capture(name, Result("ok", "exact", price, price, price, 10), None, gate)


def gate_of(place: Place, key: str = "key", model: str = "openai/gpt-4o") -> Gate:
    """What a call is planned with, read as readers do."""
    reader = connect(place)
    loader = Loader(reader)
    gate = loader.policy(loader._key(key)).gate(model)
    reader.close()
    return gate


class Till:
    """A store, its batcher, and what was alarmed."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.place = home.place
        self.alarms: list[str] = []
        self.sizes: list[int] = []
        self.open()

    def open(self) -> None:
        """A process of its own."""
        self.store: Store = self.home.open(lambda name, **_: self.alarms.append(name))
        self.batcher = Batcher(self.store, observe=lambda size, _seconds: self.sizes.append(size))

    async def begin(self) -> None:
        for command in first_commands():
            await self.batcher.one(command)
        self.gate = gate_of(self.place)

    def end(self) -> None:
        self.batcher.close()
        verdict = verify(self.place)
        assert verdict.ok, verdict.findings

    async def topup(self, amount: int) -> None:
        await self.batcher.one(GrantMoney(f"top {amount}", f"grt_{amount}", "acc", amount))

    async def hold(self, name: str, price: int) -> Outcome:
        return await self.batcher.one(hold(self.gate, name, price))

    async def capture(self, name: str, price: int) -> Outcome:
        return await self.batcher.one(capture(name, price))

    async def release(self, name: str) -> Outcome:
        return await self.batcher.one(Release(name))

    def busy(self) -> "Blockage":
        """Keeps the writer busy until told otherwise, so that what is asked meanwhile waits."""
        return Blockage(self.batcher)

    def wallet(self) -> tuple[int, int, int]:
        (row,) = self.home.rows("SELECT sum(amount), sum(spent), sum(held) FROM grants")
        return tuple(int(value or 0) for value in row)  # type: ignore[return-value]


class Blockage:
    """While it lasts the writer's thread does nothing else."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._began = threading.Event()
        self._over = threading.Event()

    async def __aenter__(self) -> Self:
        self._work = self._batcher._put((), self._wait)
        assert await asyncio.to_thread(self._began.wait, 10)
        return self

    def _wait(self) -> None:
        self._began.set()
        assert self._over.wait(10)

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await self._work


def admitted(outcomes: list[Outcome]) -> int:
    return sum(isinstance(outcome, Authorized) for outcome in outcomes)


def settled(outcomes: list[Outcome]) -> int:
    return sum(isinstance(outcome, Settled) for outcome in outcomes)
