"""`python -m bench`: runs the scenarios, prints what they were taken on, the figures beside what must be reached, and verifies the books."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench import agent_day, holds, machine, report, scenarios, two_gateways
from bench.against import WITHIN, against
from bench.certificate import certificate
from bench.flat import flatness
from bench.house import House, house, seed
from bench.postgres import deadlocks, postgres
from bench.process import GATEWAY_CORE, OTHER_CORE
from bench.report import Checked, Figures, Goal

_SQLITE = {
    "one hot wallet": "at least 5,000 strict calls/s at 64 connections",
    "many wallets": "the same over 100 wallets and keys",
    "upstream over TLS": "",
    "half capacity": "time to bill p99 at most 10 ms; latency is from an open loop",
    "one connection": "added p50 at most 1.5 ms, p99 at most 4 ms",
    "first byte of a stream": "added p50 at most 1.5 ms, p99 at most 4 ms",
    "streams": f"1,000 without a stall of {scenarios.STALL_MS} ms; at most 30 us CPU/event, 60 kB per open stream",
    "memory": f"at most 100 MB idle, {scenarios.STALLED_KB_MOST:,} kB per stalled client",
    "holds": f"at least {holds.PAIRS_S_LEAST:,} pairs of a hold and its capture a second, over HTTP",
    "flat": "cost per call within 20 % from 1,000 to 1,000,000 charges and from 10 to 100,000 keys",
    "agent's day": "with clamping at least 98 % of $10 can be spent",
}
_POSTGRES = {
    "two gateways, many wallets": f"at least {two_gateways.CALLS_S_LEAST:,} strict calls/s in all, at 64 connections in all, 100 wallets and keys",
    "two gateways, one hot wallet": f"at least {two_gateways.HOT_CALLS_S_LEAST:,} strict calls/s in all",
    "two gateways, one connection": f"added p50 at most {two_gateways.ADDED_MS_MOST} ms at {two_gateways.LOW_RATE} calls/s",
    "deadlocks": "none",
}
TARGETS = {"sqlite": _SQLITE, "postgres": _POSTGRES}
Results = dict[str, Figures]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--store", choices=sorted(TARGETS), default="sqlite", help="what the ledger is on")
    parser.add_argument("--postgres", metavar="URL", help="an empty database to use, instead of a server that is started for the run")
    parser.add_argument("--folder", type=Path, default=None, help="where the ledgers lie; a memory file system is refused")
    parser.add_argument("--quick", action="store_true", help="short runs and small ledgers: for a look, not for quoting")
    parser.add_argument("--only", action="append", choices=sorted(_SQLITE | _POSTGRES), help="one scenario (may be repeated)")
    parser.add_argument("--against", metavar="COMMIT", help="instead: chat calls through that commit's gateway and this one, in turn")
    parser.add_argument("--json", type=Path, help="also write everything to a file")
    asked = parser.parse_args()
    for name in asked.only or ():
        if name not in TARGETS[asked.store]:
            parser.error(f"{name!r} is no scenario of --store {asked.store}; these are: {', '.join(TARGETS[asked.store])}")
    if asked.postgres and asked.store != "postgres":
        parser.error("--postgres goes with --store postgres")
    folder = Path(tempfile.mkdtemp(prefix="farebox-bench-", dir=asked.folder or Path.cwd()))
    try:
        return Bench(asked, folder).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Bench:
    """A run: what was asked, and what was found so far."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        self.asked = asked
        self.folder = folder
        self.seconds, self.rounds = (2.0, 2) if asked.quick else (8.0, 5)
        self.results: Results = {}

    def run(self) -> int:
        """0 when every figure is worth something."""
        began = time.monotonic()
        self.tell("machine", machine.describe(self.folder))
        if self.asked.against:
            return self.beside(self.asked.against, began)
        verdict = self.on_sqlite() if self.asked.store == "sqlite" else self.on_postgres()
        last = {"verify": verdict, "loop speed (M additions/s)": machine.loop_speed(), "took s": round(time.monotonic() - began)}
        return _end(self.asked, self.results, last)

    def beside(self, revision: str, began: float) -> int:
        """This code and an earlier commit's."""
        figures = against(revision, self.folder, seconds=self.seconds, rounds=self.rounds)
        self.results["against"] = figures
        report.show(f"against {revision}", figures, f"no figure more than {WITHIN:.0%} worse")
        return _end(self.asked, self.results, {"took s": round(time.monotonic() - began)})

    def tell(self, name: str, figures: Figures) -> None:
        self.results[name] = figures
        report.show(name, figures, TARGETS[self.asked.store].get(name, ""))

    def measure(self, name: str, work: Callable[[], Figures]) -> None:
        if not self.asked.only or name in self.asked.only:
            self.tell(name, work())

    def on_sqlite(self) -> Checked:
        """One gateway, its ledger in a file."""
        measure, seconds, rounds, quick = self.measure, self.seconds, self.rounds, self.asked.quick
        place = self.folder / "ledger"
        place.mkdir()
        seed(place, wallets=100, keys=200)
        agent_keys = prepare_days(place)
        with house(place) as at:
            measure("memory", lambda: scenarios.memory(at))
            measure("one hot wallet", lambda: scenarios.strict_throughput(at, keys=1, seconds=seconds, rounds=rounds))
            measure("many wallets", lambda: scenarios.strict_throughput(at, keys=100, seconds=seconds, rounds=rounds))
            capacity = _capacity(self.results)
            measure("half capacity", lambda: scenarios.half_capacity(at, capacity=capacity, seconds=seconds, rounds=rounds))
            measure("one connection", lambda: scenarios.one_connection(at, seconds=seconds, rounds=rounds))
            measure("first byte of a stream", lambda: scenarios.one_connection(at, seconds=seconds, rounds=rounds, stream=True))
            count, length = (200, 5) if quick else (1000, 10)
            measure("streams", lambda: scenarios.streams(at, count=count, per_second=20, seconds=length, rounds=rounds))
            measure("holds", lambda: holds.pairs(at, self.folder, seconds=seconds, rounds=rounds))
            measure("agent's day", lambda: _days(at, agent_keys))
            verdict = at.verify()
        measure("upstream over TLS", lambda: _tls(self.folder, seconds, rounds))
        many, keys = (20_000, 1000) if quick else (1_000_000, 100_000)
        measure("flat", lambda: flatness(self.folder, few=1000, many=many, keys=keys, seconds=seconds / 2, rounds=rounds))
        return verdict

    def on_postgres(self) -> Checked:
        """Two gateways, their ledger in one database."""
        seconds, rounds = self.seconds, self.rounds
        place = self.folder / "ledger"
        place.mkdir()
        cores = (GATEWAY_CORE, OTHER_CORE)
        with postgres(self.folder / "postgres", self.asked.postgres) as database:
            self.tell("PostgreSQL", database.describe() | {"pinned to core": two_gateways.pins(cores)})
            seed(database.url, wallets=100, keys=100)
            found = deadlocks(database)
            with house(place, postgres=database, cores=cores) as at:
                for name, keys, least in (
                    ("two gateways, many wallets", 100, two_gateways.CALLS_S_LEAST),
                    ("two gateways, one hot wallet", 1, two_gateways.HOT_CALLS_S_LEAST),
                ):
                    self.measure(name, partial(two_gateways.both, at, keys=keys, least=least, seconds=seconds, rounds=rounds))
                self.measure("two gateways, one connection", lambda: two_gateways.low_load(at, seconds=seconds, rounds=rounds))
                verdict = at.verify()
                told = two_gateways.deadlocks_told(at)
            self.measure("deadlocks", lambda: two_gateways.no_deadlocks(deadlocks(database) - found, told))
        return verdict


def _capacity(results: Results) -> float | None:
    """What one hot wallet reached, if that was measured."""
    reached = results.get("one hot wallet", {}).get("strict calls/s")
    return reached.value if isinstance(reached, Goal) else None


def _end(asked: argparse.Namespace, results: Results, last: Figures) -> int:
    """0 when every figure is worth something, whether or not it is what must be reached."""
    results["at the end"] = last
    report.show("at the end", last)
    broken = [f"{name}: {problem}" for name, figures in results.items() for problem in report.problems(figures)]
    print("\nBROKEN, nothing above is to be quoted" if broken else "\nevery call that counts was charged what the provider billed")
    for problem in broken:
        print(f"  {problem}")
    if asked.json:
        report.write(asked.json, results)
    return 1 if broken else 0


_DAY_LIMIT = 10_000_000_000


def prepare_days(place: Path) -> dict[str, int]:
    """Two keys capped at $10, for a day with clamping and one without."""
    from farebox.ledger.commands import EditKey
    from farebox.store.sqlite import SqliteStore

    store = SqliteStore(place / "farebox.db", alarm=print)
    for number in (190, 191):
        store.decide([(EditKey(f"day{number}", f"key_{number:06d}", {}, _DAY_LIMIT),)])
    store.close()
    return {"with clamping": 190, "without": 191}


def _days(at: House, keys: dict[str, int]) -> dict[str, Any]:
    days = {name: agent_day.day(at, key, _DAY_LIMIT, clamp=name == "with clamping") for name, key in keys.items()}
    return {f"{name}: {field}": value for name, figures in days.items() for field, value in figures.items()}


def _tls(folder: Path, seconds: float, rounds: int) -> Figures:
    place = folder / "tls"
    place.mkdir()
    seed(place, wallets=1, keys=1)
    with house(place, tls=certificate(place)) as at:
        figures = scenarios.throughput(at, keys=1, seconds=seconds, rounds=rounds)
        return figures | {"verify": at.verify()}


if __name__ == "__main__":
    sys.exit(main())
