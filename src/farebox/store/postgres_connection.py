"""Connections to a PostgreSQL database, and named statements on them, for threads that have no event loop running. Owns no rules.

A connection lives on a loop: the writer's on one that its own thread runs, readers' on one that a thread of this module runs for all of them.
"""

import asyncio
import contextlib
import itertools
import re
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, TypeVar

import asyncpg
import uvloop
from asyncpg import connection as naming

from farebox.clock import Clock
from farebox.errors import LedgerUnavailable
from farebox.store.database import Row, TookTooLongError
from farebox.store.statements import statements

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

LOST = (
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shut down by its administrator, starting, or a statement cut off
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, after a switch that this connection has not followed
    asyncpg.PostgresSystemError,
)
"""After one of these nothing is known of what was being done, and the connection is of no more use."""
POOLED = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""A pooler gave this transaction another server's connection, where the statement was never prepared."""

_CONNECT_S_MAX = 5
COMMAND_S_MAX = 60
_PREPARED_MAX = 400
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_NAMED = re.compile(r"(?<![:\w]):([a-z]\w*)")

naming._uid = secrets.randbits(60)  # type: ignore[attr-defined]  # noqa: SLF001 - asyncpg has no other way to say it
"""Behind a pooler connections are shared: a statement of ours must never have the name of another process's. asyncpg counts from zero."""


def said(problem: BaseException) -> str:
    """What is wrong, in one line: some errors of a connection say nothing but their name."""
    return " ".join(str(problem).split()) or type(problem).__name__


async def open_connection(url: str, *, prepare: bool = True, seconds_max: int | None = COMMAND_S_MAX) -> "asyncpg.Connection[Any]":
    """A new connection. `prepare`: statements may be kept on it between transactions. `seconds_max`: how long one of them may take.

    Raises one of LOST, or what asyncpg makes of the URL.
    """
    cached = _PREPARED_MAX if prepare else 0
    return await asyncpg.connect(
        url,
        timeout=_CONNECT_S_MAX,
        command_timeout=seconds_max,
        statement_cache_size=cached,
        max_cached_statement_lifetime=0,
    )


@lru_cache(maxsize=512)
def numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """A statement with `:name` parameters as PostgreSQL takes it, and their names in the order of their numbers."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    return _NAMED.sub(number, sql), tuple(names)


class PostgresDatabase:
    """Named statements on one connection. `run` waits for a coroutine on the connection's loop. Raises asyncpg's errors."""

    def __init__(self, connection: "asyncpg.Connection[Any] | None", run: "Run[Any]") -> None:
        self._connection: asyncpg.Connection[Any] | None = connection
        self._run = run
        self.sql: Mapping[str, str] = statements("postgres")

    def connected(self) -> "asyncpg.Connection[Any]":
        """The connection. Raises one of LOST when there is none."""
        if self._connection is None or self._connection.is_closed():
            raise asyncpg.InterfaceError("the connection is closed")
        return self._connection

    def now(self, wall: Clock) -> int:
        """The database's clock: a process's own decides nothing."""
        del wall
        return int(self.one("read_clock")[0])

    def rows(self, name: str, *arguments: Any) -> Sequence[Row]:
        """All rows of a statement."""
        if len(arguments) == 1 and isinstance(arguments[0], dict):
            return self.select(self.sql[name], arguments[0])
        return self.fetch(self.sql[name], *arguments)

    def one(self, name: str, *arguments: Any) -> Any:
        """Its first row; None if there is none."""
        found = self.rows(name, *arguments)
        return found[0] if found else None

    def many(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs a statement for all rows of values at once: it takes a list for each column."""
        self.run_many(name, list(rows))

    def run_many(self, name: str, rows: Sequence[Sequence[Any]]) -> int:
        """The same; returns how many rows it wrote."""
        if not rows:
            return 0
        done = self._run(self.connected().execute(self.sql[name], *map(list, zip(*rows, strict=True))))
        count = done.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    def select(self, sql: str, values: dict[str, Any]) -> Sequence[Row]:
        """Rows of a statement that was put together from named ones."""
        text, names = numbered(sql)
        return self.fetch(text, *[values[name] for name in names])

    def fetch(self, sql: str, *values: Any) -> Sequence[Row]:
        """Rows of a statement whose parameters are numbered."""
        return self._run(self.connected().fetch(sql, *values))  # type: ignore[no-any-return]

    def script(self, sql: str) -> None:
        """Runs statements without parameters, all in one message."""
        self._run(self.connected().execute(sql))

    @contextmanager
    def snapshot(self, seconds_max: int | None = None) -> Iterator[None]:
        """All that is read within is of one commit, and takes no longer than it may."""
        limit = f"; SET LOCAL statement_timeout = {seconds_max * 1000}" if seconds_max is not None else ""
        self.script(_SNAPSHOT + limit)
        try:
            yield
        finally:
            with contextlib.suppress(*LOST):
                self.script("ROLLBACK")

    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._connection is not None and not self._connection.is_closed()

    def drop(self) -> None:
        """Leaves the connection, whatever state it is in: on its loop, which may be reading from it in another thread."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._run(_terminate(connection))

    def close(self) -> None:
        with contextlib.suppress(*LOST):
            self._run(self.connected().close(timeout=1))
        self._connection = None


async def _terminate(connection: "asyncpg.Connection[Any]") -> None:
    connection.terminate()


_once = threading.Lock()


def _readers_loop() -> asyncio.AbstractEventLoop:
    """The one loop of all readers, also when several threads ask for it first at the same moment."""
    with _once:
        return _made_loop()


@cache
def _made_loop() -> asyncio.AbstractEventLoop:
    loop = uvloop.new_event_loop()
    threading.Thread(target=loop.run_forever, name="farebox-postgres", daemon=True).start()
    return loop


def _wait(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run_coroutine_threadsafe(coroutine, _readers_loop()).result()


class PostgresReads(PostgresDatabase):
    """The same for whoever only reads: connected when first asked, and again after it was lost; problems are said in the ledger's words."""

    def __init__(self, url: str) -> None:
        super().__init__(None, _wait)
        self._url = url
        self._prepare = True
        self._within = False

    def connected(self) -> "asyncpg.Connection[Any]":
        """The connection, made when it is needed; not within a snapshot, which is on one connection or none."""
        if not self._within and not self.is_open():
            try:
                self._connection = _wait(open_connection(self._url, prepare=self._prepare))
            except asyncpg.PostgresError as problem:  # it is there, and says no
                raise LedgerUnavailable(problem=said(problem)) from problem
        return super().connected()

    def rows(self, name: str, *arguments: Any) -> Sequence[Row]:
        """All rows of a statement. Raises LedgerUnavailable."""
        return self._said(lambda: super(PostgresReads, self).rows(name, *arguments))

    def select(self, sql: str, values: dict[str, Any]) -> Sequence[Row]:
        """Rows of a statement that was put together from named ones. Raises LedgerUnavailable."""
        return self._said(lambda: super(PostgresReads, self).select(sql, values))

    @contextmanager
    def snapshot(self, seconds_max: int | None = None) -> Iterator[None]:
        """All that is read within is of one commit. Raises LedgerUnavailable."""
        with contextlib.ExitStack() as entered:
            self._said(lambda: entered.enter_context(super(PostgresReads, self).snapshot(seconds_max)))
            self._within = True
            try:
                yield
            finally:
                self._within = False

    def _said(self, work: Callable[[], T]) -> T:
        """What a piece of reading gives; outside a snapshot it is done once more on a new connection when the old one turns out to be gone."""
        for last in itertools.chain((False,), itertools.repeat(True)):
            try:
                return work()
            except asyncpg.QueryCanceledError:
                raise TookTooLongError from None
            except (*LOST, *POOLED) as problem:
                self._prepare = self._prepare and not isinstance(problem, POOLED)
                self.drop()
                if last or self._within:
                    raise LedgerUnavailable(problem=said(problem)) from problem
        raise AssertionError  # the loop above has no end
