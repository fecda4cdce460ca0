"""What is measured, one function each: figures in, a dictionary out. Every run counts only calls that were charged what the provider billed."""

import json
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bench.bill import Run, Tally
from bench.house import Ask, House, secret
from bench.report import Figures, Goal, at_least, at_most, spread

MODEL = "gpt-4o-mini"
STALL_MS = 500
_PROMPT = "The quick brown fox jumps over the lazy dog. " * 16
_CALLS_S_LEAST = 5000
_TO_BILL_S = 0.01
STALLED_KB_MOST = 2048
_STALLED = "run-stalled"
_COMMANDS = "farebox_ledger_batch_commands"
_COMMIT = "farebox_ledger_commit_seconds"
_LONG_MODEL, _LONG_TOKENS = "gpt-5-mini", 128_000


def chat(words: str = "", **more: object) -> Ask:
    """A call of about 1 KB."""
    return lambda label: {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You are helpful."},
            {"role": "user", "content": f"{_PROMPT} sim:bill={label} {words}".strip()},
        ],
        "max_tokens": 200,
        **more,
    }


class Turns(NamedTuple):
    """Runs that were made in turn: through the gateway, straight to the provider, through a proxy that only forwards."""

    strict: list[Run]
    direct: list[Run]
    empty: list[Run]


def in_turn(at: House, tally: Tally, *, keys: int, seconds: float, rounds: int) -> Turns:
    """Closed loop at 64 connections, in turn with the same load sent straight to the provider, and through a proxy that only forwards."""
    secrets = [secret(key) for key in range(keys)]
    turns = strict, direct, empty = Turns([], [], [])
    beside = max(seconds / 3, 1)
    tally.add(at.run(chat(), keys=secrets, connections=64, seconds=1))  # not measured: whatever is slow once
    for _ in range(rounds):
        strict.append(tally.add(at.run(chat(), keys=secrets, connections=64, seconds=seconds)))
        direct.append(tally.beside(at.run(chat(), connections=64, seconds=beside, to="provider"), "direct"))
        empty.append(tally.beside(at.run(chat(), connections=64, seconds=beside, to="empty proxy"), "empty proxy"))
    return turns


def throughput(at: House, *, keys: int, seconds: float, rounds: int, least: float = 0) -> Figures:
    """What is reached at 64 connections, beside what the same load reaches without a ledger, and without a gateway."""
    tally = Tally()
    return compared(tally, in_turn(at, tally, keys=keys, seconds=seconds, rounds=rounds), least)


def compared(tally: Tally, turns: Turns, least: float) -> Figures:
    """Figures of runs that were made in turn."""
    strict, direct, empty = turns
    rates = [run.rate for run in strict]
    times = statistics.median(run.cpu_us for run in strict) / statistics.median(run.cpu_us for run in empty)
    return {
        "calls": tally,
        "strict calls/s": at_least(rates, least) if least else spread(rates),
        "strict: CPU us/call": spread([run.cpu_us for run in strict]),
        "strict: % of a core": spread([run.cpu_s / run.seconds * 100 for run in strict]),
        "load: CPU us/call, % of a core": f"{_us(strict, 'load')}, {_busy(strict, 'load')}",
        "provider: CPU us/call, % of a core": f"{_us(strict, 'provider')}, {_busy(strict, 'provider')}",
        "empty proxy: calls/s": spread([run.rate for run in empty]),
        "empty proxy: CPU us/call": spread([run.cpu_us for run in empty]),
        "strict costs": f"{times:.1f} times the empty proxy",
        "direct: calls/s": spread([run.rate for run in direct]),
    }


def _us(runs: list[Run], kind: str) -> str:
    return spread([run.us_per_call(getattr(run, f"{kind}_cpu_s")) for run in runs])


def _busy(runs: list[Run], kind: str) -> str:
    return spread([getattr(run, f"{kind}_cpu_s") / run.seconds * 100 for run in runs])


def strict_throughput(at: House, *, keys: int, seconds: float, rounds: int) -> Figures:
    """Throughput with the rate that must be reached."""
    return throughput(at, keys=keys, seconds=seconds, rounds=rounds, least=_CALLS_S_LEAST)


def half_capacity(at: House, *, capacity: float | None, seconds: float, rounds: int) -> Figures:
    """Open loop at half of what was reached: latency from when each call was due, and time to bill from the gateway's own histogram."""
    tally = Tally()
    if capacity is None:
        capacity = tally.add(at.run(chat(), connections=64, seconds=seconds)).rate
    rate = capacity / 2
    through: list[Run] = []
    direct: list[Run] = []
    before = at.metrics()
    for _ in range(rounds):
        through.append(tally.add(at.run(chat(), connections=64, seconds=seconds, rate=rate)))
        direct.append(tally.beside(at.run(chat(), connections=64, seconds=seconds / 2, rate=rate, to="provider"), "direct"))
    counts = histogram(before, at.metrics(), "farebox_time_to_bill_seconds")
    return {
        "calls": tally,
        "rate/s": round(rate),
        "latency p50 ms": spread([run.latency_ms["p50"] for run in through], 2),
        "latency p99 ms": spread([run.latency_ms["p99"] for run in through], 2),
        "direct: latency p50 ms": spread([run.latency_ms["p50"] for run in direct], 2),
        "direct: latency p99 ms": spread([run.latency_ms["p99"] for run in direct], 2),
        "time to bill p50 ms": f"at most {edge_s(counts, 0.5) * 1000:g}",
        "time to bill p99 ms": _to_bill(counts),
    }


def histogram(before: dict[str, float], after: dict[str, float], name: str) -> dict[float, float]:
    """Observations between two readings, up to each upper edge in seconds."""
    counts: dict[float, float] = {}
    for key, value in after.items():
        if key.startswith(f"{name}_bucket"):
            counts[float(key.partition('le="')[2].partition('"')[0])] = value - before.get(key, 0)
    return counts


def edge_s(counts: dict[float, float], part: float) -> float:
    """The upper edge of the bucket that a percentile lies in."""
    total = max(counts.values(), default=0)
    return next((edge for edge in sorted(counts) if total and counts[edge] >= total * part), float("nan"))


def batches(before: dict[str, float], after: dict[str, float]) -> Figures:
    """How many commands share a commit, and how long one takes, from the gateways' own histograms."""

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    commits = grown(f"{_COMMANDS}_count")
    if not commits:
        return {}
    return {
        "commands per commit": round(grown(f"{_COMMANDS}_sum") / commits, 1),
        "a commit takes ms": round(grown(f"{_COMMIT}_sum") / commits * 1000, 2),
    }


def _to_bill(counts: dict[float, float]) -> Goal:
    edge = edge_s(counts, 0.99)
    share = counts.get(_TO_BILL_S, 0) / (max(counts.values(), default=0) or 1) * 100
    return Goal(edge * 1000, f"at most {edge * 1000:g} ({share:.1f} % within {_TO_BILL_S * 1000:g})", edge <= _TO_BILL_S)


def one_connection(
    at: House, *, seconds: float, rounds: int, rate: float = 100, stream: bool = False, most_ms: tuple[float, float | None] = (1.5, 4)
) -> Figures:
    """What the gateway adds at one connection: runs at the same rate, straight and through it, in turn."""
    tally = Tally()
    ask = chat("sim:output=10", stream=True) if stream else chat()
    added: dict[str, list[float]] = {"p50": [], "p99": []}
    own: list[float] = []
    timed: Callable[[Run], dict[str, float]] = lambda run: run.first_byte_ms if stream else run.latency_ms
    for _ in range(rounds):
        direct = timed(tally.beside(at.run(ask, connections=1, seconds=seconds, rate=rate, to="provider"), "direct"))
        through = timed(tally.add(at.run(ask, connections=1, seconds=seconds, rate=rate)))
        for part, values in added.items():
            values.append(through[part] - direct[part])
        own.append(through["p50"])
    return {
        "calls": tally,
        "rate/s": round(rate),
        "added p50 ms": at_most(added["p50"], most_ms[0], 2),
        "added p99 ms": spread(added["p99"], 2) if most_ms[1] is None else at_most(added["p99"], most_ms[1], 2),
        "through p50 ms": spread(own, 2),
    }


def streams(at: House, *, count: int, per_second: int, seconds: int, rounds: int) -> Figures:
    """Many streams at a fixed pace: does any stall, what does an event cost, what does an open stream weigh?"""
    tally = Tally()
    tally.add(at.run(chat("sim:output=5", stream=True), connections=8, seconds=0.5))
    idle_kb = at.gateway.rss_kb()
    events = per_second * seconds
    ask = chat(f"sim:output={events} sim:pace={1000 // per_second}", stream=True, max_tokens=events + 10)
    through: list[Run] = []
    direct: list[Run] = []
    with _watched(at) as peak_kb:
        for _ in range(rounds):
            through.append(tally.add(at.run(ask, connections=count, seconds=1, total=count)))
            direct.append(tally.beside(at.run(ask, connections=count, seconds=1, total=count, to="provider"), "direct"))
    return {
        "calls": tally,
        "streams open at once": at_least([run.streaming_peak for run in through], 1000),
        "events/s each": per_second,
        "longest silence ms": at_most([max(run.gap_ms["max"] for run in through)], STALL_MS),
        "direct: longest silence ms": spread([run.gap_ms["max"] for run in direct]),
        "CPU us/event": at_most([run.cpu_s * 1e6 / (run.events or float("nan")) for run in through], 30, 1),
        "memory kB per open stream": at_most([(max(peak_kb) - idle_kb) / count], 60, 1),
    }


@contextmanager
def _watched(at: House) -> Iterator[list[float]]:
    """The gateway's memory, every 0.2 s."""
    done = threading.Event()
    seen: list[float] = [0.0]

    def watch() -> None:
        while not done.wait(0.2):
            seen.append(at.gateway.rss_kb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def memory(at: House, *, clients: int = 10) -> Figures:
    """Idle, and with clients that ask for a stream of tens of megabytes, more than any socket takes, and read nothing of it."""
    tally = Tally()
    idle_kb = at.gateway.rss_kb()
    whole = tally.beside(at.run(_long_answer, connections=1, seconds=1, total=1, to="provider"), "direct")
    began_ms = time.time_ns() // 1_000_000
    stalled = [_ask_and_read_nothing(at, _long_answer(_STALLED)) for _ in range(clients)]
    time.sleep(5)
    still_open = at.open_at_provider(_STALLED)
    grown_kb = at.gateway.rss_kb() - idle_kb
    for client in stalled:
        client.close()
    tally.right, tally.differs = at.counted(_STALLED, began_ms)
    if still_open < clients or not tally.right:
        tally.wrong.append(f"of {clients} streams that nobody reads {still_open} were open, and {tally.right} right")
    return {
        "calls": tally,
        "idle MB": at_most([idle_kb / 1024], 100, 1),
        "kB per client that reads nothing": at_most([grown_kb / clients], STALLED_KB_MOST),
        "of an answer of kB": round(whole.bytes / 1024),
    }


def _long_answer(label: str) -> Figures:
    more = {"model": _LONG_MODEL, "stream": True, "n": 64, "max_completion_tokens": _LONG_TOKENS}
    return {name: value for name, value in chat(f"sim:output={_LONG_TOKENS}", **more)(label).items() if name != "max_tokens"}


def _ask_and_read_nothing(at: House, body: object) -> socket.socket:
    content = json.dumps(body).encode()
    host, port = at.url.removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # before it connects: later it no longer bounds the window
    client.connect((host, int(port)))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret(0)}\r\ncontent-type: application/json\r\n"
    client.sendall(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
    return client
