"""What the ledger decides in every awkward case (and no other way), as tables."""

from pathlib import Path

import pytest

from farebox.ledger import machine
from farebox.ledger.commands import Capture, EditAccount, EditKey, Refused, Release, Result
from farebox.ledger.model import Counter, Filter
from farebox.ledger.state import State
from ledger.desk import Desk
from support.homes import everything


def test_usage_above_the_hold_is_paid_from_what_is_free(desk: Desk) -> None:
    """Overage: from the hold, then from effective unheld grants; windows count it whole."""
    desk.play("""
        topup acc 100
        hold a 30
        capture a 80             | charged 80 paid 80 lost 0
        wallet acc               | granted 100 spent 80 held 0
        window key month         | held 0 spent 80
    """)


def test_explicit_zero_is_zero(desk: Desk) -> None:
    """The whole hold comes back; the call counts as a request."""
    desk.play("topup acc 100\nhold a 30\ncapture a 0 tokens=0 | charged 0 paid 0 lost 0\nwallet acc | granted 100 spent 0 held 0")
    assert desk.rows("SELECT requests_spent FROM windows WHERE counter = 'key/day'") == [(1,)]


def test_what_surely_was_not_billed_is_released_with_a_charge_of_zero(desk: Desk) -> None:
    """Every hold ends in exactly one charge; this one counts as no request."""
    desk.play("topup acc 100\nhold a 30\nrelease a outcome=connect_failed | charged 0 paid 0 lost 0")
    assert desk.rows("SELECT outcome, price, flags FROM charges") == [("released", 0, "connect_failed")]
    assert desk.rows("SELECT requests_spent, requests_held FROM windows WHERE counter = 'key/day'") == [(0, 0)]


def test_what_may_have_been_billed_is_charged_as_unknown(desk: Desk) -> None:
    """The hold, marked, and refundable."""
    desk.play("topup acc 100\nhold a 30\ncapture a 30 completeness=unknown | charged 30 paid 30\nrefund a | done 30")
    assert desk.rows("SELECT completeness FROM charges") == [("unknown",)]


def test_a_retry_settles_the_old_attempt_and_holds_the_new_in_one_entry(desk: Desk) -> None:
    """In that order: what the old one gives back, the new one may hold, though nothing else is free."""
    desk.play("topup acc 100\nhold a 100")
    desk.do(desk.command("release a"), desk.command("hold b 100 request=req_a attempt=2"))
    desk.play("wallet acc | granted 100 spent 0 held 100\nrelease a | charged 0 paid 0 lost 0 again")
    desk.do(desk.command("capture b 40"), desk.command("hold c 61 request=req_a attempt=3"))
    desk.play("wallet acc | granted 100 spent 40 held 0\nhold c 60 | held 60")


@pytest.mark.parametrize("settled", ["release a", "capture a 40 completeness=unknown"])
def test_a_retry_keeps_its_idempotency_key(desk: Desk, settled: str) -> None:
    """Whether its first attempt was charged or not: the next one is the same request, not a repeat, and its answer is what is recorded."""
    desk.play("topup acc 100\nhold a 50 idem=n:f")
    _, second = desk.do(desk.command(settled), desk.command("hold b 50 idem=n:f request=req_a attempt=2"))
    assert type(second).__name__ == "Authorized"
    desk.play("""
        hold c 10 idem=n:f       | repeated running req_a
        capture b 20 answer=words
        hold c 10 idem=n:f       | repeated done req_a
    """)
    assert getattr(desk.answer, "answer", None) == b"words"
    assert not desk.alarms


def test_a_request_that_ended_uncharged_frees_its_idempotency_key(desk: Desk) -> None:
    """The next request may use it, in the same batch."""
    desk.play("topup acc 100\nhold a 50 idem=n:f")
    answers = desk.batch((desk.command("release a"),), (desk.command("hold b 50 idem=n:f"),))
    assert all(isinstance(answer, tuple) for answer in answers)
    desk.play("hold c 50 idem=n:f | repeated running req_b")
    assert not desk.alarms


def test_an_idempotency_key_is_freed_and_closed_only_by_the_request_that_has_it(desk: Desk) -> None:
    """What ends later of a request that lost it touches nobody else's."""
    desk.play("""
        topup acc 100
        hold a 10 idem=n:f
        hold b 10 idem=n:f request=req_a attempt=2
        release a
        hold c 10 idem=n:f       | held 10
        release b
        hold d 10 idem=n:f       | repeated running req_c
        hold e 10 idem=m:f
        hold f 10 idem=m:f request=req_e attempt=2
        release e
        hold g 10 idem=m:f       | held 10
        capture f 10 answer=mine
        hold h 10 idem=m:f       | repeated running req_g
    """)


def test_a_killed_process_leaves_holds_that_are_charged_whole_until_the_truth_comes(desk: Desk) -> None:
    """Provisional and marked; the truth revises it once and gives the difference back to its grants."""
    desk.play("""
        topup acc 60 grant=one
        topup acc 40 grant=two
        hold a 100
        expire a                 | charged 100 paid 100 lost 0
        hold b 1                 | refused exhausted acc
        expire a                 | unchanged
        capture a 70             | charged 70 paid 70 lost 0 revised
        grant one                | granted 60 spent 60
        grant two                | granted 40 spent 10
        window key day           | held 0 spent 70
        capture a 70             | charged 70 paid 70 lost 0 again
        capture a 71             | conflict
        hold b 30                | held 30
    """)
    assert desk.rows("SELECT outcome, completeness, revised, flags FROM charges") == [("ok", "exact", 1, "revised")]


def test_what_a_revision_gives_back_can_be_held_in_the_same_batch(desk: Desk) -> None:
    """Each command sees the one before, even where a grant was used up and nobody looked at it any more."""
    desk.play("topup acc 100\nhold a 100\nexpire a")
    desk.reopen()
    answers = desk.batch((desk.command("capture a 30"),), (desk.command("hold b 70"),), (desk.command("hold c 1"),))
    kinds = [type(answer[0]).__name__ for answer in answers if isinstance(answer, tuple)]
    assert kinds == ["Settled", "Authorized", "Refused"]


def test_a_late_truth_above_the_hold_is_an_overage(desk: Desk) -> None:
    """From what is free, as far as the caps have room; the rest is written off."""
    desk.play("""
        topup acc 100
        budget key 80
        hold a 50
        expire a
        hold b 10
        capture a 90             | charged 90 paid 70 lost 20 revised
        wallet acc               | granted 100 spent 70 held 10
    """)


def test_a_late_release_gives_everything_back_but_what_was_refunded(desk: Desk) -> None:
    """What was refunded of a provisional charge stays paid: it was given back already. A repeat answers as before."""
    desk.play("""
        topup acc 100
        hold a 50
        expire a why=orphaned
        refund a 20
        release a                | charged 20 paid 20 lost 0 revised
        release a                | charged 20 paid 20 lost 0 again
        capture a 20             | conflict
        wallet acc               | granted 120 spent 20 held 0
        hold b 100               | held 100
        hold c 1                 | refused held
    """)


def test_a_hung_call_ends_at_its_deadline_and_not_before(desk: Desk) -> None:
    """Every hold has one."""
    desk.play("""
        topup acc 100
        hold a 50 deadline=+1h
        wait 59m
        expire a why=deadline    | unchanged
        wait 1m
        expire a why=deadline    | charged 50 paid 50
        hold b 1
        expire nobody            | unchanged
    """)
    assert desk.rows("SELECT outcome, flags FROM charges") == [("deadline", "provisional,deadline")]


def test_a_sweeper_and_a_capture_in_one_batch_charge_once(desk: Desk) -> None:
    """In either order."""
    desk.play("topup acc 100\nhold a 50\nhold b 50")
    desk.batch((desk.command("expire a"),), (desk.command("capture a 20"),), (desk.command("capture b 20"),), (desk.command("expire b"),))
    desk.play("wallet acc | granted 100 spent 40 held 0")
    assert desk.rows("SELECT price, revised FROM charges ORDER BY hold_id") == [(20, 1), (20, 0)]


def test_the_price_book_of_the_hold_stays(desk: Desk) -> None:
    """A new version counts for the next call; the one in flight is pinned to its own."""
    desk.play("topup acc 100\nhold a 50\nbook 2\ncapture a 50\nhold b 1\nbook 2 | refused not_newer")
    assert desk.rows("SELECT book_version FROM holds ORDER BY id") == [(1,), (2,)]


def test_a_refused_authorize_leaves_no_trace(desk: Desk) -> None:
    """An exhausted key does not make the disk work: no row, no window, no clock; and a file stays as it is."""
    desk.play("topup acc 10\nhold z 1 ceiling=1")
    place = desk.home.place
    log = place.with_name(f"{place.name}-wal") if isinstance(place, Path) else None
    before = everything(desk.home), log and log.stat().st_size
    desk.now += 1_000_000
    for _ in range(10):
        desk.play("hold a 11 | refused exceeds_available\nhold a 2 ceiling=1 | refused exceeds_max_cost")
    assert (everything(desk.home), log and log.stat().st_size) == before


def test_refusals_come_in_their_order(desk: Desk) -> None:
    """Key state, rate, the caller's own ceiling, then money: the first that says no is the one that is told."""
    desk.play("""
        edit key requests_per_minute=0 limit=0
        hold a 5 ceiling=1       | refused rate_limited key
        edit key status=paused
        hold a 5 ceiling=1       | refused key_paused key
        edit key status=active requests_per_minute= expires_at=1
        hold a 5 ceiling=1       | refused key_expired key
        edit key expires_at=
        edit acc account status=paused
        hold a 5 ceiling=1       | refused account_paused acc
        edit acc account status=active
        hold a 5 ceiling=1       | refused exceeds_max_cost
        hold a 5                 | refused exhausted
    """)


def test_open_calls_in_the_way_are_a_reason_to_wait_and_nothing_else_is(desk: Desk) -> None:
    """`held` only if everything would fit without what is held; else the scope with the least room decides."""
    desk.play("""
        topup acc 100
        hold a 90
        hold b 50                | refused held acc needed 50 available 10
        hold b 101               | refused exceeds_available acc needed 101 available 10
        budget key 19 window=day
        hold b 20                | refused budget_exceeded key needed 20 available 0
        budget key 120 window=day
        hold b 20                | refused held acc needed 20 available 10
        capture a 90
        hold b 20                | refused exceeds_available acc needed 20 available 10
        budget key 95
        hold b 20                | refused exceeds_available key needed 20 available 5
        hold c 5
        capture c 5
        hold b 1                 | refused exhausted key needed 1 available 0
    """)


def test_rates_are_limits_of_their_own(desk: Desk) -> None:
    """Requests and tokens in any minute, and calls at once: told as a rate, not as money; a call that ends makes room at once."""
    desk.play("""
        topup acc 1000
        edit key requests_per_minute=2
        hold a 1
        hold b 1
        hold c 1                 | refused rate_limited key
        capture a 1
        hold c 1                 | refused rate_limited
        release b
        hold c 1                 | held 1
        wait 65s
        hold d 1                 | held 1
        edit key requests_per_minute= tokens_per_minute=25
        hold e 1 tokens=16       | refused rate_limited
        hold e 1 tokens=15       | held 1
        capture e 1 tokens=0
        edit key tokens_per_minute= concurrent=2
        hold f 1                 | refused rate_limited
        capture c 1
        hold f 1                 | held 1
        hold g 1                 | refused rate_limited
    """)


def test_a_run_is_capped_over_all_its_calls(desk: Desk) -> None:
    """Its cap comes with any call, counts what came before it, and binds an overage too; other runs have their own."""
    desk.play("""
        topup acc 1000
        hold a 40 run=r
        capture a 40
        hold b 61 run=r run_limit=100 | refused exceeds_available key needed 61 available 60
        hold b 50 run=r run_limit=100 | held 50 units 1 available 10
        hold c 61 run=other run_limit=100 | held 61
        capture b 70             | charged 70 paid 60 lost 10
        hold d 1 run=r run_limit=100 | refused exhausted key
        hold d 1 run=r           | held 1
    """)


def test_a_hold_and_its_overage_in_one_batch_are_paid_alike(desk: Desk) -> None:
    """As when an authorize whose answer was lost is given again together with its capture."""
    desk.play("topup acc 100\nbudget key 80")
    held = desk.command("hold a 50")
    desk.batch((held,), (desk.command("capture a 70"),))
    desk.play("capture a 70 | charged 70 paid 70 lost 0 again")
    desk.do(desk.command("hold b 5"), desk.command("capture b 15"))
    desk.play("capture b 15 | charged 15 paid 10 lost 5 again")


# --- extend ------------------------------------------------------------------------------------------------------------------------------


def test_a_hold_grows_under_the_caps_of_now_or_not_at_all(desk: Desk) -> None:
    """On the wallet and in its windows; a refused extension leaves the hold as it was."""
    desk.play("""
        topup acc 100
        budget key 80
        hold a 50
        extend a 31              | refused exceeds_available key needed 31 available 30
        extend a 30 id=more      | held 80 units 2
        extend a 30 id=more      | held 80 units 2 available 0 again
        extend a 29 id=more      | conflict
        window key day           | held 80 spent 0
        extend nobody 1          | refused unknown_hold
        capture a 80             | charged 80 paid 80 lost 0
        extend a 1               | refused hold_closed a
    """)


def test_an_extension_is_no_further_request(desk: Desk) -> None:
    """A key with one call at once may extend it, and its requests per minute are not used up by it."""
    desk.play(
        "topup acc 100\nedit key concurrent=1 requests_per_minute=1\nhold a 10\nextend a 10 | held 20\nhold b 1 | refused rate_limited"
    )


def test_an_extension_counts_in_the_windows_the_hold_was_made_in(desk: Desk) -> None:
    """And may not take those over their cap, though a new day has begun."""
    desk.play("""
        topup acc 1000
        budget key 100 window=day
        hold a 60
        hold b 30
        capture b 30
        wait 1d
        extend a 11              | refused budget_exceeded key needed 11 available 10
        extend a 10              | held 70
        window key day           | held 70 spent 30
        hold c 100               | held 100
    """)


def test_a_hold_is_not_extended_by_another_key(desk: Desk) -> None:
    """To it, there is no such hold."""
    desk.play(
        "topup acc 100\nkey other account=acc\nhold a 10\nextend a 10 key=other | refused unknown_hold a\nwindow key day | held 10 spent 0"
    )


# --- policies ----------------------------------------------------------------------------------------------------------------------------


def test_the_tree_and_the_wallets_are_fixed_at_creation(bare: Desk) -> None:
    """Parents and wallets never change, ids and outside ids are taken once, depth has a limit, and what is closed or revoked stays so."""
    bare.play("""
        account a0 external=crm-1
        account a0                       | refused id_taken a0
        account other external=crm-1     | refused external_id_taken a0
        account child parent=nobody      | refused unknown_account nobody
        edit a0 account parent=x         | refused fixed_at_creation a0
        edit a0 account wallet=x         | refused fixed_at_creation a0
        edit nobody account name=x       | refused unknown_account nobody
        key k account=a0
        key k account=a0                 | refused id_taken k
        key k2 account=a0 hash="hash of k" | refused id_taken k2
        key k2 account=nobody            | refused unknown_account nobody
        edit k account=x                 | refused fixed_at_creation k
        edit nobody name=x               | refused unknown_key nobody
        edit k status=revoked
        edit k status=active             | refused key_revoked k
        edit a0 account status=closed
        edit a0 account status=active    | refused account_closed a0
        key k3 account=a0                | refused account_closed a0
    """)
    bare.play("account b0\n" + "\n".join(f"account b{depth} parent=b{depth - 1}" for depth in range(1, 8)))
    bare.play("account b8 parent=b7 | refused too_deep b7")


@pytest.mark.parametrize("changes", [{"status": "closed"}, {"status": "merry"}, {"colour": "red"}, {"concurrent": "many"}])
def test_a_key_is_not_changed_into_what_it_cannot_be(desk: Desk, changes: dict[str, object]) -> None:
    """An unknown field or an impossible value is refused, kept as refused, and alarms nobody."""
    refused = desk.one(EditKey("edit", "key", changes))
    assert isinstance(refused, Refused)
    assert refused.reason == "invalid_change"
    assert desk.one(EditKey("edit", "key", changes)) == refused
    assert desk.rows("SELECT rev, status FROM keys") == [(1, "active")]
    assert not desk.alarms


@pytest.mark.parametrize("changes", [{"status": "revoked"}, {"colour": "red"}, {"metadata": 7}])
def test_an_account_is_not_changed_into_what_it_cannot_be(desk: Desk, changes: dict[str, object]) -> None:
    """The same for accounts."""
    refused = desk.one(EditAccount("edit", "acc", changes))
    assert isinstance(refused, Refused)
    assert refused.reason == "invalid_change"
    assert not desk.alarms


def test_a_repeated_edit_is_the_same_edit(desk: Desk) -> None:
    """Its outcome is kept; the revision grows once."""
    desk.play("edit key name=a id=e\nedit key name=a id=e | done 0 again\nedit key name=b id=e | conflict")
    assert desk.rows("SELECT rev, name FROM keys") == [(2, "a")]


def test_budgets_of_other_scopes_and_impossible_ones_are_refused(desk: Desk) -> None:
    """Nothing of them stays."""
    desk.play("budget nobody 5 | refused unknown_scope nobody\nbudget key -5 | refused invalid_amount\nwindow key lifetime | nothing")
    assert desk.rows("SELECT count(*) FROM counters WHERE scope = 'nobody'") == [(0,)]


def test_filters_that_read_alike_are_not_the_same_counter() -> None:
    """Whatever an operator writes in a tag or a model's name."""
    filters = [
        Filter(models=("x",), tags=(("a", "1"),)),
        Filter(models=("x&tags=a=1",)),
        Filter(models=("x", "y")),
        Filter(models=("x,y",)),
        Filter(tags=(("a", "1"), ("b", "2"))),
        Filter(tags=(("a", "1,b=2"),)),
        Filter(tags=(("a=1,b", "2"),)),
        Filter(tags=(("a", "%31"),)),
        Filter(tags=(("a", "1"),), run="r"),
        Filter(tags=(("a", "1&run=r"),)),
    ]
    assert len({Counter("key", "lifetime", filter=chosen).id for chosen in filters}) == len(filters)


# --- the machine -------------------------------------------------------------------------------------------------------------------------


def test_deciding_changes_nothing(desk: Desk) -> None:
    """The rules are functions: the state is as it was, the same question gets the same answer, and only `apply` moves anything."""
    state = State()
    for line in ("account a", "topup a 100 id=top", "book 2"):
        command = desk.command(line)
        first, second = machine.decide(state, command, 5), machine.decide(state, command, 5)
        assert first == second
        state.apply(first[1])
    assert state.grants["grt_top"].amount == 100


def test_an_unknown_capture_with_a_plan_fails_nobody_else(desk: Desk) -> None:
    """Of a hold that does not exist, or of one that ended long ago: an answer, and the others of the batch get theirs."""
    desk.play("topup acc 100\nhold a 10")
    gate = desk.gate()
    lost = Capture("nobody", Result("ok", "exact", 5, 5, 5, 5), None, gate)
    answers = desk.batch((lost,), (desk.command("capture a 5"),), (Release("nobody"),))
    kinds = [type(answer[0]).__name__ for answer in answers if isinstance(answer, tuple)]
    assert kinds == ["Refused", "Settled", "Refused"]
    assert not desk.alarms
