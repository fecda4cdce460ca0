"""The same pairs straight through the ledger's batcher, without HTTP: as many callers at once, each with a hold and its capture, again and again.

Run as a process of its own (`python -m bench.hold_pairs FILE KEYS CLIENTS SECONDS`); figures as JSON on standard output.
"""

import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.hold_load import HELD_NANO, captured_nano
from bench.house import secret, told
from farebox.clock import US_PER_S
from farebox.control.unproxied import worth
from farebox.control.unproxied.holds import OWNER, ROUTE
from farebox.gateway.identify import hash_of
from farebox.ids import new_id
from farebox.ledger.commands import Authorize, Authorized, Capture, Claim, Gate, Settled
from farebox.store.batcher import Batcher
from farebox.store.database import Place
from farebox.store.opening import open_store
from farebox.store.reading import Reader

_GC_THRESHOLDS = (20_000, 50, 100)  # the gateway's own
_LASTS = 900 * US_PER_S
_CLAIM = Claim(OWNER)


class Pairs:
    """A run."""

    def __init__(self, place: Place, keys: int) -> None:
        self.batches: list[int] = []
        self.batcher = Batcher(open_store(place, alarm=told), observe=lambda size, _seconds: self.batches.append(size))
        self.gates = gates(place, keys)
        self.pairs = self.captured = self.refused = 0

    async def client(self, number: int, until: float) -> None:
        """Until a moment."""
        gate, result, bound = self.gates[number % len(self.gates)], worth.amount(captured_nano(number)), worth.exactly(HELD_NANO)
        while time.perf_counter() < until:
            request = new_id("req")
            hold = f"hold_{request.removeprefix('req_')}1"
            held = await self.batcher.one(
                Authorize(hold, request, 1, gate, bound, 0, 0, worth.PROVIDER, worth.AMOUNT, ROUTE, OWNER, _LASTS)
            )
            if not isinstance(held, Authorized) or not isinstance(await self.batcher.one(Capture(hold, result, claim=_CLAIM)), Settled):
                self.refused += 1
                continue
            self.pairs += 1
            self.captured += result.price

    async def run(self, clients: int, seconds: float) -> dict[str, Any]:
        began, cpu_s = time.perf_counter(), time.process_time()
        await asyncio.gather(*(self.client(number, began + seconds) for number in range(clients)))
        took, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
        self.batcher.close()
        return {
            "seconds": took,
            "pairs": self.pairs,
            "captured": self.captured,
            "refused": self.refused,
            "failed": 0,
            "cpu_s": cpu_s,
            "commands_per_commit": sum(self.batches) / max(len(self.batches), 1),
        }


def gates(place: Place, keys: int) -> list[Gate]:
    """What must admit each of the first keys."""
    reader = Reader(place)
    found = [reader.policy_by_hash(hash_of(secret(number))) for number in range(keys)]
    reader.close()
    return [policy.gate(f"{worth.PROVIDER}/{worth.AMOUNT}") for policy in found if policy is not None]


if __name__ == "__main__":
    pairs = Pairs(Path(sys.argv[1]), int(sys.argv[2]))
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    print(json.dumps(uvloop.run(pairs.run(int(sys.argv[3]), float(sys.argv[4])))))
