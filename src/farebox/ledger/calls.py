"""The life of a hold: authorize, extend, capture, release, expire, late truths. Pure: (state, command, now) -> (outcome, deltas)."""

import msgspec

from farebox.clock import US_PER_S
from farebox.ledger import rooms
from farebox.ledger.commands import (
    Authorize,
    Authorized,
    Capture,
    Claim,
    Conflict,
    Expire,
    Extend,
    Gate,
    Refused,
    Release,
    Repeated,
    Requote,
    Result,
    Settled,
    Unchanged,
)
from farebox.ledger.deltas import (
    Delta,
    GrantChanged,
    HoldClosed,
    HoldGrown,
    HoldHandedOver,
    HoldOpened,
    HoldTakenBack,
    ObjectStored,
    ReplayClosed,
    ReplayFreed,
    ReplayOpened,
    WindowsChanged,
)
from farebox.ledger.lasting import HandOver, StoredObject
from farebox.ledger.model import BACKGROUND, Amounts, Hold, HoldState, Replayable
from farebox.ledger.settling import Decision, merge, revise, settle, settled_before
from farebox.ledger.state import State

# --- authorize -------------------------------------------------------------------------------------------------------------------


def authorize(state: State, command: Authorize, now: int) -> Decision:
    """Sets the worst case aside on the wallet and under every cap, or refuses and leaves no trace."""
    prior = state.holds.get(command.hold_id)
    if prior is not None:
        same = _identity(prior) == _identity_asked(command)
        return (Authorized(prior, 0, repeated=True) if same else Conflict(command.hold_id)), []
    refusal = stale(state, command.gate) or _key_refusal(command.gate, now) or _repeat(state, command)
    if refusal is not None:
        return refusal, []
    asked = command.bound.at(command.bound.units_max)
    admitted = rooms.admit(state, command, asked, now)
    if isinstance(admitted, Refused):
        return admitted, []
    units, amounts, least = admitted
    hold = _hold(state, command, asked.price, units, amounts, now)
    deltas: list[Delta] = [HoldOpened(hold)]
    for grant, part in hold.legs:
        deltas.append(GrantChanged(grant, held=part))
    deltas.append(WindowsChanged(hold.windows, held=amounts))
    if command.idempotency is not None:
        name, fingerprint = command.idempotency.name, command.idempotency.fingerprint
        deltas.append(ReplayOpened(Replayable(command.gate.key.id, name, fingerprint, command.request_id, now)))
    return Authorized(hold, least - amounts.price if least > amounts.price else 0), deltas


def stale(state: State, gate: Gate) -> Requote | None:
    """What a call was planned with and is no longer so."""
    if state.revs.get(gate.key.id) != gate.key.rev:
        return Requote("key")
    for account in gate.path:
        if state.revs.get(account.id) != account.rev:
            return Requote("account")
    if state.book_version != gate.book_version:
        return Requote("prices")
    return None


def _key_refusal(gate: Gate, now: int) -> Refused | None:
    key = gate.key
    if key.status == "revoked":
        return Refused("key_revoked", scope=key.id)
    if key.expires_at is not None and now >= key.expires_at:
        return Refused("key_expired", scope=key.id, since=key.expires_at)
    if key.status != "active":
        return Refused("key_paused", scope=key.id, detail=key.status_why, since=key.status_since)
    for account in gate.path:
        if account.status != "active":
            return Refused("account_paused", scope=account.id, detail=account.status_why, since=account.status_since)
    return None


def _repeat(state: State, command: Authorize) -> Repeated | None:
    """What became of the request that took this Idempotency-Key; a further attempt of that same request goes on."""
    if command.idempotency is None:
        return None
    replay = state.replays.get((command.gate.key.id, command.idempotency.name))
    if replay is None:
        return None
    if replay.fingerprint != command.idempotency.fingerprint:
        return Repeated("mismatch", replay.request_id)
    return None if replay.request_id == command.request_id else Repeated(replay.state, replay.request_id, replay.answer)


def _hold(state: State, command: Authorize, asked: int, units: int, amounts: Amounts, now: int) -> Hold:
    gate = command.gate
    key, wallet = gate.key, gate.wallet
    return Hold(  # by position: to find so many fields by their names takes longer than all the rest of a decision
        command.hold_id,
        command.request_id,
        command.attempt,
        key.id,
        key.account,
        key.root,
        wallet,
        amounts.price,
        amounts.cost,
        amounts.tokens,
        units,
        asked,
        rooms.draw(state, wallet, amounts.price, now),
        rooms.refs_of(gate, now),
        gate.book_version,
        command.markup_basis_points,
        command.markup_fixed_nano,
        command.provider,
        command.model,
        command.route,
        command.owner,
        now,
        now + command.lasts,
        command.run,
        command.user,
        command.tags,
        "" if command.idempotency is None else command.idempotency.name,
    )


def _identity(hold: Hold) -> tuple[object, ...]:
    return (hold.request_id, hold.attempt, hold.key, hold.asked, hold.provider, hold.model, hold.route, hold.run)


def _identity_asked(command: Authorize) -> tuple[object, ...]:
    asked = command.bound.price.at(command.bound.units_max)
    return (
        command.request_id,
        command.attempt,
        command.gate.key.id,
        asked,
        command.provider,
        command.model,
        command.route,
        command.run,
    )


# --- extend ----------------------------------------------------------------------------------------------------------------------


def extend(state: State, command: Extend, now: int) -> Decision:
    """Grows an open hold under the caps of now, in the windows it was held in; all or none."""
    hold = state.holds.get(command.hold_id)
    if hold is None or hold.key != command.gate.key.id or not _claimed(hold, command.claim):
        return Refused("unknown_hold", scope=command.hold_id), []
    if hold.state != "open":
        return Refused("hold_closed", scope=hold.id, detail=hold.state), []
    refusal = stale(state, command.gate) or _key_refusal(command.gate, now)
    if refusal is not None:
        return refusal, []
    asking = Authorize(
        hold.id,
        hold.request_id,
        hold.attempt,
        command.gate,
        command.more,
        hold.markup_basis_points,
        hold.markup_fixed_nano,
        hold.provider,
        hold.model,
        hold.route,
        hold.owner,
        0,
    )
    units = rooms.fit(asking, list(rooms.rooms_to_grow(state, command.gate, hold, now)))
    if isinstance(units, Refused):
        return units, []
    at = command.more.at(units)
    more = Amounts(at.price, at.cost, at.tokens, 0)
    legs = rooms.draw(state, hold.wallet, more.price, now)
    grown = HoldGrown(hold.id, more, units, merge(hold.legs, legs), max(hold.deadline, now + (command.lasts or 0)))
    deltas: list[Delta] = [grown, *[GrantChanged(grant, held=part) for grant, part in legs]]
    deltas.append(WindowsChanged(hold.windows, held=more))
    after = msgspec.structs.replace(
        hold,
        amount=hold.amount + more.price,
        cost_bound=hold.cost_bound + more.cost,
        tokens_bound=hold.tokens_bound + more.tokens,
        units=hold.units + units,
        legs=grown.legs,
        deadline=grown.deadline,
    )
    return Authorized(after, 0), deltas


def _claimed(hold: Hold, claim: Claim | None) -> bool:
    return claim is None or claim.covers(hold)


# --- hand over -------------------------------------------------------------------------------------------------------------------


def hand_over(state: State, command: HandOver, now: int) -> Decision:
    """Leaves an open hold to the background, with what it takes to settle it. Whose the provider's objects are is known either way."""
    hold = state.holds.get(command.hold_id)
    if hold is None:
        return Refused("unknown_hold", scope=command.hold_id), []
    stored = _stored(hold, command.objects, now)
    if hold.state != "open":
        return Unchanged("the hold is not open"), stored
    if hold.owner == BACKGROUND:
        return Authorized(hold, 0, repeated=True), stored
    deadline = now + command.lasts
    handed = HoldHandedOver(hold, deadline, command.response_id, command.facts, now, now + command.first_poll)
    deltas: list[Delta] = [handed, *stored]
    if hold.idempotency and command.answer is not None:
        deltas.append(ReplayClosed(hold.key, hold.idempotency, hold.request_id, command.answer))
    return Authorized(msgspec.structs.replace(hold, owner=BACKGROUND, deadline=deadline), 0), deltas


def _stored(hold: Hold, objects: tuple[StoredObject, ...], now: int) -> list[Delta]:
    return [ObjectStored(hold, one.kind, one.id, one.facts, now, now + one.lasts) for one in objects]


# --- capture, release, expire ------------------------------------------------------------------------------------------------------


def capture(state: State, command: Capture, now: int) -> Decision:
    """Charges the hold what its attempt came to. Never refused for lack of money: what cannot be paid is written off."""
    hold = state.holds.get(command.hold_id)
    if hold is None or not _claimed(hold, command.claim):
        return Refused("unknown_hold", scope=command.hold_id), []
    result = command.result
    if command.claim is not None and command.claim.key and result.price > hold.amount:
        return Refused("exceeds_hold", scope=hold.id, needed=result.price, available=hold.amount), []
    stored = _stored(hold, command.objects, now) if command.objects else []
    if hold.state == "expired":
        outcome, deltas = revise(state, hold, command, now)
        return outcome, deltas + stored
    if hold.state != "open":
        return settled_before(state, hold, command.result), stored
    charge, deltas = settle(state, hold, result, command.gate, now)
    deltas += stored
    deltas += _closed(hold, "captured", now)
    if hold.idempotency:
        deltas.append(ReplayClosed(hold.key, hold.idempotency, hold.request_id, command.answer))
    return Settled(charge), deltas


def _closed(hold: Hold, state: HoldState, now: int) -> list[Delta]:
    """A hold has ended: nobody asks any more what it came to."""
    closed = HoldClosed(hold.id, state, now)
    return [closed, HoldTakenBack(hold.id)] if hold.owner == BACKGROUND else [closed]


def release(state: State, command: Release, now: int) -> Decision:
    """Gives the whole hold back and writes a charge of zero; the caller's Idempotency-Key is free again."""
    hold = state.holds.get(command.hold_id)
    if hold is None or not _claimed(hold, command.claim):
        return Refused("unknown_hold", scope=command.hold_id), []
    zero = Result(
        "released",
        "exact",
        0,
        0,
        0,
        0,
        timings=command.timings,
        flags=command.outcome,
        status=command.status,
        upstream_request_id=command.upstream_request_id,
    )
    if hold.state == "expired":
        return revise(state, hold, Capture(hold.id, zero), now)
    if hold.state != "open":
        return settled_before(state, hold, zero), []
    charge, deltas = settle(state, hold, zero, None, now)
    deltas += _closed(hold, "released", now)
    if hold.idempotency:
        deltas.append(ReplayFreed(hold.key, hold.idempotency, hold.request_id))
    return Settled(charge), deltas


def expire(state: State, command: Expire, now: int) -> Decision:
    """Charges an abandoned hold whole, provisionally: where the truth is lost, the operator is not left with the bill."""
    hold = state.holds.get(command.hold_id)
    if hold is None or hold.state != "open":
        return Unchanged("the hold is not open"), []
    if command.why == "deadline" and now < hold.deadline:
        return Unchanged("the deadline has not passed"), []
    lost = Result(
        command.why, "unknown", hold.amount, hold.cost_bound, hold.cost_bound, hold.tokens_bound, flags=f"provisional,{command.why}"
    )
    charge, deltas = settle(state, hold, lost, None, now)
    deltas += _closed(hold, "expired", now)
    if hold.idempotency:
        deltas.append(ReplayClosed(hold.key, hold.idempotency, hold.request_id, None))
    return Settled(charge), deltas


def retry_after_s(renews_at: int | None, now: int) -> int:
    """Whole seconds until a window renews, at least one."""
    return 1 if renews_at is None else max(-(-(renews_at - now) // US_PER_S), 1)
