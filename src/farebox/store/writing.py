"""What a batch changes, gathered while it is decided and written in few statements at its end: rows as they are, numbers added up."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import add, itemgetter
from typing import Any

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
    HoldHandedOver,
    HoldOpened,
    HoldTakenBack,
    KeyWritten,
    ObjectStored,
    ReplayClosed,
    ReplayFreed,
    ReplayOpened,
    TransferBooked,
    WindowBackfilled,
    WindowsChanged,
)
from farebox.ledger.model import BACKGROUND, NOTHING, WindowRef
from farebox.ledger.state import State
from farebox.store import rows
from farebox.store.database import Database, Row
from farebox.store.rollups import Rollups

# What becomes of an Idempotency-Key is written in the order it was decided: freed by one attempt, it may be taken by the next.
_REPLAYS = ("open_replay", "close_replay", "free_replay")

_ORDERED = (
    "write_account",
    "write_key",
    "write_budgets",
    "make_counter",
    "open_grant",
    "open_hold",
    "grow_hold",
    "count_hold",
    "hand_over_hold",
    "begin_background",
    "close_hold",
    "end_background",
    "store_object",
    "write_charge",
    "revise_charge",
    "refund_charge",
    "book_transfer",
    "backfill_window",
    "write_command",
    "publish_book",
)
_ORDER = {name: place for place, name in enumerate(_ORDERED)}
"""The order in which statements run: rows that others change come first."""


class _Counted:
    """What a batch adds to windows that count together: those of one key's calls are one tuple, while they are in the same windows."""

    __slots__ = ("deltas", "refs", "text")

    def __init__(self, refs: tuple[WindowRef, ...]) -> None:
        self.refs = refs
        self.text = ""
        """As a hold's row has them; made for the first of these holds."""
        self.deltas: list[WindowsChanged] = []

    def sums(self) -> tuple[int, ...]:
        """In the order of a window's row: what is held, then what is spent."""
        price_held = cost_held = tokens_held = requests_held = 0
        price_spent = cost_spent = tokens_spent = requests_spent = 0
        for delta in self.deltas:
            held, spent = delta.held, delta.spent
            if held is not NOTHING:
                price_held += held.price
                cost_held += held.cost
                tokens_held += held.tokens
                requests_held += held.requests
            if spent is not NOTHING:
                price_spent += spent.price
                cost_spent += spent.cost
                tokens_spent += spent.tokens
                requests_spent += spent.requests
        return (price_held, cost_held, tokens_held, requests_held, price_spent, cost_spent, tokens_spent, requests_spent)


class Changes:
    """Gathers the deltas of one batch."""

    def __init__(self) -> None:
        self._rows: defaultdict[str, list[Row]] = defaultdict(list)
        self._grants: defaultdict[str, list[GrantChanged]] = defaultdict(list)
        self._counted: dict[int, _Counted] = {}
        """By the identity of the tuple: looking at what is in it costs more. Equal ones are added up in the end."""
        self._replays: list[tuple[str, Row]] = []
        self._closed: list[str] = []
        self._rollups = Rollups()
        self.revised = False
        """A revision gives back to grants that nobody could draw on before."""

    def add(self, deltas: Iterable[Delta]) -> None:
        for delta in deltas:
            kind = type(delta)
            if kind in _OFTEN:
                _OFTEN[kind](self, delta)
            else:
                name, row = _ROWS[kind]
                self._add_row(name, row(delta), delta)

    # What every call consists of.

    def change_grant(self, delta: GrantChanged) -> None:
        self._grants[delta.grant].append(delta)

    def change_windows(self, delta: WindowsChanged) -> None:
        self._of_windows(delta.refs).deltas.append(delta)

    def _of_windows(self, refs: tuple[WindowRef, ...]) -> _Counted:
        counted = self._counted.get(id(refs))
        if counted is None:
            counted = self._counted[id(refs)] = _Counted(refs)
        return counted

    def open_hold(self, delta: HoldOpened) -> None:
        hold = delta.hold
        counted = self._of_windows(hold.windows)
        counted.text = counted.text or rows.text(hold.windows)
        self._rows["open_hold"].append(rows.row_of_hold(hold, counted.text))
        if hold.state != "open":  # an event's: over when it is made
            self._closed.append(hold.id)

    def close_hold(self, delta: HoldClosed) -> None:
        self._rows["close_hold"].append((delta.hold_id, delta.state, delta.at))
        self._closed.append(delta.hold_id)

    def write_charge(self, delta: ChargeWritten) -> None:
        self._rows["write_charge"].append(rows.row_of_charge(delta.charge))
        self._rollups.add(delta.charge, delta.hold)

    # All the others.

    def _add_row(self, name: str, row: Row, delta: Delta) -> None:
        if name in _REPLAYS:
            self._replays.append((name, row))
            return
        self._rows[name].append(row)
        if isinstance(delta, HoldHandedOver):
            asked = (delta.hold.id, delta.hold.provider, delta.response_id, delta.facts, delta.at, delta.next_poll_at)
            self._rows["begin_background"].append(asked)
        elif isinstance(delta, ChargeRevised):
            self.revised = True
            self._rollups.revise(delta.charge, delta.before, delta.hold)
        elif isinstance(delta, ChargeRefunded):
            self._rollups.refund(delta.hold, delta.amount)
        elif isinstance(delta, WindowBackfilled):
            self.change_windows(WindowsChanged(((delta.counter, delta.start),), spent=delta.spent))

    def write(self, db: Database, now: int) -> bool:
        """Runs the statements. Nothing to write (refusals only) writes nothing, and says so: an exhausted key does not make the disk work."""
        if not (self._rows or self._grants or self._counted):
            return False
        for name in sorted(self._rows, key=_ORDER.__getitem__):
            gathered = self._rows[name]
            if name == "publish_book":
                gathered = [(version, now, note) for version, note in gathered]
            db.many(name, gathered)
        for name, taken in groupby(self._replays, itemgetter(0)):
            db.many(name, [row for _, row in taken])
        if self._grants:
            db.many("change_grant", [_changed(grant, deltas) for grant, deltas in sorted(self._grants.items())])
        if self._counted:
            changed = self._by_window()
            db.many("make_window", [ref for ref, _ in changed])
            db.many("change_window", [(*ref, *sums) for ref, sums in changed])
        self._rollups.write(db)
        return True

    def _by_window(self) -> list[tuple[WindowRef, tuple[int, ...]]]:
        """The sums of each window, once, in the order of windows: calls that count in different windows may share some."""
        found: dict[WindowRef, tuple[int, ...]] = {}
        for counted in self._counted.values():
            if counted.deltas:
                sums = counted.sums()
                for ref in counted.refs:
                    known = found.get(ref)
                    found[ref] = sums if known is None else tuple(map(add, known, sums))
        return sorted(found.items())

    def settle(self, state: State) -> None:
        """After the commit: what is closed is not asked for again, or can be read again."""
        for hold_id in self._closed:
            state.holds.pop(hold_id, None)
            state.charges.pop(hold_id, None)
        state.replays.clear()
        state.commands.clear()


def _changed(grant: str, deltas: list[GrantChanged]) -> Row:
    """What all of them change a grant by."""
    amount = spent = held = expired = 0
    for delta in deltas:
        amount += delta.amount
        spent += delta.spent
        held += delta.held
        expired += delta.expired
    return (grant, amount, spent, held, expired)


def _grown(delta: HoldGrown) -> Row:
    more = delta.more
    return (delta.hold_id, more.price, more.cost, more.tokens, delta.units, rows.text(delta.legs), delta.deadline)


def _opened(delta: ReplayOpened) -> Row:
    it = delta.replayable
    return (it.key, it.name, it.fingerprint, it.request_id, it.created_at, it.state, it.answer)


def _granted(delta: GrantOpened) -> Row:
    it = delta.grant
    return (it.id, it.wallet, it.kind, it.created_at, it.amount, it.priority, it.effective_at, it.expires_at, it.spent, it.held, it.expired)


def _backfilled(delta: WindowBackfilled) -> Row:
    spent = delta.spent
    return (delta.counter, delta.start, spent.price, spent.cost, spent.tokens, spent.requests)


def _stored(delta: ObjectStored) -> Row:
    hold = delta.hold
    return (hold.provider, delta.id, delta.kind, hold.account, hold.key, hold.request_id, delta.at, delta.expires_at, delta.facts)


_ROWS: dict[type, tuple[str, Callable[[Any], Row]]] = {
    HoldGrown: ("grow_hold", _grown),
    HoldHandedOver: ("hand_over_hold", lambda delta: (delta.hold.id, BACKGROUND, delta.deadline)),
    HoldTakenBack: ("end_background", lambda delta: (delta.hold_id,)),
    ObjectStored: ("store_object", _stored),
    HoldCounted: ("count_hold", lambda delta: (delta.hold_id, *delta.window)),
    ChargeRevised: ("revise_charge", lambda delta: rows.row_of_revision(delta.charge)),
    ChargeRefunded: ("refund_charge", lambda delta: (delta.hold.id, delta.amount)),
    ReplayOpened: ("open_replay", _opened),
    ReplayClosed: ("close_replay", lambda delta: (delta.key, delta.name, delta.request_id, delta.answer)),
    ReplayFreed: ("free_replay", lambda delta: (delta.key, delta.name, delta.request_id)),
    GrantOpened: ("open_grant", _granted),
    TransferBooked: ("book_transfer", lambda delta: rows.row_of_transfer(delta.transfer)),
    AccountWritten: ("write_account", lambda delta: rows.row_of_account(delta.account)),
    KeyWritten: ("write_key", lambda delta: rows.row_of_key(delta.key)),
    BudgetsWritten: ("write_budgets", lambda delta: (delta.scope, rows.text(delta.budgets))),
    CounterMade: ("make_counter", lambda delta: rows.row_of_counter(delta.counter)),
    WindowBackfilled: ("backfill_window", _backfilled),
    CommandRecorded: ("write_command", lambda delta: (delta.id, delta.fingerprint, delta.outcome.decode(), delta.at)),
    BookPublished: ("publish_book", lambda delta: (delta.version, delta.note)),
}
"""What is written of each other kind of change, all of them rows: the statement, and its columns."""

_OFTEN: dict[type, Callable[[Changes, Any], None]] = {
    GrantChanged: Changes.change_grant,
    WindowsChanged: Changes.change_windows,
    HoldOpened: Changes.open_hold,
    HoldClosed: Changes.close_hold,
    ChargeWritten: Changes.write_charge,
}
"""How that is gathered which every call consists of."""
