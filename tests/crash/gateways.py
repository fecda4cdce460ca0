"""Gateways as processes of a test: each is waited for until it says where it is, and none outlives the test, however that ends."""

import asyncio
import subprocess
import sys
from pathlib import Path

WAIT_S = 120
"""For a process that hangs. A busy machine may take half a minute to start one."""
_SCRIPT = Path(__file__).parents[1] / "support" / "gateway_process.py"


class Gateways:
    """All that a test has started."""

    def __init__(self) -> None:
        self._all: list[asyncio.subprocess.Process] = []

    async def start(self, folder: Path, sim_url: str, *words: str) -> tuple[asyncio.subprocess.Process, str]:
        """One more, and its URL."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(_SCRIPT), str(folder), sim_url, *words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._all.append(process)
        assert process.stdout is not None
        url = (await asyncio.wait_for(process.stdout.readline(), WAIT_S)).decode().strip()
        assert url.startswith("http"), "the gateway did not start"
        return process, url

    async def end(self) -> None:
        """Kills those that still run."""
        for process in self._all:
            if process.returncode is None:
                process.kill()
                await process.wait()
