"""What nobody else will finish: holds of processes that are gone, calls past their deadline, grants past their expiry, answers kept too long."""

from collections.abc import Iterator

import msgspec
import pytest

from farebox.clock import US_PER_DAY, US_PER_HOUR
from farebox.ledger.commands import Authorize, Authorized, GrantMoney, Idempotency, Repeated, Settled
from farebox.store.sweeper import Sweeper
from store.till import Till, capture, hold


@pytest.fixture
def sweeper(till: Till) -> Iterator[Sweeper]:
    """Of the process `proc_2`; the holds of these tests belong to `proc_1` unless they say otherwise."""
    sweeper = Sweeper(
        till.place,
        till.batcher,
        owner="proc_2",
        clock=till.home.clock,
        alarm=lambda name, **_: till.alarms.append(name),
        replay_kept_s=24 * 3600,
        lost_s=0,
    )
    yield sweeper
    sweeper.close()


def of_p2(till: Till, name: str, price: int) -> Authorize:
    return msgspec.structs.replace(hold(till.gate, name, price), owner="proc_2", lasts=US_PER_HOUR)


async def test_the_next_start_ends_what_a_killed_process_left(till: Till, sweeper: Sweeper) -> None:
    """At once, all of it, each with its provisional charge, and told; what comes late revises it."""
    await till.topup(1000)
    for number in range(250):
        await till.hold(f"h{number}", 4)
    assert await sweeper.begin() == 250
    assert till.wallet() == (1000, 1000, 0)
    assert till.alarms == ["hold_orphaned"] * 250
    late = await till.capture("h0", 1)
    assert isinstance(late, Settled)
    assert late.revised
    assert await sweeper.begin() == 0


async def test_a_live_call_is_left_alone_until_its_deadline(till: Till, sweeper: Sweeper) -> None:
    """However often it is swept, and however long its stream; then it is charged, and a capture after that still counts."""
    await till.topup(100)
    await till.batcher.one(of_p2(till, "a", 60))
    till.home.go(US_PER_HOUR - 10_000_000)
    await sweeper.sweep()
    assert till.wallet() == (100, 0, 60)
    till.home.go(US_PER_HOUR + 1)
    await sweeper.sweep()
    await sweeper.sweep()
    assert till.wallet() == (100, 60, 0)
    assert till.alarms == ["hold_overdue"]
    await till.capture("a", 20)
    assert till.wallet() == (100, 20, 0)


async def test_what_expired_is_booked_once_and_what_is_released_of_it_later_too(till: Till, sweeper: Sweeper) -> None:
    """Never what is held: that stays with its hold."""
    await till.batcher.one(GrantMoney("g", "grt", "acc", 100, expires_at=till.home.clock() + US_PER_DAY))
    await till.batcher.one(msgspec.structs.replace(of_p2(till, "a", 40), lasts=3 * US_PER_DAY))
    till.home.go(US_PER_DAY + 1)
    await sweeper.sweep()
    await sweeper.sweep()
    assert expired(till) == [60]
    await till.release("a")
    await sweeper.sweep()
    assert expired(till) == [60, 40]


def expired(till: Till) -> list[int]:
    return [row[0] for row in till.home.rows("SELECT amount FROM transfers WHERE kind = 'expiry' ORDER BY at")]


async def test_recorded_answers_are_forgotten_after_a_day_and_charges_are_not(till: Till, sweeper: Sweeper) -> None:
    """A repeat hears that it was charged; it is not run again."""
    await till.topup(100)
    named = msgspec.structs.replace(of_p2(till, "a", 10), idempotency=Idempotency("n", "f"))
    assert isinstance(await till.batcher.one(named), Authorized)
    await till.batcher.one(msgspec.structs.replace(capture("a", 5), answer=b"words"))
    again = msgspec.structs.replace(named, hold_id="b", request_id="req_b")
    assert await till.batcher.one(again) == Repeated("done", "req_a", b"words")
    till.home.go(US_PER_DAY + 1_000_000)
    await sweeper.sweep()
    assert await till.batcher.one(again) == Repeated("done", "req_a", None)
