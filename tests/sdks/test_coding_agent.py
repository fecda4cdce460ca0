"""A coding agent from npm, unmodified, driven without a person: its base URL and its key are all it is told of the gateway."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from sdks.driving import JAVASCRIPT, NODE, clean_environment
from support.house import House

_AGENT = JAVASCRIPT / "node_modules" / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"
_TOOL_SERVER = Path(__file__).parent / "programs" / "tool_server.py"
_MODEL = "claude-sonnet-5-5"
_QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "ENABLE_TOOL_SEARCH": "false"}
"""No calls of its own but those to the model, and its tools are offered at once."""
_SAME = ("is_error", "result", "stop_reason", "num_turns", "usage", "total_cost_usd", "terminal_reason", "subtype")


async def _run(folder: Path, url: str, key: str, prompt: str) -> tuple[int, dict[str, Any], list[str]]:
    """Exit code, what it printed, and the uses of its tool."""
    home, desk = folder / "home", folder / "desk"
    for each in (home, desk):
        each.mkdir(exist_ok=True)
    notes = desk / "notes"
    notes.unlink(missing_ok=True)
    server = {"command": sys.executable, "args": [str(_TOOL_SERVER), str(notes)]}
    told = ["-p", prompt, "--model", _MODEL, "--output-format", "json", "--tools", "", "--allowedTools", "mcp__desk__look_up"]
    told += ["--strict-mcp-config", "--mcp-config", json.dumps({"mcpServers": {"desk": server}})]
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        str(_AGENT),
        *told,
        cwd=desk,
        env={**clean_environment(home), **_QUIET, "ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": key},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert out, err.decode(errors="replace")
    return process.returncode or 0, json.loads(out), notes.read_text().splitlines() if notes.exists() else []


async def test_an_agent_uses_its_tools_through_the_gateway_as_straight(house: House, tmp_path: Path) -> None:
    """The same turns, tool uses, tokens and answer; each of its calls charged what the provider billed."""
    secret = await house.customer("50.00", None)
    straight = await _run(tmp_path, house.sim.url, "any", "Look it up. sim:tool=1")
    billed = len(await house.sim_calls())
    through = await _run(tmp_path, house.url, secret, "Look it up. sim:tool=1")
    for code, said, used in (straight, through):
        assert (code, said["is_error"], said["num_turns"]) == (0, False, 2)
        assert used == ["This is a simulated answer"]
    assert {name: through[1][name] for name in _SAME} == {name: straight[1][name] for name in _SAME}
    charges = await house.agree_with(billed)
    assert len(charges) == 2
    assert all(charge.completeness == "exact" and charge.paid for charge in charges)


async def test_an_agent_without_money_stops_at_once_and_says_why(house: House, tmp_path: Path) -> None:
    """One request, the refusal in what it prints, nothing forwarded, nothing charged."""
    code, said, _ = await _run(tmp_path, house.url, await house.customer("0"), "Say hello.")
    assert (code, said["is_error"], said["api_error_status"]) == (1, True, 402)
    assert "402" in said["result"]
    assert [request for request in house.seen if "messages" in request] == ["POST /v1/messages"]
    assert await house.sim_calls() == []
