"""When there is money but open holds have it: a call waits for them for a while, is woken by the first that ends, and then is told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from farebox.money import format_usd, parse_usd
from support.house import House, open_house, until

_CALL: dict[str, Any] = {"max_completion_tokens": 10_000}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, {"limits": {"held_wait_s": 1}}) as opened:
        yield opened


async def _customer_of_one_call(house: House) -> str:
    """A key whose money is enough for one such call at a time."""
    asked = await house.chat(await house.customer("90.00", None), "hi sim:delay=4000", {"x-farebox-dry-run": "1"}, **_CALL)
    return await house.customer(format_usd(parse_usd(asked.json()["worst_case_usd"]) * 3 // 2))


async def _held(house: House) -> None:
    await house.held()


async def test_a_call_waits_for_what_is_held_and_is_then_told(house: House) -> None:
    """429 `held` with both figures and Retry-After, and nothing moved: there is money, it will come back."""
    secret = await _customer_of_one_call(house)
    slow = asyncio.ensure_future(house.chat(secret, "hi sim:delay=2500", **_CALL))
    await _held(house)
    books = house.books()
    loop = asyncio.get_running_loop()
    began = loop.time()
    refused = await house.chat(secret, **_CALL)
    assert loop.time() - began >= 1
    assert (refused.status_code, refused.headers["x-farebox-reason"], refused.headers["retry-after"]) == (429, "held", "1")
    assert parse_usd(refused.json()["error"]["farebox"]["needed_usd"]) > parse_usd(refused.json()["error"]["farebox"]["available_usd"])
    assert house.books() == books
    slow_answer = await slow
    assert slow_answer.status_code == 200
    assert (await house.chat(secret, **_CALL)).status_code == 200
    await house.agree()


async def test_a_call_that_ends_wakes_the_one_that_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by chance of a poll: the charge itself wakes it."""
    monkeypatch.setattr("farebox.gateway.authorize._POLL_S", 60)
    secret = await _customer_of_one_call(house)
    answers = await asyncio.gather(*(house.chat(secret, "hi sim:delay=150", **_CALL) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    await house.agree()


async def test_a_call_that_is_refused_by_its_provider_wakes_the_one_that_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release gives money back as a charge does."""
    monkeypatch.setattr("farebox.gateway.authorize._POLL_S", 60)
    secret = await _customer_of_one_call(house)
    slow = asyncio.ensure_future(house.chat(secret, "hi sim:delay=200 sim:status=500", **_CALL))
    await _held(house)
    assert (await house.chat(secret, **_CALL)).status_code == 200
    assert (await slow).status_code == 500


async def test_a_top_up_meanwhile_lets_the_waiting_call_go(house: House) -> None:
    """Money from outside is found on the next look."""
    asked = await house.chat(await house.customer("90.00", None), headers={"x-farebox-dry-run": "1"}, **_CALL)
    account = await house.account(format_usd(parse_usd(asked.json()["worst_case_usd"]) * 3 // 2))
    secret = await house.key(account, None)
    slow = asyncio.ensure_future(house.chat(secret, "hi sim:delay=3000", **_CALL))
    await _held(house)
    waiting = asyncio.ensure_future(house.chat(secret, **_CALL))
    await until(lambda: house.running.app._calls._authorizer.waiters._waiting)
    await house.top_up(account, "5.00")
    assert (await waiting).status_code == 200
    assert not slow.done()
    assert (await slow).status_code == 200


async def test_what_can_never_fit_is_not_waited_for(house: House) -> None:
    """More than there is, held or not: told at once, in the words for no money."""
    secret = await _customer_of_one_call(house)
    slow = asyncio.ensure_future(house.chat(secret, "hi sim:delay=400", **_CALL))
    await _held(house)
    refused = await house.chat(secret, max_completion_tokens=100_000)
    assert refused.status_code == 402
    assert not slow.done()
    await slow


async def test_nobody_who_waited_is_remembered(house: House) -> None:
    """Whether woken or refused: nothing is kept of a wait that is over."""
    secret = await _customer_of_one_call(house)
    await asyncio.gather(*(house.chat(secret, "hi sim:delay=700", **_CALL) for _ in range(4)))
    assert house.running.app._calls._authorizer.waiters._waiting == {}
