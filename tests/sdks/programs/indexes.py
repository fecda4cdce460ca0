"""Asks that every LLM of `llama-index` takes the same way."""

import base64
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool

from sdks.programs.running import IMAGE, Trip


def look_up(text: str) -> str:
    """Looks something up."""
    return f"found: {text}"


def said(text: str) -> list[Any]:
    return [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content=text)]


class Index:
    """`once` is the same model without retries of its own."""

    def __init__(self, llm: FunctionCallingLLM, once: FunctionCallingLLM) -> None:
        self._llm, self._once = llm, once

    def whole(self) -> object:
        return self._llm.chat(said("hi")).message

    async def whole_async(self) -> object:
        return (await self._llm.achat(said("count sim:output=30"))).message

    def completed(self) -> object:
        return self._llm.complete("hi").text

    def streamed(self) -> object:
        return [part.delta for part in self._llm.stream_chat(said("hi"))]

    async def streamed_async(self) -> object:
        return [part.delta async for part in await self._llm.astream_chat(said("count sim:output=30"))]

    def tools(self) -> object:
        response = self._llm.chat_with_tools([FunctionTool.from_defaults(look_up)], "go sim:tool=1")
        return [(call.tool_name, call.tool_kwargs) for call in self._llm.get_tool_calls_from_response(response)]

    async def structured_by_tool(self) -> object:
        return await self._llm.achat_with_tools([FunctionTool.from_defaults(fn=look_up)], "go sim:tool=1", tool_required=True)

    def structured(self) -> object:
        return self._llm.structured_predict(Trip, PromptTemplate("hi"))

    def picture(self) -> object:
        seen = [TextBlock(text="What?"), ImageBlock(image=base64.b64decode(IMAGE), image_mimetype="image/png")]
        return self._llm.chat([ChatMessage(role="user", blocks=seen)]).message

    def rate_limited(self) -> object:
        return self._once.chat(said("hi sim:status=429"))

    async def bad_request(self) -> object:
        return await self._once.achat(said("hi sim:status=400"))

    def server_error(self) -> object:
        return list(self._once.stream_chat(said("hi sim:status=500")))
