"""Random calls of chat, responses and messages, with whatever a provider may do: each charge beside the provider's bill, call by call."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from support.house import House
from support.joined import calls, compare, make_all, post

CALLS = calls(120)
SHOWS_ALL = ("gpt-4o", "gpt-4o-mini")
"""An answer that is not reported is charged by what was delivered: at a provider that bills for more than it sent, that would be too little."""
_FUNCTION = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
_SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
_ADVISOR = {"type": "advisor_20260301", "name": "advisor", "model": "claude-fable-5-2", "max_uses": 1, "max_tokens": 200}


class Dice(random.Random):
    """Draws requests."""

    def maybe(self, share: float, **fields: Any) -> dict[str, Any]:
        return fields if self.random() < share else {}

    def said(self, *words: str, model: str, stream: bool, lies: tuple[str, ...]) -> str:
        """The text of a request: how much of everything, and what goes wrong."""
        words = (f"output={self.choice((0, 1, 7, 40, 300))}", *(word for word in words if self.random() < 0.4))
        if self.random() < 0.2:
            words += (self.choice(lies),)
        if stream and self.random() < 0.25:
            words += (self.choice((f"cut={self.randint(0, 9)}", f"fail={self.randint(0, 9)}")),)
            words += ("on_abort=bill_sent",) if model in SHOWS_ALL or self.random() < 0.5 else ()
        return "pad " * self.choice((1, 1, 30, 400)) + " ".join(f"sim:{word}" for word in words)


def chat(dice: Dice, *, stream: bool) -> dict[str, Any]:
    """A chat completion."""
    model = dice.choice(("gpt-4o", "gpt-4o-mini", "gpt-5.4", "gpt-6-luna", "o3"))
    words = [f"cached={dice.randint(1, 500)}", f"tier={dice.choice(('default', 'flex', 'priority'))}"]
    if model not in SHOWS_ALL:
        words += [f"reasoning={dice.choice((1, 20, 900))}", f"cache_write={dice.randint(1, 300)}" if model == "gpt-6-luna" else "tool=0"]
    tools = dice.random() < 0.2
    text = dice.said(
        *words, *(["tool=look"] if tools else []), model=model, stream=stream, lies=("usage=missing", "usage=partial", "status=400")
    )
    guess = "one two three"
    if dice.random() < 0.1:
        text += " sim:rejected=3"
    asked: dict[str, Any] = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
    asked |= dice.maybe(0.5, max_completion_tokens=dice.choice((1, 5, 64, 2000))) | dice.maybe(0.2, n=dice.randint(2, 4))
    asked |= dice.maybe(0.3, service_tier=dice.choice(("auto", "default", "flex", "priority")))
    asked |= {"tools": [{"type": "function", "function": _FUNCTION}]} if tools else {}
    asked |= {"prediction": {"type": "content", "content": guess}} if "rejected" in text else {}
    return asked | (dice.maybe(0.5, stream_options={"include_usage": dice.random() < 0.7}) if stream else {})


def response(dice: Dice, *, stream: bool) -> dict[str, Any]:
    """A response, with the provider's own search now and then."""
    model = dice.choice(("gpt-5.4", "gpt-6-luna", "o3"))
    words = [f"cached={dice.randint(1, 500)}", f"reasoning={dice.choice((1, 20, 900))}", f"tier={dice.choice(('default', 'priority'))}"]
    searches = dice.random() < 0.3
    words += [f"web_search={dice.randint(1, 3)}"] if searches else []
    lies = ("usage=missing", "usage=partial", "status=400", "end=incomplete", "end=failed", "tool_usage=missing")
    text = dice.said(*words, model=model, stream=stream, lies=lies)
    asked: dict[str, Any] = {"model": model, "stream": stream, "input": text, "store": dice.random() < 0.5}
    asked |= dice.maybe(0.5, max_output_tokens=dice.choice((16, 64, 2000))) | dice.maybe(0.3, instructions="Be brief.")
    return asked | ({"tools": [{"type": "web_search"}], "max_tool_calls": 3} if searches else {})


def message(dice: Dice, *, stream: bool) -> dict[str, Any]:
    """A message, with caches, tools, other models, speeds and places."""
    model = dice.choice(("claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5"))
    words = [f"cached={dice.randint(1, 500)}", f"cache_write={dice.randint(1, 200)}", f"deltas={dice.randint(1, 3)}"]
    asked: dict[str, Any] = {"model": model, "stream": stream, "max_tokens": dice.choice((1, 5, 64, 2000))}
    kind = dice.choice(("plain", "plain", "hour", "search", "advisor", "fallback", "tool", "refusal", "us"))
    if kind == "hour":
        asked["cache_control"] = {"type": "ephemeral", "ttl": "1h"}
        words += [f"cache_write_1h={dice.randint(1, 300)}", f"cache_split={dice.choice(('missing', 'mismatch'))}"]
    elif kind == "search":
        asked["tools"], words = [_SEARCH], [*words, f"web_search={dice.randint(1, 3)}"]
    elif kind == "advisor":
        asked["tools"], words = [_ADVISOR], ["iterations=advisor_message"]
    elif kind == "fallback":
        other = "claude-opus-5-5" if model == "claude-sonnet-5-5" else "claude-sonnet-5-5"
        asked["fallbacks"], words = [{"model": other}], ["iterations=fallback_message"]
    elif kind == "tool":
        asked["tools"], words = [{"name": "look", "input_schema": {"type": "object"}}], [*words, "tool=1"]
    elif kind == "refusal":
        words += [f"refusal={dice.randint(0, 3)}"]
    elif kind == "us":
        asked["inference_geo"] = "us"
    text = dice.said(*words, model=model, stream=stream, lies=("usage=missing", "usage=partial", "status=529"))
    return asked | {"messages": [{"role": "user", "content": text}]}


_SHAPES: dict[str, tuple[str, Callable[..., dict[str, Any]]]] = {
    "chat": ("/v1/chat/completions", chat),
    "responses": ("/v1/responses", response),
    "messages": ("/v1/messages", message),
}


@pytest.mark.parametrize("shape", _SHAPES)
async def test_random_calls_are_charged_what_they_cost_or_what_bounds_it(house: House, shape: str, record_property: Any) -> None:
    """Exact to the nano-dollar where the provider reports, cuts and leavers included; at least the bill where it does not."""
    dice = Dice(f"farebox {shape}")
    path, draw = _SHAPES[shape]
    secret = await house.customer("100000.00", None)
    headers = {"x-api-key": secret, "anthropic-version": "2023-06-01"} if shape == "messages" else {"authorization": f"Bearer {secret}"}

    def one() -> Callable[[], Any]:
        stream = dice.random() < 0.6
        asked, leaves = draw(dice, stream=stream), dice.random() < 0.15
        return lambda: post(house, path, headers, asked, leaves=leaves)

    await make_all([one() for _ in range(CALLS)])
    exact, seen = await compare(house, shape, record_property)
    assert seen == CALLS
    assert exact > CALLS / 2
