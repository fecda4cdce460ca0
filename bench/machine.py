"""What the figures were taken on: file system, what a durable write costs on it, processors. And the bill of a process, from the kernel."""

import os
import time
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")
_MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs", "devtmpfs"}


def file_system(folder: Path) -> tuple[str, str]:
    """Type and mount point of the file system a folder is on."""
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if str(folder.resolve()).startswith(mount) and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1], best[0]


def fdatasync_ms(folder: Path, rounds: int = 200) -> dict[str, float]:
    """How long a 4 KiB append takes to be durable."""
    path = folder / "fdatasync.probe"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    took = []
    for _ in range(rounds):
        os.write(handle, b"x" * 4096)
        began = time.perf_counter()
        os.fdatasync(handle)
        took.append((time.perf_counter() - began) * 1000)
    os.close(handle)
    path.unlink()
    took.sort()
    return {"p50": round(took[rounds // 2], 3), "p99": round(took[int(rounds * 0.99)], 3)}


def refuse_memory(folder: Path) -> str:
    """The file system's type; exits when it is a memory file system, where nothing is ever durable."""
    kind, mount = file_system(folder)
    if kind in _MEMORY_FILE_SYSTEMS:
        raise SystemExit(f"{folder} is on {kind} ({mount}): nothing is durable there, so a strict benchmark means nothing. Use --folder.")
    return kind


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def cpu_s(pid: int) -> float:
    """Processor seconds of a process, all its threads (the ledger's too), user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def loop_speed() -> float:
    """Millions of additions a second in this interpreter: how fast the machine is just now, for comparing runs."""
    began = time.process_time()
    total = 0
    for number in range(1_000_000):
        total += number
    return round(1 / (time.process_time() - began), 2)


def describe(folder: Path, pins: dict[str, int]) -> dict[str, Any]:
    return {
        "file system": refuse_memory(folder),
        "fdatasync ms": fdatasync_ms(folder),
        "processor": processor(),
        "cores": os.cpu_count(),
        "pinned to core": pins,
        "loop speed (M additions/s)": loop_speed(),
    }
