"""Two gateway processes over one PostgreSQL, a gateway on each core: what both reach together, and what their batches are like."""

import math

from bench.bill import Run, Tally
from bench.house import House
from bench.process import PINS
from bench.report import Figures, at_most, spread
from bench.scenarios import Turns, batches, compared, in_turn, one_connection

CALLS_S_LEAST = 3000
HOT_CALLS_S_LEAST = 2000
ADDED_MS_MOST = 4
LOW_RATE = 50
_DEADLOCK = 'farebox_alarms_total{name="deadlock"}'


def pins(cores: tuple[int, ...]) -> dict[str, object]:
    """What runs where."""
    return {
        **{f"gateway {number + 1}": core for number, core in enumerate(cores)},
        "empty proxies": "as the gateways",
        "PostgreSQL": "not pinned",
        "provider": PINS["provider"],
        "load": PINS["load"],
    }


def both(at: House, *, keys: int, least: float, seconds: float, rounds: int) -> Figures:
    """64 connections, half of them to each gateway."""
    tally = Tally()
    before = at.metrics()
    turns = in_turn(at, tally, keys=keys, seconds=seconds, rounds=rounds)
    return compared(tally, turns, least) | _database(turns) | batches(before, at.metrics())


def low_load(at: House, *, seconds: float, rounds: int) -> Figures:
    """One connection to one of them, at a low rate."""
    before = at.metrics()
    figures = one_connection(at, seconds=seconds, rounds=rounds, rate=LOW_RATE, most_ms=(ADDED_MS_MOST, None))
    return figures | batches(before, at.metrics())


def deadlocks_told(at: House) -> float:
    """Of how many the gateways were told."""
    return at.metrics().get(_DEADLOCK, 0)


def no_deadlocks(found: int, told: float) -> Figures:
    """As the database counts them once the gateways have left it (until then it may not have been told), and as the gateways were told."""
    return {"by the database": at_most([found], 0), "told to the gateways": at_most([told], 0)}


def _database(turns: Turns) -> Figures:
    strict = turns.strict
    if any(math.isnan(run.store_cpu_s) for run in strict):
        return {"PostgreSQL: CPU": "not known: its processes are somebody else's"}
    return {
        "PostgreSQL: CPU us/call, all its processes": spread([run.us_per_call(run.store_cpu_s) for run in strict]),
        "CPU us/call of everything": spread([run.us_per_call(_everything_s(run)) for run in strict]),
    }


def _everything_s(run: Run) -> float:
    return run.cpu_s + run.store_cpu_s + run.provider_cpu_s + run.load_cpu_s
