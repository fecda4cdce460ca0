"""Whose the objects are that providers keep: of the account that made them and those above it. To all others they do not exist."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from farebox.clock import US_PER_DAY, US_PER_S
from farebox.ledger.commands import IssueKey, OpenAccount
from farebox.ledger.lasting import StoredObject
from farebox.ledger.model import Key
from farebox.store.objects import Facts, Object, Objects
from farebox.store.sweeper import Sweeper
from farebox.store.verify import verify
from ledger.desk import Desk
from store.till import Till, capture, hold
from support.homes import everything

FACTS = '{"model":"gpt-4o","total_tokens":900}'


@pytest.fixture
async def objects(till: Till) -> AsyncIterator[Objects]:
    """`acc` has a parent-less tree of its own; below it `team`, and below that `person`; `other` is another customer."""
    for number, (name, parent) in enumerate((("team", "acc"), ("person", "team"), ("sister", "acc"), ("other", None))):
        await till.batcher.one(OpenAccount(f"open {number}", name, own_wallet=parent is None, parent=parent))
        await till.batcher.one(IssueKey(f"issue {number}", Key(f"key {name}", name, "", f"hash {name}", "", 0)))
    found = Objects(till.place, till.batcher, till.home.clock)
    yield found
    found.close()


def made(account: str, name: str = "resp_1", provider: str = "openai", kind: str = "response") -> Object:
    key = "key" if account == "acc" else f"key {account}"
    return Object(provider, kind, name, account, key, 0, Facts("gpt-4o"))


async def keep(objects: Objects, one: Object, lasts: int = US_PER_DAY) -> None:
    await objects.keep(one, "req_1", lasts)


async def test_the_account_that_made_it_and_those_above_may_use_it(objects: Objects) -> None:
    """Nobody below, beside, or elsewhere; and what does not exist is answered the same."""
    await keep(objects, made("team"))
    found = {account: bool(await objects.find("response", "resp_1", account)) for account in ("acc", "team", "person", "sister", "other")}
    assert found == {"acc": True, "team": True, "person": False, "sister": False, "other": False}
    assert await objects.find("response", "resp_2", "team") == []
    assert await objects.find("file", "resp_1", "team") == []


async def test_an_id_stays_whose_it_is(objects: Objects, till: Till) -> None:
    """Whoever names it later, of whatever kind: it is not taken over. Told again by its own account it is known better, and longer."""
    await keep(objects, made("team"))
    before = everything(till.home)["objects"]
    await keep(objects, made("other"), 9 * US_PER_DAY)
    await keep(objects, made("team", kind="file"), 9 * US_PER_DAY)
    assert everything(till.home)["objects"] == before
    await objects.keep(Object("openai", "response", "resp_1", "team", "key team", 0, Facts("gpt-4o", 7)), "req_2", 2 * US_PER_DAY)
    (found,) = await objects.find("response", "resp_1", "team")
    assert (found.facts.total_tokens, found.account, found.key) == (7, "team", "key team")


async def test_two_providers_may_have_made_up_the_same_id(objects: Objects) -> None:
    """Each is found for its own account; for one above both, both are."""
    await keep(objects, made("team"))
    await keep(objects, made("sister", provider="azure"))
    assert [one.provider for one in await objects.find("response", "resp_1", "team")] == ["openai"]
    assert [one.provider for one in await objects.find("response", "resp_1", "acc")] == ["azure", "openai"]
    await objects.drop("openai", "resp_1")
    assert await objects.find("response", "resp_1", "team") == []
    assert [one.provider for one in await objects.find("response", "resp_1", "acc")] == ["azure"]


async def test_many_are_looked_up_at_once(objects: Objects, till: Till) -> None:
    """Each with whether the account may use it, as it would be found alone; what is not there, or of another kind, is not told."""
    places = {"a": "team", "b": "acc", "c": "other", "d": "person"}
    for name, account in places.items():
        await keep(objects, made(account, name, kind="item"))
    await keep(objects, made("team", "response"))
    await keep(objects, made("other", "a", "azure", "item"))
    await keep(objects, made("team", "late", kind="item"), 60 * US_PER_S)
    till.home.go(61 * US_PER_S)
    names = ["d", "c", "b", "a", "a", "nobody's", "response", "late", '"', "é"]
    for account in ("acc", "team", "person", "sister", "other"):
        found = {(one.object.provider, one.object.id): one.own for one in await objects.find_all("item", names, account)}
        assert set(found) == {("azure", "a"), *(("openai", name) for name in places)}
        for (provider, name), own in found.items():
            alone = {one.provider for one in await objects.find("item", name, account)}
            assert own == (provider in alone)
    assert await objects.find_all("item", [], "acc") == []


def test_an_object_brings_what_was_counted_for_its_model_or_what_it_shows() -> None:
    """At another model only bytes say something; where nothing was counted, too."""
    both, counted, shown = Facts("a", 7, 9), Facts("a", 7), Facts("a", None, 9)
    assert [one.brings("a") for one in (both, counted, shown, Facts("a"))] == [7, 7, 9, None]
    assert [one.brings("b") for one in (both, counted, shown, Facts("a"))] == [9, None, 9, None]


async def test_it_is_forgotten_in_time(objects: Objects, till: Till) -> None:
    """It is not found from the moment on, and swept soon after; what lasts longer stays."""
    await keep(objects, made("acc"), 60 * US_PER_S)
    await keep(objects, made("acc", "resp_2"), 3 * US_PER_DAY)
    till.home.go(61 * US_PER_S)
    assert await objects.find("response", "resp_1", "acc") == []
    sweeper = Sweeper(till.place, till.batcher, owner="proc_2", clock=till.home.clock, alarm=print, replay_kept_s=3600)
    await sweeper.sweep()
    sweeper.close()
    assert till.home.rows("SELECT id FROM objects") == [("resp_2",)]


async def test_however_many_have_gone_by_one_round_forgets_them(objects: Objects, till: Till) -> None:
    """More are made in a busy moment than one statement forgets."""
    await keep(objects, made("acc"), 3 * US_PER_DAY)
    rows = till.home.rows("SELECT * FROM objects")
    await keep(objects, made("acc", "old"), US_PER_S)
    (old,) = [row for row in till.home.rows("SELECT * FROM objects") if row not in rows]
    many = [tuple(f"old {number}" if value == "old" else value for value in old) for number in range(5000)]
    await till.batcher.write("store_object", many)
    assert till.home.rows("SELECT count(*) FROM objects") == [(5002,)]
    till.home.go(61 * US_PER_S)
    sweeper = Sweeper(till.place, till.batcher, owner="proc_2", clock=till.home.clock, alarm=print, replay_kept_s=3600)
    await sweeper.sweep()
    sweeper.close()
    assert till.home.rows("SELECT * FROM objects") == rows


def test_a_charge_and_the_objects_of_its_call_are_one_commit(desk: Desk) -> None:
    """The client may see an id when the charge is durable: then it is known whose it is. Neither is there without the other."""
    desk.play("topup acc 100\nhold a 60\nhold b 10")
    stored = StoredObject("response", "resp_a", US_PER_DAY, FACTS)
    charge = msgspec.structs.replace(capture("a", 20), objects=(stored,))
    desk.die((charge,))
    assert desk.rows("SELECT id FROM objects") == desk.rows("SELECT hold_id FROM charges") == []
    desk.one(charge)
    desk.one(charge)
    desk.one(capture("b", 5))
    assert desk.rows("SELECT provider, id, account, key, request_id, facts FROM objects") == [
        ("openai", "resp_a", "acc", "key", "req_a", FACTS)
    ]


async def test_many_who_claim_one_id_at_once_leave_it_to_the_first(objects: Objects, till: Till) -> None:
    """In one commit, in the order in which they came; nothing fails."""
    await till.topup(100)
    for name in ("a", "b", "c"):
        await till.batcher.one(hold(till.gate, name, 10))
    kinds = {"a": "response", "b": "file", "c": "response"}
    async with till.busy():
        waiting = [
            till.batcher.post(type(one)(one.hold_id, one.result, objects=(StoredObject(kinds[one.hold_id], "same", US_PER_DAY, FACTS),)))
            for one in (capture(name, 1) for name in kinds)
        ]
    for answer in waiting:
        assert isinstance(await answer, tuple)
    assert till.home.rows("SELECT id, kind, request_id FROM objects") == [("same", "response", "req_a")]
    assert await objects.find("file", "same", "acc") == []


async def test_verify_finds_an_object_of_the_wrong_account(objects: Objects, till: Till) -> None:
    """And says which."""
    await keep(objects, made("team"))
    till.home.write("UPDATE objects SET account = 'other'")
    verdict = verify(till.place)
    assert [finding.invariant for finding in verdict.findings] == ["a stored object belongs to the account of the key that made it"]
    assert verdict.findings[0].examples[0][1] == "resp_1"
    till.home.write("UPDATE objects SET account = 'team'")
