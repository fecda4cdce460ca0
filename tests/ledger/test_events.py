"""Events: one decision that holds and charges, in the windows of its own time, from the wallet of today."""

from ledger.desk import Desk


def test_an_event_is_charged_once_whatever_is_sent_again(desk: Desk) -> None:
    """The same content answers as before, other content is a conflict, a refusal stays one: nothing else moves."""
    desk.play(
        """
        edit key limit=700
        topup acc 1000
        event a 300 | recorded 300 paid 300
        event a 300 hold=other | recorded 300 paid 300 again
        event a 300 content=other | conflict
        event b 500 | refused exceeds_available key needed 500 available 400
        edit key limit=900
        event b 500 | refused exceeds_available key needed 500 available 400
        wallet acc | granted 1000 spent 300 held 0
        window key lifetime | held 0 spent 300
        """
    )


def test_an_event_counts_in_the_windows_of_its_time(desk: Desk) -> None:
    """A cap of that day decides, not today's; what it counts in and is over makes it late."""
    desk.play(
        """
        edit key limit=500 limit_reset=day
        topup acc 5000
        hold h 500
        capture h 500
        hold i 1 | refused budget_exceeded key
        event a 400 at=-1d | recorded 400 paid 400 late
        event b 200 at=-1d | refused budget_exceeded key needed 200 available 100
        event c 100 at=-34d | recorded 100 paid 100 late
        event d 100 at=-36d | refused event_too_old
        event e 100 at=+6m | refused event_in_future
        window key day | held 0 spent 100, held 0 spent 400, held 0 spent 500
        """
    )


def test_an_event_a_little_ahead_is_now(desk: Desk) -> None:
    """Somebody's clock is fast: it is not late tomorrow either, and its windows are those of now."""
    desk.play(
        """
        topup acc 5000
        at 2026-03-10T23:58:00Z
        event a 100 at=+4m | recorded 100 paid 100
        window key day | held 0 spent 100
        wait 10m
        hold h 50
        capture h 50
        window key day | held 0 spent 100, held 0 spent 50
        """
    )


def test_a_rolling_cap_counts_only_what_shares_a_ring_with_the_event(desk: Desk) -> None:
    """What is spent a week later says nothing of that hour; what is spent within an hour of it does, on either side."""
    desk.play(
        """
        topup acc 9000
        budget key 500 window=rolling:1h
        hold h 400
        capture h 400
        wait 7d
        hold i 500
        capture i 500
        event a 100 at=-167h | recorded 100 paid 100 late
        event b 1 at=-168h | refused budget_exceeded key needed 1 available 0
        event c 500 at=-24h | recorded 500 paid 500 late
        """
    )


def test_written_off_is_what_neither_money_nor_caps_cover(desk: Desk) -> None:
    """Charged whole; others' holds are never touched; a cap in cost bounds the price in proportion."""
    desk.play(
        """
        edit key limit=600
        topup acc 1000
        hold h 300
        event a 500 short=write_off | recorded 500 paid 300
        capture h 300 | charged 300 paid 300
        wallet acc | granted 1000 spent 600 held 0
        edit key limit=
        budget key 360 measure=provider_cost
        event b 200 cost=120 short=write_off | recorded 200 paid 100
        event c 900 short=write_off | recorded 900 paid 300
        wallet acc | granted 1000 spent 1000 held 0
        """
    )


def test_a_stopped_key_is_charged_for_what_was_done_before(desk: Desk) -> None:
    """Paused, expired, revoked, its account paused: since when decides."""
    desk.play(
        """
        topup acc 1000
        wait 1h
        edit key status=paused
        event a 10 | refused key_paused key
        event b 10 at=-1m | recorded 10 paid 10
        edit key status=revoked
        wait 1h
        event c 10 at=-30m | refused key_revoked key
        event d 10 at=-90m | recorded 10 paid 10
        key other account=acc
        edit acc account status=paused
        event e 10 key=other | refused account_paused acc
        event f 10 key=other at=-1m | recorded 10 paid 10
        """
    )


def test_rates_do_not_refuse_what_is_done(desk: Desk) -> None:
    """A minute's rate is for calls on their way."""
    desk.play(
        """
        edit key requests_per_minute=1 concurrent=1
        topup acc 1000
        event a 10 | recorded 10 paid 10
        event b 10 | recorded 10 paid 10
        hold h 10 | refused rate_limited key
        """
    )


def test_an_event_planned_with_what_changed_is_planned_again(desk: Desk) -> None:
    """And is not kept: it is decided when it comes again."""
    desk.play("topup acc 1000")
    desk.gates["old"] = desk.gate("key", "own/render")
    desk.play(
        """
        edit key limit=50
        event a 100 gate=old | requote key
        event a 10 content=other | recorded 10 paid 10
        """
    )


def test_an_event_can_be_refunded_and_not_captured(desk: Desk) -> None:
    """It is a charge like any other."""
    desk.play(
        """
        topup acc 1000
        event a 100
        refund a 40
        capture a 50 | conflict
        release a | conflict
        wallet acc | granted 1040 spent 100 held 0
        """
    )
