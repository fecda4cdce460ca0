"""What others metered wrong, over the whole way of a request: each charge is the provider's bill, or covers it where the answer does not tell it.

The rules of single readers are tested where the readers are; docs/traps.md names which test is about what.
"""

import json
from typing import Any

import pytest

from farebox.ledger.model import Charge
from support.house import House, charged_by_id, nano_by_id

_OK = 200
_REFUSED = {400, 403, 404, 405}


async def _post(house: House, secret: str, path: str, body: dict[str, Any], *, query: str = "") -> bytes:
    """One call as plain HTTP, with the key where every API has it; its answer must be one."""
    headers = {"x-goog-api-key": secret} if "/v1beta/" in path else {"authorization": f"Bearer {secret}"}
    answer = await house.http.post(house.url + path + query, headers=headers, json=body)
    assert answer.status_code == _OK, answer.text
    return answer.content


async def _exact(house: House, calls: int) -> list[Charge]:
    """All charges, each of them exactly the bill, and nothing odd about any."""
    charges = await house.agree_with(calls)
    assert [(charge.completeness, charge.flags) for charge in charges] == [("exact", "")] * calls
    return charges


def _units(charge: Charge) -> dict[str, int]:
    """What was charged, by unit."""
    return {unit: quantity for unit, quantity, *_ in json.loads(charge.lines)}


def _contents(text: str) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_usage_that_was_not_asked_for_is_metered_and_not_shown(house: House, *, stream: bool) -> None:
    """A stream whose client did not ask shows none, and is charged exactly all the same."""
    answer = await house.chat(await house.customer(), "hi sim:output=20", stream=stream)
    assert (b'"usage":' in answer.content) is not stream
    await _exact(house, 1)


async def test_several_cumulative_deltas_are_not_added_up(house: House) -> None:
    """Anthropic tells its usage again and again: the last one counts, and what comes first is not final."""
    secret = await house.customer()
    for deltas in (1, 3):
        answer = await house.messages(secret, f"hi sim:output=30 sim:deltas={deltas}", stream=True)
        assert answer.content.count(b"event: message_delta") == deltas
    one, three = await _exact(house, 2)
    assert _units(one)["out_text"] == _units(three)["out_text"] == 30


async def test_a_stream_without_its_last_delta_covers_its_bill(house: House) -> None:
    """The start told the input; what was generated is not told, and some of it may be hidden."""
    secret = await house.customer()
    await house.messages(secret, "hi sim:output=30 sim:usage=missing", stream=True)
    (charge,) = await house.agree()
    assert charge.completeness in ("estimated", "unknown")


async def test_usage_that_is_told_with_every_piece_is_not_added_up(house: House) -> None:
    """Gemini says the sum so far again and again, in events and in an array; thoughts are output."""
    secret = await house.customer("50.00", None)
    path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
    for query in ("?alt=sse", ""):
        shown = await _post(house, secret, path, _contents("hi sim:output=40 sim:reasoning=30"), query=query)
        assert shown.count(b"usageMetadata") > 2
    assert [_units(charge)["out_text"] for charge in await _exact(house, 2)] == [70, 70]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_refusal_before_any_output_is_not_charged(house: House, *, stream: bool) -> None:
    """As it is not billed; one that comes after some output is billed like any answer."""
    secret = await house.customer()
    for shown in (0, 12):
        await house.messages(secret, f"hi sim:refusal={shown}", stream=stream)
    nothing, some = sorted(await _exact(house, 2), key=lambda charge: charge.price)
    assert nothing.price == 0 < some.price


@pytest.mark.parametrize("split", ["missing", "mismatch"])
async def test_cache_writes_whose_lifetimes_do_not_add_up_cover_their_bill(house: House, split: str) -> None:
    """What is not told to be of five minutes may be of an hour."""
    secret = await house.customer()
    kept: Any = [{"type": "text", "text": "word " * 3000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    for stream in (False, True):
        words = f"hi sim:cache_write=400 sim:cache_write_1h=600 sim:cache_split={split}"
        assert (await house.messages(secret, words, stream=stream, system=kept)).status_code == _OK
    await house.settled()
    charges, billed = charged_by_id(house.charges()), nano_by_id(await house.sim_calls())
    assert charges.keys() == billed.keys()
    for name, charge in charges.items():
        assert charge.price >= billed[name]
        assert sum(quantity for unit, quantity in _units(charge).items() if unit.startswith("in_cache_write")) == 1000


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_tier_that_served_is_charged_and_not_the_one_that_was_asked_for(house: House, *, stream: bool) -> None:
    """A flex call that is served as any other costs what any other does, and one that is served as asked costs less."""
    secret = await house.customer("50.00", None)
    for words, tier in (("sim:tier=default", "flex"), ("", "flex"), ("sim:tier=default", "priority"), ("", "priority")):
        answer = await house.chat(
            secret, f"hi sim:output=20 {words}", model="gpt-5.4", service_tier=tier, stream=stream, max_completion_tokens=90
        )
        assert answer.status_code == _OK, answer.text
    fallen, flex, from_priority, priority = [charge.price for charge in await _exact(house, 4)]
    assert flex < fallen < priority
    assert from_priority - fallen in range(-2000, 2000)


async def test_fees_of_tools_are_lines_of_their_own(house: House) -> None:
    """Searches of a response stand beside its tokens, in a stream too, each at its fee."""
    secret = await house.customer("50.00", None)
    body = {"model": "gpt-5.4", "tools": [{"type": "web_search"}], "max_tool_calls": 4, "max_output_tokens": 200}
    for stream in (False, True):
        await _post(house, secret, "/v1/responses", {**body, "input": "hi sim:web_search=3", "stream": stream})
    for charge in await _exact(house, 2):
        assert _units(charge)["tool_web_search"] == 3


async def test_every_choice_is_charged_and_held_for(house: House) -> None:
    """Of chat, of completions with more generated than shown, and of Gemini."""
    secret = await house.customer("50.00", None)
    await house.chat(secret, "hi sim:output=10", n=3, max_tokens=40)
    body = {"model": "gpt-3.5-turbo-instruct", "prompt": "hi sim:output=10", "n": 2, "best_of": 4, "max_tokens": 40}
    await _post(house, secret, "/v1/completions", body)
    several = {**_contents("hi sim:output=10"), "generationConfig": {"candidateCount": 3, "maxOutputTokens": 40}}
    await _post(house, secret, "/v1beta/models/gemini-2.0-flash:generateContent", several)
    charges = await _exact(house, 3)
    assert [_units(charge)["out_text"] for charge in charges] == [30, 40, 30]
    for charge in charges:
        assert house.rows("SELECT amount FROM holds WHERE id = ?", charge.hold_id)[0][0] >= charge.price


async def test_embeddings_of_tokens_are_charged_by_the_token(house: House) -> None:
    """However many digits they are written in; a list of lists is all of them."""
    secret = await house.customer()
    for given in ([1, 22, 333], [[100_000] * 40, [7]], "hi", ["hi", "é"]):
        await _post(house, secret, "/v1/embeddings", {"model": "text-embedding-3-small", "input": given})
    charges = await _exact(house, 4)
    assert [_units(charge)["in_text_uncached"] for charge in charges[:2]] == [3, 41]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "no-such-model", "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/chat/completions", {"model": "nowhere/gpt-4o", "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/chat/completions", {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "no_such_tool"}]}),
        ("/v1/responses", {"model": "gpt-5.4", "input": "hi", "tools": [{"type": "no_such_tool"}]}),
        ("/v1/messages", {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": [], "tools": [{"type": "no_such_tool", "name": "x"}]}),
        ("/v1beta/models/gemini-2.5-flash:generateContent", {**_contents("hi"), "tools": [{"noSuchTool": {}}]}),
        ("/v1beta/models/no-such-model:generateContent", _contents("hi")),
        ("/model/no-such-model/converse", {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}),
        ("/v1/text-to-speech/voice", {"text": "hi", "model_id": "no-such-model"}),
        ("/v1/no/such/endpoint", {"model": "gpt-4o"}),
        ("/v1/realtime/client_secrets", {"session": {"type": "realtime", "model": "gpt-realtime"}}),
        ("/v1beta/models/gemini-2.5-flash:batchGenerateContent", _contents("hi")),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
async def test_what_is_not_known_is_refused_before_anything_is_sent(house: House, path: str, body: dict[str, Any]) -> None:
    """Models, tools and endpoints: no hold, no byte to the provider, and the books as they were."""
    secret, before = await house.customer(), house.books()
    headers = {"x-goog-api-key": secret} if "/v1beta/" in path else {"authorization": f"Bearer {secret}"}
    answer = await house.http.post(house.url + path, headers=headers, json=body)
    assert answer.status_code in _REFUSED
    assert house.books()["charges"] == before["charges"]
    assert house.books()["held"] == 0
    assert await house.sim_calls() == []
