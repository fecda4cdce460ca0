"""Which store is meant: a path is a SQLite file, a URL a PostgreSQL database. The only place that knows both."""

from importlib import import_module
from pathlib import Path

from farebox.clock import Clock, steady_clock, wall_clock
from farebox.errors import SettingsError
from farebox.store.database import Alarm, Database, Place, Store
from farebox.store.sqlite import SqliteStore
from farebox.store.sqlite_connection import SqliteReads


def need_library(place: Place) -> None:
    """Raises SettingsError where the library for this kind of store is not installed."""
    if isinstance(place, Path):
        return
    try:
        import_module("asyncpg")
    except ModuleNotFoundError as problem:
        raise SettingsError(problem=f"a PostgreSQL store needs asyncpg ({problem}): pip install 'farebox[postgres]'") from None


def connect(place: Place) -> Database:
    """A connection for reading. Raises LedgerUnavailable."""
    if isinstance(place, Path):
        return SqliteReads(place)
    need_library(place)
    from farebox.store.postgres_connection import PostgresReads

    return PostgresReads(place)


def open_store(place: Place, *, alarm: Alarm, clock: Clock = wall_clock, vfs: str | None = None) -> Store:
    """The store for the one writer of this process, its schema as this version knows it. Raises SettingsError when it cannot be had."""
    if isinstance(place, Path):
        return SqliteStore(place, clock=clock, steady=steady_clock if clock is wall_clock else None, alarm=alarm, vfs=vfs)
    need_library(place)
    from farebox.store.postgres import PostgresStore

    return PostgresStore(place, alarm=alarm)
