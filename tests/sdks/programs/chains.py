"""Asks that every chat model of `langchain` takes the same way."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from sdks.programs.running import IMAGE, Trip

LOOK_UP: Any = {
    "name": "look_up",
    "description": "Looks something up.",
    "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}


@tool
def look_up(text: str) -> str:
    """Looks something up."""
    return f"found: {text}"


def said(text: str) -> list[BaseMessage]:
    return [SystemMessage("Be brief."), HumanMessage(text)]


class Chain:
    """`once` is the same model without retries of its own."""

    def __init__(self, model: BaseChatModel, once: BaseChatModel) -> None:
        self._model, self._once = model, once

    def whole(self) -> object:
        return self._model.invoke(said("hi"))

    async def whole_async(self) -> object:
        return await self._model.ainvoke(said("count sim:output=30"))

    def streamed(self) -> object:
        return list(self._model.stream(said("hi")))

    async def streamed_async(self) -> object:
        return [chunk async for chunk in self._model.astream(said("count sim:output=30"))]

    def tools(self) -> object:
        able, messages = self._model.bind_tools([look_up]), said("look it up sim:tool=1")
        first = able.invoke(messages)
        results = [ToolMessage(look_up.invoke(call["args"]), tool_call_id=call["id"]) for call in first.tool_calls]
        return first, able.invoke([*messages, first, *results])

    async def tools_async(self) -> object:
        return [chunk async for chunk in self._model.bind_tools([look_up]).astream(said("go sim:tool=1"))]

    def structured(self) -> object:
        return self._model.with_structured_output(Trip, method="json_schema").invoke(said("hi"))

    async def structured_async(self) -> object:
        return await self._model.with_structured_output(Trip, method="json_schema", include_raw=True).ainvoke(said("hi"))

    def structured_by_tool(self) -> object:
        return self._model.with_structured_output(LOOK_UP, method="function_calling").invoke(said("go sim:tool=1"))

    def picture(self) -> object:
        seen: list[Any] = [{"type": "text", "text": "What?"}, {"type": "image", "base64": IMAGE, "mime_type": "image/png"}]
        return self._model.invoke([HumanMessage(content=seen)])

    def rate_limited(self) -> object:
        return self._once.invoke(said("hi sim:status=429"))

    async def bad_request(self) -> object:
        return await self._once.ainvoke(said("hi sim:status=400"))

    def server_error(self) -> object:
        return list(self._once.stream(said("hi sim:status=500")))
