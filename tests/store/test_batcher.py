"""Group commit: many at once, in one order, each answered once; and what happens to those who wait when something goes wrong."""

import asyncio
import threading

import apsw
import pytest

from farebox import limits
from farebox.errors import Busy, FareboxError, LedgerUnavailable, StoreError
from farebox.ledger.bounds import Affine, Bound
from farebox.ledger.commands import Authorize, Authorized, Capture, Refused, Release, Result, Settled
from farebox.store.sqlite import SqliteStore
from farebox.store.verify import verify
from store.till import Till, admitted, capture, hold, settled


async def test_parallel_calls_on_a_balance_for_one_admit_one(till: Till) -> None:
    """Whatever the number of callers: nobody reads a balance that somebody else is about to take."""
    await till.topup(100)
    outcomes = await asyncio.gather(*(till.hold(f"h{number}", 100) for number in range(200)))
    assert admitted(outcomes) == 1
    assert {outcome.reason for outcome in outcomes if isinstance(outcome, Refused)} == {"held"}
    assert till.wallet() == (100, 0, 100)


async def test_twenty_parallel_calls_of_75_on_500_admit_exactly_six(till: Till) -> None:
    """And all of them may end in parallel too."""
    await till.topup(500)
    outcomes = await asyncio.gather(*(till.hold(f"h{number}", 75) for number in range(20)))
    assert admitted(outcomes) == 6
    names = [outcome.hold.id for outcome in outcomes if isinstance(outcome, Authorized)]
    assert settled(await asyncio.gather(*(till.capture(name, 75) for name in names))) == 6
    assert till.wallet() == (500, 450, 0)


async def test_loops_in_several_threads_share_one_order(till: Till) -> None:
    """Data plane and control plane each have a loop; answers come back to the loop that asked."""
    await till.topup(100)
    counts: list[int] = []

    async def many(thread: int) -> None:
        counts.append(admitted(await asyncio.gather(*(till.hold(f"t{thread}h{number}", 10) for number in range(50)))))

    threads = [threading.Thread(target=asyncio.run, args=(many(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert sum(counts) == 10


async def test_what_waits_becomes_one_batch(till: Till) -> None:
    """One commit for all of it, however many they are."""
    await till.topup(1000)
    async with till.busy():
        asked = [till.batcher.post(hold(till.gate, f"h{number}", 1)) for number in range(300)]
        assert till.batcher.waiting == 300
    assert admitted([(await one)[0] for one in asked]) == 300
    await till.batcher.work(lambda: None)
    assert 300 in till.sizes


async def test_what_a_loop_asks_in_one_turn_is_one_batch(till: Till) -> None:
    """The writer is woken when all of it is there, not by the first."""
    await till.topup(1000)
    for turn in range(20):
        await asyncio.gather(*(till.hold(f"h{turn}-{number}", 1) for number in range(7)))
    await till.batcher.work(lambda: None)
    assert till.sizes.count(7) == 20


async def test_commands_of_one_entry_are_decided_in_order(till: Till) -> None:
    """Settle the old and hold the new: one entry, one commit, two answers."""
    await till.topup(100)
    await till.hold("a", 100)
    first, second = await till.batcher.submit(Release("a"), hold(till.gate, "b", 100))
    assert isinstance(first, Settled)
    assert isinstance(second, Authorized)


async def test_captures_go_first_when_not_all_fits_in_a_batch(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they stand in the queue: they give money back to those who wait before them."""
    await till.topup(100)
    await till.hold("a", 100)
    async with till.busy():
        monkeypatch.setattr(limits, "batch_commands_max", 2)
        asked = [till.batcher.post(hold(till.gate, f"h{number}", 60)) for number in range(5)]
        ended = till.batcher.post(capture("a", 0))
    outcomes = [(await one)[0] for one in (*asked, ended)]
    assert isinstance(outcomes[0], Authorized)
    assert admitted(outcomes[1:]) == 0


async def test_a_queue_that_fits_is_decided_as_it_came(till: Till) -> None:
    """No overtaking without need."""
    await till.topup(100)
    await till.hold("a", 100)
    async with till.busy():
        refused, ended = till.batcher.post(hold(till.gate, "b", 60)), till.batcher.post(capture("a", 0))
    assert isinstance((await refused)[0], Refused)
    assert isinstance((await ended)[0], Settled)


async def test_a_full_queue_answers_busy_at_once(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is bounded; who does not get in is told, and those inside are served."""
    await till.topup(100)
    monkeypatch.setattr(limits, "queue_commands_max", 3)
    async with till.busy():
        inside = [till.batcher.post(hold(till.gate, f"h{number}", 1)) for number in range(3)]
        with pytest.raises(Busy):
            await till.hold("late", 1)
    assert admitted([(await one)[0] for one in inside]) == 3
    assert till.wallet() == (100, 0, 3)


async def test_a_cancelled_caller_does_not_cancel_its_command(till: Till) -> None:
    """It may be committed by then; whoever settles learns what became of it."""
    await till.topup(100)
    async with till.busy():
        caller = asyncio.ensure_future(till.hold("a", 60))
        await asyncio.sleep(0)
        caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    outcome = await till.hold("a", 60)
    assert isinstance(outcome, Authorized)
    assert outcome.repeated


async def test_a_loop_that_is_gone_harms_nobody(till: Till) -> None:
    """Its command is decided; the writer goes on."""
    await till.topup(100)

    async def ask_and_leave() -> None:
        till.batcher.post(hold(till.gate, "gone", 60))

    async with till.busy():
        thread = threading.Thread(target=asyncio.run, args=(ask_and_leave(),))
        thread.start()
        await asyncio.to_thread(thread.join)
    assert isinstance(await till.hold("b", 60), Refused)
    assert isinstance(await till.hold("c", 40), Authorized)


async def test_closing_decides_what_waits_and_refuses_what_comes(till: Till) -> None:
    """Nothing that was queued is lost, nothing is taken that would be."""
    await till.topup(100)
    async with till.busy():
        waiting = till.batcher.post(hold(till.gate, "a", 60))
    closing = asyncio.ensure_future(asyncio.to_thread(till.batcher.close))
    assert isinstance((await waiting)[0], Authorized)
    await closing
    with pytest.raises(LedgerUnavailable):
        await till.hold("b", 1)
    till.open()


# --- faults ------------------------------------------------------------------------------------------------------------------------------


def senseless(till: Till, name: str) -> Authorize:
    """A bound whose fewest units are more than its most: the rules cannot answer it."""
    bound = Bound(Affine(1, 1), Affine(1), Affine(1), 9, 3)
    return Authorize(name, "req", 1, till.gate, bound, 0, 0, "openai", "gpt-4o", "chat", "p1", 2**60)


async def test_a_fault_in_one_command_fails_that_entry_alone(till: Till) -> None:
    """Its neighbours in the batch get their answers, it gets an error, and whoever watches is told."""
    await till.topup(100)
    async with till.busy():
        before, faulty, after = (till.batcher.post(one) for one in (hold(till.gate, "a", 5), senseless(till, "x"), hold(till.gate, "b", 5)))
    assert isinstance((await before)[0], Authorized)
    assert isinstance(await faulty, StoreError)
    assert isinstance((await after)[0], Authorized)
    assert till.alarms == ["command_failed"]


async def test_what_stands_behind_a_fault_in_its_entry_is_no_part_of_the_next_one(till: Till) -> None:
    """Nothing of it is decided, and whoever asked next is answered what they asked."""
    await till.topup(100)
    await till.hold("a", 50)
    async with till.busy():
        faulty = till.batcher.post(senseless(till, "x"), Release("a"))
        next_one = till.batcher.post(hold(till.gate, "b", 5))
        last = till.batcher.post(hold(till.gate, "c", 7))
    assert isinstance(await faulty, StoreError)
    answers = [(await next_one)[0], (await last)[0]]
    assert [answer.hold.id for answer in answers if isinstance(answer, Authorized)] == ["b", "c"]
    assert till.wallet() == (100, 0, 62)
    assert till.alarms == ["command_failed"]


async def test_a_fault_takes_back_what_its_entry_did_before(till: Till) -> None:
    """An entry is answered with an error only if nothing of it took effect; the rest of the batch is not touched."""
    await till.topup(100)
    await till.hold("a", 50)
    async with till.busy():
        other = till.batcher.post(hold(till.gate, "b", 5))
        faulty = till.batcher.post(Release("a"), senseless(till, "x"))
    assert isinstance((await other)[0], Authorized)
    assert isinstance(await faulty, StoreError)
    assert till.wallet() == (100, 0, 55)


@pytest.mark.parametrize("number", [2**63, 2**70])
async def test_a_number_that_no_column_holds_fails_its_entry_alone(till: Till, number: int) -> None:
    """Found only when it is written: everything is decided again one by one, and the others are none the wiser."""
    await till.topup(100)
    await till.hold("a", 5)
    await till.hold("b", 5)
    async with till.busy():
        huge = till.batcher.post(Capture("a", Result("ok", "exact", 5, number, 5, 5)))
        fine = till.batcher.post(capture("b", 5))
    assert isinstance(await huge, StoreError)
    assert isinstance((await fine)[0], Settled)
    assert till.alarms == ["command_failed"]


async def test_a_broken_guarantee_rolls_back_is_retried_one_by_one_and_alarmed(till: Till) -> None:
    """A row that says less is held than is: the column's CHECK refuses, that entry fails, the others are booked."""
    await till.topup(100)
    await till.hold("a", 50)
    await till.hold("b", 20)

    def tamper(held: int) -> None:
        till.home.write("UPDATE windows SET price_held = ? WHERE counter = 'key/day'", held)

    tamper(30)
    async with till.busy():
        broken, fine = till.batcher.post(Release("a")), till.batcher.post(capture("b", 20))
    problem = await broken
    assert isinstance(problem, StoreError)
    assert "guarantee" in problem.message
    assert isinstance((await fine)[0], Settled)
    assert till.alarms == ["guarantee_violated"]
    found = verify(till.place)
    assert [finding.invariant for finding in found.findings] == ["a window's held is the sum of open holds"]
    tamper(50)
    assert isinstance(await till.release("a"), Settled)


def _writer(till: Till) -> apsw.Connection:
    """A connection that can be told what fails. (What a server does then: `test_postgres_outage.py`.)"""
    assert isinstance(till.store, SqliteStore)
    return till.store._db


@pytest.mark.parametrize("home", ["sqlite"], indirect=True)
async def test_a_database_that_fails_at_commit_answers_nobody_as_booked(till: Till) -> None:
    """All of the batch hear that the ledger is unavailable; the same ids may be submitted again, and then they are booked once."""
    await till.topup(100)
    _writer(till).exec_trace = lambda _cursor, sql, _bindings: sql != "COMMIT"
    asked = await asyncio.gather(*(till.hold(f"h{number}", 10) for number in range(5)), return_exceptions=True)
    assert all(isinstance(answer, LedgerUnavailable) for answer in asked)
    assert till.wallet() == (100, 0, 0)
    _writer(till).exec_trace = None
    assert admitted(await asyncio.gather(*(till.hold(f"h{number}", 10) for number in range(5)))) == 5
    assert till.wallet() == (100, 0, 50)
    assert "ledger_unavailable" in till.alarms


@pytest.mark.parametrize("home", ["sqlite"], indirect=True)
@pytest.mark.parametrize("where", ["BEGIN IMMEDIATE", "SELECT", "INSERT INTO holds", "UPDATE grants", "UPDATE windows", "INSERT INTO meta"])
async def test_a_database_that_fails_anywhere_leaves_nothing_half_done(till: Till, where: str) -> None:
    """Before, in the middle of reading, in the middle of writing: nothing moved, and what is in memory is forgotten with it."""
    await till.topup(100)
    await till.hold("a", 10)
    _writer(till).exec_trace = lambda _cursor, sql, _bindings: not sql.startswith(where)
    with pytest.raises(LedgerUnavailable):
        await till.hold("b", 10)
    _writer(till).exec_trace = None
    assert till.wallet() == (100, 0, 10)
    assert isinstance(await till.hold("c", 90), Authorized)
    assert isinstance(await till.hold("b", 1), Refused)


async def test_other_work_that_fails_tells_who_asked(till: Till) -> None:
    """And nobody else."""
    with pytest.raises(LedgerUnavailable):
        await till.batcher.write("beat_process", [(None, 1)])
    with pytest.raises(KeyError):
        await till.batcher.write("no_such_statement", [()])
    await till.topup(5)


async def test_an_alarm_names_what_failed(till: Till) -> None:
    """A fault's error says which command it was, and is one of ours."""
    await till.topup(100)
    with pytest.raises(FareboxError, match="Authorize could not be decided"):
        await till.batcher.one(senseless(till, "x"))
