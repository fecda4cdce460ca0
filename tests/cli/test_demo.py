"""The demo and the leak drill, as people start them, and the drill's engine with a provider and a machine that misbehave."""

import asyncio
from pathlib import Path

import pytest

from cli.terminal import Office, Terminal, open_office
from farebox.cli.drill import Drill, Rehearsal, Site
from farebox.cli.leak import rehearse
from farebox.cli.process import Serving


def test_the_demo_shows_a_call_a_stream_and_a_refusal(terminal: Terminal) -> None:
    """Real processes; what was charged is what the provider billed; nothing is left behind."""
    told = terminal.json("demo")
    for step in ("call", "stream"):
        assert told[step]["charged_usd"] == told[step]["billed_usd"]
    assert (told["refusal"]["status"], told["refusal"]["reason"]) == (402, "exceeds_available")
    assert list(terminal.folder.iterdir()) == []


def test_the_demo_goes_on_until_it_is_stopped(terminal: Terminal) -> None:
    """Without --once it says how to go on, with the real address and key, and ends well when told to."""
    process = terminal.start("demo")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    process.terminate()
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "stopped" in rest
    assert any("OpenAI(base_url=" in line for line in lines)


def test_a_stolen_key_costs_its_cap_and_no_more(terminal: Terminal) -> None:
    """`demo --leak`: every check holds, and the exit code says so."""
    told = terminal.json("demo", "--leak", "--clients", "16", "--cap", "0.10")
    assert told["ok"]
    assert all(check["ok"] for check in told["checks"])
    assert len(told["checks"]) == 10
    assert told["refused"] >= 16


def rehearsed(office: Office, drill: Drill) -> Rehearsal:
    key = (office.folder / "admin.key").read_text().strip()
    return asyncio.run(rehearse(Site(office.url, office.url, key, office.sim_url), drill))


@pytest.mark.parametrize(
    "drill",
    [Drill(clients=8, cap_usd="0.05", usage="missing"), Drill(clients=8, cap_usd="0.05", ignore_cap=True)],
    ids=["usage missing", "cap ignored"],
)
def test_a_provider_that_misbehaves_costs_the_key_no_more(office: Office, drill: Drill) -> None:
    """Unreported usage is charged, and what a provider bills beyond the cap is written off, not paid."""
    rehearsal = rehearsed(office, drill)
    assert rehearsal.ok, [check for check in rehearsal.checks if not check.ok]


def test_a_gateway_killed_in_the_middle_costs_the_key_no_more(tmp_path: Path, sim_url: str) -> None:
    """Killed with calls on their way and started again: the bill is covered, the cap holds, nothing stays held."""
    gateways: list[Serving] = [open_office(tmp_path, sim_url)]

    async def kill() -> str:
        gateways[-1].kill()
        gateways.append(await asyncio.to_thread(open_office, tmp_path, sim_url))
        return gateways[-1].url

    try:
        office = Office(tmp_path, gateways[0].url, sim_url)
        rehearsal = rehearsed(office, Drill(clients=16, cap_usd="0.10", kill=kill, kill_after=10))
    finally:
        gateways[-1].stop()
    assert len(gateways) == 2
    assert rehearsal.ok, [check for check in rehearsal.checks if not check.ok]
