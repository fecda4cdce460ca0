"""Work that was done elsewhere and is told of afterwards: held and charged in one decision, in the windows of its own time. Pure.

An event is known by its id for ever: what it came to, a refusal too, is answered again to whoever sends it again.
"""

import msgspec

from farebox import limits
from farebox.clock import US_PER_DAY, US_PER_S
from farebox.ledger import calls, rooms, settling, windows
from farebox.ledger.commands import Conflict, Gate, Outcome, Recorded, RecordEvent, Refused
from farebox.ledger.deltas import ChargeWritten, CommandRecorded, Delta, GrantChanged, HoldOpened, WindowsChanged
from farebox.ledger.model import Hold, Leg, Measure
from farebox.ledger.settling import Decision
from farebox.ledger.state import State

LATE = "late"
_LATE_US = limits.event_days_late_max * US_PER_DAY
_AHEAD_US = limits.event_s_ahead_max * US_PER_S
_encode = msgspec.json.Encoder(order="sorted").encode
_outcomes = msgspec.json.Decoder(Recorded | Refused).decode


def record(state: State, command: RecordEvent, now: int) -> Decision:
    """Charges an event, or refuses it; either is its answer from now on. What it was planned with must still be so."""
    before = state.commands.get(command.id)
    if before is not None:
        return _again(before, command.fingerprint), []
    stale = calls.stale(state, command.gate)
    if stale is not None:
        return stale, []
    refusal = _not_then(command, now) or _forbidden(command.gate, command.at)
    command = msgspec.structs.replace(command, at=min(command.at, now))  # a clock a little ahead is not the future
    outcome, deltas = (refusal, []) if refusal is not None else _charged(state, command, now)
    deltas.append(CommandRecorded(command.id, command.fingerprint, _encode(outcome), now))
    return outcome, deltas


def _again(before: CommandRecorded, fingerprint: str) -> Outcome:
    if before.fingerprint != fingerprint:
        return Conflict(before.id)
    outcome = _outcomes(before.outcome)
    return outcome if isinstance(outcome, Refused) else msgspec.structs.replace(outcome, repeated=True)


def _not_then(command: RecordEvent, now: int) -> Refused | None:
    if command.at < now - _LATE_US:
        return Refused("event_too_old", since=now - _LATE_US)
    return Refused("event_in_future", since=now) if command.at > now + _AHEAD_US else None


def _forbidden(gate: Gate, at: int) -> Refused | None:
    """A key or an account that could not spend at the event's time. What was done before it was stopped is charged."""
    key = gate.key
    if key.status != "active" and at >= key.status_since:
        return Refused(
            "key_revoked" if key.status == "revoked" else "key_paused", scope=key.id, detail=key.status_why, since=key.status_since
        )
    if key.expires_at is not None and at >= key.expires_at:
        return Refused("key_expired", scope=key.id, since=key.expires_at)
    for account in gate.path:
        if account.status != "active" and at >= account.status_since:
            return Refused("account_paused", scope=account.id, detail=account.status_why, since=account.status_since)
    return None


def _charged(state: State, command: RecordEvent, now: int) -> tuple[Recorded | Refused, list[Delta]]:
    """Rates do not refuse what is done already; money and caps do, where the source wants that, else they bound what is paid."""
    gate, result = command.gate, command.result
    caps = [cap for cap in gate.caps if cap.hard and not cap.rate]
    found = [rooms.wallet_room(state, gate.wallet, now), *(rooms.cap_room(state, cap, command.at) for cap in caps)]
    refusal = rooms.short(command.bound, found)
    if refusal is not None and command.when_short == "refuse":
        return refusal, []
    extra: dict[Measure, int] = {"price": result.price, "provider_cost": result.cost, "tokens": result.tokens, "requests": 1}
    payable = result.price if refusal is None else rooms.payable(state, gate, extra, command.at)
    legs = rooms.draw(state, gate.wallet, payable, now)
    late = any(_is_over(counter.window, counter.timezone, command.at, now) for counter in gate.counters)
    hold = _hold(command, legs, now)
    charge = settling.charge_of(hold, msgspec.structs.replace(result, flags=LATE) if late else result, legs, now)
    deltas: list[Delta] = [HoldOpened(hold), *(GrantChanged(grant, spent=part) for grant, part in legs), ChargeWritten(charge, hold)]
    deltas.append(WindowsChanged(hold.windows, spent=charge.amounts))
    return Recorded(hold.id, charge.price, charge.paid, late), deltas


def _is_over(window: str, timezone: str, at: int, now: int) -> bool:
    """Whether a window that counted that moment counts now no longer."""
    lasts = windows.rolling_length(window) if window.startswith(windows.ROLLING) else 0
    return windows.end_of(window, timezone, at) + lasts <= now


def _hold(command: RecordEvent, legs: tuple[Leg, ...], now: int) -> Hold:
    """It is over when it is made: its amount is what was paid."""
    key, result = command.gate.key, command.result
    return Hold(
        id=command.hold_id,
        request_id=command.request_id,
        attempt=1,
        key=key.id,
        account=key.account,
        root=key.root,
        wallet=command.gate.wallet,
        amount=sum(part for _, part in legs),
        cost_bound=result.cost,
        tokens_bound=result.tokens,
        units=1,
        asked=result.price,
        legs=legs,
        windows=rooms.refs_of(command.gate, command.at),
        book_version=command.gate.book_version,
        markup_basis_points=command.markup_basis_points,
        markup_fixed_nano=command.markup_fixed_nano,
        provider=command.provider,
        model=command.model,
        route=command.route,
        owner=command.owner,
        created_at=command.at,
        deadline=now,
        run=command.run,
        user=command.user,
        tags=command.tags,
        state="captured",
        closed_at=now,
    )
