"""A coding agent's day on $10: forty turns of growing, cached context with a named cap of 32,000. How much of the money can be spent?

The turns are data (what each sent and got), replayed against the simulator through the gateway.
"""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from bench.house import House, secret

RECORDED = json.loads((Path(__file__).parent / "agent_day.json").read_text())


def body_of(turn: dict[str, int]) -> dict[str, Any]:
    """What the agent sends on a turn: its context, and what the simulator is to answer."""
    words = f"sim:output={turn['output_tokens']} sim:cached={turn['cached_tokens']} sim:bill=day"
    text = "edit " * (turn["context_bytes"] // 5)
    return {
        "model": RECORDED["model"],
        "max_tokens": RECORDED["max_tokens"],
        "stream": True,
        "messages": [{"role": "user", "content": f"{text} {words}"}],
    }


def _turn(at: House, key: str, turn: dict[str, int], *, clamp: bool) -> tuple[int, bool, str]:
    body = body_of(turn)
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
    headers |= {"x-farebox-clamp": "1"} if clamp else {}
    request = urllib.request.Request(f"{at.url}/v1/messages", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read().decode()
            return answer.status, '"type":"message_stop"' in text, ""
    except urllib.error.HTTPError as refused:
        return refused.code, False, refused.headers.get("x-farebox-reason", "")


def day(at: House, key: int, limit_nano: int, *, clamp: bool) -> dict[str, Any]:
    """Turn after turn until the money is gone; the share of it that was spent."""
    served = 0
    whole = True
    last = ""
    for _ in range(8):
        for turn in RECORDED["turns"]:
            status, ended, last = _turn(at, secret(key), turn, clamp=clamp)
            if status != 200:
                break
            served += 1
            whole = whole and ended
        else:
            continue
        break
    spent = at.spent(key)
    return {
        "turns served": served,
        "ended because": last,
        "every stream ended in its terminal event": whole,
        "spent %": round(spent * 100 / limit_nano, 2),
        "stranded %": round(100 - spent * 100 / limit_nano, 2),
    }
