"""The one exit: whatever happened to an attempt, it ends here in one charge. Works out what it came to, and tells the ledger."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import msgspec

from farebox import limits
from farebox.clock import Clock
from farebox.dialects.base import Report
from farebox.errors import Busy, ChargePending, LedgerUnavailable
from farebox.gateway.attempt import Attempt, Beside, Call, Plan
from farebox.gateway.outage import Outage
from farebox.gateway.owned import left
from farebox.gateway.told import alarm
from farebox.ledger.commands import Authorized, Capture, Conflict, Release, Result, Settled
from farebox.ledger.model import Charge
from farebox.money import divide_half_even, format_usd, nano_half_even
from farebox.pricing.cards import ModelPrice
from farebox.pricing.hours import Span
from farebox.pricing.markup import AT_COST, Markup, charge_nano, price_up
from farebox.pricing.rate import NOT_PRICED, Line, Rated, rate
from farebox.store.batcher import Batcher
from farebox.usage import OUT_TEXT, PLAIN, TOKEN_UNITS, Completeness, Conditions, Usage

_encode = msgspec.json.Encoder().encode
_RAW_BYTES_MAX = 16_384
SET_FEE = "set_fee"
"""The line of a fee that is set by `bounds`."""
_AWAY = (LedgerUnavailable, Busy)
"""The ledger's answers after which a settlement is submitted again."""
OnSettled = Callable[[Call, Attempt, Charge], None]


class Settler:
    """Settles attempts. `on_settled` is told of every charge: the request's log line, metrics, whoever waits for the money."""

    def __init__(self, batcher: Batcher, outage: Outage, clock: Clock, on_settled: OnSettled) -> None:
        self._batcher = batcher
        self._outage = outage
        self._clock = clock
        self._on_settled = on_settled
        self.detached: set[asyncio.Task[Any]] = set()
        """Settlements whose request has left; awaited at shutdown."""

    async def settle(self, call: Call, attempt: Attempt, *, over: bool = False) -> Charge | None:
        """Ends the attempt with its charge; None when nothing was held, or when the ledger cannot be reached and the charge is in the
        capture journal. Raises ChargePending when that cannot be either: then the hold stays. Both are submitted again until they are booked.

        One that the background has is left to it while its provider goes on; `over`: it surely does not.
        """
        if attempt.handed and not (over or (attempt.report is not None and attempt.report.finished and not attempt.report.poll_target)):
            attempt.stage = "done"
        if attempt.stage == "queued":
            await self._learn(attempt)
        if attempt.stage in ("planned", "done") or attempt.hold is None:
            return None
        command = self.command(attempt)
        attempt.stage = "done"
        if self._outage.lasts:
            return await self._kept(attempt, self._keep_for_later(call, attempt, command))
        pending = self._batcher.post(command)
        try:
            answer = await pending
        except asyncio.CancelledError:  # it comes once the answer is there (see Batcher): what was booked is told, what was not is kept
            with contextlib.suppress(ChargePending):
                self._heard(call, attempt, command, pending.result())
            raise
        heard = self._heard(call, attempt, command, answer)
        return await self._kept(attempt, heard) if isinstance(heard, asyncio.Future) else heard

    async def _learn(self, attempt: Attempt) -> None:
        """The caller left before the ledger answered, or it answered that it cannot: what is held decides what there is to settle."""
        assert asyncio.isfuture(attempt.pending)  # noqa: S101 - tells the type checker what `queued` means
        answer = await attempt.pending
        if isinstance(answer, tuple) and isinstance(answer[-1], Authorized):
            attempt.hold, attempt.stage = answer[-1].hold, "held"
            return
        attempt.stage = "planned"
        if isinstance(answer, LedgerUnavailable) and attempt.asked is not None:
            self._outage.unheard(attempt.asked)

    def _heard(self, call: Call, attempt: Attempt, command: Capture | Release, answer: Any) -> "Charge | asyncio.Future[bool] | None":
        if type(answer) is tuple:
            return self.booked(call, attempt, answer[0])
        return self._keep_for_later(call, attempt, command) if isinstance(answer, _AWAY) else self.booked(call, attempt, None)

    def _keep_for_later(self, call: Call, attempt: Attempt, command: Capture | Release) -> "asyncio.Future[bool]":
        """Hands a settlement over to be submitted until the ledger takes it. It carries the hold's id, so that one which was booked unheard
        is not booked twice.
        """
        attempt.body = b""  # nobody tries again, and it may be long until the ledger is back
        return self._outage.keep(command, partial(self._booked_late, call, attempt))

    @staticmethod
    async def _kept(attempt: Attempt, durable: "asyncio.Future[bool]") -> Charge | None:
        """No charge yet; but it is certain that there will be one. Raises ChargePending where it is not."""
        if await durable:
            return None
        alarm("charge_pending", hold=attempt.hold_id)
        raise ChargePending(may_have_charged=True)

    def _booked_late(self, call: Call, attempt: Attempt, outcome: object) -> None:
        with contextlib.suppress(ChargePending):  # told already, and nobody waits for it
            self.booked(call, attempt, outcome)

    def booked(self, call: Call, attempt: Attempt, outcome: object) -> Charge | None:
        """What the ledger made of a settlement. It refuses none; a fault was told by the store, and leaves the hold to the sweeper."""
        attempt.stage = "done"
        if attempt.handed and (isinstance(outcome, Conflict) or (isinstance(outcome, Settled) and outcome.repeated)):
            return None  # somebody else learned first what it came to, and has told
        if not isinstance(outcome, Settled):
            alarm("not_settled", hold=attempt.hold_id, outcome=repr(outcome))
            raise ChargePending(may_have_charged=True)
        self._on_settled(call, attempt, outcome.charge)
        return outcome.charge

    def settle_detached(self, call: Call, attempt: Attempt) -> None:
        """Settles in a task of its own, which outlives the request."""
        self._keep(self.settle(call, attempt))

    def _keep(self, settling: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(self._quietly(settling))
        self.detached.add(task)
        task.add_done_callback(self.detached.discard)

    async def _quietly(self, settling: Coroutine[Any, Any, object]) -> None:
        with contextlib.suppress(ChargePending):  # told already, and submitted again
            await settling

    async def close(self) -> None:
        """Waits for every settlement on its way: booked, or kept for when the ledger is back."""
        while self.detached:
            await asyncio.wait(set(self.detached))

    # --- what it came to -------------------------------------------------------------------------------------------------------

    def command(self, attempt: Attempt) -> Capture | Release:
        """What the ledger is told: a release where the provider surely did not bill, else the charge."""
        result = None if attempt.stage == "held" else result_of(attempt, self._clock())
        if result is not None:
            objects = left(attempt, result) if attempt.plan.ask.stores else ()
            return Capture(attempt.hold_id, result, attempt.recorded, attempt.plan.gate, objects=objects)
        why = attempt.failure or ("not_sent" if attempt.stage == "held" else attempt.outcome)
        return Release(attempt.hold_id, why, attempt.status, _timings(attempt), attempt.upstream_request_id)


def result_of(attempt: Attempt, now: int) -> Result | None:
    """What a forwarded attempt that ends now costs, by ledger.md §6. None: it is known that nothing was billed."""
    plan, report = attempt.plan, attempt.report
    span = (plan.quoted_at, now)
    if attempt.outcome == "not_billed":
        return None
    flags = attempt.flags.copy()
    usage = None
    if report is not None:
        flags += report.flags
        usage = report.usage if report.finished or plan.ask.stream else None
    if usage is not None:
        tokens = _tokens(usage)
        if _can_be(tokens, attempt):
            charged = _priced(attempt, usage, tokens, span, flags)
            if charged is not None:
                return charged
        else:
            flags.append("absurd_usage")
    if report is not None and not plan.ask.hidden_output and not attempt.lost:
        return _within(attempt, _estimate(attempt, report), span, flags)
    return _whole_hold(attempt, "unknown", flags) if attempt.generated else _input_alone(attempt, flags)


def _priced(attempt: Attempt, usage: Usage, tokens: int, span: Span, flags: list[str]) -> Result | None:
    """The price of a usage; None where a unit has no price anywhere, which is charged as unknown."""
    plan = attempt.plan
    listed = _served(plan, usage, flags)
    served = _beside(plan, listed) if plan.beside else None
    if served is not None:
        plan = msgspec.structs.replace(plan, listed=listed, own=served.own, markup=_markup_of(plan, served))
    rated = _rated(plan, usage, listed, span)
    if rated.flags:
        flags += rated.flags
        if NOT_PRICED in rated.flags:
            return None
    if usage.others:
        beside = _rated_beside(plan, usage, span, flags)
        if beside is None:
            return None
        price, list_pico, lines = _together(plan, usage, span, rated, beside)
    else:
        own = None if plan.own is None else _rated(plan, usage, plan.own, span)
        price = charge_nano(rated.total_pico, plan.markup) if own is None else nano_half_even(own.total_pico)
        list_pico, lines = rated.total_pico, _encode(rated.lines).decode()
    reported = usage.reported_cost_pico or 0
    if plan.provider.reported_cost_counts and reported > list_pico:
        flags.append("reported_cost_counts")
        lines = _with_difference(lines, reported - list_pico)
        price = max(price, charge_nano(reported, plan.markup)) if plan.own is None else price
        list_pico = reported
    cost = nano_half_even(list_pico)
    return _result(attempt, usage.completeness, price, cost, tokens, flags, usage.model_served, _usage_json(usage), lines)


def _rated(plan: Plan, usage: Usage, price: ModelPrice, span: Span) -> Rated:
    """A usage by these prices, and the fee that a setting names for what no usage reports."""
    rated, fee = rate(usage, price, span), plan.ask.demand.fee_pico
    if not fee or not rated.lines:
        return rated
    return Rated((*rated.lines, Line(SET_FEE, 1, fee, fee)), rated.total_pico + fee, rated.flags)


def _with_difference(lines: str, pico: int) -> str:
    """The lines with what the provider says that it charges beyond them, so that they add up."""
    return _encode([*msgspec.json.decode(lines), ("reported_cost", 1, pico, pico)]).decode()


class _AtOther(msgspec.Struct, frozen=True):
    """What was billed at another model: by the list, and by the customer's own price where there is one."""

    model: str
    rated: Rated
    own_pico: int | None


def _rated_beside(plan: Plan, usage: Usage, span: Span, flags: list[str]) -> list[_AtOther] | None:
    """None where something in it has no price anywhere."""
    found = []
    for other in usage.others:
        listed = plan.book.find(plan.provider.prices, other.model_served, plan.quoted_at)
        if listed is None:
            flags.append("other_model_not_priced")
            return None
        beside = _beside(plan, listed)
        own = beside.own if beside is not None else plan.own if listed.model == plan.listed.model else None
        rated = rate(other, listed, span)
        flags += rated.flags
        if NOT_PRICED in rated.flags:
            return None
        found.append(_AtOther(listed.model, rated, None if own is None else rate(other, own, span).total_pico))
    return found


def _together(plan: Plan, usage: Usage, span: Span, rated: Rated, beside: list[_AtOther]) -> tuple[int, int, str]:
    """The price of a call at several models in nano-dollars, rounded once; its list cost in pico-dollars; and its lines."""
    own = None if plan.own is None else _rated(plan, usage, plan.own, span).total_pico
    total, denominator = price_up(rated.total_pico, plan.markup) if own is None else price_up(own, AT_COST)
    for other in beside:
        more, _ = price_up(other.rated.total_pico, plan.markup_beside) if other.own_pico is None else price_up(other.own_pico, AT_COST)
        total += more
    lines = [*rated.lines]
    lines += [
        Line(f"{other.model}/{line.unit}", line.quantity, line.pico_each, line.pico) for other in beside for line in other.rated.lines
    ]
    return divide_half_even(total, denominator), rated.total_pico + sum(other.rated.total_pico for other in beside), _encode(lines).decode()


def _beside(plan: Plan, listed: ModelPrice) -> Beside | None:
    """The prices of one of the other models that the call was quoted with, where it is one."""
    return next((beside for beside in plan.beside if beside.listed.model == listed.model), None)


def _markup_of(plan: Plan, served: Beside) -> Markup:
    """What is added to the cost of another model that answered: nothing to a price of the customer's own."""
    if served.own is not None:
        return AT_COST
    return plan.markup if plan.own is None else plan.markup_beside


def _served(plan: Plan, usage: Usage, flags: list[str]) -> ModelPrice:
    """The prices of the model that answered, in the book that the hold was quoted with; those of the model asked, where it has none."""
    served = usage.model_served
    if not served or served == plan.provider.behind(plan.model):
        return plan.listed
    found = plan.book.find(plan.provider.prices, served, plan.quoted_at)
    if found is None:
        flags.append("served_model_not_priced")
        return plan.listed
    return found


def _estimate(attempt: Attempt, report: Report) -> Usage:
    """Where all output is visible: exact input if it was seen, else its bound; and one token per delivered byte."""
    seen = report.input_seen
    units = dict(seen.units) if seen is not None else {attempt.plan.ask.demand.input_units[0]: attempt.plan.input_tokens}
    units[OUT_TEXT] = units.get(OUT_TEXT, 0) + report.delivered_bytes
    prompt = seen.prompt_total if seen is not None else attempt.plan.input_tokens
    return Usage(units, prompt, report.model_served, attempt.plan.ask.demand.conditions[0], "estimated")


def _within(attempt: Attempt, usage: Usage, span: Span, flags: list[str]) -> Result:
    """An estimate is charged at most the hold: it is ours, not the provider's word."""
    result = _priced(attempt, usage, _tokens(usage), span, flags)
    hold = attempt.hold
    if result is None or hold is None or result.price >= hold.amount:
        return _whole_hold(attempt, "estimated", flags)
    return msgspec.structs.replace(result, cost=min(result.cost, hold.cost_bound), list_cost=min(result.cost, hold.cost_bound))


def _whole_hold(attempt: Attempt, completeness: Completeness, flags: list[str]) -> Result:
    hold = attempt.hold
    assert hold is not None  # noqa: S101 - only what is held comes here
    return _result(attempt, completeness, hold.amount, hold.cost_bound, hold.tokens_bound, flags)


def _input_alone(attempt: Attempt, flags: list[str]) -> Result:
    """What was held for all but the output."""
    hold, bound = attempt.hold, attempt.plan.bound
    assert hold is not None  # noqa: S101 - only what is held comes here
    return _result(
        attempt, "estimated", min(hold.amount, bound.price.at(0)), min(hold.cost_bound, bound.cost.at(0)), bound.tokens.at(0), flags
    )


def _result(
    attempt: Attempt,
    completeness: Completeness,
    price: int,
    cost: int,
    tokens: int,
    flags: list[str],
    served: str = "",
    usage: str = "{}",
    lines: str = "[]",
) -> Result:
    """What it came to, and what else is to be known of the attempt."""
    report = attempt.report
    return Result(
        attempt.failure or attempt.outcome,
        completeness,
        price,
        cost,
        cost,
        tokens,
        served or (report.model_served if report is not None else ""),
        usage,
        lines,
        _timings(attempt),
        ",".join(flags),
        attempt.status,
        attempt.upstream_request_id or _id_told(report),
    )


def _id_told(report: Report | None) -> str:
    """The answer's own id, of providers that have no header for the request's."""
    return report.response_id[: limits.upstream_request_id_bytes_max] if report is not None and report.response_id.isprintable() else ""


def _timings(attempt: Attempt) -> str:
    return _encode(attempt.timings).decode()


def _tokens(usage: Usage) -> int:
    tokens = 0
    for unit, quantity in usage.units.items():
        if unit in TOKEN_UNITS:
            tokens += quantity
    return tokens + sum(map(_tokens, usage.others)) if usage.others else tokens


def _can_be(tokens: int, attempt: Attempt) -> bool:
    """Whether so many tokens can be believed: what is held for, and a factor more; whatever fits into a model, where only a setting bounds it."""
    held = attempt.hold.tokens_bound if attempt.hold is not None else 0
    least = limits.context_tokens_unknown_max if attempt.plan.ask.demand.admitted else 1
    return tokens <= held or tokens <= limits.absurd_usage_factor * max(held, least)


class _Told(msgspec.Struct, gc=False):
    """A usage as a charge keeps it."""

    units: dict[str, int]
    prompt_total: int
    conditions: dict[str, Any]
    others: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    reported_cost_usd: str | msgspec.UnsetType = msgspec.UNSET
    reported: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def _usage_json(usage: Usage) -> str:
    raw, cost = usage.raw, usage.reported_cost_pico
    told = _Told(
        usage.units,
        usage.prompt_total,
        _not_plain(usage.conditions) if usage.conditions != PLAIN else {},
        [{"model": other.model_served, "units": other.units} for other in usage.others] if usage.others else msgspec.UNSET,
        msgspec.UNSET if cost is None else format_usd(nano_half_even(cost)),
        msgspec.Raw(raw) if raw and len(raw) <= _RAW_BYTES_MAX else msgspec.UNSET,
    )
    return _encode(told).decode()


def _not_plain(conditions: Conditions) -> dict[str, Any]:
    """What of the conditions moves a price."""
    named = msgspec.structs.asdict(conditions)
    return {name: value for name, value in named.items() if value not in ("default", "standard", "global", False)}
