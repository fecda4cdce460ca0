"""The data plane's task cancelled between every two steps, its client failing at every message: one charge per hold, and nothing held.

Drives the gateway as its server does, so that each moment at which it can be interrupted is tried, and not only those of luck.
"""

import asyncio
import json
from typing import Any

import pytest

from e2e.wire import MODELS, PATHS, body_of
from farebox.exchange import AsgiExchange, Message
from farebox.money import parse_usd
from support.house import House, until

_POINTS_MAX = 400


class _Direct(AsgiExchange):
    """One whose pieces may be passed on at once, as on a connection of our own; every third has to wait for its client."""

    def pass_on(self, data: bytes) -> bool:
        drive: Drive = self._send.__self__  # type: ignore[attr-defined]  # whose method it is
        if len(drive.sent) % 3 == 2:
            return False
        drive.say({"type": "http.response.body", "body": data, "more_body": True})
        return True


class Drive:
    """One request, driven by hand."""

    def __init__(self, secret: str, dialect: str, text: str, *, pieces: int = 1, **fields: Any) -> None:
        body = body_of(dialect, text, max_tokens=60, **fields)
        size = -(-len(body) // pieces)
        self._body = [body[start : start + size] for start in range(0, len(body), size)]
        self.sent: list[Message] = []
        self.left = asyncio.Event()
        self.fail_at: int | None = None
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": PATHS[dialect],
            "raw_path": PATHS[dialect].encode(),
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {secret}".encode()), (b"content-length", str(len(body)).encode())],
        }

    async def receive(self) -> Message:
        await asyncio.sleep(0)
        if self._body:
            return {"type": "http.request", "body": self._body.pop(0), "more_body": bool(self._body)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await asyncio.sleep(0)
        self.say(message)

    def say(self, message: Message) -> None:
        if self.fail_at is not None and len(self.sent) >= self.fail_at:
            raise OSError("the server's transport is gone")
        self.sent.append(message)

    async def until(self, messages: int, task: "asyncio.Future[None]") -> None:
        """Lets it go on until so many messages were sent, turn by turn."""
        while len(self.sent) < messages and not task.done():  # noqa: ASYNC110 - every turn counts
            await asyncio.sleep(0)

    def exchange(self, *, direct: bool = False) -> AsgiExchange:
        return (_Direct if direct else AsgiExchange)(self.scope, self.receive, self.send)

    @property
    def ended(self) -> bool:
        """Whether the client saw the end of its answer."""
        return bool(self.sent) and self.sent[-1]["type"] == "http.response.body" and not self.sent[-1]["more_body"]


async def _settled(house: House) -> None:
    await house.settled()
    ((holds, still_open),) = house.rows("SELECT count(*), sum(state = 'open') FROM holds")
    assert not still_open
    assert house.rows("SELECT count(*) FROM charges") == [(holds,)], "a hold ends in exactly one charge"
    stats = house.running.upstream.stats()
    assert stats.open == stats.idle, "a connection to the provider is left in use"


_CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "whole": ("openai", "hi sim:output=3", {}),
    "stream": ("openai", "hi sim:output=3 sim:pace=1", {"stream": True}),
    "messages": ("anthropic", "hi sim:output=3 sim:pace=1", {"stream": True}),
    "refused_by_the_provider": ("openai", "hi sim:status=500", {}),
    "cut": ("openai", "hi sim:output=9 sim:cut=2 sim:on_abort=bill_sent", {"stream": True}),
}


@pytest.mark.parametrize("direct", [False, True], ids=["waiting", "direct"])
@pytest.mark.parametrize("name", _CALLS)
async def test_cancelled_after_any_number_of_turns_every_hold_has_one_charge(house: House, name: str, *, direct: bool) -> None:
    """The task is cancelled after 0, 1, 2, … turns of the event loop, until a call ends before it can be."""
    dialect, text, fields = _CALLS[name]
    secret = await house.customer("90.00", None)
    interrupted = 0
    for turns in range(_POINTS_MAX):
        drive = Drive(secret, dialect, text, pieces=2, **fields)
        task = asyncio.ensure_future(house.running.app(drive.exchange(direct=direct)))
        for _ in range(turns):
            await asyncio.sleep(0)
            if task.done():
                break
        if task.done():
            break
        task.cancel()
        await asyncio.wait([task])
        interrupted += 1
        drive.left.set()
        await _settled(house)
    assert interrupted > 8
    await _settled(house)
    await house.agree()


@pytest.mark.parametrize("direct", [False, True], ids=["waiting", "direct"])
@pytest.mark.parametrize("name", _CALLS)
async def test_a_client_that_fails_at_any_message_is_charged_once(house: House, name: str, *, direct: bool) -> None:
    """Sending raises at the head, at each piece, at the end."""
    dialect, text, fields = _CALLS[name]
    secret = await house.customer("90.00", None)
    for fail_at in range(_POINTS_MAX):
        drive = Drive(secret, dialect, text, **fields)
        drive.fail_at = fail_at
        await asyncio.gather(house.running.app(drive.exchange(direct=direct)), return_exceptions=True)
        await _settled(house)
        if drive.ended:
            break
    assert fail_at >= 2
    await house.agree()


async def test_a_failing_client_does_not_keep_the_providers_connection(house: House) -> None:
    """Nobody will read on: the connection is closed, not left in use, and the hold is charged for what the provider may go on to bill."""
    secret = await house.customer()
    drive = Drive(secret, "openai", "hi sim:output=50 sim:pace=300", stream=True)
    drive.fail_at = 2
    await asyncio.gather(house.running.app(drive.exchange()), return_exceptions=True)
    await _settled(house)
    (charge,) = await house.agree()
    assert charge.completeness == "unknown"


@pytest.mark.parametrize("direct", [False, True], ids=["waiting", "direct"])
@pytest.mark.parametrize("name", ["stream", "messages"])
async def test_a_client_that_leaves_at_any_message_is_charged_exactly(house: House, name: str, *, direct: bool) -> None:
    """Gone before the head, after each piece, before the end: always read to the provider's end."""
    dialect, text, fields = _CALLS[name]
    secret = await house.customer("90.00", None)
    for leaves_at in range(12):
        drive = Drive(secret, dialect, text, **fields)
        task = asyncio.ensure_future(house.running.app(drive.exchange(direct=direct)))
        await drive.until(leaves_at, task)
        drive.left.set()
        await asyncio.wait([task])
        assert task.exception() is None
        await _settled(house)
        if drive.ended:
            break
    assert all(charge.completeness == "exact" for charge in await house.agree())


async def test_cancelled_while_the_ledger_thinks_the_hold_is_given_back(house: House) -> None:
    """The answer of the ledger comes after its caller has gone: what it set aside is released, for nothing was sent."""
    secret = await house.customer()
    drive = Drive(secret, "openai", "hi")
    async with house.ledger_occupied():
        task = asyncio.ensure_future(house.running.app(drive.exchange()))
        await until(lambda: house.running.batcher.waiting)
        task.cancel()
    await asyncio.wait([task])
    await _settled(house)
    assert [(charge.outcome, charge.price) for charge in house.charges()] == [("released", 0)]
    assert await house.sim_calls() == []


async def test_cancelled_in_the_middle_of_a_stream_the_hold_is_charged(house: House) -> None:
    """Nobody reads on, the provider may: what was delivered bounds nothing."""
    secret = await house.customer()
    drive = Drive(secret, "openai", "hi sim:output=50 sim:pace=20", stream=True)
    task = asyncio.ensure_future(house.running.app(drive.exchange()))
    await drive.until(4, task)
    task.cancel()
    await asyncio.wait([task])
    await _settled(house)
    (charge,) = await house.agree()
    assert (charge.outcome, charge.completeness) == ("cancelled", "unknown")
    assert charge.price == house.rows("SELECT amount FROM holds")[0][0]


async def test_a_fault_of_our_own_is_told_without_its_details_and_settled(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something nobody thought of, after the provider answered: 500 with an incident, not to be retried, and the call is charged."""

    def broken(*_arguments: Any) -> None:
        raise RuntimeError("secret detail")

    secret = await house.customer()
    monkeypatch.setattr("farebox.gateway.forward.answer_headers", broken)
    answer = await house.chat(secret)
    assert (answer.status_code, answer.headers["x-farebox-reason"], answer.headers["x-should-retry"]) == (500, "internal", "false")
    assert "secret detail" not in answer.text
    assert answer.json()["error"]["message"].startswith("The gateway failed on its own account (inc_")
    monkeypatch.undo()
    await _settled(house)
    (charge,) = await house.agree()
    assert charge.completeness == "exact"
    assert parse_usd((await house.chat(secret)).headers["x-farebox-cost"]) == charge.price
    assert json.loads(charge.usage)["units"]
    assert MODELS["openai"] == charge.model
