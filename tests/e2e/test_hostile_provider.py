"""Bad answers from providers: told in the caller's words, charged where the call may have been billed, and the gateway serves on."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.wire import PATHS, body_of
from farebox import limits
from farebox.gateway import flights
from support.house import House, open_house
from upstream.scripted import Peer, Script, serving

_ANSWER = {
    "id": "c",
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}
_BODY = json.dumps(_ANSWER).encode()


def _http(body: bytes, *lines: bytes, status: bytes = b"200 OK", length: int | None = None) -> bytes:
    head = [b"HTTP/1.1 " + status, *lines, b"content-length: %d" % (len(body) if length is None else length)]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def _says(answer: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(answer)
        await peer.writer.drain()

    return script


_JSON = b"content-type: application/json"
_WRONG: dict[str, tuple[bytes, str]] = {
    "html": (_http(b"<html>busy</html>", b"content-type: text/html"), "upstream_bad_response"),
    "gzip": (_http(gzip.compress(_BODY), _JSON, b"content-encoding: gzip"), "upstream_bad_response"),
    "length_too_long": (_http(_BODY, _JSON, length=len(_BODY) + 50), "upstream_bad_response"),
    "length_too_short": (_http(_BODY, _JSON, length=20), "upstream_bad_response"),
    "two_lengths": (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 9\r\n\r\nhello", "upstream_bad_response"),
    "length_and_chunks": (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "upstream_bad_response"),
    "nothing": (b"", "upstream_bad_response"),
    "not_http": (b"SSH-2.0-OpenSSH_9.6\r\n", "upstream_bad_response"),
    "half_a_head": (b"HTTP/1.1 200 OK\r\ncontent-le", "upstream_bad_response"),
    "endless_head": (b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 50_000, "upstream_bad_response"),
    "redirect": (_http(b"", b"location: http://elsewhere/", status=b"302 Found"), "upstream_bad_response"),
    "no_content": (b"HTTP/1.1 204 No Content\r\n\r\n", "upstream_bad_response"),
    "switching": (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n", "upstream_bad_response"),
    "empty_object": (_http(b"{}", _JSON), "upstream_bad_response"),
    "error_in_a_200": (_http(b'{"error":{"message":"busy","type":"server_error"}}', _JSON), "upstream_bad_response"),
    "deep": (_http(b"[" * 100_000, _JSON), "upstream_bad_response"),
    "not_utf8": (_http(_BODY.replace(b"hi", b"\xff\xfe"), _JSON), "upstream_bad_response"),
    "account_error_in_html": (_http(b"<html>401</html>", status=b"401 Unauthorized"), "upstream_account"),
}


@asynccontextmanager
async def _provider(folder: Path, *scripts: Script, **more: Any) -> AsyncIterator[House]:
    async with serving(*scripts) as provider, open_house(folder, more, sim_url=f"http://127.0.0.1:{provider.origin.port}") as house:
        yield house


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_answers_that_are_none_are_told_and_charged_by_policy(tmp_path: Path, *, stream: bool) -> None:
    """A status and words of ours, never half of the provider's; the hold is charged where the call may have been billed, else nothing is."""
    scripts = [_says(answer) for answer, _ in _WRONG.values()]
    async with _provider(tmp_path, *scripts) as house:
        secret = await house.customer("50.00", None)
        for name, (_, reason) in _WRONG.items():
            answer = await house.chat(secret, stream=stream)
            ended_empty = stream and name in ("empty_object", "error_in_a_200") and answer.status_code == 200
            assert not ended_empty
            assert answer.headers.get("x-farebox-reason") == reason, (name, answer.status_code, answer.content)
            assert answer.headers["x-should-retry"] == "false"
            await house.settled()
            charge = house.charges()[-1]
            if reason == "upstream_account":
                assert (charge.price, charge.outcome) == (0, "released")
            else:
                assert (charge.completeness, charge.paid) == ("unknown", house.rows("SELECT amount FROM holds ORDER BY id DESC")[0][0]), (
                    name
                )
        assert len(house.charges()) == len(_WRONG)


async def test_a_provider_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """Silence before the head: 504 after `first_byte_s_max`, charged the hold, not to be retried."""

    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    async with _provider(tmp_path, silent, limits={"first_byte_s_max": 1}) as house:
        answer = await house.chat(await house.customer())
        assert (answer.status_code, answer.headers["x-farebox-reason"]) == (504, "upstream_timeout")
        assert answer.headers["x-should-retry"] == "false"
        assert [charge.outcome for charge in house.charges()] == ["first_byte_timeout"]


async def test_a_provider_that_streams_for_ever_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte now and then keeps no call alive beyond `request_s_max`; the client is told, and the hold is charged."""
    monkeypatch.setattr(flights, "_EVERY_S", 0.02)

    async def drip(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        while not peer.writer.is_closing():
            peer.send(b"2\r\n: \r\n")
            await asyncio.sleep(0.02)

    async with _provider(tmp_path, drip, limits={"request_s_max": 1}) as house:
        answer = await house.chat(await house.customer(), stream=True)
        assert b"upstream_timeout" in answer.content
        await house.settled()
        assert [charge.outcome for charge in house.charges()] == ["request_too_long"]


async def test_an_answer_without_end_is_cut_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body beyond `answer_body_bytes_max` is not kept in memory: 502, charged the hold."""
    monkeypatch.setattr(limits, "answer_body_bytes_max", 1_000_000)

    async def flood(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        while not peer.writer.is_closing():
            peer.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
            await peer.writer.drain()

    async with _provider(tmp_path, flood) as house:
        answer = await house.chat(await house.customer())
        assert (answer.status_code, answer.headers["x-farebox-reason"]) == (502, "upstream_bad_response")


async def test_one_event_without_end_is_relayed_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event larger than its limit is not kept: it passes, unread, and all of it counts as output where it decides the price."""
    monkeypatch.setattr(limits, "stream_event_bytes_max", 100_000)
    event = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 400_000 + b'"}}]}\n\n'

    async def huge(peer: Peer) -> None:
        await peer.request()
        data = event + b"data: [DONE]\n\n"
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(data) + data)
        await peer.writer.drain()

    async with _provider(tmp_path, huge) as house:
        answer = await house.chat(await house.customer("50.00", None), stream=True, max_tokens=500_000)
        assert answer.content == event + b"data: [DONE]\n\n"
        await house.settled()
        (charge,) = house.charges()
        assert charge.completeness == "estimated"
        assert charge.tokens >= 400_000


async def test_headers_of_a_provider_cannot_break_ours(tmp_path: Path) -> None:
    """Odd ids, forged headers of ours, bytes that are no text: what reaches the client is clean, and the charge is made."""
    lines = (b"x-request-id: \xff\xfe" + b"i" * 4000, b"x-farebox-cost: 0.00", b"x-farebox-available: 9", b"set-cookie: a=b", _JSON)
    async with _provider(tmp_path, _says(_http(_BODY, *lines))) as house:
        answer = await house.chat(await house.customer())
        assert answer.status_code == 200
        assert answer.headers.get_list("x-farebox-cost") != ["0.00"]
        assert len(answer.headers.get_list("x-farebox-cost")) == len(answer.headers.get_list("x-farebox-available")) == 1
        assert "set-cookie" not in answer.headers
        assert [charge.completeness for charge in house.charges()] == ["exact"]
        assert len(house.charges()[0].upstream_request_id) <= 128


async def test_what_a_provider_reports_in_odd_ways_is_read_or_charged_by_policy(tmp_path: Path) -> None:
    """Usage of other types, in floats, nested wrongly, in the billions: never an error of ours, never a refill, never less than nothing."""
    odd: list[Any] = [
        {"prompt_tokens": "5", "completion_tokens": 1},
        {"prompt_tokens": 5.5, "completion_tokens": 1},
        {"prompt_tokens": 5, "completion_tokens": True},
        {"prompt_tokens": 5, "completion_tokens": 10**30},
        {"prompt_tokens": 10**9, "completion_tokens": 10**9},
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": -5}},
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": "none"},
        [],
        "free",
        -1,
    ]
    scripts = [_says(_http(json.dumps({**_ANSWER, "usage": usage}).encode(), _JSON)) for usage in odd]
    async with _provider(tmp_path, *scripts) as house:
        secret = await house.customer("50.00", None)
        for usage in odd:
            assert (await house.chat(secret)).status_code == 200, usage
        assert [charge.completeness for charge in house.charges()] == ["estimated"] * len(odd)
        assert all(charge.price > 0 and "_usage" in charge.flags for charge in house.charges())


@pytest.mark.parametrize(("said", "passes"), [(b"true", False), (b"false", True)])
async def test_a_provider_cannot_tell_clients_to_try_again(tmp_path: Path, said: bytes, *, passes: bool) -> None:
    """Another attempt is another hold: a client's own rules decide on it. That one must not be made is passed on (providers.md §1.7)."""
    busy = _http(b'{"error":{"message":"busy","type":"server_error"}}', _JSON, b"x-should-retry: " + said, status=b"529 Overloaded")
    async with _provider(tmp_path, _says(busy)) as house:
        answer = await house.chat(await house.customer())
        assert answer.status_code == 529
        assert ("x-should-retry" in answer.headers) is passes


_FINAL = {
    "openai": (
        b'data: {"id":"c","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
        b'data: {"id":"c","model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        b'data: {"id":"c","model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":900,"total_tokens":907}}\n\n'
    ),
    "anthropic": (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"claude-sonnet-5-5","content":[],'
        b'"usage":{"input_tokens":7,"output_tokens":1}}}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":900}}\n\n'
    ),
}
"""Streams up to and with their final report, but without the event that ends them."""


def _breaks_after(said: bytes) -> Script:
    """A stream that says this, and is cut."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        peer.send(b"%x\r\n%b\r\n" % (len(said), said))
        await peer.writer.drain()
        peer.writer.close()

    return script


async def _streamed(house: House, dialect: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {await house.customer('50.00', None)}", "anthropic-version": "2023-06-01"}
    body = body_of(dialect, "hi", stream=True, max_tokens=4000)
    return await house.http.post(f"{house.url}{PATHS[dialect]}", headers=headers, content=body)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_a_final_report_counts_though_the_stream_breaks_after_it(tmp_path: Path, dialect: str) -> None:
    """The provider has said what it bills; the client is told that the end is missing, and is charged that, not a guess."""
    async with _provider(tmp_path, _breaks_after(_FINAL[dialect])) as house:
        answer = await _streamed(house, dialect)
        assert b"error" in answer.content
        await house.settled()
        (charge,) = house.charges()
        assert (charge.outcome, charge.completeness) == ("cut_short", "exact")
        assert json.loads(charge.usage)["units"] == {"in_text_uncached": 7, "out_text": 900}


_SO_FAR = {
    "openai_before_the_end": (
        b'data: {"id":"c","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}],'
        b'"usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8}}\n\n'
        b'data: {"id":"c","model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    ),
    "openai_output_after_it": (
        b'data: {"id":"c","model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8}}\n\n'
        b'data: {"id":"c","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n'
    ),
    "anthropic_before_the_end": (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"claude-sonnet-5-5","content":[],'
        b'"usage":{"input_tokens":7,"output_tokens":1}}}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","delta":{},"usage":{"output_tokens":5}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n'
    ),
}
"""Streams with a count so far, 2,000 bytes of output, and a finish, then nothing."""


@pytest.mark.parametrize("name", list(_SO_FAR))
async def test_a_count_so_far_is_no_report(tmp_path: Path, name: str) -> None:
    """Some hosts count in every piece. When the stream breaks, what was delivered is more than what such a count says."""
    dialect = name.partition("_")[0]
    async with _provider(tmp_path, _breaks_after(_SO_FAR[name] % (b"x" * 2000))) as house:
        await _streamed(house, dialect)
        await house.settled()
        (charge,) = house.charges()
        assert charge.completeness == ("estimated" if dialect == "openai" else "unknown")
        assert dialect != "openai" or json.loads(charge.usage)["units"]["out_text"] == 2000


async def test_an_answer_of_no_known_status_is_a_bad_one(tmp_path: Path) -> None:
    """HTTP knows none from 600 on: it cannot be passed on, and what it means for the bill is not known."""
    async with _provider(tmp_path, _says(_http(_BODY, _JSON, status=b"777 Odd"))) as house:
        answer = await house.chat(await house.customer())
        assert (answer.status_code, answer.headers["x-farebox-reason"]) == (502, "upstream_bad_response")
