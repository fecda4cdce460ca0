"""When windows start and end: months, quarters, Mondays, and every way in which clocks change."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.clock import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, from_rfc3339, to_rfc3339
from farebox.ledger import windows
from farebox.ledger.model import Counter
from ledger.desk import Desk, in_words
from ledger.model import label_of

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Africa/Cairo",
    "Pacific/Apia",
)


def around(window: str, zone: str, at: str) -> tuple[str, str]:
    now = from_rfc3339(at)
    windows._spans.clear()
    return to_rfc3339(windows.start_of(window, zone, now)), to_rfc3339(windows.end_of(window, zone, now))


@pytest.mark.parametrize(
    ("window", "zone", "at", "start", "end"),
    [
        ("hour", "UTC", "2026-03-10T12:34:56.789Z", "2026-03-10T12:00:00Z", "2026-03-10T13:00:00Z"),
        ("hour", "Asia/Kolkata", "2026-03-10T12:34:56Z", "2026-03-10T12:30:00Z", "2026-03-10T13:30:00Z"),
        ("day", "UTC", "2026-03-10T23:59:59.999999Z", "2026-03-10T00:00:00Z", "2026-03-11T00:00:00Z"),
        ("day", "UTC", "2026-03-11T00:00:00Z", "2026-03-11T00:00:00Z", "2026-03-12T00:00:00Z"),
        ("day", "America/New_York", "2026-03-11T03:59:59Z", "2026-03-10T04:00:00Z", "2026-03-11T04:00:00Z"),
        ("week", "UTC", "2026-03-15T23:59:59Z", "2026-03-09T00:00:00Z", "2026-03-16T00:00:00Z"),
        ("week", "UTC", "2026-03-16T00:00:00Z", "2026-03-16T00:00:00Z", "2026-03-23T00:00:00Z"),
        ("week", "Europe/Berlin", "2026-03-29T21:59:59Z", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("month", "UTC", "2026-01-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        ("month", "UTC", "2026-02-28T23:59:59Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("month", "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        ("month", "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("month", "Europe/Berlin", "2026-03-31T22:00:00Z", "2026-03-31T22:00:00Z", "2026-04-30T22:00:00Z"),
        ("quarter", "UTC", "2026-03-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z"),
        ("quarter", "UTC", "2026-11-15T00:00:00Z", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("year", "America/New_York", "2027-01-01T04:59:59Z", "2026-01-01T05:00:00Z", "2027-01-01T05:00:00Z"),
        ("lifetime", "UTC", "2026-11-15T00:00:00Z", "1970-01-01T00:00:00Z", None),
    ],
)
def test_calendar_windows_are_those_of_the_wall_calendar(window: str, zone: str, at: str, start: str, end: str | None) -> None:
    """Days, Mondays, months, quarters and years begin at local midnight."""
    if end is None:
        assert windows.end_of(window, zone, from_rfc3339(at)) == windows.FOREVER
        return
    assert around(window, zone, at) == (start, end)


def test_a_day_on_which_clocks_go_forward_has_23_hours() -> None:
    """Berlin, 29 March 2026."""
    assert around("day", "Europe/Berlin", "2026-03-29T12:00:00Z") == ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")


def test_a_day_on_which_clocks_go_back_has_25_hours() -> None:
    """Berlin, 25 October 2026."""
    assert around("day", "Europe/Berlin", "2026-10-25T00:30:00Z") == ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")


def test_a_repeated_local_hour_is_two_windows() -> None:
    """02:00 to 03:00 happens twice in Berlin on 25 October 2026: an hour's budget is an hour's."""
    assert around("hour", "Europe/Berlin", "2026-10-25T00:30:00Z") == ("2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z")
    assert around("hour", "Europe/Berlin", "2026-10-25T01:30:00Z") == ("2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z")


def test_an_hour_in_which_clocks_move_by_half_an_hour_is_cut_there() -> None:
    """Lord Howe skips from 02:00 to 02:30 (4 October 2026, 15:30 UTC) and repeats 01:30 to 02:00 (4 April, 15:00 UTC)."""
    assert around("hour", "Australia/Lord_Howe", "2026-10-03T15:29:59Z") == ("2026-10-03T14:30:00Z", "2026-10-03T15:30:00Z")
    assert around("hour", "Australia/Lord_Howe", "2026-10-03T15:45:00Z") == ("2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z")
    assert around("hour", "Australia/Lord_Howe", "2026-04-04T14:59:59Z") == ("2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z")
    assert around("hour", "Australia/Lord_Howe", "2026-04-04T15:10:00Z") == ("2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z")


def test_a_day_that_has_no_midnight_starts_when_it_starts() -> None:
    """In Cairo clocks go from 00:00 to 01:00 on 24 April 2026; Apia had no 30 December 2011 at all."""
    assert around("day", "Africa/Cairo", "2026-04-24T10:00:00Z") == ("2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z")
    assert around("day", "Pacific/Apia", "2011-12-30T09:00:00Z")[1] == "2011-12-30T10:00:00Z"
    assert around("day", "Pacific/Apia", "2011-12-30T10:00:00Z")[0] == "2011-12-30T10:00:00Z"


@given(
    window=st.sampled_from(windows.CALENDAR),
    zone=st.sampled_from(ZONES),
    at=st.integers(from_rfc3339("2011-01-01T00:00:00Z"), from_rfc3339("2031-01-01T00:00:00Z")),
)
def test_windows_part_time_without_gap_or_overlap(window: str, zone: str, at: int) -> None:
    """Both ends of a window name the window itself, and the moments beside them its neighbours; people give it one name."""
    windows._spans.clear()
    start, end = windows.start_of(window, zone, at), windows.end_of(window, zone, at)
    assert start <= at < end
    counter = Counter("key", window, zone)
    assert label_of(counter, start) == label_of(counter, at) == label_of(counter, end - 1)
    assert label_of(counter, start - 1) != label_of(counter, at) != label_of(counter, end)
    for inside in (start, end - 1):
        windows._spans.clear()
        assert (windows.start_of(window, zone, inside), windows.end_of(window, zone, inside)) == (start, end)


@given(zone=st.sampled_from(ZONES), at=st.integers(from_rfc3339("2020-01-01T00:00:00Z"), from_rfc3339("2031-01-01T00:00:00Z")))
def test_a_day_starts_at_the_first_moment_of_its_date(zone: str, at: int) -> None:
    """Against the calendar itself."""
    start = windows.start_of("day", zone, at)
    local = datetime.fromtimestamp(start / 1e6, ZoneInfo(zone))
    assert local.date() == datetime.fromtimestamp(at // 1_000_000, ZoneInfo(zone)).date()
    assert (local - timedelta(seconds=1)).date() < local.date()


@pytest.mark.parametrize(
    ("window", "length", "step"),
    [
        ("rolling:1m", US_PER_MINUTE, 5_000_000),
        ("rolling:59m", 59 * US_PER_MINUTE, 295_000_000),
        ("rolling:1h", US_PER_HOUR, US_PER_MINUTE),
        ("rolling:24h", US_PER_DAY, 24 * US_PER_MINUTE),
        ("rolling:30d", 30 * US_PER_DAY, 12 * US_PER_HOUR),
    ],
)
def test_a_rolling_window_is_a_ring_of_equal_parts(window: str, length: int, step: int) -> None:
    """Sixty of them, or twelve below an hour; the ring reaches back over the whole length, and at most one part more."""
    assert (windows.rolling_length(window), windows.rolling_step(window)) == (length, step)
    now = from_rfc3339("2026-03-10T12:34:56.789Z")
    assert length <= now - windows.ring_start(window, now) < length + step
    assert windows.ring_start(window, now) % step == 0


@pytest.mark.parametrize(
    ("window", "zone"),
    [
        ("fortnight", "UTC"),
        ("", "UTC"),
        ("rolling:", "UTC"),
        ("rolling:0h", "UTC"),
        ("rolling:-1h", "UTC"),
        ("rolling:1.5h", "UTC"),
        ("rolling:\u0661h", "UTC"),
        ("rolling:401d", "UTC"),
        ("rolling:24", "UTC"),
        ("day", "Mars/Olympus"),
        ("day", ""),
        ("day", "../../etc/passwd"),
        ("day", "America"),
    ],
)
def test_what_is_not_a_window_is_refused_by_name(window: str, zone: str, desk: Desk) -> None:
    """By the rules themselves, and by the command that would set such a budget, which changes nothing."""
    with pytest.raises(windows.UnknownWindowError):
        windows.check(window, zone)
    if window:
        desk.play(f"budget key 10 window={window} zone='{zone}' | refused invalid_window key")
        assert desk.rows("SELECT count(*) FROM budgets WHERE scope = 'key' AND budgets <> '[]'") == [(0,)]


# --- what the ledger makes of them -----------------------------------------------------------------------------------------------------


def test_a_rolling_day_counts_over_midnight(desk: Desk) -> None:
    """What is spent at 23:59 is not there again at 00:01, as it is with a calendar day."""
    desk.play("""
        topup acc 1000
        budget key 100 window=rolling:24h
        at 2026-03-10T23:59:00Z
        hold a 100
        capture a 100
        at 2026-03-11T00:01:00Z
        hold b 1                 | refused budget_exceeded key needed 1 available 0
        at 2026-03-11T23:58:59Z
        hold b 1                 | refused budget_exceeded
        at 2026-03-12T00:24:00Z
        hold b 100               | held 100
        budget key 100 window=day
        at 2026-03-12T23:59:00Z
        hold c 1                 | refused held key
        at 2026-03-13T00:00:00Z
        hold c 100               | held 100
    """)


def test_a_call_across_midnight_is_settled_in_the_day_it_was_held_in(desk: Desk) -> None:
    """Late, in any zone, and when that day is long over: the window is the hold's, never computed again."""
    desk.play("""
        topup acc 1000
        budget key 100 window=day zone=Europe/Berlin
        at 2026-10-24T21:59:59Z
        hold a 60
        at 2026-10-24T22:00:00Z
        window key day@Europe/Berlin | held 60 spent 0
        hold b 100                   | held 100
        capture a 50                 | charged 50 paid 50
        window key day@Europe/Berlin | held 0 spent 50, held 100 spent 0
        at 2026-10-25T22:59:59Z
        hold c 1                     | refused held key
        wait 1s
        hold c 1                     | held 1
        release b                    | charged 0
        window key day@Europe/Berlin | held 0 spent 50, held 1 spent 0
    """)


def test_month_ends_and_leap_days_renew_budgets(desk: Desk) -> None:
    """The last moment of a month is in it, the next is not."""
    desk.play("""
        topup acc 1000
        budget key 10 window=month zone=America/New_York
        at 2028-03-01T04:59:59Z
        hold a 10                | held 10
        hold b 1                 | refused held key
        capture a 10
        hold b 1                 | refused budget_exceeded key
        at 2028-03-01T05:00:00Z
        hold b 10                | held 10
    """)


def test_an_hour_budget_in_a_repeated_hour_is_given_twice(desk: Desk) -> None:
    """Two hours pass, so two hours' budgets are there."""
    desk.play("""
        topup acc 1000
        budget key 10 window=hour zone=Europe/Berlin
        at 2026-10-25T00:59:59Z
        hold a 10                | held 10
        at 2026-10-25T01:00:00Z
        hold b 10                | held 10
        hold c 1                 | refused held
        at 2026-10-25T01:59:59Z
        hold c 1                 | refused held
        at 2026-10-25T02:00:00Z
        hold c 10                | held 10
    """)


def test_an_overage_of_long_ago_is_paid_under_the_ring_of_then_whoever_is_admitted_beside_it(desk: Desk) -> None:
    """A call that is admitted in the same batch looks at the ring of now, and needs nothing of what that has left behind; the overage does."""
    desk.play("topup acc 1000\nbudget key 100 window=rolling:1m\nhold a 60\nhold b 40\ncapture b 40\nwait 10m")
    over, beside = desk.batch((desk.command("capture a 90"),), (desk.command("hold c 100"),))
    assert isinstance(over, tuple)
    assert isinstance(beside, tuple)
    assert in_words(over[0]) == "charged 90 paid 60 lost 30"
    assert in_words(beside[0]) == "held 100 units 1 available 0"


def test_a_refusal_by_a_renewing_budget_says_when_it_renews(desk: Desk) -> None:
    """The end of the calendar window; of a ring, the moment its oldest part leaves it."""
    desk.play("topup acc 1000\nbudget key 10 window=week zone=Europe/Berlin\nat 2026-03-25T12:00:00Z\nhold a 11 | refused budget_exceeded")
    assert to_rfc3339(getattr(desk.answer, "renews_at", 0)) == "2026-03-29T22:00:00Z"
    desk.play("budget key 10 window=rolling:1h\nhold b 10\ncapture b 10\nwait 10m\nhold c 1 | refused budget_exceeded")
    at = getattr(desk.answer, "renews_at", 0)
    desk.now = at - 1
    desk.play("hold c 1 | refused budget_exceeded")
    desk.now = at
    desk.play("hold c 1 | held 1")


@pytest.mark.parametrize("home", ["sqlite"], indirect=True)  # PostgreSQL's time is the server's, whatever that is
def test_time_never_goes_back_in_the_ledger(desk: Desk) -> None:
    """A machine's clock that is set back does not open yesterday's budget again; whoever watches is told."""
    desk.play("""
        topup acc 1000
        budget key 10 window=day
        at 2026-03-11T00:00:01Z
        hold a 10
        at 2026-03-10T12:00:00Z
        hold b 1                 | refused held key
    """)
    assert desk.alarms == ["clock_went_back"]
    desk.reopen()
    desk.play("hold b 1 | refused held key")
    desk.alarms.clear()
