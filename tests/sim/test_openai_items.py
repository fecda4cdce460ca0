"""Output items that the simulated OpenAI keeps: named again, recalled, billed as input; and its own error for what it does not keep."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import openai
import pytest

MODEL = "gpt-6-sol"
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]
SAID: Any = {"role": "user", "content": "go on"}


def named(*names: str | None) -> list[Any]:
    return [{"type": "item_reference", "id": name} for name in names]


async def inputs(rows: Rows) -> list[int]:
    return [row["tokens"]["input"] for row in await rows()]


async def test_a_named_item_is_billed_as_what_it_was(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Its tokens and those of any message, each time; the reference itself is nothing. Counting says the same."""
    first = await chat.responses.create(model=MODEL, input="hi sim:reasoning=30 sim:output=12")
    thought, message = [item.id for item in first.output]
    await chat.responses.create(model=MODEL, input=[SAID])
    await chat.responses.create(model=MODEL, input=[*named(thought), SAID])
    await chat.responses.create(model=MODEL, input=[*named(thought, message, message), SAID], store=False)
    untyped: Any = {"id": message}
    events: Any = await chat.responses.create(model=MODEL, input=[untyped, SAID], stream=True)
    assert [event async for event in events]
    _, alone, *more = await inputs(rows)
    assert [tokens - alone for tokens in more] == [34, 34 + 2 * 16, 16]
    counted = await chat.responses.input_tokens.count(model=MODEL, input=[*named(thought, message), SAID])
    assert counted.input_tokens == alone + 34 + 16


async def test_calls_and_searches_are_kept_too(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """A call is its arguments; a search is what it found, also where it is sent whole and was kept."""
    tool: Any = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
    called = await chat.responses.create(model=MODEL, input="hi sim:tool=1", tools=[tool])
    searched = await chat.responses.create(model=MODEL, input="hi sim:web_search=1", tools=[{"type": "web_search"}])
    search = searched.output[0].model_dump()
    whole: list[Any] = [search, {**search, "id": "ws_of_nobody"}]
    for given in ([], named(called.output[0].id), named(search["id"]), whole[:1], whole[1:]):
        await chat.responses.create(model=MODEL, input=[*given, SAID])
    alone, call, reference, kept, unkept = (await inputs(rows))[2:]
    assert call - alone == 4 + 5
    assert reference - alone == 4 + 200
    assert 200 <= kept - unkept <= 205


async def test_reasoning_is_recalled_by_its_id_or_is_in_its_encryption(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """As many tokens either way; what is neither kept nor encrypted is not found."""
    kept = await chat.responses.create(model=MODEL, input="hi sim:reasoning=100")
    unkept = await chat.responses.create(model=MODEL, input="hi sim:reasoning=100", store=False, include=["reasoning.encrypted_content"])
    thoughts: list[Any] = [answer.output[0].model_dump(exclude_none=True) for answer in (kept, unkept)]
    for thought in thoughts:
        await chat.responses.create(model=MODEL, input=[thought, SAID], store=False)
    recalled, decrypted = (await inputs(rows))[2:]
    assert 100 < recalled < 150
    assert recalled <= decrypted < recalled + 20
    bare: Any = {**thoughts[1], "encrypted_content": None}
    with pytest.raises(openai.NotFoundError, match="not found"):
        await chat.responses.create(model=MODEL, input=[bare, SAID])


@pytest.mark.parametrize("store", [True, False])
async def test_an_item_that_is_not_kept_is_not_found(chat: openai.AsyncOpenAI, rows: Rows, *, store: bool) -> None:
    """Never made, made with `store` false, or deleted with its response. In the words of the provider; nothing is billed."""
    unkept = await chat.responses.create(model=MODEL, input="hi", store=False)
    deleted = await chat.responses.create(model=MODEL, input="hi")
    await chat.responses.delete(deleted.id)
    for name in ("msg_none", unkept.output[0].id, deleted.output[0].id):
        with pytest.raises(openai.NotFoundError) as raised:
            await chat.responses.create(model=MODEL, input=[*named(name), SAID], store=store)
        told: Any = raised.value.body
        why = (
            "Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input."
        )
        assert told["message"] == f"Item with id '{name}' not found." + ("" if store else f" {why}")
        assert (told["type"], told["param"], told["code"]) == ("invalid_request_error", "input", None)
    assert [int(row["nano"]) > 0 for row in await rows()] == [True, True, False, False, False]


async def test_a_reference_without_an_id_is_refused(http: httpx.AsyncClient) -> None:
    """It names nothing."""
    answer = await http.post("/v1/responses", json={"model": MODEL, "input": [{"type": "item_reference"}, SAID]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "missing_required_parameter")


async def test_the_listed_input_has_what_was_named(chat: openai.AsyncOpenAI) -> None:
    """Not the reference."""
    first = await chat.responses.create(model=MODEL, input="hi")
    again = await chat.responses.create(model=MODEL, input=[*named(first.output[0].id), SAID])
    listed: list[Any] = [item async for item in chat.responses.input_items.list(again.id, order="asc")]
    assert [(item.id, item.role) for item in listed] == [(first.output[0].id, "assistant"), ("msg_input_1", "user")]
