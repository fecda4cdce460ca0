"""Holds whose provider answers later: who asks it next, and what is needed to settle them. The same rows for every process on a store.

A process takes what is due for a while (`claim`); if it ends meanwhile, another one takes it after that while. Owns no rule about when to ask,
or what an answer comes to.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from farebox.clock import Clock
from farebox.ledger.model import Hold
from farebox.ledger.plan import Policy
from farebox.store import rows
from farebox.store.apart import Apart
from farebox.store.batcher import Batcher
from farebox.store.database import Place
from farebox.store.reading import Books, Reader


class Waiting(msgspec.Struct, frozen=True):
    """One hold that waits for its provider. `facts` is JSON of whoever handed it over."""

    hold_id: str
    provider: str
    response_id: str
    facts: str
    begun_at: int
    tries: int
    """How often somebody took it, to ask."""


class _Reads(Reader):
    """One connection's reads."""

    def due_in(self, clock: Clock) -> int | None:
        (due,) = self._db.one("due_background")
        return None if due is None else int(due) - self._db.now(clock)

    def of(self, provider: str, response_id: str) -> Waiting | None:
        found = self._db.rows("read_background", provider, response_id)
        return _waiting(found[0]) if found else None

    def hold(self, hold_id: str) -> Hold:
        return rows.hold_of(self._db.one("read_holds", rows.text([hold_id])))

    def policy(self, key_id: str) -> Policy:
        """All that is laid down now for a key, in one snapshot."""
        with self._db.snapshot():
            return self._load.policy(rows.key_of(self._db.one("read_key", key_id)))

    def now(self, clock: Clock) -> int:
        return self._db.now(clock)


class Queue:
    """All that wait, for an event loop. Everything here raises LedgerUnavailable."""

    def __init__(self, place: Place, batcher: Batcher, *, owner: str, clock: Clock) -> None:
        self._reads = _Reads(place)
        self._apart = Apart(place, "farebox-background")
        self._batcher = batcher
        self._owner = owner
        self._clock = clock

    async def due_in(self) -> int | None:
        """Microseconds until the next provider is to be asked; None when none is."""
        return await self._apart.read(lambda: self._reads.due_in(self._clock))

    async def claim(self, most: int, lasts: int) -> list[Waiting]:
        """Takes what is due, so long that it can be asked: nobody else asks meanwhile."""
        found = await self._batcher.claim("claim_background", self._clock(), lasts, self._owner, most)
        return [_waiting(row) for row in found]

    async def of(self, provider: str, response_id: str) -> Waiting | None:
        """The hold of a response that is not settled yet."""
        return await self._apart.read(lambda: self._reads.of(provider, response_id))

    async def pace(self, one: Waiting, pause: int) -> None:
        """Gives one back that was asked and is not ready, to be asked again after a pause."""
        now = await self._now()
        await self._batcher.write("pace_background", [(one.hold_id, self._owner, now + pause)])

    async def hasten(self, provider: str, response_id: str) -> None:
        """Something happened to a response: its provider is asked at once."""
        now = await self._now()
        await self._batcher.write("hasten_background", [(provider, response_id, now)])

    async def hold(self, one: Waiting) -> Hold:
        """The hold, as it stands."""
        return await self._apart.read(lambda: self._reads.hold(one.hold_id))

    async def policy(self, hold: Hold) -> Policy:
        """What is laid down now for the key of a hold."""
        return await self._apart.read(lambda: self._reads.policy(hold.key))

    async def books(self, version: int) -> Books:
        """The price book as it was in a version."""
        return await self._apart.read(lambda: self._reads.books(version))

    async def _now(self) -> int:
        return await self._apart.read(lambda: self._reads.now(self._clock))

    def close(self) -> None:
        self._apart.close()
        self._reads.close()


def _waiting(row: Sequence[Any]) -> Waiting:
    return Waiting(*row)
