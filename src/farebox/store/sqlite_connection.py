"""Connections to one SQLite file, and named statements on them. Owns no rules: who may write is `sqlite.py`'s business."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from farebox.clock import Clock
from farebox.errors import LedgerUnavailable
from farebox.store.database import Row, TookTooLongError
from farebox.store.statements import statements

BUSY_MS = 10_000
_PROGRESS_STEPS = 200_000
_KNOWN_WINDOWS_MAX = 100_000
_STATEMENTS_KEPT = 256
"""apsw keeps what it compiled in a ring: each run of a statement, row by row, takes a place, and what was there is compiled again when it is next
asked for. As many as the rows of a large batch.
"""


def connect_reader(path: Path) -> apsw.Connection:
    """A connection that only reads, and never waits for the writer."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(BUSY_MS)
    connection.execute("PRAGMA query_only = 1; PRAGMA cache_size = -8000")
    return connection


def connect_writer(path: Path, vfs: str | None) -> apsw.Connection:
    """The connection that writes, for one thread at a time: SQLite takes no locks against others."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=_STATEMENTS_KEPT)
    connection.set_busy_timeout(BUSY_MS)
    return connection


class SqliteDatabase:
    """Named statements on one connection. Raises apsw's errors."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self._execute = connection.execute
        self.sql: Mapping[str, str] = statements("sqlite")

    def now(self, wall: Clock) -> int:
        """Time never goes back: not before what was decided last."""
        return max(wall(), *(int(row[0]) for row in self.rows("read_clock")), 0)

    def rows(self, name: str, *arguments: Any) -> Sequence[Row]:
        """All rows of a statement."""
        values = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], dict) else arguments
        return self._execute(self.sql[name], values).fetchall()

    def one(self, name: str, *arguments: Any) -> Any:
        """Its first row; None if there is none."""
        found = self.rows(name, *arguments)
        return found[0] if found else None

    def many(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs a statement once for each row of values."""
        self.connection.executemany(self.sql[name], rows)

    def select(self, sql: str, values: dict[str, Any]) -> Sequence[Row]:
        """Rows of a statement that was put together from named ones."""
        return self._execute(sql, values).fetchall()

    @contextmanager
    def snapshot(self, seconds_max: int | None = None) -> Iterator[None]:
        """All that is read within is of one commit, and takes no longer than it may."""
        if seconds_max is not None:
            give_up = time.monotonic() + seconds_max
            self.connection.set_progress_handler(lambda: time.monotonic() > give_up, _PROGRESS_STEPS)
        try:
            with self.connection:
                yield
        finally:
            self.connection.set_progress_handler(None)

    def close(self) -> None:
        self.connection.close()


class SqliteWriter(SqliteDatabase):
    """The same for the only writer, which remembers what windows there are: they are not made again. It is used by one thread, and done with a
    statement before it asks for the next: all of them share one cursor, because making one costs as much as running what is short.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)
        self._windows: set[Sequence[Any]] = set()
        self._take_cursor()

    def _take_cursor(self) -> None:
        cursor = self.connection.cursor()
        self._execute, self._execute_many = cursor.execute, cursor.executemany

    def begin(self) -> None:
        """Nobody else writes from here on."""
        self._execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """What was written is durable when this returns."""
        self._execute("COMMIT")

    def many(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs a statement once for each row of values."""
        if name == "make_window":
            rows = [ref for ref in rows if ref not in self._windows]
            if not rows:
                return
            if len(self._windows) > _KNOWN_WINDOWS_MAX:
                self._windows.clear()
            self._windows.update(rows)
        self._execute_many(self.sql[name], rows)

    def forget(self) -> None:
        """What was written last may not be there, and what was run last may not have ended."""
        self._windows.clear()
        self._take_cursor()


class SqliteReads(SqliteDatabase):
    """The same for whoever only reads: what goes wrong is said in the ledger's words."""

    def __init__(self, path: Path) -> None:
        super().__init__(connect_reader(path))

    def rows(self, name: str, *arguments: Any) -> Sequence[Row]:
        """All rows of a statement. Raises LedgerUnavailable."""
        try:
            return super().rows(name, *arguments)
        except apsw.InterruptError:
            raise TookTooLongError from None
        except apsw.Error as problem:
            raise LedgerUnavailable(problem=str(problem)) from problem

    def select(self, sql: str, values: dict[str, Any]) -> Sequence[Row]:
        """Rows of a statement that was put together from named ones. Raises LedgerUnavailable."""
        try:
            return super().select(sql, values)
        except apsw.InterruptError:
            raise TookTooLongError from None
        except apsw.Error as problem:
            raise LedgerUnavailable(problem=str(problem)) from problem

    @contextmanager
    def snapshot(self, seconds_max: int | None = None) -> Iterator[None]:
        """All that is read within is of one commit, and takes no longer than it may. Raises TookTooLongError."""
        try:
            with super().snapshot(seconds_max):
                yield
        except apsw.InterruptError:
            raise TookTooLongError from None
