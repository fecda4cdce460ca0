"""`farebox check routes`: every key of every provider, in a process of its own, against simulated providers."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.terminal import Office, Terminal
from farebox.cli.trials import run, trials
from farebox.money import parse_usd
from farebox.settings import load

HOSTS = ["deepseek", "mistral", "xai", "groq", "openrouter", "together", "fireworks", "perplexity", "cohere", "gemini-openai"]
SECRET = "sk-upstream-number-"


def provider(name: str, base_url: str, *keys: str, **more: str) -> str:
    first, *others = keys or (f"{SECRET}{name}",)
    lines = [f"[providers.{name}]", f'api_key = "{first}"', f"api_keys = {json.dumps(others)}", f'base_url = "{base_url}"']
    return "\n".join([*lines, *(f'{field} = "{value}"' for field, value in more.items())]) + "\n"


def everybody(sim: str) -> str:
    """Settings with every provider that is built in and has prices."""
    own = {"openai": f"{sim}/v1", "anthropic": sim, "gemini": sim, "elevenlabs": sim, "bedrock": sim, "azure": sim}
    hosts = {name: f"{sim}/{name}/v1" for name in HOSTS}
    return "".join(provider(name, url) for name, url in (own | hosts).items())


def in_folder(terminal: Terminal, toml: str) -> Terminal:
    (terminal.folder / "farebox.toml").write_text(toml, "utf-8")
    return terminal


def test_every_provider_answers_is_metered_and_costs_what_the_simulator_bills(terminal: Terminal, sim_url: str) -> None:
    """A status, units and a cost of each, the reported one where there is one; the sum of all is what was billed. No key is shown."""
    in_folder(terminal, everybody(sim_url))
    before = httpx.get(f"{sim_url}/sim/bill").json()["total_nano"]
    done = terminal.run("check", "routes", "--json")
    billed = int(httpx.get(f"{sim_url}/sim/bill").json()["total_nano"]) - int(before)
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["ok"]
    found = {row["provider"]: row for row in report["routes"]}
    assert found.keys() == {"openai", "anthropic", "gemini", "elevenlabs", "bedrock", "azure", *HOSTS}
    for row in found.values():
        assert (row["status"], row["problem"]) == (200, ""), row
        assert row["units"], row
        assert parse_usd(row["cost_usd"]) > 0, row
    assert sum(parse_usd(row["cost_usd"]) for row in found.values()) == billed
    assert {name for name, row in found.items() if row["reported_cost_usd"]} >= {"openrouter", "xai", "perplexity"}
    assert SECRET not in done.stdout + done.stderr
    assert not (terminal.folder / "farebox.db").exists(), "nothing was made that was not there"


def test_a_dead_key_of_a_pool_is_told_and_the_exit_code_is_1(terminal: Terminal, sim_url: str) -> None:
    """Each key by its number and last letters, the dead one with what the provider says, without the key."""
    keys = [f"{SECRET}{name}" for name in ("alive", "dead1", "quota")]
    in_folder(terminal, provider("openai", f"{sim_url}/v1", *keys) + provider("anthropic", sim_url))
    for key, status, code in ((keys[1], 401, "invalid_api_key"), (keys[2], 429, "insufficient_quota")):
        httpx.post(f"{sim_url}/sim/keys", params={"key": key, "status": status, "code": code}).raise_for_status()
    rows = terminal.json("check", "routes", "--provider", "openai", code=1)["routes"]
    assert [(row["key"], row["status"], row["ok"]) for row in rows] == [
        ("1 …live", 200, True),
        ("2 …ead1", 401, False),
        ("3 …uota", 429, False),
    ]
    assert rows[1]["problem"] == "the account or its key: Simulated refusal of this key, 401."
    shown = terminal.run("check", "routes", code=1).stdout
    assert "the account or its key" in shown
    assert SECRET not in shown
    for key in keys[1:]:
        httpx.post(f"{sim_url}/sim/keys", params={"key": key})
    assert terminal.json("check", "routes", "--provider", "openai")["ok"]


def test_aliases_and_deployments_say_what_is_asked_for(terminal: Terminal, sim_url: str) -> None:
    """Each model that an alias leads to, and each deployment; a provider of which no model is known needs one."""
    aliases = "".join(f'[models.{name}]\nroute = ["openai/{model}"]\n' for name, model in (("fast", "gpt-4.1-nano"), ("good", "gpt-4o")))
    azure = provider("azure", sim_url) + '[providers.azure.deployments]\n"prod-gpt-4o" = "gpt-4o"\n'
    in_folder(terminal, provider("openai", f"{sim_url}/v1") + azure + provider("ollama", f"{sim_url}/ollama/v1") + aliases)
    rows = terminal.json("check", "routes", code=1)["routes"]
    assert [(row["provider"], row["model"], row["ok"]) for row in rows] == [
        ("openai", "gpt-4.1-nano", True),
        ("openai", "gpt-4o", True),
        ("azure", "prod-gpt-4o", True),
        ("ollama", "", False),
    ]
    assert "[models.NAME]" in rows[-1]["problem"]


def test_it_runs_beside_a_gateway_and_touches_no_wallet(office: Office) -> None:
    """With the prices of the store; the gateway's books are as before."""
    before = office.json("verify")["sums_usd"]
    assert office.json("check", "routes")["ok"]
    assert office.json("verify")["sums_usd"] == before


def test_nobody_to_ask_is_a_failure_of_one_line(terminal: Terminal) -> None:
    """A name that is no provider's; and no provider at all."""
    assert "there is no provider x" in terminal.fails("check", "routes", "--provider", "x")
    assert terminal.json("check", "routes", code=1) == {"ok": False, "routes": []}


async def test_a_provider_that_is_away_or_has_no_price_is_told_so(tmp_path: Path, sim_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection, an answer whose model nobody can price: each is a failure with its reason."""
    monkeypatch.chdir(tmp_path)
    away = {"api_key": "k", "base_url": "http://127.0.0.1:1/v1"}
    own = {"api_key": "k", "base_url": f"{sim_url}/ollama/v1", "dialect": "openai"}
    settings = load(flags={"providers": {"openai": away, "ollama": own}, "models": {"mine": {"route": ["ollama/llama3.2"]}}}).settings
    unreachable, unpriced = await run(trials(settings))
    assert (unreachable.ok, unreachable.status) == (False, 0)
    assert unreachable.problem
    assert (unpriced.ok, unpriced.status) == (False, 200)
    assert "no price" in unpriced.problem
