"""The same commands where no gateway runs: over the store itself."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli.terminal import Office, Terminal
from support.postgres import give_back, migrated_database


def test_a_store_is_administered_without_a_gateway(either_terminal: Terminal) -> None:
    """The first command makes the store and the admin key; later ones find what it made. SQLite serves one process at a time, and a short
    command waits for another rather than fail; on PostgreSQL nobody waits.
    """
    terminal = either_terminal
    terminal.run("accounts", "create", "acme")
    assert (terminal.folder / "admin.key").stat().st_mode & 0o777 == 0o600
    at_once = [terminal.start("topup", "acme", "1", "--json") for _ in range(2)]
    for process in at_once:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    verdict = terminal.json("verify")
    assert (verdict["counts"]["transfers"], verdict["sums_usd"]["granted"]) == (2, "2.00")


def test_a_command_goes_past_a_gateway_of_another_store(office: Office, tmp_path: Path) -> None:
    """What the note in the folder tells of is believed only for the store that it names."""
    variables = {"FAREBOX_STORE__URL": f"sqlite:///{tmp_path}/other.db"}
    office.run("accounts", "create", "beside the office", variables=variables)
    assert "there is no account" in office.fails("accounts", "show", "beside the office")


@pytest.mark.parametrize("arguments", [["accounts", "list"], ["verify"], ["db", "upgrade"], ["db", "backup", "x"], ["serve"]])
def test_a_database_that_is_not_there_is_one_line_without_its_password(terminal: Terminal, arguments: list[str]) -> None:
    """What could not be opened, and why; never with what: exit 1."""
    said = terminal.fails(*arguments, variables={"FAREBOX_STORE__URL": "postgresql://me:very-secret@127.0.0.1:1/farebox"})
    assert "postgresql://me@127.0.0.1:1/farebox" in said
    assert "very-secret" not in said
    assert not (terminal.folder / "x").exists()


def test_a_database_that_says_no_is_one_line(terminal: Terminal) -> None:
    """A role, or a database, that it does not have."""
    url = migrated_database()
    nobody = urlsplit(url)
    assert "nobody" in terminal.fails("verify", variables={"FAREBOX_STORE__URL": f"postgresql://nobody@{nobody.hostname}:{nobody.port}/x"})
    assert "does not exist" in terminal.fails("verify", variables={"FAREBOX_STORE__URL": f"{url}_not_there"})
    give_back(url)


@pytest.mark.parametrize("password", ["with@sign", "with/slash", "with#hash", "with?mark", "12?34"])
def test_a_password_that_breaks_its_url_is_not_told(terminal: Terminal, password: str) -> None:
    """Such a URL means something else than was meant: it is refused, in words that do not quote it."""
    said = terminal.fails("config", "check", variables={"FAREBOX_STORE__URL": f"postgresql://me:{password}@127.0.0.1/farebox"})
    assert "%40" in said
    assert password.rsplit("with", maxsplit=1)[-1][1:] not in said
