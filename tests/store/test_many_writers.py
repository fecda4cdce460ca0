"""Several processes write to one PostgreSQL database: what one of them gives, no other gives again, and nobody waits for ever."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from farebox.ledger.commands import (
    Authorized,
    Command,
    EditAccount,
    EditKey,
    Expire,
    GrantMoney,
    IssueKey,
    PublishBook,
    Refused,
    Requote,
    SetBudgets,
    Settled,
    Unchanged,
)
from farebox.ledger.model import Key
from store.street import Bustle, Street, cap, family, held, reasons
from store.till import admitted, capture, hold, settled
from support.homes import PostgresHome

SOAK = os.environ.get("FAREBOX_SOAK") == "1"


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    """Four writers. At the end nothing was alarmed (no deadlock above all) and the books add up."""
    home = PostgresHome()
    street = Street(home)
    await street.begin()
    yield street
    street.end()
    home.close()


async def test_twenty_parallel_calls_of_75_on_500_by_four_processes_admit_exactly_six(street: Street) -> None:
    """A balance is read under its lock; and all six may end in parallel, at other processes than they began at."""
    await street.tills[0].topup(500)
    gate = street.gate()
    outcomes = await street.at_once(hold(gate, f"h{number}", 75) for number in range(20))
    assert admitted(outcomes) == 6
    assert reasons(outcomes) == {"held"}
    assert street.tills[0].wallet() == (500, 0, 450)
    assert settled(await street.at_once(capture(name, 75) for name in reversed(held(outcomes)))) == 6
    assert street.tills[0].wallet() == (500, 450, 0)


async def test_the_first_use_of_everything_may_come_at_four_processes_at_once(street: Street) -> None:
    """A new key, no window yet: every call is counted in one row of each."""
    await street.tills[0].topup(1000)
    for number in range(5):
        await street.one(IssueKey(f"issue {number}", Key(f"key_{number}", "acc", "acc", f"hash {number}", "fb-…", 0)))
        gate = street.gate(f"key_{number}")
        assert admitted(await street.at_once(hold(gate, f"h{number} {call}", 5) for call in range(8))) == 8
        assert street.home.rows("SELECT price_held, requests_held FROM windows WHERE counter = ?", f"key_{number}/day") == [(40, 8)]


async def test_a_capture_and_an_expiry_at_another_process_are_one_charge(street: Street) -> None:
    """Whoever is first: what was used is charged, once; a provisional charge is revised, once."""
    await street.tills[0].topup(10_000)
    gate = street.gate()
    names = held(await street.at_once(hold(gate, f"h{number}", 50) for number in range(60)))
    commands: list[Command] = [command for name in names for command in (capture(name, 20), Expire(name))]
    outcomes = await street.at_once(commands)
    assert settled(outcomes[::2]) == 60
    assert all(isinstance(outcome, Settled | Unchanged) for outcome in outcomes[1::2])
    assert street.home.rows("SELECT count(*), sum(price), sum(paid) FROM charges") == [(60, 1200, 1200)]
    assert street.tills[0].wallet() == (10_000, 1200, 0)
    assert {row[0] for row in street.home.rows("SELECT state FROM holds")} <= {"captured", "expired"}


@pytest.mark.parametrize("window", ["day", "lifetime", "rolling:1h"])
async def test_a_cap_above_two_wallets_is_never_exceeded(street: Street, window: str) -> None:
    """Each has its own lock; what they share is counted under the cap's."""
    await family(street, 10_000)
    await street.one(SetBudgets("cap", "acc", (cap("acc", 1000, window),)))
    gates = [street.gate("key_red"), street.gate("key_blue")]
    outcomes = await street.at_once(hold(gates[number % 2], f"h{number}", 90) for number in range(60))
    assert admitted(outcomes) == 11
    assert reasons(outcomes) <= {"held"}


@pytest.mark.parametrize("window", ["day", "rolling:1h"])
async def test_what_exceeds_a_hold_is_not_paid_past_a_cap_that_others_hold_under(street: Street, window: str) -> None:
    """Overage at two processes, new holds at two others: what is paid and what is held fit under the cap together."""
    await family(street, 10_000)
    await street.one(SetBudgets("cap", "acc", (cap("acc", 1000, window),)))
    gates = [street.gate("key_red"), street.gate("key_blue")]
    names = held(await street.at_once(hold(gates[number % 2], f"h{number}", 50) for number in range(10)))
    commands: list[Command] = []
    for number, name in enumerate(names):
        commands += [capture(name, 120, gates[number % 2]), hold(gates[number % 2], f"new{number}", 60)]
    await street.at_once(commands)
    paid = street.count("SELECT sum(paid) FROM charges")
    assert 500 <= paid <= 1000 - street.count("SELECT sum(held) FROM grants")
    assert street.count("SELECT sum(price) FROM charges") == 1200


async def test_a_counter_that_is_made_while_others_call_counts_all_of_them(street: Street) -> None:
    """Backfilled under the wallets' locks: not one call is missed or counted twice (verify recomputes every window)."""
    await family(street, 100_000)
    gates = [street.gate("key_red"), street.gate("key_blue")]

    async def calls(number: int) -> None:
        for call in range(12):
            name = f"h{number} {call}"
            outcome = await street.tills[number % 4].batcher.one(hold(street.gate(gates[number % 2].key.id), name, 10))
            if isinstance(outcome, Authorized):
                await street.tills[(number + 1) % 4].batcher.one(capture(name, 7))

    async def budgets() -> None:
        for number, window in enumerate(("hour", "day", "rolling:1h", "month", "year", "quarter", "rolling:24h")):
            await street.tills[number % 4].batcher.one(SetBudgets(f"cap {window}", "acc", (cap("acc", 100_000, window),)))

    await asyncio.gather(budgets(), *(calls(number) for number in range(8)))
    spent = street.count("SELECT sum(price) FROM charges")
    for window in ("hour", "day", "year"):
        assert street.home.rows("SELECT sum(price_spent), sum(price_held) FROM windows WHERE counter = ?", f"acc/{window}") == [(spent, 0)]


async def test_what_is_changed_at_one_process_counts_from_the_next_call_at_any_other(street: Street) -> None:
    """A call that was planned before is planned again; it is not given what is no longer there."""
    await street.tills[0].topup(1000)
    changes: list[tuple[Command, str]] = [
        (SetBudgets("lower", "key", (cap("key", 5),)), "budget_exceeded"),
        (EditAccount("pause account", "acc", {"status": "paused"}), "account_paused"),
        (EditKey("pause", "key", {"status": "paused"}), "key_paused"),
        (EditKey("revoke", "key", {"status": "revoked"}), "key_revoked"),
    ]
    old = street.gate()
    await street.one(PublishBook("prices", 2))
    assert await street.tills[1].batcher.one(hold(old, "a", 10)) == Requote("prices")
    assert isinstance(await street.tills[1].batcher.one(hold(street.gate(), "a", 10)), Authorized)
    for number, (change, reason) in enumerate(changes):
        old = street.gate()
        await street.tills[number % 4].batcher.one(change)
        for till in street.tills:
            assert isinstance(await till.batcher.one(hold(old, f"b{number}", 10)), Requote)
        refused = await street.tills[(number + 1) % 4].batcher.one(hold(street.gate(), f"b{number}", 10))
        assert isinstance(refused, Refused)
        assert refused.reason == reason


async def test_a_hold_that_is_committed_meanwhile_is_settled_under_its_own_wallets_lock(street: Street) -> None:
    """Its wallet was not known when the locks were asked for: they are asked for again."""
    gates = await family(street, 1000)
    await street.tills[0].topup(1000)
    for number in range(20):
        name = f"h{number}"
        outcomes = await asyncio.gather(
            street.tills[0].batcher.one(hold(gates["red"], name, 10)),
            street.tills[1].batcher.submit(hold(street.gate(), f"other {name}", 10), capture(name, 30, gates["red"])),
        )
        if not isinstance(outcomes[1][1], Settled):
            await street.one(capture(name, 30, gates["red"]))
    assert street.home.rows("SELECT count(*), sum(paid) FROM charges") == [(20, 600)]


@pytest.mark.parametrize("seed", range(50) if SOAK else (7,))
async def test_nobody_waits_for_ever_and_nothing_is_lost_in_any_order(street: Street, seed: int) -> None:
    """Thousands of commands (fifty times 20,000 in a long run) on three wallets under one root, by 200 callers at four processes."""
    bustle = await Bustle(street, seed).begin()
    await bustle.run(5_000 if SOAK else 1_500)
    assert bustle.asked >= 6_000
    assert street.count("SELECT count(*) FROM charges") > 1_000


async def test_money_put_in_at_several_processes_adds_up(street: Street) -> None:
    """Relative, and under the wallet's lock."""
    await street.at_once(GrantMoney(f"top {number}", f"grt {number}", "acc", 10) for number in range(40))
    gate = street.gate()
    assert admitted(await street.at_once(hold(gate, f"h{number}", 100) for number in range(8))) == 4
