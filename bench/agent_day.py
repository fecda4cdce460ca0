"""A coding agent's day on $10: forty turns of growing, cached context with a named cap of 32,000. How much of the money can be spent?

The forty calls are a recording (`agent_turns.py`), replayed day after day against the simulator through the gateway until the money is gone.
A refused turn ends the agent's session, and the next one begins with its short context; the money is gone when not even a first turn is
admitted. The share that was spent at the first refusal of all is told as well: what is left there is held against the longest contexts.

To record it again:

1. Serve `POST /v1/messages` on a local port: answer the n-th call with the n-th turn of a script, a text and a call of the tool `bash`, and
   keep each body as it came. (Or point the agent at a model, and keep its answers too.)
2. Install mini-swe-agent in an environment of its own; make a repository with a failing test, and in it run
   `mini --yolo --exit-immediately --cost-limit 0 -m anthropic/claude-sonnet-5-5 -c mini.yaml -c model.model_kwargs.max_tokens=32000
   -c model.model_kwargs.api_base=http://127.0.0.1:PORT -t "the issue"` with `MSWEA_COST_TRACKING=ignore_errors`.
3. Take out of the bodies what they tell of the machine. Write the last body's messages and the last answer as `messages`, without
   `cache_control` and each tool result's content as a string; and for each turn how many messages it sent, and the length of its body.
4. `pytest tests/e2e/test_agent_day.py` says whether the bodies that are rebuilt have these lengths.
"""

import time
import urllib.error
import urllib.request
from typing import Any, NamedTuple

from bench.agent_turns import TURNS, replayed
from bench.house import House, secret
from bench.report import Checked, at_least

GOAL_PERCENT = 98


class _Answer(NamedTuple):
    status: int
    ended: bool
    reason: str


def _turn(at: House, key: str, body: bytes, *, clamp: bool) -> _Answer:
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
    headers |= {"x-farebox-clamp": "1"} if clamp else {}
    request = urllib.request.Request(f"{at.url}/v1/messages", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return _Answer(answer.status, answer.read().endswith(b'data: {"type":"message_stop"}\n\n'), "")
    except urllib.error.HTTPError as refused:
        with refused:
            return _Answer(refused.code, ended=False, reason=refused.headers.get("x-farebox-reason", ""))


def day(at: House, key: int, limit_nano: int, *, clamp: bool) -> dict[str, Any]:
    """Session after session until the money is gone; the share of it that was spent, and whether all of it was billed."""
    label = f"day-{key}"
    bodies = [replayed(turn, label) for turn in range(len(TURNS))]
    began_ms = time.time_ns() // 1_000_000
    served = whole = turn = 0
    first: dict[str, Any] = {}
    while True:
        answer = _turn(at, secret(key), bodies[turn], clamp=clamp)
        if answer.status == 200:
            served += 1
            whole += answer.ended
            turn = (turn + 1) % len(bodies)
            continue
        first = first or {
            "first refused": f"turn {turn + 1}, a body of {len(bodies[turn]):,} bytes: {answer.reason}",
            "spent % at the first refusal": round(at.spent(key) * 100 / limit_nano, 2),
        }
        if not turn:
            break
        turn = 0
    right, differs = at.counted(label, began_ms)
    spent = at.spent(key) * 100 / limit_nano
    without_end = f"{served - whole} streams did not end in their terminal event" if served > whole else ""
    not_billed = f"{served - right} answers, {differs} charges are not as billed" if differs or served != right else ""
    return {
        "turns served": served,
        **first,
        "spent %": at_least([spent], GOAL_PERCENT, 2) if clamp else round(spent, 2),
        "stranded %": round(100 - spent, 2),
        "streams": Checked(f"{whole:,} ended in their terminal event", without_end),
        "charges": Checked(f"{right:,} right, {differs:,} differ", not_billed),
    }
