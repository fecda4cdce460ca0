"""The unmodified OpenAI SDK's responses through the gateway: as straight at the provider, charged what the provider billed."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from support.house import House

MODEL = "gpt-5.4"
_FUNCTION: Any = {
    "type": "function",
    "name": "look_up",
    "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False},
    "strict": True,
}
_ASKS: dict[str, dict[str, Any]] = {
    "plain": {"input": "hi"},
    "hundred_tokens": {"input": "count sim:output=100"},
    "cut_by_its_cap": {"input": "count sim:output=100", "max_output_tokens": 20},
    "reasoning": {"input": "think sim:reasoning=300"},
    "cached": {"input": "again " * 200 + "sim:cached=50"},
    "instructions_and_history": {
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "hi"}],
    },
    "function": {"input": "call it sim:tool=look_up", "tools": [_FUNCTION]},
    "web_search": {"input": "search sim:web_search=3", "tools": [{"type": "web_search"}], "max_tool_calls": 5},
    "not_kept": {"input": "hi", "store": False},
    "flex": {"input": "hi", "service_tier": "flex"},
    "long_prompt": {"input": "word " * 1500},
}
_OWN = {"id", "created_at", "completed_at", "item_id", "call_id", "encrypted_content", "obfuscation"}


def _same(value: Any) -> Any:
    """What must be equal in two answers: all but ids, and the moments they were made."""
    if isinstance(value, dict):
        return {name: _same(inner) for name, inner in value.items() if name not in _OWN}
    return [_same(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture
async def straight(house: House) -> AsyncIterator[openai.AsyncOpenAI]:
    """The same SDK at the provider itself."""
    async with openai.AsyncOpenAI(api_key="any", base_url=f"{house.sim.url}/v1", max_retries=0) as client:
        yield client


async def test_responses_are_those_of_the_provider(house: House, straight: openai.AsyncOpenAI) -> None:
    """Whole and as streams, event by event; each charged exactly what it was billed."""
    client = house.openai(await house.customer("50.00", None))
    for name, ask in _ASKS.items():
        body = {"model": MODEL, "max_output_tokens": 400, **ask}
        through = (await client.responses.create(**body)).model_dump()
        assert _same(through) == _same((await straight.responses.create(**body)).model_dump()), name
        events = [_same(event.model_dump()) async for event in await client.responses.create(**body, stream=True)]
        assert events == [_same(event.model_dump()) async for event in await straight.responses.create(**body, stream=True)], name
    charges = await house.agree_with(2 * len(_ASKS))
    assert {charge.completeness for charge in charges} == {"exact"}


@pytest.mark.parametrize("end", ["incomplete", "failed", "error"])
async def test_every_end_is_charged(house: House, end: str) -> None:
    """Exactly where the provider reports; where it does not, never below its bill."""
    client = house.openai(await house.customer("50.00", None))
    stream = await client.responses.create(model=MODEL, input=f"hi sim:end={end}", max_output_tokens=100, stream=True)
    kinds = [event.type async for event in stream]
    assert kinds[-1] in {f"response.{end}", end}
    assert len(await house.agree()) == 1


async def test_a_client_that_leaves_is_charged_what_was_billed(house: House) -> None:
    """The rest is read for it."""
    client = house.openai(await house.customer("50.00", None))
    stream = await client.responses.create(model=MODEL, input="hi sim:output=60 sim:pace=5", max_output_tokens=100, stream=True)
    async for event in stream:
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    (charge,) = await house.agree_with(1)
    assert charge.completeness == "exact"


async def test_no_money_is_said_once(house: House) -> None:
    """The SDK makes one attempt, and its error says why."""
    client = house.openai(await house.customer("0.0001", None))
    with pytest.raises(openai.APIStatusError) as refused:
        await client.responses.create(model=MODEL, input="x" * 40_000, max_output_tokens=5000)
    assert (refused.value.status_code, refused.value.code) == (402, "insufficient_quota")
    assert await house.sim_calls() == []
