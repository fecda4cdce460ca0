"""What `farebox doctor` finds."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from cli.terminal import Office, Terminal
from farebox.cli import checkup
from farebox.cli.checkup import Finding, examine
from farebox.clock import US_PER_HOUR, wall_clock
from farebox.settings import Settings, load
from farebox.store.statements import statements


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
