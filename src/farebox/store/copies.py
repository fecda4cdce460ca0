"""The store's file as a whole: who holds it, copies of it while it is in use, a copy put in its place. Owns no rows."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from farebox.errors import SettingsError
from farebox.store.sqlite_connection import connect_reader
from farebox.store.statements import statements

_LOG_FILES = ("-wal", "-shm")
_BUSY_MS = 10_000
_ALL_PAGES = -1


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Holds the store's lock, as a gateway does. Raises SettingsError when somebody else has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
            raise SettingsError(problem=f"the store {path} is in use by process {holder or 'unknown'}: stop that one first") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def schema_of(path: Path) -> list[str]:
    """The schema changes that a store has had: none of a file that is empty or not there. Raises SettingsError for what is no store."""
    if not path.exists() or not path.stat().st_size:
        return []
    try:
        with closing(connect_reader(path)) as db:
            return [str(row[0]) for row in db.execute(statements("sqlite")["read_migrations"])]
    except apsw.Error as problem:
        raise SettingsError(problem=f"{path} is not a store of farebox: {problem}") from None


def copy(source: Path, target: Path) -> None:
    """Copies a store into one file without a log beside it: of one moment, also while a gateway writes. Durable when this returns.

    Raises SettingsError. What was at `target` is gone either way.
    """
    drop(target)
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with (
            closing(apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)) as old,
            closing(apsw.Connection(str(target))) as new,
        ):
            old.set_busy_timeout(_BUSY_MS)
            with new.backup("main", old, "main") as backup:
                backup.step(_ALL_PAGES)
            new.execute("PRAGMA journal_mode = DELETE")
    except apsw.Error as problem:
        drop(target)
        raise SettingsError(problem=f"{source} cannot be copied to {target}: {problem}") from None
    sync(target)


def replace(path: Path, new: Path, aside: Path) -> None:
    """Puts a new file in the store's place; what was there stays under another name. For whoever holds the lock."""
    if path.exists():
        _fold_log(path)
        for ending in ("", *_LOG_FILES):
            part = Path(f"{path}{ending}")
            if part.exists():
                part.replace(f"{aside}{ending}")
    new.replace(path)
    sync(path.absolute().parent)


def _fold_log(path: Path) -> None:
    """Takes what lies in the write-ahead log into the file. A broken store cannot: it is kept as it is, its log beside it."""
    try:
        with closing(apsw.Connection(str(path))) as store:
            store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except apsw.Error:
        return


def drop(path: Path) -> None:
    """Takes a file away, with what SQLite left beside it."""
    for ending in ("", *_LOG_FILES):
        Path(f"{path}{ending}").unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Makes a file, or a folder's list of names, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
