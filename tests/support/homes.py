"""Where a store of a test lives: a SQLite file, or a PostgreSQL database whose time the test sets. The same words for both.

PostgreSQL's time is `clock_timestamp()`: a function of that name, in a schema that comes before the server's in the database's search path, is
found first, so that nothing in the store knows of it. Such databases are emptied and used again.
"""

import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import pytest

from farebox.clock import wall_clock
from farebox.store.database import Alarm, Entry, Place, Store
from farebox.store.opening import open_store
from farebox.store.postgres import PostgresStore
from farebox.store.postgres_connection import PostgresReads
from farebox.store.sqlite import SqliteStore
from farebox.store.sqlite_connection import connect_reader
from support import postgres

Rows = list[tuple[Any, ...]]
BOTH = ("sqlite", "postgres")
_DATED = """
CREATE SCHEMA dated;
CREATE TABLE dated.moment (fixed bigint, ahead bigint NOT NULL);
INSERT INTO dated.moment VALUES (NULL, 0);
CREATE FUNCTION dated.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT coalesce(timestamptz 'epoch' + fixed * interval '1 microsecond', pg_catalog.clock_timestamp()) + ahead * interval '1 microsecond'
  FROM dated.moment $$;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, dated, pg_catalog', current_database()); END $$"""
_UNDATED = "UPDATE dated.moment SET fixed = NULL, ahead = 0"
_spare: list[str] = []


class _KilledError(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class Home(ABC):
    """A store that is to be, and a view of its rows past every rule. Statements are written for both: parameters are `?`."""

    place: Place

    @abstractmethod
    def open(self, alarm: Alarm) -> Store:
        """A process's store."""

    @abstractmethod
    def rows(self, sql: str, *arguments: object) -> Rows:
        """What is committed."""

    @abstractmethod
    def tables(self) -> list[str]:
        """The names of all tables but that of migrations."""

    @abstractmethod
    def write(self, sql: str, *arguments: object) -> None:
        """Somebody writes into the store who is not to."""

    @abstractmethod
    def stand(self, now: int) -> None:
        """It is that moment, until it is another."""

    @abstractmethod
    def go(self, ahead: int) -> None:
        """Time goes by, and is so far ahead of the world's."""

    @abstractmethod
    def clock(self) -> int:
        """The moment that the ledger would decide at."""

    @abstractmethod
    def leave(self) -> None:
        """The rows are looked at no more, until they are."""

    @abstractmethod
    def killed(self, store: Store, entries: Sequence[Entry]) -> "Home":
        """A process is killed when it is about to commit these; the home where another one finds what it left."""

    def close(self) -> None:
        """The store is no longer needed."""
        self.leave()


class SqliteHome(Home):
    """A file."""

    def __init__(self, path: Path) -> None:
        self.place: Path = path
        self._fixed: int | None = None
        self._ahead = 0
        self._reader: apsw.Connection | None = None
        self._moves = count()

    def clock(self) -> int:
        return wall_clock() + self._ahead if self._fixed is None else self._fixed

    def open(self, alarm: Alarm) -> SqliteStore:
        return SqliteStore(self.place, clock=self.clock, alarm=alarm)

    def rows(self, sql: str, *arguments: object) -> Rows:
        if self._reader is None:
            self._reader = connect_reader(self.place)
        return list(self._reader.execute(sql, arguments))

    def tables(self) -> list[str]:
        found = self.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'migrations'")
        return sorted(row[0] for row in found if not row[0].startswith("sqlite_"))

    def write(self, sql: str, *arguments: object) -> None:
        writer = apsw.Connection(str(self.place))
        writer.execute(sql, arguments)
        writer.close()

    def stand(self, now: int) -> None:
        self._fixed = now

    def go(self, ahead: int) -> None:
        self._fixed, self._ahead = None, ahead

    def leave(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def killed(self, store: Store, entries: Sequence[Entry]) -> "SqliteHome":
        """The files as they are at this moment: whoever had them open does not know of these."""
        assert isinstance(store, SqliteStore)
        store._db.exec_trace = lambda _cursor, sql, _bindings: sql != "COMMIT"
        assert not any(isinstance(answer, tuple) for answer in store.decide(entries))
        new = self.place.with_name(f"{next(self._moves)}{self.place.name}")
        for ending in ("", "-wal"):
            if (source := self.place.with_name(self.place.name + ending)).exists():
                shutil.copyfile(source, new.with_name(new.name + ending))
        self.leave()
        home = SqliteHome(new)
        home._fixed, home._ahead = self._fixed, self._ahead
        return home


class PostgresHome(Home):
    """A database."""

    def __init__(self) -> None:
        self.place: str = _spare.pop() if _spare else _dated()
        self._reader = PostgresReads(self.place)

    def open(self, alarm: Alarm) -> Store:
        return open_store(self.place, alarm=alarm)

    def rows(self, sql: str, *arguments: object) -> Rows:
        numbers = count(1)
        numbered = re.sub(r"\?", lambda _: f"${next(numbers)}", sql)
        return [tuple(row) for row in self._reader._run(self._reader.connected().fetch(numbered, *arguments))]

    def tables(self) -> list[str]:
        found = self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migrations'")
        return sorted(row[0] for row in found)

    def write(self, sql: str, *arguments: object) -> None:
        self.rows(sql, *arguments)

    def stand(self, now: int) -> None:
        self.rows("UPDATE dated.moment SET fixed = ?", now)

    def go(self, ahead: int) -> None:
        self.rows("UPDATE dated.moment SET fixed = NULL, ahead = ?", ahead)

    def clock(self) -> int:
        return self._reader.now(wall_clock)

    def leave(self) -> None:
        self._reader.close()

    def killed(self, store: Store, entries: Sequence[Entry]) -> "PostgresHome":
        """The server rolls back what was not committed, and stays where it was."""
        assert isinstance(store, PostgresStore)
        database, script = store._db, store._db.script

        def killed(sql: str) -> None:
            if sql == "COMMIT":
                database.drop()
                raise _KilledError
            script(sql)

        database.script = killed  # type: ignore[method-assign]
        with suppress(_KilledError):  # where all is refused, there is no commit to die before
            store.decide(entries)
        return self

    def close(self) -> None:
        """Ends who is connected, and empties it for the next test."""
        self.leave()
        postgres.wait(postgres._run(self.place, postgres._DISCONNECT, postgres._EMPTY, _UNDATED))
        _spare.append(self.place)


def home_of(kind: str, folder: Path) -> Home:
    """A new one, of one of `BOTH`."""
    return SqliteHome(folder / "farebox.db") if kind == "sqlite" else PostgresHome()


def everything(home: Home) -> dict[str, Rows]:
    """All rows of all tables, in order. An empty window is none: PostgreSQL makes them before anything is decided."""
    found = {table: sorted(home.rows(f"SELECT * FROM {table}"), key=repr) for table in home.tables()}
    found["windows"] = [row for row in found["windows"] if any(row[2:])]
    return {table: rows for table, rows in found.items() if table not in ("leases", "meta")}


def _dated() -> str:
    url = postgres.migrated_database()
    postgres.wait(postgres._run(url, _DATED))
    return url


@pytest.fixture(params=BOTH)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """An empty store of either kind, for one test."""
    home = home_of(request.param, tmp_path)
    yield home
    home.close()


def at(url: str) -> PostgresHome:
    """A database that is there already, with the server's own time."""
    found = PostgresHome.__new__(PostgresHome)
    found.place, found._reader = url, PostgresReads(url)
    return found
