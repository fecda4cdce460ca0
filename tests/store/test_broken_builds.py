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
from farebox.store.statements import statements
from ledger.desk import Desk
from store.street import Street, cap, family
from store.till import admitted, capture, hold
from support.homes import PostgresHome
from support.postgres import migrated_database, own_server

ROUNDS = 40
TRIES = 400
"""Rounds in which something goes wrong sooner or later, on a machine that is busy with other things as well."""
Scene = Callable[[Street, int], Awaitable[bool]]


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


async def rounds_until(scene: Scene, begin: Callable[[Street], Awaitable[object]], rounds: int) -> int | None:
    """In which round a scene went wrong; None if in none."""
    home = PostgresHome()
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


async def test_without_the_wallets_lock_a_balance_is_given_twice(altered: Callable[[str, str, str], None]) -> None:
    """Refused at last by the column's CHECK, which is an alarm."""
    altered("lock_wallets", "FOR NO KEY UPDATE", "")
    assert await rounds_until(one_balance, keys, TRIES) is not None


async def test_without_the_windows_lock_a_cap_is_exceeded(altered: Callable[[str, str, str], None]) -> None:
    """Two wallets' locks do not meet."""
    altered("lock_windows", "FOR NO KEY UPDATE OF w", "")
    assert await rounds_until(one_cap, capped("day"), TRIES) is not None


async def test_without_the_counters_lock_a_rolling_cap_is_exceeded(altered: Callable[[str, str, str], None]) -> None:
    """What it has room for is the sum of several rows; those that are locked are too few."""
    altered("lock_counters", "FOR NO KEY UPDATE", "")
    altered("lock_windows", "FOR NO KEY UPDATE OF w", "")
    assert await rounds_until(one_cap, capped("rolling:1h"), TRIES) is not None


async def test_without_an_order_of_locks_processes_wait_for_each_other(altered: Callable[[str, str, str], None]) -> None:
    """The server ends one of them, which is alarmed."""
    altered("lock_wallets", "ORDER BY id", "ORDER BY md5(id || random())")
    assert await rounds_until(several_wallets, capped("day"), TRIES) is not None


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
