from collections.abc import Callable

from farebox.gateway.upstream.deadline import Deadline


class HandTimer:
    """A timer of `HandLoop`."""

    def __init__(self, at: float, callback: Callable[[], object], timers: "list[HandTimer]") -> None:
        self.at = at
        self.callback = callback
        self._timers = timers
        timers.append(self)

    def cancel(self) -> None:
        self._timers.remove(self)


class HandLoop:
    """A loop whose time is moved by hand. It counts how often a timer is armed."""

    def __init__(self) -> None:
        self.now = 100.0
        self.armed = 0
        self.timers: list[HandTimer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> HandTimer:
        self.armed += 1
        return HandTimer(self.now + delay, callback, self.timers)

    def go(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.at <= end]:
            timer = min(due, key=lambda timer: timer.at)
            timer.cancel()
            self.now = max(self.now, timer.at)
            timer.callback()
        self.now = end


def made() -> tuple[HandLoop, Deadline, list[float]]:
    loop = HandLoop()
    fired: list[float] = []
    return loop, Deadline(loop, lambda: fired.append(loop.now)), fired


def test_due_once_at_its_time() -> None:
    """Not before, and not again."""
    loop, deadline, fired = made()
    deadline.set(10)
    loop.go(9.9)
    assert not fired
    loop.go(100)
    assert fired == [110.0]
    assert not loop.timers


def test_moved_later_costs_no_timer() -> None:
    """A thousand moves arm two timers, and the last move counts."""
    loop, deadline, fired = made()
    for _ in range(1000):
        deadline.set(10)
        loop.go(0.009)
    assert loop.armed == 1
    loop.go(10)
    assert len(fired) == 1
    assert fired[0] >= 100 + 999 * 0.009 + 10 - 1e-6
    assert loop.armed == 2


def test_moved_earlier_is_due_earlier() -> None:
    """An armed timer for later does not delay an earlier deadline."""
    loop, deadline, fired = made()
    deadline.set(600)
    deadline.set(5)
    loop.go(1000)
    assert fired == [105.0]


def test_cleared_is_not_due_until_set_again() -> None:
    """Cleared, the timer that is armed does nothing."""
    loop, deadline, fired = made()
    deadline.set(5)
    deadline.clear()
    loop.go(50)
    assert not fired
    deadline.set(5)
    loop.go(50)
    assert fired == [155.0]


def test_stopped_gives_its_timer_back() -> None:
    """Nothing of a dead connection stays in the loop."""
    loop, deadline, fired = made()
    deadline.set(5)
    deadline.stop()
    assert not loop.timers
    loop.go(50)
    assert not fired


def test_set_from_its_own_firing_is_due_again() -> None:
    """What is due may set the next deadline."""
    loop = HandLoop()
    fired: list[float] = []

    def due() -> None:
        fired.append(loop.now)
        if len(fired) < 3:
            deadline.set(1)

    deadline = Deadline(loop, due)
    deadline.set(1)
    loop.go(10)
    assert fired == [101.0, 102.0, 103.0]
