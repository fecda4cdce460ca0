"""Rows to objects and back: the same for every database, because columns stand in the order of the objects' fields."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from farebox.ledger.model import Account, Budget, Charge, Counter, Filter, Grant, Hold, Key, Leg, Replayable, Transfer, Window, WindowRef

T = TypeVar("T")
Row = Sequence[Any]
encode = msgspec.json.Encoder().encode
_legs = msgspec.json.Decoder(tuple[Leg, ...]).decode
_windows = msgspec.json.Decoder(tuple[WindowRef, ...]).decode
_budgets = msgspec.json.Decoder(tuple[Budget, ...]).decode
_names = msgspec.json.Decoder(tuple[str, ...]).decode
_pairs = msgspec.json.Decoder(dict[str, str]).decode
_table = msgspec.json.Decoder(list[list[Any]]).decode
_filter = msgspec.json.Decoder(Filter).decode


def _make(kind: Callable[..., T], *fields: Any) -> T:
    """An object from its columns: their types are the schema's business, not the type checker's."""
    return kind(*fields)


def text(value: object) -> str:
    """A value as JSON text."""
    return encode(value).decode()


def table(value: str | None) -> list[list[Any]]:
    """Rows that came as one JSON array of arrays; None means none."""
    return [] if value is None else _table(value)


def hold_of(row: Row) -> Hold:
    return _make(Hold, *row[:12], _legs(row[12]), _windows(row[13]), *row[14:])


def row_of_hold(hold: Hold, windows: str) -> Row:
    """`windows` is the text of its windows, which the holds of a key share."""
    row = list(msgspec.structs.astuple(hold))
    row[12] = text(hold.legs)
    row[13] = windows
    return row


def charge_of(row: Row) -> Charge:
    return _make(Charge, *row[:15], _legs(row[15]), *row[16:-1], bool(row[-1]))


def row_of_charge(charge: Charge) -> Row:
    row = list(msgspec.structs.astuple(charge))
    row[15] = text(charge.legs)
    row[-1] = int(charge.revised)
    return row


def row_of_revision(charge: Charge) -> tuple[Any, ...]:
    """What a revision changes of a charge, its hold first."""
    return (
        charge.hold_id,
        charge.outcome,
        charge.completeness,
        charge.price,
        charge.paid,
        charge.written_off,
        charge.cost,
        charge.list_cost,
        charge.tokens,
        text(charge.legs),
        charge.model_served,
        charge.usage,
        charge.lines,
        charge.timings,
        charge.flags,
        charge.status,
        charge.upstream_request_id,
    )


def grant_of(row: Row) -> Grant:
    return Grant(*row)


def window_of(row: Row) -> Window:
    return Window(*row)


def account_of(row: Row) -> Account:
    return _make(Account, *row[:13], _pairs(row[13]), row[14])


def row_of_account(account: Account) -> tuple[Any, ...]:
    row = msgspec.structs.astuple(account)
    return (*row[:13], text(account.metadata), row[14])


_KEY_JSON = {11: _names, 18: _pairs, 19: _pairs}


def key_of(row: Row) -> Key:
    return _make(Key, *[_KEY_JSON[at](value) if at in _KEY_JSON else value for at, value in enumerate(row)])


def row_of_key(key: Key) -> tuple[Any, ...]:
    return tuple(text(value) if at in _KEY_JSON else value for at, value in enumerate(msgspec.structs.astuple(key)))


def transfer_of(row: Row) -> Transfer:
    return _make(Transfer, *row[:6], _legs(row[6]), *row[7:])


def row_of_transfer(transfer: Transfer) -> tuple[Any, ...]:
    row = msgspec.structs.astuple(transfer)
    return (*row[:6], text(transfer.legs), *row[7:])


def budgets_of(value: str) -> tuple[Budget, ...]:
    return _budgets(value)


def counter_of(row: Row) -> Counter:
    return Counter(row[0], row[1], row[2], _filter(row[3]))


def row_of_counter(counter: Counter) -> tuple[Any, ...]:
    return (counter.id, counter.scope, counter.window, counter.timezone, text(counter.filter))


def replay_of(row: Row) -> Replayable:
    return Replayable(*row)
