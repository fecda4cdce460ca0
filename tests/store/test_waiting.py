"""Holds whose provider answers later: whose turn it is to ask, what becomes of them when nobody does, and that they end once."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from farebox.clock import US_PER_DAY, US_PER_HOUR, US_PER_S
from farebox.ledger.commands import (
    Authorize,
    Authorized,
    Conflict,
    Idempotency,
    Refused,
    Repeated,
    Settled,
    Unchanged,
)
from farebox.ledger.lasting import HandOver, StoredObject
from farebox.store.sweeper import Sweeper
from farebox.store.verify import verify
from farebox.store.waiting import Queue
from store.till import Till, capture, hold

LEASE = 90 * US_PER_S


@pytest.fixture
async def queues(till: Till) -> AsyncIterator[list[Queue]]:
    """Of two processes."""
    found = [Queue(till.place, till.batcher, owner=f"proc_{number}", clock=till.home.clock) for number in (1, 2)]
    await till.topup(1000)
    yield found
    for one in found:
        one.close()


def handed(name: str, *, lasts: int = US_PER_DAY, first: int = 0) -> HandOver:
    return HandOver(name, f"resp_{name}", '{"a":1}', lasts, first, (StoredObject("response", f"resp_{name}", US_PER_DAY),), b"queued")


async def begun(till: Till, name: str, price: int = 10, **more: int) -> None:
    assert isinstance(await till.hold(name, price), Authorized)
    assert isinstance(await till.batcher.one(handed(name, **more)), Authorized)


async def names(queue: Queue, most: int = 16) -> list[str]:
    return sorted(one.hold_id for one in await queue.claim(most, LEASE))


async def test_only_one_process_asks_at_a_time(till: Till, queues: list[Queue]) -> None:
    """What is taken is nobody else's while it lasts, however many ask at once; what is not due is not taken."""
    for number in range(40):
        await begun(till, f"h{number:02}")
    await begun(till, "later", first=US_PER_HOUR)
    taken = await asyncio.gather(*(names(queues[number % 2], 4) for number in range(14)))
    assert sorted(name for one in taken for name in one) == [f"h{number:02}" for number in range(40)]
    assert await names(queues[0]) == []
    assert 0 < (await queues[0].due_in() or 0) <= LEASE


async def test_what_a_dead_process_took_is_taken_by_another(till: Till, queues: list[Queue]) -> None:
    """After the while that it was taken for, and not before."""
    await begun(till, "a")
    (mine,) = await queues[0].claim(1, LEASE)
    till.home.go(LEASE - US_PER_S)
    assert await names(queues[1]) == []
    till.home.go(LEASE + US_PER_S)
    (theirs,) = await queues[1].claim(1, LEASE)
    assert (theirs.hold_id, theirs.facts, theirs.tries) == ("a", '{"a":1}', 2)
    await queues[0].pace(mine, 0)  # the first one wakes up again: it is not its turn
    assert await names(queues[0]) == []


async def test_what_was_asked_is_asked_again_after_its_pause_or_when_something_happens(till: Till, queues: list[Queue]) -> None:
    """By any process. While somebody is asking, nobody is sent to ask as well."""
    await begun(till, "a")
    (one,) = await queues[0].claim(1, LEASE)
    await queues[1].hasten("openai", "resp_a")
    assert await names(queues[1]) == []
    await queues[0].pace(one, US_PER_HOUR)
    assert await names(queues[1]) == []
    await queues[1].hasten("openai", "resp_b")
    assert await names(queues[1]) == []
    await queues[1].hasten("openai", "resp_a")
    assert await names(queues[1]) == ["a"]


async def test_its_end_takes_it_out_in_the_same_commit(till: Till, queues: list[Queue]) -> None:
    """Charged, released or given up: verify, which every test ends with, would find it otherwise."""
    for name in ("a", "b", "c"):
        await begun(till, name, lasts=60 * US_PER_S)
    waiting = await queues[0].of("openai", "resp_a")
    assert waiting is not None
    assert (await queues[0].hold(waiting)).owner == "background"
    assert isinstance(await till.capture("a", 4), Settled)
    assert isinstance(await till.release("b"), Settled)
    till.home.go(61 * US_PER_S)
    sweeper = swept_by("proc_9", till)
    await sweeper.sweep()
    sweeper.close()
    assert till.home.rows("SELECT * FROM background") == []
    assert till.wallet() == (1000, 14, 0)
    assert till.alarms == ["hold_overdue"]
    till.alarms.clear()


def swept_by(owner: str, till: Till) -> Sweeper:
    return Sweeper(
        till.place,
        till.batcher,
        owner=owner,
        clock=till.home.clock,
        alarm=lambda name, **_: till.alarms.append(name),
        replay_kept_s=3600,
        lost_s=0,
    )


async def test_the_sweeper_takes_it_for_no_orphan(till: Till, queues: list[Queue]) -> None:
    """Though the process that began it is long gone: until its deadline it is whoever's turn it is."""
    await begun(till, "a", 60)
    assert isinstance(await till.hold("b", 10), Authorized)
    for owner in ("proc_2", "proc_3"):
        sweeper = swept_by(owner, till)
        await sweeper.begin()
        await sweeper.sweep()
        sweeper.close()
    assert [row[0] for row in till.home.rows("SELECT id FROM holds WHERE state = 'open' AND owner = 'background'")] == ["a"]
    till.home.go(US_PER_DAY - 10 * US_PER_S)
    sweeper = swept_by("proc_4", till)
    await sweeper.sweep()
    assert await names(queues[0]) == ["a"]
    till.home.go(US_PER_DAY + 10 * US_PER_S)
    await sweeper.sweep()
    sweeper.close()
    assert await names(queues[0]) == []
    late = await till.capture("a", 5)
    assert isinstance(late, Settled)
    assert late.revised


async def test_twenty_who_learn_of_its_end_at_once_make_one_charge(till: Till, queues: list[Queue]) -> None:
    """The same word is answered as before, another one has no effect."""
    await begun(till, "a", 60)
    outcomes = await asyncio.gather(*(till.capture("a", 20 if number % 2 else 30) for number in range(20)))
    first = [one for one in outcomes if isinstance(one, Settled) and not one.repeated]
    assert len(first) == 1
    assert {type(one) for one in outcomes} == {Settled, Conflict}
    assert till.wallet() == (1000, first[0].charge.price, 0)
    assert await queues[0].due_in() is None


async def test_handing_over_again_changes_nothing_and_after_its_end_nothing_waits(till: Till, queues: list[Queue]) -> None:
    """An answer that was lost is asked for again; a process that thaws after it was given up has nothing to hand over."""
    await begun(till, "a")
    again = await till.batcher.one(handed("a", lasts=9 * US_PER_DAY, first=US_PER_HOUR))
    assert isinstance(again, Authorized)
    assert again.repeated
    assert await names(queues[0]) == ["a"]
    await till.capture("a", 1)
    assert isinstance(await till.batcher.one(handed("a")), Unchanged)
    assert isinstance(await till.batcher.one(handed("no such hold")), Refused)
    assert await queues[0].due_in() is None


async def test_handed_over_and_ended_in_one_commit(till: Till, queues: list[Queue]) -> None:
    """Each sees what came before it."""
    assert isinstance(await till.hold("a", 10), Authorized)
    assert isinstance(await till.hold("b", 10), Authorized)
    async with till.busy():
        waiting = [till.batcher.post(handed("a"), capture("a", 3)), till.batcher.post(capture("b", 3), handed("b"))]
    outcomes = [await one for one in waiting]
    assert [[type(outcome) for outcome in answer] for answer in outcomes] == [[Authorized, Settled], [Settled, Unchanged]]
    assert await queues[0].due_in() is None


async def test_a_repeat_gets_the_first_answer_while_the_provider_is_still_at_work(till: Till, queues: list[Queue]) -> None:
    """The request that took the Idempotency-Key is answered, though its hold is open; what its call comes to later does not change that."""
    first: Authorize = msgspec.structs.replace(hold(till.gate, "a", 10), idempotency=Idempotency("name", "content"))
    again = msgspec.structs.replace(hold(till.gate, "b", 10), idempotency=Idempotency("name", "content"))
    await till.batcher.one(first)
    assert await till.batcher.one(again) == Repeated("running", "req_a")
    await till.batcher.one(handed("a"))
    assert await till.batcher.one(again) == Repeated("done", "req_a", b"queued")
    await till.capture("a", 2)
    assert await till.batcher.one(again) == Repeated("done", "req_a", b"queued")
    assert await queues[0].due_in() is None


async def test_a_repeat_waits_for_the_end_where_there_is_no_answer_yet(till: Till, queues: list[Queue]) -> None:
    """A stream's: its events are recorded when they are over, by whoever read them; where somebody else learned the end first, there are none."""
    for name, answer in (("a", b"events"), ("b", None)):
        asked = msgspec.structs.replace(hold(till.gate, name, 10), idempotency=Idempotency(f"name {name}", "content"))
        again = msgspec.structs.replace(hold(till.gate, f"{name}2", 10), idempotency=Idempotency(f"name {name}", "content"))
        await till.batcher.one(asked)
        await till.batcher.one(msgspec.structs.replace(handed(name), answer=None))
        assert await till.batcher.one(again) == Repeated("running", f"req_{name}")
        await till.batcher.one(msgspec.structs.replace(capture(name, 2), answer=answer))
        assert await till.batcher.one(again) == Repeated("done", f"req_{name}", answer)
    assert await queues[0].due_in() is None


async def test_handed_over_and_ended_in_one_commit_keeps_the_first_answer(till: Till, queues: list[Queue]) -> None:
    """Both are about the same Idempotency-Key; what was said to the caller stays."""
    asked = msgspec.structs.replace(hold(till.gate, "a", 10), idempotency=Idempotency("name", "content"))
    again = msgspec.structs.replace(hold(till.gate, "b", 10), idempotency=Idempotency("name", "content"))
    await till.batcher.one(asked)
    async with till.busy():
        both = till.batcher.post(handed("a"), capture("a", 3))
    await both
    assert await till.batcher.one(again) == Repeated("done", "req_a", b"queued")
    assert await queues[0].due_in() is None


async def test_verify_finds_what_nobody_would_ask_and_what_is_asked_for_nothing(till: Till, queues: list[Queue]) -> None:
    """Both ways in which the two could come apart."""
    await begun(till, "a")
    (row,) = till.home.rows("SELECT hold_id, provider, response_id, facts, begun_at, next_poll_at FROM background")
    till.home.write("DELETE FROM background")
    assert "every open hold that waits in the background" in verify(till.place).findings[0].invariant
    till.home.write(
        "INSERT INTO background (hold_id, provider, response_id, facts, begun_at, next_poll_at) VALUES (?, ?, ?, ?, ?, ?)", *row
    )
    assert verify(till.place).ok
    await till.capture("a", 1)
    till.home.write(
        "INSERT INTO background (hold_id, provider, response_id, facts, begun_at, next_poll_at) VALUES (?, ?, ?, ?, ?, ?)", *row
    )
    assert verify(till.place).findings[0].examples == [["a", "captured", "nothing to settle"]]
    till.home.write("DELETE FROM background")
    assert await queues[0].due_in() is None
