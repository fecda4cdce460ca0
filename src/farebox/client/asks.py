"""What can be asked: each function gives a request and the type of its answer. No I/O; both clients send these."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

import msgspec

from farebox.client import results

T = TypeVar("T")
Usd = Decimal | str | int
Event = Mapping[str, Any]


class Ask(msgspec.Struct, Generic[T], frozen=True):
    """One request. Sent again after a broken connection it is the same request: its Idempotency-Key says so."""

    method: str
    path: str
    content: bytes | None
    read: Callable[[bytes], T]
    once: str = ""


def _get(path: str, kind: Any, **query: Any) -> Ask[Any]:
    given = {name.rstrip("_"): value for name, value in query.items() if value is not None}
    return Ask("GET", f"{path}?{urlencode(given)}" if given else path, None, msgspec.json.Decoder(kind).decode)


def _send(method: str, path: str, kind: Any, body: Any = None, once: str | None = None) -> Ask[Any]:
    content = msgspec.json.encode({} if body is None else body)
    return Ask(method, path, content, msgspec.json.Decoder(kind).decode, once or str(uuid4()))


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _then(ask: Ask[Any], turn: Callable[[Any], T]) -> Ask[T]:
    read = ask.read
    return Ask(ask.method, ask.path, ask.content, lambda content: turn(read(content)), ask.once)


def _key(answer: results.KeyAnswer) -> results.Key:
    return answer.data if answer.key is None else msgspec.structs.replace(answer.data, secret=answer.key)


# --- accounts --------------------------------------------------------------------------------------------------------------------------


def create_account(*, name: str = "", parent: str | None = None, once: str | None = None, **fields: Any) -> Ask[results.Account]:
    """Opens an account. More fields as the API takes them: `kind`, `wallet`, `external_id`, `metadata`."""
    return _send("POST", "/accounts", results.Account, {**_given(name=name, parent=parent), **fields}, once)


def get_account(account: str) -> Ask[results.Account]:
    """One account."""
    return _get(f"/accounts/{quote(account, safe='')}", results.Account)


def list_accounts(*, parent: str | None = None, limit: int | None = None, cursor: str | None = None) -> Ask[results.Page[results.Account]]:
    """A page of accounts."""
    return _get("/accounts", results.Page[results.Account], parent=parent, limit=limit, cursor=cursor)


def balance(account: str) -> Ask[results.Balance]:
    """What an account's wallet holds: the numbers that everything is checked against."""
    return _get(f"/accounts/{quote(account, safe='')}/balance", results.Balance)


def grant(account: str, amount_usd: Usd, *, once: str | None = None, **fields: Any) -> Ask[results.Transfer]:
    """Puts money in. `once` names it: sent again it is credited once. More fields as the API takes them: `kind`, `priority`, `expires_at`."""
    body = {"amount_usd": str(amount_usd), **fields}
    return _send("POST", f"/accounts/{quote(account, safe='')}/grants", results.Transfer, body, once)


# --- keys ------------------------------------------------------------------------------------------------------------------------------


def create_key(account: str, *, limit: Usd | None = None, once: str | None = None, **fields: Any) -> Ask[results.Key]:
    """Makes a key; without a limit say `no_limit=True`. Its secret is in the answer, and only there."""
    body = {"account": account, **_given(limit=None if limit is None else str(limit)), **fields}
    return _then(_send("POST", "/keys", results.KeyAnswer, body, once), _key)


def get_key(key: str) -> Ask[results.Key]:
    """One key."""
    return _then(_get(f"/keys/{quote(key, safe='')}", results.KeyAnswer), _key)


def list_keys(*, account: str | None = None, limit: int | None = None, cursor: str | None = None) -> Ask[results.Page[results.Key]]:
    """A page of keys."""
    return _get("/keys", results.Page[results.Key], account=account, limit=limit, cursor=cursor)


def pause_key(key: str, why: str = "") -> Ask[results.Key]:
    """Refused from the next request on."""
    return _then(_send("POST", f"/keys/{quote(key, safe='')}/pause", results.KeyAnswer, {"why": why}), _key)


def resume_key(key: str) -> Ask[results.Key]:
    """It may spend again."""
    return _then(_send("POST", f"/keys/{quote(key, safe='')}/resume", results.KeyAnswer), _key)


def revoke_key(key: str) -> Ask[results.Key]:
    """For ever. What it did stays on record."""
    return _then(_send("DELETE", f"/keys/{quote(key, safe='')}", results.KeyAnswer), _key)


# --- usage -----------------------------------------------------------------------------------------------------------------------------


def usage(by: Iterable[str] | str = "key", *, from_: str | None = None, to: str | None = None, **query: Any) -> Ask[results.Usage]:
    """Who used what. `by`: key, account, user, model, day, …; `from_` and `to` in RFC 3339."""
    groups = by if isinstance(by, str) else ",".join(by)
    return _get("/usage", results.Usage, by=groups, from_=from_, to=to, **query)


# --- meters ----------------------------------------------------------------------------------------------------------------------------


def set_meter(meter: str, price_usd: Usd, *, once: str | None = None, **fields: Any) -> Ask[results.Published]:
    """Sets what a unit of an own meter costs from now on. More fields as the API takes them: `valid_from`, `scope`, `accept`."""
    return _send("PUT", f"/prices/meters/{quote(meter, safe='')}", results.Published, {"price_usd": str(price_usd), **fields}, once)


# --- holds -----------------------------------------------------------------------------------------------------------------------------


def create_hold(
    *,
    key: str | None = None,
    account: str | None = None,
    amount_usd: Usd | None = None,
    meter: str | None = None,
    quantity: Usd | None = None,
    lifetime_s: int | None = None,
    user: str | None = None,
    run: str | None = None,
    tags: Mapping[str, str] | None = None,
    once: str | None = None,
) -> Ask[results.Hold]:
    """Sets money aside: an amount, or so much of a meter."""
    body = _given(
        key=key, account=account, meter=meter, lifetime_s=lifetime_s, user=user, run=run, tags=tags, **_worth(amount_usd, quantity)
    )
    return _send("POST", "/holds", results.Hold, body, once)


def extend_hold(
    hold: str, *, amount_usd: Usd | None = None, quantity: Usd | None = None, lifetime_s: int | None = None, once: str | None = None
) -> Ask[results.Hold]:
    """More money, more time, or both."""
    body = _given(lifetime_s=lifetime_s, **_worth(amount_usd, quantity))
    return _send("POST", f"/holds/{quote(hold, safe='')}/extend", results.Hold, body, once)


def capture_hold(hold: str, amount_usd: Usd | None = None, *, quantity: Usd | None = None) -> Ask[results.Charge]:
    """Charges what the work came to, and gives the rest back."""
    return _send("POST", f"/holds/{quote(hold, safe='')}/capture", results.Charge, _given(**_worth(amount_usd, quantity)))


def release_hold(hold: str) -> Ask[results.Charge]:
    """Gives the whole hold back."""
    return _send("POST", f"/holds/{quote(hold, safe='')}/release", results.Charge)


def _worth(amount_usd: Usd | None, quantity: Usd | None) -> dict[str, Any]:
    return {name: None if value is None else str(value) for name, value in (("amount_usd", amount_usd), ("quantity", quantity))}


# --- events ----------------------------------------------------------------------------------------------------------------------------


def send_event(event: Event) -> Ask[results.Told]:
    """Charges work that is done. Refused raises; sent again it is charged once."""
    return _then(_send("POST", "/events", results.Page[results.Told], _whole(event)), lambda page: page.data[0])


def send_events(events: Iterable[Event]) -> Ask[list[results.Told]]:
    """The same for many at once; what became of each is in the answer, in their order."""
    return _then(_send("POST", "/events", results.Page[results.Told], [_whole(event) for event in events]), lambda page: page.data)


def _whole(event: Event) -> dict[str, Any]:
    return {"specversion": "1.0", "type": "farebox.usage", **event}
