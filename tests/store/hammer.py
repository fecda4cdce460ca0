"""A process to be killed: calls from 64 loops on one store, and a line on stdout for each answer it was given, after it was given it.

`python hammer.py PATH VFS SYNCHRONOUS SEED`; VFS is `plain` or `forgetful`. First it ends what an earlier one left open. It says `ready`,
waits for a line on stdin, and then goes on until it is killed.
"""

import asyncio
import os
import random
import sys
from pathlib import Path

import msgspec

from farebox.ids import new_id
from farebox.ledger.commands import Authorized, Capture, Expire, Gate, Outcome, Release, Settled
from farebox.store import sqlite
from farebox.store.batcher import Batcher
from farebox.store.sqlite import SqliteStore
from store.disk import ForgetfulDisk
from store.till import capture, hold

LOOPS = 64


def say(outcome: Outcome) -> None:
    """One line per answer: what must be found there afterwards."""
    if isinstance(outcome, Authorized):
        os.write(1, b"hold " + msgspec.json.encode([outcome.hold.id, outcome.hold.amount, outcome.hold.legs]) + b"\n")
    elif isinstance(outcome, Settled):
        charge = outcome.charge
        os.write(1, b"charge " + msgspec.json.encode([charge.hold_id, charge.price, charge.paid, charge.outcome, charge.legs]) + b"\n")


async def call(ledger: Batcher, gate: Gate, chance: random.Random) -> None:
    """A hold, perhaps grown out of, and its end."""
    name, price = new_id("hold"), chance.randrange(1, 2000)
    held = await ledger.one(hold(gate, name, price))
    say(held)
    if not isinstance(held, Authorized) or chance.random() < 0.02:
        return
    how = chance.random()
    end: Capture | Release | Expire = capture(name, chance.randrange(0, price + 1), gate)
    if how < 0.2:
        end = capture(name, price + chance.randrange(1, 500), gate)
    elif how < 0.3:
        end = Release(name)
    elif how < 0.35:
        end = Expire(name)
    say(await ledger.one(end))


async def hammer(ledger: Batcher, store: SqliteStore, seed: int) -> None:
    left = await ledger.work(lambda: [row[0] for row in store._db.execute("SELECT id FROM holds WHERE state = 'open'")])
    for name in left:
        say(await ledger.one(Expire(name)))
    gate = await ledger.work(lambda: store._load.policy(store._load._key("key")).gate("openai/gpt-4o"))

    async def loop(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        while True:
            await call(ledger, gate, chance)

    await asyncio.gather(*(loop(number) for number in range(LOOPS)))


async def main() -> None:
    path, vfs, synchronous, seed = sys.argv[1:]
    disk = ForgetfulDisk(vfs) if vfs == "forgetful" else None
    os.write(1, b"ready\n")
    await asyncio.to_thread(sys.stdin.readline)
    sqlite._CHECKPOINT_EVERY_BATCHES = 16  # kills must meet checkpoints too
    store = SqliteStore(Path(path), alarm=lambda *_, **__: None, vfs=None if disk is None else vfs)
    store._db.execute(f"PRAGMA synchronous = {synchronous}")
    await hammer(Batcher(store), store, int(seed))


if __name__ == "__main__":
    asyncio.run(main())
