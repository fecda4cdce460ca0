"""This code beside an earlier commit's, in one run, in turn: what a change cost. The same provider, load and machine; only the gateway differs."""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.bill import Run, Tally
from bench.house import House, house, seed
from bench.report import Figures, at_least, at_most, spread
from bench.scenarios import chat

WITHIN = 0.1
"""By how much a figure may be worse."""
_SEED = "import pathlib, sys; from bench.house import seed; seed(pathlib.Path(sys.argv[1]), wallets=1, keys=1)"


@contextmanager
def checked_out(revision: str, folder: Path) -> Iterator[Path]:
    """A commit's files in a folder of their own, for as long as this lasts."""
    tree = folder / "tree"
    subprocess.run(("git", "worktree", "add", "--detach", "--quiet", str(tree), revision), check=True)
    try:
        yield tree
    finally:
        subprocess.run(("git", "worktree", "remove", "--force", str(tree)), check=True)


def against(revision: str, folder: Path, *, seconds: float, rounds: int) -> Figures:
    """Chat calls at 64 connections and at one, through the gateway of a commit and through this one, in turn."""
    before, now = folder / "before", folder / "now"
    before.mkdir()
    now.mkdir()
    with checked_out(revision, folder) as tree:
        path = f"{tree / 'src'}{os.pathsep}{tree}"
        subprocess.run((sys.executable, "-c", _SEED, str(before)), check=True, env={**os.environ, "PYTHONPATH": path}, cwd=tree)
        seed(now, wallets=1, keys=1)
        with house(before, source=tree / "src") as earlier, house(now) as current:
            figures = _in_turn(earlier, current, seconds=seconds, rounds=rounds)
            return figures | {"verify": current.verify()}


def _in_turn(earlier: House, current: House, *, seconds: float, rounds: int) -> Figures:
    tally = Tally()
    many: dict[House, list[Run]] = {earlier: [], current: []}
    one: dict[House, list[Run]] = {earlier: [], current: []}
    for at in (earlier, current):
        tally.add(at.run(chat(), connections=64, seconds=1))  # not measured: whatever is slow once
    for turn in range(rounds * 2):
        for at in (earlier, current) if turn % 2 else (current, earlier):
            many[at].append(tally.add(at.run(chat(), connections=64, seconds=seconds / 2)))
            one[at].append(tally.add(at.run(chat(), connections=1, seconds=seconds / 4)))
    rates = [new.rate / old.rate for old, new in zip(many[earlier], many[current], strict=True)]
    cpu = [new.cpu_us / old.cpu_us for old, new in zip(many[earlier], many[current], strict=True)]
    p50 = [new.latency_ms["p50"] / old.latency_ms["p50"] for old, new in zip(one[earlier], one[current], strict=True)]
    return {
        "calls": tally,
        "strict calls/s: before": spread([run.rate for run in many[earlier]]),
        "strict calls/s: now": spread([run.rate for run in many[current]]),
        "strict calls/s: now / before": at_least(rates, 1 - WITHIN, 3),
        "CPU us/call: before, now": f"{_cpu(many[earlier])}, {_cpu(many[current])}",
        "CPU us/call: now / before": at_most(cpu, 1 + WITHIN, 3),
        "one connection, p50 ms: before, now": f"{_p50(one[earlier])}, {_p50(one[current])}",
        "one connection, p50: now / before": at_most(p50, 1 + WITHIN, 3),
    }


def _cpu(runs: list[Run]) -> str:
    return f"{statistics.median(run.cpu_us for run in runs):.0f}"


def _p50(runs: list[Run]) -> str:
    return f"{statistics.median(run.latency_ms['p50'] for run in runs):.2f}"
