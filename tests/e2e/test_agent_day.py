"""A recorded coding agent's day on $10, replayed: with clamping nearly all of the money can be spent, and never more."""

import importlib.util
import os
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from support.house import House, charged_by_id


def recording() -> Any:
    """The benchmark's module that rebuilds what the agent sent; the benchmark is no package of the tests."""
    spec = importlib.util.spec_from_file_location("agent_turns", Path(__file__).parents[2] / "bench" / "agent_turns.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


AGENT = recording()
TURNS = len(AGENT.TURNS)
DAY_NANO = 10_000_000_000
MORNING_NANO = 0 if os.environ.get("FAREBOX_SOAK") else DAY_NANO * 85 // 100
"""Spent before the agent begins: it takes 1,400 turns to come to where anything could be refused, and the soak plays them all."""


class Played(NamedTuple):
    served: int
    ended: int
    """Streams that ended as the API ends streams."""
    refusals: list[httpx.Response]
    first: str
    """What was refused first."""
    by_then: float
    """How much of the day was spent by then, in percent."""


async def play(house: House, secret: str, headers: dict[str, str]) -> Played:
    """Session after session, each until a turn is refused, until not even a first turn is admitted."""
    bodies = [AGENT.replayed(turn, "day") for turn in range(TURNS)]
    sent = {"x-api-key": secret, "anthropic-version": "2023-06-01", "content-type": "application/json", **headers}
    sent["connection"] = "close"  # an agent's calls are apart by what its commands take
    served = ended = number = 0
    refusals: list[httpx.Response] = []
    first, by_then = "", 0.0
    while True:
        answer = await house.http.post(f"{house.url}/v1/messages", headers=sent, content=bodies[number], timeout=60)
        if answer.status_code == 200:
            served += 1
            ended += answer.text.endswith('data: {"type":"message_stop"}\n\n')
            number = (number + 1) % TURNS
            continue
        refusals.append(answer)
        if not first:
            by_then = spent_percent(house)
            first = f"turn {number + 1} ({len(bodies[number])} bytes) at {by_then:.2f} %"
        if not number:
            return Played(served, ended, refusals, first, by_then)
        number = 0


async def spend_the_morning(house: House, secret: str) -> int:
    """Calls of the same key with long answers; how many."""
    calls = 0
    while sum(charge.paid for charge in house.charges()) < MORNING_NANO:
        answer = await house.messages(secret, "sim:output=30000", max_tokens=30_000)
        assert answer.status_code == 200, answer.text
        calls += 1
        await house.settled()
    return calls


def spent_percent(house: House) -> float:
    return sum(charge.paid for charge in house.charges()) * 100 / DAY_NANO


def test_the_bodies_are_rebuilt_to_the_byte() -> None:
    """Every turn is as long as the agent's own body was, its context grows by an answer and a result, and its cap is 32,000."""
    bodies = [AGENT.body(turn) for turn in range(TURNS)]
    assert [len(AGENT.written(body)) for body in bodies] == [turn["body_bytes"] for turn in AGENT.TURNS]
    assert [len(body["messages"]) for body in bodies] == list(range(1, 2 * TURNS, 2))
    assert {body["max_tokens"] for body in bodies} == {32_000}
    assert TURNS == 40


async def test_with_clamping_at_least_98_percent_of_the_day_is_spent(house: House) -> None:
    """Even at the first refusal. Output caps shrink with the money; every stream ends as the API ends streams; the bill never exceeds the hold."""
    secret = await house.key(await house.account("20.00"), "10.00")
    before = await spend_the_morning(house, secret)
    played = await play(house, secret, {"x-farebox-clamp": "1"})
    charges = house.charges()
    spent = sum(charge.paid for charge in charges)
    print(f"with clamping: first refused {played.first}; stranded {100 - spent * 100 / DAY_NANO:.2f} %")
    assert spent >= DAY_NANO * 98 // 100
    assert played.by_then >= 98
    assert spent <= DAY_NANO
    assert played.served == played.ended == len(charges) - before > TURNS
    assert {refusal.status_code for refusal in played.refusals} == {402}
    held = dict(house.rows("SELECT id, amount FROM holds"))
    billed = {call["id"]: call["nano"] for call in await house.sim_calls()}
    for call_id, charge in charged_by_id(charges).items():
        assert billed[call_id] == charge.price <= held[charge.hold_id]
    assert house.books()["written_off"] == 0


async def test_without_clamping_less_than_5_percent_is_stranded(house: House) -> None:
    """Even at the first refusal. The caller named 32,000: it gets them, or a refusal that says what would be affordable."""
    secret = await house.key(await house.account("20.00"), "10.00")
    await spend_the_morning(house, secret)
    played = await play(house, secret, {})
    spent = sum(charge.paid for charge in house.charges())
    print(f"without clamping: first refused {played.first}; stranded {100 - spent * 100 / DAY_NANO:.2f} %")
    assert played.by_then > 95
    assert DAY_NANO * 95 // 100 < spent < DAY_NANO
    for refusal in played.refusals:
        assert refusal.headers["x-farebox-reason"] == "exceeds_available"
        assert refusal.json()["error"]["farebox"]["affordable_max_output_tokens"] < 32_000
