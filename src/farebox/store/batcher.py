"""Group commit: whatever is waiting becomes one transaction, decided on a thread of its own; nobody waits for a batch to fill. What a loop asks in
one of its turns is there before the writer is woken.

Any event loop may submit; answers come back to the loop that asked. The queue is bounded: when it is full the answer is at once that it is.
"""

import asyncio
import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import structlog

from farebox import limits
from farebox.errors import Busy, FareboxError, LedgerUnavailable
from farebox.ledger.commands import Capture, Command, Outcome, PublishBook, Release
from farebox.store.database import Entry, Row, Store, Written

_log = structlog.get_logger()
_SETTLING = (Capture, Release)


class _Pending(asyncio.Future[Any]):
    """An answer of the ledger that is on its way. A caller that is cancelled learns of it once the answer is there: what was asked may be
    committed by then, and whoever settles needs to know.
    """

    def cancel(self, msg: Any = None) -> bool:
        del msg
        return False


class _Waiting(msgspec.Struct, eq=False):
    """One entry (or one other piece of work) and who waits for its answer."""

    number: int
    entry: Entry
    work: Callable[[], Any] | None
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"


class Batcher:
    """Owns the writer's thread. `observe(size, seconds)` is told of every batch, for metrics."""

    def __init__(self, store: Store, *, observe: Callable[[int, float], None] | None = None) -> None:
        self._store = store
        self._observe = observe or (lambda _size, _seconds: None)
        self._settling: deque[_Waiting] = deque()
        self._others: deque[_Waiting] = deque()
        self._numbers = itertools.count()
        self._wake = threading.Lock()  # held while there is nothing to do: cheaper to wake by than a condition
        self._wake.acquire()
        self._woken = False
        self._turning: set[asyncio.AbstractEventLoop] = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="farebox-ledger", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many entries are in the queue."""
        return len(self._settling) + len(self._others)

    def post(self, *commands: Command) -> "asyncio.Future[Any]":
        """Queues commands that belong together, to be decided in order in one commit. The future's result, once that is durable, is their
        outcomes, or the error (Busy: the queue is full; LedgerUnavailable: nothing was, or may have been, committed; StoreError: a fault).
        """
        return self._put(commands, None)

    async def submit(self, *commands: Command) -> tuple[Outcome, ...]:
        """As `post`, waiting, and raising the error."""
        answer = await self.post(*commands)
        if isinstance(answer, FareboxError):
            raise answer
        return answer  # type: ignore[no-any-return]

    async def one(self, command: Command) -> Outcome:
        """Decides one command."""
        answer = await self.post(command)
        if isinstance(answer, FareboxError):
            raise answer
        return answer[0]  # type: ignore[no-any-return]

    async def write(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs a named statement that moves no money, between batches."""
        gathered = list(rows)
        await self.work(lambda: self._store.write(name, gathered))

    async def publish(self, owner: str, writes: Sequence[Written], command: PublishBook) -> None:
        """Makes rows of the price book count. Raises CommandRefused, having changed nothing, and LedgerUnavailable."""
        await self.work(lambda: self._store.publish(owner, writes, command))

    async def lease(self, name: str, owner: str, seconds: int) -> bool:
        """Whether this piece of background work is the owner's for so long. Raises LedgerUnavailable."""
        return bool(await self.work(lambda: self._store.lease(name, owner, seconds)))

    async def claim(self, name: str, *arguments: Any) -> Sequence[Row]:
        """The rows that a named statement takes for whoever asks. Raises LedgerUnavailable."""
        rows: Sequence[Row] = await self.work(lambda: self._store.claim(name, *arguments))
        return rows

    async def work(self, work: Callable[[], Any]) -> Any:
        """Runs a piece of work on the writer's thread, between batches, and returns what it returns."""
        answer = await self._put((), work)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _put(self, entry: Entry, work: Callable[[], Any] | None) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        future = _Pending(loop=loop)
        if self._stopping:
            future.set_result(LedgerUnavailable(problem="it is closed"))
        elif len(self._settling) + len(self._others) >= limits.queue_commands_max:
            future.set_result(Busy(limit="the ledger's queue is full"))
        else:
            queue = self._settling if entry and isinstance(entry[0], _SETTLING) else self._others
            queue.append(_Waiting(next(self._numbers), entry, work, loop, future))
            if loop not in self._turning:
                self._turning.add(loop)
                loop.call_soon(self._turned, loop)
        return future

    def close(self) -> None:
        """Decides what is waiting, then closes the store. Blocks until done."""
        self._stopping = True
        self._rouse()
        self._thread.join()

    def _turned(self, loop: asyncio.AbstractEventLoop) -> None:
        """A loop has done what it had at hand: all that it asked for meanwhile is one batch, for which the writer is woken once. What a loop
        asks in its very last turn is decided with whatever comes next.
        """
        self._turning.discard(loop)
        self._rouse()

    def _rouse(self) -> None:
        """Wakes the writer, unless it was woken already and has not looked yet."""
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # another loop's thread did so at the same moment
                self._wake.release()

    # --- on the writer's thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            self._woken = False
            while waiting := self._take():
                self._batch(waiting)
                if len(waiting) < limits.batch_commands_max and not self._stopping:
                    break  # whoever has asked meanwhile wakes it, when all of it is there
            if self._stopping and not self.waiting:
                self._store.close()
                return

    def _take(self) -> list[_Waiting]:
        """What is waiting, up to a batch, as it came. When not all fits, captures go first, wherever they stand: they give money back."""
        taken: list[_Waiting] = []
        for queue in (self._settling, self._others):
            taken += [queue.popleft() for _ in range(min(len(queue), limits.batch_commands_max - len(taken)))]
        if not self.waiting:
            taken.sort(key=attrgetter("number"))
        return taken

    def _batch(self, waiting: list[_Waiting]) -> None:
        began = time.perf_counter()
        group: list[_Waiting] = []
        for one in waiting:
            if one.work is None:
                group.append(one)
                continue
            self._decide(group)
            group = []
            self._answer([one], [_result_of(one.work)])
        self._decide(group)
        self._observe(len(waiting), time.perf_counter() - began)
        _result_of(lambda: self._store.tidy(idle=not self.waiting))

    def _decide(self, group: list[_Waiting]) -> None:
        if not group:
            return
        try:
            answers = self._store.decide([one.entry for one in group])
        except Exception as problem:  # noqa: BLE001 - the edge of a background loop: whoever waits must be answered
            _log.error("ledger_failed", problem=repr(problem), exc_info=True)
            answers = [LedgerUnavailable(problem=repr(problem))] * len(group)
        self._answer(group, answers)

    def _answer(self, group: list[_Waiting], answers: list[Any]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for one, answer in zip(group, answers, strict=True):
            by_loop.setdefault(one.loop, []).append((one.future, answer))
        for loop, pairs in by_loop.items():
            with contextlib.suppress(RuntimeError):  # a loop that was closed meanwhile: nobody waits any more
                loop.call_soon_threadsafe(_resolve, pairs)


def _result_of(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as problem:  # noqa: BLE001 - the edge of a background loop: the one who asked gets it
        return problem


def _resolve(pairs: "list[tuple[asyncio.Future[Any], Any]]") -> None:
    for future, answer in pairs:
        if not future.done():
            future.set_result(answer)
