"""Several processes that are one server: started, watched, started again when one dies, ended together. Owns their lives and nothing else.

A child is told what to do in one line on its standard input, says a line on its standard output once it serves, and ends on SIGTERM. That its
standard input closes is a sign to it: whoever started it is gone, however that happened, and it ends by itself.
"""

import asyncio
import contextlib
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence

import msgspec

from farebox import limits

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
Alarm = Callable[..., None]


class Order(msgspec.Struct, frozen=True):
    """What one child runs, the line it is told, and the file descriptors that it inherits."""

    command: tuple[str, ...]
    line: bytes
    inherits: tuple[int, ...] = ()


class Supervisor:
    """Keeps a child in each place. `ended` is told of a place whose child is gone, before another one takes it."""

    def __init__(self, orders: Sequence[Order], *, patience_s: int, alarm: Alarm, ended: Callable[[int], None]) -> None:
        self._orders = orders
        self._patience_s = patience_s
        self._alarm = alarm
        self._ended = ended
        self._living: dict[int, Process] = {}
        self._serving: set[int] = set()
        self._begun = False
        self._stopping = asyncio.Event()

    async def run(self, *, began: Callable[[], None]) -> bool:
        """Runs until SIGTERM or SIGINT, or until a child ends before all have served. `began` is called once all serve.

        Whether everything went as it should: all served, and all ended by themselves when they were asked to.
        """
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stopping.set)
        keeping = [asyncio.ensure_future(self._keep(place, began)) for place in range(len(self._orders))]
        await self._stopping.wait()
        for child in self._living.values():
            _send(child, signal.SIGTERM)
        _, late = await asyncio.wait(keeping, timeout=self._patience_s)
        for place, child in self._living.items():
            self._alarm("worker_killed", worker=place, pid=child.pid, why=f"it did not end in {self._patience_s} s")
            _send(child, signal.SIGKILL)
        ended_well = [await task for task in keeping]
        return all(ended_well) and not late

    async def _keep(self, place: int, began: Callable[[], None]) -> bool:
        """Keeps a child in a place until the end. Whether the last one ended as it was asked to."""
        pause_s = 0
        clock = asyncio.get_running_loop().time
        try:
            while not self._stopping.is_set():
                since = clock()
                try:
                    ended_well, how = await self._live(place, began)
                except OSError as problem:  # no room for another process, now
                    ended_well, how = False, str(problem)
                if self._stopping.is_set():
                    return ended_well
                if clock() - since >= limits.worker_steady_s:
                    pause_s = 0
                self._alarm("worker_ended", worker=place, how=how, starts_again_in_s=pause_s)
                if not self._begun:
                    return False  # it never worked: whoever started us should know at once
                await self._rest(pause_s)
                pause_s = min(pause_s * 2 or 1, limits.worker_pause_s_max)
            return True
        finally:
            self._stopping.set()

    async def _live(self, place: int, began: Callable[[], None]) -> tuple[bool, str]:
        """One child's life. Whether it ended as one that is asked to, and how it ended."""
        child = await self._start(place)
        serves = await self._says_that_it_serves(child)
        if serves:
            self._count(place, began)
        code = await child.wait()
        del self._living[place]
        self._ended(place)
        asked = code == 0 or (not serves and code == -signal.SIGTERM)
        return asked, f"process {child.pid}: {_how(code)}"

    async def _start(self, place: int) -> Process:
        order = self._orders[place]
        child = await asyncio.create_subprocess_exec(
            *order.command,
            stdin=PIPE,
            stdout=PIPE,
            pass_fds=order.inherits,
            start_new_session=True,  # Ctrl-C at the terminal is for us: we pass it on, once
        )
        self._living[place] = child
        assert child.stdin is not None  # noqa: S101 - a pipe was asked for
        child.stdin.write(order.line + b"\n")
        if self._stopping.is_set():
            _send(child, signal.SIGTERM)
        return child

    @staticmethod
    async def _says_that_it_serves(child: Process) -> bool:
        assert child.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            async with asyncio.timeout(limits.worker_start_s_max):
                return bool(await child.stdout.readline())
        except TimeoutError:
            _send(child, signal.SIGKILL)
            return False

    def _count(self, place: int, began: Callable[[], None]) -> None:
        self._serving.add(place)
        if len(self._serving) == len(self._orders) and not self._begun and not self._stopping.is_set():
            self._begun = True
            began()

    async def _rest(self, pause_s: int) -> None:
        """Waits, but not for longer than there is reason to go on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()


def _send(child: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        child.send_signal(number)


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
