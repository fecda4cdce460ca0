"""Items that OpenAI keeps, however a request spells that it means them: whose they are is known, at any provider, and how many it may name."""

from pathlib import Path
from typing import Any

import pytest

from farebox import limits
from support.house import House, open_house
from support.items import LOOK_UP, SEARCH, THINKS, ask, bound, count, facts, items_of, named, refused, user

SEALED = {"type": "reasoning", "summary": [], "encrypted_content": "c2lt"}
SPELLINGS: list[tuple[str, dict[str, Any]]] = [
    ("reasoning", {"role": None}),
    ("message", {"type": None, "role": None}),
    ("message", {"role": "user"}),
    ("message", {"type": "message"}),
    ("message", {"type": "message", "role": "assistant", "content": None}),
    ("message", {"type": "message", "role": "assistant", "content": []}),
    ("function_call", {"type": "function_call", "call_id": "call_1", "name": "look_up"}),
    ("web_search_call", {"type": "web_search_call", "encrypted_content": "c2lt"}),
    ("reasoning", SEALED),
]


async def every_kind(house: House, secret: str, model: str = THINKS) -> dict[str, str]:
    """One item of each kind that is kept: its id, by its kind."""
    searched = await ask(house, secret, "find it sim:web_search=1 sim:reasoning=9", model=model, tools=[SEARCH], max_tool_calls=1)
    called = await ask(house, secret, "look it up sim:tool=1", model=model, tools=[LOOK_UP])
    output = searched.json()["output"] + called.json()["output"]
    return {item["type"]: item["id"] for item in reversed(output)}


@pytest.mark.parametrize(("kind", "spelling"), SPELLINGS)
async def test_no_spelling_reaches_what_is_another_accounts(house: House, kind: str, spelling: dict[str, Any]) -> None:
    """It does not exist: nothing is held, and the provider is not asked. Its own account may, and is held for what it was."""
    own, other = await house.customer("50.00", None), await house.customer("50.00", None)
    given = [{"id": (await every_kind(house, own))[kind], **spelling}, user("what did they say?")]
    before, reached = house.books(), len(await house.sim_calls())
    theirs = (404, "There is no item of that id for this key.")
    assert refused(await ask(house, other, given, model=THINKS)) == theirs
    assert refused(await count(house, other, given, THINKS)) == theirs
    assert (house.books(), len(await house.sim_calls())) == (before, reached)
    assert (await count(house, own, given, THINKS)).status_code == 200
    assert (await ask(house, own, given, model=THINKS)).status_code == 200
    charge = (await house.agree_with(3))[-1]
    assert charge.price <= house.rows("SELECT amount FROM holds WHERE id = ?", charge.hold_id)[0][0]


async def test_what_is_sealed_is_bounded_by_its_bytes_whoever_sealed_it(house: House) -> None:
    """Nobody keeps an item of a response that was not stored: then its id is anybody's."""
    secret = await house.customer("50.00", None)
    thought, _ = await items_of(house, secret, "hi sim:reasoning=900", model=THINKS, max_output_tokens=1000)
    for name in (thought, "rs_nobodys"):
        assert await bound(house, secret, [{**SEALED, "id": name}, user("go on")], model=THINKS) < 2_000
        assert (await ask(house, secret, [{**SEALED, "id": name}, user("go on")], model=THINKS)).status_code == 200
    await house.agree_with(3)


def second(url: str) -> dict[str, Any]:
    """Another name for OpenAI, and maybe for the same account there."""
    more = {"dialect": "openai", "prices": "openai", "api_key": "sk-second", "base_url": f"{url}/v1"}
    return {"providers": {"second": more}}


async def test_what_another_provider_keeps_for_another_account_is_not_had_either(tmp_path: Path) -> None:
    """Two providers may be names for one account there. Its own account is held for the context window: what it was is known of the other one."""
    async with open_house(tmp_path, second) as house:
        own, other = await house.customer("50.00", None), await house.customer("50.00", None)
        model = f"second/{THINKS}"
        made = await every_kind(house, own)
        shown = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
        search = {"type": "web_search_call", "id": made["web_search_call"], "action": {"type": "search", "query": "fares"}}
        for item in (search, {**shown, "id": made["reasoning"]}, {**SEALED, "id": made["reasoning"]}, *named(made["message"])):
            refused(await ask(house, other, [item, user("go on")], model=model))
            refused(await count(house, other, [item, user("go on")], model))
        assert await bound(house, own, [search, user("go on")]) < await bound(house, own, [search, user("go on")], model=model)
        assert (await ask(house, own, [search, user("go on")], model=model)).status_code == 200
        refused(await ask(house, own, [*named(made["message"]), user("go on")], model=model))


async def test_nobody_names_more_than_is_looked_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paid for or not: refused in the words of the API, before anything is looked up."""
    penniless, rich = await house.customer("0"), await house.customer()
    pictures = [{"type": "input_image", "file_id": "file_nobodys"}] * (limits.request_objects_max + 1)
    for given, words in (
        (named("rs_nobodys") * (limits.request_items_max + 1), f"more than {limits.request_items_max} items"),
        ([{"role": "user", "content": pictures}], f"more than {limits.request_objects_max} objects"),
    ):
        answer = await count(house, penniless, given)
        assert (answer.status_code, answer.headers["x-farebox-reason"]) == (400, "invalid_request")
        assert words in answer.json()["error"]["message"]
        assert (await ask(house, rich, given)).status_code == 400
    monkeypatch.setattr(limits, "request_objects_max", 2)
    (item,) = await items_of(house, rich)
    assert (await ask(house, rich, [*named(item, item), user("go on")])).status_code == 200
    answer = await ask(house, rich, [*named(item, item, item), user("go on")])
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "more than 2 objects" in answer.json()["error"]["message"]


async def test_figures_that_are_zero_are_none(house: House) -> None:
    """A provider that says that nothing was written has not said what an item is."""
    secret = await house.customer("50.00", None)
    thought, said = await items_of(house, secret, "hi sim:reasoning=9 sim:output=9 sim:usage=zero", model=THINKS)
    assert facts(house, thought).get("total_tokens") is None
    assert facts(house, said)["tokens_anywhere"] > 9
    assert await bound(house, secret, [*named(thought), user("go on")], model=THINKS) >= 100_000
    assert (await ask(house, secret, [*named(said), user("go on")], model=THINKS)).status_code == 200
    charge = house.charges()[-1]
    assert charge.price <= house.rows("SELECT amount FROM holds WHERE id = ?", charge.hold_id)[0][0]


async def test_tools_of_the_provider_read_what_is_named_as_often_as_they_run(house: House) -> None:
    """That, what they found and what was written bounds the call, where the output has a cap; else as many context windows."""
    secret = await house.customer("50.00", None)
    thought, _ = await items_of(house, secret, "hi sim:reasoning=60", model=THINKS)
    given = [*named(thought), user("go on")]
    tools: dict[str, Any] = {"model": THINKS, "tools": [SEARCH], "max_tool_calls": 2}
    most = await bound(house, secret, given, **tools)
    assert 3 * (2 * limits.search_tokens_max + 128 + 60) < most < 3 * (2 * limits.search_tokens_max + 128 + 2_000)
    assert await bound(house, secret, given, **tools, max_output_tokens=None) > 2 * most
    assert (await ask(house, secret, given, **tools)).status_code == 200
    await house.agree_with(2)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"truncation": "auto"}, {}),
        ({"reasoning": {"context": "current_turn"}}, {}),
        ({}, {"reasoning": {"context": "all_turns"}}),
    ],
)
async def test_what_the_provider_may_have_left_out_is_held_for_when_it_may_come_back(
    house: House, first: dict[str, Any], then: dict[str, Any]
) -> None:
    """A response that goes on from one brings what that one's provider did not show its model: more than its own count."""
    secret = await house.customer("50.00", None)
    plain = (await ask(house, secret, "hi sim:reasoning=90", model=THINKS, reasoning={"context": "all_turns"})).json()["id"]
    less = (await ask(house, secret, "hi sim:reasoning=90", model=THINKS, **first)).json()["id"]
    assert await bound(house, secret, "go on", model=THINKS, previous_response_id=plain) < 3_000
    assert await bound(house, secret, "go on", model=THINKS, previous_response_id=less, **then) > 100_000
    await house.agree_with(2)


async def test_an_id_that_cannot_be_one_is_nobodys(house: House) -> None:
    """No store takes every text; nor does a free count fail on one."""
    secret = await house.customer()
    part = '{"type":"input_file","file_id":"\\ud800"}'
    body = f'{{"model":"{THINKS}","input":[{{"role":"user","content":[{part}]}}]}}'.encode()
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    for path in ("/v1/responses/input_tokens", "/v1/responses"):
        answer = await house.http.post(f"{house.url}{path}", headers=headers, content=body)
        assert answer.status_code in (400, 404), answer.text
