"""The second stage of admission: what does not fit by its bytes is counted before it is refused, here or by the provider."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from farebox.ids import new_id
from farebox.ledger.commands import SetBudgets
from farebox.ledger.model import Budget, Counter
from farebox.metrics import REGISTRY
from farebox.money import format_usd, parse_usd
from support.house import House, open_house
from upstream.scripted import Peer, serving

ODD = "a1 b2 c3 d4 e5 f6 g7 h8 "
"""Some three bytes and two tokens to a word: more tokens here than the simulator counts, which counts four bytes to one."""
PROSE = "international considerations notwithstanding "
"""Fewer tokens here than the simulator counts."""
LONG = ODD * 500


async def _quoted(house: House, dialect: str, text: str, **body: Any) -> int:
    """The worst case by the bytes, in nano-dollars."""
    secret = await house.customer("900.00", None)
    return parse_usd((await _asked(house, dialect, secret, text, {"x-farebox-dry-run": "1"}, **body)).json()["worst_case_usd"])


async def _asked(house: House, dialect: str, secret: str, text: str, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    if dialect == "openai":
        return await house.chat(secret, text, headers, max_completion_tokens=20, **body)
    if dialect == "anthropic":
        return await house.messages(secret, text, headers, max_tokens=20, **body)
    sent = {"x-goog-api-key": secret, **(headers or {})}
    asked = {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": {"maxOutputTokens": 20}}
    return await house.http.post(f"{house.url}/v1beta/models/gemini-2.5-flash:generateContent", headers=sent, json=asked | body)


@pytest.mark.parametrize(
    ("dialect", "body", "where"),
    [
        ("openai", {"model": "gpt-4o-mini"}, "here"),
        ("openai", {"model": "gpt-6-luna"}, "provider"),
        ("anthropic", {}, "provider"),
        ("gemini", {}, "provider"),
    ],
)
async def test_what_fits_when_it_is_counted_is_admitted(house: House, dialect: str, body: dict[str, Any], where: str) -> None:
    """Here where the model's tokenizer is public, else by the provider, for nothing; charged what it was billed, within the hold."""
    worst = await _quoted(house, dialect, LONG, **body)
    secret = await house.customer(format_usd(worst * 7 // 10))
    before = _counted(dialect, where)
    answer = await _asked(house, dialect, secret, LONG, **body)
    assert answer.status_code == 200, answer.text
    (charge,) = await house.agree()
    assert "input_counted" in charge.flags.split(",")
    assert (charge.completeness, charge.written_off) == ("exact", 0)
    assert "overage" not in charge.flags
    assert len(await house.sim_calls()) == 1
    assert _counted(dialect, where) == before + 1


def _counted(provider: str, where: str) -> float:
    return REGISTRY.get_sample_value("farebox_counted_inputs_total", {"provider": provider, "where": where}) or 0


async def test_what_does_not_fit_when_it_is_counted_is_refused_in_the_words_of_the_count(house: House) -> None:
    """What is said to be needed is what the tighter bound needs."""
    worst = await _quoted(house, "openai", LONG)
    secret = await house.customer(format_usd(worst * 2 // 10))
    answer = await house.chat(secret, LONG, max_completion_tokens=20)
    assert (answer.status_code, answer.headers["x-farebox-reason"]) == (402, "exceeds_available")
    assert parse_usd(answer.json()["error"]["farebox"]["needed_usd"]) < worst
    assert await house.sim_calls() == []


async def test_what_is_underestimated_is_overage_and_never_more_than_there_is(house: House) -> None:
    """The simulator counts more tokens than the tokenizer: what the hold lacks is paid while there is money, and the rest written off."""
    text = PROSE * 300
    worst = await _quoted(house, "openai", text)
    secret = await house.customer(format_usd(worst * 23 // 100))
    answer = await house.chat(secret, text, max_completion_tokens=20)
    assert answer.status_code == 200
    (charge,) = await house.agree()
    assert charge.price == charge.paid + charge.written_off
    assert charge.paid <= worst * 23 // 100
    assert "input_counted" in charge.flags


async def test_a_caller_who_would_be_refused_anyway_gets_nothing_counted(house: House) -> None:
    """Counting is work: it is not done where even a fraction of the bound would not fit."""
    worst = await _quoted(house, "anthropic", LONG)
    secret = await house.customer(format_usd(worst // 20))
    before = _counted("anthropic", "provider")
    answer = await house.messages(secret, LONG, max_tokens=20)
    assert answer.status_code == 402
    assert _counted("anthropic", "provider") == before


_NO_COUNTS: dict[str, bytes] = {
    "overloaded": b"HTTP/1.1 529 Overloaded\r\ncontent-length: 2\r\n\r\n{}",
    "no_number": b'HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\n{"input_tokens":"few"}\n',
    "negative": b'HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{"input_tokens":-100}',
    "nothing": b'HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{"input_tokens":0}',
    "not_json": b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>",
    "deep": b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n" + b"[" * 9000,
    "cut": b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{",
    "not_http": b"SSH-2.0-OpenSSH_9.6\r\n",
}


@pytest.mark.parametrize("said", _NO_COUNTS.values(), ids=_NO_COUNTS)
async def test_a_count_that_cannot_be_had_leaves_the_refusal(tmp_path: Path, said: bytes) -> None:
    """The provider's endpoint fails or lies: the bound by the bytes stands, and nothing is charged."""

    async def script(peer: Peer) -> None:
        assert (await peer.request()).startswith(b"POST /v1/messages/count_tokens")
        peer.send(said)
        await peer.writer.drain()

    async with serving(script) as provider, open_house(tmp_path, sim_url=f"http://127.0.0.1:{provider.origin.port}") as house:
        worst = await _quoted(house, "anthropic", LONG)
        secret = await house.customer(format_usd(worst * 7 // 10))
        answer = await house.messages(secret, LONG, max_tokens=20)
        assert (answer.status_code, answer.headers["x-farebox-reason"]) == (402, "exceeds_available")
        assert parse_usd(answer.json()["error"]["farebox"]["needed_usd"]) == worst
        assert house.charges() == []


async def test_a_limit_of_tokens_is_decided_by_the_count(house: House) -> None:
    """A key with a limit per minute below the bound of one request is not shut out for ever."""
    secret = await house.customer("50.00", None)
    key = house.key_id(secret)
    asked = await house.chat(secret, LONG, {"x-farebox-dry-run": "1"}, max_completion_tokens=20)
    counter = Counter(key, "rolling:1m", "tokens")
    await house.command(SetBudgets(new_id("cmd"), key, (Budget(counter, asked.json()["input_tokens_max"] * 7 // 10),)))
    assert (await house.chat(secret, LONG, max_completion_tokens=20)).status_code == 200
    await house.agree()


async def test_many_at_once_never_spend_more_than_there_is(house: House) -> None:
    """Parallel callers of one key, each counted or refused; what is charged is within the wallet."""
    worst = await _quoted(house, "openai", LONG)
    secret = await house.customer(format_usd(worst * 2), None)
    answers = await asyncio.gather(*(house.chat(secret, LONG, max_completion_tokens=20) for _ in range(24)))
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {200, 402}, statuses
    charges = await house.agree()
    assert len(charges) == sum(answer.status_code == 200 for answer in answers) >= 2
    assert sum(charge.paid for charge in charges) <= worst * 2


async def test_every_bound_stands_beside_what_was_billed(house: House) -> None:
    """As a share in the metrics (and in the line of each call): a bound that is never near the truth is a loose one."""
    before = _ratio("count")
    assert (await house.chat(await house.customer())).status_code == 200
    await house.agree()
    assert _ratio("count") == before + 1


def _ratio(what: str) -> float:
    return REGISTRY.get_sample_value(f"farebox_input_bound_ratio_{what}") or 0


async def test_a_bound_that_was_too_low_is_alarmed(tmp_path: Path) -> None:
    """The provider reports more input than the request can have: it is charged, and an operator is told."""
    usage = b'{"input_tokens":20000,"output_tokens":1}'
    said = (
        b'{"id":"m","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[],"stop_reason":"end_turn","usage":%b}'
        % usage
    )

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said) + said)
        await peer.writer.drain()

    def alarms() -> float:
        return REGISTRY.get_sample_value("farebox_alarms_total", {"name": "input_bound_exceeded"}) or 0

    before = alarms()
    async with serving(script) as provider, open_house(tmp_path, sim_url=f"http://127.0.0.1:{provider.origin.port}") as house:
        assert (await house.messages(await house.customer("50.00", None), max_tokens=5)).status_code == 200
        (charge,) = house.charges()
        assert charge.price == charge.paid > house.rows("SELECT amount FROM holds")[0][0]
        assert alarms() == before + 1
