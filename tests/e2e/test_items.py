"""Items of a response that OpenAI keeps: named in later requests by whoever made them, bounded by what is recorded of them, charged as billed."""

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from farebox import limits
from support.house import House, open_house, until
from support.items import LOOK_UP, PLAIN, SEARCH, THINKS, ask, bound, count, facts, items_of, named, refused, user

# --- what they cost --------------------------------------------------------------------------------------------------------------------


async def test_the_steps_of_an_agent_name_what_was_thought_and_are_charged_as_billed(house: House) -> None:
    """Thought, called, answered, over and over: each step is held with what the named items were, not with the model's context window."""
    secret = await house.customer("0.02", None)
    given: list[Any] = [user("look it up sim:tool=1 sim:reasoning=40")]
    for step in range(4):
        answer = await ask(house, secret, given, model=THINKS, tools=[LOOK_UP], max_output_tokens=256, stream=step % 2 == 1)
        assert answer.status_code == 200, answer.text
        assert float(answer.headers["x-farebox-hold"]) < 0.005
        said = answer.json() if step % 2 == 0 else json.loads(answer.text.split("data: ")[-1])["response"]
        thought, called = said["output"]
        given += [*named(thought["id"]), called, {"type": "function_call_output", "call_id": called["call_id"], "output": "found"}]
    charges = await house.agree_with(4)
    for charge in charges:
        assert charge.completeness == "exact"
        assert charge.price <= house.rows("SELECT amount FROM holds WHERE id = ?", charge.hold_id)[0][0]


async def test_several_items_are_bounded_by_their_sum(house: House) -> None:
    """Each time that one is named it counts. At another model what can be read counts by its bytes; what cannot, by the context window."""
    secret = await house.customer("50.00", None)
    thought, said = await items_of(house, secret, "hi sim:reasoning=60 sim:output=20", model=THINKS)
    assert facts(house, thought) == {"model": THINKS, "total_tokens": 80}
    assert facts(house, said)["total_tokens"] == 80
    text = facts(house, said)["tokens_anywhere"]
    assert text > 80
    one, other, both = [
        await bound(house, secret, [*named(*names), user("go on")], model=THINKS) for names in ([thought], [said], [thought, said])
    ]
    assert other - one == len(said) - len(thought)
    thrice = await bound(house, secret, [*named(thought, thought, thought), user("go on")], model=THINKS)
    again = await bound(house, secret, [*named(thought, thought), user("go on")], model=THINKS)
    assert both - one >= 80
    assert thrice - again >= 80
    assert await bound(house, secret, [*named(said), user("go on")], model="gpt-5-nano") == other + text - 80
    assert await bound(house, secret, [*named(thought), user("go on")]) >= 100_000


async def test_what_is_in_the_request_too_is_bounded_by_what_is_recorded_of_it(house: House) -> None:
    """Thoughts that are sent back with their id, and a search that found something."""
    secret = await house.customer("50.00", None)
    thought, _ = await items_of(house, secret, "hi sim:reasoning=60", model=THINKS)
    again = [{"type": "reasoning", "id": thought, "summary": []}, user("go on")]
    assert await bound(house, secret, again, model=THINKS) < 2_000
    answer = await ask(house, secret, f"find it sim:web_search=1 sim:found={limits.search_tokens_max}", tools=[SEARCH], max_tool_calls=1)
    searched = [item for item in answer.json()["output"] if item["type"] == "web_search_call"]
    for given in ([*searched, user("go on")], [*named(*(item["id"] for item in searched)), user("go on")]):
        found = await bound(house, secret, given)
        assert len(searched) * limits.search_tokens_max < found < len(searched) * limits.search_tokens_max + 3_000
        assert (await ask(house, secret, given)).status_code == 200
    assert (await ask(house, secret, again, model=THINKS)).status_code == 200
    await house.agree_with(5)


async def test_a_response_and_items_of_others_are_bounded_together(house: House) -> None:
    """What it goes on from, and what it names beside that."""
    secret = await house.customer("50.00", None)
    first = (await ask(house, secret, "hi sim:output=30")).json()
    (other,) = await items_of(house, secret, "hi sim:output=40")
    given = [*named(other), user("go on")]
    alone, together = await bound(house, secret, given), await bound(house, secret, given, previous_response_id=first["id"])
    assert together - alone >= first["usage"]["total_tokens"]
    assert together < alone + 200
    assert (await ask(house, secret, given, previous_response_id=first["id"])).status_code == 200
    await house.agree_with(3)


async def test_of_what_is_not_told_only_the_bytes_that_were_shown_are_known(house: House) -> None:
    """No usage: then thoughts may be anything, and a message is what can be read of it."""
    secret = await house.customer("50.00", None)
    thought, said = await items_of(house, secret, "hi sim:reasoning=9 sim:output=9 sim:usage=missing", model=THINKS)
    assert facts(house, thought) == {"model": THINKS}
    assert set(facts(house, said)) == {"model", "tokens_anywhere"}
    assert await bound(house, secret, [*named(said), user("go on")], model=THINKS) < 2_000
    assert await bound(house, secret, [*named(said, thought), user("go on")], model=THINKS) >= 100_000
    await house.agree()


async def test_what_does_not_fit_by_the_window_is_counted_by_the_provider(house: House) -> None:
    """Thoughts of another model: the provider counts them with the rest of the request, for nothing."""
    rich = await house.customer("1.00", None)
    thought, _ = await items_of(house, rich, "hi sim:reasoning=4000", model=THINKS, max_output_tokens=5000)
    ((account,),) = house.rows("SELECT account FROM objects WHERE id = ?", thought)
    poor = await house.key(account, "0.01")
    answer = await ask(house, poor, [*named(thought), user("go on")], model="gpt-5-nano")
    assert answer.status_code == 200, answer.text
    last = house.charges()[-1]
    assert last.flags == "input_counted"
    assert 4000 < last.tokens < 4500
    assert last.price <= house.rows("SELECT amount FROM holds WHERE id = ?", last.hold_id)[0][0]
    await house.agree()


def spelled(item: dict[str, Any]) -> list[dict[str, Any]]:
    """What names an item, or what it was, without saying what that was."""
    name = {"id": item["id"]}
    found = [*named(item["id"]), name, {**name, "role": None}, {**name, "type": None, "role": "user"}, {**name, "type": "message"}]
    if item["type"] in ("reasoning", "function_call"):
        found.append({**name, "type": item["type"], "summary": []})
    return [*found, {**item, "encrypted_content": "x"}] if item["type"] != "reasoning" else found


async def test_whatever_is_named_the_hold_covers_the_bill(house: House) -> None:
    """Random turns: models, thoughts, searches that found much, pages cited, tools; items named in any spelling, sent whole, several times, or left
    out.
    """
    dice, secret = Random(20261121), await house.customer("500.00", None)
    kept: list[dict[str, Any]] = []
    for turn in range(60):
        given: list[Any] = [dice.choice([one, *spelled(one)]) for one in dice.choices(kept, k=dice.randint(0, min(6, len(kept))))]
        words = " ".join(f"sim:{word}={dice.randint(1, 60)}" for word in ("output", "reasoning", "annotations") if dice.random() < 0.6)
        tools = [LOOK_UP] if dice.random() < 0.3 else [SEARCH] if dice.random() < 0.3 else []
        extra = " sim:tool=1" if tools == [LOOK_UP] else f" sim:web_search=1 sim:found={dice.choice([0, 200, 9000])}" if tools else ""
        model, text = dice.choice([PLAIN, THINKS]), f"turn {turn} é {words}{extra}"
        answer = await ask(house, secret, [*given, user(text)], model=model, tools=tools)
        assert answer.status_code == 200, answer.text
        kept += answer.json()["output"]
    for charge in await house.agree_with(60):
        assert charge.price <= house.rows("SELECT amount FROM holds WHERE id = ?", charge.hold_id)[0][0]
    assert all("overage" not in charge.flags and not charge.written_off for charge in house.charges())


# --- whose they are --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["item_reference", None, "reasoning", "web_search_call"])
async def test_another_accounts_item_does_not_exist(house: House, kind: str | None) -> None:
    """Named or sent whole, told in the same words as of one that nobody made; nothing is held, and the provider is not asked."""
    own, other = await house.customer(), await house.customer()
    made = await ask(house, own, "find it sim:web_search=1 sim:reasoning=9", model=THINKS, tools=[SEARCH], max_tool_calls=1)
    name = next(
        item["id"] for item in made.json()["output"] if item["type"] == (kind if kind in ("reasoning", "web_search_call") else "message")
    )
    before, reached = house.books(), len(await house.sim_calls())
    given = [{"type": kind, "id": name}, user("what did they say?")]
    theirs = refused(await ask(house, other, given, model=THINKS))
    assert theirs == (404, "There is no item of that id for this key.")
    assert refused(await count(house, other, given, THINKS)) == theirs
    if kind != "web_search_call":
        nobodys = [{"type": kind, "id": name[:3] + "0" * (len(name) - 3)}, user("what did they say?")]
        assert refused(await ask(house, other, nobodys, model=THINKS)) == theirs
    assert (house.books(), len(await house.sim_calls())) == (before, reached)
    assert (await ask(house, own, given, model=THINKS)).status_code == 200


async def test_what_another_thought_is_not_had_by_saying_what_it_was(house: House) -> None:
    """An item that shows its content may be one that nobody keeps; one that somebody else's response left it may not."""
    own, other = await house.customer("50.00", None), await house.customer("50.00", None)
    thought, _ = await items_of(house, own, "hi sim:reasoning=9", model=THINKS)
    shown = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    refused(await ask(house, other, [{**shown, "id": thought}, user("go on")], model=THINKS))
    assert (await ask(house, other, [{**shown, "id": "rs_nobodys"}, user("go on")], model=THINKS)).status_code == 200


async def test_no_setting_makes_another_accounts_item_usable(tmp_path: Path) -> None:
    """What a setting bounds may be the caller's own or nobody's."""
    admitted = {"bounds": {"input.image_generation_call": {"input_tokens": 900}, "input.item_reference": {"input_tokens": 900}}}
    async with open_house(tmp_path, {"providers": {"openai": admitted}}) as house:
        own, other = await house.customer("50.00", None), await house.customer("50.00", None)
        (said,) = await items_of(house, own)
        drawn = {"type": "image_generation_call", "result": None, "status": "completed"}
        for given in ({**drawn, "id": said}, *named(said)):
            refused(await ask(house, other, [given, user("go on")]))
        for secret, name in ((own, said), (other, "ig_nobodys")):
            assert await bound(house, secret, [{**drawn, "id": name}, user("go on")]) > 900


async def test_those_above_may_use_what_those_below_them_made(house: House) -> None:
    """As with responses: neither the other way, nor beside."""
    company = await house.account()
    teams = [await house.account(parent=company, own_wallet=False) for _ in range(2)]
    keys = {name: await house.key(name) for name in (company, *teams)}
    made = {name: (await items_of(house, keys[name]))[0] for name in keys}
    for asker, secret in keys.items():
        for maker, item in made.items():
            expected = 200 if asker in (maker, company) else 404
            assert (await ask(house, secret, [*named(item), user("go on")])).status_code == expected, (asker, maker)


async def test_an_alias_names_the_same_items(tmp_path: Path) -> None:
    """By whatever name the model was called when they were made."""
    async with open_house(tmp_path, {"models": {"thinker": {"route": [f"openai/{THINKS}"]}}}) as house:
        secret = await house.customer()
        (by_name, *_), (by_alias, *_) = [await items_of(house, secret, "hi sim:reasoning=9", model=model) for model in (THINKS, "thinker")]
        for model in ("thinker", THINKS, f"openai/{THINKS}"):
            assert await bound(house, secret, [*named(by_name, by_alias), user("go on")], model=model) < 2_000
            assert (await ask(house, secret, [*named(by_name, by_alias), user("go on")], model=model)).status_code == 200
        await house.agree_with(5)


async def test_an_item_is_there_at_the_provider_that_keeps_it(tmp_path: Path) -> None:
    """At Azure by the deployment that made it; at another provider it does not exist, and that one is not asked."""

    def azure(url: str) -> dict[str, Any]:
        return {"providers": {"azure": {"api_key": "resource-key", "base_url": url, "deployments": {"mind-gpt-5-mini": THINKS}}}}

    async with open_house(tmp_path, azure) as house:
        secret = await house.customer()
        models = (THINKS, "azure/mind-gpt-5-mini")
        made = {model: await items_of(house, secret, "hi sim:reasoning=9", model=model) for model in models}
        for model in models:
            assert {facts(house, name)["model"] for name in made[model]} == {THINKS}
            assert await bound(house, secret, [*named(*made[model]), user("go on")], model=model) < 2_000
            assert (await ask(house, secret, [*named(*made[model]), user("go on")], model=model)).status_code == 200
        before, reached = house.books(), len(await house.sim_calls())
        for model, other in (models, models[::-1]):
            refused(await ask(house, secret, [*named(*made[other]), user("go on")], model=model))
        assert (house.books(), len(await house.sim_calls())) == (before, reached)
        await house.agree_with(4)


# --- how long they are ----------------------------------------------------------------------------------------------------------------


async def test_what_is_not_kept_leaves_nothing_to_name(house: House) -> None:
    """`store` is false: its items are nobody's, and it may name what others left."""
    secret = await house.customer()
    (kept,), (unkept,) = await items_of(house, secret), await items_of(house, secret, store=False)
    refused(await ask(house, secret, [*named(unkept), user("go on")]))
    assert (await ask(house, secret, [*named(kept), user("go on")], store=False)).status_code == 200
    assert len(house.rows("SELECT 1 FROM objects WHERE kind = 'item'")) == 1


async def test_items_of_a_deleted_response_are_the_providers_to_refuse(house: House) -> None:
    """Whose they are stays known; the provider says that they are gone, in its own words, and nothing is charged."""
    secret = await house.customer()
    answer = (await ask(house, secret, "hi")).json()
    deleted = await house.http.delete(f"{house.url}/v1/responses/{answer['id']}", headers={"authorization": f"Bearer {secret}"})
    assert deleted.json()["deleted"] is True
    gone = await ask(house, secret, [*named(answer["output"][0]["id"]), user("go on")])
    assert (gone.status_code, gone.json()["error"]["param"]) == (404, "input")
    assert gone.json()["error"]["message"] == f"Item with id '{answer['output'][0]['id']}' not found."
    assert [charge.price > 0 for charge in house.charges()] == [True, False]
    assert [charge.outcome for charge in house.charges()][1] != "answered"


async def test_only_so_many_items_of_a_response_are_remembered(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones. The others are nobody's."""
    monkeypatch.setattr(limits, "response_items_max", 1)
    secret = await house.customer()
    first, second = await items_of(house, secret, "hi sim:reasoning=9", model=THINKS)
    assert (await ask(house, secret, [*named(first), user("go on")], model=THINKS)).status_code == 200
    refused(await ask(house, secret, [*named(second), user("go on")], model=THINKS))


async def test_items_of_a_response_in_the_background_are_there_when_it_is_charged(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before; and by the same commit."""
    monkeypatch.setattr(limits, "background_poll_pause_ms_min", 5)
    secret = await house.customer()
    answer = await ask(house, secret, "hi sim:polls=1 sim:reasoning=9 sim:output=20", background=True, model=THINKS)
    assert answer.json()["status"] == "queued"
    await until(lambda: not house.rows("SELECT 1 FROM background"))
    names = [name for (name,) in house.rows("SELECT id FROM objects WHERE kind = 'item' ORDER BY id DESC")]
    assert [facts(house, name)["total_tokens"] for name in names] == [29, 29]
    assert (await ask(house, secret, [*named(*names), user("go on")], model=THINKS)).status_code == 200
    await house.agree_with(2)


async def test_items_of_a_stream_that_broke_off_are_still_whose_they_were(house: House) -> None:
    """The client has seen their ids, and the provider may keep them; how much they are was never told."""
    secret = await house.customer("50.00", None)
    broken = await ask(house, secret, "hi sim:output=9 sim:cut=4 sim:reasoning=7", stream=True, model=THINKS)
    assert "response.completed" not in broken.text
    await house.settled()
    names = [name for (name,) in house.rows("SELECT id FROM objects WHERE kind = 'item' ORDER BY id DESC")]
    assert [facts(house, name) for name in names] == [{"model": THINKS}] * 2
    assert await bound(house, secret, [*named(names[0]), user("go on")], model=THINKS) >= 100_000
    assert (await ask(house, secret, [*named(*names), user("go on")], model=THINKS)).status_code == 200
    await house.agree()


async def test_a_repeat_with_its_idempotency_key_names_the_same_items(house: House) -> None:
    """One call, one set of items; and what names them may be repeated too."""
    secret = await house.customer()
    first, again = [await ask(house, secret, "hi", {"idempotency-key": "once"}) for _ in range(2)]
    assert again.headers["x-farebox-replayed"] == "1"
    (item,) = [item["id"] for item in first.json()["output"]]
    given = [*named(item), user("go on")]
    answers = await asyncio.gather(*(ask(house, secret, given, {"idempotency-key": "twice"}) for _ in range(3)))
    assert len({answer.text for answer in answers}) == 1
    await house.agree_with(2)


async def test_an_attempt_that_is_made_again_names_what_the_first_one_did(tmp_path: Path) -> None:
    """One of the provider's keys is refused: the call is made with another, and charged once."""
    async with open_house(tmp_path, {"providers": {"openai": {"api_key": "sk-a", "api_keys": ["sk-b"]}}}) as house:
        secret = await house.customer()
        (item,) = await items_of(house, secret)
        await house.refuse_key("sk-a")
        await house.refuse_key("sk-b", None)
        for _ in range(2):
            assert (await ask(house, secret, [*named(item), user("go on")])).status_code == 200
        assert len([charge for charge in house.charges() if charge.price]) == 3
        assert len(house.charges()) > 3
        await house.agree()
