"""A SQLite store's rows, for a copy of another kind; and a new SQLite store made of such rows. Owns neither the ledger's meaning nor its file."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from farebox.clock import Clock
from farebox.errors import SettingsError
from farebox.store import copies
from farebox.store.database import Row
from farebox.store.migrate import migrate
from farebox.store.portable import Kind, Source, Table, carried, insert_order
from farebox.store.sqlite_connection import SqliteDatabase, connect_reader
from farebox.store.statements import migrations
from farebox.store.verify import Verdict, checked

_KINDS: dict[str, Kind] = {"TEXT": "text", "INTEGER": "integer", "BLOB": "bytes"}


class SqliteRows:
    """What a connection reads within one snapshot."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._db = SqliteDatabase(connection)
        self.schema = max(number for (number,) in connection.execute("SELECT number FROM migrations"))
        self.moment = self._db.now(lambda: 0)
        self.tables = [Table(name, _columns(connection, name)) for name in carried() if _columns(connection, name)]

    def rows(self, table: Table) -> Iterator[Row]:
        """All rows of a table. Raises SettingsError."""
        try:
            yield from self._connection.execute(f"SELECT {_names(table)} FROM {table.name}")  # noqa: S608 - names of our own schema
        except (apsw.Error, UnicodeDecodeError) as problem:
            raise SettingsError(problem=f"{table.name} cannot be read: {problem}") from None

    def verify(self) -> Verdict:
        """What verify says of that moment."""
        return checked(self._db)


def _columns(connection: apsw.Connection, table: str) -> dict[str, Kind]:
    return {name: _KINDS[kind] for name, kind in connection.execute("SELECT name, type FROM pragma_table_info(?)", (table,))}


def _names(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in table.columns)


@contextmanager
def read(path: Path) -> Iterator[SqliteRows]:
    """A store's rows, of one moment, also while a gateway writes. Raises SettingsError for what is no store."""
    if not copies.schema_of(path):
        raise SettingsError(problem=f"{path} is not a store of farebox")
    with closing(connect_reader(path)) as connection, connection:
        yield SqliteRows(connection)


@contextmanager
def read_upgraded(path: Path, clock: Clock) -> Iterator[SqliteRows]:
    """The same, as this version would have it; a store of an older one is not touched, but a copy of it is. Raises SettingsError."""
    newest = migrations("sqlite")[-1][1]
    if copies.schema_of(path)[-1:] == [newest]:
        with read(path) as source:
            yield source
        return
    with TemporaryDirectory(prefix=".farebox-", dir=path.absolute().parent) as folder:
        copy = Path(folder, "upgraded.db")
        copies.copy(path, copy)
        with closing(apsw.Connection(str(copy))) as connection:
            migrate(connection, "sqlite", clock)
        with read(copy) as source:
            yield source


def make(path: Path, source: Source, clock: Clock) -> None:
    """Makes a store of a source's rows, with this version's schema. Durable when this returns. Raises SettingsError; then it is not there."""
    copies.drop(path)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(apsw.Connection(str(path))) as connection:
            migrate(connection, "sqlite", clock, through=source.schema)
            with connection:
                _fill(connection, source)
            migrate(connection, "sqlite", clock)
    except (apsw.Error, OverflowError) as problem:
        copies.drop(path)
        raise SettingsError(problem=f"the backup cannot be put into {path}: {problem}") from None
    except BaseException:
        copies.drop(path)
        raise
    copies.sync(path)


def _fill(connection: apsw.Connection, source: Source) -> None:
    """All rows, and the ledger's time: a file's own clock goes on from there."""
    columns = {name: set(_columns(connection, name)) for name in carried()}
    for table in insert_order(source, columns):
        places = ", ".join("?" * len(table.columns))
        into = f"INSERT INTO {table.name} ({_names(table)}) VALUES ({places})"  # noqa: S608 - names of our own schema
        connection.executemany(into, source.rows(table))
    SqliteDatabase(connection).many("write_clock", [(source.moment,)])
