"""The ledger on one SQLite file: one writer, everything waiting decided and committed together, fsync'd before anyone is answered.

Owns the file (a second process is refused by a lock beside it) and the writer's connection. Rows the writer has read or written stay
in memory until something goes wrong or there are too many: it is the only writer, so they are what the file says. Readers have their own
connections (`connect_reader`). Threads: every method but `connect_reader` is called from the writer's thread.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import apsw

from farebox.clock import US_PER_S, Clock, wall_clock
from farebox.errors import FareboxError, LedgerUnavailable, SettingsError, StoreError
from farebox.ledger import machine
from farebox.ledger.commands import Command, Outcome
from farebox.ledger.state import State
from farebox.store.loading import Loader
from farebox.store.migrate import migrate
from farebox.store.statements import statements
from farebox.store.writing import Changes

Entry = tuple[Command, ...]
Answer = tuple[Outcome, ...] | FareboxError
Alarm = Callable[..., None]
_FAULTS = (ArithmeticError, LookupError, TypeError, ValueError)

_KEPT_ROWS_MAX = 60_000
"""Of 12,000 active keys. Forgetting them after an admin command takes 8 ms (measured), during which nothing else runs."""
_CLOCK_JUMP_US = 60 * US_PER_S
_WAL_BYTES_MAX = 48 * 1024 * 1024
_BUSY_MS = 10_000


def connect_reader(path: Path) -> apsw.Connection:
    """A connection that only reads, and never waits for the writer."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(_BUSY_MS)
    connection.execute("PRAGMA query_only = 1; PRAGMA cache_size = -8000")
    return connection


class SqliteStore:
    """One file, one writer. `decide` takes entries (commands that belong together, in order) and answers each, after the commit."""

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
        self._sql = statements("sqlite")
        self._load = Loader(self._db, self._sql)
        self._last = int(next(iter(self._db.execute(self._sql["read_clock"])), (0,))[0])
        self._kept = State(complete=False)

    def _open(self, vfs: str | None) -> apsw.Connection:
        self.path.touch(mode=0o600)  # before SQLite makes it: the log beside it takes its mode
        self.path.chmod(0o600)
        connection = apsw.Connection(str(self.path), vfs=vfs) if vfs else apsw.Connection(str(self.path))
        connection.set_busy_timeout(_BUSY_MS)
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

    def decide(self, entries: Sequence[Entry]) -> list[Answer]:
        """Decides entries in order; answers when they are durable. Hot ones share one transaction, each admin entry has its own."""
        answers: list[Answer] = []
        group: list[Entry] = []
        for entry in entries:
            if all(machine.is_hot(command) for command in entry):
                group.append(entry)
                continue
            answers += self._decide_group(group)
            group = []
            answers += self._decide_group([entry], alone=True)
        return answers + self._decide_group(group)

    def _decide_group(self, entries: list[Entry], *, alone: bool = False) -> list[Answer]:
        if not entries:
            return []
        try:
            return [self._transact_alone(entry) for entry in entries] if alone else self._transact(entries, self._kept)
        except (apsw.ConstraintError, *_FAULTS) as problem:
            self._forget()
            if len(entries) > 1:
                return [answer for entry in entries for answer in self._decide_group([entry], alone=alone)]
            return [self._fault(entries[0], problem)]
        except apsw.Error as problem:
            self._forget()
            self._alarm("ledger_unavailable", problem=str(problem))
            return [LedgerUnavailable(problem=str(problem))] * len(entries)
        except BaseException:
            self._forget()
            raise

    def _fault(self, entry: Entry, problem: Exception) -> StoreError:
        """An entry that cannot be decided or written, found by itself: nothing of it stays."""
        names = ", ".join(type(command).__name__ for command in entry)
        if isinstance(problem, apsw.ConstraintError):
            self._alarm("guarantee_violated", problem=str(problem), commands=names)
            return StoreError(problem=f"a guarantee would not hold: {problem}")
        self._alarm("command_failed", command=names, problem=repr(problem))
        return StoreError(problem=f"{names} could not be decided: {problem!r}")

    def _transact_alone(self, entry: Entry) -> Answer:
        """Each command on its own rows, read when its turn comes; all of them in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        now = self._now()
        outcomes: list[Outcome] = []
        for asked in entry:
            state, changes = State(complete=False), Changes(self._sql)
            (command,) = self._load.all(state, [asked], now)
            outcome, deltas = machine.decide(state, command, now)
            changes.add(deltas)
            changes.write(self._db, now)
            outcomes.append(outcome)
        self._db.execute("COMMIT")
        self._kept = State(complete=False)
        return tuple(outcomes)

    def _transact(self, entries: list[Entry], state: State) -> list[Answer]:
        self._db.execute("BEGIN IMMEDIATE")
        now = self._now()
        commands = self._load.hot(state, [command for entry in entries for command in entry], now)
        changes = Changes(self._sql)
        answers: list[Answer] = []
        at = 0
        for entry in entries:
            answers.append(self._decide_entry(state, commands[at : at + len(entry)], now, changes))
            at += len(entry)
        changes.write(self._db, now)
        self._db.execute("COMMIT")
        if changes.revised or self._load.rows(state) > _KEPT_ROWS_MAX:
            self._kept = State(complete=False)
        else:
            changes.settle(state)
        return answers

    def _decide_entry(self, state: State, commands: Iterable[Command], now: int, changes: Changes) -> Answer:
        """A fault in an entry's first command fails it alone: nothing was applied, because rules only return what would change.
        One in a later command takes back what the entry did so far: everything is decided again, one entry at a time.
        """
        outcomes: list[Outcome] = []
        for command in commands:
            try:
                outcome, deltas = machine.decide(state, command, now)
            except _FAULTS as problem:
                if outcomes:
                    raise
                return self._fault((command,), problem)
            state.apply(deltas)
            changes.add(deltas)
            outcomes.append(outcome)
        return tuple(outcomes)

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
                self._db.executemany(self._sql[name], rows)
        except apsw.Error as problem:
            self._forget()
            raise LedgerUnavailable(problem=str(problem)) from problem

    def checkpoint(self) -> None:
        """Copies the log into the file while the writer has nothing better to do, or when the log is getting long."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def log_is_long(self) -> bool:
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size > _WAL_BYTES_MAX
        except FileNotFoundError:
            return False


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
