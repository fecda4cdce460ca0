"""Work that is not proxied where it really runs: on the data plane's loop, in a process that can be killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import httpx

import farebox
from farebox.store.verify import verify


@contextmanager
def process(folder: Path, **more: str) -> Iterator[tuple["subprocess.Popen[bytes]", str, str]]:
    """A gateway, where callers reach it, and where it is administered. Killed at the end if it still runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FAREBOX_", "OPENAI_", "ANTHROPIC_"))}
    environment |= {"OPENAI_API_KEY": "sk-none", "FAREBOX_STORE__URL": f"sqlite:///{folder}/farebox.db"}
    environment |= {"FAREBOX_PRICING__IMPORT_AT_START": "false", "FAREBOX_LOG__REQUESTS": "false", **more}
    note = folder / "gateway.json"
    note.unlink(missing_ok=True)
    code = "import sys; from farebox.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", "--listen", "127.0.0.1:0"]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        while not (note.exists() and note.read_text().endswith("}")):
            assert running.poll() is None, (folder / "log").read_text()
            time.sleep(0.02)
        told = json.loads(note.read_text())
        yield running, told["url"], told["admin_url"]
    finally:
        running.kill()
        running.wait()


def secret(folder: Path) -> str:
    return (folder / "admin.key").read_text().strip()


def test_a_lease_outlives_a_killed_process(tmp_path: Path) -> None:
    """Six of ten renders at once are admitted; the process is killed; the next one finds all six open and captures them."""
    with process(tmp_path) as (running, url, _), farebox.Client(url, secret(tmp_path)) as client:
        account = client.accounts.create().id
        client.accounts.grant(account, "10.00")

        def render(_: int) -> str:
            try:
                return client.holds.create(account=account, amount_usd="1.50", lifetime_s=900).id
            except farebox.Refused as refused:
                return refused.code

        with ThreadPoolExecutor(10) as threads:
            answers = list(threads.map(render, range(10)))
        held = [one for one in answers if one != "held"]
        assert len(held) == 6
        running.send_signal(signal.SIGKILL)
        running.wait()
    with process(tmp_path) as (running, url, _), farebox.Client(url, secret(tmp_path)) as client:
        time_of_death = client.accounts.balance(account)
        assert [time_of_death.held, time_of_death.spent] == [Decimal(9), Decimal(0)]
        charges = [client.holds.capture(one, "1.10") for one in held]
        assert all(one.paid_usd == Decimal("1.10") and not one.revised for one in charges)
        after = client.accounts.balance(account)
        assert [after.held, after.available] == [Decimal(0), Decimal("3.40")]
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
    verdict = verify(tmp_path / "farebox.db")
    assert verdict.ok, verdict.findings


def test_an_event_a_hundred_times_at_once_over_sockets_is_one_charge(tmp_path: Path) -> None:
    """And the balance that each sender reads right after shows it, whichever event loop answers."""
    with process(tmp_path) as (running, url, _), farebox.Client(url, secret(tmp_path)) as client:
        account = client.accounts.create(external_id="acme").id
        client.accounts.grant(account, "10.00")

        def send(_: int) -> tuple[str, Decimal]:
            told = client.events.send({"source": "jobs", "id": "17", "subject": "acme", "data": {"amount_usd": "1.25"}})
            return told.status, client.accounts.balance(account).available

        with ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(send, range(100)))
        assert sorted(status for status, _ in answers) == ["charged"] + ["repeated"] * 99
        assert {available for _, available in answers} == {Decimal("8.75")}
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
    verdict = verify(tmp_path / "farebox.db")
    assert verdict.ok, verdict.findings


def test_callers_hold_for_themselves_where_nobody_administers(tmp_path: Path) -> None:
    """With an address of its own for the control API, the other takes gateway keys' holds and no admin key's."""
    with process(tmp_path, FAREBOX_SERVER__ADMIN_LISTEN="127.0.0.1:0") as (running, url, admin_url):
        with farebox.Client(admin_url, secret(tmp_path)) as client:
            account = client.accounts.create().id
            client.accounts.grant(account, "10.00")
            key = client.keys.create(account, limit="5.00")
            assert client.holds.release(client.holds.create(account=account, amount_usd="1").id).outcome == "released"
            body = {"account": account, "amount_usd": "1"}
            refused = httpx.post(f"{url}/api/v1/holds", json=body, headers={"authorization": f"Bearer {secret(tmp_path)}"})
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
        with farebox.Client(url, key.secret) as own:
            assert own.holds.capture(own.holds.create(amount_usd="2").id, "0.75").paid_usd == Decimal("0.75")
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
