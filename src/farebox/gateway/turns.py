"""Whose turn it is: which of a provider's keys a call is made with, or that nobody is asked now. Keeps the health of every provider of this
process, on a clock that is not set back, and tells an operator of its changes. The rules are `providers/health.py`.
"""

from collections.abc import Collection
from typing import Any

import structlog

from farebox import metrics
from farebox.clock import US_PER_MS, US_PER_S, Clock, steady_clock
from farebox.dialects.base import Fault
from farebox.gateway.told import alarm
from farebox.gateway.upstream import Answer, ConnectFailed, PoolExhausted, UpstreamFailed
from farebox.providers.catalogue import Catalogue, Provider
from farebox.providers.health import Health, NotNow, Turn

_log = structlog.get_logger()
_ALARMS = frozenset(("upstream_account", "upstream_away"))
_MS_DIGITS_MAX = 8
_RATE = 429


class NotAsked(UpstreamFailed):
    """Nobody was asked: the provider failed lately, or its account refuses."""

    def __init__(self, problem: str, *, retry_after_s: int, account: bool) -> None:
        super().__init__(problem)
        self.retry_after_s = retry_after_s
        self.account = account


class AnotherKey(UpstreamFailed):
    """The provider did not take the call with this key, and billed nothing; it has another key's turn."""

    def __init__(self, turn: Turn) -> None:
        super().__init__("another key is used", sent="all", connected=True, answered=True)
        self.turn = turn

    @property
    def may_have_billed(self) -> bool:
        """It is raised only where the provider surely did not."""
        return False


class Turns:
    """One per process."""

    def __init__(self, catalogue: Catalogue, clock: Clock = steady_clock) -> None:
        self._clock = clock
        self.health = {provider.name: Health(provider, _tell) for provider in catalogue.providers.values()}

    def take(self, provider: Provider, route: str = "", model: str = "") -> Turn:
        """What a call is made with. Raises NotAsked: then nothing is sent, and nothing need be held."""
        health = self.health[provider.name]
        if health.steady is not None:
            return health.steady
        try:
            return health.turn(self._clock(), _purpose(route, model))
        except NotNow as no:
            raise NotAsked(no.problem, retry_after_s=no.retry_after_s, account=no.account) from None

    def reached(self, turn: Turn) -> None:
        """The request is on a connection."""
        self.health[turn.provider.name].reached(turn)

    def answered(self, turn: Turn, status: int) -> None:
        """There is the head of an answer."""
        self.health[turn.provider.name].answered(turn, status, self._clock())

    def failed(self, turn: Turn, failure: UpstreamFailed) -> None:
        """There will be no answer."""
        health = self.health[turn.provider.name]
        if isinstance(failure, ConnectFailed):
            health.unreached(turn, self._clock())
        elif isinstance(failure, PoolExhausted):
            health.left(turn)
        else:
            health.unanswered(turn, self._clock())

    def left(self, turn: Turn) -> None:
        """Nothing will be told of it."""
        self.health[turn.provider.name].left(turn)

    def erred(self, turn: Turn, answer: Answer, body: bytes, fault: Fault, route: str, model: str) -> None:
        """The answer is an error, and this is its body."""
        health, now, purpose = self.health[turn.provider.name], self._clock(), _purpose(route, model)
        if fault == "account":
            health.refused(turn, answer.status, body, purpose, now)
        else:
            health.erred(turn, answer.status, _retry_after_us(answer), purpose, now)

    def other(self, turn: Turn, answer: Answer, fault: Fault, route: str, model: str, but: Collection[int]) -> Turn | None:
        """What a call that met this error is made with instead, where another key may fare better."""
        if fault != "account" and answer.status != _RATE:
            return None
        return self.health[turn.provider.name].other(self._clock(), _purpose(route, model), but)

    def another(self, turn: Turn, route: str, model: str, but: Collection[int]) -> Turn | None:
        """With what else something is asked for that this key does not know: of several keys, each may be another project's."""
        return self.health[turn.provider.name].other(self._clock(), _purpose(route, model), but)

    def show(self) -> None:
        """Brings the gauges up to date."""
        for name, health in self.health.items():
            metrics.upstream_away.labels(name).set(health.away)
            metrics.provider_keys_resting.labels(name).set(health.resting)


def _purpose(route: str, model: str) -> str:
    return f"{route} {model}"


def _retry_after_us(answer: Answer) -> int:
    """What an answer says of when to ask again; 0 where it says nothing that is a number."""
    for name, unit in ((b"retry-after-ms", US_PER_MS), (b"retry-after", US_PER_S)):
        said = (answer.header(name) or b"").strip()
        if said.isdigit() and len(said) <= _MS_DIGITS_MAX:
            return int(said) * unit
    return 0


def _tell(name: str, facts: dict[str, Any]) -> None:
    if name in _ALARMS:
        alarm(name, **facts)
    else:
        _log.warning(name, **facts)
