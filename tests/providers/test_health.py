"""Who is asked, with which key, and who rests: the rules, without a clock."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from farebox import limits
from farebox.clock import US_PER_MS, US_PER_S
from farebox.providers.catalogue import Provider
from farebox.providers.health import Health, NotNow, Turn

LONGEST_US = max(limits.upstream_pause_ms_max, limits.provider_key_pause_ms_max) * US_PER_MS
TRY_US = limits.upstream_try_s_max * US_PER_S


def provider(*keys: str) -> Provider:
    return Provider("openai", "openai", "http://127.0.0.1:1", keys[0], "openai", api_keys=keys if len(keys) > 1 else ())


def health(*keys: str) -> tuple[Health, list[tuple[str, dict[str, Any]]]]:
    """A provider's health without chance, and what it tells."""
    told: list[tuple[str, dict[str, Any]]] = []
    return Health(provider(*keys or ("a",)), lambda name, facts: told.append((name, facts)), lambda _below: 0), told


def away(one: Health, now: int = 0) -> None:
    for _ in range(limits.connect_failures_max):
        one.unreached(one.turn(now), now)


def key_of(turn: Turn) -> str:
    return turn.provider.api_key


def test_a_healthy_provider_with_one_key_has_nothing_to_choose() -> None:
    """Every call has the same turn, and its success need not be told."""
    one, told = health()
    assert one.steady is not None
    assert key_of(one.steady) == "a"
    assert not one.steady.tries
    assert not told


def test_failures_in_a_row_are_counted_and_a_success_forgets_them() -> None:
    """One less than the limit, a success, and again: it never rests."""
    one, told = health()
    for _ in range(3):
        for _ in range(limits.connect_failures_max - 1):
            one.unreached(one.turn(0), 0)
        assert one.steady is None
        one.reached(one.turn(0))
        assert one.steady is not None
    assert not told


def test_a_provider_that_cannot_be_reached_rests_and_one_call_tries_it() -> None:
    """Nobody is let through during the pause, one after it, and everybody when that one got a connection."""
    one, told = health()
    away(one)
    with pytest.raises(NotNow) as no:
        one.turn(0)
    assert not no.value.account
    assert no.value.retry_after_s == 1
    due = limits.upstream_pause_ms_min * US_PER_MS
    turn = one.turn(due)
    assert turn.tries
    with pytest.raises(NotNow):
        one.turn(due)
    one.reached(turn)
    assert one.steady is not None
    assert [name for name, _ in told] == ["upstream_away", "upstream_back"]


def test_each_rest_in_a_row_is_twice_as_long_up_to_the_limit() -> None:
    """500 ms, a second, two … and no more than half a minute; told of once."""
    one, told = health()
    away(one)
    now, pauses = 0, []
    for _ in range(12):
        with pytest.raises(NotNow):
            one.turn(now)
        pauses.append(one.way.wait_us(now) // US_PER_MS)
        now += one.way.wait_us(now)
        one.unreached(one.turn(now), now)
    assert pauses[:7] == [500, 1000, 2000, 4000, 8000, 16000, 30000]
    assert set(pauses[6:]) == {limits.upstream_pause_ms_max}
    assert len(told) == 1


def test_chance_makes_a_pause_up_to_a_quarter_shorter() -> None:
    """So that many processes do not ask in the same moment; never longer, and never nothing."""
    one = Health(provider("a"), lambda *_: None, lambda below: below - 1)
    away(one)
    assert one.way.wait_us(0) == limits.upstream_pause_ms_min * US_PER_MS * 3 // 4


def test_what_was_begun_before_a_rest_neither_lengthens_nor_ends_it() -> None:
    """A hundred calls that fail together are one rest, and an answer that was on its way says nothing of now."""
    one, _ = health()
    turns = [one.turn(0) for _ in range(100)]
    for turn in turns[:-1]:
        one.unreached(turn, 0)
    assert one.way.rests == 1
    one.answered(turns[-1], 200, 0)
    assert one.way.rests == 1


def test_a_try_of_which_nothing_is_heard_does_not_close_the_way() -> None:
    """Its caller left and said so, or did not: the next try begins at once, or when the first took too long."""
    one, _ = health()
    away(one)
    now = limits.upstream_pause_ms_min * US_PER_MS
    one.left(one.turn(now))
    silent = one.turn(now)
    with pytest.raises(NotNow):
        one.turn(now + TRY_US - 1)
    later = one.turn(now + TRY_US)
    one.unreached(silent, now + TRY_US)
    assert one.way.rests == 1
    one.reached(later)
    assert one.steady is not None


def test_only_many_errors_in_a_row_keep_callers_out() -> None:
    """Errors of one caller's request must not: any answer in between counts for the provider, whatever its status below 500."""
    one, told = health()
    for _ in range(5):
        for _ in range(limits.upstream_errors_max - 1):
            one.answered(one.turn(0), 503, 0)
        one.answered(one.turn(0), 404, 0)
    assert one.steady is not None
    for _ in range(limits.upstream_errors_max):
        one.unanswered(one.turn(0), 0)
    assert one.away
    assert [(name, facts["why"]) for name, facts in told] == [("upstream_away", "errors")]


@pytest.mark.parametrize("status", [401, 402, 429])
def test_a_refused_key_rests_and_the_others_are_used(status: int) -> None:
    """One alarm, by the key's number and never the key; nobody gets it until its rest is over."""
    one, told = health("a", "b", "c")
    for _ in range(6):
        turn = one.turn(0)
        if key_of(turn) == "b":
            one.refused(turn, status, b"{}", "", 0)
    assert {key_of(one.turn(0)) for _ in range(9)} == {"a", "c"}
    assert told == [("upstream_account", {"provider": "openai", "provider_key": 2, "status": status})]
    assert one.resting == 1


def test_a_key_comes_back_when_it_is_accepted_again() -> None:
    """One call tries it, before the others are used; an error that is the caller's is acceptance, too. Then it is over, and said."""
    one, told = health("a", "b")
    turn = one.turn(0)
    one.refused(turn, 401, b"", "", 0)
    now = limits.provider_key_pause_ms_min * US_PER_MS
    again = one.turn(now)
    assert (key_of(again), again.tries) == (key_of(turn), True)
    assert key_of(one.turn(now)) != key_of(turn)
    one.answered(again, 400, now)
    one.erred(again, 400, 0, "", now)
    assert one.resting == 0
    assert [name for name, _ in told] == ["upstream_account", "upstream_account_over"]


def test_when_every_key_rests_nobody_is_asked_for_the_account() -> None:
    """And the wait is the shortest of theirs."""
    one, _ = health("a", "b", "c")
    for now in (0, 1_000_000, 2_000_000):
        one.refused(one.turn(now), 401, b"", "", now)
    with pytest.raises(NotNow) as no:
        one.turn(2_000_000)
    assert no.value.account
    assert no.value.retry_after_s == 3


@pytest.mark.parametrize(
    ("status", "body"),
    [(403, b""), (400, b""), (404, b""), (401, b'{"error":{"message":"Missing scopes: model.request"}}'), (401, b"You have no PERMISSION")],
)
def test_a_refusal_that_may_be_of_the_request_makes_no_key_rest(status: int, body: bytes) -> None:
    """A file that is not the caller's, a model that the key may not use: the key goes on for everything else, and for this if there is no other."""
    one, told = health("a", "b")
    one.refused(one.turn(0), status, body, "chat m", 0)
    assert {key_of(one.turn(0, "chat m")) for _ in range(4)} == {"b"}
    assert {key_of(one.turn(0, "chat n")) for _ in range(4)} == {"a", "b"}
    assert len(told) == 1
    one.refused(one.turn(0, "chat m"), status, body, "chat m", 0)
    assert {key_of(one.turn(0, "chat m")) for _ in range(4)} == {"a", "b"}
    alone, _ = health()
    alone.refused(alone.turn(0), status, body, "chat m", 0)
    assert alone.steady is not None


def test_a_key_whose_rate_is_reached_is_passed_over_for_so_long() -> None:
    """For this model on this route, while there is another; the provider's word counts, up to a limit."""
    one, told = health("a", "b")
    first = one.turn(0, "chat m")
    one.erred(first, 429, 7 * US_PER_S, "chat m", 0)
    assert {key_of(one.turn(7 * US_PER_S - 1, "chat m")) for _ in range(4)} == {"b"}
    assert {key_of(one.turn(7 * US_PER_S, "chat m")) for _ in range(4)} == {"a", "b"}
    one.erred(first, 429, 10**15, "chat m", 0)
    assert {key_of(one.turn(LONGEST_US, "chat m")) for _ in range(4)} == {"a", "b"}
    assert not told


def test_when_every_key_is_passed_over_the_one_that_is_free_first_is_used() -> None:
    """The provider itself says no, if it does: what is too much for a large request may be enough for a small one."""
    one, _ = health("a", "b")
    for wait in (9, 4):
        one.erred(one.turn(0, "m"), 429, wait * US_PER_S, "m", 0)
    assert {key_of(one.turn(0, "m")) for _ in range(4)} == {"b"}


def test_another_key_for_the_same_call_is_one_that_was_not_tried_and_is_well() -> None:
    """Neither one that rests, nor one that is passed over, nor one of a provider that is away; with one key there is none."""
    one, _ = health("a", "b", "c")
    first = one.turn(0, "m")
    one.refused(first, 401, b"", "m", 0)
    second = one.other(0, "m", {first.number})
    assert second is not None
    one.erred(second, 429, US_PER_S, "m", 0)
    third = one.other(0, "m", {first.number, second.number})
    assert third is not None
    assert {key_of(turn) for turn in (first, second, third)} == {"a", "b", "c"}
    assert one.other(0, "m", {first.number, second.number, third.number}) is None
    away(one)
    assert one.other(0, "m", {first.number}) is None
    alone, _ = health()
    assert alone.other(0, "m", {0}) is None


def test_what_is_passed_over_is_bounded() -> None:
    """However many names callers think of."""
    one, _ = health("a", "b")
    turn = one.turn(0)
    for number in range(3 * limits.purposes_passed_over_max):
        one.erred(turn, 429, US_PER_S, f"m{number}", number)
    assert len(one.keys[turn.number].passed_over) <= limits.purposes_passed_over_max


class Fares(RuleBasedStateMachine):
    """Any calls, any outcomes, in any order, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.open: list[tuple[Turn, int]] = []
        self.one = Health(provider("a", "b", "c"), lambda name, facts: self.told.append((name, facts)), lambda below: below // 2)

    @rule(purpose=st.sampled_from(["", "m"]))
    def take(self, purpose: str) -> None:
        trying = [turn for turn, at in self.open if turn.tries and self.now < at + TRY_US]
        was_away = self.one.away
        open_way = self.one.way.may(self.now) and self.one.answers.may(self.now)
        if not open_way or not any(key.pause.may(self.now) for key in self.one.keys):
            with pytest.raises(NotNow) as no:
                self.one.turn(self.now, purpose)
            assert 1 <= no.value.retry_after_s <= LONGEST_US // US_PER_S
            assert no.value.account == open_way
            return
        turn = self.one.turn(self.now, purpose)
        assert not (was_away and [one for one in trying if self._counts(one)]), "two tries at once"
        self.open.append((turn, self.now))

    def _counts(self, turn: Turn) -> bool:
        """Whether what comes of a turn is still listened to."""
        return (self.one.way.rests > 0 and turn.way == self.one.way._age) or (
            self.one.answers.rests > 0 and turn.answers == self.one.answers._age
        )

    @precondition(lambda self: self.open)
    @rule(data=st.data(), outcome=st.sampled_from(["ok", "404", "401", "429", "500", "connect", "silent", "left", "reached"]))
    def hear(self, data: st.DataObject, outcome: str) -> None:
        turn, _ = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        one, now = self.one, self.now
        if outcome == "connect":
            one.unreached(turn, now)
        elif outcome == "silent":
            one.unanswered(turn, now)
        elif outcome == "reached":
            one.reached(turn)
        elif outcome == "left":
            one.left(turn)
        else:
            status = 200 if outcome == "ok" else int(outcome)
            one.answered(turn, status, now)
            if status == 401:
                one.refused(turn, status, b"", "m", now)
            elif status >= 400:
                one.erred(turn, status, US_PER_S, "m", now)

    @rule(seconds=st.sampled_from([0, 1, 5, 10, 30, 90]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * US_PER_S

    @invariant()
    def changes_are_told_once(self) -> None:
        """Each alarm is followed by its end before the same is told again, and what was told last is so."""
        state: dict[object, bool] = {}
        for name, facts in self.told:
            thing = facts.get("provider_key") or facts.get("why", "way back")
            if name in ("upstream_account", "upstream_account_over"):
                assert state.get(thing, False) == (name == "upstream_account_over")
                state[thing] = name == "upstream_account"
        for number, key in enumerate(self.one.keys):
            assert state.get(number + 1, False) == bool(key.pause.rests)

    def teardown(self) -> None:
        """Whatever happened: when enough time has passed and the provider is well, so is everything."""
        for _ in range(8):
            self.now += LONGEST_US + TRY_US
            self.one.answered(self.one.turn(self.now), 200, self.now)
        assert not self.one.away
        assert self.one.resting == 0


TestFares = Fares.TestCase
TestFares.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
