"""What is measured, one function each: figures in, a dictionary out. Charges are compared call by call in throughput and streams; the others count answers."""

import socket
import statistics
import time
from pathlib import Path
from typing import Any

from bench import machine
from bench.house import House, house, secret, seed

Figures = dict[str, Any]
MODEL = "gpt-4o-mini"
_PROMPT = "The quick brown fox jumps over the lazy dog. " * 16


def chat(label: str, words: str = "", **more: Any) -> Figures:
    """The body of a call: about 1 KB."""
    content = f"{_PROMPT} sim:bill={label} {words}".strip()
    return {
        "model": MODEL,
        "messages": [{"role": "system", "content": "You are helpful."}, {"role": "user", "content": content}],
        "max_tokens": 200,
        **more,
    }


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def throughput(at: House, *, keys: int, seconds: float, rounds: int, name: str) -> Figures:
    """Closed loop at 64 connections, alternated with the same load sent straight to the provider."""
    rates, costs, direct = [], [], []
    figures: Figures = {"ok": 0, "refused": 0, "failed": 0}
    for number in range(rounds):
        label = f"{name}-{number}"
        run = at.run(body=chat(label), keys=[secret(key) for key in range(keys)], connections=64, seconds=seconds)
        right, wrong = at.matched(label)
        rates.append(right / run["seconds"])
        costs.append(run["gateway_cpu_s"] / max(right, 1) * 1e6)
        for field in ("ok", "refused", "failed"):
            figures[field] += run[field]
        figures["charge differs"] = figures.get("charge differs", 0) + wrong
        straight = at.run(body=chat("direct"), connections=64, seconds=max(seconds / 3, 1), direct=True)
        direct.append(straight["ok"] / straight["seconds"])
    figures["strict calls/s"] = round(statistics.median(rates))
    figures["spread calls/s"] = spread(rates)
    figures["gateway CPU us/call"] = spread(costs)
    figures["direct calls/s (same load, no gateway)"] = spread(direct)
    return figures


def half_capacity(at: House, *, rate: float, seconds: float) -> Figures:
    """Open loop at half of what was reached: latency from when each call was due, and time to bill from the gateway's own histogram."""
    before = at.metrics()
    run = at.run(body=chat("half"), connections=64, seconds=seconds, rate=rate)
    after = at.metrics()
    return {
        "rate/s": round(rate),
        "ok": run["ok"],
        "refused": run["refused"],
        "failed": run["failed"],
        "latency ms": run["latency_ms"],
        "time to bill ms (at most)": {f"p{part}": bucket(before, after, "farebox_time_to_bill_seconds", part / 100) for part in (50, 99)},
    }


def bucket(before: dict[str, float], after: dict[str, float], name: str, part: float) -> float:
    """The upper edge, in ms, of the histogram bucket that a percentile lies in."""
    counts = {}
    for key, value in after.items():
        if key.startswith(f"{name}_bucket"):
            edge = float(key.partition('le="')[2].partition('"')[0])
            counts[edge] = value - before.get(key, 0)
    total = max(counts.values(), default=0)
    return next((edge * 1000 for edge in sorted(counts) if counts[edge] >= total * part), float("nan"))


def one_connection(at: House, *, seconds: float, rounds: int, rate: float = 100, stream: bool = False) -> Figures:
    """What the gateway adds at one connection: runs at the same rate, straight and through it, in turn."""
    added_p50, added_p99, own = [], [], []
    field = "first_byte_ms" if stream else "latency_ms"
    for number in range(rounds):
        body = chat(f"one-{stream}-{number}", "sim:output=10" if stream else "", stream=stream)
        direct = at.run(
            body=chat("direct", "sim:output=10" if stream else "", stream=stream), connections=1, seconds=seconds, rate=rate, direct=True
        )
        through = at.run(body=body, connections=1, seconds=seconds, rate=rate)
        added_p50.append(through[field]["p50"] - direct[field]["p50"])
        added_p99.append(through[field]["p99"] - direct[field]["p99"])
        own.append(through[field]["p50"])
    tidy = lambda values: f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
    return {"rate/s": rate, "added p50 ms": tidy(added_p50), "added p99 ms": tidy(added_p99), "through p50 ms": tidy(own)}


def streams(at: House, *, count: int, per_second: int, seconds: int) -> Figures:
    """Many streams at a fixed pace: does any stall, what does an event cost, what does an open stream weigh?"""
    at.run(body=chat("warm", "sim:output=5", stream=True), connections=8, seconds=0.5)
    idle = machine.rss_kb(at.gateway.pid)
    events = per_second * seconds
    words = f"sim:output={events} sim:pace={1000 // per_second}"
    peak = 0
    import threading

    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.2):
            peak = max(peak, machine.rss_kb(at.gateway.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    body = {**chat("streams", words, stream=True), "max_tokens": events + 10}
    run = at.run(body=body, connections=count, seconds=1, total=count)
    done.set()
    watcher.join()
    right, wrong = at.matched("streams")
    return {
        "streams": count,
        "events/s each": per_second,
        "finished with their exact charge": right,
        "charge differs": wrong,
        "failed": run["failed"],
        "events relayed": run["events"],
        "gateway CPU us/event": round(run["gateway_cpu_s"] / max(run["events"], 1) * 1e6, 1),
        "longest silence within a stream ms": run["gap_ms"],
        "memory kB per open stream": round((peak - idle) / count, 1),
    }


def memory(at: House) -> Figures:
    """Idle, and with a client that asks for a long stream and reads nothing of it."""
    idle = machine.rss_kb(at.gateway.pid)
    host, port = at.url.removeprefix("http://").split(":")
    import json

    body = json.dumps({**chat("stalled", "sim:output=20000", stream=True), "max_tokens": 20000}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret(0)}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    stalled = []
    for _ in range(20):
        client = socket.create_connection((host, int(port)))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(head.encode() + body)
        stalled.append(client)
    time.sleep(3)
    grown = machine.rss_kb(at.gateway.pid)
    for client in stalled:
        client.close()
    return {"idle MB": round(idle / 1024, 1), "kB per client that reads nothing": round((grown - idle) / len(stalled), 1)}


def flatness(folder: Path, *, few: int, many: int, keys_few: int, keys_many: int, seconds: float, rounds: int) -> Figures:
    """What a call costs on a ledger of few charges and of many, and with few keys and many: alternated, in gateway CPU per call."""
    small, big, wide = folder / "few", folder / "many", folder / "wide"
    for place, keys in ((small, keys_few), (big, keys_few), (wide, keys_many)):
        place.mkdir()
        seed(place, wallets=1 if place is not wide else max(keys // 100, 1), keys=keys)
    fill(big, many)
    fill(small, few)
    costs: dict[str, list[float]] = {"few": [], "many": [], "wide": []}
    with house(small) as one, house(big) as two, house(wide) as three:
        for _ in range(rounds):
            for name, at, keys in (("few", one, keys_few), ("many", two, keys_few), ("wide", three, keys_many)):
                run = at.run(body=chat("flat"), keys=[secret(key) for key in range(keys)], connections=64, seconds=seconds)
                costs[name].append(run["gateway_cpu_s"] / max(run["ok"], 1) * 1e6)
        verdicts = [at.verify().ok for at in (one, two, three)]
    base = statistics.median(costs["few"])
    return {
        f"CPU us/call at {few:,} charges, {keys_few} keys": spread(costs["few"]),
        f"CPU us/call at {many:,} charges": spread(costs["many"]),
        f"CPU us/call at {keys_many:,} keys": spread(costs["wide"]),
        "ratio charges": round(statistics.median(costs["many"]) / base, 2),
        "ratio keys": round(statistics.median(costs["wide"]) / base, 2),
        "verify": all(verdicts),
    }


def fill(folder: Path, charges: int) -> None:
    """Calls in the ledger from before, through its own commands."""
    from farebox.gateway.identify import hash_of
    from farebox.ids import new_id
    from farebox.ledger.commands import Affine, Authorize, Bound, Capture, Result
    from farebox.store.reading import Reader
    from farebox.store.sqlite import SqliteStore

    store = SqliteStore(folder / "farebox.db", alarm=lambda *names, **facts: print("ALARM", names, facts))
    store._db.execute("PRAGMA synchronous = OFF")
    reader = Reader(folder / "farebox.db")
    policy = reader.policy_by_hash(hash_of(secret(0)))
    assert policy is not None
    gate = policy.gate(f"openai/{MODEL}")
    bound = Bound(Affine(1000, 10), Affine(1000, 10), Affine(100, 1), 1, 100)
    lines = '[["in_text_uncached",200,150000,30000000],["out_text",5,600000,3000000]]'
    result = Result(
        "answered", "exact", 500, 500, 500, 50, MODEL, '{"units":{"in_text_uncached":200,"out_text":5},"prompt_total":200}', lines
    )
    for first in range(0, charges, 256):
        ids = [new_id("hold") for _ in range(min(256, charges - first))]
        store.decide([(Authorize(i, i, 1, gate, bound, 0, 0, "openai", MODEL, "chat_completions", "bench", 2**60),) for i in ids])
        store.decide([(Capture(i, result),) for i in ids])
        if first % 25_600 == 0:
            store.checkpoint()
    reader.close()
    store.close()
