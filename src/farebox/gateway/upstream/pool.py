"""Which connection a call gets. Owns the places (connections per process and per origin), the unused connections, and the queue for both.

A place is taken before a connection is opened and given back when it is dead. The connection used last is used first, so that few stay
warm and the rest go away. A call that finds no place waits its turn; unused connections to other origins make room before that.
"""

import asyncio
from collections import Counter

from farebox.gateway.upstream.connection import Connection
from farebox.gateway.upstream.failures import UpstreamFailed
from farebox.gateway.upstream.origin import Origin
from farebox.gateway.upstream.request import RequestForm
from farebox.gateway.upstream.settings import UpstreamLimits

Turn = asyncio.Future[Connection | bool]
"""What a waiting call is given: a connection, or (True) a place to open one, or (False) nothing, because the client is closed."""


class Pools:
    """All pools of one client, and the places they share."""

    def __init__(self, limits: UpstreamLimits) -> None:
        self.limits = limits
        self.taken = 0
        self.closed = False
        self.opened_total = 0
        self.reused_total = 0
        self.failures: Counter[str] = Counter()
        self.waiting: dict[Pool, None] = {}
        self._pools: dict[Origin, Pool] = {}
        self._connections: set[Connection] = set()
        self._all_lost: asyncio.Future[None] | None = None

    def of(self, origin: Origin) -> "Pool":
        """The pool of an origin. Origins come from settings, so there are few, and their pools stay."""
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = Pool(self, origin)
        return pool

    @property
    def idle(self) -> int:
        """Connections open and unused."""
        return sum(len(pool.idle) for pool in self._pools.values())

    def adopt(self, connection: Connection, pool: "Pool") -> None:
        """A connection was opened on a place taken before."""
        self.opened_total += 1
        self._connections.add(connection)
        connection.settle(pool)

    def lost(self, connection: Connection) -> None:
        """The socket of a connection is closed."""
        self._connections.discard(connection)
        if not self._connections and self._all_lost is not None and not self._all_lost.done():
            self._all_lost.set_result(None)

    def starving(self) -> "Pool | None":
        """The first pool that waits for a place of the process, not for one of its own."""
        return next((pool for pool in self.waiting if pool.taken < self.limits.connections_per_origin), None)

    def make_room(self) -> bool:
        """Close the connection unused for longest. False when none is unused."""
        oldest = min(
            (next(iter(pool.idle)) for pool in self._pools.values() if pool.idle),
            key=lambda connection: connection.idle_since,
            default=None,
        )
        if oldest is None:
            return False
        oldest.kill()
        return self.taken < self.limits.connections

    def serve(self) -> None:
        """Places have come free: give them to those who wait, the pools in turn."""
        while self.taken < self.limits.connections and (pool := self.starving()) is not None:
            pool.give_place()

    async def close(self) -> None:
        """Close every connection, wake everybody who waits, and wait until the sockets are closed."""
        self.closed = True
        for pool in list(self.waiting):
            pool.send_away()
        for connection in list(self._connections):
            connection.kill()
        if self._connections:
            self._all_lost = asyncio.get_running_loop().create_future()
            await self._all_lost


class Pool:
    """The connections of one origin."""

    __slots__ = ("_pools", "_waiting", "form", "idle", "origin", "taken")

    def __init__(self, pools: Pools, origin: Origin) -> None:
        self.origin = origin
        self.form = RequestForm(origin)
        self.idle: dict[Connection, None] = {}
        self.taken = 0
        self._pools = pools
        self._waiting: dict[Turn, None] = {}

    def take(self) -> Connection | None:
        """The unused connection that was used last and is still alive."""
        while self.idle:
            connection, _ = self.idle.popitem()
            if connection.alive():
                return connection
            connection.kill()
        return None

    def reserve(self) -> bool:
        """Take a place for a new connection, if there is one."""
        limits = self._pools.limits
        if self.taken >= limits.connections_per_origin:
            return False
        if self._pools.taken >= limits.connections and not self._pools.make_room():
            return False
        self._take_place()
        return True

    def release(self) -> None:
        """Give a place back."""
        self.taken -= 1
        self._pools.taken -= 1
        self._pools.serve()

    async def turn(self) -> Connection | bool:
        """Wait for one's turn (see `Turn`). TimeoutError when it does not come in time."""
        mine: Turn = asyncio.get_running_loop().create_future()
        self._waiting[mine] = None
        self._pools.waiting[self] = None
        try:
            async with asyncio.timeout(self._pools.limits.slot_wait_s):
                return await mine
        except (TimeoutError, asyncio.CancelledError):
            self._withdraw(mine)
            raise

    def give_place(self) -> None:
        """Give a place of the process to the first who waits here, and go to the end of the line of pools."""
        turn = self._next()
        if turn is None:
            return
        self._take_place()
        if self._waiting:
            self._pools.waiting.pop(self)
            self._pools.waiting[self] = None
        turn.set_result(True)

    def send_away(self) -> None:
        """The client is closed: nobody who waits here gets a turn."""
        while (turn := self._next()) is not None:
            turn.set_result(False)

    # --- called by its connections --------------------------------------------------------------------------------------

    def freed(self, connection: Connection) -> None:
        if self._pools.closed:
            connection.kill()
        elif self._waiting and (turn := self._next()) is not None:
            turn.set_result(connection)
        elif self._pools.taken >= self._pools.limits.connections and self._pools.starving() is not None:
            connection.kill()  # another origin has waited for the place
        else:
            self.idle[connection] = None

    def gone(self, connection: Connection) -> None:
        self.idle.pop(connection, None)
        self.release()

    def lost(self, connection: Connection) -> None:
        self._pools.lost(connection)

    def failed(self, failure: UpstreamFailed) -> None:
        self._pools.failures[type(failure).__name__] += 1

    # --- the queue ------------------------------------------------------------------------------------------------------

    def _take_place(self) -> None:
        self.taken += 1
        self._pools.taken += 1

    def _next(self) -> Turn | None:
        """The first turn that is still waited for, out of the queue."""
        found = None
        while found is None and self._waiting:
            turn = next(iter(self._waiting))
            self._leave_queue(turn)
            found = None if turn.done() else turn
        return found

    def _leave_queue(self, turn: Turn) -> None:
        self._waiting.pop(turn, None)
        if not self._waiting:
            self._pools.waiting.pop(self, None)

    def _withdraw(self, turn: Turn) -> None:
        """Who waited has left, perhaps in the moment something was given: then it goes to the next."""
        self._leave_queue(turn)
        given = turn.done() and not turn.cancelled() and turn.result()
        if given is True:
            self.release()
        elif given and given.alive():
            self.freed(given)
        elif given:
            given.kill()
