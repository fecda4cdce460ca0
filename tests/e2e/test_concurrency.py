"""Many at once: exactly as many are admitted as fit, whoever leaves whenever, and every billed call has one charge."""

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.wire import PATHS, body_of, dial, request
from farebox.ledger.model import Charge
from farebox.money import format_usd, parse_usd
from support.house import House, open_house, until
from upstream.scripted import Peer, serving

_CALL: dict[str, Any] = {"max_completion_tokens": 1000}


async def _worst(house: House, text: str, **fields: Any) -> int:
    secret = await house.customer("90.00", None)
    return parse_usd((await house.chat(secret, text, {"x-farebox-dry-run": "1"}, **fields)).json()["worst_case_usd"])


@pytest.mark.parametrize("rich", [False, True], ids=["poor", "rich"])
@pytest.mark.parametrize("fits", [1, 6])
async def test_exactly_as_many_calls_are_admitted_as_fit(tmp_path: Path, fits: int, *, rich: bool) -> None:
    """75 calls at once where money is for one, or for six: the same on an empty wallet as under a key's cap on a rich one."""
    async with open_house(tmp_path, {"limits": {"held_wait_s": 0}}) as house:
        text = "hi sim:output=1000 sim:delay=60000"
        worst = await _worst(house, text, **_CALL)
        room = format_usd(worst * fits + worst // 2)
        secret = await house.customer("5000.00", room) if rich else await house.customer(room, None)
        calls = [asyncio.ensure_future(house.chat(secret, text, **_CALL)) for _ in range(75)]
        await until(lambda: sum(call.done() for call in calls) == 75 - fits)
        refused = [call.result() for call in calls if call.done()]
        assert {(answer.status_code, answer.headers["x-farebox-reason"]) for answer in refused} == {(429, "held")}
        assert house.rows("SELECT state FROM holds") == [("open",)] * fits
        await house.running.flights.close(0)
        await asyncio.wait(calls)
        assert [charge.written_off for charge in house.charges()] == [0] * fits


async def test_money_is_spent_to_the_end_and_not_beyond(tmp_path: Path) -> None:
    """Rounds of parallel calls until nothing fits: what was paid is the bill, and never more than was put in."""
    async with open_house(tmp_path, {"limits": {"held_wait_s": 5}}) as house:
        secret = await house.customer("0.02", None)
        refused = 0
        while refused < 75:
            answers = await asyncio.gather(*(house.chat(secret, "hi sim:output=800", **_CALL) for _ in range(75)))
            refused = sum(answer.status_code == 402 for answer in answers)
            assert {answer.status_code for answer in answers} <= {200, 402, 429}
        charges = await house.agree()
        books = house.books()
        assert books["spent"] == sum(charge.price for charge in charges) <= 20_000_000
        assert books["written_off"] == 0


async def test_the_first_calls_of_a_new_account_race_for_nothing(house: House) -> None:
    """No row of a wallet, key or window is made twice: forty calls at once on an account that was never used."""
    secret = await house.customer("50.00", "40.00")
    answers = await asyncio.gather(*(house.chat(secret, "hi sim:output=10", **_CALL) for _ in range(40)))
    assert [answer.status_code for answer in answers] == [200] * 40
    charges = await house.agree()
    spent = sum(charge.paid for charge in charges)
    windows = house.rows("SELECT counter, price_spent FROM windows WHERE price_spent > 0")
    assert windows
    assert {amount for _, amount in windows} == {spent}


async def test_a_keys_concurrency_is_bounded_to_the_call(tmp_path: Path) -> None:
    """`concurrent = 3`: the fourth at once is refused with 429 `rate_limited`, and admitted when one has ended."""
    async with open_house(tmp_path) as house:
        secret = await house.customer("50.00", None, concurrent=3)
        answers = await asyncio.gather(*(house.chat(secret, "hi sim:delay=300", **_CALL) for _ in range(12)))
        assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 9
        assert {answer.headers.get("x-farebox-reason") for answer in answers} == {None, "rate_limited"}
        assert (await house.chat(secret)).status_code == 200


async def test_calls_in_flight_are_bounded_for_the_process(tmp_path: Path) -> None:
    """Beyond the limit: 503 `busy`, uncharged."""
    async with open_house(tmp_path, {"limits": {"calls_in_flight_max": 5}}) as house:
        secret = await house.customer("50.00", None)
        answers = await asyncio.gather(*(house.chat(secret, "hi sim:delay=300", **_CALL) for _ in range(12)))
        assert sorted(answer.status_code for answer in answers) == [200] * 5 + [503] * 7
        assert {answer.headers["x-farebox-reason"] for answer in answers if answer.status_code == 503} == {"busy"}
        assert len(await house.agree()) == 5


_WORDS = (
    "sim:output=30 sim:pace=2",
    "sim:output=30",
    "sim:delay=20",
    "sim:output=5 sim:status=500",
    "sim:output=20 sim:cut=4 sim:on_abort=bill_sent",
    "sim:output=20 sim:usage=missing",
    "sim:output=12 sim:tool=0 sim:delay=10 sim:pace=3",
)


async def test_no_hold_leaks_whenever_a_client_leaves(house: House) -> None:
    """Three hundred calls of every kind, each client gone at a moment of its own: nothing is held, every billed call has one charge."""
    dice = random.Random(20261121)
    secrets = [await house.customer("90.00", None) for _ in range(3)]

    async def visit(index: int) -> None:
        dialect = dice.choice(("openai", "openai", "anthropic"))
        body = body_of(dialect, f"hi {dice.choice(_WORDS)}", stream=dice.random() < 0.6, max_tokens=100)
        sent = request(secrets[index % 3], body, path=PATHS[dialect])
        wire = await dial(house)
        wire.send(sent[: dice.randrange(len(sent))] if dice.random() < 0.1 else sent)
        patience = dice.choice((0, 0.002, 0.01, 0.03, 0.08, 0.5))
        try:
            async with asyncio.timeout(patience):
                await wire.until(b"0\r\n\r\n")
        except (TimeoutError, AssertionError):
            pass
        wire.leave()

    for start in range(0, 300, 25):
        await asyncio.gather(*(visit(start + index) for index in range(25)))
    charges: list[Charge] = await house.agree()
    assert house.books()["held"] == 0
    assert len({charge.hold_id for charge in charges}) == len(charges)
    billed = [row for row in await house.sim_calls() if int(row["nano"])]
    assert len(billed) > 150
    charged = {charge.upstream_request_id for charge in charges}
    assert all(row["id"] in charged for row in billed)


async def test_a_task_of_a_client_that_is_cancelled_leaves_nothing(house: House) -> None:
    """The same from inside: the SDK's own task is cancelled at any moment."""
    dice = random.Random(7)
    secret = await house.customer("90.00", None)

    async def visit() -> None:
        stream = dice.random() < 0.5
        task = asyncio.ensure_future(house.chat(secret, "hi sim:output=30 sim:pace=1 sim:delay=5", stream=stream, max_tokens=100))
        done, _ = await asyncio.wait([task], timeout=dice.random() * 0.08)
        if not done:
            task.cancel()
            await asyncio.wait([task])
        elif task.exception() is not None:
            assert isinstance(task.exception(), httpx.HTTPError)

    for _ in range(5):
        await asyncio.gather(*(visit() for _ in range(20)))
    charges = await house.agree()
    assert all(charge.completeness == "exact" for charge in charges)
    assert house.books()["held"] == 0


async def test_counting_tokens_takes_a_place_among_the_calls_on_their_way(tmp_path: Path) -> None:
    """It holds a connection to a provider like any call: bounded with them, and refused once the gateway is going down."""
    async with open_house(tmp_path, {"limits": {"calls_in_flight_max": 1}}) as house:
        secret = await house.customer()
        headers = {"x-api-key": secret, "anthropic-version": "2023-06-01"}
        url = f"{house.url}/v1/messages/count_tokens"
        body = body_of("anthropic", "hi")
        assert (await house.http.post(url, headers=headers, content=body)).status_code == 200
        slow = asyncio.ensure_future(house.chat(secret, "hi sim:output=1000 sim:delay=60000", **_CALL))
        await until(lambda: len(house.running.flights) == 1)
        refused = await house.http.post(url, headers=headers, content=body)
        assert (refused.status_code, refused.headers["x-farebox-reason"]) == (503, "busy")
        await house.running.flights.close(0)
        await slow
        refused = await house.http.post(url, headers=headers, content=body)
        assert (refused.status_code, refused.headers["x-farebox-reason"]) == (503, "draining")


async def test_a_count_on_its_way_is_given_up_when_the_gateway_goes_down(tmp_path: Path) -> None:
    """In the dialect's words, as soon as patience ends; a provider that does not answer does not keep the gateway alive."""
    asked = asyncio.Event()

    async def silent(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.gone()

    async with serving(silent) as provider, open_house(tmp_path, sim_url=f"http://127.0.0.1:{provider.origin.port}") as house:
        secret = await house.customer()
        headers = {"x-api-key": secret, "anthropic-version": "2023-06-01"}
        url = f"{house.url}/v1/messages/count_tokens"
        counting = asyncio.ensure_future(house.http.post(url, headers=headers, content=body_of("anthropic", "hi")))
        await asked.wait()
        await house.running.flights.close(0)
        refused = await counting
        assert (refused.status_code, refused.headers["x-farebox-reason"]) == (503, "draining")
