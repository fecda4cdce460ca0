"""A made-up coding agent's day on $10, replayed: with clamping nearly all of the money can be spent, and never more."""

import json
from pathlib import Path
from typing import Any

import httpx

from support.house import House, charged_by_id

RECORDED = json.loads((Path(__file__).parents[2] / "bench" / "agent_day.json").read_text())
DAY_NANO = 10_000_000_000


def body_of(turn: dict[str, int]) -> dict[str, Any]:
    words = f"sim:output={turn['output_tokens']} sim:cached={turn['cached_tokens']}"
    text = "edit " * (turn["context_bytes"] // 5)
    return {
        "model": RECORDED["model"],
        "max_tokens": RECORDED["max_tokens"],
        "stream": True,
        "messages": [{"role": "user", "content": f"{text} {words}"}],
    }


async def day(house: House, secret: str, headers: dict[str, str]) -> tuple[list[str], httpx.Response]:
    """Turn after turn until the money is gone: every stream that was served, and the refusal."""
    served: list[str] = []
    sent = {"x-api-key": secret, "anthropic-version": "2023-06-01", **headers}
    while True:
        for turn in RECORDED["turns"]:
            answer = await house.http.post(f"{house.url}/v1/messages", headers=sent, json=body_of(turn), timeout=60)
            if answer.status_code != 200:
                return served, answer
            served.append(answer.text)


async def test_with_clamping_at_least_98_percent_of_the_day_is_spent(house: House) -> None:
    """Output caps shrink with the money; the last stream ends as the API ends streams; the bill never exceeds what was held."""
    secret = await house.key(await house.account("20.00"), "10.00")
    served, refusal = await day(house, secret, {"x-farebox-clamp": "1"})
    charges = house.charges()
    spent = sum(charge.paid for charge in charges)
    assert spent >= DAY_NANO * 98 // 100
    assert spent <= DAY_NANO
    assert len(served) >= len(RECORDED["turns"])
    assert all(stream.rstrip().endswith('data: {"type":"message_stop"}') for stream in served)
    assert refusal.status_code == 402
    held = dict(house.rows("SELECT id, amount FROM holds"))
    billed = {call["id"]: call["nano"] for call in await house.sim_calls()}
    for call_id, charge in charged_by_id(charges).items():
        assert billed[call_id] == charge.price <= held[charge.hold_id]
    assert house.books()["written_off"] == 0


async def test_without_clamping_a_named_cap_that_does_not_fit_is_refused(house: House) -> None:
    """The caller named 32,000: it gets them, or a refusal that says what would be affordable."""
    secret = await house.key(await house.account("20.00"), "10.00")
    _, refusal = await day(house, secret, {})
    spent = sum(charge.paid for charge in house.charges())
    assert DAY_NANO * 90 // 100 < spent < DAY_NANO
    assert refusal.headers["x-farebox-reason"] == "exceeds_available"
    assert refusal.json()["error"]["farebox"]["affordable_max_output_tokens"] < RECORDED["max_tokens"]
    print(f"stranded without clamping: {100 - spent * 100 / DAY_NANO:.2f} %")
