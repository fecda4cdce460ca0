"""The same commands where no gateway runs: over the store itself."""

from cli.terminal import Terminal


def test_a_store_is_administered_without_a_gateway(terminal: Terminal) -> None:
    """The first command makes the store and the admin key; later ones find what it made."""
    account = terminal.json("accounts", "create", "acme")["id"]
    assert (terminal.folder / "admin.key").stat().st_mode & 0o777 == 0o600
    assert terminal.json("topup", "acme", "5")["balance"]["available"] == "5.00"
    assert terminal.json("keys", "create", "--account", "acme", "--limit", "1")["data"]["account"] == account
    assert terminal.json("verify")["counts"]["transfers"] == 1


def test_commands_at_once_wait_for_each_other(terminal: Terminal) -> None:
    """SQLite serves one process at a time; a short command waits for another rather than fail."""
    terminal.run("accounts", "create", "acme")
    at_once = [terminal.start("topup", "acme", "1", "--json") for _ in range(3)]
    for process in at_once:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert terminal.json("balance", "acme")["available"] == "3.00"
