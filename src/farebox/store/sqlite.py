"""The ledger on one SQLite file: one writer, everything waiting decided and committed together, fsync'd before anyone is answered.

Owns the file (a second process is refused by a lock beside it) and the writer's connection. Rows the writer has read or written stay
in memory until something goes wrong or there are too many: it is the only writer, so they are what the file says. Readers have their own
connections (`sqlite_connection.py`). Threads: every method is called from the writer's thread.
"""

import fcntl
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import apsw

from farebox.clock import US_PER_S, Clock, wall_clock
from farebox.errors import CommandRefused, LedgerUnavailable, SettingsError
from farebox.ledger import machine
from farebox.ledger.commands import Done, Outcome, PublishBook
from farebox.ledger.state import State
from farebox.store.database import Alarm, Answer, Entry, Row, Written
from farebox.store.deciding import Deciding
from farebox.store.loading import Loader
from farebox.store.migrate import migrate
from farebox.store.sqlite_connection import SqliteWriter, connect_writer
from farebox.store.writing import Changes

_KEPT_ROWS_MAX = 60_000
"""Of 12,000 active keys. Forgetting them after an admin command takes 8 ms (measured), during which nothing else runs."""
_CLOCK_JUMP_US = 60 * US_PER_S
_WAL_BYTES_MAX = 48 * 1024 * 1024
_CHECKPOINT_EVERY_BATCHES = 256


class SqliteStore(Deciding):
    """One file, one writer. `decide` takes entries (commands that belong together, in order) and answers each, after the commit."""

    _violations = (apsw.ConstraintError,)
    _outages = (apsw.Error,)

    def __init__(self, path: Path, *, clock: Clock = wall_clock, steady: Clock | None = None, alarm: Alarm, vfs: str | None = None) -> None:
        """`steady` tells how much time really passed between two batches; without it only a clock that goes back is noticed."""
        self.path = path
        self._clock = clock
        self._steady = steady
        self._seen = (clock(), steady()) if steady is not None else (0, 0)
        self._alarm = alarm
        self._lock = _lock(path)
        try:
            self._db = self._open(vfs)
        except SettingsError:
            os.close(self._lock)
            raise
        except (apsw.Error, OSError) as problem:
            os.close(self._lock)
            raise SettingsError(problem=f"the store {path} cannot be opened: {problem}") from problem
        self._statements = SqliteWriter(self._db)
        self._load = Loader(self._statements)
        self._last = int((self._statements.one("read_clock") or (0,))[0])
        self._kept = State(complete=False)
        self._batches = 0
        self._frames_max = _WAL_BYTES_MAX // int(self._db.pragma("page_size"))
        self._log = _Log(self._frames_max + 1)  # what an earlier process left is looked after at once
        self._db.set_wal_hook(self._log.grown)

    def _open(self, vfs: str | None) -> apsw.Connection:
        self.path.touch(mode=0o600)  # before SQLite makes it: the log beside it takes its mode
        self.path.chmod(0o600)
        connection = connect_writer(self.path, vfs)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "fullfsync = 1", "foreign_keys = 0", "cache_size = -16000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        migrate(connection, "sqlite", self._clock)
        return connection

    def close(self) -> None:
        """Checkpoints, closes the file and gives up the lock."""
        self._db.close()
        os.close(self._lock)

    # --- deciding ------------------------------------------------------------------------------------------------------------

    def _transact_alone(self, entry: Entry) -> Answer:
        """Each command on its own rows, read when its turn comes; all of them in one transaction."""
        self._statements.begin()
        now = self._now()
        outcomes = self._decide_alone(entry, now)
        self._statements.commit()
        self._kept = State(complete=False)
        return outcomes

    def _decide_alone(self, entry: Entry, now: int) -> tuple[Outcome, ...]:
        outcomes: list[Outcome] = []
        for asked in entry:
            state, changes = State(complete=False), Changes()
            (command,) = self._load.all(state, [asked], now)
            outcome, deltas = machine.decide(state, command, now)
            changes.add(deltas)
            self._write(changes, now)
            outcomes.append(outcome)
        return tuple(outcomes)

    def _transact(self, entries: list[Entry]) -> list[Answer]:
        state = self._kept
        self._statements.begin()
        now = self._now()
        commands = self._load.hot(state, [command for entry in entries for command in entry], now)
        changes = Changes()
        answers = self._decide_all(state, entries, commands, now, changes)
        self._write(changes, now)
        self._statements.commit()
        if changes.revised or self._load.rows(state) > _KEPT_ROWS_MAX:
            self._kept = State(complete=False)
        else:
            changes.settle(state)
        return answers

    def _write(self, changes: Changes, now: int) -> None:
        if changes.write(self._statements, now):
            self._statements.many("write_clock", [(now,)])

    def _now(self) -> int:
        """Time never goes back, whatever the machine's clock does; a jump is told to whoever watches."""
        wall = self._clock()
        if wall < self._last - _CLOCK_JUMP_US:
            self._alarm("clock_went_back", by_us=self._last - wall)
        if self._steady is not None:
            seen, self._seen = self._seen, (wall, self._steady())
            ahead = wall - max(seen[0], self._last) - (self._seen[1] - seen[1])
            if ahead > _CLOCK_JUMP_US:
                self._alarm("clock_went_ahead", by_us=ahead)
        self._last = max(self._last, wall)
        return self._last

    def _forget(self) -> None:
        """After a failure only the file knows what is true."""
        self._kept = State(complete=False)
        self._statements.forget()
        if self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except apsw.Error as problem:
                self._alarm("rollback_failed", problem=str(problem))

    # --- work that is not a command ---------------------------------------------------------------------------------------------

    def write(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs one named statement for each row, in one transaction: price rows, heartbeats, admin keys. Never money."""
        try:
            with self._db:
                self._statements.many(name, rows)
        except apsw.Error as problem:
            self._forget()
            raise LedgerUnavailable(problem=str(problem)) from problem

    def publish(self, owner: str, writes: Sequence[Written], command: PublishBook) -> Outcome:
        """Writes rows of the price book and decides the command that makes them count, in one transaction."""
        del owner
        try:
            self._statements.begin()
            for name, gathered in writes:
                self._statements.many(name, gathered)
            (outcome,) = self._decide_alone((command,), self._now())
            if not isinstance(outcome, Done):
                raise CommandRefused("not_published", f"this version of the price book could not be published: {outcome}")
            self._statements.commit()
        except apsw.Error as problem:
            raise LedgerUnavailable(problem=str(problem)) from problem
        finally:
            self._forget()
        return outcome

    def lease(self, name: str, owner: str, seconds: int) -> bool:
        """There is no other process."""
        del name, owner, seconds
        return True

    def claim(self, name: str, *arguments: Any) -> Sequence[Row]:
        """Runs one named statement that takes rows for whoever asks, and gives them. Raises LedgerUnavailable."""
        try:
            with self._db:
                found = self._statements.rows(name, *arguments)
        except apsw.Error as problem:
            self._forget()
            raise LedgerUnavailable(problem=str(problem)) from problem
        return found

    def tidy(self, *, idle: bool) -> None:
        """Copies the log into the file now and then while the writer has nothing better to do, or when the log is getting long."""
        self._batches += 1
        if self._log.frames > self._frames_max or (idle and self._batches >= _CHECKPOINT_EVERY_BATCHES):
            self._batches = 0
            self.checkpoint()

    def checkpoint(self) -> None:
        """Copies the log into the file. Once all of it is there and nobody reads it, the next commit begins it anew."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._log.frames = 0


class _Log:
    """How long SQLite's log is. Knows nothing of the store: the connection keeps it, and a circle would close late, on any thread."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        """After the last commit: pages in it that may not be in the file yet."""

    def grown(self, _connection: apsw.Connection, _name: str, frames: int) -> int:
        """SQLite says so after every commit."""
        self.frames = frames
        return apsw.SQLITE_OK


def _lock(path: Path) -> int:
    """The lock that makes this process the only one on the file, until it ends (however it ends)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
        os.close(handle)
        raise SettingsError(
            problem=f"the store {path} is in use by process {holder or 'unknown'}: SQLite serves one process; talk to that one over its API"
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle
