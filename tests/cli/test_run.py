"""`farebox run`: a command that can spend so much and no more."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.terminal import TOML, Office, Terminal
from farebox.cli.environment import for_command
from farebox.cli.reach import is_alive

CALLS = """\
import json, os, sys, urllib.error, urllib.request
def call(output):
    body = json.dumps({"model": "gpt-4o-mini", "max_completion_tokens": output * 2,
                       "messages": [{"role": "user", "content": f"hi sim:output={output}"}]}).encode()
    headers = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, headers)) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code
"""


def script(folder: Path, text: str) -> list[str]:
    file = folder / "child.py"
    file.write_text(CALLS + text)
    return [sys.executable, str(file)]


def receipt(errors: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(errors.splitlines()[-1])
    return found


def test_a_command_spends_up_to_its_cap_and_gets_a_receipt(office: Office) -> None:
    """Its own exit code and output; what it did not spend goes back, and its key is revoked."""
    command = script(office.folder, "print(call(50), call(400000))\nsys.exit(7)\n")
    done = office.run("run", "--max", "0.01", "--json", "--", *command, code=7)
    assert done.stdout == "200 402\n"
    told = receipt(done.stderr)
    assert told["calls"] == 1
    assert told["held_usd"] == "0.00"
    assert [row["model"] for row in told["models"]] == ["openai/gpt-4o-mini"]
    assert office.json("keys", "show", told["key"])["data"]["status"] == "revoked"
    balance = office.json("balance", told["account"])
    assert (balance["available"], balance["held"]) == ("0.00", "0.00")
    assert balance["spent"] == balance["granted"]


def test_a_command_that_is_killed_leaves_nothing_open(office: Office) -> None:
    """Killed in the middle of nothing: exit code as a shell says it, the receipt all the same, the money back."""
    command = script(office.folder, "call(20)\nos.kill(os.getpid(), 9)\n")
    told = receipt(office.run("run", "--max", "1", "--json", "--", *command, code=137).stderr)
    assert told["calls"] == 1
    assert office.json("keys", "show", told["key"])["data"]["status"] == "revoked"
    assert office.json("balance", told["account"])["available"] == "0.00"


def test_a_signal_goes_on_to_the_command(office: Office) -> None:
    """What ends us ends the command first; then comes the receipt."""
    command = script(
        office.folder, "import signal\nsignal.signal(15, lambda *_: sys.exit(3))\nprint('ready', flush=True)\nsignal.pause()\n"
    )
    process = office.start("run", "--max", "1", "--json", "--", *command)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert receipt(errors)["calls"] == 0


def test_what_a_killed_run_left_open_is_closed_by_the_next(office: Office) -> None:
    """Even `kill -9` of farebox itself leaves no key that works for long, and no money lost."""
    command = script(office.folder, "import signal\nprint(os.environ['OPENAI_API_KEY'], os.getpid(), flush=True)\nsignal.pause()\n")
    process = office.start("run", "--max", "1", "--", *command)
    assert process.stdout is not None
    secret, orphan = process.stdout.readline().split()
    assert office.call(secret).status_code == 200
    process.kill()
    os.kill(int(orphan), signal.SIGTERM)
    process.communicate(timeout=60)
    told = receipt(office.run("run", "--max", "1", "--json", "--", "true").stderr)
    assert office.call(secret).status_code == 401
    assert office.json("balance", told["account"])["available"] == "0.00"


def test_a_gateway_is_started_and_ended_with_the_command(terminal: Terminal, sim_url: str) -> None:
    """Where none runs, one runs for as long as the command does."""
    (terminal.folder / "farebox.toml").write_text(TOML.format(sim=sim_url))
    command = script(terminal.folder, "print(call(20), json.load(open('gateway.json'))['pid'])\n")
    status, pid = terminal.run("run", "--max", "1", "--", *command).stdout.split()
    assert status == "200"
    assert not is_alive(int(pid))
    assert not (terminal.folder / "gateway.json").exists()
    assert terminal.json("verify")["counts"]["open_holds"] == 0


def test_a_command_that_is_not_there_opens_nothing(terminal: Terminal) -> None:
    """Said at once, before any key is made."""
    assert "there is no command 'no-such-command'" in terminal.fails("run", "--max", "1", "--", "no-such-command")
    assert list(terminal.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("program", "there"),
    [("claude", {"ANTHROPIC_AUTH_TOKEN"}), ("python", {"ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"})],
)
def test_a_command_has_no_way_past_its_key(program: str, there: set[str]) -> None:
    """Provider keys, the admin key and other ways to a provider are not in its environment, by whatever name."""
    before = {
        "PATH": "/bin",
        "OPENAI_API_KEY": "sk-real",
        "MY_UPSTREAM_KEY": "sk-from-settings",
        "FAREBOX_ADMIN_KEY": "fba_x",
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "OPENAI_ORG_ID": "org",
    }
    after = for_command(program, "http://gateway", "fbx_key", before, ["sk-from-settings"])
    assert after["OPENAI_BASE_URL"] == "http://gateway/v1"
    assert after["ANTHROPIC_BASE_URL"] == "http://gateway"
    assert {name for name, value in after.items() if value == "fbx_key"} == {"OPENAI_API_KEY", *there}
    assert set(after) == {"PATH", "OPENAI_BASE_URL", "OPENAI_API_KEY", "ANTHROPIC_BASE_URL", *there}
