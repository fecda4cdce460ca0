"""Quotes for people: the most that a request would cost, part by part, and whether the money for it is there. Nothing is held."""

from collections.abc import Mapping
from typing import Any

import msgspec

from farebox.clock import to_rfc3339
from farebox.dialects.base import Ask, Route
from farebox.dialects.routes import METERED
from farebox.gateway.attempt import Plan
from farebox.gateway.identify import refusal_of
from farebox.gateway.quote import Quoter
from farebox.ledger.model import Account, Key
from farebox.ledger.plan import Policy
from farebox.money import format_usd, nano_up
from farebox.pricing.cards import Level, ModelPrice
from farebox.store.reports import Reports
from farebox.usage import PLAIN, REQUESTS, Conditions, Demand

_MEASURES_OF_MONEY = ("price", "provider_cost")


class Item(msgspec.Struct, frozen=True):
    """One part of a worst case, in list pico-dollars."""

    item: str
    quantity: int
    pico: int


def route_of(dialect: str | None, name: str | None) -> Route | None:
    """The route that is meant by its name, its dialect, or both; of a dialect, the one it is mostly used for. None where there is none."""
    found = [route for (spoken, called), route in METERED.items() if dialect in (None, spoken) and name in (None, called)]
    return found[0] if found and (dialect or name) else None


def ask_of(quoter: Quoter, route: Route, body: bytes, headers: Mapping[str, str]) -> Ask:
    """A request as its provider reads it. Raises a Refusal."""
    named = {name.lower().encode(): value.encode() for name, value in headers.items()}
    return quoter.read(route, body, named)


def policy_of_account(reports: Reports, account: Account) -> Policy:
    """What is laid down for an account, as if a key without limits of its own asked."""
    return reports.policy(Key("", account.id, account.root, "", "", 0))


def quote(reports: Reports, plan: Plan, now: int) -> dict[str, Any]:
    """The worst case of a plan: the whole, its parts, and what stands in its way."""
    bound = plan.bound
    rooms = _rooms(reports, plan, now)
    affordable = min((bound.measure(measure).most(room, bound.units_max) for _, measure, room, _ in rooms), default=bound.units_max)
    refusal = refusal_of(plan.policy, now)
    return {
        "model": f"{plan.provider.name}/{plan.model}",
        "route": plan.ask.route,
        "worst_case_usd": format_usd(bound.price.at(bound.units_max)),
        "worst_case_cost_usd": format_usd(bound.cost.at(bound.units_max)),
        "least_usd": format_usd(bound.price.at(bound.units_min)),
        "input_tokens_max": plan.input_tokens,
        "max_output_tokens": bound.units_max,
        "min_output_tokens": bound.units_min,
        "book_version": plan.gate.book_version,
        "items": _items_json(plan),
        "fits": refusal is None and affordable >= bound.units_min,
        "refused_because": None if refusal is None else refusal.reason,
        "affordable_max_output_tokens": max(affordable, 0),
        "available_usd": format_usd(max(min(room for _, measure, room, _ in rooms if measure == "price"), 0)),
        "rooms": [
            {
                "scope": scope,
                "measure": measure,
                "window": window,
                "available": format_usd(max(room, 0)) if measure in _MEASURES_OF_MONEY else str(max(room, 0)),
            }
            for scope, measure, room, window in rooms
        ],
        "at": to_rfc3339(now),
    }


def _rooms(reports: Reports, plan: Plan, now: int) -> list[tuple[str, Any, int, str]]:
    """The wallet and every hard cap that the call would meet: scope, measure, room, window."""
    wallet = reports.wallet(plan.gate.wallet, now)
    caps = reports.caps([cap for cap in plan.gate.caps if cap.hard], now)
    found: list[tuple[str, Any, int, str]] = [(wallet.id, "price", wallet.available, "")]
    return found + [(cap.budget.counter.scope, cap.budget.measure, cap.room, cap.budget.counter.window) for cap in caps]


def _items_json(plan: Plan) -> list[dict[str, Any]]:
    """The parts in dollars of the customer's price, the last of them what rounding up adds, so that they sum up to the worst case."""
    bound = plan.bound
    price = plan.own or plan.listed
    parts = items(plan.ask.demand, price, plan.input_tokens, bound.units_max)
    shown = [{"item": part.item, "quantity": part.quantity, "usd": format_usd(nano_up(part.pico))} for part in parts]
    total = sum(nano_up(part.pico) for part in parts)
    rest = bound.price.at(bound.units_max) - total
    if rest:
        shown.append({"item": "markup_and_rounding", "quantity": 1, "usd": format_usd(rest)})
    return shown


def items(demand: Demand, price: ModelPrice, input_tokens: int, cap: int) -> list[Item]:
    """The parts of a worst case: input, fees and other tokens under the dearest conditions, output under its own dearest."""
    candidates = [_base(demand, price, input_tokens, conditions) for conditions in demand.conditions or (PLAIN,)]
    parts = max(candidates, key=lambda found: sum(part.pico for part in found))
    each = max(_output(demand, price, input_tokens, conditions) for conditions in demand.conditions or (PLAIN,))
    if demand.output_units and cap:
        parts = [*parts, Item("output", cap * demand.choices, cap * demand.choices * each)]
    return [part for part in parts if part.quantity]


def _base(demand: Demand, price: ModelPrice, tokens: int, conditions: Conditions) -> list[Item]:
    levels = price.card(conditions).reachable(tokens)
    found = [Item("input", tokens, tokens * _dearest(levels, demand.input_units))]
    if demand.extra_output_tokens:
        found.append(Item("extra_output", demand.extra_output_tokens, demand.extra_output_tokens * _dearest(levels, demand.output_units)))
    requests = max(1, demand.fees_max.get(REQUESTS, 1))
    per_request = max(level.per_request for level in levels) * requests
    if per_request:
        found.append(Item(REQUESTS, requests, per_request))
    if demand.fee_pico:
        found.append(Item("set_fee", 1, demand.fee_pico))
    fees = [(unit, count) for unit, count in demand.fees_max.items() if count > 0 and unit != REQUESTS]
    return found + [Item(unit, count, count * _dearest(levels, (unit,))) for unit, count in fees]


def _output(demand: Demand, price: ModelPrice, tokens: int, conditions: Conditions) -> int:
    return _dearest(price.card(conditions).reachable(tokens), demand.output_units)


def _dearest(levels: tuple[Level, ...], units: tuple[str, ...]) -> int:
    return max((level.quotable(unit) or 0 for level in levels for unit in units), default=0)
