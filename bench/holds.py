"""Pairs of a hold and its capture a second: over HTTP, straight through the ledger, and against a server without a ledger, in turn.

Of each run the ledger must have one charge for each pair, of just what the pair captured in sum, and no open hold.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.house import House, load, seed
from bench.process import GATEWAY_CORE, Process
from bench.report import Checked, Figures, at_least, spread
from bench.scenarios import batches
from farebox.ids import first_id
from farebox.store.opening import connect

PAIRS_S_LEAST = 5000
_KEYS = 100
_CLIENTS = (64, 256)


class Pairs(NamedTuple):
    """One run."""

    rate: float
    cpu_us: float
    p50_ms: float
    load_us: float
    load_busy: float


class Count:
    """What became of a scenario's pairs."""

    def __init__(self) -> None:
        self.right = self.refused = self.failed = 0
        self.wrong: list[str] = []

    def add(self, found: dict[str, Any], charges: tuple[int, int, int]) -> None:
        """A run, and what the ledger has of it: charges, their sum, holds that are still open."""
        if charges == (found["pairs"], found["captured"], 0) and found["pairs"]:
            self.right += found["pairs"]
        else:
            self.wrong.append(f"{found['pairs']} pairs captured {found['captured']}: the ledger has (charges, sum, open) {charges}")
        self.refused += found["refused"]
        self.failed += found["failed"]

    def checked(self) -> Checked:
        return Checked(f"{self.right:,} pairs right, {self.refused} refused, {self.failed} failed", "; ".join(self.wrong))


def pairs(at: House, folder: Path, *, seconds: float, rounds: int) -> Figures:
    """A hold and its capture, from as many clients at once as are named."""
    place = folder / "pairs"
    place.mkdir()
    seed(place, wallets=_KEYS, keys=_KEYS)
    count = Count()
    figures: Figures = {}
    with _empty() as (process, url):
        for clients in _CLIENTS:
            before = at.metrics()
            through, straight, empty = [], [], []
            for _ in range(rounds):
                through.append(_through(at, clients, seconds, count))
                straight.append(_straight(place / "farebox.db", clients, seconds, count))
                found, cpu_s = _loaded(process, url, "", clients, max(seconds / 3, 1))
                empty.append(_of(found, cpu_s))
            figures |= {f"{clients} clients, {name}": value for name, value in _shown(through, straight, empty).items()}
            figures |= {f"{clients} clients, {name}": value for name, value in batches(before, at.metrics()).items()}
    return {"pairs": count.checked(), **figures}


def _shown(through: list[Pairs], straight: list[Pairs], empty: list[Pairs]) -> Figures:
    return {
        "pairs/s": at_least([run.rate for run in through], PAIRS_S_LEAST),
        "a pair takes p50 ms": spread([run.p50_ms for run in through], 1),
        "CPU us/pair": spread([run.cpu_us for run in through]),
        "without HTTP: pairs/s": spread([run.rate for run in straight]),
        "without HTTP: CPU us/pair": spread([run.cpu_us for run in straight]),
        "without ledger: pairs/s": spread([run.rate for run in empty]),
        "without ledger: CPU us/pair": spread([run.cpu_us for run in empty]),
        "load: CPU us/pair, % of a core": f"{spread([run.load_us for run in through])}, {spread([run.load_busy for run in through])}",
    }


def _through(at: House, clients: int, seconds: float, count: Count) -> Pairs:
    """Over HTTP, as a backend with an admin key asks."""
    since = time.time_ns() // 1_000_000
    found, cpu_s = _loaded(at.gateway, at.url, (at.home(0) / "admin.key").read_text("ascii").strip(), clients, seconds)
    still_open = at.settled(since)
    ((charges, total),) = at.select(_CHARGES, since=first_id("hold", since))
    count.add(found, (charges, int(total), still_open))
    return _of(found, cpu_s)


def _straight(file: Path, clients: int, seconds: float, count: Count) -> Pairs:
    """In the ledger's own process, on a ledger of its own."""
    since = first_id("hold", time.time_ns() // 1_000_000)
    process = Process(
        GATEWAY_CORE, sys.executable, "-m", "bench.hold_pairs", str(file), str(_KEYS), str(clients), str(seconds), stdout=subprocess.PIPE
    )
    out, _ = process.popen.communicate()
    if process.popen.returncode:
        raise SystemExit("the pairs straight through the ledger broke off")
    found: dict[str, Any] = json.loads(out)
    db = connect(file)
    ((charges, total),) = db.select(_CHARGES, {"since": since})
    ((still_open,),) = db.select("SELECT count(*) FROM holds WHERE state = 'open' AND id >= :since", {"since": since})
    db.close()
    count.add(found, (charges, int(total), still_open))
    return _of(found, found["cpu_s"])


_CHARGES = "SELECT count(*), coalesce(sum(price), 0) FROM charges WHERE hold_id >= :since"


def _loaded(process: Process, url: str, admin_key: str, clients: int, seconds: float) -> tuple[dict[str, Any], float]:
    cpu_s = process.cpu_s()
    asked = {"url": url, "admin_key": admin_key, "keys": _KEYS, "clients": clients, "seconds": seconds}
    return load("bench.hold_load", asked, "the holds API"), process.cpu_s() - cpu_s


def _of(found: dict[str, Any], cpu_s: float) -> Pairs:
    pairs, seconds, load_s = found["pairs"] or float("nan"), found["seconds"], found.get("load_cpu_s", float("nan"))
    p50_ms = found["pair_ms"]["p50"] if "pair_ms" in found else float("nan")
    return Pairs(pairs / seconds, cpu_s * 1e6 / pairs, p50_ms, load_s * 1e6 / pairs, load_s / seconds * 100)


@contextmanager
def _empty() -> Iterator[tuple[Process, str]]:
    """The server without a ledger."""
    process = Process(GATEWAY_CORE, sys.executable, "-m", "bench.empty_answers", stdout=subprocess.PIPE)
    try:
        yield process, process.line().strip()
    finally:
        process.stop()
