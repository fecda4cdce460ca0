"""What a batch changes, gathered while it is decided and written in few statements at its end: rows as they are, numbers added up."""

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any

import apsw

from farebox.ledger.deltas import (
    AccountWritten,
    BookPublished,
    BudgetsWritten,
    ChargeRefunded,
    ChargeRevised,
    ChargeWritten,
    CommandRecorded,
    CounterMade,
    Delta,
    GrantChanged,
    GrantOpened,
    HoldClosed,
    HoldCounted,
    HoldGrown,
    HoldOpened,
    KeyWritten,
    ReplayClosed,
    ReplayFreed,
    ReplayOpened,
    TransferBooked,
    WindowBackfilled,
    WindowsChanged,
)
from farebox.ledger.model import WindowRef
from farebox.ledger.state import State
from farebox.store import rows

# What becomes of an Idempotency-Key is written in the order it was decided: freed by one attempt, it may be taken by the next.
_REPLAYS = ("open_replay", "close_replay", "free_replay")

# The order in which statements run: rows that others change come first.
_ORDER = (
    "write_account",
    "write_key",
    "write_budgets",
    "make_counter",
    "open_grant",
    "open_hold",
    "grow_hold",
    "count_hold",
    "close_hold",
    "write_charge",
    "revise_charge",
    "refund_charge",
    "book_transfer",
    "backfill_window",
    "write_command",
    "publish_book",
)


class Changes:
    """Gathers the deltas of one batch."""

    def __init__(self, sql: dict[str, str]) -> None:
        self._sql = sql
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._grants: dict[str, list[int]] = {}
        self._windows: dict[tuple[WindowRef, ...], list[int]] = {}
        self._replays: list[tuple[str, tuple[Any, ...]]] = []
        self._closed: list[str] = []
        self.revised = False
        """A revision gives back to grants that nobody could draw on before."""

    def add(self, deltas: Iterable[Delta]) -> None:
        for delta in deltas:
            if isinstance(delta, WindowsChanged):
                self._add_windows(delta)
            elif isinstance(delta, GrantChanged):
                self._add_grant(delta)
            else:
                name, row = _row(delta)
                if name in _REPLAYS:
                    self._replays.append((name, row))
                    continue
                self._rows.setdefault(name, []).append(row)
                if isinstance(delta, HoldClosed):
                    self._closed.append(delta.hold_id)
                elif isinstance(delta, ChargeRevised):
                    self.revised = True
                elif isinstance(delta, WindowBackfilled):
                    self._add_windows(WindowsChanged(((delta.counter, delta.start),), spent=delta.spent))

    def _add_windows(self, delta: WindowsChanged) -> None:
        """Calls of one key count in the same windows: their sums are kept once for all of these."""
        sums = self._windows.get(delta.refs)
        if sums is None:
            sums = self._windows[delta.refs] = [0] * 8
        held, spent = delta.held, delta.spent
        sums[0] += held.price
        sums[1] += held.cost
        sums[2] += held.tokens
        sums[3] += held.requests
        sums[4] += spent.price
        sums[5] += spent.cost
        sums[6] += spent.tokens
        sums[7] += spent.requests

    def _add_grant(self, delta: GrantChanged) -> None:
        sums = self._grants.setdefault(delta.grant, [0] * 4)
        sums[0] += delta.amount
        sums[1] += delta.spent
        sums[2] += delta.held
        sums[3] += delta.expired

    def write(self, db: apsw.Connection, now: int) -> None:
        """Runs the statements. Nothing to write (refusals only) writes nothing: an exhausted key does not make the disk work."""
        if not (self._rows or self._grants or self._windows):
            return
        for name in _ORDER:
            if name in self._rows:
                gathered = self._rows[name]
                if name == "publish_book":
                    gathered = [(version, now, note) for version, note in gathered]
                db.executemany(self._sql[name], gathered)
        for name, taken in groupby(self._replays, itemgetter(0)):
            db.executemany(self._sql[name], [row for _, row in taken])
        if self._grants:
            db.executemany(self._sql["change_grant"], [(grant, *sums) for grant, sums in sorted(self._grants.items())])
        if self._windows:
            changed = sorted((ref, sums) for refs, sums in self._windows.items() for ref in refs)
            db.executemany(self._sql["make_window"], [ref for ref, _ in changed])
            db.executemany(self._sql["change_window"], [(*ref, *sums) for ref, sums in changed])
        db.execute(self._sql["write_clock"], (now,))

    def settle(self, state: State) -> None:
        """After the commit: what is closed is not asked for again, or can be read again."""
        for hold_id in self._closed:
            state.holds.pop(hold_id, None)
            state.charges.pop(hold_id, None)
        state.replays.clear()


def _row(delta: Delta) -> tuple[str, tuple[Any, ...]]:  # noqa: C901, PLR0912 - one line per kind of change
    match delta:
        case HoldOpened(hold=hold):
            return "open_hold", rows.row_of_hold(hold)
        case HoldClosed():
            return "close_hold", (delta.hold_id, delta.state, delta.at)
        case ChargeWritten(charge=charge):
            return "write_charge", rows.row_of_charge(charge)
        case ChargeRevised(charge=charge):
            return "revise_charge", rows.row_of_revision(charge)
        case HoldGrown(more=more):
            return "grow_hold", (delta.hold_id, more.price, more.cost, more.tokens, delta.units, rows.text(delta.legs), delta.deadline)
        case HoldCounted():
            return "count_hold", (delta.hold_id, *delta.window)
        case ChargeRefunded():
            return "refund_charge", (delta.hold_id, delta.amount)
        case ReplayOpened(replayable=replay):
            fields = (replay.key, replay.name, replay.fingerprint, replay.request_id, replay.created_at, replay.state, replay.answer)
            return "open_replay", fields
        case ReplayClosed():
            return "close_replay", (delta.key, delta.name, delta.request_id, delta.answer)
        case ReplayFreed():
            return "free_replay", (delta.key, delta.name, delta.request_id)
        case GrantOpened(grant=g):
            opened = (g.id, g.wallet, g.kind, g.created_at, g.amount, g.priority, g.effective_at, g.expires_at, g.spent, g.held, g.expired)
            return "open_grant", opened
        case TransferBooked(transfer=transfer):
            return "book_transfer", rows.row_of_transfer(transfer)
        case AccountWritten(account=account):
            return "write_account", rows.row_of_account(account)
        case KeyWritten(key=key):
            return "write_key", rows.row_of_key(key)
        case BudgetsWritten():
            return "write_budgets", (delta.scope, rows.text(delta.budgets))
        case CounterMade(counter=counter):
            return "make_counter", rows.row_of_counter(counter)
        case WindowBackfilled(spent=spent):
            return "backfill_window", (delta.counter, delta.start, spent.price, spent.cost, spent.tokens, spent.requests)
        case CommandRecorded():
            return "write_command", (delta.id, delta.fingerprint, delta.outcome.decode(), delta.at)
        case BookPublished():
            return "publish_book", (delta.version, delta.note)
        case GrantChanged() | WindowsChanged():
            raise TypeError("numbers are added up, not written as rows")
