"""Copies that are of no database in particular: whole, of one moment, and the same ledger in either kind of store."""

import asyncio
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from farebox.clock import wall_clock
from farebox.errors import SettingsError
from farebox.store import portable, postgres_rows, sqlite_rows
from farebox.store.batcher import Batcher
from farebox.store.database import Place
from farebox.store.opening import open_store
from farebox.store.portable import Backup, carried, tables_of
from farebox.store.sweeper import Sweeper
from farebox.store.verify import verify
from ledger.desk import Desk
from store.till import Till
from support.homes import BOTH, Home, SqliteHome, at, everything
from support.postgres import fresh_database, migrated_database

STORY = "topup acc 100\nhold a 40\ncapture a 30\nrefund a 2\nhold b 20\ntopup acc 5 ends=+1h"
SILENT_S = 30


def reading(place: Place) -> AbstractContextManager[Any]:
    return sqlite_rows.read(place) if isinstance(place, Path) else postgres_rows.read(place)


def backed_up(place: Place, path: Path) -> Path:
    with reading(place) as source:
        assert source.verify().ok
        portable.write(path, source)
    return path


def restored(kind: str, path: Path, folder: Path) -> Home:
    """A new store made of a copy."""
    with Backup(path) as backup:
        if kind == "sqlite":
            sqlite_rows.make(folder / "restored.db", backup, wall_clock)
            return SqliteHome(folder / "restored.db")
        url = fresh_database()
        assert postgres_rows.load(url, backup, aside=False, silent_s=SILENT_S).kept is None
        return at(url)


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A copy of a small ledger."""
    home = SqliteHome(tmp_path / "told.db")
    desk = Desk(home)
    desk.play(f"account acc\nkey key account=acc\nbook 1\n{STORY}")
    path = backed_up(home.place, tmp_path / "told.zip")
    desk.leave()
    home.close()
    return path


@pytest.mark.parametrize("kind", BOTH)
def test_a_copy_is_the_same_ledger_in_either_kind_of_store(desk: Desk, kind: str, tmp_path: Path) -> None:
    """Every row of every table, from both kinds into both; only its owner can read the file."""
    desk.play(STORY)
    path = backed_up(desk.home.place, tmp_path / "copy.zip")
    assert path.stat().st_mode & 0o777 == 0o600
    home = restored(kind, path, tmp_path)
    assert everything(home) == everything(desk.home)
    assert verify(home.place).ok
    home.leave()


@pytest.mark.parametrize("kind", BOTH)
async def test_a_copy_made_while_many_write_is_of_one_moment(till: Till, kind: str, tmp_path: Path) -> None:
    """Holds and captures go on while it is made, and what is restored of it adds up."""
    await till.topup(10**9)
    over = asyncio.Event()

    async def writes(number: int) -> int:
        done = 0
        while not over.is_set():
            await till.hold(f"{number}.{done}", 10)
            await till.capture(f"{number}.{done}", 7)
            done += 1
        return done

    writers = [asyncio.ensure_future(writes(number)) for number in range(8)]
    await till.hold("first", 10)
    path = await asyncio.to_thread(backed_up, till.place, tmp_path / "copy.zip")
    over.set()
    written = sum(await asyncio.gather(*writers))
    home = await asyncio.to_thread(restored, kind, path, tmp_path)
    verdict = await asyncio.to_thread(verify, home.place)
    assert verdict.ok
    assert verdict.counts["charges"] <= written
    await asyncio.to_thread(home.leave)


@pytest.mark.parametrize("kind", BOTH)
async def test_a_restored_ledger_goes_on(told: Path, kind: str, tmp_path: Path) -> None:
    """Holds of processes that were at work then are of processes that are gone; a new row's number is new."""
    home = await asyncio.to_thread(restored, kind, told, tmp_path)
    batcher = Batcher(open_store(home.place, alarm=_unheard), observe=_unheard)
    sweeper = Sweeper(home.place, batcher, owner="proc_new", clock=wall_clock, alarm=_unheard, replay_kept_s=60, lost_s=0)
    await sweeper.begin()
    assert home.rows("SELECT count(*) FROM holds WHERE state = 'open' AND owner LIKE 'proc%'") == [(0,)]
    price = ("", 1, None, "p", "m", "in_text", 0, "", "", "", 0, 1, 0, None, "own", 0)
    columns = "scope, since, until, provider, model, unit, tier_above, service_tier, speed, geo, batch, pico, valid_from, valid_to, source, checked_at"
    home.write(f"INSERT INTO prices ({columns}) VALUES ({', '.join(_literal(value) for value in price)})")
    sweeper.close()
    batcher.close()
    assert verify(home.place).ok
    home.leave()


def _literal(value: object) -> str:
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


def _unheard(*_: object, **__: object) -> None:
    """Nobody listens."""


def test_numbers_that_a_database_counts_go_on_behind_those_restored(told: Path, tmp_path: Path) -> None:
    """The next price gets a number that none has."""
    with Backup(told) as backup:
        table = msgspec.structs.replace(next(table for table in backup.tables if table.name == "prices"))
        source = _With(backup, {"prices": [_price(table, 41)]})
        url = fresh_database()
        postgres_rows.load(url, source, aside=False, silent_s=SILENT_S)
    home = at(url)
    assert home.rows("SELECT nextval(pg_get_serial_sequence('prices', 'id'))") == [(42,)]
    home.leave()


def _price(table: portable.Table, number: int) -> list[Any]:
    some = {"text": "", "integer": 0, "bytes": b""}
    return [number if name == "id" else some[kind] for name, kind in table.columns.items()]


class _With:
    """A source with other rows in some tables, or of another schema."""

    def __init__(self, source: portable.Source, rows: dict[str, list[Any]], schema: int | None = None) -> None:
        self._source, self._rows = source, rows
        self.schema = source.schema if schema is None else schema
        self.moment, self.tables = source.moment, source.tables

    def rows(self, table: portable.Table) -> Iterator[Any]:
        return iter(self._rows[table.name]) if table.name in self._rows else self._source.rows(table)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("grants.jsonl")
    data[info.header_offset + 80] ^= 0xFF
    path.write_bytes(data)


def _rewritten(change: Callable[[str, bytes], bytes | None]) -> Callable[[Path], None]:
    """The same zip, well made, with other content."""

    def rewrite(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in parts.items():
                changed = change(name, data)
                if changed is not None:
                    archive.writestr(name, changed)

    return rewrite


def _newer(name: str, data: bytes) -> bytes:
    return json.dumps(json.loads(data) | {"format": 2}).encode() if name == "manifest.json" else data


DAMAGE = {
    "cut": _cut,
    "flipped": _flipped,
    "without its manifest": _rewritten(lambda name, data: None if name == "manifest.json" else data),
    "without a table": _rewritten(lambda name, data: None if name == "grants.jsonl" else data),
    "a row less": _rewritten(lambda name, data: data[: data.index(b"\n") + 1] if name == "grants.jsonl" else data),
    "another amount": _rewritten(lambda name, data: data.replace(b"100", b"999") if name == "grants.jsonl" else data),
    "no rows at all": _rewritten(lambda name, data: b"nothing\n" if name == "holds.jsonl" else data),
    "of a newer version": _rewritten(_newer),
}


def _restore(path: Path, place: Place) -> None:
    with Backup(path) as backup:
        if isinstance(place, Path):
            sqlite_rows.make(place, backup, wall_clock)
        else:
            postgres_rows.load(place, backup, aside=False, silent_s=SILENT_S)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", BOTH)
def test_a_damaged_copy_is_not_restored(told: Path, damage: str, kind: str, tmp_path: Path) -> None:
    """Whatever is wrong with it is noticed, and nothing of it is there afterwards."""
    DAMAGE[damage](told)
    url = fresh_database() if kind == "postgres" else ""
    with pytest.raises(SettingsError):
        _restore(told, url or tmp_path / "restored.db")
    assert not (tmp_path / "restored.db").exists()
    if kind == "postgres":
        home = at(url)
        assert home.tables() == []
        home.leave()


def test_a_ledger_that_does_not_add_up_is_not_restored(told: Path) -> None:
    """What verify says of it is said before it is committed."""
    url = fresh_database()
    with Backup(told) as backup:
        loaded = postgres_rows.load(url, _With(backup, {"transfers": []}), aside=False, silent_s=SILENT_S)
    assert not loaded.verdict.ok
    home = at(url)
    assert home.tables() == []
    home.leave()


def test_a_ledger_of_a_newer_version_is_refused(told: Path, tmp_path: Path) -> None:
    """Its tables may mean what this version does not know."""
    with Backup(told) as backup:
        source = _With(backup, {}, schema=999)
        with pytest.raises(SettingsError, match="newer version"):
            postgres_rows.load(fresh_database(), source, aside=False, silent_s=SILENT_S)
        with pytest.raises(SettingsError, match="newer version"):
            sqlite_rows.make(tmp_path / "restored.db", source, wall_clock)


def test_a_file_of_an_older_version_moves_to_a_database(told: Path, tmp_path: Path) -> None:
    """It is brought up to date on the way, and stays as it was."""
    with Backup(told) as backup:
        sqlite_rows.make(tmp_path / "old.db", backup, wall_clock)
    old = apsw.Connection(str(tmp_path / "old.db"))
    old.execute("DROP VIEW charge_usage; DROP TABLE usage_hours; DROP TABLE usage_counts; DELETE FROM migrations WHERE number > 2")
    old.execute("DROP INDEX holds_expired; DROP INDEX replays_answered; CREATE INDEX replays_created ON replays (created_at)")
    old.execute("DROP TABLE objects; DROP TABLE background")
    old.close()
    before = (tmp_path / "old.db").read_bytes()
    url = fresh_database()
    with sqlite_rows.read_upgraded(tmp_path / "old.db", wall_clock) as source:
        assert postgres_rows.load(url, source, aside=False, silent_s=SILENT_S).verdict.ok
    home = at(url)
    assert home.rows("SELECT sum(calls) FROM usage_hours") == [(1,)]
    home.leave()
    assert (tmp_path / "old.db").read_bytes() == before


def test_a_ledger_that_is_there_is_kept_aside_and_only_when_asked(told: Path) -> None:
    """Not at all while a process is at work on it; tables without a row are no ledger."""
    home = at(migrated_database())
    assert isinstance(home.place, str)
    load = postgres_rows.load
    with Backup(told) as backup:
        assert load(home.place, backup, aside=False, silent_s=SILENT_S).kept is None
        with pytest.raises(SettingsError, match="--replace"):
            load(home.place, backup, aside=False, silent_s=SILENT_S)
        home.write("UPDATE grants SET kind = 'promotion'")
        home.write("INSERT INTO processes VALUES ('proc_1', ?, ?)", wall_clock(), wall_clock())
        with pytest.raises(SettingsError, match="a gateway was at work"):
            load(home.place, backup, aside=True, silent_s=SILENT_S)
        home.write("UPDATE processes SET heartbeat_at = 0")
        kept = load(home.place, backup, aside=True, silent_s=SILENT_S).kept
    assert home.rows(f"SELECT DISTINCT kind FROM {kept}.grants") == [("promotion",)]
    assert home.rows("SELECT count(*) FROM grants WHERE kind = 'promotion'") == [(0,)]
    assert verify(home.place).ok
    home.leave()


def test_only_what_is_about_processes_is_left_out(home: Home) -> None:
    """Every other table of either kind of store is copied: a new one cannot be forgotten."""
    home.open(_unheard).close()
    kind = "sqlite" if isinstance(home, SqliteHome) else "postgres"
    assert home.tables() == sorted(tables_of(kind))
    assert set(tables_of(kind)) - set(carried()) <= {"processes", "leases"}
