"""Copies of the store: made while it is in use, put back when it is not."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from cli.terminal import Office, Terminal, open_office


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
