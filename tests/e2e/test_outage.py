"""The ledger cannot be reached, with calls on their way: each ends as it would have, what it came to is kept, and is booked before new work."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from e2e.wire import ENDS, Wire, dial
from farebox import metrics
from farebox.app import Running
from farebox.errors import LedgerUnavailable
from farebox.ledger.commands import Authorize, Capture, Release, Result
from farebox.store.journal import Journal, read_body, scan
from store.disk import FailingDisk, FailingFiles
from support.house import House, open_house, settings_for, until

# A disk that fails twice within one call of SQLite has told its second failure to nobody; that is not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def journal_in(folder: Path) -> Path:
    """The one of the process that was the first to have one there."""
    (found,) = folder.glob("captures-*-0.journal")
    return found


@pytest.fixture
def house(fragile: House) -> House:
    """All of these outages are the disk's."""
    return fragile


def alarmed(name: str) -> float:
    return float(metrics.alarms.labels(name)._value.get())


def held_in(journal: bytes) -> list[str]:
    """The holds of a journal's records, in their order."""
    return [record.hold_id for record in map(read_body, scan(journal).bodies) if record is not None]


def spied(house: House) -> list[Any]:
    """Every command that the ledger is asked from now on."""
    post, asked = house.running.batcher.post, list[Any]()

    def spying(*commands: Any) -> Any:
        asked.extend(commands)
        return post(*commands)

    house.running.batcher.post = spying  # type: ignore[method-assign]  # to see an order, one must stand where things pass
    return asked


@asynccontextmanager
async def in_flight(house: House, secret: str, count: int = 4) -> AsyncIterator[list[tuple[Wire, bytes]]]:
    """Calls that have begun, streamed in both dialects, and the mark that ends each."""
    wires = []
    for number in range(count):
        dialect = ("openai", "anthropic")[number % 2]
        wire = await dial(house)
        await wire.ask(secret, f"hi sim:output={12 + number} sim:pace=15", dialect, stream=True)
        wires.append((wire, ENDS[dialect]))
    for wire, _ in wires:
        await wire.until(b" fare")
    yield wires
    for wire, _ in wires:
        wire.leave()


@pytest.mark.parametrize("problem", [apsw.FullError, apsw.ReadOnlyError, apsw.IOError])
async def test_on_a_full_disk_streams_end_and_are_booked_before_anything_new(
    house: House, disk: FailingDisk, problem: type[apsw.Error]
) -> None:
    """Or on one that became read-only, or fails. Every end is the provider's own; no new call is taken until all is booked, exactly, in the order in which it was kept."""
    secret = await house.customer("50.00", None)
    asked = spied(house)
    async with in_flight(house, secret) as wires:
        disk.fail(problem, after=0)
        for wire, end in wires:
            await wire.until(end)
    running = house.running
    assert house.charges() == []
    assert running.outage.records == 4
    running.figures()
    assert metrics.journal_records._value.get() == 4
    assert running.ready() == "ledger_unavailable"
    refused = await house.chat(secret)
    assert (refused.status_code, refused.headers["x-farebox-reason"], refused.headers["retry-after"]) == (503, "ledger_unavailable", "5")
    kept = held_in(journal_in(house.running.settings.data_dir).read_bytes())
    disk.heal()
    answer = await house.chat(secret)
    while answer.status_code == 503:
        await asyncio.sleep(0.01)
        answer = await house.chat(secret)
    assert answer.status_code == 200
    booked = [command.hold_id for command in asked if isinstance(command, Capture | Authorize)]
    assert booked[-6:-2] == kept, "those that were kept, and then the new call's hold and charge"
    assert (running.outage.records, running.ready()) == (0, "")
    assert {charge.completeness for charge in await house.agree()} == {"exact"}
    assert len(house.charges()) == 5


async def test_whole_answers_and_calls_whose_client_left_are_kept_too(house: House, disk: FailingDisk) -> None:
    """Also a call that is refused by its provider: its release is kept, and its client is told what the provider said."""
    secret = await house.customer("50.00", None)
    async with await dial(house) as left, await dial(house) as whole, await dial(house) as refused:
        await left.ask(secret, "hi sim:output=20 sim:pace=10", stream=True)
        await left.until(b" fare")
        await whole.ask(secret, "hi sim:delay=200 sim:output=5")
        await refused.ask(secret, "hi sim:delay=200 sim:status=529")
        await until(lambda: house.books()["holds"] == 3)
        disk.fail(apsw.FullError, after=0)
        left.leave()
        assert b" 200 " in await whole.until(b'"usage"')
        assert b" 529 " in await refused.until(b"\r\n\r\n")
        await until(lambda: house.running.outage.records == 3)
        disk.heal()
    charges = await house.agree()
    assert sorted(charge.completeness for charge in charges) == ["exact"] * 3
    assert sorted(charge.outcome for charge in charges) == ["answered", "answered", "released"]


@pytest.mark.parametrize("step", ["write", "sync"])
async def test_where_the_journals_disk_fails_too_the_stream_ends_with_an_error_and_the_hold_stays(
    house: House, disk: FailingDisk, step: str
) -> None:
    """Not the provider's end: nobody could promise the charge. When the ledger is back it is charged all the same, once."""
    files = FailingFiles()
    files.fails = step
    assert house.running.outage._journal is not None
    house.running.outage._journal._disk = files
    secret = await house.customer("50.00", None)
    async with in_flight(house, secret) as wires:
        disk.fail(apsw.FullError, after=0)
        for wire, end in wires:
            assert b"do not repeat it" in await wire.until(b"0\r\n\r\n")
            assert end not in wire.seen
        assert (house.running.outage.records, house.charges()) == (0, [])
        assert house.books()["held"]
        disk.heal()
    assert {charge.completeness for charge in await house.agree()} == {"exact"}


async def test_a_ledger_that_only_refuses_holds_is_an_outage_too(house: House, disk: FailingDisk) -> None:
    """Nothing is on its way: the gateway says that it is not ready, does not try each call in vain, and is ready again by itself."""
    secret = await house.customer()
    before = house.books()
    disk.fail(apsw.FullError, after=0)
    assert (await house.chat(secret)).headers["x-farebox-reason"] == "ledger_unavailable"
    assert house.running.ready() == "ledger_unavailable"
    failures = disk.failures
    assert [(await house.chat(secret)).status_code for _ in range(3)] == [503] * 3
    assert disk.failures <= failures + 2, "calls are refused without asking the disk"
    assert house.books() == before
    disk.heal()
    await until(lambda: house.running.ready() == "")
    assert (await house.chat(secret)).status_code == 200
    await house.agree()


async def test_a_hold_whose_answer_was_lost_is_given_back(house: House) -> None:
    """It was committed, and the ledger went away before it could say so: the call is refused, uncharged, and nothing stays held."""
    secret = await house.customer()
    post, lost = house.running.batcher.post, list[str]()

    def losing(*commands: Any) -> Any:
        if not isinstance(commands[0], Authorize) or lost:
            return post(*commands)
        lost.append(commands[0].hold_id)
        answered = asyncio.get_running_loop().create_future()
        post(*commands).add_done_callback(lambda _: answered.set_result(LedgerUnavailable(problem="lost")))
        return answered

    house.running.batcher.post = losing  # type: ignore[method-assign]  # a ledger that is away at one moment cannot be had at will
    assert (await house.chat(secret)).headers["x-farebox-reason"] == "ledger_unavailable"
    await house.settled()
    (charge,) = house.charges()
    assert (charge.hold_id, charge.price, charge.outcome, charge.flags) == (lost[0], 0, "released", "not_sent")
    assert house.books()["held"] == 0


# --- what an earlier process left ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def ruins(tmp_path: Path) -> Path:
    """The files of a process that was gone in the middle of an outage: two calls ended and are in its journal, a third was on its way."""
    folder = tmp_path / "ruins"
    folder.mkdir()
    alive = tmp_path / "alive"
    alive.mkdir()
    disk = FailingDisk(f"failing {alive}")
    async with open_house(alive, vfs=disk.name) as house:
        secret = await house.customer("50.00", None)
        async with in_flight(house, secret, 2) as wires, await dial(house) as third:
            await third.ask(secret, "hi sim:delay=800")
            await until(lambda: house.books()["holds"] == 3)
            disk.fail(apsw.FullError, after=0)
            for wire, end in wires:
                await wire.until(end)
            for file in ("farebox.db", "farebox.db-wal", journal_in(alive).name):
                shutil.copy(alive / file, folder / file)
            disk.heal()
            await third.until(b'"usage"')
    disk.unregister()
    return folder


def prices(house: House) -> list[tuple[str, str, bool]]:
    return sorted((charge.outcome, charge.completeness, charge.revised) for charge in house.charges())


async def test_the_next_process_books_what_was_left_and_charges_only_the_rest_whole(ruins: Path) -> None:
    """The truth first, then the sweeper."""
    async with open_house(ruins) as house:
        assert prices(house) == [("answered", "exact", False)] * 2 + [("orphaned", "unknown", False)]
        assert not any(journal_in(ruins).read_bytes())


async def test_what_was_charged_whole_meanwhile_is_revised_when_its_journal_turns_up(ruins: Path) -> None:
    """As from a volume that comes back later: the difference goes back, and all adds up."""
    journal = journal_in(ruins)
    kept = journal.rename(ruins / "kept")
    async with open_house(ruins) as house:
        assert prices(house) == [("orphaned", "unknown", False)] * 3
        before = house.books()
    kept.rename(journal.with_name(journal.name.replace("-0.", "-7.")))
    async with open_house(ruins) as house:
        assert prices(house) == [("answered", "exact", True)] * 2 + [("orphaned", "unknown", False)]
        assert house.books()["spent"] < before["spent"]
        assert house.running.outage._journal is not None
        assert house.running.outage._journal.path == journal, "its own is the first that is free"


async def test_a_replay_that_is_interrupted_leaves_the_file_as_it_was(ruins: Path) -> None:
    """The ledger is away again: the start fails, nothing is charged whole, and the next start books it all, once."""
    before = journal_in(ruins).read_bytes()
    disk = FailingDisk(f"failing {ruins}")
    running = Running(settings_for(ruins, "http://127.0.0.1:9"), vfs=disk.name)
    disk.fail(apsw.FullError, after=0)
    with pytest.raises(LedgerUnavailable, match="not replayed"):
        await running.begin()
    assert journal_in(ruins).read_bytes() == before
    disk.heal()
    running.sweeper.close()
    running.batcher.close()
    disk.unregister()
    async with open_house(ruins) as house:
        assert prices(house) == [("answered", "exact", False)] * 2 + [("orphaned", "unknown", False)]


async def test_a_journal_is_replayed_twice_without_harm(ruins: Path) -> None:
    """A process that was killed after the booking and before the clearing: each charge is there once, and as it was."""
    journal = journal_in(ruins).read_bytes()
    async with open_house(ruins) as house:
        charges, books = house.charges(), house.books()
    journal_in(ruins).write_bytes(journal)
    failed = alarmed("journal_not_booked")
    async with open_house(ruins) as house:
        assert (house.charges(), house.books()) == (charges, books)
    assert alarmed("journal_not_booked") == failed


async def test_a_record_of_an_unknown_hold_is_told_and_dropped(tmp_path: Path) -> None:
    """The store was put back from an older copy. A release of one that was perhaps never made is nothing to tell."""
    async with open_house(tmp_path):
        pass
    journal = Journal(journal_in(tmp_path), 65536)
    assert all(journal.append([Release("hold_never"), Capture("hold_gone", Result("answered", "exact", 5, 5, 5, 1))]))
    journal.close()
    before = alarmed("journal_not_booked")
    async with open_house(tmp_path) as house:
        assert house.charges() == []
        assert house.running.outage.records == 0
    assert alarmed("journal_not_booked") == before + 1
    rejected = journal_in(tmp_path).with_suffix(".rejected").read_text("utf-8")
    assert "hold_gone" in rejected, "kept for a person to look at"
    assert "hold_never" not in rejected


async def test_a_journal_of_another_ledger_is_left_alone(ruins: Path, tmp_path: Path) -> None:
    """Somebody changed `store.url` meanwhile: what waits for the ledger before is there when that one is back."""
    other = tmp_path / "other"
    other.mkdir()
    async with open_house(other):
        pass
    with apsw.Connection(str(other / "farebox.db")) as db:
        db.execute("UPDATE meta SET value = value + 1 WHERE name = 'store'")  # houses are made from one copy
    theirs = other / journal_in(ruins).name
    theirs.write_bytes(journal_in(ruins).read_bytes())
    async with open_house(other) as house:
        assert house.charges() == []
    assert theirs.read_bytes() == journal_in(ruins).read_bytes()


async def test_a_torn_record_is_told_and_what_lies_before_it_is_booked(ruins: Path) -> None:
    """The call behind the damage is charged whole, as if it had never been written."""
    before = alarmed("journal_damaged")
    with journal_in(ruins).open("r+b") as file:
        end = len(file.read().rstrip(b"\0"))
        file.seek(end - 40)
        file.write(b"torn")
    damaged = journal_in(ruins).read_bytes()
    async with open_house(ruins) as house:
        assert prices(house) == [("answered", "exact", False)] + [("orphaned", "unknown", False)] * 2
    kept = journal_in(ruins).with_suffix(".damaged")
    assert kept.read_bytes() == damaged, "as it was, for a person to look at"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert alarmed("journal_damaged") == before + 1
