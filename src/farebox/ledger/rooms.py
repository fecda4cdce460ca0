"""How much room a call has: on its wallet and under every hard cap on its path, and which of them to name when it does not fit."""

from collections.abc import Iterator

import msgspec

from farebox.ledger import windows
from farebox.ledger.bounds import Bound
from farebox.ledger.commands import Authorize, Gate, Refused
from farebox.ledger.model import CONCURRENT, Budget, Hold, Leg, Measure, WindowRef
from farebox.ledger.state import State


class Room(msgspec.Struct, frozen=True, gc=False):
    """What one scope can still take, in its measure. `held` of it would come back if open holds were released."""

    scope: str
    measure: Measure
    room: int
    held: int
    window: str = ""
    renews_at: int | None = None
    rate: str = ""


def refs_of(gate: Gate, now: int) -> tuple[WindowRef, ...]:
    """The windows that a call held now is counted in, sorted: the order in which rows are locked."""
    if gate.refs:
        since, until, refs = gate.refs[0]
        if since <= now < until:
            return refs
    counters = gate.counters
    refs = tuple(sorted((counter.id, windows.start_of(counter.window, counter.timezone, now)) for counter in counters))
    until = min((windows.end_of(counter.window, counter.timezone, now) for counter in counters), default=now + 1)
    gate.refs[:] = [(now, until, refs)]
    return refs


def wallet_room(state: State, wallet: str, now: int) -> Room:
    free = held = 0
    for grant in state.drawable(wallet):
        if grant.effective_at <= now and (grant.expires_at is None or now < grant.expires_at):
            free += grant.amount - grant.spent - grant.held - grant.expired
            held += grant.held
    return Room(wallet, "price", free, held)


def cap_room(state: State, cap: Budget, now: int) -> Room:
    """The room of one hard cap in its current window; in a rolling one, over the ring of its sub-windows."""
    counter, measure = cap.counter, cap.measure
    if counter.window.startswith(windows.ROLLING):
        since = windows.ring_start(counter.window, now)
        until = now + windows.rolling_length(counter.window)  # what comes later shares no ring with this moment
        ring = [row for row in state.ring(counter.id, since) if row.start <= until and (row.held(measure) or row.spent(measure))]
        held, spent = sum(row.held(measure) for row in ring), sum(row.spent(measure) for row in ring)
        oldest = min((row.start for row in ring), default=now)
        renews = oldest + windows.rolling_length(counter.window) + windows.rolling_step(counter.window)
    else:
        row = state.window(counter.id, windows.start_of(counter.window, counter.timezone, now))
        held, spent = row.held(measure), 0 if cap.rate == CONCURRENT else row.spent(measure)
        renews = windows.end_of(counter.window, counter.timezone, now)
    lasts = counter.window == windows.LIFETIME
    return Room(counter.scope, measure, cap.limit - spent - held, held, counter.window, None if lasts else renews, cap.rate)


def rooms_of(state: State, gate: Gate, now: int) -> list[Room]:
    """The wallet first, then every hard cap."""
    return [wallet_room(state, gate.wallet, now), *[cap_room(state, cap, now) for cap in gate.caps if cap.hard]]


def rooms_to_grow(state: State, gate: Gate, hold: Hold, now: int) -> Iterator[Room]:
    """The same for a hold that is to grow: it counts in the windows it was made in, is no further request, and cannot wait for itself."""
    room = wallet_room(state, gate.wallet, now)
    own = sum(part for grant, part in hold.legs if state.grants[grant].is_effective(now))
    yield msgspec.structs.replace(room, held=room.held - own)
    counted = {counter for counter, _ in hold.windows}
    for cap in gate.caps:
        if cap.hard and cap.measure != "requests":
            room = cap_room(state, cap, hold.created_at)
            own = hold.bounds.of(cap.measure) if cap.counter.id in counted else 0
            yield msgspec.structs.replace(room, held=room.held - own)


def fit(command: Authorize, rooms: list[Room]) -> int | Refused:
    """The output units to hold for (as many as fit, up to what was asked), or why not even the fewest do (ledger.md §4, the order)."""
    bound = command.bound
    units = bound.units_max
    for room in rooms:
        measured = bound.measure(room.measure)
        if room.rate and measured.at(bound.units_min) > room.room:
            return Refused("rate_limited", scope=room.scope, measure=room.measure, window=room.rate, renews_at=room.renews_at)
        units = measured.most(room.room, units)
    ceiling = command.ceiling
    if ceiling is not None:
        if bound.price.at(bound.units_min) > ceiling:
            return Refused("exceeds_max_cost", needed=bound.price.at(bound.units_min), available=ceiling)
        units = bound.price.most(ceiling, units)
    return units if units >= bound.units_min else _refuse(bound, [room for room in rooms if not room.rate])


def short(bound: Bound, rooms: list[Room]) -> Refused | None:
    """Why something that needs exactly so much does not fit, if it does not."""
    return None if all(_need(bound, room) <= room.room for room in rooms) else _refuse(bound, rooms)


def _refuse(bound: Bound, rooms: list[Room]) -> Refused:
    """All would fit without what is held: `held`. Else the scope with the least room, measured against what it needs, decides."""
    short = [room for room in rooms if _need(bound, room) > room.room]
    without_holds = [room for room in short if _need(bound, room) > room.room + room.held]
    worst = min(without_holds or short, key=lambda room: (room.room * 1_000_000 // max(_need(bound, room), 1), room.scope))
    affordable = max(min(bound.measure(room.measure).most(room.room, bound.units_max) for room in rooms), 0)
    if not without_holds:
        reason = "held"
    elif worst.window not in ("", windows.LIFETIME):
        reason = "budget_exceeded"
    else:
        reason = "exhausted" if worst.room <= 0 else "exceeds_available"
    return Refused(
        reason,
        scope=worst.scope,
        measure=worst.measure,
        window=worst.window,
        needed=_need(bound, worst),
        available=max(worst.room, 0),
        affordable_units=affordable,
        renews_at=worst.renews_at,
    )


def _need(bound: Bound, room: Room) -> int:
    return bound.measure(room.measure).at(bound.units_min)


def draw(state: State, wallet: str, amount: int, now: int) -> tuple[Leg, ...]:
    """Which grants give how much, in their order. Gives less than the amount when there is less."""
    legs = []
    for grant in state.drawable(wallet):
        part = min(grant.available(now), amount)
        if part > 0:
            legs.append((grant.id, part))
            amount -= part
        if amount <= 0:
            break
    return tuple(legs)


def payable(state: State, gate: Gate, extra: "dict[Measure, int]", now: int) -> int:
    """How much of an overage may be paid: as far as every hard cap on the path has room, in its own measure (ledger.md §6)."""
    most = extra["price"]
    for cap in gate.caps:
        over = extra[cap.measure]
        if not cap.hard or cap.rate or over <= 0:
            continue
        room = max(cap_room(state, cap, now).room, 0)
        most = min(most, extra["price"] * room // over)
    return max(most, 0)
