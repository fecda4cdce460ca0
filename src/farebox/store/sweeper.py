"""Finishes what nobody else will: holds of processes that are gone, holds past their deadline, grants past their expiry.

Never a live call of its own process before its deadline. Runs beside the calls, a few commands at a time.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import apsw
import structlog

from farebox import limits
from farebox.clock import US_PER_S, Clock
from farebox.errors import FareboxError
from farebox.ids import new_id
from farebox.ledger.commands import BookExpiry, Expire, Settled
from farebox.store.batcher import Batcher
from farebox.store.sqlite import connect_reader
from farebox.store.statements import statements

_log = structlog.get_logger()
_AT_ONCE_MAX = 200


class Sweeper:
    """One per process. On SQLite there is only one process, so every other owner is gone."""

    def __init__(self, path: Path, batcher: Batcher, *, owner: str, clock: Clock, alarm: Callable[..., None], replay_kept_s: int) -> None:
        self._db = connect_reader(path)
        self._sql = statements("sqlite")
        self._batcher = batcher
        self._owner = owner
        self._clock = clock
        self._alarm = alarm
        self._replay_kept_us = replay_kept_s * US_PER_S

    async def begin(self) -> int:
        """Before the first call: ends what earlier processes left open. Returns how many holds that were."""
        await self._batcher.write("register_process", [(self._owner, self._clock())])
        return await self._orphans()

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            await asyncio.sleep(limits.sweep_every_s)
            try:
                await self.sweep()
            except (FareboxError, apsw.Error) as problem:
                _log.warning("sweep_failed", problem=str(problem))

    async def sweep(self) -> None:
        """One round."""
        now = self._clock()
        await self._batcher.write("beat_process", [(self._owner, now)])
        await self._orphans()
        late = [row[0] for row in self._db.execute(self._sql["overdue_holds"], (self._owner, now, _AT_ONCE_MAX))]
        await self._end([Expire(hold_id, "deadline") for hold_id in late], "hold_overdue")
        for (grant_id,) in list(self._db.execute(self._sql["overdue_grants"], (now, _AT_ONCE_MAX))):
            await self._batcher.submit(BookExpiry(new_id("cmd"), grant_id))
        await self._batcher.write("forget_answers", [(now - self._replay_kept_us,)])

    async def _orphans(self) -> int:
        ended = 0
        while left := [row[0] for row in self._db.execute(self._sql["orphaned_holds"], (self._owner, _AT_ONCE_MAX))]:
            now_ended = await self._end([Expire(hold_id) for hold_id in left], "hold_orphaned")
            ended += now_ended
            if not now_ended:  # what cannot be booked was alarmed; it must not keep the gateway from starting
                break
        return ended

    async def _end(self, commands: list[Expire], name: str) -> int:
        """How many of these holds it ended. One that cannot be booked does not hinder the others."""
        ended = 0
        outcomes = await asyncio.gather(*(self._batcher.one(command) for command in commands), return_exceptions=True)
        for command, outcome in zip(commands, outcomes, strict=True):
            if isinstance(outcome, Settled):
                ended += 1
                self._alarm(name, hold=command.hold_id, price=outcome.charge.price)
            elif isinstance(outcome, BaseException):
                self._alarm("hold_not_swept", hold=command.hold_id, problem=str(outcome))
        return ended

    def close(self) -> None:
        self._db.close()
