"""How a provider fares: whether it is asked now, and with which of its keys. Is told what happened and when; has no clock and does no I/O.

Three things rest by themselves, each after failures in a row of its own kind, twice as long each time, with one call let through after each rest:
the way to the provider (no connection), its answers (errors that say nothing of the request), and each key (the operator's account refuses).
A key may also be passed over for one model on one route, while there is another: its rate is reached there, or it may not be used for that.
Only an account that surely refuses makes a key rest: what one caller's request can bring about must not keep the others out.
"""

import random
from collections.abc import Callable, Collection

import msgspec

from farebox import limits
from farebox.clock import US_PER_MS, US_PER_S
from farebox.providers.catalogue import Provider

Spread = Callable[[int], int]
"""A number from 0 to below the given one, by chance."""
Tell = Callable[[str, dict[str, str | int]], None]
"""Hears of each change, by name: `upstream_account`, `upstream_account_over`, `upstream_away`, `upstream_back`."""
_SURE = frozenset((401, 402, 429))
"""Statuses by which an account's fault is the key's, whatever was asked. Others may be about what was asked: a file, a model, a right."""
_RIGHTS = (b"permission", b"scope")
_RATE = 429
_SERVER_ERRORS_FROM = 500
_ERRORS_FROM = 400


class NotNow(Exception):
    """The provider is not asked now."""

    def __init__(self, problem: str, wait_us: int, *, account: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.retry_after_s = max(-(-wait_us // US_PER_S), 1)
        self.account = account
        """The operator's account is why."""


class Pace(msgspec.Struct, frozen=True):
    """When something rests, and how long."""

    failures_max: int
    shortest_us: int
    longest_us: int


class Pause:
    """Something that is used until it fails so often in a row. Then it rests; after each rest one try decides."""

    __slots__ = ("_age", "_pace", "_trying_until", "_until", "failures", "rests")

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._age = 0
        """Changes whenever what was begun before does not count any more."""
        self._until = 0
        self._trying_until = 0
        self.failures = 0
        """In a row."""
        self.rests = 0
        """In a row; 0: it is used."""

    def may(self, now: int) -> bool:
        return not self.rests or now >= max(self._until, self._trying_until)

    def wait_us(self, now: int) -> int:
        """How long until it may be tried."""
        return max(self._until - now, self._trying_until - now, 0) if self.rests else 0

    def begin(self, now: int) -> int:
        """Something is tried with it: what comes of it is told with the number that this gives. Of one that rests it is the only try for a
        while; one that tells nothing does not hinder the next for ever.
        """
        if self.rests:
            self._age += 1
            self._trying_until = now + limits.upstream_try_s_max * US_PER_S
        return self._age

    def failed(self, age: int, now: int, spread: Spread) -> bool:
        """Whether it was used before, and rests now."""
        if age != self._age:
            return False
        self.failures += 1
        if not self.rests and self.failures < self._pace.failures_max:
            return False
        pause = min(self._pace.shortest_us << min(self.rests, 32), self._pace.longest_us)
        self._until = now + pause - spread(pause // 4 + 1)
        self._trying_until = 0
        self._age += 1
        self.rests += 1
        return self.rests == 1

    def succeeded(self, age: int) -> bool:
        """Whether it rested before, and is used now."""
        if age != self._age:
            return False
        self.failures = 0
        rested, self.rests = self.rests, 0
        self._age += bool(rested)
        return bool(rested)

    def left(self, age: int) -> None:
        """Nothing came of a try: the next may begin."""
        if age == self._age:
            self._trying_until = 0


class Key:
    """One key of a provider."""

    __slots__ = ("credential", "passed_over", "pause", "provider")

    def __init__(self, provider: Provider, pace: Pace) -> None:
        self.provider = provider
        """The provider as it is with this key alone."""
        self.credential = () if provider.aws is not None else (provider.credential_header(),)
        self.pause = Pause(pace)
        self.passed_over: dict[str, int] = {}
        """Until when, by what it is not used for while there is another."""


class Turn(msgspec.Struct, frozen=True):
    """What one call is made with."""

    provider: Provider
    number: int
    """Which key, from 0."""
    way: int
    answers: int
    key: int
    tries: bool
    """It is the one try after a rest of something: if nothing comes of it, that has to be told."""
    credential: tuple[tuple[bytes, bytes], ...] = ()
    """The header with the key; none where requests are signed."""


def _ms(failures_max: int, shortest_ms: int, longest_ms: int) -> Pace:
    return Pace(failures_max, shortest_ms * US_PER_MS, longest_ms * US_PER_MS)


class Health:
    """One provider's."""

    def __init__(self, provider: Provider, tell: Tell, spread: Spread = random.randrange) -> None:
        self.name = provider.name
        self._tell = tell
        self._spread = spread
        away = (limits.upstream_pause_ms_min, limits.upstream_pause_ms_max)
        self.way = Pause(_ms(limits.connect_failures_max, *away))
        self.answers = Pause(_ms(limits.upstream_errors_max, *away))
        key_pace = _ms(1, limits.provider_key_pause_ms_min, limits.provider_key_pause_ms_max)
        self.keys = [Key(one, key_pace) for one in provider.with_each_key()]
        self._next = 0
        self.steady: Turn | None = None
        """Every call's turn, where there is one key and nothing is wrong: then nothing has to be chosen, and success need not be told."""
        self._settle()

    # --- choosing ------------------------------------------------------------------------------------------------------------------

    def turn(self, now: int, purpose: str = "", but: Collection[int] = ()) -> Turn:
        """What a call is made with: a key that is used, those not passed over for this purpose first; one that has rested enough, if there is
        no other call to try it. `but`: keys that were tried. Raises NotNow.
        """
        for pause, problem in ((self.way, "no connection"), (self.answers, "nothing but errors")):
            if not pause.may(now):
                raise NotNow(f"{problem} lately; it is not asked again at once", pause.wait_us(now), account=False)
        number = self._choose(now, purpose, but)
        if number is None:
            wait = min((key.pause.wait_us(now) for key in self.keys if key.pause.rests), default=0)
            raise NotNow("its account refuses", wait, account=True)
        return self._begin(number, now)

    def other(self, now: int, purpose: str, but: Collection[int]) -> Turn | None:
        """What a call that these keys could not make is made with instead: a key that is used, and not passed over. None: there is none."""
        if len(self.keys) <= len(but) or not self.way.may(now) or not self.answers.may(now):
            return None
        for number, key in self._in_turn():
            if number not in but and not key.pause.rests and key.passed_over.get(purpose, 0) <= now:
                return self._begin(number, now)
        return None

    def _choose(self, now: int, purpose: str, but: Collection[int]) -> int | None:
        last, last_until = None, 0
        for number, key in self._in_turn():
            if number in but or not key.pause.may(now):
                continue
            until = key.passed_over.get(purpose, 0)
            if key.pause.rests or until <= now:
                return number
            if last is None or until < last_until:
                last, last_until = number, until
        return last

    def _in_turn(self) -> list[tuple[int, Key]]:
        """Those first whose rest is over, because nothing else ends it; the others in turn."""
        start = self._next % len(self.keys)
        found = list(enumerate(self.keys))
        found = found[start:] + found[:start]
        return sorted(found, key=lambda one: not one[1].pause.rests)

    def _begin(self, number: int, now: int) -> Turn:
        key = self.keys[number]
        self._next = number + 1
        tries = bool(self.way.rests or self.answers.rests or key.pause.rests)
        return Turn(key.provider, number, self.way.begin(now), self.answers.begin(now), key.pause.begin(now), tries, key.credential)

    # --- what came of it -----------------------------------------------------------------------------------------------------------

    def reached(self, turn: Turn) -> None:
        """There is a connection, and the request is on it."""
        self._well(self.way, turn.way)

    def unreached(self, turn: Turn, now: int) -> None:
        """There was none."""
        self.left(turn)
        self._ill(self.way, turn.way, now, "connect")

    def unanswered(self, turn: Turn, now: int) -> None:
        """It was asked, and gave no answer that could be read."""
        self.left(turn)
        self._ill(self.answers, turn.answers, now, "errors")

    def answered(self, turn: Turn, status: int, now: int) -> None:
        """There is the head of an answer."""
        if status >= _SERVER_ERRORS_FROM:
            return self.unanswered(turn, now)
        self._well(self.way, turn.way)
        self._well(self.answers, turn.answers)
        if status < _ERRORS_FROM:
            self._accepted(turn)
        return None

    def refused(self, turn: Turn, status: int, body: bytes, purpose: str, now: int) -> None:
        """The operator's account is at fault for an error."""
        key = self.keys[turn.number]
        lowered = body.lower()
        if status not in _SURE or any(right in lowered for right in _RIGHTS):
            if self._pass_over(key, purpose, limits.provider_key_pause_ms_max * US_PER_MS, now):
                self._tell("upstream_account", {**self._named(turn), "status": status, "purpose": purpose})
            return
        if key.pause.failed(turn.key, now, self._spread):
            self._tell("upstream_account", {**self._named(turn), "status": status})
        self._settle()

    def erred(self, turn: Turn, status: int, retry_after_us: int, purpose: str, now: int) -> None:
        """Anything else is at fault for an error below 500: the key was accepted."""
        if status == _RATE:
            longest = limits.provider_key_pause_ms_max * US_PER_MS
            self._pass_over(self.keys[turn.number], purpose, min(max(retry_after_us, US_PER_S), longest), now)
        if status < _SERVER_ERRORS_FROM:
            self._accepted(turn)

    def left(self, turn: Turn) -> None:
        """Nothing came of it, or nothing more will."""
        if turn.tries:
            self.way.left(turn.way)
            self.answers.left(turn.answers)
            self.keys[turn.number].pause.left(turn.key)

    @property
    def away(self) -> bool:
        """Whether it is not asked for now, but for a call now and then."""
        return bool(self.way.rests or self.answers.rests)

    @property
    def resting(self) -> int:
        """How many of its keys rest."""
        return sum(bool(key.pause.rests) for key in self.keys)

    # --- within --------------------------------------------------------------------------------------------------------------------

    def _accepted(self, turn: Turn) -> None:
        if self.keys[turn.number].pause.succeeded(turn.key):
            self._tell("upstream_account_over", self._named(turn))
        self._settle()

    def _pass_over(self, key: Key, purpose: str, pause_us: int, now: int) -> bool:
        """Whether the key was used for this before."""
        passed = key.passed_over
        used = passed.get(purpose, 0) <= now
        if len(passed) >= limits.purposes_passed_over_max:
            for name in [name for name, until in passed.items() if until <= now] or [min(passed, key=lambda name: passed[name])]:
                del passed[name]
        passed[purpose] = now + pause_us
        return used

    def _ill(self, pause: Pause, age: int, now: int, why: str) -> None:
        if pause.failed(age, now, self._spread):
            self._tell("upstream_away", {"provider": self.name, "why": why, "failures": pause.failures})
        self._settle()

    def _well(self, pause: Pause, age: int) -> None:
        if pause.succeeded(age) and not self.away:
            self._tell("upstream_back", {"provider": self.name})
        self._settle()

    def _named(self, turn: Turn) -> dict[str, str | int]:
        return {"provider": self.name, "provider_key": turn.number + 1}

    def _settle(self) -> None:
        pauses = (self.way, self.answers, self.keys[0].pause)
        steady = len(self.keys) == 1 and not any(pause.failures or pause.rests for pause in pauses)
        self.steady = self._begin(0, 0) if steady else None
