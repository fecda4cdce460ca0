"""OpenAI's routes: text of models whose tokenizer is public is counted here; whatever else, by the provider as the input of a response.

The provider counts only requests of that one route (providers.md §1.2). A chat is put in its words, as far as it has them.
"""

import json
from collections.abc import Iterator
from typing import Any

from farebox.dialects.base import Ask
from farebox.dialects.counting.question import Question
from farebox.dialects.media.asked import WHATEVER_FITS
from farebox.dialects.strict import Members, read_object
from farebox.dialects.tokens.counting import request_tokens

_TARGET = "/responses/input_tokens"
_COUNTED = (
    *("input", "instructions", "tools", "tool_choice", "text", "reasoning", "truncation"),
    *("previous_response_id", "conversation", "parallel_tool_calls"),
)
"""What of a response's request the counting endpoint takes, beside the model."""
_MEMBERS = frozenset(("role", "content", "tool_calls", "tool_call_id"))
"""What of a message is put in other words. Another member may be input too: then nothing is asked."""
_MEDIA = frozenset(("image_url", "input_audio", "file", "video_url", "input_image", "input_file", "computer_screenshot"))


class Texts:
    """Routes whose input is texts, or tokens, under one name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def here(self, ask: Ask, body: bytes, model: str) -> int | None:
        """Texts are counted, tokens are themselves; and whatever else the request says, which may be read with them (a suffix)."""
        members = read_object(body)
        given = members.pop(self._name, None)
        prompts = given if type(given) is list else [given]
        texts = [prompt for prompt in prompts if type(prompt) is str]
        tokens = sum(len(prompt) if type(prompt) is list else 1 for prompt in prompts if type(prompt) is not str)
        counted = request_tokens(model, [texts, members], messages=len(prompts), tools=ask.tools)
        return None if counted is None else counted + tokens

    def there(self, ask: Ask, body: bytes, model: str) -> Question | None:  # noqa: ARG002 - the provider does not count these
        """Not there."""
        return None


class Chat:
    """`POST /chat/completions`."""

    def here(self, ask: Ask, body: bytes, model: str) -> int | None:
        """By the model's own tokenizer, where all is text."""
        members = read_object(body)
        return None if _has_media(members.get("messages")) else request_tokens(model, members, messages=ask.messages, tools=ask.tools)

    def there(self, ask: Ask, body: bytes, model: str) -> Question | None:  # noqa: ARG002 - the body says it all
        """The chat in the words of a response."""
        members = read_object(body)
        if members.get("functions"):
            return None
        try:
            asked: Members = {"model": model, "input": [item for message in members["messages"] for item in _items(message)]}
            if members.get("tools"):
                asked["tools"] = [_tool(tool) for tool in members["tools"]]
            if members.get("response_format"):
                asked["text"] = {"format": _format(members["response_format"])}
        except (_NoWordsError, KeyError, TypeError, AttributeError):
            return None
        return Question(_TARGET, json.dumps(asked).encode(), "input_tokens")


class Responses:
    """`POST /responses`."""

    def here(self, ask: Ask, body: bytes, model: str) -> int | None:
        """By the model's own tokenizer, where all is text and all is in the request."""
        if ask.uses or ask.demand.input_tokens_max >= WHATEVER_FITS:
            return None
        members = read_object(body)
        return None if _has_media(members.get("input")) else request_tokens(model, members, messages=ask.messages, tools=ask.tools)

    def there(self, ask: Ask, body: bytes, model: str) -> Question | None:  # noqa: ARG002 - the body says it all
        """The request, without what concerns its answer."""
        members = read_object(body)
        asked = {"model": model} | {name: members[name] for name in _COUNTED if name in members}
        return Question(_TARGET, json.dumps(asked).encode(), "input_tokens")


def _has_media(given: Any) -> bool:
    """Whether anything in it is of a kind that is not counted as text."""
    waiting = [given]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            if type(kind := value.get("type")) is str and kind in _MEDIA:
                return True
            waiting.extend(value.values())
        elif type(value) is list:
            waiting.extend(value)
    return False


class _NoWordsError(Exception):
    """A response has no words for this."""


def _items(message: Members) -> Iterator[Members]:
    """One message of a chat as items of a response's input."""
    role, content = message["role"], message.get("content")
    if any(value for name, value in message.items() if name not in _MEMBERS):
        raise _NoWordsError
    if role == "tool":
        yield {"type": "function_call_output", "call_id": message["tool_call_id"], "output": _text(content)}
        return
    if role not in ("system", "developer", "user", "assistant"):
        raise _NoWordsError
    if content:
        yield {"role": role, "content": content if type(content) is str else [_part(part, role) for part in content]}
    for call in message.get("tool_calls") or ():
        function = call["function"]
        yield {"type": "function_call", "call_id": call["id"], "name": function["name"], "arguments": function["arguments"]}


def _text(content: Any) -> str:
    """A tool's answer, of one part or several."""
    return content if type(content) is str else "".join(part["text"] for part in content)


def _part(part: Members, role: str) -> Members:
    kind = part["type"]
    if kind == "text":
        return {"type": "output_text" if role == "assistant" else "input_text", "text": part["text"]}
    if kind == "refusal":
        return {"type": "refusal", "refusal": part["refusal"]}
    if kind == "image_url":
        image = part["image_url"]
        return {"type": "input_image", "image_url": image["url"], "detail": image.get("detail", "auto")}
    raise _NoWordsError


def _tool(tool: Members) -> Members:
    if tool["type"] != "function":
        raise _NoWordsError
    return {"type": "function", **tool["function"]}


def _format(given: Members) -> Members:
    """The format of the answer: a schema is part of the input."""
    return {"type": "json_schema", **given["json_schema"]} if given["type"] == "json_schema" else given
