"""The forty calls of a recorded coding agent, as it sent them. Owns the recording's form; sends nothing.

The recording (`agent_day.json`, whose `note` says how it came about) holds every message once, and for each turn how many of them were sent:
an agent's context only grows. `body` rebuilds what was sent on a turn, to the byte but for what the `note` says was changed. `replayed` adds
what a replay needs and the agent did not send: `"stream": true`, and a last text part with the words by which the simulator answers as the
recording does.
"""

import copy
import json
from pathlib import Path
from typing import Any

import msgspec

from farebox.sim.generation import BYTES_PER_TOKEN, prompt_tokens

Body = dict[str, Any]
RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "agent_day.json").read_text(encoding="utf-8"))
TURNS: list[dict[str, int]] = RECORDED["turns"]


def body(turn: int) -> Body:
    """What the agent sent, in its order of fields. It asks that everything up to the end be kept in the provider's cache."""
    *before, last = RECORDED["messages"][: TURNS[turn]["sent"]]
    last = copy.deepcopy(last)
    block = last["content"][-1]
    if block["type"] == "tool_result":  # its client writes text in two forms: this one when a mark for the cache is beside it
        block["content"] = [{"type": "text", "text": block["content"]}]
    block["cache_control"] = {"type": "ephemeral"}
    return {
        "model": RECORDED["model"],
        "messages": [*before, last],
        "max_tokens": RECORDED["max_tokens"],
        "tools": RECORDED["tools"],
        "system": RECORDED["system"],
    }


def written(asked: Body) -> bytes:
    """A body as the agent's client writes it."""
    return json.dumps(asked).encode()


def input_tokens(asked: Body) -> int:
    """Of a body, by the simulator's count."""
    messages, tools = ([msgspec.Raw(json.dumps(each)) for each in asked[name]] for name in ("messages", "tools"))
    return prompt_tokens(messages, tools, msgspec.Raw(json.dumps(asked["system"])))


def output_tokens(turn: int) -> int:
    """Of the answer that the agent got, by the same rule."""
    answer = RECORDED["messages"][TURNS[turn]["sent"]]["content"]
    return -(-len(json.dumps(answer, ensure_ascii=False).encode()) // BYTES_PER_TOKEN)


def replayed(turn: int, label: str) -> bytes:
    """A turn to be sent to the simulator: what was sent the turn before is read from the cache, the rest is written to it."""
    asked = body(turn)
    cached = input_tokens(body(turn - 1)) if turn else 0
    words = f"sim:output={output_tokens(turn)} sim:cached={cached} sim:cache_write={input_tokens(asked) - cached} sim:bill={label}"
    asked["messages"][-1]["content"].append({"type": "text", "text": words})
    return written(asked | {"stream": True})
