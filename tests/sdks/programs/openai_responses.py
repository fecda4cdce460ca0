"""Responses with `openai`. Each names its output cap: the answer repeats it, and a gateway sets one where none is named."""

from typing import Any

import openai

from sdks.programs.running import IMAGE, Trip, run

MODEL = "gpt-4o-mini"
CAP = 64
TOOLS: Any = [
    {
        "type": "function",
        "name": "look_up",
        "description": "Looks something up.",
        "strict": True,
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False},
    }
]


def about_a_picture() -> Any:
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}", "detail": "low"}
    return [{"role": "user", "content": [{"type": "input_text", "text": "What is this?"}, picture]}]


class Responses:
    def __init__(self, url: str, key: str) -> None:
        self._one = openai.OpenAI(api_key=key, base_url=f"{url}/v1")
        self._many = openai.AsyncOpenAI(api_key=key, base_url=f"{url}/v1")
        self._once = self._one.with_options(max_retries=0)

    def whole(self) -> object:
        return self._one.responses.create(model=MODEL, instructions="Be brief.", input="hi", max_output_tokens=CAP, store=False)

    async def whole_async(self) -> object:
        return await self._many.responses.create(model=MODEL, input="count sim:output=100", max_output_tokens=40, store=False)

    def streamed(self) -> object:
        return list(self._one.responses.create(model=MODEL, input="hi", max_output_tokens=CAP, store=False, stream=True))

    async def streamed_async(self) -> object:
        async with self._many.responses.stream(model=MODEL, input="count sim:output=30", max_output_tokens=CAP, store=False) as stream:
            events = [event.type async for event in stream]
            return events, await stream.get_final_response()

    def reasoned(self) -> object:
        effort: Any = {"effort": "low"}
        return self._one.responses.create(
            model="gpt-5-mini", input="think sim:reasoning=200", reasoning=effort, max_output_tokens=400, store=False
        )

    def tools(self) -> object:
        asked: list[Any] = [{"role": "user", "content": "look it up sim:tool=1"}]
        first = self._one.responses.create(model=MODEL, input=asked, tools=TOOLS, max_output_tokens=CAP, store=False)
        (call,) = [item for item in first.output if item.type == "function_call"]
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "a fare box"}
        asked += [*first.output, result, {"role": "user", "content": "and?"}]
        return first, self._one.responses.create(model=MODEL, input=asked, tools=TOOLS, max_output_tokens=CAP, store=False)

    async def tools_async(self) -> object:
        stream = await self._many.responses.create(
            model=MODEL, input="go sim:tool=1", tools=TOOLS, max_output_tokens=CAP, store=False, stream=True
        )
        return [event async for event in stream]

    def structured(self) -> object:
        response = self._one.responses.parse(model=MODEL, input="hi", text_format=Trip, max_output_tokens=CAP, store=False)
        return response, response.output_parsed

    async def structured_async(self) -> object:
        async with self._many.responses.stream(model=MODEL, input="hi", text_format=Trip, max_output_tokens=CAP, store=False) as stream:
            events = [event.type async for event in stream]
            return events, (await stream.get_final_response()).output_parsed

    def picture(self) -> object:
        return self._one.responses.create(model=MODEL, input=about_a_picture(), max_output_tokens=CAP, store=False)

    def rate_limited(self) -> object:
        return self._once.responses.create(model=MODEL, input="hi sim:status=429", max_output_tokens=CAP, store=False)

    def bad_request(self) -> object:
        return self._once.responses.create(model=MODEL, input="hi sim:status=400", max_output_tokens=CAP, store=False)

    def server_error(self) -> object:
        return self._once.responses.create(model=MODEL, input="hi sim:status=500", max_output_tokens=CAP, store=False, stream=True)


if __name__ == "__main__":
    run(Responses)
