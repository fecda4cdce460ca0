"""A disk that is full, or broken, at any write or sync: what was answered is there, what was not is not half there, and it goes on after."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from farebox.errors import LedgerUnavailable
from farebox.ledger.commands import Authorized, Command, Gate, Settled
from farebox.store.database import Answer
from farebox.store.sqlite import SqliteStore
from farebox.store.verify import verify
from store.disk import FailingDisk
from store.till import capture, first_commands, gate_of, hold

# A disk that fails twice within one call of SQLite has told its second failure to nobody; that is not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
MONEY = 10_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FailingDisk]:
    disk = FailingDisk(f"failing {tmp_path}")
    yield disk
    disk.unregister()


class Counter:
    """A store on the failing disk, and all it ever answered."""

    def __init__(self, path: Path, disk: FailingDisk) -> None:
        self.path = path
        self.alarms: list[str] = []
        self.store = SqliteStore(path, alarm=lambda name, **_: self.alarms.append(name), vfs=disk.name)
        self.store.decide([(command,) for command in first_commands(MONEY)])
        self.gate: Gate = gate_of(path)
        self.held: set[str] = set()
        self.charged: dict[str, int] = {}

    def ask(self, *commands: Command) -> list[Answer]:
        """All in one batch. What is answered is written down."""
        answers = self.store.decide([(command,) for command in commands])
        for answer in answers:
            if not isinstance(answer, tuple):
                assert isinstance(answer, LedgerUnavailable)
            elif isinstance(answer[0], Authorized):
                self.held.add(answer[0].hold.id)
            elif isinstance(answer[0], Settled):
                self.charged[answer[0].charge.hold_id] = answer[0].charge.price
        return answers

    def check(self) -> None:
        """As somebody finds it who opens the files: the books add up, and whatever was answered is in them."""
        verdict = verify(self.path)
        assert verdict.ok, verdict.findings
        reader = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        holds = {row[0] for row in reader.execute("SELECT id FROM holds")}
        charges = dict(list(reader.execute("SELECT hold_id, price FROM charges")))
        reader.close()
        assert self.held <= holds
        assert self.charged.items() <= charges.items()


@pytest.mark.parametrize("problem", [apsw.FullError, apsw.IOError])
@pytest.mark.parametrize("operation", ["write", "sync"])
def test_a_disk_that_fails_loses_nothing_that_was_answered(
    tmp_path: Path, disk: FailingDisk, problem: type[apsw.Error], operation: str
) -> None:
    """At each write and each sync of a batch in turn. With space again the store works on, without a restart; the same ids may come again."""
    counter = Counter(tmp_path / "farebox.db", disk)
    answered = failed = 0
    for after in range(0, 100, 6) if operation == "write" else range(12):
        disk.fail(problem, after=after, operation=operation)
        names: list[str] = []
        for number in range(3):
            names = [f"{after}-{number}-{letter}" for letter in "abc"]
            answers = counter.ask(*(hold(counter.gate, name, 10) for name in names), *(capture(name, 5) for name in names))
            answered += sum(isinstance(answer, tuple) for answer in answers)
            failed += sum(not isinstance(answer, tuple) for answer in answers)
        disk.heal()
        again = counter.ask(*(hold(counter.gate, name, 10) for name in names), *(capture(name, 5) for name in names))
        assert all(isinstance(answer, tuple) for answer in again)
        counter.check()
    assert answered
    assert failed
    assert "ledger_unavailable" in counter.alarms
    counter.store.close()
    SqliteStore(counter.path, alarm=print).close()
    counter.check()


@pytest.mark.parametrize("after", range(6))
def test_a_checkpoint_that_fails_loses_nothing(tmp_path: Path, disk: FailingDisk, after: int) -> None:
    """The log is still there; the next checkpoint copies it."""
    counter = Counter(tmp_path / "farebox.db", disk)
    counter.ask(*(hold(counter.gate, f"h{number}", 10) for number in range(50)))
    disk.fail(apsw.FullError, after=after)
    if after < 3:
        with pytest.raises(apsw.Error):
            counter.store.checkpoint()
    else:
        counter.store._db.execute("SELECT 1")
    disk.heal()
    counter.ask(*(capture(f"h{number}", 7) for number in range(50)))
    counter.store.checkpoint()
    counter.check()
    counter.store.close()
    counter.check()


def test_a_full_disk_refuses_new_holds_and_answers_refusals(tmp_path: Path, disk: FailingDisk) -> None:
    """Fail closed: no hold, no call. What needs no row (an exhausted key) is still told."""
    counter = Counter(tmp_path / "farebox.db", disk)
    disk.fail(apsw.FullError, after=0)
    (refused,) = counter.ask(hold(counter.gate, "too much", MONEY + 1))
    assert isinstance(refused, tuple)
    (unavailable,) = counter.ask(hold(counter.gate, "a", 1))
    assert isinstance(unavailable, LedgerUnavailable)
    disk.heal()
    (held,) = counter.ask(hold(counter.gate, "a", 1))
    assert isinstance(held, tuple)
    counter.store.close()
    counter.check()


def test_a_store_that_cannot_be_made_says_so(tmp_path: Path, disk: FailingDisk) -> None:
    """And gives up its lock, so that it can be made once there is space."""
    disk.fail(apsw.FullError, after=2)
    path = tmp_path / "farebox.db"
    with pytest.raises(Exception, match="cannot be opened"):
        SqliteStore(path, alarm=print, vfs=disk.name)
    disk.heal()
    SqliteStore(path, alarm=print, vfs=disk.name).close()
