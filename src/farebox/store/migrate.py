"""Schema changes: numbered, never edited once released (their checksums are kept), each in a transaction of its own."""

from hashlib import sha256

import apsw

from farebox.clock import Clock
from farebox.errors import SettingsError
from farebox.store.statements import migrations

_TABLE = """CREATE TABLE IF NOT EXISTS migrations (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"""


def migrate(connection: apsw.Connection, database: str, clock: Clock) -> list[str]:
    """Applies what is missing and returns its names. Refuses a store that a newer version made, or whose history differs."""
    connection.execute(_TABLE)
    applied = {number: (name, checksum) for number, name, checksum in connection.execute("SELECT number, name, checksum FROM migrations")}
    known = migrations(database)
    unknown = applied.keys() - {number for number, _, _ in known}
    if unknown:
        raise SettingsError(problem=f"the store was made by a newer version of farebox (schema {max(unknown)}): use that one")
    done = []
    for number, name, text in known:
        checksum = sha256(text.encode()).hexdigest()
        if number in applied:
            if applied[number][1] != checksum:
                raise SettingsError(problem=f"the schema change {name} of this store is not the one this version knows")
            continue
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(text)
        connection.execute("INSERT INTO migrations VALUES (?, ?, ?, ?)", (number, name, checksum, clock()))
        connection.execute("COMMIT")
        done.append(name)
    return done
