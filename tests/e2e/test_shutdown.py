"""How a gateway stops: no new calls, every call on its way to its end, and what does not end is stopped and charged. Nothing stays held."""

import asyncio
from pathlib import Path

import pytest

from e2e.wire import dial
from farebox import limits
from farebox.money import format_usd, parse_usd
from support.house import House, open_house, until


async def test_a_stopping_gateway_lets_calls_end_and_takes_no_more(house: House) -> None:
    """The stream goes on to its end and is charged exactly; who comes now is told 503 `draining`, uncharged, to try again."""
    secret = await house.customer()
    async with await dial(house) as wire:
        await wire.ask(secret, "hi sim:output=40 sim:pace=10", stream=True)
        await wire.until(b" fare")
        ending = asyncio.ensure_future(house.running.flights.close(10))
        await until(lambda: house.running.flights.closing)
        late = await house.chat(secret)
        assert (late.status_code, late.headers["x-farebox-reason"]) == (503, "draining")
        assert "x-should-retry" not in late.headers
        await wire.until(b"[DONE]")
        await ending
    (charge,) = await house.agree()
    assert charge.completeness == "exact"


async def test_patience_ends_and_every_call_is_settled(house: House) -> None:
    """Streams, whole answers that have not begun, calls that wait for money, requests that are not whole, clients that left: all at once.

    Each client that is still there is told; each call the provider may have billed is charged the hold.
    """
    rich, poor = await house.customer("50.00", None), await house.customer("0.01", None)
    stream, whole, left, slow, waits = [await dial(house) for _ in range(5)]
    await stream.ask(rich, "hi sim:output=900 sim:pace=100", max_tokens=1000, stream=True)
    await stream.until(b" fare")
    await whole.ask(rich, "hi sim:delay=60000", max_tokens=1000)
    await left.ask(rich, "hi sim:output=900 sim:pace=100", max_tokens=1000, stream=True)
    await left.until(b" fare")
    left.leave()
    slow.send(b"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer " + rich.encode() + b"\r\ncontent-length: 500\r\n\r\n{")
    await waits.ask(poor, "hi sim:delay=60000", max_tokens=7000)
    await until(lambda: house.books()["holds"] == 4 and len(house.running.flights) == 5)
    limits_before = limits.settle_s_max
    limits.settle_s_max = 1
    try:
        await house.running.flights.close(0.2)
    finally:
        limits.settle_s_max = limits_before
    await house.settled()
    assert house.books()["held"] == 0
    charges = house.charges()
    assert [charge.outcome for charge in charges] == ["shutdown"] * 4
    assert all(charge.completeness == "unknown" for charge in charges)
    assert b"upstream_timeout" in await stream.until(b"0\r\n\r\n"), "a stream ends with an error, not with silence"
    assert b"504" in await whole.until(b"x-farebox-reason: upstream_timeout")
    assert b"x-should-retry: false" in whole.seen
    await house.agree()


async def test_a_call_that_waits_for_money_at_shutdown_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Admitted after patience has ended it would only be charged and cut: it is told, and pays nothing."""
    async with open_house(tmp_path, {"limits": {"held_wait_s": 5}}) as house:
        asked = await house.chat(await house.customer(), headers={"x-farebox-dry-run": "1"}, max_completion_tokens=5000)
        secret = await house.customer(format_usd(parse_usd(asked.json()["worst_case_usd"]) * 3 // 2))
        first, second = await dial(house), await dial(house)
        await first.ask(secret, "hi sim:delay=60000", max_completion_tokens=5000)
        await until(lambda: house.books()["held"])
        await second.ask(secret, "hi sim:status=500", max_completion_tokens=5000)
        await until(lambda: house.running.app._calls._authorizer.waiters._waiting)
        await house.running.flights.close(0.05)
        await house.settled()
        assert b" 402 " in await second.until(b"x-farebox-reason") or b" 503 " in second.seen
        assert len(await house.sim_calls()) == 1


async def test_the_whole_process_ends_with_nothing_held(tmp_path: Path) -> None:
    """`Running.end` with calls of every kind on their way: the books agree, and the next start finds nothing to sweep."""
    async with open_house(tmp_path) as house:
        secret = await house.customer("50.00", None)
        wires = [await dial(house) for _ in range(12)]
        for index, wire in enumerate(wires):
            words = ("sim:delay=30000", "sim:output=500 sim:pace=50", "sim:stall=2")[index % 3]
            await wire.ask(secret, f"hi {words}", max_tokens=600, stream=index % 3 > 0)
        await until(lambda: house.books()["holds"] == 12)
        await house.running.end(0.1)
        assert house.books()["held"] == 0
        assert len(house.charges()) == 12
    async with open_house(tmp_path) as house:
        assert await house.running.sweeper.begin() == 0


async def test_a_killed_process_leaves_holds_that_the_next_start_charges(tmp_path: Path) -> None:
    """Nothing is freed that may have been billed: the hold is charged, provisionally, and marked."""
    async with open_house(tmp_path) as house:
        secret = await house.customer()
        wire = await dial(house)
        await wire.ask(secret, "hi sim:delay=60000", max_tokens=600)
        await until(lambda: house.books()["held"])
        held = house.books()["held"]
        house.running.sweeper._owner = "proc_next"
        await house.running.sweeper.begin()
        (charge,) = house.charges()
        assert (charge.price, charge.outcome) == (held, "orphaned")
        await house.running.flights.close(0)
