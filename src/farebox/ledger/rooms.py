"""How much room a call has: on its wallet and under every hard cap on its path, and which of them to name when it does not fit."""

from collections.abc import Iterator

import msgspec

from farebox.ledger import windows
from farebox.ledger.bounds import Bound
from farebox.ledger.commands import Authorize, Gate, Refused, Span
from farebox.ledger.model import CONCURRENT, Amounts, Budget, Hold, Leg, Measure, WindowRef
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


def span_of(gate: Gate, now: int) -> Span:
    """The windows that a call held now is counted in and capped by. What is told of afterwards does not displace what is remembered of the present."""
    spans = gate.spans
    if spans:
        known = spans[0]
        if known.since <= now < known.until:
            return known
    counters = {counter.id: counter for counter in (*gate.counters, *[cap.counter for cap in gate.caps])}
    at = {name: windows.span_of(counter.window, counter.timezone, now) for name, counter in counters.items()}
    refs = {name: (name, start) for name, (start, _) in at.items()}
    looks = {name: None if counter.window.startswith(windows.ROLLING) else refs[name] for name, counter in counters.items()}
    span = Span(
        now,
        min((end for _, end in at.values()), default=now + 1),
        tuple(sorted(refs[counter.id] for counter in gate.counters)),
        tuple((cap, looks[cap.counter.id]) for cap in gate.caps if cap.hard),
    )
    if not spans or spans[0].since < now:
        spans[:] = [span]
    return span


def refs_of(gate: Gate, now: int) -> tuple[WindowRef, ...]:
    """The windows that a call held now is counted in."""
    return span_of(gate, now).refs


def wallet_room(state: State, wallet: str, now: int) -> Room:
    free = held = 0
    for grant in state.drawable(wallet):
        if grant.is_effective(now):
            free += grant.free
            held += grant.held
    return Room(wallet, "price", free, held)


def cap_room(state: State, cap: Budget, now: int) -> Room:
    """The room of one hard cap in its current window; in a rolling one, over the ring of its sub-windows."""
    counter = cap.counter
    if counter.window.startswith(windows.ROLLING):
        held, spent, oldest = _in_ring(state, cap, now)
        renews = oldest + windows.rolling_length(counter.window) + windows.rolling_step(counter.window)
    else:
        start, renews = windows.span_of(counter.window, counter.timezone, now)
        held, spent, _ = _in_window(state, cap, (counter.id, start))
    lasts = counter.window == windows.LIFETIME
    return Room(counter.scope, cap.measure, cap.limit - spent - held, held, counter.window, None if lasts else renews, cap.rate)


def _in_window(state: State, cap: Budget, ref: WindowRef) -> tuple[int, int, int]:
    """What is held and what is spent of a cap in one window, and since when."""
    row = state.windows.get(ref)
    if row is None:
        return 0, 0, ref[1]
    if cap.rate == CONCURRENT:
        return row.held(cap.measure), 0, ref[1]
    return row.held(cap.measure), row.spent(cap.measure), ref[1]


def _in_ring(state: State, cap: Budget, now: int) -> tuple[int, int, int]:
    """What is held and what is spent of a cap in the ring of a moment, and since when."""
    counter, measure = cap.counter, cap.measure
    since = windows.ring_start(counter.window, now)
    until = now + windows.rolling_length(counter.window)  # what comes later shares no ring with this moment
    held = spent = 0
    oldest = None
    for row in state.ring(counter.id, since):
        there, gone = row.held(measure), row.spent(measure)
        if row.start <= until and (there or gone):
            held += there
            spent += gone
            oldest = row.start if oldest is None else min(oldest, row.start)
    return held, spent, now if oldest is None else oldest


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


def admit(state: State, command: Authorize, asked: Amounts, now: int) -> tuple[int, Amounts, int] | Refused:
    """The output units to hold for, what they come to at most, and the least room for money on the path; or why not even the fewest do."""
    bound, ceiling = command.bound, command.ceiling
    least = room_for(state, command.gate, asked, now)
    if least is not None and bound.units_min <= bound.units_max and (ceiling is None or asked.price <= ceiling):
        return bound.units_max, asked, least
    found = rooms_of(state, command.gate, now)
    units = fit(command, found)
    return units if isinstance(units, Refused) else (units, bound.at(units), min(room.room for room in found if room.measure == "price"))


def room_for(state: State, gate: Gate, asked: Amounts, now: int) -> int | None:
    """What `fit` says of nearly every call, without a word for whoever is refused: the least room for money, if all that is asked fits everywhere."""
    least = 0
    for grant in state.drawable(gate.wallet):
        least += grant.available(now)
    for cap, ref in span_of(gate, now).caps:
        held, spent, _ = _in_ring(state, cap, now) if ref is None else _in_window(state, cap, ref)
        room = cap.limit - held - spent
        if cap.measure != "price":
            if asked.of(cap.measure) > room:
                return None
        elif room < least:
            least = room
    return least if asked.price <= least else None


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
    if amount <= 0:
        return ()
    legs = []
    for grant in state.drawable(wallet):
        part = grant.available(now)
        if part >= amount:
            legs.append((grant.id, amount))
            break
        if part > 0:
            legs.append((grant.id, part))
            amount -= part
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
