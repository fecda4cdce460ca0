"""The ledger's objects as the API shows them: accounts, wallets, budgets, transfers, holds, charges. Dollars are decimal strings."""

from typing import Any

import msgspec

from farebox.control.wire import from_pico, moment
from farebox.ledger import windows
from farebox.ledger.model import Account, Budget, Charge, Grant, Hold, Transfer
from farebox.money import format_usd
from farebox.store.reports import CapView, Entry, Wallet

_lines = msgspec.json.Decoder(list[tuple[str, int, int, int]]).decode
_json = msgspec.json.decode


def account(one: Account) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "kind": one.kind,
        "parent": one.parent,
        "root": one.root,
        "wallet": "own" if one.wallet == one.id else "parent",
        "wallet_id": one.wallet,
        "external_id": one.external_id,
        "status": one.status,
        "status_why": one.status_why,
        "status_since": moment(one.status_since),
        "markup_basis_points": one.markup_basis_points,
        "markup_fixed_usd": usd(one.markup_fixed_nano),
        "metadata": one.metadata,
        "created_at": moment(one.created_at),
    }


def usd(nano: int | None) -> str | None:
    return None if nano is None else format_usd(nano)


def balance(wallet: Wallet) -> dict[str, Any]:
    return {
        "currency": "USD",
        "wallet_id": wallet.id,
        **{
            name: format_usd(getattr(wallet, name))
            for name in ("granted", "spent", "held", "expired", "pending", "available", "written_off")
        },
        "at": moment(wallet.at),
        "grants": [grant(one, wallet.at) for one in sorted(wallet.grants, key=Grant.draw_order)],
    }


def grant(one: Grant, now: int) -> dict[str, Any]:
    """A grant as it counts at a moment: what nobody booked as expired yet is expired all the same."""
    over = one.expires_at is not None and now >= one.expires_at
    return {
        "id": one.id,
        "kind": one.kind,
        "amount": format_usd(one.amount),
        "spent": format_usd(one.spent),
        "held": format_usd(one.held),
        "expired": format_usd(one.expired + (one.free if over else 0)),
        "pending": format_usd(one.free if now < one.effective_at and not over else 0),
        "available": format_usd(one.available(now)),
        "priority": one.priority,
        "effective_at": moment(one.effective_at or None),
        "expires_at": moment(one.expires_at),
        "created_at": moment(one.created_at),
    }


def transfer(one: Transfer) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "account": one.wallet,
        "to": one.other_wallet,
        "amount_usd": format_usd(one.amount),
        "charge": one.charge,
        "note": one.note,
        "legs": [{"grant": name, "amount_usd": format_usd(amount)} for name, amount in one.legs],
        "at": moment(one.at),
    }


def budget(view: CapView, now: int) -> dict[str, Any]:
    one = view.budget
    counter = one.counter
    rolling = counter.window.startswith(windows.ROLLING)
    began = windows.ring_start(counter.window, now) if rolling else windows.start_of(counter.window, counter.timezone, now)
    return {
        **_limit(one),
        "window": counter.window,
        "timezone": counter.timezone,
        "models": list(counter.filter.models),
        "tags": dict(counter.filter.tags),
        "measure": one.measure,
        "hard": one.hard,
        "thresholds": list(one.thresholds),
        "spent": _in_measure(one, view.spent),
        "held": _in_measure(one, view.held),
        "available": _in_measure(one, max(view.room, 0)),
        "began_at": moment(began or None),
        "renews_at": moment(view.renews_at),
    }


def _limit(one: Budget) -> dict[str, Any]:
    in_dollars = one.measure in ("price", "provider_cost")
    return {"limit_usd": format_usd(one.limit) if in_dollars else None, "limit": None if in_dollars else one.limit}


def _in_measure(one: Budget, value: int) -> str:
    return format_usd(value) if one.measure in ("price", "provider_cost") else str(value)


def hold(one: Hold) -> dict[str, Any]:
    return {
        "id": one.id,
        "request_id": one.request_id,
        "attempt": one.attempt,
        "state": one.state,
        "key": one.key,
        "account": one.account,
        "wallet_id": one.wallet,
        "provider": one.provider,
        "model": one.model,
        "route": one.route,
        "amount_usd": format_usd(one.amount),
        "cost_bound_usd": format_usd(one.cost_bound),
        "tokens_bound": one.tokens_bound,
        "max_output_tokens": one.units,
        "book_version": one.book_version,
        "markup_basis_points": one.markup_basis_points,
        "markup_fixed_usd": format_usd(one.markup_fixed_nano),
        "user": one.user,
        "run": one.run,
        "tags": tags(one.tags),
        "created_at": moment(one.created_at),
        "deadline": moment(one.deadline),
        "closed_at": moment(one.closed_at),
    }


def tags(text: str) -> dict[str, str]:
    """`team=a,feature=b` as an object."""
    return dict([pair.split("=", 1) for pair in text.split(",") if "=" in pair]) if text else {}


def flags(text: str) -> list[str]:
    return [flag for flag in text.split(",") if flag] if text else []


def charge(entry: Entry) -> dict[str, Any]:
    one, held = entry.charge, entry.hold
    return {
        "id": one.hold_id,
        "request_id": one.request_id,
        "attempt": held.attempt,
        "key": one.key,
        "account": one.account,
        "wallet_id": one.wallet,
        "provider": one.provider,
        "model": one.model,
        "model_served": one.model_served,
        "route": one.route,
        "status": one.status,
        "outcome": one.outcome,
        "hold_state": held.state,
        "held_usd": format_usd(held.amount),
        **amounts(one),
        **metered(one),
        "user": held.user,
        "run": held.run,
        "tags": tags(held.tags),
        "upstream_request_id": one.upstream_request_id,
        "revised": one.revised,
        "created_at": moment(held.created_at),
        "at": moment(one.at),
    }


def amounts(one: Charge) -> dict[str, Any]:
    return {
        "price_usd": format_usd(one.price),
        "paid_usd": format_usd(one.paid),
        "written_off_usd": format_usd(one.written_off),
        "refunded_usd": format_usd(one.refunded),
        "provider_cost_usd": format_usd(one.cost),
        "list_cost_usd": format_usd(one.list_cost),
        "tokens": one.tokens,
    }


def metered(one: Charge) -> dict[str, Any]:
    return {
        "completeness": one.completeness,
        "usage": _json(one.usage),
        "lines": [
            {"unit": unit, "quantity": quantity, "usd_each": from_pico(each), "usd": from_pico(pico)}
            for unit, quantity, each, pico in _lines(one.lines)
        ],
        "timings": _json(one.timings),
        "flags": flags(one.flags),
    }
