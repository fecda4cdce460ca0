"""The proof that the tests beside this one can fail: each thing that a guarantee rests on is taken away, and the guarantee breaks.

What is about files and their syncs is proved in `test_crash.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import asyncpg
import pytest

from farebox.errors import FareboxError, StoreError
from farebox.ledger import calls
from farebox.ledger.commands import Authorized, Command, EditKey, IssueKey, Requote, SetBudgets, Settled
from farebox.ledger.model import Key
from farebox.store import postgres, postgres_writer
from farebox.store.loading import Loader
from farebox.store.statements import migrations, statements
from ledger.desk import Desk
from store.street import Street, cap, family
from store.till import admitted, capture, hold
from support.homes import PostgresHome
from support.postgres import migrated_database, own_server

ROUNDS = 40
TRIES = 400
"""Rounds in which something goes wrong sooner or later, on a machine that is busy with other things as well."""
OPENS = next(text for _, _, text in migrations("postgres") if "FUNCTION open_batch" in text)
"""The function that locks and reads what a batch is decided on."""
Scene = Callable[[Street, int], Awaitable[bool]]


def opens(*changes: tuple[str, str]) -> str:
    """The same function with parts of it changed."""
    text = OPENS
    for part, by in changes:
        assert part in text
        text = text.replace(part, by)
    return text


@pytest.fixture
def altered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str, str], None]]:
    """Changes a statement of every connection that is made from now on."""

    def alter(name: str, part: str, by: str) -> None:
        read = statements("postgres")  # now: whoever ran before may have had them read again
        assert part in read[name]
        monkeypatch.setitem(read, name, read[name].replace(part, by))
        postgres_writer._composed.cache_clear()

    yield alter
    monkeypatch.undo()
    postgres_writer._composed.cache_clear()


async def rounds_until(scene: Scene, begin: Callable[[Street], Awaitable[object]], rounds: int, function: str = OPENS) -> int | None:
    """In which round a scene went wrong; None if in none. Batches are opened by a function that may be another than ours."""
    home = PostgresHome()
    home.write(function)
    street = Street(home)
    await street.begin()
    await begin(street)
    try:
        for number in range(rounds):
            if await scene(street, number) or any(till.alarms for till in street.tills):
                return number
        return None
    finally:
        for till in street.tills:
            till.batcher.close()
        home.write(OPENS)
        home.close()


async def asked(street: Street, commands: list[Command]) -> list[object]:
    """All at once, by the writers in turn; errors are answers."""
    futures = [street.tills[number % len(street.tills)].batcher.post(command) for number, command in enumerate(commands)]
    answers = await asyncio.gather(*futures)
    return [answer if isinstance(answer, FareboxError) else answer[0] for answer in answers]


# --- locks -------------------------------------------------------------------------------------------------------------------------------


async def keys(street: Street) -> None:
    """Four keys that share a wallet and nothing else."""
    for number in range(4):
        await street.one(IssueKey(f"issue {number}", Key(f"key_{number}", "acc", "acc", f"hash {number}", "fb-…", 0)))
    await street.tills[0].topup(100)


async def one_balance(street: Street, number: int) -> bool:
    """Whether a balance for one call admits more than one."""
    gates = [street.gate(f"key_{writer}") for writer in range(4)]
    answers = await asked(street, [hold(gate, f"h{number} {gate.key.id}", 60) for gate in gates])
    for answer in answers:
        if isinstance(answer, Authorized):
            await street.one(capture(answer.hold.id, 0))
    return sum(isinstance(answer, Authorized) for answer in answers) != 1


async def one_cap(street: Street, number: int) -> bool:
    """Whether a cap over two wallets is exceeded."""
    gates = [street.gate("key_red"), street.gate("key_blue")]
    answers = await asked(street, [hold(gates[at % 2], f"h{number} {at}", 60) for at in range(4)])
    given = [answer.hold.id for answer in answers if isinstance(answer, Authorized)]
    for name in given:
        await street.one(capture(name, 0))
    return len(given) != 1


def capped(window: str) -> Callable[[Street], Awaitable[None]]:
    async def begin(street: Street) -> None:
        await family(street, 10_000)
        await street.one(SetBudgets("cap", "acc", (cap("acc", 100, window),)))

    return begin


async def several_wallets(street: Street, number: int) -> bool:
    """Whether anybody waited for somebody who waited for them: that would be alarmed."""
    gates = [street.gate("key_red"), street.gate("key_blue"), street.gate()]
    await asked(street, [hold(gates[at % 3], f"h{number} {at}", 0) for at in range(120)])
    return False


async def test_with_its_locks_nothing_goes_wrong() -> None:
    """The same scenes, as often."""
    assert await rounds_until(one_balance, keys, ROUNDS) is None
    assert await rounds_until(one_cap, capped("day"), 10) is None
    assert await rounds_until(one_cap, capped("rolling:1h"), 10) is None
    assert await rounds_until(several_wallets, capped("day"), 10) is None


WALLETS = ("ORDER BY id FOR NO KEY UPDATE) AS a;", "ORDER BY id) AS a;")
COUNTERS = ("ORDER BY id FOR NO KEY UPDATE)\n", "ORDER BY id)\n")
WINDOWS = ("FOR NO KEY UPDATE) AS w)", ") AS w)")
"""Which locks are left out."""


async def test_without_the_wallets_lock_a_balance_is_given_twice() -> None:
    """Refused at last by the column's CHECK, which is an alarm."""
    assert await rounds_until(one_balance, keys, TRIES, opens(WALLETS)) is not None


async def test_without_the_windows_lock_a_cap_is_exceeded() -> None:
    """Two wallets' locks do not meet."""
    assert await rounds_until(one_cap, capped("day"), TRIES, opens(WINDOWS)) is not None


async def test_without_the_counters_lock_a_rolling_cap_is_exceeded() -> None:
    """What it has room for is the sum of several rows; those that are locked are too few."""
    assert await rounds_until(one_cap, capped("rolling:1h"), TRIES, opens(COUNTERS, WINDOWS)) is not None


async def test_without_an_order_of_locks_processes_wait_for_each_other() -> None:
    """The server ends one of them, which is alarmed."""
    shuffled = opens((WALLETS[0], "ORDER BY md5(id || random()) FOR NO KEY UPDATE) AS a;"))
    assert await rounds_until(several_wallets, capped("day"), TRIES, shuffled) is not None


# --- what was read must be so when it is written -----------------------------------------------------------------------------------------


async def past_the_locks(monkeypatch: pytest.MonkeyPatch) -> tuple[object, list[str]]:
    """What becomes of a capture when somebody closes its hold between reading and writing, without asking for a lock."""
    home = PostgresHome()
    street = Street(home, 1)
    await street.begin()
    (till,) = street.tills
    await till.topup(100)
    await till.hold("a", 50)
    settled = Loader.settled

    def and_then(self: Loader, state: object, commands: list[Command]) -> list[Command]:
        found = settled(self, state, commands)  # type: ignore[arg-type]
        home.write("UPDATE holds SET state = 'released' WHERE id = 'a'")
        return found

    monkeypatch.setattr(Loader, "settled", and_then)
    answers = await asked(street, [capture("a", 30)])
    till.batcher.close()
    home.close()
    return answers[0], till.alarms


async def test_a_hold_that_is_no_longer_open_is_not_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is booked, and whoever watches is told."""
    answer, alarms = await past_the_locks(monkeypatch)
    assert isinstance(answer, StoreError)
    assert alarms == ["guarantee_violated"]


async def test_without_the_guard_on_its_state_a_hold_is_closed_twice(
    monkeypatch: pytest.MonkeyPatch, altered: Callable[[str, str, str], None]
) -> None:
    """And nobody is told."""
    altered("close_hold", "AND h.state = 'open'", "")
    answer, alarms = await past_the_locks(monkeypatch)
    assert isinstance(answer, Settled)
    assert not alarms


def test_without_requotes_a_revoked_key_is_served(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """On either store: what a call was planned with is compared with what is."""
    desk.play("topup acc 100")
    planned = desk.gate()
    desk.one(EditKey("revoke", "key", {"status": "revoked"}))
    assert isinstance(desk.one(hold(planned, "a", 10)), Requote)
    monkeypatch.setattr(calls, "stale", lambda *_: None)
    assert isinstance(desk.one(hold(planned, "a", 10)), Authorized)


# --- durability --------------------------------------------------------------------------------------------------------------------------


async def lost_after(rounds: int) -> int | None:
    """In which round an answered hold was gone after the server died, where the database's own default is not to wait for the disk."""
    server, url = own_server(), migrated_database()
    connection = await asyncpg.connect(url)
    await connection.execute(f"ALTER DATABASE {await connection.fetchval('SELECT current_database()')} SET synchronous_commit = off")
    await connection.close()

    class Here(PostgresHome):
        def __init__(self) -> None:
            self.place = url

        def open(self, alarm: object) -> postgres.PostgresStore:
            return postgres.PostgresStore(url, alarm=lambda *_, **__: None)

    street = Street(Here(), 1)
    await street.begin()
    (till,) = street.tills
    await till.topup(1000)
    await asyncio.to_thread(server.bounce, "fast")
    try:
        for number in range(rounds):
            while True:
                try:
                    if admitted([await till.hold(f"h{number}", 1)]) == 1:
                        break
                except FareboxError:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(server.bounce, "kill")
            connection = await asyncpg.connect(url)
            there = await connection.fetchval("SELECT count(*) FROM holds")
            await connection.close()
            if there <= number:
                return number
        return None
    finally:
        till.batcher.close()


async def test_what_was_answered_is_on_disk_whatever_the_databases_default_is() -> None:
    """Each transaction says that it waits."""
    assert await lost_after(3) is None


async def test_without_synchronous_commit_an_answer_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed right after it answered, the server has forgotten."""
    monkeypatch.setattr(postgres, "_BEGIN", postgres._BEGIN.replace("SET LOCAL synchronous_commit = on; ", ""))
    assert await lost_after(8) is not None
