"""A PostgreSQL store's rows, for a copy of it; a database filled with such rows; and its schema brought up to date. Owns no rules.

Everything here runs on a connection and a loop of its own, in one transaction, for as long as it takes.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import asyncpg

from farebox.clock import to_rfc3339
from farebox.errors import SettingsError
from farebox.store.database import Row, shown
from farebox.store.portable import Kind, Source, Table, carried, insert_order, tables_of, views_of
from farebox.store.postgres_connection import LOST, PostgresDatabase, open_connection, said
from farebox.store.postgres_migrate import apply, begin, migrate
from farebox.store.verify import Verdict, checked

_KINDS: dict[str, Kind] = {"text": "text", "bigint": "integer", "bytea": "bytes"}
_ROWS_AT_ONCE = 2000
_PATIENT = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL synchronous_commit = on"
_COLUMNS = """SELECT c.relname, a.attname, format_type(a.atttypid, NULL)
  FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE pg_table_is_visible(c.oid) AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum"""
_LAST_PRICE = "SELECT setval(pg_get_serial_sequence('prices', 'id'), max(id)) FROM prices HAVING max(id) IS NOT NULL"
_HEARD_S = "SELECT ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint - max(heartbeat_at)) / 1000000 FROM processes"
_OTHERS = """SELECT count(*) FROM pg_stat_activity
  WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""


class _Connection(PostgresDatabase):
    """A connection that also moves whole tables."""

    def __init__(self, connection: "asyncpg.Connection[Any]", run: Any) -> None:
        super().__init__(connection, run)
        self.place = ""

    def all_rows(self, sql: str) -> Iterator[Row]:
        """Rows of a statement, a few thousand in memory at a time."""
        cursor = self._run(self._cursor(sql))
        while found := self._run(cursor.fetch(_ROWS_AT_ONCE)):
            yield from found

    async def _cursor(self, sql: str) -> Any:
        return await self.connected().cursor(sql)

    def copy_in(self, table: Table, rows: Iterator[Row]) -> None:
        """Puts rows into a table."""
        self._run(self.connected().copy_records_to_table(table.name, records=rows, columns=list(table.columns)))

    def columns(self) -> dict[str, dict[str, str]]:
        """The tables and views that names find here, and their columns with their types."""
        found: dict[str, dict[str, str]] = {}
        for table, column, kind in self.select(_COLUMNS, {}):
            found.setdefault(table, {})[column] = kind
        return found


class PostgresRows:
    """What a connection reads within one snapshot."""

    def __init__(self, db: _Connection) -> None:
        self._db = db
        there = db.columns()
        if "migrations" not in there:
            raise SettingsError(problem=f"there is no ledger in {db.place} yet")
        self.schema = int(db.select("SELECT max(number) FROM migrations", {})[0][0])
        self.moment = db.now(lambda: 0)
        self.tables = [Table(name, {column: _KINDS[kind] for column, kind in there[name].items()}) for name in carried() if name in there]

    def rows(self, table: Table) -> Iterator[Row]:
        """All rows of a table. Raises SettingsError."""
        names = ", ".join(f'"{name}"' for name in table.columns)
        return self._db.all_rows(f"SELECT {names} FROM {table.name}")  # noqa: S608 - names of our own schema

    def verify(self) -> Verdict:
        """What verify says of that moment."""
        return checked(self._db)


class Loaded(NamedTuple):
    """A ledger that was put into a database: what verify says of it, and the schema that has what was there before."""

    verdict: Verdict
    kept: str | None


@contextmanager
def _connected(url: str) -> Iterator[_Connection]:
    """A connection. What is not committed when it is left is not there. Raises SettingsError for whatever goes wrong with it."""
    loop = asyncio.new_event_loop()
    db = None
    try:
        connection = loop.run_until_complete(open_connection(url, prepare=False, seconds_max=None))
        db = _Connection(connection, loop.run_until_complete)
        db.place = shown(url)
        yield db
    except asyncpg.LockNotAvailableError:
        raise SettingsError(problem=f"others are using what has to change in {shown(url)}: try again") from None
    except (*LOST, asyncpg.PostgresError, ValueError) as problem:
        raise SettingsError(problem=f"the store {shown(url)}: {said(problem)}") from None
    finally:
        if db is not None:
            db.close()
        loop.run_until_complete(asyncio.sleep(0))  # a connection that was cut off is closed in the loop's next round
        loop.close()


def upgrade(url: str) -> list[str]:
    """Applies what the schema has not had, also while gateways run, and returns its names. Raises SettingsError."""
    with _connected(url) as db:
        return migrate(db)


@contextmanager
def read(url: str) -> Iterator[PostgresRows]:
    """A store's rows, all of one moment, also while gateways write. Raises SettingsError."""
    with _connected(url) as db, db.snapshot():
        db.script(_PATIENT)
        yield PostgresRows(db)


def load(url: str, source: Source, *, aside: bool, silent_s: int) -> Loaded:
    """Puts a ledger into a database that has none, in one transaction, and verifies it. Raises SettingsError.

    `aside`: a ledger that is there is kept, in a schema of its own. One that somebody is connected to, and was at work on within `silent_s`, is never touched.
    """
    with _connected(url) as db:
        begin(db)
        db.script(_PATIENT)
        kept = _make_room(db, aside=aside, silent_s=silent_s)
        apply(db, source.schema)
        columns = {name: set(those) for name, those in db.columns().items()}
        for table in insert_order(source, columns):
            db.copy_in(table, source.rows(table))
        db.select(_LAST_PRICE, {})
        apply(db)
        verdict = checked(db)
        if verdict.ok:
            db.script("COMMIT")
            db.script(f"ANALYZE {', '.join(tables_of('postgres'))}")
    return Loaded(verdict, kept)


def _make_room(db: _Connection, *, aside: bool, silent_s: int) -> str | None:
    """Takes away tables of ours that are empty; those that are not go to another schema, whose name is returned."""
    there = db.columns()
    ours = [name for name in ("migrations", *tables_of("postgres")) if name in there]
    if not ours:
        return None
    db.script(f"LOCK TABLE {', '.join(ours)} IN ACCESS EXCLUSIVE MODE")
    (heard,) = db.select(_HEARD_S, {})[0] if "processes" in ours else (None,)
    if heard is not None and heard < silent_s and db.select(_OTHERS, {})[0][0]:
        raise SettingsError(problem=f"a gateway was at work on {db.place} {heard} s ago: stop that one first")
    views = [name for name in views_of("postgres") if name in there]
    if not any(db.select(f"SELECT FROM {name} LIMIT 1", {}) for name in carried() if name in there):
        db.script("; ".join([*(f"DROP VIEW {name}" for name in views), f"DROP TABLE {', '.join(ours)}"]))
        return None
    if not aside:
        raise SettingsError(problem=f"{db.place} has a ledger already: name an empty database, or say --replace, which keeps it aside")
    name = f"farebox_before_{to_rfc3339(db.now(lambda: 0))[:19].replace(':', '').replace('-', '').lower()}"
    moved = [*(f"ALTER VIEW {view} SET SCHEMA {name}" for view in views), *(f"ALTER TABLE {table} SET SCHEMA {name}" for table in ours)]
    db.script("; ".join([f"CREATE SCHEMA {name}", *moved]))
    return name
