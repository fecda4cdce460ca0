"""What the rules look at while they decide a batch, and how `deltas` change it. In memory; a store fills it."""

from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import msgspec

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
from farebox.ledger.model import (
    BACKGROUND,
    NOTHING,
    Account,
    Amounts,
    Budget,
    Charge,
    Counter,
    Grant,
    Hold,
    Key,
    Replayable,
    Transfer,
    Window,
    WindowRef,
)


class History(msgspec.Struct, frozen=True):
    """What a counter that is about to be made would already count: charges by window, and holds whose story is not over (open, or expired
    with a charge that may be revised) with the window each falls in.
    """

    spent: dict[int, Amounts] = {}
    holds: tuple[tuple[str, int], ...] = ()


class State:
    """The rows a batch needs. Reading a row that does not exist gives None or an empty window; a store must have loaded what is asked."""

    __slots__ = (
        "absent",
        "accounts",
        "book_version",
        "budgets",
        "charges",
        "commands",
        "complete",
        "counters",
        "external_ids",
        "grants",
        "hashes",
        "histories",
        "holds",
        "keys",
        "read_wallets",
        "replays",
        "revs",
        "ring_rows",
        "rings",
        "transfers",
        "wallets",
        "windows",
    )

    def __init__(self, *, complete: bool = True) -> None:
        self.complete = complete
        """Whether what is not here does not exist. A store's state holds only what was read: `read_wallets`, whole `rings`, and rows."""
        self.ring_rows: dict[str, dict[int, Window]] = {}
        self.read_wallets: set[str] = set()
        self.rings: dict[str, int] = {}
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, Key] = {}
        self.revs: dict[str, int] = {}
        self.hashes: dict[str, str] = {}
        self.external_ids: dict[str, str] = {}
        self.book_version: int | None = None if not complete else 0
        self.wallets: dict[str, list[Grant]] = {}
        self.grants: dict[str, Grant] = {}
        self.windows: dict[WindowRef, Window] = {}
        self.holds: dict[str, Hold] = {}
        self.absent: set[str] = set()
        """Holds that were looked for and are not there."""
        self.charges: dict[str, Charge] = {}
        self.budgets: dict[str, tuple[Budget, ...]] = {}
        self.counters: dict[str, dict[str, Counter]] = {}
        self.replays: dict[tuple[str, str], Replayable] = {}
        self.commands: dict[str, CommandRecorded] = {}
        self.histories: dict[str, History] = {}
        self.transfers: list[Transfer] = []

    # --- reading -------------------------------------------------------------------------------------------------------------

    def drawable(self, wallet: str) -> list[Grant]:
        """The grants of a wallet that may have money left, in the order they are drawn."""
        return self.wallets.get(wallet, [])

    def window(self, counter: str, start: int) -> Window:
        """The window's row, or an empty one."""
        return self.windows.get((counter, start)) or Window(counter, start)

    def ring(self, counter: str, since: int) -> list[Window]:
        """The sub-windows of a rolling counter that start at or after a time."""
        return [window for start, window in self.ring_rows.get(counter, {}).items() if start >= since]

    def path(self, account: str) -> tuple[Account, ...]:
        """An account and those above it, up to the root."""
        found = []
        at: str | None = account
        while at is not None:
            node = self.accounts[at]
            found.append(node)
            at = node.parent
        return tuple(found)

    # --- changing ------------------------------------------------------------------------------------------------------------

    def apply(self, deltas: Iterable[Delta]) -> None:
        """Makes the changes visible to the next command of the batch."""
        for delta in deltas:
            _APPLY[type(delta)](self, delta)

    def add_grant(self, grant: Grant) -> None:
        self.grants[grant.id] = grant
        insort(self.wallets.setdefault(grant.wallet, []), grant, key=Grant.draw_order)

    def add_window(self, window: Window) -> Window:
        self.windows[window.counter, window.start] = window
        self.ring_rows.setdefault(window.counter, {})[window.start] = window
        return window

    def keep_ring(self, counter: str, since: int) -> None:
        """All of its sub-windows from that one on are here, and will be."""
        self.ring_rows.setdefault(counter, {})
        self.rings[counter] = since

    def shorten_ring(self, counter: str, since: int) -> None:
        """Forgets sub-windows that a ring has left behind."""
        rows = self.ring_rows.get(counter, {})
        for start in [start for start in rows if start < since]:
            del rows[start], self.windows[counter, start]
        self.rings[counter] = since

    def change_grant(self, delta: GrantChanged) -> None:
        grant = self.grants.get(delta.grant)
        if grant is not None:  # a grant that nothing in this batch reads is changed by its delta alone
            if delta.held:
                grant.held += delta.held
            if delta.spent:
                grant.spent += delta.spent
            if delta.amount:
                grant.amount += delta.amount
            if delta.expired:
                grant.expired += delta.expired

    def change_windows(self, delta: WindowsChanged) -> None:
        held, spent = delta.held, delta.spent
        known, complete = self.ring_rows, self.complete
        for counter, start in delta.refs:
            if not complete and counter not in known:
                continue  # nothing that this state was read for looks at it; its delta alone changes the row
            window = known[counter].get(start) if counter in known else None
            if window is None:
                if not complete and counter not in self.rings:
                    continue
                window = self.add_window(Window(counter, start))
            if held is not NOTHING:
                window.price_held += held.price
                window.cost_held += held.cost
                window.tokens_held += held.tokens
                window.requests_held += held.requests
            if spent is not NOTHING:
                window.price_spent += spent.price
                window.cost_spent += spent.cost
                window.tokens_spent += spent.tokens
                window.requests_spent += spent.requests

    def open_hold(self, delta: HoldOpened) -> None:
        self.holds[delta.hold.id] = delta.hold

    def close_hold(self, delta: HoldClosed) -> None:
        self.holds[delta.hold_id] = msgspec.structs.replace(self.holds[delta.hold_id], state=delta.state, closed_at=delta.at)

    def grow_hold(self, delta: HoldGrown) -> None:
        hold = self.holds[delta.hold_id]
        self.holds[delta.hold_id] = msgspec.structs.replace(
            hold,
            amount=hold.amount + delta.more.price,
            cost_bound=hold.cost_bound + delta.more.cost,
            tokens_bound=hold.tokens_bound + delta.more.tokens,
            units=hold.units + delta.units,
            legs=delta.legs,
            deadline=delta.deadline,
        )

    def count_hold(self, delta: HoldCounted) -> None:
        hold = self.holds[delta.hold_id]
        self.holds[delta.hold_id] = msgspec.structs.replace(hold, windows=(*hold.windows, delta.window))

    def hand_over_hold(self, delta: HoldHandedOver) -> None:
        hold = self.holds[delta.hold.id]
        self.holds[hold.id] = msgspec.structs.replace(hold, owner=BACKGROUND, deadline=delta.deadline)

    def leave_be(self, delta: HoldTakenBack | ObjectStored) -> None:
        """No command looks at what these change."""

    def write_charge(self, delta: ChargeWritten | ChargeRevised) -> None:
        self.charges[delta.charge.hold_id] = delta.charge

    def refund_charge(self, delta: ChargeRefunded) -> None:
        charge = self.charges[delta.hold.id]
        self.charges[delta.hold.id] = msgspec.structs.replace(charge, refunded=charge.refunded + delta.amount)

    def open_replay(self, delta: ReplayOpened) -> None:
        self.replays[delta.replayable.key, delta.replayable.name] = delta.replayable

    def close_replay(self, delta: ReplayClosed) -> None:
        replay = self.replays.get((delta.key, delta.name))
        if replay is not None and replay.request_id == delta.request_id:
            answer = replay.answer if delta.answer is None else delta.answer
            self.replays[delta.key, delta.name] = msgspec.structs.replace(replay, state="done", answer=answer)

    def free_replay(self, delta: ReplayFreed) -> None:
        replay = self.replays.get((delta.key, delta.name))
        if replay is not None and replay.request_id == delta.request_id:
            del self.replays[delta.key, delta.name]

    def open_grant(self, delta: GrantOpened) -> None:
        self.add_grant(replace(delta.grant))

    def book_transfer(self, delta: TransferBooked) -> None:
        self.transfers.append(delta.transfer)

    def write_account(self, delta: AccountWritten) -> None:
        self.accounts[delta.account.id] = delta.account
        self.revs[delta.account.id] = delta.account.rev
        if delta.account.external_id is not None:
            self.external_ids[delta.account.external_id] = delta.account.id

    def write_key(self, delta: KeyWritten) -> None:
        self.keys[delta.key.id] = delta.key
        self.revs[delta.key.id] = delta.key.rev
        self.hashes[delta.key.hash] = delta.key.id

    def write_budgets(self, delta: BudgetsWritten) -> None:
        self.budgets[delta.scope] = delta.budgets

    def make_counter(self, delta: CounterMade) -> None:
        self.counters.setdefault(delta.counter.scope, {})[delta.counter.id] = delta.counter

    def backfill(self, delta: WindowBackfilled) -> None:
        self.change_windows(WindowsChanged(((delta.counter, delta.start),), spent=delta.spent))

    def publish(self, delta: BookPublished) -> None:
        self.book_version = delta.version

    def record(self, delta: CommandRecorded) -> None:
        self.commands[delta.id] = delta


_APPLY: dict[type, Callable[[State, Any], None]] = {
    GrantChanged: State.change_grant,
    WindowsChanged: State.change_windows,
    HoldOpened: State.open_hold,
    HoldClosed: State.close_hold,
    HoldGrown: State.grow_hold,
    HoldCounted: State.count_hold,
    HoldHandedOver: State.hand_over_hold,
    HoldTakenBack: State.leave_be,
    ObjectStored: State.leave_be,
    ChargeWritten: State.write_charge,
    ChargeRevised: State.write_charge,
    ChargeRefunded: State.refund_charge,
    ReplayOpened: State.open_replay,
    ReplayClosed: State.close_replay,
    ReplayFreed: State.free_replay,
    GrantOpened: State.open_grant,
    TransferBooked: State.book_transfer,
    AccountWritten: State.write_account,
    KeyWritten: State.write_key,
    BudgetsWritten: State.write_budgets,
    CounterMade: State.make_counter,
    WindowBackfilled: State.backfill,
    BookPublished: State.publish,
    CommandRecorded: State.record,
}
