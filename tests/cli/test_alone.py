"""The same commands where no gateway runs: over the store itself."""

from cli.terminal import Terminal


def test_a_store_is_administered_without_a_gateway(terminal: Terminal) -> None:
    """The first command makes the store and the admin key; later ones find what it made. SQLite serves one process at a time, and a short
    command waits for another rather than fail.
    """
    terminal.run("accounts", "create", "acme")
    assert (terminal.folder / "admin.key").stat().st_mode & 0o777 == 0o600
    at_once = [terminal.start("topup", "acme", "1", "--json") for _ in range(2)]
    for process in at_once:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    verdict = terminal.json("verify")
    assert (verdict["counts"]["transfers"], verdict["sums_usd"]["granted"]) == (2, "2.00")
