"""What the unmodified OpenAI SDK has beside plain calls: helpers over streams, raw and streamed answers, what is kept and read again."""

from typing import Any

import openai
import pydantic
import pytest

from support.house import House

MODEL = "gpt-4o-mini"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40\x08\6\0\0\0" + bytes(4) + b"\0\0\0\0IDAT" + bytes(4) + b"\0\0\0\0IEND" + bytes(4)


class LookUp(pydantic.BaseModel):
    """A tool of the caller's."""

    text: str


@pytest.fixture
async def client(house: House) -> openai.AsyncOpenAI:
    """The SDK, through the gateway."""
    return house.openai(await house.customer("50.00", None))


async def test_the_helper_over_a_streamed_response_puts_it_together(house: House, client: openai.AsyncOpenAI) -> None:
    """Every event it waits for is there; text, calls of tools and the end agree with the answer."""
    async with client.responses.stream(model=MODEL, input="hi sim:output=9") as stream:
        text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
        final = await stream.get_final_response()
    assert final.output_text == text != ""
    tools: Any = [openai.pydantic_function_tool(LookUp)]
    async with client.responses.stream(model=MODEL, input="call it sim:tool=LookUp", tools=tools) as stream:
        called = await stream.get_final_response()
    assert [type(item.parsed_arguments) for item in called.output if item.type == "function_call"] == [LookUp]
    parsed = await client.responses.parse(model=MODEL, input="call it sim:tool=LookUp", tools=tools)
    assert [type(item.parsed_arguments) for item in parsed.output if item.type == "function_call"] == [LookUp]
    await house.agree_with(3)


async def test_raw_and_streamed_answers_are_read_to_their_end(house: House, client: openai.AsyncOpenAI) -> None:
    """Headers first, then bytes, lines or the parsed answer."""
    chat: Any = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
    raw = await client.chat.completions.with_raw_response.create(**chat)
    assert raw.parse().choices[0].message.content
    async with client.chat.completions.with_streaming_response.create(**chat) as answer:
        assert (await answer.parse()).choices[0].message.content
    async with client.responses.with_streaming_response.create(model=MODEL, input="hi", stream=True) as events:
        assert [line async for line in events.iter_lines() if line.startswith("event: ")][-1] == "event: response.completed"
    async with client.audio.speech.with_streaming_response.create(model="gpt-4o-mini-tts", voice="alloy", input="Good day") as sound:
        assert b"".join([piece async for piece in sound.iter_bytes()])
    await house.agree_with(4)


async def test_what_is_kept_is_read_followed_and_deleted(house: House, client: openai.AsyncOpenAI) -> None:
    """A stream in the background that was left is taken up again where it was, and costs once."""
    seen: list[int] = []
    name = ""
    stream = await client.responses.create(model=MODEL, input="hi sim:output=30", background=True, stream=True, max_output_tokens=99)
    async for event in stream:
        seen.append(event.sequence_number)
        if event.type == "response.created":
            name = event.response.id
        if len(seen) == 5:
            break
    await stream.close()
    rest = [event async for event in await client.responses.retrieve(name, stream=True, starting_after=seen[-1])]
    assert [event.sequence_number for event in rest] == list(range(seen[-1] + 1, seen[-1] + 1 + len(rest)))
    assert rest[-1].type == "response.completed"
    whole = await client.responses.retrieve(name)
    assert (whole.id, whole.status) == (name, "completed")
    assert [item.type async for item in client.responses.input_items.list(name)] == ["message"]
    counted = await client.responses.input_tokens.count(model=MODEL, input="hi", previous_response_id=name)
    assert counted.input_tokens > 0
    await client.responses.delete(name)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(name)
    await house.agree_with(1)


async def test_sixteen_pictures_are_edited_at_once(house: House, client: openai.AsyncOpenAI) -> None:
    """As many as the API takes, and not one more."""
    pictures = [(f"{number}.png", PNG) for number in range(17)]
    edited = await client.images.edit(model="gpt-image-1.5", image=pictures[:16], prompt="brighter", quality="low", size="1024x1024")
    assert edited.data
    with pytest.raises(openai.BadRequestError, match="image"):
        await client.images.edit(model="gpt-image-1.5", image=pictures, prompt="brighter")
    await house.agree_with(1)


async def test_a_long_lasting_cache_write_of_a_chat_is_charged_as_billed(house: House, client: openai.AsyncOpenAI) -> None:
    """Its usage does not say for how long: the request did."""
    chat: Any = {
        "model": "gpt-5.6-sol",
        "messages": [{"role": "user", "content": "word " * 2000 + "sim:cache_write=1500 sim:output=5"}],
        "max_completion_tokens": 50,
        "extra_body": {"prompt_cache_options": {"ttl": "12h"}},
    }
    await client.chat.completions.create(**chat)
    chunks = [chunk async for chunk in await client.chat.completions.create(**chat, stream=True)]
    assert chunks
    await house.agree_with(2)


async def test_nobody_is_told_what_of_anothers_response_is_in_the_cache(house: House, client: openai.AsyncOpenAI) -> None:
    """A response to compare with is named like one to go on from: it has to be the caller's."""
    name = (await client.responses.create(model=MODEL, input="hi")).id
    compare: Any = {"model": MODEL, "input": "hi", "prompt_cache_options": {"comparison_response_id": name}}
    other = house.openai(await house.customer())
    before = house.books()
    with pytest.raises(openai.NotFoundError):
        await other.responses.create(**compare)
    assert house.books() == before
    assert (await client.responses.create(**compare)).status == "completed"
    await house.agree_with(2)
