"""Copies of the store: made while it is in use, put back when it is not."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from cli.terminal import Office, Terminal, open_office
from support.postgres import fresh_database


def test_a_copy_of_a_store_in_use_is_whole_and_goes_back(tmp_path: Path, sim_url: str) -> None:
    """`backup` beside a gateway, `restore` only without one; then the money of the copy's moment is there, and what was replaced is kept.
    A copy that does not add up does not go back.
    """
    with open_office(tmp_path, sim_url) as gateway:
        office = Office(tmp_path, gateway.url, sim_url)
        account, secret = office.customer(usd="5")
        assert office.call(secret).status_code == 200
        copied = office.json("db", "backup", "copy.db")
        assert copied["counts"]["charges"] == 1
        assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
        assert "is there already" in office.fails("db", "backup", "copy.db")
        office.run("topup", account, "95")
        assert "stop that one first" in office.fails("db", "restore", "copy.db")
    before = office.json("balance", account)
    assert before["granted"] == "100.00"
    restored = office.json("db", "restore", "copy.db")
    assert office.json("balance", account)["granted"] == "5.00"
    assert Path(tmp_path / restored["kept"]).exists()
    assert office.json("db", "upgrade")["applied"] == []
    forge(tmp_path / "copy.db")
    assert "a grant's amount is the sum of its transfers" in office.fails("db", "restore", "copy.db")
    assert not (tmp_path / "farebox.db.restoring").exists()
    assert office.json("verify")["sums_usd"]["granted"] == "5.00"


def test_a_ledger_moves_from_a_file_to_a_database_and_back(tmp_path: Path, sim_url: str) -> None:
    """`restore` takes a copy of either kind of store into either. On PostgreSQL a copy is made beside gateways, and nothing is put into a
    database that a gateway is at work on, or, unless it is said, into one that has a ledger.
    """
    url = fresh_database()
    database = {"FAREBOX_STORE__URL": url}
    with open_office(tmp_path, sim_url) as gateway:
        office = Office(tmp_path, gateway.url, sim_url)
        account, secret = office.customer(usd="5")
        assert office.call(secret).status_code == 200
        office.run("db", "backup", "file.db")
        office.run("db", "backup", "portable.zip", "--portable")
    before = office.json("balance", account)
    office.run("db", "restore", "file.db", variables=database)
    assert "--replace" in office.fails("db", "restore", "portable.zip", variables=database)
    office.run("db", "restore", "portable.zip", "--replace", variables=database)
    with open_office(tmp_path, sim_url, store=url) as gateway:
        many = Office(tmp_path, gateway.url, sim_url, store=url)
        after = many.json("balance", account)
        assert {**after, "at": None} == {**before, "at": None}
        assert many.call(secret).status_code == 200
        copied = many.json("db", "backup", "database.zip")
        assert copied["counts"]["charges"] == 2
        assert many.json("db", "upgrade")["applied"] == []
        assert "a gateway was at work" in many.fails("db", "restore", "database.zip", "--replace")
    back = Terminal(tmp_path / "back")
    back.folder.mkdir()
    back.environment["FAREBOX_ADMIN_KEY"] = (tmp_path / "admin.key").read_text().strip()
    assert back.json("db", "restore", str(tmp_path / "database.zip"))["counts"]["charges"] == 2
    assert back.json("verify")["ok"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing that is a zip", b"neither of both" * 500])
def test_what_is_no_copy_is_not_put_into_a_database(terminal: Terminal, content: bytes) -> None:
    """A wrong file is refused in one line, and the database stays empty."""
    url = fresh_database()
    (terminal.folder / "wrong").write_bytes(content)
    said = terminal.fails("db", "restore", "wrong", variables={"FAREBOX_STORE__URL": url})
    assert "is not a store of farebox" in said or "is not a backup of farebox" in said
    assert "there is no ledger" in terminal.fails("db", "backup", "copy", variables={"FAREBOX_STORE__URL": url})
    assert [file.name for file in terminal.folder.iterdir()] == ["wrong"]


def test_upgrade_says_what_it_applies(either_terminal: Terminal) -> None:
    """All that was missing, then nothing."""
    first = either_terminal.json("db", "upgrade")
    assert first["applied"][-1] == first["schema"]
    assert "is up to date" in either_terminal.run("db", "upgrade").stdout


def forge(path: Path) -> None:
    """Money that no transfer put there."""
    with closing(apsw.Connection(str(path))) as store:
        store.execute("UPDATE grants SET amount = amount + 1")


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to be read as one" * 100])
def test_what_is_no_store_is_not_restored(terminal: Terminal, content: bytes) -> None:
    """A wrong file is refused, and the store stays as it was."""
    terminal.run("db", "upgrade")
    before = (terminal.folder / "farebox.db").read_bytes()
    (terminal.folder / "wrong.db").write_bytes(content)
    assert "is not a store of farebox" in terminal.fails("db", "restore", "wrong.db")
    assert (terminal.folder / "farebox.db").read_bytes() == before
