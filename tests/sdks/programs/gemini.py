"""Gemini with `google-genai`: the newest, and the last of the generation before."""

import base64
from typing import Any

from google import genai
from google.genai import types

from sdks.programs.running import IMAGE, Trip, run

MODEL = "gemini-3.5-flash"


def capped(**more: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(max_output_tokens=64, **more)


def tools() -> types.GenerateContentConfig:
    schema: Any = {"type": "OBJECT", "properties": {"text": {"type": "STRING"}}, "required": ["text"]}
    declared = types.FunctionDeclaration(name="look_up", description="Looks something up.", parameters=schema)
    return capped(tools=[types.Tool(function_declarations=[declared])])


def about_a_picture() -> Any:
    return [types.Part.from_bytes(data=base64.b64decode(IMAGE), mime_type="image/png"), "What is this?"]


class Gemini:
    def __init__(self, url: str, key: str) -> None:
        self._client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))
        self._one, self._many = self._client.models, self._client.aio.models

    def whole(self) -> object:
        return self._one.generate_content(model=MODEL, contents="hi", config=capped(system_instruction="Be brief."))

    async def whole_async(self) -> object:
        return await self._many.generate_content(model=MODEL, contents="count sim:output=100", config=capped())

    def streamed(self) -> object:
        return list(self._one.generate_content_stream(model=MODEL, contents="hi", config=capped()))

    async def streamed_async(self) -> object:
        stream = await self._many.generate_content_stream(model=MODEL, contents="count sim:output=30", config=capped())
        return [chunk async for chunk in stream]

    def tools(self) -> object:
        asked = "look it up sim:tool=1"
        first = self._one.generate_content(model=MODEL, contents=asked, config=tools())
        (call,) = first.function_calls or []
        result = types.Part.from_function_response(name=str(call.name), response={"found": "a fare box"})
        assert first.candidates is not None
        contents: Any = [types.UserContent(asked), first.candidates[0].content, types.UserContent([result]), types.UserContent("and?")]
        return first, self._one.generate_content(model=MODEL, contents=contents, config=tools())

    async def tools_async(self) -> object:
        stream = await self._many.generate_content_stream(model=MODEL, contents="go sim:tool=1", config=tools())
        return [chunk async for chunk in stream]

    def thoughts(self) -> object:
        thinking = types.ThinkingConfig(thinking_budget=1024, include_thoughts=True)
        config = types.GenerateContentConfig(max_output_tokens=4000, thinking_config=thinking)
        return self._one.generate_content(model=MODEL, contents="think sim:reasoning=300", config=config)

    def structured(self) -> object:
        config = capped(response_mime_type="application/json", response_schema=Trip)
        response = self._one.generate_content(model=MODEL, contents="hi", config=config)
        assert isinstance(response.parsed, Trip)
        return response, response.parsed

    async def structured_async(self) -> object:
        config = capped(response_mime_type="application/json", response_json_schema=Trip.model_json_schema())
        stream = await self._many.generate_content_stream(model=MODEL, contents="hi", config=config)
        return Trip.model_validate_json("".join([str(chunk.text) async for chunk in stream]))

    def picture(self) -> object:
        return self._one.generate_content(model=MODEL, contents=about_a_picture(), config=capped())

    async def picture_async(self) -> object:
        stream = await self._many.generate_content_stream(model=MODEL, contents=about_a_picture(), config=capped())
        return [chunk async for chunk in stream]

    def counted(self) -> object:
        return self._one.count_tokens(model=MODEL, contents="hi there")

    def embedded(self) -> object:
        return self._one.embed_content(model="gemini-embedding-001", contents=["one", "two words"])

    def rate_limited(self) -> object:
        return self._one.generate_content(model=MODEL, contents="hi sim:status=429", config=capped())

    async def bad_request(self) -> object:
        return await self._many.generate_content(model=MODEL, contents="hi sim:status=400", config=capped())

    def server_error(self) -> object:
        return list(self._one.generate_content_stream(model=MODEL, contents="hi sim:status=500", config=capped()))


if __name__ == "__main__":
    run(Gemini)
