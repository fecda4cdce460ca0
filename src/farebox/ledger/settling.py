"""What a hold comes to: its one charge, whatever has to pay it, and the one revision that a provisional charge may have. Pure.

Not when: `calls` decides that a hold ends, and how. A charge is never refused for lack of money: what cannot be paid is written off.
"""

import msgspec

from farebox.ledger import rooms
from farebox.ledger.commands import Capture, Conflict, Gate, Outcome, Result, Settled
from farebox.ledger.deltas import ChargeRevised, ChargeWritten, Delta, GrantChanged, ReplayClosed, ReplayFreed, WindowsChanged
from farebox.ledger.model import NOTHING, Amounts, Charge, Hold, Leg, Measure
from farebox.ledger.state import State

Decision = tuple[Outcome, list[Delta]]
_REFUNDED_BEFORE = "refunded_before_revision"


def settled_before(state: State, hold: Hold, result: Result) -> Outcome:
    """The charge of a hold that ended before, if this is what it came to; else a conflict."""
    charge = state.charges[hold.id]
    raised = _REFUNDED_BEFORE in charge.flags.split(",") and result.price < charge.price
    same_price = raised or result.price == charge.price
    return Settled(charge, repeated=True) if same_price and _content(result) == _content(charge) else Conflict(hold.id)


def _content(of: Result | Charge) -> tuple[object, ...]:
    """What makes two results of one hold the same, but for the price. Flags and timings may differ: they tell of the telling."""
    units = (of.cost, of.list_cost, of.tokens, of.usage, of.lines)
    return (of.outcome, of.completeness, *units, of.model_served, of.status, of.upstream_request_id)


def settle(state: State, hold: Hold, result: Result, gate: Gate | None, now: int) -> tuple[Charge, list[Delta]]:
    """The charge of an open hold and all that it moves: the hold given up, the price taken from its legs, then from what is free."""
    owed = min(result.price, hold.amount)
    deltas: list[Delta] = []
    paid: list[Leg] = []
    for grant, part in hold.legs:
        taken = min(part, owed)
        owed -= taken
        deltas.append(GrantChanged(grant, spent=taken, held=-part))
        if taken:
            paid.append((grant, taken))
    legs = tuple(paid)
    if gate is not None and result.price > hold.amount:
        extra = _overage(state, hold, result, gate, hold.bounds, now)
        deltas += [GrantChanged(grant, spent=part) for grant, part in extra]
        legs = merge(legs, extra)
    charge = charge_of(hold, result, legs, now)
    deltas.append(ChargeWritten(charge, hold))
    held = Amounts(-hold.amount, -hold.cost_bound, -hold.tokens_bound, -1)
    deltas.append(WindowsChanged(hold.windows, held=held, spent=charge.amounts))
    return charge, deltas


def _take(legs: tuple[Leg, ...], amount: int) -> tuple[Leg, ...]:
    taken = []
    for grant, part in legs:
        share = min(part, amount)
        taken.append((grant, share))
        amount -= share
    return tuple(taken)


def _overage(state: State, hold: Hold, result: Result, gate: Gate | None, covered: Amounts, now: int) -> tuple[Leg, ...]:
    """What is paid beyond what is covered: from effective, unheld grants, as far as every hard cap on the path has room."""
    if result.price <= covered.price or gate is None:
        return ()
    extra: dict[Measure, int] = {
        "price": result.price - covered.price,
        "provider_cost": result.cost - covered.cost,
        "tokens": result.tokens - covered.tokens,
        "requests": 0,
    }
    return rooms.draw(state, hold.wallet, rooms.payable(state, gate, extra, hold.created_at), now)


def charge_of(hold: Hold, result: Result, legs: tuple[Leg, ...], now: int) -> Charge:
    """What a result makes of a hold, paid by these legs; what they lack is written off."""
    paid = 0
    for _, part in legs:
        paid += part
    return Charge(  # by position, as a hold is made
        hold.id,
        hold.request_id,
        hold.key,
        hold.account,
        hold.root,
        hold.wallet,
        now,
        result.outcome,
        result.completeness,
        result.price,
        paid,
        result.price - paid,
        result.cost,
        result.list_cost,
        result.tokens,
        legs,
        hold.provider,
        hold.model,
        result.model_served,
        hold.route,
        result.usage,
        result.lines,
        result.timings,
        result.flags,
        result.status,
        result.upstream_request_id,
    )


def merge(legs: tuple[Leg, ...], more: tuple[Leg, ...]) -> tuple[Leg, ...]:
    """Both, each grant once."""
    merged = dict(legs)
    for grant, part in more:
        merged[grant] = merged.get(grant, 0) + part
    return tuple(merged.items())


# --- revise ------------------------------------------------------------------------------------------------------------------------


def revise(state: State, hold: Hold, command: Capture, now: int) -> Decision:
    """Corrects the provisional charge of an expired hold, once. What was refunded of it meanwhile stays paid."""
    before = state.charges[hold.id]
    if before.revised:
        return settled_before(state, hold, command.result), []
    result = command.result
    if result.price < before.refunded:
        result = msgspec.structs.replace(result, price=before.refunded, flags=_flag(result.flags, _REFUNDED_BEFORE))
    back = _give_back(before.legs, max(before.paid - result.price, 0))
    deltas: list[Delta] = [GrantChanged(grant, spent=-part) for grant, part in back]
    covered = Amounts(before.paid, before.cost, before.tokens, 0)
    extra = _overage(state, hold, result, command.gate, covered, now)
    deltas += [GrantChanged(grant, spent=part) for grant, part in extra]
    legs = merge(_less(before.legs, back), extra)
    after = msgspec.structs.replace(
        charge_of(hold, result, legs, now), at=before.at, revised=True, refunded=before.refunded, flags=_flag(result.flags, "revised")
    )
    change = after.amounts - before.amounts
    deltas.append(ChargeRevised(after, before, hold))
    if change != NOTHING:
        deltas.append(WindowsChanged(hold.windows, spent=change))
    if hold.idempotency:
        ended = ReplayFreed(hold.key, hold.idempotency, hold.request_id) if result.outcome == "released" else None
        deltas.append(ended or ReplayClosed(hold.key, hold.idempotency, hold.request_id, command.answer))
    return Settled(after, revised=True), deltas


def _give_back(legs: tuple[Leg, ...], amount: int) -> tuple[Leg, ...]:
    """From the last grant drawn on to the first."""
    return _take(tuple(reversed(legs)), amount)


def _less(legs: tuple[Leg, ...], back: tuple[Leg, ...]) -> tuple[Leg, ...]:
    returned = dict(back)
    return tuple((grant, part - returned.get(grant, 0)) for grant, part in legs if part > returned.get(grant, 0))


def _flag(flags: str, name: str) -> str:
    return f"{flags},{name}" if flags else name
