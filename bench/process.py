"""A process of a run: kept on one core from its first instruction to its last thread, and what the kernel says it costs."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))
GATEWAY_CORE = _CORES[0]
OTHER_CORE = _CORES[-1]
PINS = {"gateway and ledger": GATEWAY_CORE, "empty proxy": GATEWAY_CORE, "provider": OTHER_CORE, "load": OTHER_CORE}
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}


class Process:
    """A command that runs on one core."""

    def __init__(self, core: int, *command: str, source: Path | None = None, **more: Any) -> None:
        """`source`: where the package is, if not where this one is."""
        self.core = core
        environment = _ENVIRONMENT if source is None else _ENVIRONMENT | {"PYTHONPATH": str(source)}
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})  # a child starts where its parent is: so no thread of it is ever elsewhere
        try:
            self.popen = subprocess.Popen(command, text=True, env=environment, **more)
        finally:
            os.sched_setaffinity(0, before)

    @property
    def _proc(self) -> Path:
        return Path(f"/proc/{self.popen.pid}")

    def check_pinned(self) -> None:
        """Exits when any thread may run on another core: the figures would not mean what is printed above them."""
        for thread in (self._proc / "task").iterdir():
            cores = os.sched_getaffinity(int(thread.name))
            if cores != {self.core}:
                raise SystemExit(f"process {self.popen.pid} is not kept to core {self.core}: a thread of it may run on {sorted(cores)}")

    def cpu_s(self) -> float:
        """Processor seconds so far, all threads (the ledger's too), user and system."""
        fields = (self._proc / "stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_kb(self) -> int:
        """Memory now."""
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def line(self) -> str:
        """The next line that it prints."""
        assert self.popen.stdout is not None
        return str(self.popen.stdout.readline())

    def stop(self) -> None:
        """Asks it to end; it is killed when it does not."""
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(40)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
