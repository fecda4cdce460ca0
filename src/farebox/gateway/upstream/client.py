"""The client: one call from a request to an answer. Owns the order of the steps and when a step may be repeated; each step is elsewhere.

A request is written twice in one case only: when it was given to a pooled connection that turned out closed before anything of it was
handed to the operating system. After that, nobody can know what the provider saw, and the failure says so.
"""

from collections.abc import Awaitable, Callable

import msgspec

from farebox.clock import Clock, wall_clock
from farebox.gateway.upstream.answer import Answer
from farebox.gateway.upstream.connection import Connection
from farebox.gateway.upstream.dial import Dialer
from farebox.gateway.upstream.failures import ConnectFailed, NotAnswered, PoolExhausted, UpstreamFailed
from farebox.gateway.upstream.origin import Origin
from farebox.gateway.upstream.pool import Pool, Pools
from farebox.gateway.upstream.settings import UpstreamLimits

_DEFAULT_LIMITS = UpstreamLimits()


class UpstreamStats(msgspec.Struct, frozen=True):
    """Figures for metrics. `open` counts places taken: connections being opened, in use and unused."""

    open: int
    idle: int
    opened_total: int
    reused_total: int
    failures: dict[str, int]
    """By the name of the failure's class. What the caller aborts or cancels is not counted."""


class Upstream:
    """One per process and event loop; keeps connections for all origins."""

    def __init__(self, limits: UpstreamLimits = _DEFAULT_LIMITS, *, clock: Clock = wall_clock) -> None:
        self._limits = limits
        self._pools = Pools(limits)
        self._dialer = Dialer(limits, clock)

    def send(
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        *,
        first_byte_s: float | None = None,
        reached: Callable[[], None] | None = None,
    ) -> Awaitable[Answer]:
        """Send a request; the answer, once its status and headers are there (interim 1xx responses are skipped). `reached` is called when the
        request is on a connection.

        `target` is path and query as they go on the wire. `host`, `content-length`, `accept-encoding: identity` and whatever else belongs
        to the connection is set here. Raises UpstreamFailed; ValueError before any I/O for a request that must not be written. To be awaited
        at once: with a connection at hand the request is sent by then. Cancelled, it closes the connection it used.
        """
        pool = self._pools.of(origin)
        head = pool.form.head(method, target, headers, len(body))
        patience_s = self._limits.first_byte_s if first_byte_s is None else first_byte_s
        bodiless = method == b"HEAD"
        while (connection := pool.take()) is not None:
            answer = connection.start(head, body, bodiless=bodiless, first_byte_s=patience_s)
            if answer is not None:
                return self._sent(answer, reached, reused=True)
            connection.kill()
        return self._send_later(pool, head, body, bodiless, patience_s, reached)

    async def _send_later(
        self, pool: Pool, head: bytes, body: bytes, bodiless: bool, patience_s: float, reached: Callable[[], None] | None
    ) -> Answer:
        """As above, for a call that found no connection unused."""
        while True:
            connection = pool.take() or await self._obtain(pool)
            reused = connection.uses > 0
            answer = connection.start(head, body, bodiless=bodiless, first_byte_s=patience_s)
            if answer is not None:
                return await self._sent(answer, reached, reused=reused)
            connection.kill()
            if not reused:
                raise self._counted(pool, NotAnswered("the provider closed the connection at once", connected=True))

    def _sent(self, answer: Answer, reached: Callable[[], None] | None, *, reused: bool) -> Awaitable[Answer]:
        self._pools.reused_total += reused
        if reached is not None:
            reached()
        return answer.head()

    def stats(self) -> UpstreamStats:
        """The figures now."""
        pools = self._pools
        return UpstreamStats(pools.taken, pools.idle, pools.opened_total, pools.reused_total, dict(pools.failures))

    async def close(self) -> None:
        """Close every connection, in use or not, and wait until that is done. Calls in flight fail; later ones find the client closed."""
        await self._pools.close()

    async def _obtain(self, pool: Pool) -> Connection:
        """A connection for a call that found none unused: after waiting for one, or a new one."""
        while True:
            if self._pools.closed:
                raise self._closed(pool)
            if pool.reserve():
                return await self._open(pool)
            try:
                given = await pool.turn()
            except TimeoutError:
                problem = f"no connection came free within {self._limits.slot_wait_s:g} s"
                raise self._counted(pool, PoolExhausted(problem)) from None
            if given is True:
                return await self._open(pool)
            if given and given.alive():
                return given
            if given:
                given.kill()

    async def _open(self, pool: Pool) -> Connection:
        """A new connection on a place already taken, which is given back when there will be none."""
        opened = False
        try:
            connection = await self._dialer.dial(pool.origin)
            opened = True
        except UpstreamFailed as failure:
            raise self._counted(pool, failure) from failure.__cause__
        finally:
            if not opened:
                pool.release()
        self._pools.adopt(connection, pool)
        if self._pools.closed:
            connection.kill()
            raise self._closed(pool)
        return connection

    def _closed(self, pool: Pool) -> UpstreamFailed:
        return self._counted(pool, ConnectFailed("the client is closed"))

    def _counted(self, pool: Pool, failure: UpstreamFailed) -> UpstreamFailed:
        pool.failed(failure)
        return failure
