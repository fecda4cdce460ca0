"""`python -m bench`: runs the scenarios, prints what they were taken on, the figures beside what must be reached, and verifies the books."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench import agent_day, machine, scenarios
from bench.house import GATEWAY_CORE, OTHER_CORE, House, house, seed

TARGETS = {
    "one hot wallet": "at least 5,000 strict calls/s at 64 connections",
    "many wallets": "the same, spread over 100 wallets and keys",
    "upstream over TLS": "beside the same in clear",
    "half capacity": "p99 from an open loop; time to bill p99 at most 10 ms",
    "one connection": "added p50 at most 1.5 ms, p99 at most 4 ms",
    "first byte of a stream": "added p50 at most 1.5 ms, p99 at most 4 ms",
    "streams": "1,000 at 20 events/s without a stall; at most 30 us CPU/event; under 60 kB per open stream",
    "memory": "under 100 MB idle; a stalled client costs bounded memory",
    "flat": "cost per call within 20 % from 1,000 to 1,000,000 charges and from 10 to 100,000 keys",
    "agent's day": "with clamping at least 98 % of $10 can be spent",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--folder", type=Path, default=None, help="where the ledgers lie; a memory file system is refused")
    parser.add_argument("--quick", action="store_true", help="short runs and small ledgers: for a look, not for quoting")
    parser.add_argument("--only", action="append", choices=sorted(TARGETS), help="one scenario (may be repeated)")
    parser.add_argument("--json", type=Path, help="also write everything to a file")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="farebox-bench-", dir=asked.folder or Path.cwd()))
    try:
        return _run(asked, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(asked: argparse.Namespace, folder: Path) -> int:
    seconds, rounds = (2.0, 2) if asked.quick else (8.0, 5)
    results: dict[str, Any] = {
        "machine": machine.describe(folder, {"gateway and ledger": GATEWAY_CORE, "provider": OTHER_CORE, "load": OTHER_CORE})
    }
    show("machine", results["machine"])

    def measure(name: str, work: Callable[[], dict[str, Any]]) -> None:
        if not asked.only or name in asked.only:
            results[name] = work()
            show(name, results[name])

    place = folder / "ledger"
    place.mkdir()
    seed(place, wallets=100, keys=200)
    agent_keys = prepare_days(place)
    with house(place) as at:
        measure("memory", lambda: scenarios.memory(at))
        measure("one hot wallet", lambda: scenarios.throughput(at, keys=1, seconds=seconds, rounds=rounds, name="hot"))
        measure("many wallets", lambda: scenarios.throughput(at, keys=100, seconds=seconds, rounds=rounds, name="many"))
        reached = results.get("one hot wallet", {}).get("strict calls/s", 4000)
        measure("half capacity", lambda: scenarios.half_capacity(at, rate=reached / 2, seconds=seconds * 2))
        measure("one connection", lambda: scenarios.one_connection(at, seconds=seconds, rounds=rounds))
        measure("first byte of a stream", lambda: scenarios.one_connection(at, seconds=seconds, rounds=rounds, stream=True))
        measure(
            "streams", lambda: scenarios.streams(at, count=200 if asked.quick else 1000, per_second=20, seconds=5 if asked.quick else 10)
        )
        measure("agent's day", lambda: _days(at, agent_keys))
        verdict = at.verify()
    results["verify"] = {"ok": verdict.ok, "charges": verdict.counts["charges"], "held": verdict.sums["held"]}
    measure("upstream over TLS", lambda: _tls(folder, seconds, rounds))
    few, many, keys = (1000, 20_000, 1000) if asked.quick else (1000, 1_000_000, 100_000)
    measure(
        "flat",
        lambda: scenarios.flatness(folder, few=few, many=many, keys_few=10, keys_many=keys, seconds=max(seconds / 2, 2), rounds=rounds),
    )
    show("verify", results["verify"])
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=2))
    return 0 if verdict.ok else 1


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
    return {name: agent_day.day(at, key, _DAY_LIMIT, clamp=name == "with clamping") for name, key in keys.items()}


def _tls(folder: Path, seconds: float, rounds: int) -> dict[str, Any]:
    place = folder / "tls"
    place.mkdir()
    seed(place, wallets=1, keys=1)
    with house(place, tls=certificate(place)) as at:
        figures = scenarios.throughput(at, keys=1, seconds=seconds, rounds=max(rounds // 2, 1), name="tls")
        figures["verify"] = at.verify().ok
    return figures


def certificate(place: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, of an hour."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = place / "cert.pem", place / "key.pem"
    cert_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return cert_path, key_path


def show(name: str, figures: dict[str, Any]) -> None:
    target = TARGETS.get(name)
    print(f"\n{name}" + (f"  (to reach: {target})" if target else ""), flush=True)
    for field, value in figures.items():
        print(f"  {field}: {value}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
