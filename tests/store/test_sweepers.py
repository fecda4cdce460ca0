"""Sweepers of several processes on one database: one of them sweeps for all, and only what is dead."""

from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from farebox.clock import US_PER_S
from farebox.store import sweeper as sweeping
from farebox.store.sweeper import Sweeper
from store.street import Street
from store.till import hold
from support.homes import PostgresHome

LOST_S = 30


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    home = PostgresHome()
    street = Street(home, writers=2)
    await street.begin()
    await street.tills[0].topup(1000)
    yield street
    for till in street.tills:
        till.alarms.clear()
    street.end()
    home.close()


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets so many seconds pass by the machine's steady clock, which sweepers watch by."""
    now = [US_PER_S * 1_000_000]
    monkeypatch.setattr(sweeping, "steady_clock", lambda: now[0])

    def let(seconds: int) -> None:
        now[0] += seconds * US_PER_S

    return let


def sweeper_of(street: Street, number: int, lost_s: int = LOST_S) -> Sweeper:
    till = street.tills[number]
    return Sweeper(
        street.home.place,
        till.batcher,
        owner=f"proc_{number}",
        clock=street.home.clock,
        alarm=lambda name, **_: till.alarms.append(name),
        replay_kept_s=3600,
        lost_s=lost_s,
    )


async def held_by(street: Street, owner: str, name: str) -> None:
    await street.one(msgspec.structs.replace(hold(street.gate(), name, 5), owner=owner))


def still_open(street: Street) -> list[str]:
    return [row[0] for row in street.home.rows("SELECT id FROM holds WHERE state = 'open' ORDER BY id")]


async def second_of_two(street: Street) -> list[str]:
    """What is left open when a process sweeps while another one does."""
    first, second = sweeper_of(street, 0, 0), sweeper_of(street, 1, 0)
    await first.sweep()
    await held_by(street, "proc_gone", "a")
    await second.sweep()
    left = still_open(street)
    await first.sweep()
    first.close()
    second.close()
    return left


async def test_one_process_of_many_sweeps(street: Street) -> None:
    """Another one finds the lease taken, and leaves the work to whoever has it."""
    assert await second_of_two(street) == ["a"]
    assert still_open(street) == []


async def test_without_the_lease_every_process_sweeps(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof that the test above can fail."""
    for till in street.tills:
        broken = till.store._db.sql  # type: ignore[attr-defined]  # a street is of PostgreSQL stores
        monkeypatch.setitem(broken, "take_lease", broken["take_lease"].replace("WHERE l.owner = excluded.owner", "WHERE true"))
    assert await second_of_two(street) == []


async def test_a_process_is_dead_when_its_heartbeat_stood_still_while_another_watched(
    street: Street, passes: Callable[[int], None]
) -> None:
    """And not before; one that beats lives, however old its holds."""
    mine, theirs = sweeper_of(street, 0), sweeper_of(street, 1)
    await theirs.begin()
    await held_by(street, "proc_1", "alive")
    await held_by(street, "proc_gone", "dead")
    for _ in range(LOST_S // 5):
        await theirs.beat()
        await mine.sweep()
        assert still_open(street) == ["alive", "dead"]
        passes(5)
    await theirs.beat()
    await mine.sweep()
    assert still_open(street) == ["alive"]
    mine.close()
    theirs.close()


async def test_after_an_outage_nobody_is_taken_for_dead_by_an_old_heartbeat(street: Street, passes: Callable[[int], None]) -> None:
    """Nobody could beat, so everybody's is old: watching begins anew."""
    mine, theirs = sweeper_of(street, 0), sweeper_of(street, 1)
    await theirs.begin()
    await held_by(street, "proc_1", "alive")
    await mine.sweep()
    passes(600)
    await mine.sweep()
    assert still_open(street) == ["alive"]
    mine.close()
    theirs.close()
