"""The money bugs of other gateways (each row happened somewhere), as tables: one command a line, with what it must come to."""

import pytest

from farebox.ledger.commands import Authorized
from ledger.desk import Desk


def test_what_is_held_cannot_be_held_again(desk: Desk) -> None:
    """Read, compare, then update: two calls on a balance for one."""
    desk.play("""
        topup acc 100
        hold a 100       | held 100 units 1 available 0
        hold b 100       | refused held acc needed 100 available 0
        hold b 1         | refused held acc
        wallet acc       | granted 100 spent 0 held 100
        release a        | charged 0 paid 0
        hold b 100       | held 100
    """)


def test_many_calls_in_one_batch_share_one_balance(desk: Desk) -> None:
    """Twenty calls of 75 on 500 in one commit: exactly six, and the rest move nothing."""
    desk.play("topup acc 500")
    answers = desk.batch(*((desk.command(f"hold h{number} 75"),) for number in range(20)))
    admitted = [answer for answer in answers if isinstance(answer, tuple) and isinstance(answer[0], Authorized)]
    assert len(admitted) == 6
    desk.play("wallet acc | granted 500 spent 0 held 450")
    assert desk.rows("SELECT count(*) FROM holds") == [(6,)]


def test_the_first_use_of_every_row_may_come_in_one_batch(desk: Desk) -> None:
    """A new account, a new key, no window yet: many first calls at once count in one row each."""
    desk.play("topup acc 1000")
    answers = desk.batch(*((desk.command(f"hold h{number} 10"),) for number in range(20)))
    assert all(type(answer[0]).__name__ == "Authorized" for answer in answers if isinstance(answer, tuple))
    desk.play("window key day | held 200 spent 0\nwindow key lifetime | held 200 spent 0")
    assert desk.rows("SELECT count(*) FROM windows") == [(4,)]


@pytest.mark.parametrize("money", [1, 1_000_000_000, 10**15, 2**62 - 1])
def test_the_rich_are_held_like_the_poor(desk: Desk, money: int) -> None:
    """The same behaviour at every balance: nobody skips the hold."""
    desk.play(f"""
        topup acc {money}
        hold a {money}   | held {money} units 1 available 0
        hold b 1         | refused held acc
        capture a {money} | charged {money} paid {money} lost 0
        hold b 1         | refused exhausted acc needed 1 available 0
    """)


def test_a_named_cap_is_kept_or_refused_and_never_shrunk(desk: Desk) -> None:
    """It may cost 500 and there are 10: refused, with both figures, and nothing moved."""
    desk.play("""
        topup acc 10
        hold a 0 each=10 units=50-50 | refused exceeds_available acc needed 500 available 10
        wallet acc                   | granted 10 spent 0 held 0
        window key day               | nothing
    """)


def test_an_unnamed_cap_is_lowered_and_the_lowered_one_is_held(desk: Desk) -> None:
    """As many units as fit, and what goes upstream is what was computed with; not below the fewest that make sense."""
    desk.play("""
        topup acc 100
        budget key 55
        hold a 5 each=10 units=2-50 | held 55 units 5 available 0
        release a
        hold b 36 each=10 units=2-50 | refused exceeds_available key needed 56 available 55
        wallet acc                   | granted 100 spent 0 held 0
    """)


def test_overage_is_not_drawn_past_the_keys_cap(desk: Desk) -> None:
    """A key of 1 on a wallet of 100, and the provider bills 3: 1 is paid, 2 are the operator's loss."""
    desk.play("""
        topup acc 100
        budget key 1
        hold a 1
        capture a 3      | charged 3 paid 1 lost 2
        wallet acc       | granted 100 spent 1 held 0
        window key lifetime | held 0 spent 3
        hold b 1         | refused exhausted key needed 1 available 0
    """)


@pytest.mark.parametrize("measure", ["price", "provider_cost", "tokens"])
def test_overage_is_paid_as_far_as_every_hard_cap_has_room(desk: Desk, measure: str) -> None:
    """In each measure a cap may have: half of the overage fits, so half of it is paid."""
    desk.play(f"""
        topup acc 1000
        budget acc 60 measure={measure}
        hold a 40 cost=40 tokens=40
        capture a 80 cost=80 tokens=80 | charged 80 paid 60 lost 20
    """)


def test_a_soft_budget_refuses_nothing_and_limits_no_overage(desk: Desk) -> None:
    """It is watched."""
    desk.play("topup acc 100\nbudget key 1 soft\nhold a 50\ncapture a 70 | charged 70 paid 70\nwindow key lifetime | held 0 spent 70")


def test_capture_above_hold_leaves_siblings_untouched(desk: Desk) -> None:
    """An overrun with a sibling open: the sibling's money stays its own, what lacks is written off and booked."""
    desk.play("""
        topup acc 100
        hold a 60
        hold b 40
        capture a 90     | charged 90 paid 60 lost 30
        wallet acc       | granted 100 spent 60 held 40
        capture b 40     | charged 40 paid 40 lost 0
    """)


def test_an_overrun_on_an_empty_wallet_is_charged_and_written_off(desk: Desk) -> None:
    """Settling never fails for lack of money; windows count it whole."""
    desk.play("""
        topup acc 10
        hold a 10
        capture a 1000000 | charged 1000000 paid 10 lost 999990
        window key day    | held 0 spent 1000000
        wallet acc        | granted 10 spent 10 held 0
    """)


def test_caps_may_be_lowered_below_what_is_spent_and_never_block_a_capture(desk: Desk) -> None:
    """The next call is refused; the one in flight is charged."""
    desk.play("""
        topup acc 100
        budget key 50
        hold a 30
        budget key 10
        capture a 30     | charged 30 paid 30
        hold b 1         | refused exhausted key needed 1 available 0
        budget key 31
        hold b 1         | held 1 units 1 available 0
    """)


@pytest.mark.parametrize("window", ["lifetime", "day", "month", "year", "rolling:24h"])
def test_every_edit_of_a_cap_keeps_what_is_spent(desk: Desk, window: str) -> None:
    """Raised, lowered, made soft, taken away and set again: the counter goes on."""
    desk.play(f"""
        topup acc 1000
        budget key 50 window={window}
        hold a 30
        capture a 30
        budget key 40 window={window}
        hold b 11        | refused
        budget key 40 window={window} soft
        hold c 5         | held 5
        budget key none
        capture c 5
        budget key 40 window={window}
        hold b 6         | refused
        hold b 5         | held 5
    """)


@pytest.mark.parametrize(
    ("window", "models"), [("lifetime", ""), ("year", ""), ("rolling:1h", ""), ("quarter", "openai/*"), ("day", "gpt-4o")]
)
def test_a_counter_made_late_knows_what_was_before(desk: Desk, window: str, models: str) -> None:
    """Filled from charges, from open holds, and from lost ones whose truth is still to come; verify adds all of it up."""
    desk.play(f"""
        topup acc 1000
        hold done 20
        capture done 15
        hold open 30
        hold lost 8
        expire lost
        hold other 7 model=anthropic/claude
        release other
        budget acc 60 window={window} models={models}
        hold a 8         | refused
        hold a 7         | held 7
        capture lost 3   | charged 3 paid 3 lost 0 revised
        hold b 6         | refused
        hold b 5         | held 5
        capture open 10  | charged 10 paid 10
        hold c 20        | held 20
    """)


def test_a_hold_that_waits_on_a_stale_plan_is_planned_again(desk: Desk) -> None:
    """A revoked key, a changed cap, a paused account, a new price book: all count from the next request on."""
    desk.play("""
        topup acc 100
        hold a 1
        budget key 1000
        hold b 1 gate=a          | requote key
        hold c 1
        budget acc 1000
        hold d 1 gate=c          | requote account
        hold e 1
        book 2
        hold f 1 gate=e          | requote prices
        hold g 1
        edit key status=revoked
        hold h 1 gate=g          | requote key
        hold h 1                 | refused key_revoked key
        capture g 1              | charged 1 paid 1
    """)


def test_holds_are_not_shown_as_spent(desk: Desk) -> None:
    """Held and spent apart, everywhere."""
    desk.play("""
        topup acc 100
        hold a 70
        wallet acc          | granted 100 spent 0 held 70
        window key day      | held 70 spent 0
        capture a 20
        wallet acc          | granted 100 spent 20 held 0
        window key day      | held 0 spent 20
    """)


def test_a_top_up_is_credited_once(desk: Desk) -> None:
    """Repeated, in one batch and later: one credit, the same answer. Another amount under its id: an error."""
    desk.play("""
        topup acc 100 id=evt_1
        topup acc 100 id=evt_1           | done 100 again
        topup acc 100 id=evt_1 grant=x   | done 100 again
        topup acc 101 id=evt_1           | conflict
        adjust acc 100 id=evt_1          | conflict
        wallet acc                       | granted 100
    """)
    same = desk.command("topup acc 7 id=evt_2")
    (first,), (second,) = (answer for answer in desk.batch((same,), (same,)) if isinstance(answer, tuple))
    assert (getattr(first, "repeated", None), getattr(second, "repeated", None)) == (False, True)
    desk.play("wallet acc | granted 107")


def test_a_refused_outside_command_stays_refused(desk: Desk) -> None:
    """Its outcome is kept for ever, so a repeat cannot take effect after all; another id can."""
    desk.play("""
        adjust acc -5 id=one  | refused exceeds_available acc needed 5 available 0
        topup acc 100
        adjust acc -5 id=one  | refused exceeds_available acc needed 5 available 0
        adjust acc -5 id=two  | done -5
        wallet acc            | granted 95
    """)


def test_a_wallet_is_where_the_tree_says(bare: Desk) -> None:
    """A call draws on the nearest own wallet going up, even when that is empty; it never falls through. Caps bind all the way up."""
    bare.play("""
        book 1
        account org
        account team parent=org wallet=parent
        account customer parent=team
        key shared account=team
        key own account=customer
        topup org 100
        topup team 5             | refused no_own_wallet team
        hold a 60 key=shared     | held 60 units 1 available 40
        hold b 1 key=own         | refused exhausted customer needed 1 available 0
        topup customer 50
        budget org 90
        hold b 31 key=own        | refused held org needed 31 available 30
        hold b 30 key=own        | held 30 units 1 available 0
        wallet org               | granted 100 spent 0 held 60
        wallet customer          | granted 50 spent 0 held 30
    """)


def test_money_does_not_leave_its_root(bare: Desk) -> None:
    """A move stays under one root, keeps what the grant was, and takes only what is available."""
    bare.play("""
        account org
        account team parent=org
        account other
        topup org 100 kind=promotion priority=3 ends=+1d
        move org other 10        | refused other_root other
        move org org 10          | refused invalid_amount
        move org team 101        | refused exceeds_available org needed 101 available 100
        move org team 40 id=m    | done 40
        move org team 40 id=m    | done 40 again
        wallet org               | granted 60
        wallet team              | granted 40
    """)
    assert bare.rows("SELECT kind, priority, expires_at - created_at FROM grants WHERE wallet = 'team'") == [
        ("promotion", 3, 86_400_000_000)
    ]


def test_grants_are_drawn_in_their_order(desk: Desk) -> None:
    """Priority, soonest expiry, promotional before paid, oldest."""
    desk.play("""
        topup acc 10 grant=paid
        wait 1s
        topup acc 10 grant=paid_later
        topup acc 10 grant=gift kind=promotion
        topup acc 10 grant=ending ends=+9d
        topup acc 10 grant=soon ends=+2d
        topup acc 10 grant=first priority=-1
        topup acc 10 grant=last priority=1 ends=+1d
        hold a 65
    """)
    (legs,) = desk.rows("SELECT legs FROM holds")
    assert legs == ('[["first",10],["soon",10],["ending",10],["gift",10],["paid",10],["paid_later",10],["last",5]]',)


def test_a_grant_counts_from_its_beginning_to_its_end(desk: Desk) -> None:
    """Decided by the time of the command, not by a job; what expires while held stays held, and what is released of it has expired."""
    desk.play("""
        topup acc 100 grant=g begins=+1h ends=+2h
        hold a 1                 | refused exhausted acc
        wait 1h
        hold a 60                | held 60 units 1 available 40
        wait 1h
        hold b 1                 | refused exhausted acc needed 1 available 0
        expiry g                 | done 40
        capture a 25             | charged 25 paid 25
        hold b 1                 | refused exhausted
        expiry g                 | done 35
        expiry g                 | unchanged
        grant g                  | granted 100 spent 25 held 0 expired 75
    """)


def test_an_overage_is_not_paid_from_what_has_expired_or_not_begun(desk: Desk) -> None:
    """Only from effective, unheld grants."""
    desk.play("""
        topup acc 10 ends=+1h
        topup acc 50 ends=+2h
        topup acc 50 begins=+3h
        hold a 10
        wait 2h
        capture a 30             | charged 30 paid 10 lost 20
    """)


def test_held_money_of_an_expired_grant_is_no_reason_to_wait(desk: Desk) -> None:
    """`held` means that it would fit once open calls end. What they release here has expired, so it never will."""
    desk.play("""
        topup acc 100 ends=+1h
        hold a 100
        wait 1h
        hold b 10                | refused exhausted acc needed 10 available 0
    """)


def test_a_refund_gives_back_at_most_what_was_paid(desk: Desk) -> None:
    """In parts, together; repeated once; and it lowers neither what is spent nor any cap."""
    desk.play("""
        topup acc 100
        budget key 50
        hold a 50
        refund a                 | refused unknown_charge
        capture a 50
        refund a 20 id=r         | done 20
        refund a 20 id=r         | done 20 again
        refund a 21 id=r         | conflict
        refund a 31              | refused exceeds_paid a needed 31 available 30
        refund a -1              | refused exceeds_paid
        refund a                 | done 30
        refund a                 | refused exceeds_paid
        wallet acc               | granted 150 spent 50 held 0
        window key lifetime      | held 0 spent 50
        hold b 1                 | refused exhausted key
    """)


def test_written_off_money_is_not_refunded(desk: Desk) -> None:
    """What was never paid is never given back."""
    desk.play("topup acc 10\nhold a 10\ncapture a 30 | charged 30 paid 10 lost 20\nrefund a | done 10\nrefund a 1 | refused exceeds_paid")


def test_nothing_can_be_taken_that_is_held(desk: Desk) -> None:
    """Adjusting and moving take from what is available only."""
    desk.play("""
        topup acc 100
        account team parent=acc
        hold a 70
        adjust acc -31           | refused exceeds_available acc needed 31 available 30
        move acc team 31         | refused exceeds_available acc needed 31 available 30
        adjust acc -30           | done -30
        capture a 70             | charged 70 paid 70
        wallet acc               | granted 70 spent 70 held 0
    """)


@pytest.mark.parametrize("amount", [0, -1, 2**62, 2**63, 2**70])
def test_amounts_that_are_none_are_refused(desk: Desk, amount: int) -> None:
    """Zero, negative, and more than can be booked."""
    desk.play(f"topup acc {amount} | refused invalid_amount\nwallet acc | granted 0 spent 0")


def test_a_price_of_zero_is_held_and_charged_as_rows(desk: Desk) -> None:
    """Free models work without money, and are counted like all others."""
    desk.play("""
        budget key 2 measure=requests
        hold a 0                 | held 0
        capture a 0              | charged 0 paid 0 lost 0
        hold b 0                 | held 0
        hold c 0                 | refused held key needed 1 available 0
        capture b 0
        hold c 0                 | refused exhausted key needed 1 available 0
    """)


def test_a_key_of_another_account_cannot_use_its_idempotency_key(desk: Desk) -> None:
    """Idempotency replay across tenants: the same name from another key is its own call."""
    desk.play("""
        topup acc 100
        key other account=acc
        hold a 10 idem=n:f
        hold b 10 idem=n:f                 | repeated running req_a
        hold b 10 idem=n:g                 | repeated mismatch req_a
        hold b 10 idem=n:f key=other       | held 10
        capture a 10 answer=words
        hold c 10 idem=n:f                 | repeated done req_a
        edit key status=revoked
        hold c 10 idem=n:f                 | refused key_revoked
    """)


def test_the_same_id_with_other_content_is_an_error_without_effect(desk: Desk) -> None:
    """Of a hold, and of what it came to; the same content answers as before."""
    desk.play("""
        topup acc 100
        key other account=acc
        hold a 10
        hold a 10                          | held 10 units 1 available 0 again
        hold a 11                          | conflict
        hold a 10 request=another          | conflict
        hold a 10 key=other                | conflict
        capture a 7
        capture a 7                        | charged 7 paid 7 lost 0 again
        capture a 8                        | conflict
        capture a 7 tokens=11              | conflict
        capture a 7 cost=1                 | conflict
        release a                          | conflict
        expire a                           | unchanged
        hold a 10                          | held 10 units 1 available 0 again
        hold b 5
        release b                          | charged 0
        release b                          | charged 0 paid 0 lost 0 again
        capture b 5                        | conflict
        wallet acc                         | granted 100 spent 7 held 0
        capture nobody 5                   | refused unknown_hold
        release nobody                     | refused unknown_hold
    """)
