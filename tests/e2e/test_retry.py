"""The gateway's own second attempt: only where the provider cannot have billed the first, each with a hold and a charge of its own."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from farebox.errors import LedgerUnavailable
from farebox.gateway.upstream import ConnectFailed
from farebox.ledger.commands import Release
from support.house import House, open_house
from upstream.scripted import Peer, serving


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _nobody_home(folder: Path) -> AsyncIterator[House]:
    async with open_house(folder, sim_url=f"http://127.0.0.1:{_free_port()}") as house:
        yield house


def _fail_first(house: House, times: int) -> list[str]:
    """The provider refuses the first connections; what is given says which hold each was for."""
    forwarder = house.running.app._calls._forwarder
    send, tries = forwarder.send, []

    async def sometimes(*arguments: Any) -> Any:
        tries.append("")
        if len(tries) <= times:
            raise ConnectFailed("refused")
        return await send(*arguments)

    forwarder.send = sometimes  # type: ignore[method-assign, assignment]  # a connection that fails once cannot be had from a real socket at will
    return tries


async def test_a_refused_connection_is_tried_once_more_and_charged_nothing(tmp_path: Path) -> None:
    """Two attempts of one request, both released: nothing was sent, so nothing can have been billed."""
    async with _nobody_home(tmp_path) as house:
        secret = await house.customer()
        for stream in (False, True):
            answer = await house.chat(secret, stream=stream)
            assert (answer.status_code, answer.headers["x-farebox-reason"]) == (502, "upstream_unreachable")
            assert "x-should-retry" not in answer.headers
            assert "Nothing was charged" in answer.json()["error"]["message"]
        holds = house.rows("SELECT request_id, attempt, state FROM holds ORDER BY created_at, attempt")
        assert [(attempt, state) for _, attempt, state in holds] == [(1, "released"), (2, "released")] * 2
        assert len({request for request, _, _ in holds}) == 2
        assert [(charge.outcome, charge.price, charge.flags) for charge in house.charges()] == [("released", 0, "connect_failed")] * 4


async def test_the_second_attempt_is_held_and_charged_on_its_own(house: House) -> None:
    """The first ends at zero, the second is charged what the provider billed: one request, two attempts, one price."""
    secret = await house.customer()
    tries = _fail_first(house, 1)
    assert (await house.chat(secret, "hi sim:output=50")).status_code == 200
    assert len(tries) == 2
    first, second = house.charges()
    assert first.request_id == second.request_id
    assert (first.price, first.outcome) == (0, "released")
    assert second.completeness == "exact"
    await house.agree()


async def test_money_for_one_attempt_is_enough_for_the_second(house: House) -> None:
    """The old hold ends and the new one begins in one commit, in that order: nobody needs twice the money, and nobody else gets between."""
    asked = await house.chat(await house.customer(), headers={"x-farebox-dry-run": "1"}, max_completion_tokens=1000)
    secret = await house.customer(asked.json()["worst_case_usd"])
    _fail_first(house, 1)
    assert (await house.chat(secret, max_completion_tokens=1000)).status_code == 200
    await house.agree()


async def test_what_changed_between_two_attempts_counts_for_the_second(house: House) -> None:
    """A key edited during the first attempt is planned again; one that is paused gets no second."""
    secret = await house.customer()
    forwarder = house.running.app._calls._forwarder
    send, edits = forwarder.send, [{"name": "renamed"}, None, {"status": "paused"}]

    async def edited(*arguments: Any) -> Any:
        change = edits.pop(0)
        if change is None:
            return await send(*arguments)
        await house.edit_key(secret, **change)
        raise ConnectFailed("refused")

    forwarder.send = edited  # type: ignore[method-assign, assignment]  # between the two attempts there is no other place to stand
    assert (await house.chat(secret)).status_code == 200
    answer = await house.chat(secret)
    assert (answer.status_code, answer.headers["x-farebox-reason"]) == (403, "key_paused")
    assert [charge.outcome for charge in house.charges()] == ["released", "answered", "released"]


async def test_an_idempotent_call_keeps_its_name_through_the_second_attempt(house: House) -> None:
    """The name is free for a moment inside one commit, where nobody sees it."""
    secret, once = await house.customer(), {"idempotency-key": "a"}
    _fail_first(house, 1)
    first = await house.chat(secret, "hi", once)
    assert first.status_code == 200
    again = await house.chat(secret, "hi", once)
    assert again.headers["x-farebox-replayed"] == "1"
    assert again.content == first.content


async def test_a_ledger_lost_between_two_attempts_leaves_no_hold(house: House) -> None:
    """The first attempt's end is submitted again until it is booked, and so is what was asked with it, to be given back: nothing is left to
    a deadline.
    """
    secret = await house.customer()
    _fail_first(house, 1)
    post = house.running.batcher.post
    lost: list[str] = []

    def losing(*commands: Any) -> Any:
        future = post() if isinstance(commands[0], Release) and not lost else post(*commands)
        if isinstance(commands[0], Release) and not lost:
            lost.append("once")
            future = asyncio.get_running_loop().create_future()
            future.set_result(LedgerUnavailable(problem="lost"))
        return future

    house.running.batcher.post = losing  # type: ignore[method-assign]  # a ledger that is away for one commit cannot be had at will
    answer = await house.chat(secret)
    assert (answer.status_code, answer.headers["x-farebox-reason"]) == (503, "ledger_unavailable")
    await house.settled()
    assert [(charge.outcome, charge.price) for charge in house.charges()] == [("released", 0)] * 2
    assert house.books()["held"] == 0


async def test_a_request_that_was_written_is_never_sent_twice(tmp_path: Path) -> None:
    """The provider read it and hung up: it may have billed, so the hold is charged as unknown and nobody tries again."""
    requests: list[bytes] = []

    async def hang_up(peer: Peer) -> None:
        requests.append(await peer.request())
        peer.close()

    async def reset(peer: Peer) -> None:
        requests.append(await peer.request())
        peer.reset()

    async with serving(hang_up, reset) as provider, open_house(tmp_path, sim_url=f"http://127.0.0.1:{provider.origin.port}") as house:
        secret = await house.customer()
        for stream in (False, True):
            answer = await house.chat(secret, stream=stream)
            assert (answer.status_code, answer.headers["x-farebox-reason"]) == (502, "upstream_bad_response")
            assert answer.headers["x-should-retry"] == "false"
        assert len(requests) == 2
        charges = house.charges()
        assert [(charge.completeness, charge.outcome) for charge in charges] == [("unknown", "not_answered")] * 2
        assert sorted(charge.price for charge in charges) == sorted(amount for (amount,) in house.rows("SELECT amount FROM holds"))


async def test_a_stale_connection_is_no_reason_to_bill_twice(tmp_path: Path) -> None:
    """A pooled connection that the provider closed meanwhile is noticed before a byte is written, and a new one is taken."""
    answer = {
        "id": "c",
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
    }
    body = json.dumps(answer).encode()
    whole = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    closed = asyncio.Event()

    async def once(peer: Peer) -> None:
        await peer.request()
        peer.send(whole)
        await peer.writer.drain()
        peer.close()
        await peer.writer.wait_closed()
        closed.set()

    async with serving(once) as provider, open_house(tmp_path, sim_url=f"http://127.0.0.1:{provider.origin.port}") as house:
        secret = await house.customer()
        for _ in range(3):
            closed.clear()
            assert (await house.chat(secret)).status_code == 200
            await closed.wait()
        assert provider.accepted == 3
        assert [charge.completeness for charge in house.charges()] == ["exact"] * 3
