"""The unmodified OpenAI SDK on the routes beside chat: charged exactly what the provider billed."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from support.house import House

_OWN = {"id", "created"}


@pytest.fixture
async def straight(house: House) -> AsyncIterator[openai.AsyncOpenAI]:
    """The same SDK at the provider itself."""
    async with openai.AsyncOpenAI(api_key="any", base_url=f"{house.sim.url}/v1", max_retries=0) as client:
        yield client


async def _plain(answer: Any) -> Any:
    """An answer, or the events of one, without what names the call and its second."""
    if isinstance(answer, openai.AsyncStream):
        return [one.model_dump(exclude=_OWN, warnings=False) async for one in answer]
    return answer.model_dump(exclude=_OWN, warnings=False)  # vectors in base64 are not what the SDK calls them


async def test_answers_are_those_of_the_provider(house: House, straight: openai.AsyncOpenAI) -> None:
    """Texts and tokens, one and several, whole and as events, costly and free."""
    client = house.openai(await house.customer("50.00", None))
    seen = []
    for one in (client, straight):
        ada: Any = {"model": "text-embedding-3-small"}
        old: Any = {"model": "gpt-3.5-turbo-instruct", "max_tokens": 20}
        asked = [
            one.embeddings.create(**ada, input="hello"),
            one.embeddings.create(**ada, input=["hello", "there"], dimensions=8, encoding_format="base64"),
            one.embeddings.create(**ada, input=[1, 2, 3]),
            one.embeddings.create(**ada, input=[[1, 2, 3], [4]]),
            one.completions.create(**old, prompt="hello"),
            one.completions.create(**old, prompt=["hello", "you"], n=2, best_of=3),
            one.completions.create(**old, prompt=[[1, 2], [3]], stream=True),
            one.completions.create(**old, prompt="hello", stream=True, n=2, stream_options={"include_usage": True}),
            one.moderations.create(input=["hello", "there"]),
            one.responses.input_tokens.count(model="gpt-5.4", input="hello there"),
            one.images.generate(model="gpt-image-2", prompt="a cat", n=2, quality="low", size="1024x1024"),
        ]
        seen.append([await _plain(await each) for each in asked])
    assert seen[0] == seen[1]
    charges = await house.agree_with(len(seen[0]) - 2)
    assert {(charge.completeness, charge.flags) for charge in charges} == {("exact", "")}


async def test_embeddings_are_charged_as_billed(house: House) -> None:
    """A text, several texts, and tokens."""
    client = house.openai(await house.customer("50.00", None))
    for value in ("hello there", ["one", "two", "three"], [15339, 1070], [[15339], [1070, 3]]):
        answer = await client.embeddings.create(model="text-embedding-3-small", input=value)
        assert answer.data
    charges = await house.agree_with(4)
    assert all(charge.completeness == "exact" and charge.paid for charge in charges)


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}], ids=["plain", "usage"])
async def test_legacy_completions_are_charged_as_billed(house: House, options: dict[str, object]) -> None:
    """Whole, several at once, and streamed with and without usage."""
    client = house.openai(await house.customer("50.00", None))
    model = "gpt-3.5-turbo-instruct"
    whole = await client.completions.create(model=model, prompt="hello sim:output=9")
    assert whole.usage is not None
    await client.completions.create(model=model, prompt="hello sim:output=9", n=2, best_of=3, max_tokens=5)
    chunks = [one async for one in await client.completions.create(model=model, prompt="hi sim:output=9", stream=True, **options)]  # type: ignore[call-overload]
    assert any(one.usage is not None for one in chunks) == bool(options)
    charges = await house.agree_with(3)
    assert all(charge.completeness == "exact" and charge.paid for charge in charges)


async def test_a_moderation_costs_nothing(house: House) -> None:
    """And a key that is not known gets none."""
    client = house.openai(await house.customer("50.00", None))
    assert (await client.moderations.create(input="hello", model="omni-moderation-latest")).results
    assert (await client.moderations.create(input="hello")).results
    with pytest.raises(openai.AuthenticationError):
        await house.openai("fbx_test_nobody").moderations.create(input="hello")


async def test_images_are_charged_as_billed(house: House) -> None:
    """By the token whole and streamed, and by the image."""
    client = house.openai(await house.customer("50.00", None))
    assert (await client.images.generate(model="gpt-image-1.5", prompt="a cat", quality="low", size="1024x1024")).data
    events = [
        event
        async for event in await client.images.generate(model="gpt-image-1.5", prompt="a cat", quality="low", stream=True, partial_images=2)
    ]
    assert events[-1].type == "image_generation.completed"
    assert (await client.images.generate(model="dall-e-3", prompt="a cat", size="1792x1024", quality="hd")).data
    charges = await house.agree_with(3)
    assert all(charge.completeness == "exact" and charge.paid for charge in charges)


async def test_speech_is_charged_as_billed(house: House) -> None:
    """By the character, and by the token, whose events are given on as sound."""
    client = house.openai(await house.customer("50.00", None))
    for model in ("tts-1", "gpt-4o-mini-tts"):
        spoken = await client.audio.speech.create(model=model, voice="alloy", input="Hello, world.", response_format="wav")
        assert spoken.content.startswith(b"RIFF")
        assert spoken.response.headers["content-type"].startswith("audio/")
    charges = await house.agree_with(2)
    assert all(charge.completeness == "exact" and charge.paid for charge in charges)
