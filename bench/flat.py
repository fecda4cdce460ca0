"""Whether a call costs the same on a ledger of few charges and of many, and with few keys and many."""

import os
import random
import time
from pathlib import Path

from bench.bill import Run, Tally
from bench.house import House, house, secret, seed, unsafe_store
from bench.report import Checked, Figures, at_most, spread
from bench.scenarios import MODEL, chat
from farebox.gateway.identify import hash_of
from farebox.ids import new_id
from farebox.ledger.bounds import Affine, Bound
from farebox.ledger.commands import Authorize, Capture, Result
from farebox.store.reading import Reader

_KEYS_FEW = 10
_RATIO_MOST = 1.2
_BATCH = 256
_LINES = '[["in_text_uncached",200,150000,30000000],["out_text",5,600000,3000000]]'
_USAGE = '{"units":{"in_text_uncached":200,"out_text":5},"prompt_total":200}'


def flatness(folder: Path, *, few: int, many: int, keys: int, seconds: float, rounds: int) -> Figures:
    """What a call costs on three ledgers, in turn, in the gateway's processor time: each run's against the run on the small one before it."""
    began = time.monotonic()
    small, big, wide = (folder / name for name in ("few", "many", "wide"))
    for place, wallets, held, charges in ((small, 1, _KEYS_FEW, few), (big, 1, _KEYS_FEW, many), (wide, max(keys // 100, 1), keys, few)):
        place.mkdir()
        seed(place, wallets=wallets, keys=held)
        fill(place, charges)
    os.sync()  # what filling left to be written is not to be written while calls are measured
    filled_s = time.monotonic() - began
    tally = Tally()
    ten = [secret(key) for key in range(_KEYS_FEW)]
    with house(small) as at_few, house(big) as at_many, house(wide) as at_wide:
        cases = {"few": (at_few, _KEYS_FEW), "many": (at_many, _KEYS_FEW), "present": (at_wide, _KEYS_FEW), "used": (at_wide, keys)}
        costs: dict[str, list[float]] = {name: [] for name in cases}
        for at in (at_few, at_many, at_wide):
            tally.add(at.run(chat(), keys=ten, connections=64, seconds=1))  # not measured: whatever is slow once
        for _ in range(rounds):
            for name, (at, used) in cases.items():
                costs[name].append(tally.add(_load(at, used, seconds)).cpu_us)
        verdicts = [at.verify() for at in (at_few, at_many, at_wide)]
    ratios = {name: [one / base for one, base in zip(costs[name], costs["few"], strict=True)] for name in ("many", "present", "used")}
    return {
        "calls": tally,
        "filling took s": round(filled_s),
        f"CPU us/call: {few:,} charges, {_KEYS_FEW} keys": spread(costs["few"]),
        f"CPU us/call: {many:,} charges": spread(costs["many"]),
        f"CPU us/call: {keys:,} keys, {_KEYS_FEW} in use": spread(costs["present"]),
        f"CPU us/call: {keys:,} keys, every call another's": spread(costs["used"]),
        f"ratio: {many:,} charges": at_most(ratios["many"], _RATIO_MOST, 2),
        f"ratio: {keys:,} keys, {_KEYS_FEW} in use": at_most(ratios["present"], _RATIO_MOST, 2),
        f"ratio: {keys:,} keys, every call another's": at_most(ratios["used"], _RATIO_MOST, 2),
        "verify": Checked("; ".join(map(str, verdicts)), "; ".join(one.broken for one in verdicts if one.broken)),
    }


def _load(at: House, keys: int, seconds: float) -> Run:
    """Every key once before any comes again, in an order of this run's own."""
    return at.run(chat(), keys=[secret(key) for key in random.sample(range(keys), keys)], connections=64, seconds=seconds)


def fill(folder: Path, charges: int) -> None:
    """Calls in the ledger from before, through its own commands."""
    store = unsafe_store(folder)
    reader = Reader(folder / "farebox.db")
    policy = reader.policy_by_hash(hash_of(secret(0)))
    assert policy is not None
    gate = policy.gate(f"openai/{MODEL}")
    bound = Bound(Affine(1000, 10), Affine(1000, 10), Affine(100, 1), 1, 100)
    result = Result("answered", "exact", 500, 500, 500, 50, MODEL, _USAGE, _LINES)
    for first in range(0, charges, _BATCH):
        ids = [new_id("hold") for _ in range(min(_BATCH, charges - first))]
        store.decide([(Authorize(i, i, 1, gate, bound, 0, 0, "openai", MODEL, "chat_completions", "bench", 2**60),) for i in ids])
        store.decide([(Capture(i, result),) for i in ids])
        if first % (_BATCH * 100) == 0:
            store.checkpoint()
    reader.close()
    store.close()
