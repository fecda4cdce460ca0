"""Whether a call fits is asked twice: once shortly, for nearly every call that does, and once in full. Both give the same answer."""

from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.clock import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE
from farebox.ledger import rooms, windows
from farebox.ledger.bounds import Affine, Bound
from farebox.ledger.commands import Authorize, Gate, Refused
from farebox.ledger.model import CONCURRENT, Account, Budget, Counter, Grant, Key, Window
from farebox.ledger.state import State

NOW = 20_000 * US_PER_DAY + 13 * US_PER_HOUR
small = st.integers(0, 12)
affines = st.builds(Affine, small, st.integers(0, 3), st.sampled_from((1, 3)), st.integers(0, 2))
bounds = st.builds(
    lambda price, cost, tokens, low, more: Bound(price, cost, tokens, low, low + more), affines, affines, affines, small, small
)
spans = ("lifetime", "day", "month", "rolling:1m", "rolling:1h")
budgets = st.builds(
    lambda scope, window, limit, measure, hard, rate: Budget(Counter(scope, window), limit, measure, hard, rate=rate),
    st.sampled_from(("key", "acc")),
    st.sampled_from(spans),
    st.integers(0, 60),
    st.sampled_from(("price", "provider_cost", "tokens", "requests")),
    st.sampled_from((True, True, True, False)),
    st.sampled_from(("", "", "tokens_per_minute", CONCURRENT)),
)
grants = st.builds(
    lambda amount, held, begins, ends: Grant(
        "", "acc", "purchase", 0, amount + held, effective_at=NOW + begins, expires_at=ends, held=held
    ),
    st.integers(0, 60),
    small,
    st.sampled_from((-1, 0, 1)),
    st.sampled_from((None, NOW, NOW + 1)),
)
numbers = st.lists(small, min_size=8, max_size=8)


def counted(state: State, caps: list[Budget], draw: st.DrawFn) -> None:
    """Puts something into windows of these caps: those of the present, and some that it must not be taken for."""
    for cap in caps:
        for ago in draw(st.lists(st.sampled_from((0, US_PER_MINUTE, 61 * US_PER_MINUTE, 2 * US_PER_DAY)), max_size=3)):
            start = windows.start_of(cap.counter.window, cap.counter.timezone, NOW - ago)
            if (cap.counter.id, start) not in state.windows:
                state.add_window(Window(cap.counter.id, start, *draw(numbers)))


@st.composite
def calls(draw: st.DrawFn) -> tuple[State, Authorize]:
    state, caps = State(), draw(st.lists(budgets, max_size=4))
    for number, grant in enumerate(draw(st.lists(grants, max_size=3))):
        grant.id = f"grant {number}"
        state.add_grant(grant)
    counted(state, caps, draw)
    gate = Gate(Key("key", "acc", "acc", "", "", 0), (Account("acc", "acc", "acc", 0),), (), tuple(caps), 1)
    ceiling = draw(st.one_of(st.none(), st.integers(0, 40)))
    return state, Authorize("hold", "req", 1, gate, draw(bounds), 0, 0, "openai", "gpt-4o", "chat", "p1", 1, ceiling=ceiling)


@settings(max_examples=400)
@given(calls())
def test_whoever_is_admitted_shortly_is_admitted_in_full(call: tuple[State, Authorize]) -> None:
    """With the same units, amounts and room; and what is refused is refused alike."""
    state, command = call
    found = rooms.rooms_of(state, command.gate, NOW)
    units = rooms.fit(command, found)
    asked = command.bound.at(command.bound.units_max)
    admitted = rooms.admit(state, command, asked, NOW)
    if isinstance(units, Refused):
        assert admitted == units
    else:
        assert admitted == (units, command.bound.at(units), min(room.room for room in found if room.measure == "price"))


@settings(max_examples=400)
@given(calls())
def test_there_is_room_for_all_that_is_asked_exactly_if_no_room_lessens_it(call: tuple[State, Authorize]) -> None:
    """The short answer is not given too seldom either."""
    state, command = call
    found = rooms.rooms_of(state, command.gate, NOW)
    asked = command.bound.at(command.bound.units_max)
    assert (rooms.room_for(state, command.gate, asked, NOW) is not None) == all(asked.of(room.measure) <= room.room for room in found)


@given(affines, st.integers(0, 1000))
def test_the_most_units_that_fit_are_those_whose_worst_case_fits(of: Affine, room: int) -> None:
    """`at` rounds up, and `most` is its inverse."""
    units = of.most(room, 50)
    assert units < 0 or of.at(units) <= room
    assert units == 50 or of.at(units + 1) > room or units < 0
    assert units >= 0 or of.at(0) > room


@given(
    st.integers(-(10**6), 10**18), st.integers(0, 10**12), st.sampled_from((1, 1000, 10**7)), st.integers(0, 10**9), st.integers(0, 10**6)
)
def test_a_worst_case_is_rounded_up(base: int, slope: int, scale: int, fixed: int, units: int) -> None:
    """Never down, and by less than one."""
    need = Affine(base, slope, scale, fixed).at(units) - fixed
    assert 0 <= need * scale - (base + units * slope) < scale
