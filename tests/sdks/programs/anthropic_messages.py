"""Messages with `anthropic`: the newest, and the last of the generation before."""

from typing import Any

import anthropic

from sdks.programs.running import IMAGE, Trip, run

MODEL = "claude-sonnet-5-5"
TOOLS: Any = [
    {
        "name": "look_up",
        "description": "Looks something up.",
        "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False},
    }
]


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def about_a_picture() -> list[Any]:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}
    return [{"role": "user", "content": [picture, {"type": "text", "text": "What is this?"}]}]


class Messages:
    def __init__(self, url: str, key: str) -> None:
        self._one = anthropic.Anthropic(api_key=key, base_url=url)
        self._many = anthropic.AsyncAnthropic(api_key=key, base_url=url)
        self._once = self._one.with_options(max_retries=0)

    def whole(self) -> object:
        return self._one.messages.create(model=MODEL, max_tokens=64, system="Be brief.", messages=said("hi"))

    async def whole_async(self) -> object:
        return await self._many.messages.create(model=MODEL, max_tokens=10, messages=said("count sim:output=100"))

    def streamed(self) -> object:
        return list(self._one.messages.create(model=MODEL, max_tokens=64, messages=said("hi"), stream=True))

    async def streamed_async(self) -> object:
        async with self._many.messages.stream(model=MODEL, max_tokens=64, messages=said("hi")) as stream:
            events = [event.type async for event in stream]
            return events, await stream.get_final_message()

    def tools(self) -> object:
        messages = said("look it up sim:tool=1")
        first = self._one.messages.create(model=MODEL, max_tokens=64, messages=messages, tools=TOOLS)
        (call,) = [block for block in first.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "a fare box"}
        messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        return first, self._one.messages.create(model=MODEL, max_tokens=64, messages=messages, tools=TOOLS)

    async def tools_async(self) -> object:
        async with self._many.messages.stream(model=MODEL, max_tokens=64, messages=said("go sim:tool=1"), tools=TOOLS) as stream:
            return await stream.get_final_message()

    def thinking(self) -> object:
        budget: Any = {"type": "enabled", "budget_tokens": 2000}
        return self._one.messages.create(model=MODEL, max_tokens=4000, messages=said("think sim:reasoning=300"), thinking=budget)

    def cached(self) -> object:
        system: Any = [{"type": "text", "text": "again " * 200, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
        messages = said("hi sim:cached=50 sim:cache_write=60")
        return self._one.messages.create(model=MODEL, max_tokens=64, system=system, messages=messages)

    def structured(self) -> object:
        message = self._one.messages.parse(model=MODEL, max_tokens=64, messages=said("hi"), output_format=Trip)
        return message, message.parsed_output

    async def structured_async(self) -> object:
        async with self._many.messages.stream(model=MODEL, max_tokens=64, messages=said("hi"), output_format=Trip) as stream:
            events = [event.type async for event in stream]
            return events, (await stream.get_final_message()).parsed_output

    def picture(self) -> object:
        return self._one.messages.create(model=MODEL, max_tokens=64, messages=about_a_picture())

    async def picture_async(self) -> object:
        stream = await self._many.messages.create(model=MODEL, max_tokens=64, messages=about_a_picture(), stream=True)
        return [event async for event in stream]

    def beta(self) -> object:
        betas: Any = ["context-management-2025-06-27"]
        return self._one.beta.messages.create(model=MODEL, max_tokens=64, messages=said("hi"), betas=betas)

    def counted(self) -> object:
        return self._one.messages.count_tokens(model=MODEL, messages=said("hi there"))

    def rate_limited(self) -> object:
        return self._once.messages.create(model=MODEL, max_tokens=64, messages=said("hi sim:status=429"))

    def bad_request(self) -> object:
        return self._once.messages.create(model=MODEL, max_tokens=64, messages=said("hi sim:status=400"))

    def overloaded(self) -> object:
        return self._once.messages.create(model=MODEL, max_tokens=64, messages=said("hi sim:status=529"), stream=True)

    def fails_midway(self) -> object:
        messages = said("hi sim:output=40 sim:fail=3")
        return list(self._once.messages.create(model=MODEL, max_tokens=64, messages=messages, stream=True))


if __name__ == "__main__":
    run(Messages)
