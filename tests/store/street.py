"""Several writers on one PostgreSQL database, each as a process of its own has them: a store, a batcher, a thread. They are asked at once."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from farebox.errors import FareboxError
from farebox.ids import new_id
from farebox.ledger.commands import (
    Adjust,
    Authorize,
    Authorized,
    Command,
    EditKey,
    Expire,
    Extend,
    Gate,
    GrantMoney,
    IssueKey,
    Move,
    OpenAccount,
    Outcome,
    PublishBook,
    RecordEvent,
    Refused,
    Release,
    Requote,
    Result,
    SetBudgets,
)
from farebox.ledger.model import Budget, Counter, Key
from farebox.store.verify import verify
from store.till import Till, capture, gate_of, hold
from support.homes import PostgresHome

WRITERS = 4


class Street:
    """Four tills at one database, with one account `acc` and one key `key`."""

    def __init__(self, home: PostgresHome, writers: int = WRITERS) -> None:
        self.home = home
        self.tills = [Till(home) for _ in range(writers)]

    async def begin(self) -> None:
        await self.tills[0].begin()

    def end(self) -> None:
        """Nothing was alarmed, and the books add up."""
        for till in self.tills:
            till.batcher.close()
        verdict = verify(self.home.place)
        assert verdict.ok, verdict.findings
        assert not [alarm for till in self.tills for alarm in till.alarms]

    def gate(self, key: str = "key", model: str = "openai/gpt-4o") -> Gate:
        return gate_of(self.home.place, key, model)

    async def one(self, command: Command) -> Outcome:
        return await self.tills[0].batcher.one(command)

    async def all(self, commands: Iterable[Command]) -> list[Outcome]:
        """One after the other, each by the next writer."""
        return [await self.tills[number % len(self.tills)].batcher.one(command) for number, command in enumerate(commands)]

    async def at_once(self, commands: Iterable[Command]) -> list[Outcome]:
        """All in parallel, by the writers in turn."""
        asked = [self.tills[number % len(self.tills)].batcher.post(command) for number, command in enumerate(commands)]
        return [outcomes_of(answer)[0] for answer in await asyncio.gather(*asked)]

    async def same(self, command: Command) -> list[Outcome]:
        """One command by every writer at the same moment."""
        return await self.at_once([command] * len(self.tills))

    def count(self, sql: str, *arguments: object) -> int:
        return int(self.home.rows(sql, *arguments)[0][0] or 0)


def outcomes_of(answer: Any) -> tuple[Outcome, ...]:
    assert not isinstance(answer, FareboxError), answer
    return tuple(answer)


def cap(scope: str, limit: int, window: str = "day") -> Budget:
    return Budget(Counter(scope, window), limit)


def event(gate: Gate, name: str, price: int, at: int) -> RecordEvent:
    result = Result("recorded", "exact", price, 0, 0, 0)
    return RecordEvent(f"event {name}", "content", name, f"req_{name}", gate, result, at, "write_off", 0, 0, "own", "x", "events", "api")


async def family(street: Street, money: int) -> dict[str, Gate]:
    """Below `acc` two teams with wallets and keys of their own; what they count in is, from `acc` up, the same."""
    commands: list[Command] = []
    for name in ("red", "blue"):
        key = Key(f"key_{name}", name, "acc", f"hash {name}", "fb-…", 0)
        commands += [OpenAccount(f"open {name}", name, own_wallet=True, parent="acc"), IssueKey(f"issue {name}", key)]
        commands.append(GrantMoney(f"fill {name}", f"grt_{name}", name, money))
    await street.all(commands)
    return {name: street.gate(f"key_{name}") for name in ("red", "blue")}


class Bustle:
    """Anything that may be asked, by any writer, about few accounts: whoever locks in another order meets somebody."""

    SCOPES = ("acc", "red", "blue", "key", "key_red", "key_blue")
    KEYS = ("key", "key_red", "key_blue")

    def __init__(self, street: Street, seed: int) -> None:
        self.street = street
        self.seed = seed
        self.asked = 0
        self.open: list[str] = []

    async def run(self, calls: int, callers: int = 50) -> None:
        """So many commands of each writer, by so many callers."""
        loops = [
            self._caller(till, calls // callers, f"{self.seed} {a} {b}") for a, till in enumerate(self.street.tills) for b in range(callers)
        ]
        await asyncio.gather(*loops)

    async def _caller(self, till: Till, calls: int, seed: str) -> None:
        chance = random.Random(seed)
        for _ in range(calls):
            self.asked += 1
            entry = self._entry(chance)
            *_, outcome = await till.batcher.submit(*entry)
            if isinstance(outcome, Requote) and isinstance(entry[-1], Authorize) and entry[-1].gate is self._gates[entry[-1].gate.key.id]:
                key = entry[-1].gate.key.id
                self._gates[key] = self.street.gate(key)

    def _entry(self, chance: random.Random) -> list[Command]:
        kind = chance.choices(("call", "end", "retry", "money", "policy"), (450, 450, 50, 45, 5))[0]
        if kind == "call" or (kind in ("end", "retry") and not self.open):
            return [self._hold(chance)]
        if kind == "retry":
            return [Release(self._any(chance)), self._hold(chance)]
        if kind == "end":
            name = self._any(chance)
            return [chance.choice((capture(name, chance.randrange(90)), Release(name), Expire(name)))]
        return [self._money(chance) if kind == "money" else self._policy(chance)]

    def _any(self, chance: random.Random) -> str:
        return self.open[-chance.randrange(1, min(len(self.open), 40) + 1)]

    def _hold(self, chance: random.Random) -> Command:
        name = new_id("hold")
        self.open.append(name)
        return hold(self._gates[chance.choice(self.KEYS)], name, chance.randrange(60))

    async def begin(self) -> "Bustle":
        await family(self.street, 100_000)
        await self.street.tills[0].topup(100_000)
        self._gates = {key: self.street.gate(key) for key in self.KEYS}
        return self

    def _money(self, chance: random.Random) -> Command:
        wallet, other = chance.sample(("acc", "red", "blue"), 2)
        name = new_id("cmd")
        return chance.choice(
            (
                GrantMoney(name, f"grt {name}", wallet, 50),
                Adjust(name, wallet, -20),
                Move(name, wallet, other, 30),
                event(self._gates[chance.choice(self.KEYS)], name, 10, self.street.home.clock()),
            )
        )

    def _policy(self, chance: random.Random) -> Command:
        scope, name = chance.choice(self.SCOPES), new_id("cmd")
        window = chance.choice(("day", "hour", "rolling:1h", "lifetime"))
        return chance.choice(
            (
                SetBudgets(name, scope, (cap(scope, chance.randrange(1000, 200_000), window),)),
                EditKey(name, chance.choice(self.KEYS), {"requests_per_minute": chance.choice((None, 100_000))}),
                Extend(name, self._any(chance) if self.open else "none", hold(self._gates["key"], "x", 5).bound, self._gates["key"]),
                PublishBook(name, 2),
            )
        )


def reasons(outcomes: Iterable[Outcome]) -> set[str]:
    return {outcome.reason for outcome in outcomes if isinstance(outcome, Refused)}


def first_ones(outcomes: Iterable[Outcome]) -> int:
    """How many of these did it themselves, and did not hear that it was done."""
    return sum(not getattr(outcome, "repeated", False) for outcome in outcomes)


def held(outcomes: Iterable[Outcome]) -> list[str]:
    return [outcome.hold.id for outcome in outcomes if isinstance(outcome, Authorized)]


Race = Callable[[Street], Awaitable[None]]
