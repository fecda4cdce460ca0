"""The only ways in which a command changes anything: relative where numbers are shared, whole rows where one command owns them. Values only."""

import msgspec

from farebox.ledger.model import (
    NOTHING,
    Account,
    Amounts,
    Budget,
    Charge,
    Counter,
    Grant,
    Hold,
    HoldState,
    Key,
    Leg,
    Replayable,
    Transfer,
    WindowRef,
)


class GrantChanged(msgspec.Struct, frozen=True, gc=False):
    grant: str
    amount: int = 0
    spent: int = 0
    held: int = 0
    expired: int = 0


class WindowsChanged(msgspec.Struct, frozen=True, gc=False):
    """The same change to every window that a call counts in."""

    refs: tuple[WindowRef, ...]
    held: Amounts = NOTHING
    spent: Amounts = NOTHING


class HoldOpened(msgspec.Struct, frozen=True, gc=False):
    hold: Hold


class HoldClosed(msgspec.Struct, frozen=True, gc=False):
    hold_id: str
    state: HoldState
    at: int


class HoldGrown(msgspec.Struct, frozen=True):
    hold_id: str
    more: Amounts
    units: int
    legs: tuple[Leg, ...]
    deadline: int


class HoldCounted(msgspec.Struct, frozen=True):
    """A counter made while the hold was open counts it too."""

    hold_id: str
    window: WindowRef


class HoldHandedOver(msgspec.Struct, frozen=True):
    """The background has it now: what is needed to settle it, for whichever process does."""

    hold: Hold
    """As it was."""
    deadline: int
    response_id: str
    facts: str
    at: int
    next_poll_at: int


class HoldTakenBack(msgspec.Struct, frozen=True):
    """A hold that the background had has ended."""

    hold_id: str


class ObjectStored(msgspec.Struct, frozen=True):
    """What a provider keeps of a hold's call. Whoever made it first has it; facts may become more."""

    hold: Hold
    kind: str
    id: str
    facts: str
    at: int
    expires_at: int


class ChargeWritten(msgspec.Struct, frozen=True, gc=False):
    charge: Charge
    hold: Hold


class ChargeRevised(msgspec.Struct, frozen=True):
    charge: Charge
    before: Charge
    hold: Hold


class ChargeRefunded(msgspec.Struct, frozen=True):
    hold: Hold
    amount: int


class ReplayOpened(msgspec.Struct, frozen=True, gc=False):
    replayable: Replayable


class ReplayClosed(msgspec.Struct, frozen=True, gc=False):
    key: str
    name: str
    request_id: str
    answer: bytes | None


class ReplayFreed(msgspec.Struct, frozen=True):
    key: str
    name: str
    request_id: str


class GrantOpened(msgspec.Struct, frozen=True):
    grant: Grant


class TransferBooked(msgspec.Struct, frozen=True):
    transfer: Transfer


class AccountWritten(msgspec.Struct, frozen=True):
    account: Account


class KeyWritten(msgspec.Struct, frozen=True):
    key: Key


class BudgetsWritten(msgspec.Struct, frozen=True):
    scope: str
    budgets: tuple[Budget, ...]


class CounterMade(msgspec.Struct, frozen=True):
    counter: Counter


class WindowBackfilled(msgspec.Struct, frozen=True):
    """What a new counter would have counted, had it been there before: kept apart, so that verify can still add up the rest."""

    counter: str
    start: int
    spent: Amounts


class BookPublished(msgspec.Struct, frozen=True):
    version: int
    note: str


class CommandRecorded(msgspec.Struct, frozen=True):
    id: str
    fingerprint: str
    outcome: bytes
    at: int


Delta = (
    GrantChanged
    | WindowsChanged
    | HoldOpened
    | HoldClosed
    | HoldGrown
    | HoldCounted
    | HoldHandedOver
    | HoldTakenBack
    | ObjectStored
    | ChargeWritten
    | ChargeRevised
    | ChargeRefunded
    | ReplayOpened
    | ReplayClosed
    | ReplayFreed
    | GrantOpened
    | TransferBooked
    | AccountWritten
    | KeyWritten
    | BudgetsWritten
    | CounterMade
    | WindowBackfilled
    | BookPublished
    | CommandRecorded
)
