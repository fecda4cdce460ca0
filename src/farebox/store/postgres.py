"""The ledger on PostgreSQL: this process's writer among many. Everything waiting is decided and committed together, under locks taken in one
order (`locking.py`); nothing is kept in memory between batches but which windows exist.

Owns the writer's connection: a lost one is made again, and what was being decided is asked again by its ids, so that a commit whose answer was
lost has one effect. Times are the database's. Works through a pooler that gives each transaction another server connection.
Threads: every method is called from the writer's thread, which runs the connection's event loop.
"""

import asyncio
import itertools
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import uvloop

from farebox.clock import US_PER_MS, US_PER_S, seconds
from farebox.errors import CommandRefused, LedgerUnavailable, SettingsError
from farebox.ledger import machine
from farebox.ledger.commands import Command, Done, Outcome, PublishBook
from farebox.ledger.model import WindowRef
from farebox.ledger.state import State
from farebox.store import locking, rows
from farebox.store.database import PUBLISHING, Alarm, Answer, Entry, Row, Written, shown
from farebox.store.deciding import FAULTS, Deciding
from farebox.store.loading import Loader
from farebox.store.postgres_connection import LOST, POOLED, open_connection, said
from farebox.store.postgres_migrate import migrate
from farebox.store.postgres_writer import NotOnce, Writer
from farebox.store.writing import Changes

_AGAIN_MS = 2_000
"""How long a batch whose connection was lost is tried again before its callers are told."""
_PAUSES_MS = (20, 50, 100, 200, 400)
_REFUSED_MS = 500
"""After a failed attempt to connect, the ledger is said to be away for so long without another."""
_COLLISIONS_MAX = 10
_NS_PER_MS = 1_000_000
_CLOCK_JUMP_US = 60 * US_PER_S
_KNOWN_WINDOWS_MAX = 200_000
_BEGIN = (
    "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL lock_timeout = '8s'; "
    "SET LOCAL statement_timeout = '20s'; SET LOCAL enable_seqscan = off; SET LOCAL jit = off"
)
"""A process that stops in the middle, or whose network is gone, lets go of its locks before anybody gives up waiting for them; it asks again by
its ids. A plan is made while tables are small, and kept: it must be one for large ones.
"""


class _Stale(Exception):
    """More must be locked, or be there, than was known when the transaction began."""


_COLLISIONS = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,
    _Stale,
)
"""Another process was there first: decided again, it is seen."""


_UNSETTLED = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedTableError,
)
"""The installation is being changed: a restore, another role, a schema that is not there yet. Nothing is wrong with what was asked."""


class PostgresStore(Deciding):
    """One writer. `decide` takes entries (commands that belong together, in order) and answers each, after the commit."""

    _violations = (asyncpg.IntegrityConstraintViolationError, NotOnce)
    _faults = (*FAULTS, asyncpg.DataError)
    _outages = (LedgerUnavailable, asyncpg.LockNotAvailableError, *_COLLISIONS, *LOST, *POOLED, *_UNSETTLED)
    _others = (asyncpg.PostgresError,)

    def __init__(self, url: str, *, alarm: Alarm) -> None:
        """Connects and brings the schema up to date. Raises SettingsError."""
        self._url = url
        self._alarm = alarm
        self._prepare = True
        self._loop = uvloop.new_event_loop()
        self._refused_until = 0
        self._seen = (0, 0)
        self._windows: set[WindowRef] = set()
        self._unforeseen: set[WindowRef] = set()
        self._db: Writer
        try:
            with ThreadPoolExecutor(1) as here:  # the caller's thread may run a loop of its own
                here.submit(self._open).result()
        except ValueError as problem:  # what does not parse is quoted in it, and may be a part of the password
            raise SettingsError(problem=f"the store {shown(url)} cannot be opened: this is no URL of a PostgreSQL database") from problem
        except (*LOST, asyncpg.PostgresError) as problem:
            raise SettingsError(problem=f"the store {shown(url)} cannot be opened: {said(problem)}") from problem

    def _open(self) -> None:
        try:
            self._connect()
            migrate(self._db)
        except BaseException:
            self._leave()
            raise

    def _connect(self) -> None:
        connection = self._loop.run_until_complete(open_connection(self._url, prepare=self._prepare))
        self._db = Writer(connection, self._loop.run_until_complete, self._windows)
        self._load = Loader(self._db)

    def close(self) -> None:
        """Leaves the database."""
        self._db.close()
        self._leave()

    def _leave(self) -> None:
        self._loop.run_until_complete(asyncio.sleep(0))  # a connection that was dropped before is closed by its loop
        self._loop.close()

    # --- deciding --------------------------------------------------------------------------------------------------------------

    def _attempt(self, entries: list[Entry], *, alone: bool) -> list[Answer]:
        """As every store, but that others write too: what collided with them, or was cut off, is asked again by the same ids."""
        give_up = _passed_ms() + _AGAIN_MS
        self._unforeseen.clear()
        for tries in itertools.count():
            try:
                self._reach()
                return super()._attempt(entries, alone=alone)
            except self._faults:  # among them a value that no column takes: another try would not help
                raise
            except _COLLISIONS as problem:
                self._forget()
                if isinstance(problem, asyncpg.DeadlockDetectedError):
                    self._alarm("deadlock", problem=str(problem))
                if tries >= _COLLISIONS_MAX:
                    raise
            except POOLED:
                if not self._prepare:
                    raise
                self._prepare = False
                self._db.drop()
            except LOST:
                self._db.drop()
                if _passed_ms() > give_up:
                    raise
                time.sleep(seconds(_PAUSES_MS[min(tries, len(_PAUSES_MS) - 1)] * US_PER_MS))
        raise AssertionError  # the loop above has no end

    def _reach(self) -> None:
        """A connection, made again if it was lost. Raises LedgerUnavailable when there is none to be had."""
        if self._db.is_open():
            return
        if _passed_ms() < self._refused_until:
            raise LedgerUnavailable(problem="the database cannot be reached")
        try:
            self._connect()
        except (*LOST, asyncpg.PostgresError) as problem:
            self._refused_until = _passed_ms() + _REFUSED_MS
            raise LedgerUnavailable(problem=said(problem)) from problem

    def _transact(self, entries: list[Entry]) -> list[Answer]:
        asked = [command for entry in entries for command in entry]
        foreseen = locking.windows_foreseen(asked, self._foreseen_now()) | self._unforeseen
        self._make_windows(foreseen)
        state, changes = State(complete=False), Changes()
        self._db.script(_BEGIN)
        now = self._open_batch(state, asked, foreseen)
        commands = self._load.settled(state, asked)
        self._check_windows(state, locking.windows_of(state, commands, now))
        self._load.admitted(state, commands, now)
        answers = self._decide_all(state, entries, commands, now, changes)
        with self._db.together():
            wrote = changes.write(self._db, now)
        self._db.script("COMMIT" if wrote else "ROLLBACK")
        return answers

    def _open_batch(self, state: State, asked: list[Command], foreseen: set[WindowRef]) -> int:
        """Locks, and reads what nearly every batch is decided on, in one answer; the loader reads what is missing. Returns the batch's time."""
        ids, wallets, scopes = locking.holds_settled(asked), locking.wallets_asked(asked), locking.revisions_asked(asked)
        counters, starts = [ref[0] for ref in foreseen], [ref[1] for ref in foreseen]
        found = self._db.one("open_batch", wallets, ids, counters, starts, scopes)
        locked, windows, now, state.book_version, holds, charges, revisions, grants = found
        state.holds |= {row[0]: rows.hold_of(row) for row in rows.table(holds)}
        state.absent |= set(ids) - state.holds.keys()
        _check_locked(state, {row[0] for row in rows.table(locked)})
        state.charges |= {row[0]: rows.charge_of(row) for row in rows.table(charges)}
        state.revs |= {name: rev for name, rev in rows.table(revisions)}  # noqa: C416 - rows are lists, not pairs, to the type checker
        for row in rows.table(windows):
            state.add_window(rows.window_of(row))
        for row in rows.table(grants):
            state.add_grant(rows.grant_of(row))
        state.read_wallets |= set(wallets)
        return self._noted(now)

    def _check_windows(self, state: State, refs: set[WindowRef]) -> None:
        """What is looked at must be locked: a window that nobody foresaw (another hour began, or a charge exceeds its hold) is in the next try."""
        missing = refs - state.windows.keys()
        if missing:
            self._windows -= missing
            self._unforeseen |= missing
            raise _Stale

    def _transact_alone(self, entry: Entry) -> Answer:
        """Each command on its own rows, read when its turn comes; all of them in one transaction."""
        named = {*locking.wallets_asked(entry)}.union(*(locking.wallets_read(self._db, command) for command in entry))
        self._db.script(_BEGIN)
        locked = self._lock_wallets(sorted(named), entry)
        if not named.issuperset(wallet for command in entry for wallet in locking.wallets_read(self._db, command)):
            raise _Stale
        outcomes = self._decide_alone(entry, locked)
        self._db.script("COMMIT")
        return outcomes

    def _decide_alone(self, entry: Entry, locked: set[str]) -> tuple[Outcome, ...]:
        outcomes: list[Outcome] = []
        for asked in entry:
            state, changes = State(complete=False), Changes()
            now = self._moment(state)
            self._load.holds(state, locking.holds_settled([asked]))
            _check_locked(state, locked)
            (command,) = self._load.settled(state, [asked])
            self._lock_windows(state, locking.windows_of(state, [command], now))
            (command,) = self._load.all(state, [command], now)
            outcome, deltas = machine.decide(state, command, now)
            changes.add(deltas)
            changes.write(self._db, now)
            outcomes.append(outcome)
        return tuple(outcomes)

    def _lock_wallets(self, wallets: list[str], commands: Iterable[Command]) -> set[str]:
        """Locks these wallets, and those of the holds that commands settle; returns which they are."""
        return {row[0] for row in self._db.rows("lock_wallets", rows.text(wallets), rows.text(locking.holds_settled(commands)))}

    def _moment(self, state: State) -> int:
        """The time of this batch, read once its wallets are locked, and with it the version of the price book."""
        now, state.book_version = self._db.one("read_moment")
        return self._noted(now)

    def _noted(self, now: int) -> int:
        """Time never goes back for this process, whatever becomes of the database's clock; a jump is told to whoever watches."""
        seen, at = self._seen[0], time.monotonic_ns() // 1000
        if now < seen - _CLOCK_JUMP_US:
            self._alarm("clock_went_back", by_us=seen - now)
        if now < seen:
            return seen  # noted when it was read: from then on time passes
        self._seen = (now, at)
        return now

    def _foreseen_now(self) -> int:
        """About the time that the next batch will be decided at."""
        if not self._seen[0]:
            self._moment(State(complete=False))
        return self._seen[0] + time.monotonic_ns() // 1000 - self._seen[1]

    def _make_windows(self, refs: set[WindowRef]) -> None:
        """Windows that are not known to be there are made in a transaction of their own, before anything is locked."""
        missing = refs - self._windows
        if missing:
            self._db.script(_BEGIN)
            self._db.run_many("make_window", sorted(missing))
            self._db.script("COMMIT")
            if len(self._windows) > _KNOWN_WINDOWS_MAX:
                self._windows.clear()
            self._windows |= missing

    def _lock_windows(self, state: State, refs: set[WindowRef]) -> None:
        counters = locking.counters_of(refs)
        if counters:
            self._db.rows("lock_counters", rows.text(counters))
        if refs:
            found = self._db.rows("lock_windows", *zip(*sorted(refs), strict=True))
            for row in found:
                state.add_window(rows.window_of(row))
            if len(found) < len(refs):
                self._forget()
                self._windows -= refs
                self._make_windows(refs)
                raise _Stale

    def _forget(self) -> None:
        """After a failure only the database knows what is true."""
        if self._db.is_open():
            try:
                self._db.script("ROLLBACK")
            except (*LOST, asyncpg.PostgresError):
                self._db.drop()

    # --- work that is not a command --------------------------------------------------------------------------------------------

    def write(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs one named statement for all rows at once: price rows, heartbeats, admin keys. Never money. Raises LedgerUnavailable."""
        gathered = list(rows)
        self._plainly(lambda: self._db.run_many(name, gathered))

    def publish(self, owner: str, writes: Sequence[Written], command: PublishBook) -> Outcome:
        """Writes rows of the price book and decides the command that makes them count, in one transaction, if the lease is the owner's still."""

        def work() -> Outcome:
            if not self._db.rows("keep_lease", PUBLISHING, owner):
                raise CommandRefused("publishing", "Another process is publishing prices: try again.")
            for name, gathered in writes:
                self._db.run_many(name, gathered)
            (outcome,) = self._decide_alone((command,), set())
            if not isinstance(outcome, Done):
                raise CommandRefused("not_published", f"this version of the price book could not be published: {outcome}")
            return outcome

        try:
            return self._plainly(work)  # type: ignore[no-any-return]
        except CommandRefused:
            self._forget()
            raise

    def lease(self, name: str, owner: str, seconds: int) -> bool:
        """Whether this piece of background work is the owner's for so long. Raises LedgerUnavailable."""
        return bool(self._plainly(lambda: self._db.rows("take_lease", name, owner, seconds * US_PER_S)))

    def claim(self, name: str, *arguments: Any) -> Sequence[Row]:
        """Runs one named statement that takes rows for whoever asks, and gives them once that is committed. Raises LedgerUnavailable."""
        return self._plainly(lambda: self._db.rows(name, *arguments))  # type: ignore[no-any-return]

    def _plainly(self, work: Any) -> Any:
        self._reach()
        try:
            self._db.script(_BEGIN)
            done = work()
            self._db.script("COMMIT")
        except (*LOST, asyncpg.PostgresError) as problem:
            self._prepare = self._prepare and not isinstance(problem, POOLED)
            self._db.drop()
            raise LedgerUnavailable(problem=said(problem)) from problem
        return done

    def tidy(self, *, idle: bool) -> None:
        """The database does its own."""
        del idle


def _check_locked(state: State, locked: set[str]) -> None:
    """A hold that was committed by another process while this one waited for its locks may be of a wallet that nobody knew to lock."""
    if not locked.issuperset(hold.wallet for hold in state.holds.values()):
        raise _Stale


def _passed_ms() -> int:
    return time.monotonic_ns() // _NS_PER_MS
