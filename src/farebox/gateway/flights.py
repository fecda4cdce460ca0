"""The calls that are on their way: how many, how long, and which have lost their client. Enforces what takes too long.

One look around a second serves all of them; no call pays for a timer of its own.
"""

import asyncio
import contextlib
from collections import Counter

from farebox import limits
from farebox.errors import Busy, Draining
from farebox.exchange import Exchange
from farebox.gateway.upstream import Answer

_EVERY_S = 1.0


class Flight:
    """One call on its way. `cut` says why its answer was not read to the end, if so."""

    __slots__ = ("answer", "awaiting_head", "cut", "drain_until", "drains", "exchange", "key", "sent", "task", "until")

    def __init__(self, exchange: Exchange, key: str, until: float) -> None:
        self.exchange = exchange
        self.key = key
        self.until = until
        self.drain_until: float | None = None
        self.answer: Answer | None = None
        self.sent = False
        """A provider has the request: from here on a client that leaves is drained."""
        self.awaiting_head = False
        self.drains = True
        """Whether the provider's answer is read on at all when the client has left."""
        self.cut = ""
        self.task: asyncio.Task[None] | None = asyncio.current_task()

    def stop(self, why: str) -> None:
        """Stops reading the provider, or waiting for it. The attempt is then settled with what is known."""
        if not self.cut:
            self.cut = why
            if self.answer is not None:
                self.answer.abort()
            elif self.awaiting_head and self.task is not None:
                self.task.cancel(why)

    def is_cut(self) -> bool:
        """Whether it was told to stop."""
        return bool(self.cut)

    def goes_on(self) -> bool:
        """Whether a wait that was cancelled was cancelled here, because it took too long, and not the call. Takes the cancellation back."""
        return self.is_cut() and self.task is not None and not self.task.uncancel()


class Flights:
    """All of them."""

    def __init__(self, *, calls_max: int, drain_s: int, drains_max: int, drains_per_key_max: int, request_s: int) -> None:
        self._calls_max = calls_max
        self._drain_s = drain_s
        self._drains_max = drains_max
        self._drains_per_key_max = drains_per_key_max
        self._request_s = request_s
        self._all: set[Flight] = set()
        self._draining_by_key: Counter[str] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()
        self._watch: asyncio.Task[None] | None = None
        self.draining = 0
        self.drained_total = 0
        self.drains_refused_total = 0
        self.closing = False

    def __len__(self) -> int:
        return len(self._all)

    def begin(self, exchange: Exchange, key: str) -> Flight:
        """A call from here on, until `end`. Raises Draining and Busy."""
        if self.closing:
            raise Draining(retry_after_s=1)
        if len(self._all) >= self._calls_max:
            raise Busy(limit=f"{self._calls_max} calls in flight", retry_after_s=1)
        flight = Flight(exchange, key, asyncio.get_running_loop().time() + self._request_s)
        if not self._all:
            self._idle.clear()
        self._all.add(flight)
        if self._watch is None:
            self._watch = asyncio.ensure_future(self._look_around())
        return flight

    def end(self, flight: Flight) -> None:
        """The call has ended, however it did."""
        flight.exchange.unwatch()
        self._all.discard(flight)
        if flight.drain_until is not None:
            self.draining -= 1
            self._draining_by_key[flight.key] -= 1
            if not self._draining_by_key[flight.key]:
                del self._draining_by_key[flight.key]
        if not self._all:
            self._idle.set()

    def drain(self, flight: Flight) -> bool:
        """The client left: may the rest of the answer be read? Bounded per key, per process, in time."""
        if flight.drain_until is not None:
            return True
        if flight.cut or not flight.drains:
            flight.stop("not_drained")
            return False
        if self.draining >= self._drains_max or self._draining_by_key[flight.key] >= self._drains_per_key_max or not self._drain_s:
            self.drains_refused_total += 1
            flight.stop("drain_refused")
            return False
        flight.drain_until = asyncio.get_running_loop().time() + self._drain_s
        self.draining += 1
        self.drained_total += 1
        self._draining_by_key[flight.key] += 1
        return True

    async def close(self, patience_s: float) -> None:
        """Takes no more calls, waits for those on their way, and after a while stops them: each is settled with what is known."""
        self.closing = True
        try:
            async with asyncio.timeout(patience_s):
                await self._idle.wait()
        except TimeoutError:
            for flight in list(self._all):
                flight.stop("shutdown")
        try:
            async with asyncio.timeout(limits.settle_s_max):
                await self._idle.wait()
        except TimeoutError:
            for flight in list(self._all):
                if flight.task is not None:
                    flight.task.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.settle_s_max):
                    await self._idle.wait()
        if self._watch is not None:
            self._watch.cancel()

    async def _look_around(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_EVERY_S)
            now = loop.time()
            for flight in list(self._all):
                if now > flight.until:
                    flight.stop("request_too_long")
                elif flight.drain_until is not None and now > flight.drain_until:
                    flight.stop("drain_cut")
                elif flight.sent:
                    self._look_after_client(flight)
                reading = flight.exchange.reading_since
                if reading is not None and now - reading > limits.request_body_s_max and flight.task is not None:
                    flight.cut = "request_too_slow"
                    flight.exchange.reading_since = None
                    flight.task.cancel()

    def _look_after_client(self, flight: Flight) -> None:
        """A call that is still waiting for its provider after a while is watched, streamed or not: drains are bounded for all of them."""
        if flight.exchange.gone:
            self.drain(flight)
        else:
            flight.exchange.watch()
