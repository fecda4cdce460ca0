"""The time in which the ledger cannot be reached: what calls came to is kept, in the capture journal too, and booked before anything new.

Owns what waits for the ledger, in order, and the one loop that tries again. Knows nothing of what a settlement is for. It is over when
everything is booked and the journal is empty; until then nothing new is held (`lasts`).
"""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from farebox import limits, metrics
from farebox.errors import Busy, FareboxError, LedgerUnavailable
from farebox.gateway.told import alarm
from farebox.ledger.commands import Authorize, Capture, Outcome, Release, Settled
from farebox.store.batcher import Batcher
from farebox.store.journal import Journal, Settlement, adopt, keep_copy, set_aside

_log = structlog.get_logger()
_FIRST_RETRY_MS = 50
_MS_PER_S = 1000
_AT_ONCE_MAX = 128
T = TypeVar("T")
OnBooked = Callable[[Outcome | None], None]
"""What the ledger made of a settlement; None where a fault did, which was told already."""


class _Left:
    """One settlement that the ledger does not have yet; `after` what has to be asked first."""

    __slots__ = ("after", "booked", "command", "durable", "on_booked")

    def __init__(self, command: Settlement, on_booked: OnBooked, after: Authorize | None) -> None:
        self.command = command
        self.after = after
        self.on_booked = on_booked
        self.booked = False
        self.durable: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class Outage:
    """One per process. `probe` writes something to the ledger that changes nothing, and raises when it cannot."""

    def __init__(self, batcher: Batcher, folder: Path, probe: Callable[[], Awaitable[None]]) -> None:
        self._batcher = batcher
        self._folder = folder
        self._probe = probe
        self._journal: Journal | None = None
        self._thread = ThreadPoolExecutor(1, "farebox-journal")  # the ledger's own may be stuck, and a disk is not waited for on the loop
        self._file = asyncio.Lock()
        self._left: deque[_Left] = deque()
        self._unwritten: list[_Left] = []
        self._writing: asyncio.Task[None] | None = None
        self._trying: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    @property
    def lasts(self) -> bool:
        """Whether the ledger is away, or what happened meanwhile is not booked yet."""
        return self._trying is not None and not self._trying.done()

    @property
    def records(self) -> int:
        """How many settlements are in this process's journal."""
        return 0 if self._journal is None else self._journal.count

    # --- at the start --------------------------------------------------------------------------------------------------------------

    async def begin(self, store: str) -> int:
        """Books what earlier processes left in their journals of this store, in order, and makes one of them this process's own. Returns how many
        settlements that were. Raises LedgerUnavailable: then the files are as they were.
        """
        journals, problems = await self._on_thread(lambda: adopt(self._folder, store, limits.journal_bytes_max))
        for problem in problems:
            alarm("journal_unavailable", problem=problem)
        replayed = 0
        try:
            for journal in journals:
                replayed += await self._replay(journal)
        except BaseException:
            for journal in journals:
                journal.close()
            raise
        for journal in journals[1:]:
            journal.close()
        self._journal = journals[0] if journals else None
        return replayed

    async def _replay(self, journal: Journal) -> int:
        found = journal.found()
        if found.torn or found.unreadable:
            alarm("journal_damaged", journal=journal.path.name, records=journal.count, torn=found.torn, unreadable=found.unreadable)
            await self._aside(journal, lambda: keep_copy(journal))
        if not found.settlements and not found.torn and not found.unreadable:
            return 0
        for at in range(0, len(found.settlements), _AT_ONCE_MAX):
            group = found.settlements[at : at + _AT_ONCE_MAX]
            outcomes = await self._book(group)
            if outcomes is None:
                raise LedgerUnavailable(problem=f"{journal.path.name} is not replayed yet")
            rejected = []
            for settlement, outcome in zip(group, outcomes, strict=True):
                unknown = not isinstance(settlement, Release)  # a hold that was perhaps never made is nothing to give back
                if unknown and not isinstance(outcome, Settled):
                    rejected.append(settlement)
                    alarm("journal_not_booked", hold=settlement.hold_id, outcome=repr(outcome))
            if rejected:
                await self._aside(journal, lambda rejected=rejected: set_aside(journal, rejected))  # type: ignore[misc]
        if not await self._on_thread(journal.clear):
            alarm("journal_unavailable", problem=f"{journal.path.name} cannot be cleared")
        return len(found.settlements)

    async def _aside(self, journal: Journal, work: Callable[[], None]) -> None:
        try:
            await self._on_thread(work)
        except OSError as problem:
            alarm("journal_unavailable", problem=f"what {journal.path.name} holds could not be booked, nor set aside: {problem}")
            raise LedgerUnavailable(problem=f"{journal.path.name} is not replayed yet") from problem

    # --- while it lasts ------------------------------------------------------------------------------------------------------------

    def noticed(self) -> None:
        """The ledger did not answer somebody: nothing is asked of it until it answers again."""
        if not self.lasts:
            self._trying = asyncio.ensure_future(self._until_over())

    def keep(self, command: Settlement, on_booked: OnBooked, *, after: Authorize | None = None) -> "asyncio.Future[bool]":
        """Keeps a settlement until it is booked, behind all that were kept before. The future tells, soon, whether it is durable: if not,
        and this process ends first, its hold is charged whole.
        """
        one = _Left(command, on_booked, after)
        self._left.append(one)
        self._unwritten.append(one)
        self.noticed()
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._write())
        return one.durable

    def unheard(self, asked: Authorize) -> None:
        """The ledger did not answer whether this hold was made: it is given back, if it was. Nothing was done with it.

        It is asked for once more in the same commit: what was sent before the connection broke may be on its way still, and that waits for
        it under the wallet's lock, where a release alone would find no hold, and leave the one that comes late.
        """
        self.keep(Release(asked.hold_id, "not_sent"), lambda _outcome: None, after=asked)

    async def _write(self) -> None:
        """Whatever waits goes to the disk together."""
        while self._unwritten:
            async with self._file:
                group, self._unwritten = self._unwritten, []
                await self._write_group([one for one in group if not one.booked])
                for one in group:
                    if not one.durable.done():
                        one.durable.set_result(one.booked)

    async def _write_group(self, group: list[_Left]) -> None:
        journal = self._journal
        if journal is None or not group:
            return
        durable = await self._on_thread(lambda: journal.append([one.command for one in group]))
        metrics.journaled.add((), sum(durable))
        for one, kept in zip(group, durable, strict=True):
            if kept and not one.durable.done():
                one.durable.set_result(True)

    async def _until_over(self) -> None:
        began = asyncio.get_running_loop().time()
        _log.warning("outage_began")
        pause_ms = _FIRST_RETRY_MS
        replayed = 0
        while True:
            last = self._closing.is_set()
            if not last:
                await self._pause(pause_ms)
            booked = await self._book_left()
            pause_ms = min(2 * pause_ms, limits.outage_retry_ms_max) if booked is None else _FIRST_RETRY_MS
            replayed += booked or 0
            if booked is not None and not self._left:
                break
            if last:
                return
        _log.warning("outage_over", booked=replayed, lasted_ms=int((asyncio.get_running_loop().time() - began) * _MS_PER_S))

    async def _pause(self, milliseconds: int) -> None:
        try:
            async with asyncio.timeout(milliseconds / _MS_PER_S):
                await self._closing.wait()
        except TimeoutError:
            pass

    async def _book_left(self) -> int | None:
        """Books what is left, in order, then forgets it; how many that were. None: the ledger is still away."""
        booked = 0
        if not self._left:
            try:
                await self._probe()
            except (LedgerUnavailable, Busy):
                return None
            except FareboxError as problem:
                _log.warning("probe_failed", problem=str(problem))
        while self._left:
            group = list(itertools.islice(self._left, _AT_ONCE_MAX))
            outcomes = await self._book([one.command for one in group], [one.after for one in group if one.after is not None])
            if outcomes is None:
                return None
            await self._keep_rejected(
                [one.command for one, outcome in zip(group, outcomes, strict=True) if not isinstance(outcome, Settled)]
            )
            for one, outcome in zip(group, outcomes, strict=True):
                self._left.popleft()
                one.booked = True
                one.on_booked(outcome)
            booked += len(group)
        await self._forget()
        return booked

    async def _keep_rejected(self, commands: list[Settlement]) -> None:
        """What the ledger would not book is kept for a person to look at, as far as there is a place for it."""
        rejected, journal = [one for one in commands if isinstance(one, Capture)], self._journal
        if rejected and journal is not None:
            with contextlib.suppress(LedgerUnavailable):  # told already; the others must not wait for it
                await self._aside(journal, lambda: set_aside(journal, rejected))

    async def _forget(self) -> None:
        """Clears the journal, unless something in it is still to be booked."""
        async with self._file:
            journal = self._journal
            if journal is not None and journal.count and not self._left and not await self._on_thread(journal.clear):
                alarm("journal_unavailable", problem=f"{journal.path.name} cannot be cleared")

    async def _book(self, commands: Sequence[Settlement], first: Sequence[Authorize] = ()) -> list[Outcome | None] | None:
        """What the ledger makes of settlements, decided in order in one commit, after what has to be asked first; one by one where a fault is
        among them. None: it is away.
        """
        answer = await self._batcher.post(*first, *commands)
        if isinstance(answer, LedgerUnavailable | Busy):
            return None
        if not isinstance(answer, FareboxError):
            metrics.replayed.add((), len(commands))
            return list(answer[len(first) :])
        if len(commands) == 1:
            return [None]
        outcomes: list[Outcome | None] = []
        for command in commands:
            alone = await self._book([command], [asked for asked in first if asked.hold_id == command.hold_id])
            if alone is None:
                return None
            outcomes += alone
        return outcomes

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # --- at the end ----------------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Tries once more; what the ledger does not take is left to the next process."""
        self._closing.set()
        if self._trying is not None:
            await self._trying
        if self._writing is not None:
            await self._writing
        if self._left:
            _log.warning("settlements_left", settlements=len(self._left), journaled=self.records)
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self._thread.shutdown()
