"""Usage into money: lookups and one integer multiplication per unit. Never refuses: what has no price is charged dearly and flagged."""

import msgspec

from farebox.pricing.cards import Level, ModelPrice
from farebox.pricing.hours import Span
from farebox.usage import PLAIN, REQUESTS, Usage

PRICED_AS_PARENT = "unit_priced_as_parent"
PRICED_AS_DEAREST = "unit_priced_as_dearest"
NOT_PRICED = "unit_not_priced"
"""Nothing in the whole book says what this unit costs: its line is empty. Whoever settles charges the hold."""
CONDITIONS_PRICED_AS_DEAREST = "conditions_priced_as_dearest"
NEGATIVE_QUANTITY = "negative_quantity"


class Line(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One unit of a charge: quantity times price, exact."""

    unit: str
    quantity: int
    pico_each: int
    pico: int


class Rated(msgspec.Struct, frozen=True):
    """What a usage costs by the provider's list. `flags` name what was odd about its pricing; each raises an alarm."""

    lines: tuple[Line, ...]
    total_pico: int
    flags: tuple[str, ...]


def rate(usage: Usage, price: ModelPrice, span: Span | None = None) -> Rated:
    """The list cost of a usage in pico-dollars. The tier is decided by all prompt tokens and moves every unit of the request.

    Conditions that the book does not list are charged at the dearest listed ones that agree with them as far as the book goes
    (an unknown service tier: the dearest of all tiers, at the same speed, place and batch). A unit without a price is charged as its
    parent (cards.PARENTS), else as the dearest token of the card or the dearest such fee in the book. A price per request is charged
    once for a call that consumed anything, unless the usage counts its requests itself. `span` is when the call was on its way, which
    matters where prices depend on the hour of the day; not said: the dearest hour.
    """
    conditions, units = usage.conditions, usage.units
    card = price.card(conditions) if not price.hours or span is None or conditions != PLAIN else price.card_within(span)
    level = card.at(usage.prompt_total)
    prices, stand_ins = level.prices, level.stand_ins
    lines: list[Line] = []
    flags: list[str] = [] if price.listed(conditions) else [CONDITIONS_PRICED_AS_DEAREST]
    total = 0
    for unit, quantity in units.items():
        if quantity <= 0:
            if quantity < 0:
                flags.append(NEGATIVE_QUANTITY)
            continue
        each = prices.get(unit)
        if each is None:
            each = _unlisted(unit, level, price, flags)
        elif unit in stand_ins:
            flags.append(PRICED_AS_PARENT)
        pico = quantity * each
        total += pico
        lines.append(Line(unit, quantity, each, pico))
    if level.per_request and lines and REQUESTS not in units:
        total += level.per_request
        lines.append(Line(REQUESTS, 1, level.per_request, level.per_request))
    return Rated(tuple(lines), total, tuple(dict.fromkeys(flags)) if flags else ())


def _unlisted(unit: str, level: Level, price: ModelPrice, flags: list[str]) -> int:
    each = price.last_resort(unit, level)
    flags.append(NOT_PRICED if each is None else PRICED_AS_DEAREST)
    return each or 0
