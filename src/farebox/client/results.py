"""What the API answers, typed. Dollars are Decimals, times are RFC 3339 strings. Later versions may answer more; it is left out here."""

from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")


class Account(msgspec.Struct, frozen=True):
    """A node that pays or spends."""

    id: str
    name: str
    kind: str
    parent: str | None
    external_id: str | None
    status: str
    wallet: Literal["own", "parent"]
    metadata: dict[str, str]
    created_at: str


class Balance(msgspec.Struct, frozen=True):
    """An account's wallet. `granted == spent + held + expired + pending + available`."""

    wallet_id: str
    granted: Decimal
    spent: Decimal
    held: Decimal
    expired: Decimal
    pending: Decimal
    available: Decimal
    written_off: Decimal


class Transfer(msgspec.Struct, frozen=True):
    """A movement of money: what a grant put in a wallet."""

    id: str
    kind: str
    account: str
    amount_usd: Decimal
    at: str


class Key(msgspec.Struct, frozen=True):
    """A gateway key. `secret` is there only when it was made."""

    id: str
    name: str
    label: str
    account: str
    disabled: bool
    limit: Decimal | None
    limit_remaining: Decimal | None
    usage: Decimal
    secret: str | None = None


class Published(msgspec.Struct, frozen=True):
    """A new version of the price book, and how many prices in it are others."""

    version: int
    added: int
    changed: int


class Hold(msgspec.Struct, frozen=True):
    """Money that is set aside."""

    id: str
    state: str
    key: str
    account: str
    model: str
    amount_usd: Decimal
    created_at: str
    deadline: str


class Charge(msgspec.Struct, frozen=True):
    """What a hold came to."""

    id: str
    key: str
    account: str
    outcome: str
    price_usd: Decimal
    paid_usd: Decimal
    written_off_usd: Decimal
    revised: bool
    at: str


class EventCharge(msgspec.Struct, frozen=True):
    """What an event came to. `late`: a window that counts it was over."""

    id: str
    price_usd: Decimal
    paid_usd: Decimal
    written_off_usd: Decimal
    late: bool


class Told(msgspec.Struct, frozen=True):
    """What became of one event."""

    source: str | None
    id: str | None
    status: Literal["charged", "repeated", "refused", "conflict", "invalid"]
    charge: EventCharge | None
    reason: dict[str, Any] | None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list; `next_cursor` asks for the next."""

    data: list[T]
    next_cursor: str | None = None


class KeyAnswer(msgspec.Struct, frozen=True):
    """A key as it is answered."""

    data: Key
    key: str | None = None


class Usage(msgspec.Struct, frozen=True):
    """Usage by what it was grouped by: each row names its group, and has amounts, calls and units."""

    data: list[dict[str, Any]]
