"""The same change by several processes at one moment, and different changes of one thing: one effect, one answer, nothing lost."""

from collections.abc import AsyncIterator

import pytest

from farebox.clock import wall_clock
from farebox.ledger.commands import (
    Adjust,
    Authorized,
    BookExpiry,
    Command,
    Done,
    EditAccount,
    EditKey,
    Expire,
    Extend,
    GrantMoney,
    IssueKey,
    Move,
    OpenAccount,
    PublishBook,
    Refund,
    Refused,
    Release,
    SetBudgets,
    Settled,
)
from farebox.ledger.model import Key
from store.street import Street, cap, event, family, first_ones
from store.till import capture, hold
from support.homes import PostgresHome, everything


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    """Four writers; two teams with money; a hold `a`, a charge `c`, and a grant that expires."""
    home = PostgresHome()
    street = Street(home)
    await street.begin()
    await family(street, 1000)
    await street.tills[0].topup(1000)
    await street.one(GrantMoney("short", "grt_short", "acc", 50, expires_at=home.clock() + 1_000_000))
    for name in ("a", "c"):
        assert isinstance(await street.one(hold(street.gate(), name, 100)), Authorized)
    await street.one(capture("c", 40))
    yield street
    street.end()
    home.close()


CHANGES: dict[str, Command] = {
    "open": OpenAccount("opn", "new", own_wallet=True, parent="acc", external_id="theirs"),
    "edit account": EditAccount("eda", "acc", {"name": "new"}),
    "issue": IssueKey("iss", Key("key_new", "acc", "acc", "hash new", "fb-…", 0)),
    "edit key": EditKey("edk", "key", {"name": "new"}, 500),
    "budgets": SetBudgets("bud", "acc", (cap("acc", 5000), cap("acc", 900, "rolling:1h"))),
    "top up": GrantMoney("top", "grt_top", "acc", 10),
    "move": Move("mov", "acc", "red", 10),
    "adjust": Adjust("adj", "blue", -10),
    "refund": Refund("ref", "c", 15),
    "book": PublishBook("pub", 2),
}


@pytest.mark.parametrize("name", list(CHANGES))
async def test_one_change_by_four_processes_at_once_has_one_effect_and_one_answer(street: Street, name: str) -> None:
    """With one id: one of them does it, the others hear what came of it; done again later it is the same again."""
    command = CHANGES[name]
    outcomes = await street.same(command)
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    assert first_ones(outcomes) == 1
    before = everything(street.home)
    assert first_ones(await street.same(command)) == 0
    assert everything(street.home) == before


async def test_one_call_by_four_processes_at_once_is_one_hold_and_one_charge(street: Street) -> None:
    """An event, an extension and an expired grant, too."""
    gate = street.gate()
    commands: list[Command] = [
        hold(gate, "new", 60),
        event(gate, "done", 30, wall_clock()),
        Extend("ext", "new", hold(gate, "x", 5).bound, gate),
    ]
    for command in [*commands, capture("new", 50)]:
        outcomes = await street.same(command)
        assert first_ones(outcomes) == 1, (command, outcomes)
        assert not any(isinstance(outcome, Refused) for outcome in outcomes)
    assert street.home.rows("SELECT hold_id, price FROM charges ORDER BY hold_id") == [("c", 40), ("done", 30), ("new", 50)]
    outcomes = await street.same(Release("a"))
    assert sum(isinstance(outcome, Settled) and not outcome.repeated for outcome in outcomes) == 1
    street.home.go(10_000_000)
    await street.same(BookExpiry("exp", "grt_short"))
    assert street.home.rows("SELECT count(*) FROM transfers WHERE kind = 'expiry'") == [(1,)]


async def test_two_accounts_cannot_take_one_name_of_a_back_office(street: Street) -> None:
    """Opened at four processes at once: one has it, the others are refused, and stay so."""
    commands = [OpenAccount(f"open {number}", f"new {number}", own_wallet=True, external_id="theirs") for number in range(4)]
    outcomes = await street.at_once(commands)
    assert sum(isinstance(outcome, Done) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 3
    assert street.count("SELECT count(*) FROM accounts WHERE external_id = 'theirs'") == 1


async def test_a_key_that_is_edited_in_two_places_keeps_both_edits(street: Street) -> None:
    """Each edits what it finds, not what it once read."""
    for number in range(10):
        await street.at_once(
            [
                EditKey(f"name {number}", "key", {"name": f"name {number}"}),
                EditKey(f"rate {number}", "key", {"requests_per_minute": 100 + number}),
                EditKey(f"calls {number}", "key", {"concurrent": 50 + number}),
                EditKey(f"limit {number}", "key", {}, 5000 + number),
            ]
        )
        found = street.home.rows("SELECT name, requests_per_minute, concurrent, rev FROM keys WHERE id = 'key'")
        assert found == [(f"name {number}", 100 + number, 50 + number, 1 + 4 * (number + 1))]
        assert street.gate().caps[0].limit == 5000 + number or any(found.limit == 5000 + number for found in street.gate().caps)


async def test_a_hold_that_is_ended_in_every_way_at_once_ends_once(street: Street) -> None:
    """Captured, released, expired and refunded by four processes at the same moment."""
    gate = street.gate()
    for number in range(15):
        name = f"h{number}"
        await street.one(hold(gate, name, 20))
        await street.at_once([capture(name, 10), Release(name), Expire(name), Refund(f"ref {name}", name)])
    assert street.count("SELECT count(*) FROM charges WHERE hold_id <> 'c'") == 15
    assert street.count("SELECT count(*) FROM holds WHERE state = 'open'") == 1
