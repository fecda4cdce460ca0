"""Chat completions with `openai`."""

from typing import Any

import openai

from sdks.programs.running import IMAGE, Trip, run

MODEL = "gpt-4o-mini"
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "look_up",
            "description": "Looks something up.",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "required": ["text"],
                "additionalProperties": False,
            },
        },
    }
]


def said(text: str) -> list[Any]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


def about_a_picture() -> list[Any]:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}", "detail": "low"}}
    return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]}]


class Chat:
    def __init__(self, url: str, key: str) -> None:
        self._one = openai.OpenAI(api_key=key, base_url=f"{url}/v1")
        self._many = openai.AsyncOpenAI(api_key=key, base_url=f"{url}/v1")
        self._once = self._one.with_options(max_retries=0)

    def whole(self) -> object:
        return self._one.chat.completions.create(model=MODEL, messages=said("hi"))

    async def whole_async(self) -> object:
        return await self._many.chat.completions.create(model=MODEL, messages=said("count sim:output=100"), max_completion_tokens=40)

    def streamed(self) -> object:
        return list(self._one.chat.completions.create(model=MODEL, messages=said("hi"), stream=True))

    async def streamed_async(self) -> object:
        options: Any = {"include_usage": True}
        stream = await self._many.chat.completions.create(model=MODEL, messages=said("hi"), stream=True, stream_options=options)
        return [chunk async for chunk in stream]

    def accumulated(self) -> object:
        with self._one.chat.completions.stream(model=MODEL, messages=said("count sim:output=30")) as stream:
            events = [event.type for event in stream]
            return events, stream.get_final_completion()

    def several(self) -> object:
        return self._one.chat.completions.create(model=MODEL, messages=said("hi"), n=3)

    def tools(self) -> object:
        messages = said("look it up sim:tool=1")
        first = self._one.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        (call,) = first.choices[0].message.tool_calls or []
        messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "a fare box"}, *said("and?")]
        return first, self._one.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)

    async def tools_async(self) -> object:
        stream = await self._many.chat.completions.create(model=MODEL, messages=said("go sim:tool=1"), tools=TOOLS, stream=True)
        return [chunk async for chunk in stream]

    def tools_parsed(self) -> object:
        parsed = self._one.chat.completions.parse(model=MODEL, messages=said("go sim:tool=1"), tools=TOOLS)
        return [call.function.parsed_arguments for call in parsed.choices[0].message.tool_calls or []]

    def structured(self) -> object:
        return self._one.chat.completions.parse(model=MODEL, messages=said("hi"), response_format=Trip)

    async def structured_async(self) -> object:
        return await self._many.chat.completions.parse(model=MODEL, messages=said("hi"), response_format=Trip, n=2)

    def structured_streamed(self) -> object:
        with self._one.chat.completions.stream(model=MODEL, messages=said("hi"), response_format=Trip) as stream:
            events = [event.type for event in stream]
            return events, stream.get_final_completion().choices[0].message.parsed

    def structured_cut(self) -> object:
        return self._one.chat.completions.parse(model=MODEL, messages=said("hi"), response_format=Trip, max_completion_tokens=3)

    def json_mode(self) -> object:
        return self._one.chat.completions.create(model=MODEL, messages=said("JSON"), response_format={"type": "json_object"})

    def picture(self) -> object:
        return self._one.chat.completions.create(model=MODEL, messages=about_a_picture())

    async def picture_async(self) -> object:
        stream = await self._many.chat.completions.create(model=MODEL, messages=about_a_picture(), stream=True)
        return [chunk async for chunk in stream]

    def rate_limited(self) -> object:
        return self._once.chat.completions.create(model=MODEL, messages=said("hi sim:status=429"))

    def bad_request(self) -> object:
        return self._once.chat.completions.create(model=MODEL, messages=said("hi sim:status=400"))

    def server_error(self) -> object:
        return self._once.chat.completions.create(model=MODEL, messages=said("hi sim:status=500"), stream=True)

    def fails_midway(self) -> object:
        return list(self._once.chat.completions.create(model=MODEL, messages=said("hi sim:output=40 sim:fail=3"), stream=True))


if __name__ == "__main__":
    run(Chat)
