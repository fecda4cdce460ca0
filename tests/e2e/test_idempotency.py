"""Idempotency-Key: one call, one charge, one answer, however often it is asked; never across keys, never another body's answer."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.wire import ENDS, dial
from farebox import limits
from farebox.gateway.identify import hash_of
from support.house import House, open_house

ONCE = {"idempotency-key": "order 17, first try"}


def _told(answer: httpx.Response) -> dict[str, str]:
    """The headers that are ours or the provider's."""
    return {name: value for name, value in answer.headers.items() if name.startswith(("x-farebox", "x-upstream", "content-type"))}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_a_repeat_gets_the_recorded_answer(house: House, dialect: str, *, stream: bool) -> None:
    """Byte for byte, with its headers and `x-farebox-replayed: 1`; the provider is called once and the call is charged once."""
    call: Any = house.chat if dialect == "openai" else house.messages
    secret = await house.customer()
    first = await call(secret, "hi sim:output=30", ONCE, stream=stream)
    books = house.books()
    again = await call(secret, "hi sim:output=30", ONCE, stream=stream)
    assert again.status_code == first.status_code == 200
    assert again.content == first.content
    assert again.content.endswith(ENDS[dialect]) or not stream
    assert again.headers["x-farebox-replayed"] == "1"
    told = _told(again)
    assert "x-farebox-replayed" not in first.headers
    assert all(_told(first)[name] == value for name, value in told.items() if name != "x-farebox-replayed")
    assert house.books() == books
    assert len(await house.agree()) == len(await house.sim_calls()) == 1


async def test_the_same_name_of_another_key_is_another_call(house: House) -> None:
    """A recorded answer belongs to the key it was given to: tenants that choose the same name do not meet, nor do two keys of one account."""
    account = await house.account()
    secrets = [await house.key(account), await house.key(account), await house.customer()]
    for secret in secrets:
        answer = await house.chat(secret, "hi", ONCE)
        assert "x-farebox-replayed" not in answer.headers
    assert len(await house.agree()) == 3


async def test_method_and_path_belong_to_the_name(house: House) -> None:
    """The same name on another route is another call."""
    secret = await house.customer()
    assert (await house.chat(secret, "hi", ONCE)).status_code == 200
    other = await house.messages(secret, "hi", ONCE)
    assert other.status_code == 200
    assert "x-farebox-replayed" not in other.headers


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({}, {"max_completion_tokens": 77}),
        ({"x-farebox-max-cost": "0.5"}, {}),
        ({"x-farebox-clamp": "1"}, {}),
        ({"x-farebox-run": "r", "x-farebox-run-max-cost": "0.5"}, {}),
    ],
    ids=["body", "ceiling", "clamp", "run"],
)
async def test_another_request_under_the_same_name_is_a_mismatch(house: House, headers: dict[str, str], fields: dict[str, Any]) -> None:
    """The body and every header that moves cost are the request: 422, and nothing moves."""
    secret = await house.customer()
    assert (await house.chat(secret, "hi", ONCE)).status_code == 200
    books = house.books()
    answer = await house.chat(secret, "hi", ONCE | headers, **fields)
    assert (answer.status_code, answer.headers["x-farebox-reason"]) == (422, "idempotency_mismatch")
    assert house.books() == books


async def test_tags_do_not_make_another_request(house: House) -> None:
    """What does not move cost may differ."""
    secret = await house.customer()
    assert (await house.chat(secret, "hi", ONCE | {"x-farebox-tags": "try=1"})).status_code == 200
    assert (await house.chat(secret, "hi", ONCE | {"x-farebox-tags": "try=2"})).headers["x-farebox-replayed"] == "1"


async def test_a_repeat_while_the_first_runs_waits_for_its_answer(house: House) -> None:
    """Ten at once are one call, and all get its answer."""
    secret = await house.customer()
    answers = await asyncio.gather(*(house.chat(secret, "hi sim:delay=250", ONCE) for _ in range(10)))
    assert [answer.status_code for answer in answers] == [200] * 10
    assert len({answer.content for answer in answers}) == 1
    assert sum("x-farebox-replayed" in answer.headers for answer in answers) == 9
    assert len(await house.agree()) == 1


async def test_a_repeat_waits_up_to_a_limit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then 409 `in_progress`, with the request's id and when to ask again."""
    monkeypatch.setattr(limits, "idempotency_wait_s", 0)
    secret = await house.customer()
    first = asyncio.ensure_future(house.chat(secret, "hi sim:delay=400", ONCE))
    await house.held()
    again = await house.chat(secret, "hi sim:delay=400", ONCE)
    assert (again.status_code, again.headers["x-farebox-reason"]) == (409, "in_progress")
    assert (again.headers["retry-after"], again.headers["x-should-retry"]) == ("1", "false")
    assert again.json()["error"]["farebox"]["request_id"]
    assert (await first).headers["x-farebox-request-id"] in again.json()["error"]["message"]


async def test_a_request_that_ended_uncharged_frees_its_name(house: House) -> None:
    """An error of the provider is no answer to keep: the next try is a call of its own."""
    secret = await house.customer()
    assert (await house.chat(secret, "hi sim:status=500", ONCE)).status_code == 500
    assert (await house.chat(secret, "hi", ONCE)).status_code == 200
    assert (await house.chat(secret, "hi", ONCE)).headers["x-farebox-replayed"] == "1"


async def test_a_refused_request_frees_its_name(house: House) -> None:
    """No money at first; once there is, the same name works."""
    account = await house.account("0")
    secret = await house.key(account)
    assert (await house.chat(secret, "hi", ONCE)).status_code == 402
    await house.top_up(account, "1.00")
    assert (await house.chat(secret, "hi", ONCE)).status_code == 200
    assert (await house.chat(secret, "hi", ONCE)).headers["x-farebox-replayed"] == "1"


async def test_a_client_that_left_finds_its_answer(house: House) -> None:
    """What was read on in its absence is recorded: asked again, it is there, and costs nothing more."""
    secret = await house.customer()
    wire = await dial(house)
    await wire.ask(secret, "hi sim:output=20 sim:pace=5", "openai", f"idempotency-key: {ONCE['idempotency-key']}", stream=True)
    await wire.until(b" coin")
    wire.leave()
    await house.settled()
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi sim:output=20 sim:pace=5"}], "stream": True}
    answer = await house.http.post(
        f"{house.url}/v1/chat/completions", content=json.dumps(asked), headers={"authorization": f"Bearer {secret}", **ONCE}
    )
    assert answer.headers["x-farebox-replayed"] == "1"
    assert answer.content.endswith(ENDS["openai"])
    assert len(await house.agree()) == 1


async def test_an_answer_too_large_to_keep_is_already_charged(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """409 with the first request's id, streamed or not; never a second call."""
    monkeypatch.setattr(limits, "replay_answer_bytes_max", 1000)
    secret = await house.customer()
    for stream, name in ((False, "a"), (True, "b")):
        first = await house.chat(secret, "hi sim:output=500", {"idempotency-key": name}, stream=stream)
        again = await house.chat(secret, "hi sim:output=500", {"idempotency-key": name}, stream=stream)
        assert (again.status_code, again.headers["x-farebox-reason"]) == (409, "already_charged")
        assert first.headers["x-farebox-request-id"] in again.json()["error"]["message"]
    assert len(await house.agree()) == 2


async def test_a_broken_stream_is_charged_and_not_repeated(house: House) -> None:
    """It may have been billed, and there is no answer to give again."""
    secret = await house.customer()
    text = "hi sim:cut=2 sim:on_abort=bill_sent"
    assert (await house.chat(secret, text, ONCE, stream=True)).status_code == 200
    again = await house.chat(secret, text, ONCE, stream=True)
    assert (again.status_code, again.headers["x-farebox-reason"]) == (409, "already_charged")
    assert len(await house.sim_calls()) == 1


async def test_recording_can_be_off(tmp_path: Path) -> None:
    """`replay_kept_s = 0`: nothing is kept, and a repeat is told that it was charged."""
    async with open_house(tmp_path, {"limits": {"replay_kept_s": 0}}) as house:
        secret = await house.customer()
        assert (await house.chat(secret, "hi", ONCE)).status_code == 200
        assert (await house.chat(secret, "hi", ONCE)).headers["x-farebox-reason"] == "already_charged"
        assert house.rows("SELECT count(*) FROM replays WHERE answer IS NOT NULL") == [(0,)]


async def test_what_is_recorded_cannot_be_read_from_the_store(house: House) -> None:
    """It is encrypted with what only the caller has; and a key that was rotated since reads nothing."""
    secret = await house.customer()
    assert (await house.chat(secret, "hi", ONCE)).status_code == 200
    ((kept,),) = house.rows("SELECT answer FROM replays")
    assert b"simulated" not in kept
    await house.edit_key(secret, hash=hash_of("fbx_the_new_secret"))
    again = await house.chat("fbx_the_new_secret", "hi", ONCE)
    assert (again.status_code, again.headers["x-farebox-reason"]) == (409, "already_charged")


@pytest.mark.parametrize("name", ["x" * 256, "caf\u00e9"])
async def test_a_name_that_is_none_is_refused(house: House, name: str) -> None:
    """Too long, or not printable ASCII: 400, nothing moves."""
    secret = await house.customer()
    sent = [(b"authorization", f"Bearer {secret}".encode()), (b"idempotency-key", name.encode("latin-1"))]
    answer = await house.http.post(f"{house.url}/v1/chat/completions", headers=sent)
    assert (answer.status_code, answer.headers["x-farebox-reason"]) == (400, "invalid_request")
    assert house.books()["holds"] == 0
