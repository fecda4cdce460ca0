"""A store as one file that is of no database in particular: what `farebox db backup --portable` writes, and a PostgreSQL store's backup.

A zip. `<table>.jsonl` has a table's rows, each a JSON array in the order of its columns, bytes in base64. `manifest.json`, written last, says
which schema change the rows are of, when, and of each table its columns, how many rows it has and the SHA-256 of them. A file that was not
written to its end is no zip. Owns that form; where rows come from and go to are `sqlite_rows.py` and `postgres_rows.py`.
"""

import io
import os
import re
import zipfile
import zlib
from base64 import b64decode
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Protocol, Self, cast

import msgspec

from farebox import __version__
from farebox.errors import SettingsError
from farebox.store.database import Row
from farebox.store.statements import migrations

Kind = Literal["text", "integer", "bytes"]
_MAGIC = b"PK"
_MANIFEST = "manifest.json"
_FORMAT = 1
_TABLE = re.compile(r"^CREATE TABLE (?:IF NOT EXISTS )?(\w+)", re.MULTILINE)
_VIEW = re.compile(r"^CREATE VIEW (\w+)", re.MULTILINE)
_NOT_CARRIED = {"processes", "leases"}
"""Who was at work then is not at work on the copy: what they held open is theirs no longer."""
_BUFFER = 1 << 20
_DAMAGE = (zipfile.BadZipFile, zlib.error, KeyError, EOFError, RuntimeError)
"""What reading a zip raises: the last of one that is packed, or locked, in a way that we do not use."""
_encode = msgspec.json.Encoder().encode
_row = msgspec.json.Decoder(list[Any]).decode


class Table(msgspec.Struct, frozen=True):
    """A table's name and its columns, by name."""

    name: str
    columns: dict[str, Kind]


class Source(Protocol):
    """A ledger's rows, all of one moment."""

    @property
    def schema(self) -> int:
        """The number of the last schema change that it has had."""
        ...

    @property
    def moment(self) -> int:
        """The ledger's time."""
        ...

    @property
    def tables(self) -> Sequence[Table]: ...

    def rows(self, table: Table) -> Iterator[Row]:
        """All rows of a table, values in the order of its columns. Raises SettingsError."""
        ...


class _Part(msgspec.Struct, frozen=True):
    name: str
    columns: dict[str, Kind]
    rows: int
    sha256: str


class _Manifest(msgspec.Struct, frozen=True):
    format: int
    farebox: str
    schema: int
    moment: int
    tables: list[_Part]


_manifest = msgspec.json.Decoder(_Manifest).decode


def is_one(path: Path) -> bool:
    """Whether a file looks like such a copy. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


@cache
def tables_of(database: str) -> list[str]:
    """The tables that a kind of store has, in the order that they are made in."""
    return [name for _, _, text in migrations(database) for name in _TABLE.findall(text)]


def views_of(database: str) -> list[str]:
    """The views that a kind of store has."""
    return [name for _, _, text in migrations(database) for name in _VIEW.findall(text)]


def carried() -> list[str]:
    """The tables that are copied: every one that both kinds of store have, but those that are about processes."""
    here = set(tables_of("postgres"))
    return [name for name in tables_of("sqlite") if name in here and name not in _NOT_CARRIED]


def insert_order(source: Source, columns: dict[str, set[str]]) -> list[Table]:
    """A source's tables, for a store with these columns. Raises SettingsError when one has what the other has no place for."""
    if source.schema > max(migrations(database)[-1][0] for database in ("sqlite", "postgres")):
        raise SettingsError(problem=f"the backup was made by a newer version of farebox (schema {source.schema}): use that one")
    for table in source.tables:
        if columns.get(table.name) != set(table.columns):
            raise SettingsError(problem=f"the table {table.name} of this backup is not the one that this version knows")
    return list(source.tables)


def write(path: Path, source: Source) -> None:
    """Writes a source's rows into a new file that only its owner can read. Durable when this returns. Raises SettingsError, OSError."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    with os.fdopen(handle, "w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            parts = [_write_table(archive, source, table) for table in source.tables]
            manifest = _Manifest(_FORMAT, __version__, source.schema, source.moment, parts)
            archive.writestr(_MANIFEST, msgspec.json.format(_encode(manifest)))
        file.flush()
        os.fsync(file.fileno())


def _write_table(archive: zipfile.ZipFile, source: Source, table: Table) -> _Part:
    count, digest = 0, sha256()
    with (
        archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as out,
        io.BufferedWriter(cast("io.RawIOBase", out), _BUFFER) as buffered,
    ):
        for row in source.rows(table):
            line = _encode(list(row)) + b"\n"
            digest.update(line)
            buffered.write(line)
            count += 1
    return _Part(table.name, table.columns, count, digest.hexdigest())


class Backup:
    """Such a file, read. A context."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile:
            raise self._broken("it is not whole") from None
        try:
            manifest = _manifest(self._archive.read(_MANIFEST))
        except (*_DAMAGE, msgspec.MsgspecError):
            self.close()
            raise self._broken("its manifest cannot be read") from None
        if manifest.format != _FORMAT:
            self.close()
            raise SettingsError(problem=f"the backup {path} was made by a newer version of farebox ({manifest.farebox}): use that one")
        self.schema = manifest.schema
        self.moment = manifest.moment
        self._parts = {part.name: part for part in manifest.tables}
        self.tables: Sequence[Table] = [Table(part.name, part.columns) for part in manifest.tables]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._archive.close()

    def _broken(self, why: str) -> SettingsError:
        return SettingsError(problem=f"{self._path} is not a backup of farebox, or a damaged one: {why}")

    def check(self) -> None:
        """Reads it all. Raises SettingsError when something of it is not as it was written."""
        for table in self.tables:
            deque(self.rows(table), maxlen=0)

    def rows(self, table: Table) -> Iterator[Row]:
        """All rows of a table, as they were written. Raises SettingsError, at the latest after the last."""
        part, count, digest = self._parts[table.name], 0, sha256()
        packed = [index for index, kind in enumerate(table.columns.values()) if kind == "bytes"]
        try:
            with self._archive.open(f"{table.name}.jsonl") as file:
                for line in io.BufferedReader(cast("io.RawIOBase", file), _BUFFER):
                    digest.update(line)
                    count += 1
                    row = _row(line)
                    for index in packed:
                        row[index] = None if row[index] is None else b64decode(row[index])
                    yield row
        except (*_DAMAGE, ValueError, IndexError) as problem:
            raise self._broken(f"{table.name}: {problem}") from None
        if count != part.rows or digest.hexdigest() != part.sha256:
            raise self._broken(f"{table.name} is not as it was written")
