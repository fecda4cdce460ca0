"""One file, one process, one schema: who may open a store, and what they find there."""

import gc
import os
import stat
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import apsw
import apsw.ext
import pytest

from farebox.clock import US_PER_DAY, US_PER_MINUTE, US_PER_S
from farebox.errors import SettingsError
from farebox.ledger.commands import OpenAccount
from farebox.store import migrate, sqlite
from farebox.store.portable import tables_of
from farebox.store.sqlite import SqliteStore
from farebox.store.sqlite_connection import connect_reader
from farebox.store.statements import migrations, statements
from farebox.store.verify import verify
from ledger.desk import Desk
from support.homes import SqliteHome


def opened(path: Path) -> SqliteStore:
    return SqliteStore(path, alarm=lambda *_, **__: None)


class File(Desk):
    """A desk that knows its file, and the connection that writes it."""

    home: SqliteHome
    store: SqliteStore

    @property
    def path(self) -> Path:
        return self.home.place


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[File]:
    """On a file."""
    desk = File(SqliteHome(tmp_path / "farebox.db"))
    desk.play("account acc\nkey key account=acc\nbook 1")
    yield desk
    desk.leave()


# --- one process -------------------------------------------------------------------------------------------------------------------------


def test_a_second_process_is_refused_and_told_which_one_has_it(desk: File) -> None:
    """A real one; and it may open the store once the first has ended."""
    code = (
        "import sys, pathlib\n"
        "from farebox.store.sqlite import SqliteStore\n"
        "from farebox.errors import SettingsError\n"
        "try: SqliteStore(pathlib.Path(sys.argv[1]), alarm=print).close(); print('opened')\n"
        "except SettingsError as problem: print(problem)\n"
    )

    def other() -> str:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(
            [sys.executable, "-c", code, str(desk.path)], check=True, capture_output=True, text=True, env=environment
        ).stdout.strip()

    assert f"in use by process {os.getpid()}" in other()
    desk.store.close()
    assert other() == "opened"
    desk.store = opened(desk.path)


def test_the_same_process_cannot_open_a_store_twice(desk: File) -> None:
    """Two writers in one process would be as wrong."""
    with pytest.raises(SettingsError, match="in use"):
        opened(desk.path)


def test_only_its_owner_may_read_a_store(desk: File) -> None:
    """The file, its log and its lock: hashes of keys and recorded answers are in there."""
    files = sorted(desk.path.parent.iterdir())
    assert len(files) >= 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_what_is_not_a_store_is_refused(tmp_path: Path) -> None:
    """In words; and the lock is given up again."""
    path = tmp_path / "farebox.db"
    path.write_bytes(b"certainly not a database " * 400)
    for _ in range(2):
        with pytest.raises(SettingsError, match="cannot be opened"):
            opened(path)


def test_every_commit_is_synced(desk: File) -> None:
    """The settings that the guarantees rest on."""
    (mode,), (synchronous,) = (
        next(iter(desk.store._db.execute("PRAGMA journal_mode"))),
        next(iter(desk.store._db.execute("PRAGMA synchronous"))),
    )
    assert (mode, synchronous) == ("wal", 2)


# --- readers -----------------------------------------------------------------------------------------------------------------------------


def test_a_reader_sees_one_moment(desk: File) -> None:
    """However long it reads: nothing moves under it, and it keeps nobody from moving."""
    desk.play("topup acc 100\nhold a 40")
    reader = connect_reader(desk.path)
    reader.execute("BEGIN")
    sums = "SELECT sum(spent), sum(held) FROM grants"
    assert list(reader.execute(sums)) == [(0, 40)]
    desk.play("capture a 40\nhold b 60")
    desk.store.checkpoint()
    assert list(reader.execute(sums)) == [(0, 40)]
    assert list(reader.execute("SELECT count(*) FROM charges")) == [(0,)]
    reader.execute("COMMIT")
    assert list(reader.execute(sums)) == [(40, 60)]
    reader.close()


def test_a_reader_cannot_write(desk: File) -> None:
    """Not even by mistake."""
    reader = connect_reader(desk.path)
    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("UPDATE grants SET amount = 1")
    reader.close()


def test_the_log_is_copied_away_and_nothing_with_it(desk: File) -> None:
    """A checkpoint changes no row."""
    desk.play("topup acc 100\nhold a 40")
    before = desk.rows("SELECT * FROM grants")
    desk.store.checkpoint()
    assert desk.rows("SELECT * FROM grants") == before


def test_a_long_log_is_begun_anew_even_if_the_writer_is_never_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays about as long as it may be, however much is committed."""
    monkeypatch.setattr(sqlite, "_WAL_BYTES_MAX", 400_000)
    desk = File(SqliteHome(tmp_path / "farebox.db"))
    desk.play("account acc\nkey key account=acc\nbook 1\ntopup acc 100")
    desk.store.checkpoint()
    log, longest = Path(f"{desk.path}-wal"), 0
    for number in range(100):
        desk.play(f"hold h{number} 1\ncapture h{number} 1")
        desk.store.tidy(idle=False)
        longest = max(longest, log.stat().st_size)
    assert 400_000 < longest < 600_000
    assert desk.rows("SELECT sum(spent) FROM grants") == [(100,)]
    desk.leave()


def test_a_long_log_that_was_left_is_looked_after_before_anything_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process was killed: the next one may refuse everything, and never be idle."""
    desk = File(SqliteHome(tmp_path / "farebox.db"))
    desk.play("account acc\nkey key account=acc\nbook 1\ntopup acc 100")
    left = tmp_path / "left"
    left.mkdir()
    for file in (desk.path, Path(f"{desk.path}-wal")):
        (left / file.name).write_bytes(file.read_bytes())
    desk.leave()
    store = SqliteStore(left / "farebox.db", alarm=lambda *_, **__: None)
    file_only = f"file:{left / 'farebox.db'}?immutable=1"  # without the log
    asked = "SELECT count(*) FROM sqlite_schema WHERE name = 'grants'"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    assert list(apsw.Connection(file_only, flags=flags).execute(asked)) == [(0,)]
    store.tidy(idle=False)
    assert list(apsw.Connection(file_only, flags=flags).execute(asked)) == [(1,)]
    store.close()


def test_a_store_that_nobody_holds_is_closed_at_once(tmp_path: Path) -> None:
    """Not when the collector of circles comes by, on whichever thread."""
    gc.disable()
    try:
        store = SqliteStore(tmp_path / "farebox.db", alarm=lambda *_, **__: None)
        connection = weakref.ref(store._db)
        del store
        assert connection() is None
    finally:
        gc.enable()


def test_the_writer_forgets_rows_when_they_are_too_many(desk: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it keeps in memory is a copy: without it the answers are the same."""
    monkeypatch.setattr(sqlite, "_KEPT_ROWS_MAX", 0)
    desk.play("""
        topup acc 100
        edit key requests_per_minute=3
        hold a 50
        hold b 51   | refused held
        capture a 60 | charged 60 paid 60
        hold b 40
        hold c 0
        hold d 0    | refused rate_limited
        release b
        hold d 0    | held 0
    """)


def test_a_ring_is_kept_no_longer_than_it_is_looked_at(desk: File) -> None:
    """Its old parts leave the writer's memory, and come back when an old call looks at them: the answers are the same."""
    desk.play("""
        topup acc 100000
        budget key 100 window=rolling:1m
        hold old 40
    """)
    for number in range(40):
        desk.play(f"wait 5s\nhold h{number} 5\ncapture h{number} 5")
    assert len(desk.store._kept.ring("key/rolling:1m", 0)) < 30
    desk.play("""
        capture old 200    | charged 200 paid 40
        hold a 36          | refused budget_exceeded key needed 36 available 35
        hold a 35          | held 35
    """)


# --- migrations --------------------------------------------------------------------------------------------------------------------------


def schema(connection: apsw.Connection) -> list[object]:
    return list(connection.execute("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name"))


def test_migrations_are_numbered_without_gaps_and_applied_once() -> None:
    """Applying them again changes nothing; each is in the store's own list with its checksum."""
    numbers = [number for number, _, _ in migrations("sqlite")]
    assert numbers == list(range(1, len(numbers) + 1))
    connection = apsw.Connection(":memory:")
    assert len(migrate.migrate(connection, "sqlite", lambda: 7)) == len(numbers)
    before = schema(connection)
    assert migrate.migrate(connection, "sqlite", lambda: 8) == []
    assert schema(connection) == before
    assert list(connection.execute("SELECT DISTINCT applied_at, length(checksum) FROM migrations")) == [(7, 64)]


def test_a_schema_change_that_was_edited_is_refused(desk: File) -> None:
    """What was released is never edited; a store whose history differs is not touched, and its lock is given up."""
    ours = next(iter(desk.store._db.execute("SELECT checksum FROM migrations WHERE number = 1")))[0]
    desk.store._db.execute("UPDATE migrations SET checksum = 'other' WHERE number = 1")
    desk.close()
    for _ in range(2):
        with pytest.raises(SettingsError, match=r"schema change 0001_.* is not the one"):
            opened(desk.path)
    repaired = apsw.Connection(str(desk.path))
    repaired.execute("UPDATE migrations SET checksum = ? WHERE number = 1", (ours,))
    repaired.close()
    desk.store = opened(desk.path)


def test_a_store_of_a_newer_version_is_refused(desk: File) -> None:
    """It says which version to use, and leaves everything as it is."""
    desk.store._db.execute("INSERT INTO migrations VALUES (9999, '9999_future.sql', '', 0)")
    desk.close()
    for _ in range(2):
        with pytest.raises(SettingsError, match=r"newer version of farebox \(schema 9999\)"):
            opened(desk.path)
    repaired = apsw.Connection(str(desk.path))
    repaired.execute("DELETE FROM migrations WHERE number = 9999")
    repaired.close()
    desk.store = opened(desk.path)


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is one transaction."""
    path = tmp_path / "farebox.db"
    opened(path).close()
    bad = (len(migrations("sqlite")) + 1, "bad.sql", "CREATE TABLE fine (a); CREATE TABLE accounts (again);")
    monkeypatch.setattr(migrate, "migrations", lambda database: [*migrations(database), bad])
    with pytest.raises(SettingsError, match="already exists"):
        opened(path)
    monkeypatch.undo()
    store = opened(path)
    assert not list(store._db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'fine'"))
    store.close()


STORY = "topup acc 100\nhold a 40\ncapture a 30\nhold b 20\nrelease b\nhold c 5"
NOT_A_WORD = {"holds": "state", "charges": "completeness"}
CHECKED_BEFORE_WORDS_CHANGED = 5


def as_it_was(desk: File, path: Path, schema: int) -> None:
    """A store with the same rows, made when there were fewer schema changes."""
    desk.play(STORY)
    old = apsw.Connection(str(path))
    migrate.migrate(old, "sqlite", lambda: 0, through=schema)
    old.execute("ATTACH ? AS now", (str(desk.path),))
    for table in tables_of("sqlite"):
        old.execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM now.{table}")
    old.close()


def checks(connection: apsw.Connection) -> list[str]:
    """The lines of the schema that say what a hold's state and a charge's completeness may be."""
    lines = "\n".join(str(sql) for (sql,) in connection.execute("SELECT sql FROM sqlite_schema ORDER BY name")).split("\n")
    return [line.strip() for line in lines if line.strip().startswith(("state TEXT", "completeness TEXT")) and "running" not in line]


def test_rules_in_other_words_refuse_what_they_refused(desk: File, tmp_path: Path) -> None:
    """In a store that was made before: the rows are as they were, a reader that was there sees the new words, and every word but those is refused."""
    path = tmp_path / "old.db"
    as_it_was(desk, path, CHECKED_BEFORE_WORDS_CHANGED)
    reader = connect_reader(path)
    assert all(" IN (" in check for check in checks(reader))
    rows = {table: list(reader.execute(f"SELECT * FROM {table}")) for table in tables_of("sqlite")}
    store = opened(path)
    assert not any(" IN (" in check for check in checks(reader))
    assert rows == {table: list(reader.execute(f"SELECT * FROM {table}")) for table in tables_of("sqlite")}
    for table, column in NOT_A_WORD.items():
        for word in ("", "Open", "open ", "exactly", "'exact'"):
            with pytest.raises(apsw.ConstraintError, match=column):
                store._db.execute(f"UPDATE {table} SET {column} = ?", (word,))
    for words in ("state = 'released', closed_at = 1", "state = 'open'", "state = 'expired'", "state = 'captured'"):
        store._db.execute(f"BEGIN; UPDATE holds SET {words}; ROLLBACK")
    for word in ("exact", "estimated", "unknown"):
        store._db.execute("BEGIN; UPDATE charges SET completeness = ?; ROLLBACK", (word,))
    assert store._db.execute("PRAGMA integrity_check").get == "ok"
    assert store._db.execute("PRAGMA writable_schema").get == 0
    fresh = apsw.Connection(":memory:")
    migrate.migrate(fresh, "sqlite", lambda: 0)
    assert schema(fresh) == schema(store._db)
    store.close()
    reader.close()
    assert verify(path).ok


def test_what_a_call_writes_makes_no_table_on_the_way(desk: File) -> None:
    """SQLite makes one, each time, of a list of more than two values in a CHECK: that cost more than the row itself."""
    sql = statements("sqlite")
    file = (Path(sqlite.__file__).parent / "sql/sqlite/hot.sql").read_text("utf-8")
    names = [name for name, text in sql.items() if f"-- name: {name}\n" in file and not text.startswith("SELECT")]
    assert {"open_hold", "close_hold", "write_charge", "revise_charge"} <= set(names)
    for name in [*names, "add_usage", "add_usage_counts"]:
        empty = (None,) * apsw.ext.query_info(desk.store._db, sql[name]).bindings_count
        steps = {str(step[1]) for step in desk.store._db.execute(f"EXPLAIN {sql[name]}", empty)}
        assert "MakeRecord" in steps or name == "free_replay"
        assert not steps & {"OpenEphemeral", "OpenAutoindex", "SorterOpen"}, name


def test_a_clock_that_is_set_ahead_is_told(tmp_path: Path) -> None:
    """More time went by on the wall than passed: windows would renew early. Time that really passed is no jump, however long."""
    wall = steady = 1_000_000 * US_PER_S
    alarms: list[str] = []
    store = SqliteStore(tmp_path / "farebox.db", clock=lambda: wall, steady=lambda: steady, alarm=lambda name, **_: alarms.append(name))
    store.decide([(OpenAccount("one", "acc_1", own_wallet=True),)])
    wall += US_PER_DAY
    steady += US_PER_DAY
    store.decide([(OpenAccount("two", "acc_2", own_wallet=True),)])
    assert not alarms
    wall += 2 * US_PER_MINUTE
    store.decide([(OpenAccount("three", "acc_3", own_wallet=True),)])
    assert alarms == ["clock_went_ahead"]
    store.close()
