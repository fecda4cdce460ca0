"""Schema changes: numbered, never edited once released (their checksums are kept), each in a transaction of its own."""

from collections.abc import Mapping
from hashlib import sha256

import apsw

from farebox.clock import Clock
from farebox.errors import SettingsError
from farebox.store.rollups import series_id
from farebox.store.statements import migrations

_TABLE = """CREATE TABLE IF NOT EXISTS migrations (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"""


def migrate(connection: apsw.Connection, database: str, clock: Clock, *, through: int | None = None) -> list[str]:
    """Applies what is missing (up to a number) and returns its names. Refuses a store that a newer version made, or whose history differs."""
    connection.execute(_TABLE)
    connection.create_scalar_function("usage_series", series_id, 6, deterministic=True)
    applied = dict(connection.execute("SELECT number, checksum FROM migrations"))
    done = []
    for number, name, text, checksum in missing(database, applied, through):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(text)
        connection.execute("INSERT INTO migrations VALUES (?, ?, ?, ?)", (number, name, checksum, clock()))
        connection.execute("COMMIT")
        done.append(name)
    return done


def missing(database: str, applied: Mapping[int, str], through: int | None = None) -> list[tuple[int, str, str, str]]:
    """The schema changes that a store has not had, in order: number, name, SQL, checksum. `applied`: the checksums of those it has had."""
    known = [(number, name, text, sha256(text.encode()).hexdigest()) for number, name, text in migrations(database)]
    unknown = applied.keys() - {number for number, *_ in known}
    if unknown:
        raise SettingsError(problem=f"the store was made by a newer version of farebox (schema {max(unknown)}): use that one")
    for number, name, _, checksum in known:
        if applied.get(number, checksum) != checksum:
            raise SettingsError(problem=f"the schema change {name} of this store is not the one this version knows")
    return [change for change in known if change[0] not in applied and (through is None or change[0] <= through)]
