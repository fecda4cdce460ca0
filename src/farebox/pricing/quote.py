"""The most that a demand can cost: a base, and so much more per output token of the cap. What cannot be bounded is refused.

Every dearest choice here is over the same cards that `rate` charges by, so no usage within the demand can cost more than its bound.
"""

import operator
from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from farebox import limits
from farebox.errors import CostUnbounded, ModelNotPriced
from farebox.pricing.cards import Level, ModelPrice, Rates
from farebox.usage import IN_TEXT, OUT_TEXT, PLAIN, REQUESTS, TOOL_CONTAINER_SESSIONS, Conditions, Demand

_TIERS_WHERE_OFFERED = frozenset(("default", "flex", "priority", "fast"))
"""Service tiers that a provider serves only where it lists a price for them: asked of another model they move no price."""
_KINDS_KEPT_MAX = 64
_IMPORT = "The operator can add one with `farebox prices import`."


class CostBound(msgspec.Struct, frozen=True, gc=False):
    """Worst case of a demand in list pico-dollars, before markup: `base_pico + cap * per_output_token_pico`."""

    base_pico: int
    per_output_token_pico: int
    """For one more token of the cap, in all choices together."""
    input_tokens: int
    """The input tokens that are held for, cut to what the model can take."""
    output_tokens_max: int | None
    """The most that the model generates per choice, where known."""

    def worst_pico(self, cap: int) -> int:
        """The most that the call can cost with an output cap of so many tokens per choice."""
        return self.base_pico + cap * self.per_output_token_pico


def bound(demand: Demand, price: ModelPrice) -> CostBound:
    """The worst case of a demand. Raises ModelNotPriced without a price for its tokens, CostUnbounded where anything else has none.

    Input and output are taken at the dearest of their units, at any tier that the input bound can reach, under any of the demand's
    conditions. Calls that generate nothing say so (`output_units=()`, or a named cap of 0) and need no output price.
    """
    tokens = _input_tokens(demand, price)
    rates = _rates(demand, price, tokens)
    if demand.fees_max:
        rates = _with_fees(demand, price, rates, tokens)
    more, choices = demand.extra_output_tokens, demand.choices
    base = each = 0
    for input_pico, output_pico, once_pico in rates:
        once = tokens * input_pico + more * output_pico + once_pico
        base = once if once > base else base  # noqa: FURB136 - `max` of two takes longer than all the rest of it
        generated = output_pico * choices
        each = generated if generated > each else each  # noqa: FURB136 - the same
    return CostBound(base + demand.fee_pico, each, tokens, price.output_tokens_max)


def _with_fees(demand: Demand, price: ModelPrice, rates: Rates, tokens: int) -> Rates:
    """What is charged once: for each request that is counted, and for everything else that is."""
    requests = max(1, demand.fees_max.get(REQUESTS, 1))
    reached = [price.card(conditions).reachable(tokens) for conditions in _conditions(demand)]
    return tuple(
        (input_pico, output_pico, requests * request_pico + _fees(demand, levels, price))
        for (input_pico, output_pico, request_pico), levels in zip(rates, reached, strict=True)
    )


def _conditions(demand: Demand) -> tuple[Conditions, ...]:
    return demand.conditions or (PLAIN,)


def _rates(demand: Demand, price: ModelPrice, tokens: int) -> Rates:
    """Under each of the demand's conditions the dearest reachable price of an input token, of an output token, and of a request. Where nothing
    else is counted, without those that another is not cheaper than in anything.

    Remembered with the model's prices: demands come in few kinds, and every call needs them.
    """
    input_units = demand.input_units if tokens else ()
    output_units = demand.output_units if demand.output_tokens_named != 0 or demand.extra_output_tokens > 0 else ()
    kind = (input_units, output_units, demand.conditions, bool(demand.fees_max))
    known = price.dearest.get(kind)
    if known is None:
        known = _tiers_of(demand, price), {}
        if len(price.dearest) < _KINDS_KEPT_MAX:
            price.dearest[kind] = known
    above, by_tier = known
    tier = bisect_left(above, tokens) if above else 0
    rates = by_tier.get(tier)
    if rates is None:
        each = tuple([_rate(conditions, input_units, output_units, price, tokens) for conditions in _conditions(demand)])
        rates = by_tier[tier] = each if demand.fees_max else _dearest_of(each)
    return rates


def _dearest_of(rates: Rates) -> Rates:
    """Without those that are never the dearest: the less there is to compare for each call."""
    several = tuple(dict.fromkeys(rates))
    return tuple(one for one in several if not any(other is not one and all(map(operator.ge, other, one)) for other in several))


def _tiers_of(demand: Demand, price: ModelPrice) -> tuple[int, ...]:
    """Where what can be reached changes, under any of the demand's conditions."""
    return tuple(sorted({start for conditions in _conditions(demand) for start in price.card(conditions).above}))


def _rate(
    conditions: Conditions, input_units: tuple[str, ...], output_units: tuple[str, ...], price: ModelPrice, tokens: int
) -> tuple[int, int, int]:
    _require_bounded(conditions, price)
    levels = price.card(conditions).reachable(tokens)
    return _dearest(levels, input_units, price), _dearest(levels, output_units, price), max(level.per_request for level in levels)


def _input_tokens(demand: Demand, price: ModelPrice) -> int:
    """The demand's input, cut to the context window: for each prompt, and once more for every call of a server tool, which runs the model again."""
    context = price.context_tokens_max or limits.context_tokens_unknown_max
    prompts = demand.prompts
    if demand.fees_max:
        prompts += sum(count for unit, count in demand.fees_max.items() if unit.startswith("tool_") and unit != TOOL_CONTAINER_SESSIONS)
    tokens, most = demand.input_tokens_max, context * prompts
    return (tokens if tokens < most else most) + demand.extra_input_tokens  # noqa: FURB136 - a call of `min` takes ten times as long


def _require_bounded(conditions: Conditions, price: ModelPrice) -> None:
    """Refuses conditions that may move the price in a way that the book does not know."""
    if price.listed(conditions):
        return
    for field, value in (("service_tier", conditions.service_tier), ("speed", conditions.speed), ("geo", conditions.geo)):
        if not price.lists(field, value) and not (field == "service_tier" and value in _TIERS_WHERE_OFFERED):
            raise CostUnbounded(field=field, why=f"{price.model} has no price for {value!r} in this gateway's price book.", setting=_IMPORT)


def _dearest(levels: Iterable[Level], units: Iterable[str], price: ModelPrice) -> int:
    return max((_quoted(level, unit, price) for level in levels for unit in units), default=0)


def _fees(demand: Demand, levels: tuple[Level, ...], price: ModelPrice) -> int:
    total = 0
    for unit, count in demand.fees_max.items():
        if count > 0 and unit != REQUESTS:
            total += count * _dearest(levels, (unit,), price)
    return total


def _quoted(level: Level, unit: str, price: ModelPrice) -> int:
    pico = level.quotable(unit)
    if pico is not None:
        return pico
    if unit in (IN_TEXT, OUT_TEXT):
        raise ModelNotPriced(model=price.model)
    raise CostUnbounded(field=unit, why=f"{price.model} has no price for it in this gateway's price book.", setting=_IMPORT)
