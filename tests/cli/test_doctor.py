"""What `farebox doctor` finds."""

import time
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest

from cli.terminal import Office, Terminal
from farebox.cli import checkup
from farebox.cli.checkup import examine
from farebox.cli.checkup_postgres import server
from farebox.cli.findings import Finding
from farebox.clock import US_PER_HOUR, wall_clock
from farebox.ledger.commands import Release
from farebox.settings import Settings, load
from farebox.store.journal import Journal
from farebox.store.postgres_health import Facts
from farebox.store.reports import Reports
from farebox.store.statements import migrations, statements
from ledger.desk import Desk
from support.homes import PostgresHome
from support.postgres import fresh_database


def settings_of(folder: Path, **more: object) -> Settings:
    return load(flags={"store": {"url": f"sqlite:///{folder}/farebox.db"}, **more}).settings


def named(settings: Settings, name: str) -> list[Finding]:
    return [finding for finding in examine(settings) if finding.name == name]


def test_a_good_machine_is_fine(office: Office) -> None:
    """Beside a gateway that runs: nothing wrong, every thing looked at once, exit 0."""
    report = office.json("doctor")
    assert report["ok"]
    names = [check["name"] for check in report["checks"]]
    assert {"versions", "clock", "time zones", "file system", "sync", "schema", "prices", "holds", "strictness"} <= set(names)
    assert f"a gateway runs at {office.url}" in office.run("doctor").stdout


def test_a_good_database_is_fine(postgres_office: Office) -> None:
    """The same over PostgreSQL, and what a server has besides. One server without a standby deserves a look."""
    report = postgres_office.json("doctor")
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert report["ok"]
    assert {"server", "fsync", "standby", "pooler", "clock", "connections", "vacuum", "role", "schema", "journal", "prices"} <= set(states)
    assert (states["standby"], states["schema"], states["pooler"], states["prices"]) == ("look", "fine", "fine", "fine")


def test_a_database_that_is_away_or_empty_is_found(tmp_path: Path) -> None:
    """Away is wrong; empty is a look. Neither is the end of the examination."""
    away = settings_of(tmp_path, store={"url": "postgresql://me:hidden@127.0.0.1:1/x"}, server={"data_dir": str(tmp_path)})
    (finding,) = named(away, "store")
    assert (finding.state, "hidden" in finding.says) == ("wrong", False)
    empty = settings_of(tmp_path, store={"url": fresh_database()}, server={"data_dir": str(tmp_path)})
    assert [finding.state for finding in named(empty, "schema")] == ["look"]
    assert named(empty, "strictness")


GOOD = {
    "server_version": "18.1",
    "server_version_num": "180001",
    "fsync": "on",
    "full_page_writes": "on",
    "data_checksums": "on",
    "synchronous_commit": "on",
    "synchronous_standby_names": "",
    "autovacuum": "on",
    "max_connections": "100",
    "superuser_reserved_connections": "3",
}
SERVER = Facts(
    settings=GOOD,
    standbys=[],
    pooler="none",
    superuser=False,
    transactions_age=1000,
    connections=5,
    idle_in_transaction=0,
    encrypted=True,
    schema={number: name for number, name, _ in migrations("postgres")},
    clock_ahead_us=0,
)


@pytest.mark.parametrize(
    ("change", "name", "state"),
    [
        ({"settings": GOOD | {"server_version_num": "120005"}}, "server", "look"),
        ({"settings": GOOD | {"fsync": "off"}}, "fsync", "wrong"),
        ({"settings": GOOD | {"full_page_writes": "off"}}, "fsync", "wrong"),
        ({"settings": GOOD | {"data_checksums": "off"}}, "checksums", "look"),
        ({"settings": GOOD | {"synchronous_standby_names": "ANY 1 (b, c)"}}, "standby", "wrong"),
        ({"settings": GOOD | {"synchronous_standby_names": "ANY 1 (b, c)"}, "standbys": ["quorum"]}, "standby", "fine"),
        ({"standbys": ["async"]}, "standby", "look"),
        ({"standbys": []}, "standby", "look"),
        ({"pooler": "transactions", "encrypted": None}, "pooler", "fine"),
        ({"pooler": "sessions", "encrypted": None}, "encryption", "look"),
        ({"encrypted": False}, "encryption", "look"),
        ({"clock_ahead_us": 1_900_000}, "clock", "fine"),
        ({"clock_ahead_us": -3_000_000}, "clock", "look"),
        ({"clock_ahead_us": 61_000_000}, "clock", "wrong"),
        ({"settings": GOOD | {"max_connections": "8"}}, "connections", "look"),
        ({"settings": GOOD | {"autovacuum": "off"}}, "vacuum", "wrong"),
        ({"transactions_age": 1_200_000_000}, "vacuum", "look"),
        ({"idle_in_transaction": 2}, "idle", "look"),
        ({"superuser": True}, "role", "look"),
        ({"schema": {}}, "schema", "look"),
        ({"schema": {1: "0001_ledger.sql"}}, "schema", "look"),
        ({"schema": SERVER.schema | {99: "0099_later.sql"}}, "schema", "wrong"),
    ],
)
def test_a_server_is_judged_by_what_it_says_of_itself(tmp_path: Path, change: dict[str, object], name: str, state: str) -> None:
    """Each thing that can be wrong with one, and how wrong that is."""
    settings = settings_of(tmp_path, store={"url": "postgresql://me@db.example/farebox"})
    found = {finding.name: finding.state for finding in server(settings, msgspec.structs.replace(SERVER, **change))}
    assert found[name] == state
    assert {name: state for name, state in found.items() if state == "wrong"} == ({name: state} if state == "wrong" else {})


def test_settlements_that_wait_in_a_journal_are_counted(tmp_path: Path) -> None:
    """Of whatever process left them; a file that is damaged is told of, too."""
    journal = Journal(tmp_path / "captures-0.journal", 65536)
    journal.append([Release("hld_1", "left"), Release("hld_2", "left")])
    journal.close()
    (tmp_path / "captures-1.journal").write_bytes(b"torn" * 100)
    (tmp_path / "captures-1.journal").chmod(0o600)
    settings = settings_of(tmp_path, store={"url": "postgresql://me@127.0.0.1:1/x"}, server={"data_dir": str(tmp_path)})
    says = [(finding.state, finding.says.partition(" in ")[0]) for finding in named(settings, "journal")]
    assert says[0] == ("look", "2 settlements wait")
    assert len(says) == 2


@pytest.mark.parametrize(("version", "state"), [("2021a", "look"), (f"{time.gmtime().tm_year}a", "fine"), ("", "fine")])
def test_old_time_zone_data_deserves_a_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, state: str) -> None:
    """Governments change when days begin."""
    monkeypatch.setattr(checkup, "zones_version", lambda: version)
    assert [finding.state for finding in named(settings_of(tmp_path), "time zones")] == [state]


def test_holds_of_a_process_that_is_gone_are_counted_on_a_database() -> None:
    """By who has been heard of, not by who runs on this machine."""
    home = PostgresHome()
    settings = load(flags={"store": {"url": home.place}}).settings
    desk = Desk(home)
    desk.play("account acc\nkey key account=acc\nbook 1\ntopup acc 100\nhold a 40")
    home.write("UPDATE holds SET owner = 'proc_gone'")
    reports = Reports(home.place, wall_clock)
    (finding,) = checkup._holds(settings, reports, None)
    assert (finding.state, finding.says.split(" (")[0]) == ("look", "1 of 1 open holds")
    reports.close()
    desk.leave()
    home.close()


def test_a_clock_behind_the_ledger_is_wrong(terminal: Terminal) -> None:
    """Time that the ledger has seen already cannot come again: exit 1."""
    terminal.run("db", "upgrade")
    with closing(apsw.Connection(str(terminal.folder / "farebox.db"))) as db:
        db.execute(statements("sqlite")["write_clock"], (wall_clock() + US_PER_HOUR,))
    report = terminal.json("doctor", code=1)
    assert [check["state"] for check in report["checks"] if check["name"] == "clock"] == ["wrong"]


def test_a_store_that_others_can_read_is_wrong(terminal: Terminal) -> None:
    """Money and keys are their owner's."""
    terminal.run("db", "upgrade")
    (terminal.folder / "farebox.db").chmod(0o644)
    (finding,) = named(settings_of(terminal.folder), "access")
    assert (finding.state, "chmod 600" in finding.says) == ("wrong", True)


def test_settings_laxer_than_strict_are_told(tmp_path: Path) -> None:
    """Each by its name."""
    provider = {"api_key": "x", "base_url": "http://provider.example/v1", "stops_billing_on_cancel": True}
    settings = settings_of(tmp_path, providers={"openai": provider}, pricing={"jump_factor_max": 10})
    says = [finding.says for finding in named(settings, "strictness")]
    assert all(text.startswith("not strict: ") for text in says)
    assert [text.split()[2].rstrip(":") for text in says] == [
        "providers.openai.stops_billing_on_cancel",
        "providers.openai.base_url",
        "pricing.jump_factor_max",
    ]
    assert [finding.says for finding in named(settings_of(tmp_path), "strictness")] == ["strict: billed never exceeds held"]


@pytest.mark.parametrize(("kind", "state"), [("ext4", "fine"), ("tmpfs", "wrong"), ("nfs4", "wrong"), ("unknown", "fine")])
def test_a_file_system_that_forgets_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, state: str) -> None:
    """Memory is not durable, and locks over a network are not locks."""
    monkeypatch.setattr(checkup, "file_system", lambda _folder: kind)
    assert [finding.state for finding in named(settings_of(tmp_path), "file system")] == [state]


@pytest.mark.parametrize(("took_us", "state"), [(2, "wrong"), (900, "fine"), (60_000, "look")])
def test_a_sync_faster_than_any_disk_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took_us: int, state: str) -> None:
    """Too fast is a disk that only says that it wrote; too slow costs every call."""
    monkeypatch.setattr(checkup, "_sync_times", lambda _folder: [took_us] * 32)
    assert [finding.state for finding in named(settings_of(tmp_path), "sync")] == [state]
