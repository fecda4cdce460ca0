"""Pools of provider keys, and providers that fail: who is asked, who is answered at once, and that nothing is held or charged for it."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from e2e.wire import dial
from farebox import limits, metrics
from support.house import House, open_house, until
from upstream.scripted import Peer, Script, serving

KEYS = ["sk-a", "sk-b", "sk-c"]
POOL = {"api_key": KEYS[0], "api_keys": KEYS[1:]}


@pytest.fixture
async def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A house whose providers have three keys each. A key that rests does so for the whole test, unless the test says otherwise."""
    monkeypatch.setattr(limits, "provider_key_pause_ms_min", 600_000)
    monkeypatch.setattr(limits, "provider_key_pause_ms_max", 600_000)
    async with open_house(tmp_path, {"providers": {"openai": POOL, "anthropic": POOL, "gemini": POOL}}) as house:
        yield house


def alarms(name: str) -> float:
    return float(metrics.alarms.labels(name)._value.get())


def tries(house: House) -> Counter[str]:
    return Counter(f"{state} {attempt}" for state, attempt in house.rows("SELECT state, attempt FROM holds"))


def gauge(house: House, name: str) -> float:
    house.running.figures()
    return metrics.REGISTRY.get_sample_value(name, {"provider": "openai"}) or 0


async def _served(house: House, secret: str) -> None:
    """Asks until it is answered."""
    async with asyncio.timeout(30):
        while (await house.chat(secret)).status_code != 200:
            pass


async def test_a_dead_key_costs_its_first_call_a_second_attempt_and_nobody_else_anything(pool: House) -> None:
    """Nine calls, none refused: one of them met the dead key, was held and released, and made with another; alarmed once."""
    secret, before = await pool.customer(), alarms("upstream_account")
    await pool.refuse_key("sk-b")
    for _ in range(9):
        assert (await pool.chat(secret)).status_code == 200
    assert tries(pool) == {"captured 1": 8, "released 1": 1, "captured 2": 1}
    assert alarms("upstream_account") == before + 1
    assert gauge(pool, "farebox_provider_keys_resting") == 1
    await pool.agree()


@pytest.mark.parametrize(
    ("status", "code"), [(429, "insufficient_quota"), (402, ""), (401, "invalid_api_key"), (403, ""), (429, "rate_limit_exceeded")]
)
async def test_whatever_a_key_is_refused_for_another_serves_the_call(pool: House, status: int, code: str) -> None:
    """Two of three refuse: one call has three attempts, each with a hold and a charge of its own, and its answer is the third's."""
    secret = await pool.customer()
    for key in KEYS[:2]:
        await pool.refuse_key(key, status, code)
    answer = await pool.chat(secret, "hi sim:output=30")
    assert answer.status_code == 200
    assert tries(pool) == {"released 1": 1, "released 2": 1, "captured 3": 1}
    assert [charge.price for charge in pool.charges()][:2] == [0, 0]
    assert [charge.status for charge in pool.charges()] == [status, status, 200]
    await pool.agree()


async def test_streams_and_the_other_dialects_change_keys_before_their_first_byte(pool: House) -> None:
    """The client sees one answer, whole."""
    secret = await pool.customer()
    for key in KEYS[:2]:
        await pool.refuse_key(key)
    streamed = await pool.chat(secret, stream=True)
    assert streamed.text.rstrip().endswith("data: [DONE]")
    assert (await pool.messages(secret)).status_code == 200
    asked = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 50}}
    url = f"{pool.url}/v1beta/models/gemini-2.5-flash:generateContent"
    assert (await pool.http.post(url, headers={"x-goog-api-key": secret}, json=asked)).status_code == 200
    await pool.agree()


async def test_when_all_keys_are_dead_callers_are_answered_without_a_hold(pool: House) -> None:
    """The first finds out, three holds given back; the next are told at once, and the provider hears nothing."""
    secret, before = await pool.customer(), alarms("upstream_account")
    for key in KEYS:
        await pool.refuse_key(key)
    answers = [await pool.chat(secret) for _ in range(4)]
    assert {(one.status_code, one.headers["x-farebox-reason"], one.headers["x-should-retry"]) for one in answers} == {
        (503, "upstream_account", "false")
    }
    assert all(1 <= int(one.headers["retry-after"]) <= 600 for one in answers[1:])
    assert tries(pool) == {"released 1": 1, "released 2": 1, "released 3": 1}
    assert alarms("upstream_account") == before + 3
    assert pool.books()["spent"] == pool.books()["held"] == 0


async def test_a_single_key_that_is_refused_rests_too(house: House) -> None:
    """One key is a pool of one: the second call costs nobody a round trip."""
    secret = await house.customer()
    await house.refuse_key("sk-upstream")
    for _ in range(3):
        assert (await house.chat(secret)).headers["x-farebox-reason"] == "upstream_account"
    assert len(house.charges()) == 1
    assert (await house.messages(secret)).headers["x-farebox-reason"] == "upstream_account", "each provider for itself"
    assert len(house.charges()) == 2


async def test_what_one_callers_request_is_refused_for_keeps_nobody_out(house: House) -> None:
    """A 403 may be about a file or a model: it is the operator's trouble, told as such, and the next call is made."""
    secret = await house.customer()
    assert (await house.chat(secret, "hi sim:status=403")).headers["x-farebox-reason"] == "upstream_account"
    assert (await house.chat(secret)).status_code == 200


async def test_keys_recover_when_they_are_accepted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its rest one call tries it; refused again it rests again, without a word; accepted, everything is as before."""
    monkeypatch.setattr(limits, "provider_key_pause_ms_min", 1)
    monkeypatch.setattr(limits, "provider_key_pause_ms_max", 2)
    async with open_house(tmp_path) as house:
        secret, before = await house.customer("5.00", None), alarms("upstream_account")
        await house.refuse_key("sk-upstream")
        assert (await house.chat(secret)).status_code == 503
        await until(lambda: not house.running.turns.health["openai"].keys[0].pause.wait_us(house.running.turns._clock()))
        assert (await house.chat(secret)).status_code == 503
        await house.refuse_key("sk-upstream", None)
        await _served(house, secret)
        assert house.running.turns.health["openai"].steady is not None
        assert alarms("upstream_account") == before + 1
        await house.agree()


async def test_parallel_callers_of_a_pool_with_dead_keys_are_all_served(pool: House) -> None:
    """Sixty at once while two of three keys die: each is served, charged what the provider billed, and two alarms are raised."""
    secret, before = await pool.customer("50.00", None), alarms("upstream_account")
    for key in KEYS[1:]:
        await pool.refuse_key(key)
    answers = await asyncio.gather(*(pool.chat(secret, f"hi sim:output={number}") for number in range(20, 80)))
    assert {one.status_code for one in answers} == {200}
    assert alarms("upstream_account") == before + 2
    charges = await pool.agree()
    assert [charge.outcome for charge in charges].count("answered") == 60


async def test_a_call_that_its_client_leaves_at_its_third_key_is_settled(pool: House) -> None:
    """The first two attempts given back, the third charged: whoever reads."""
    secret = await pool.customer()
    for key in KEYS[:2]:
        await pool.refuse_key(key)
    async with await dial(pool) as wire:
        await wire.ask(secret, "hi sim:delay=600")
        await until(lambda: tries(pool)["open 3"])
        wire.leave()
    await pool.agree()
    assert [charge.outcome for charge in pool.charges()] == ["released", "released", "answered"]


async def test_free_routes_use_the_pool_and_hear_of_its_end(pool: House) -> None:
    """Counting tokens meets the same dead keys; the last one serves, and when that is dead too, it is the operator's trouble."""
    secret = await pool.customer()
    asked: dict[str, Any] = {"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"x-api-key": secret, "anthropic-version": "2023-06-01"}
    for key in KEYS[:2]:
        await pool.refuse_key(key)
    for _ in range(3):
        assert (await pool.http.post(f"{pool.url}/v1/messages/count_tokens", headers=headers, json=asked)).status_code == 200
    await pool.refuse_key(KEYS[2])
    for _ in range(2):
        answer = await pool.http.post(f"{pool.url}/v1/messages/count_tokens", headers=headers, json=asked)
        assert (answer.status_code, answer.headers["x-farebox-reason"]) == (503, "upstream_account")
    assert pool.books()["holds"] == 0


# --- the way there ------------------------------------------------------------------------------------------------------------------------


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _nobody_home(folder: Path) -> AsyncIterator[tuple[House, int]]:
    port = _free_port()
    async with open_house(folder, sim_url=f"http://127.0.0.1:{port}") as house:
        yield house, port


def _answering(text: str = "hi") -> Script:
    usage = {"prompt_tokens": 8, "completion_tokens": 1, "total_tokens": 9}
    message = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = json.dumps({"id": "c", "object": "chat.completion", "model": "gpt-4o-mini", "choices": [message], "usage": usage}).encode()

    async def script(peer: Peer) -> None:
        while True:
            try:
                await peer.request()
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    return script


async def test_a_provider_that_cannot_be_reached_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls try twice each; after that callers are told at once when to come again, with nothing held, however many they are."""
    monkeypatch.setattr(limits, "upstream_pause_ms_min", 600_000)
    monkeypatch.setattr(limits, "upstream_pause_ms_max", 600_000)
    async with _nobody_home(tmp_path) as (house, _):
        secret, before = await house.customer(), alarms("upstream_away")
        for _ in range(2):
            assert (await house.chat(secret)).headers["x-farebox-reason"] == "upstream_unreachable"
        held = house.books()["holds"]
        assert held == limits.connect_failures_max
        answers = await asyncio.gather(*(house.chat(secret) for _ in range(20)))
        assert {(one.status_code, one.headers["x-farebox-reason"]) for one in answers} == {(502, "upstream_unreachable")}
        assert all(1 <= int(one.headers["retry-after"]) <= 600 for one in answers)
        assert "Nothing was charged" in answers[0].json()["error"]["message"]
        assert house.books()["holds"] == held
        assert alarms("upstream_away") == before + 1
        assert gauge(house, "farebox_upstream_away") == 1


async def test_a_repeat_is_answered_from_its_record_while_the_provider_is_away(house: House) -> None:
    """What was paid for is given, whoever is asked; a new call with such a key is given its hold back, and may come again."""
    secret, once = await house.customer(), {"idempotency-key": "a"}
    first = await house.chat(secret, "hi", once)
    health = house.running.turns.health["openai"]
    for _ in range(limits.connect_failures_max):
        health.unreached(health.turn(0), house.running.turns._clock())
    again = await house.chat(secret, "hi", once)
    assert (again.status_code, again.content) == (200, first.content)
    other = {"idempotency-key": "b"}
    assert (await house.chat(secret, "hi", other)).headers["x-farebox-reason"] == "upstream_unreachable"
    house.forget_health()
    assert (await house.chat(secret, "hi", other)).status_code == 200
    await house.settled()
    assert [charge.outcome for charge in house.charges()] == ["answered", "released", "answered"]


async def test_a_provider_that_is_back_is_found_by_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many that come after the pause one is let through, and its connection opens the way for all."""
    monkeypatch.setattr(limits, "upstream_pause_ms_min", 1)
    monkeypatch.setattr(limits, "upstream_pause_ms_max", 2)
    async with _nobody_home(tmp_path) as (house, port):
        secret = await house.customer("50.00", None)
        for _ in range(3):
            await house.chat(secret)
        assert house.running.turns.health["openai"].away
        async with serving(_answering()) as back:
            house.running.app._calls._forwarder._places["openai"] = back.origin.from_url(f"http://127.0.0.1:{back.origin.port}/v1")
            await _served(house, secret)
            assert house.running.turns.health["openai"].steady is not None
            answers = await asyncio.gather(*(house.chat(secret) for _ in range(10)))
            assert {one.status_code for one in answers} == {200}
            await house.running.upstream.close()
        assert port


async def test_a_try_whose_call_is_refused_its_hold_leaves_the_way_to_the_next(house: House) -> None:
    """No money, no call: the one that was let through had none, and the next one, that has some, is made."""
    poor, rich = await house.customer("0.00"), await house.customer()
    health = house.running.turns.health["openai"]
    for _ in range(limits.connect_failures_max):
        health.unreached(health.turn(0), 0)
    health.way._until = 0
    assert (await house.chat(poor)).status_code == 402
    assert (await house.chat(rich)).status_code == 200
    assert health.steady is not None


async def test_a_provider_that_only_fails_is_left_alone_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many errors in a row, whoever asked for what: then callers are told at once, without a hold."""
    monkeypatch.setattr(limits, "upstream_errors_max", 5)
    monkeypatch.setattr(limits, "upstream_pause_ms_min", 600_000)
    monkeypatch.setattr(limits, "upstream_pause_ms_max", 600_000)
    async with open_house(tmp_path) as house:
        secret = await house.customer()
        for _ in range(4):
            assert (await house.chat(secret, "hi sim:status=503")).status_code == 503
        assert (await house.chat(secret)).status_code == 200
        for _ in range(5):
            assert (await house.chat(secret, "hi sim:status=500")).status_code == 500
        holds = house.books()["holds"]
        refused = await house.chat(secret)
        assert (refused.status_code, refused.headers["x-farebox-reason"]) == (502, "upstream_unreachable")
        assert house.books()["holds"] == holds
