"""One deadline of one connection, cheap to move. Owns a loop timer; what happens when it is due is its owner's business.

Most deadlines are moved long before they are due, many times a second. So moving one later only writes a number: the timer that is
already armed looks at it when it fires and goes back to sleep for the rest. It is armed anew only for an earlier deadline.
"""

from collections.abc import Callable
from math import inf
from typing import Protocol

_RESOLUTION_S = 0.001
"""Timers of the loop tick in milliseconds; a shorter rest would spin."""


class Timer(Protocol):
    """A timer that can be called off."""

    def cancel(self) -> None: ...


class Timers(Protocol):
    """What is needed of an event loop."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Timer: ...


class Deadline:
    """Calls `due()` once, no earlier than the time last set."""

    __slots__ = ("_at", "_due", "_fires_at", "_loop", "_time", "_timer")

    def __init__(self, loop: Timers, due: Callable[[], None]) -> None:
        self._loop = loop
        self._time = loop.time
        self._due = due
        self._at = inf
        self._fires_at = inf
        self._timer: Timer | None = None

    def set(self, seconds: float) -> float:
        """Due this many seconds from now, instead of whenever it was. Gives that time, by the loop's clock."""
        at = self._at = self._time() + seconds
        if at < self._fires_at:
            self._arm(seconds)
        return at

    def clear(self) -> None:
        """Not due until set again."""
        self._at = inf

    def stop(self) -> None:
        """Not due, and the timer is given back."""
        self._at = self._fires_at = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay = max(seconds, _RESOLUTION_S)
        self._fires_at = self._loop.time() + delay
        self._timer = self._loop.call_later(delay, self._fire)

    def _fire(self) -> None:
        self._timer, self._fires_at = None, inf
        if self._at == inf:
            return
        rest = self._at - self._loop.time()
        if rest > 0:
            self._arm(rest)
        else:
            self._at = inf
            self._due()
