"""Finishes what nobody else will: holds of processes that are gone, holds past their deadline, grants past their expiry.

Never a live call of its own process before its deadline. Runs beside the calls, a few commands at a time.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from math import ceil
from pathlib import Path

import structlog

from farebox import limits
from farebox.clock import US_PER_S, Clock, seconds, steady_clock
from farebox.ids import new_id
from farebox.ledger.commands import BookExpiry, Expire, Settled, Unchanged
from farebox.store import rows
from farebox.store.apart import Apart
from farebox.store.batcher import Batcher
from farebox.store.database import Place
from farebox.store.opening import connect

_log = structlog.get_logger()
_AT_ONCE_MAX = 200
_FORGETTINGS_MAX = 20
_NAME_BITS = 48
_ROUNDS_KEPT = 3
"""After so many rounds without a word from the process that sweeps, another one does."""
_BEATS_MIN = 6
"""So many heartbeats have to be missed before a process is taken for dead."""


class Sweeper:
    """One per process; one of many sweeps for all. On SQLite there is only one process, so every other owner is gone."""

    def __init__(
        self,
        place: Place,
        batcher: Batcher,
        *,
        owner: str,
        clock: Clock,
        alarm: Callable[..., None],
        replay_kept_s: int,
        lost_s: int = limits.heartbeat_lost_s,
    ) -> None:
        self._db = connect(place)
        self._apart = Apart(place, "farebox-sweeper")
        self._alone = isinstance(place, Path)
        self._batcher = batcher
        self._owner = owner
        self._clock = clock
        self._alarm = alarm
        self._replay_kept_us = replay_kept_s * US_PER_S
        self._lost_us = lost_s * US_PER_S
        self._every_us = min(limits.sweep_every_s * US_PER_S, max(self._lost_us // _BEATS_MIN, US_PER_S // 10))
        self._beats: dict[str, tuple[int, int]] = {}
        """Of each process that holds something: its last heartbeat, and since when (by this machine's steady clock) that is its last."""
        self._watched_at = 0

    async def store(self) -> str:
        """The name of this ledger, whatever database it lies in: given once, and carried by its copies. Raises LedgerUnavailable."""
        while (row := await self._apart.read(lambda: self._db.one("read_store_number"))) is None:
            await self._batcher.write("name_store", [(secrets.randbits(_NAME_BITS),)])
        return f"{row[0]:012x}"

    async def begin(self) -> int:
        """Before the first call: ends what earlier processes left open, as far as is known already. Returns how many holds that were."""
        await self.beat()
        return await self._orphans()

    async def run(self) -> None:
        """Beats and sweeps until cancelled."""
        beating = asyncio.ensure_future(self._again_and_again(self.beat))
        try:
            await self._again_and_again(self.sweep)
        finally:
            beating.cancel()

    async def _again_and_again(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds(self._every_us))
            try:
                await work()
            except Exception as problem:  # noqa: BLE001 - the edge of a background loop: without it others would take this process for dead
                _log.warning("sweep_failed", work=work.__name__, problem=str(problem) or type(problem).__name__)

    async def beat(self) -> None:
        """Says that this process lives. Raises LedgerUnavailable."""
        await self._batcher.write("beat_process", [(self._owner, self._clock())])

    async def sweep(self) -> None:
        """One round. Raises LedgerUnavailable."""
        if not await self._batcher.lease("sweep", self._owner, _ROUNDS_KEPT * ceil(seconds(self._every_us))):
            self._beats.clear()
            return  # another process does it for all
        await self._orphans()
        now = await self._apart.read(lambda: self._db.now(self._clock))
        late = await self._names("overdue_holds", self._owner, now, _AT_ONCE_MAX)
        await self._end([Expire(hold_id, "deadline") for hold_id in late], "hold_overdue")
        for grant_id in await self._names("overdue_grants", now, _AT_ONCE_MAX):
            await self._batcher.submit(BookExpiry(new_id("cmd"), grant_id))
        await self._batcher.write("forget_answers", [(now - self._replay_kept_us,)])
        await self._forget_objects(now)

    async def _forget_objects(self, now: int) -> None:
        """So many at a time, that calls are decided in between; so often, that no load leaves more of them than it forgets."""
        for _ in range(_FORGETTINGS_MAX):
            if not await self._names("forgettable_object", now):
                return
            await self._batcher.write("forget_objects", [(now,)])

    async def _names(self, statement: str, *arguments: object) -> list[str]:
        return [row[0] for row in await self._apart.read(lambda: self._db.rows(statement, *arguments))]

    async def _orphans(self) -> int:
        ended = 0
        dead = rows.text([] if self._alone else await self._dead())
        while left := await self._names("abandoned_holds", self._owner, dead, _AT_ONCE_MAX):
            now_ended = await self._end([Expire(hold_id) for hold_id in left], "hold_orphaned")
            ended += now_ended
            if not now_ended:  # what cannot be booked was alarmed; it must not keep the gateway from starting
                break
        return ended

    async def _dead(self) -> list[str]:
        """Processes that hold something and whose heartbeat has not moved for as long as that takes, while this process was watching.

        By what it sees itself, not by the age of a heartbeat: after an outage everybody's is old, and a database's clock may jump.
        """
        found = await self._apart.read(lambda: self._db.rows("holders"))
        now = steady_clock()
        if now - self._watched_at > max(self._lost_us // 2, 2 * self._every_us):
            self._beats.clear()
        self._watched_at = now
        known, self._beats = self._beats, {}
        for owner, beat in found:
            was = known.get(owner)
            self._beats[owner] = was if was is not None and was[0] == beat else (beat, now)
        return [owner for owner, (_, since) in self._beats.items() if owner != self._owner and now - since >= self._lost_us]

    async def _end(self, commands: list[Expire], name: str) -> int:
        """How many of these holds it ended. One that cannot be booked does not hinder the others."""
        ended = 0
        outcomes = await asyncio.gather(*(self._batcher.one(command) for command in commands), return_exceptions=True)
        for command, outcome in zip(commands, outcomes, strict=True):
            if isinstance(outcome, Unchanged):
                ended += 1  # by somebody else, or by an attempt of which the answer was lost
            elif isinstance(outcome, Settled):
                ended += 1
                self._alarm(name, hold=command.hold_id, price=outcome.charge.price)
            elif isinstance(outcome, BaseException):
                self._alarm("hold_not_swept", hold=command.hold_id, problem=str(outcome))
        return ended

    def close(self) -> None:
        self._apart.close()
        self._db.close()
