"""What the figures were taken on: file system, what a durable write costs on it, processors, the Python that runs it."""

import os
import platform
import time
from pathlib import Path
from typing import Any

from bench.process import PINS

_MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs", "devtmpfs"}


def file_system(folder: Path) -> tuple[str, str]:
    """Type and mount point of the file system a folder is on."""
    place = folder.resolve()
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if place.is_relative_to(mount) and len(mount) >= len(best[0]):
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


def python() -> str:
    """Which Python runs all of it: the same code on two builds can differ by a third."""
    return f"{platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}"


def loop_speed() -> float:
    """Millions of additions a second in this interpreter: how fast the machine is just now, for comparing runs."""
    began = time.process_time()
    total = 0
    for number in range(1_000_000):
        total += number
    return round(1 / (time.process_time() - began), 2)


def describe(folder: Path) -> dict[str, Any]:
    return {
        "file system": refuse_memory(folder),
        "fdatasync ms": fdatasync_ms(folder),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "pinned to core": PINS,
        "python": python(),
        "loop speed (M additions/s)": loop_speed(),
    }
