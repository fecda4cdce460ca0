"""Bad input from callers: every one is told clearly in the caller's words, moves nothing, and the gateway serves on."""

import asyncio
import gc
import json
import tracemalloc
from pathlib import Path

import pytest

from e2e.wire import PATHS, answered, body_of, dial, request
from farebox import limits
from farebox.gateway import flights
from support.house import House, open_house, until

DIALECTS = ("openai", "anthropic")
_MESSAGES = '"messages":[{"role":"user","content":"hi"}]'


def _model(dialect: str) -> str:
    return '"model":"gpt-4o-mini"' if dialect == "openai" else '"model":"claude-sonnet-5-5","max_tokens":64'


def _with(dialect: str, extra: str) -> bytes:
    return f"{{{_model(dialect)},{_MESSAGES},{extra}}}".encode()


def _bodies(dialect: str) -> dict[str, tuple[bytes, str]]:
    """Bodies that no call can be made of, each with the reason it is refused for."""
    model, cap = _model(dialect), "max_completion_tokens" if dialect == "openai" else "max_tokens"
    unnamed = '"model":"gpt-4o-mini"' if dialect == "openai" else '"model":"claude-sonnet-5-5"'
    only = f"{unnamed},{_MESSAGES}"
    common: dict[str, tuple[bytes, str]] = {
        "nothing": (b"", "invalid_request"),
        "broken": (b"{", "invalid_request"),
        "not_an_object": (b"[]", "invalid_request"),
        "null": (b"null", "invalid_request"),
        "text_after": (_with(dialect, '"user":"a"') + b"x", "invalid_request"),
        "two_objects": (_with(dialect, '"user":"a"') * 2, "invalid_request"),
        "not_utf8": (_with(dialect, '"user":"a"').replace(b"hi", b"\xff\xfe"), "invalid_request"),
        "utf16": (_with(dialect, '"user":"a"').decode().encode("utf-16"), "invalid_request"),
        "nan": (_with(dialect, '"temperature":NaN'), "invalid_request"),
        "huge_number": (_with(dialect, f'"seed":{"9" * 6000}'), "invalid_request"),
        "no_model": (f"{{{_MESSAGES}}}".encode(), "invalid_request"),
        "model_of_another_type": (f'{{"model":7,{_MESSAGES},"max_tokens":9}}'.encode(), "invalid_request"),
        "model_empty": (f'{{"model":"",{_MESSAGES},"max_tokens":9}}'.encode(), "invalid_request"),
        "model_with_newline": (f'{{"model":"a\\nb",{_MESSAGES},"max_tokens":9}}'.encode(), "invalid_request"),
        "model_too_long": (f'{{"model":"{"m" * 300}",{_MESSAGES},"max_tokens":9}}'.encode(), "invalid_request"),
        "model_unknown": (f'{{"model":"gpt-0",{_MESSAGES},"max_tokens":9}}'.encode(), "model_not_priced"),
        "provider_unknown": (f'{{"model":"nobody/gpt-0",{_MESSAGES},"max_tokens":9}}'.encode(), "model_not_found"),
        "no_messages": (f"{{{model}}}".encode(), "invalid_request"),
        "messages_of_another_type": (f'{{{model},"messages":"hi"}}'.encode(), "invalid_request"),
        "messages_empty": (f'{{{model},"messages":[]}}'.encode(), "invalid_request"),
        "message_of_another_type": (f'{{{model},"messages":["hi"]}}'.encode(), "invalid_request"),
        "cap_negative": (f'{{{only},"{cap}":-1}}'.encode(), "invalid_request"),
        "cap_huge": (f'{{{only},"{cap}":{10**18}}}'.encode(), "invalid_request"),
        "cap_a_fraction": (f'{{{only},"{cap}":5.5}}'.encode(), "invalid_request"),
        "cap_an_exponent": (f'{{{only},"{cap}":1e3}}'.encode(), "invalid_request"),
        "cap_true": (f'{{{only},"{cap}":true}}'.encode(), "invalid_request"),
        "cap_text": (f'{{{only},"{cap}":"5"}}'.encode(), "invalid_request"),
        "cap_twice": (f'{{{only},"{cap}":5,"{cap}":50000}}'.encode(), "ambiguous_body"),
        "cap_escaped_twice": (f'{{{only},"{cap}":5,"\\u006d{cap[1:]}":50000}}'.encode(), "ambiguous_body"),
        "cap_in_capitals": (f'{{{only},"max_tokens":5,"Max_Tokens":50000}}'.encode(), "ambiguous_body"),
        "cap_in_camel": (f'{{{only},"max_tokens":5,"maxTokens":50000}}'.encode(), "ambiguous_body"),
        "cap_of_another_api": (f'{{{only},"max_tokens":5,"max_output_tokens":50000}}'.encode(), "cost_unbounded"),
        "config_of_another_api": (f'{{{only},"max_tokens":5,"generation_config":{{"max_output_tokens":9}}}}'.encode(), "cost_unbounded"),
        "name_twice_inside": (f'{{{model},"messages":[{{"role":"user","content":"a","content":"b"}}]}}'.encode(), "ambiguous_body"),
        "stream_text": (_with(dialect, '"stream":"yes"'), "invalid_request"),
        "tier_unknown": (_with(dialect, '"service_tier":"imaginary"'), "cost_unbounded"),
        "deep": (_with(dialect, '"metadata":' + "[" * 5000 + "]" * 5000), "invalid_request"),
        "a_little_too_deep": (_with(dialect, '"metadata":' + "[" * 200 + "]" * 200), "invalid_request"),
        "too_many_values": (_with(dialect, '"metadata":[' + "0," * 600_000 + "0]"), "too_large"),
        "media": (
            f'{{{model},"messages":[{{"role":"user","content":[{{"type":"video","video":{{"url":"http://x"}}}}]}}]}}'.encode(),
            "cost_unbounded",
        ),
    }
    if dialect == "openai":
        common |= {
            "cap_zero": (f'{{{only},"{cap}":0}}'.encode(), "invalid_request"),
            "both_caps": (f'{{{only},"max_tokens":5,"{cap}":5}}'.encode(), "invalid_request"),
            "n_zero": (_with(dialect, '"n":0'), "invalid_request"),
            "n_negative": (_with(dialect, '"n":-3'), "invalid_request"),
            "n_huge": (_with(dialect, '"n":100000'), "invalid_request"),
            "n_a_fraction": (_with(dialect, '"n":1.5'), "invalid_request"),
            "options_of_another_type": (_with(dialect, '"stream":true,"stream_options":[]'), "invalid_request"),
            "audio": (_with(dialect, '"modalities":["audio"]'), "cost_unbounded"),
            "best_of": (_with(dialect, '"best_of":20'), "cost_unbounded"),
            "tool_of_the_provider": (_with(dialect, '"tools":[{"type":"web_search"}]'), "cost_unbounded"),
        }
    else:
        common |= {
            "no_cap": (f"{{{only}}}".encode(), "invalid_request"),
            "payer": (_with(dialect, '"billing_policy":"x"'), "cost_unbounded"),
            "servers": (_with(dialect, '"mcp_servers":[{"url":"http://x"}]'), "cost_unbounded"),
            "tool_of_the_provider": (_with(dialect, '"tools":[{"type":"code_execution_20990101","name":"c"}]'), "cost_unbounded"),
        }
    return common


def _said(dialect: str, status: int, headers: dict[str, str], body: bytes) -> str:
    """The reason, where everything else about the refusal is right."""
    error = json.loads(body)["error"]
    assert error["farebox"]["reason"] == headers["x-farebox-reason"]
    assert error["message"]
    assert ("param" in error) if dialect == "openai" else (json.loads(body)["type"] == "error"), "not in the caller's dialect"
    assert 400 <= status < 500
    return headers["x-farebox-reason"]


async def _serves(house: House, secret: str) -> None:
    assert (await house.chat(secret)).status_code == 200
    await house.agree()


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_bodies_that_are_no_request_are_refused_before_the_hold(house: House, dialect: str) -> None:
    """Each for its own reason, in the dialect's words, on one connection that stays usable; nothing moves."""
    secret = await house.customer("50.00", None)
    before = house.books()
    wire = await dial(house)
    for name, (body, reason) in _bodies(dialect).items():
        wire.seen = b""
        wire.send(request(secret, body, path=PATHS[dialect]))
        status, headers, said = await answered(wire)
        assert _said(dialect, status, headers, said) == reason, (name, said)
        if headers.get("connection") == "close":
            wire = await dial(house)
    assert house.books() == before
    assert await house.sim_calls() == []
    await _serves(house, secret)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_body_beyond_the_limit_is_refused_at_once(tmp_path: Path, dialect: str) -> None:
    """By its announced length before a byte of it was read, and without one as soon as it is too much."""
    async with open_house(tmp_path, {"limits": {"request_body_bytes_max": 100_000}}) as house:
        secret = await house.customer()
        announced = await dial(house)
        announced.send(request(secret, b"{", "content-length: 99999999999", path=PATHS[dialect]))
        status, headers, said = await answered(announced)
        assert (status, _said(dialect, status, headers, said)) == (413, "too_large")
        assert headers["connection"] == "close"
        chunked = await dial(house)
        chunked.send(request(secret, b"", "transfer-encoding: chunked", path=PATHS[dialect]))
        for _ in range(40):
            chunked.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        status, headers, said = await answered(chunked)
        assert (status, _said(dialect, status, headers, said)) == (413, "too_large")
        assert house.books()["holds"] == 0
        await _serves(house, secret)


_KEYS: dict[str, list[str]] = {
    "none": [],
    "empty": ["authorization: Bearer "],
    "not_bearer": ["authorization: Basic YTpi"],
    "no_scheme": ["authorization: {secret}"],
    "unknown": ["authorization: Bearer fbx_nobody"],
    "two_that_differ": ["authorization: Bearer {secret}", "x-api-key: fbx_nobody"],
    "one_header_twice": ["authorization: Bearer {secret}", "authorization: Bearer fbx_nobody"],
    "too_long": ["authorization: Bearer " + "k" * 5000],
    "not_ascii": ["authorization: Bearer caf\u00e9"],
    "with_a_space": ["authorization: Bearer {secret} {secret}"],
    "in_the_query": [],
    "the_providers": ["authorization: Bearer sk-upstream"],
    "its_hash": ["authorization: Bearer {hash}"],
    "wildcard": ["authorization: Bearer %"],
}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_keys_of_every_wrong_kind_are_refused_before_the_body_is_read(house: House, dialect: str) -> None:
    """401 without a word of what was sent, although the body never comes."""
    secret = await house.customer()
    ((key_hash,),) = house.rows("SELECT hash FROM keys")
    for name, lines in _KEYS.items():
        path = PATHS[dialect] + (f"?key={secret}&api_key={secret}" if name == "in_the_query" else "")
        head = [line.format(secret=secret, hash=key_hash) for line in lines]
        async with await dial(house) as wire:
            sent = "\r\n".join([f"POST {path} HTTP/1.1", "host: x", "content-length: 500", *head]).encode("latin-1") + b"\r\n\r\n"
            wire.send(sent)
            status, headers, said = await answered(wire)
        assert (status, _said(dialect, status, headers, said)) == (401, "invalid_key"), name
        assert headers["www-authenticate"] == "Bearer"
        assert secret.encode() not in said
        assert b"fbx_nobody" not in said
    assert house.books()["holds"] == 0
    await _serves(house, secret)


async def test_one_key_under_several_headers_is_one_key(house: House) -> None:
    """SDKs that send both are served."""
    secret = await house.customer()
    assert (await house.chat(secret, headers={"x-api-key": secret})).status_code == 200


_PATHS = {
    "/v1/../v1/chat/completions": 404,
    "/v1/chat/completions/": 404,
    "//v1/chat/completions": 404,
    "/v1/chat%2fcompletions": 404,
    "/v1/%63hat/completions": 404,
    "/v1/chat/completions%00": 404,
    "/v1/chat/completions;x=y": 404,
    "/V1/Chat/Completions": 404,
    "/v1/chat/completions/../../admin": 404,
    "/openai/v1/../../api/v1/keys": 404,
    "/v1/embeddings/": 404,
    "/v1/batches": 404,
    "/v1/files": 404,
    "/v1/realtime/client_secrets": 404,
    "/v1/models/../keys": 404,
    "/v1/models/a%2f..%2fb": 404,
    "/api/v1/keys": 404,
    "/" + "x" * 8000: 404,
}


async def test_paths_are_taken_literally(house: House) -> None:
    """Nothing is decoded, collapsed or folded: what is not a route, letter for letter, does not exist."""
    secret = await house.customer()
    for path, status in _PATHS.items():
        async with await dial(house) as wire:
            wire.send(request(secret, body_of("openai", "hi"), path=path))
            got, headers, said = await answered(wire)
        assert (got, headers["x-farebox-reason"]) == (status, "route_not_found"), path
        assert len(said) < 2000
    assert house.books()["holds"] == 0
    assert await house.sim_calls() == []
    await _serves(house, secret)


async def test_other_methods_are_refused(house: House) -> None:
    """405 with what the route takes."""
    headers = {"authorization": f"Bearer {await house.customer()}"}
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND"):
        answer = await house.http.request(method, f"{house.url}/v1/chat/completions", headers=headers)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), method
        assert answer.headers["x-farebox-reason"] == "method_not_allowed"


_UNREADABLE: dict[str, bytes] = {
    "not_http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "http_2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "connect": b"CONNECT api.openai.com:443 HTTP/1.1\r\nhost: x\r\n\r\n",
    "two_lengths": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "length_and_chunks": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "length_negative": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
    "length_text": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: five\r\n\r\n",
    "length_beyond_64_bits": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    "bare_newline_in_a_header": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-farebox-tags: a=b\nx-farebox-user: c\x00\r\n\r\n",
    "header_without_a_name": b"POST /v1/chat/completions HTTP/1.1\r\n: x\r\n\r\n",
    "space_before_the_colon": b"POST /v1/chat/completions HTTP/1.1\r\nhost : x\r\n\r\n",
    "too_many_headers": b"POST /v1/chat/completions HTTP/1.1\r\n" + b"".join(b"x-%d: y\r\n" % index for index in range(200)) + b"\r\n",
    "too_large_a_head": b"POST /v1/chat/completions HTTP/1.1\r\nx-a: " + b"y" * 600_000,
    "too_long_a_path": b"POST /" + b"y" * 600_000,
}


async def test_what_is_not_http_is_refused_and_dropped(house: House) -> None:
    """400 and a closed connection: where two readers could differ about where a request ends, nothing is read any further."""
    secret = await house.customer()
    for name, sent in _UNREADABLE.items():
        wire = await dial(house)
        wire.send(sent)
        seen = await wire.rest()
        assert seen.startswith(b"HTTP/1.1 400 ") or seen == b"", name
    assert house.books()["holds"] == 0
    await _serves(house, secret)


async def test_control_characters_cannot_be_smuggled_into_tags(house: House) -> None:
    """Refused by the parser or by name; nothing of it is on record."""
    secret = await house.customer()
    for line in ("x-farebox-tags: a=b\r\n c=d", "x-farebox-tags: a=b\rx-farebox-user: evil", "x-farebox-tags: a=b\x01"):
        wire = await dial(house)
        wire.send(request(secret, body_of("openai", "hi"), line, "connection: close"))
        assert (await wire.rest()).startswith(b"HTTP/1.1 400 "), line
    assert house.books()["holds"] == 0


async def test_many_and_large_headers_within_the_limit_are_no_matter(house: House) -> None:
    """They are not forwarded and not kept."""
    secret = await house.customer()
    answer = await house.chat(secret, headers={f"x-custom-{index}": "v" * 500 for index in range(60)})
    assert answer.status_code == 200


async def test_a_client_that_does_not_finish_its_head_is_dropped(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it dawdles, or says nothing at all."""
    monkeypatch.setattr(limits, "request_head_s_max", 0.1)
    silent, slow = await dial(house), await dial(house)
    slow.send(b"POST /v1/chat/completions HTTP/1.1\r\nauthoriz")
    assert await silent.rest() == b""
    assert await slow.rest() == b""
    assert house.connections() == 0


async def test_a_client_that_does_not_finish_its_body_is_told_and_dropped(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """400 after a while, without a hold; the connection is closed, for the rest of the body may come at any time."""
    monkeypatch.setattr(limits, "request_body_s_max", 0.1)
    monkeypatch.setattr(flights, "_EVERY_S", 0.02)
    secret = await house.customer()
    wire = await dial(house)
    wire.send(request(secret, b'{"model":', "content-length: 500"))
    seen = await wire.rest()
    assert seen.startswith(b"HTTP/1.1 400 ")
    assert b"did not arrive within" in seen
    assert house.connections() == 0
    assert house.books()["holds"] == 0


async def test_a_refused_client_cannot_keep_its_connection_by_dribbling(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told 401 before its body was read, it may send the rest, but not for ever."""
    monkeypatch.setattr(limits, "request_body_s_max", 0.2)
    wire = await dial(house)
    wire.send(request("fbx_nobody", b"{", "content-length: 500000"))
    assert (await answered(wire))[0] == 401
    while house.connections():
        wire.send(b" ")
        await asyncio.sleep(0.01)


async def test_a_client_that_leaves_before_its_body_is_whole_costs_nothing(house: House) -> None:
    """Half of a request is none."""
    secret = await house.customer()
    wire = await dial(house)
    wire.send(request(secret, b'{"model":', "content-length: 500"))
    await until(lambda: len(house.running.flights))
    wire.leave()
    await house.settled()
    assert house.books()["holds"] == 0
    await _serves(house, secret)


async def test_a_half_closed_client_is_one_that_left(house: House) -> None:
    """It said that it will send no more: the call is made and charged exactly once all the same."""
    secret = await house.customer()
    await house.chat(secret)  # its key is known from here on: who leaves while it is looked up has asked for nothing yet
    wire = await dial(house)
    await wire.ask(secret, "hi sim:output=20 sim:pace=5", stream=True)
    wire.writer.write_eof()
    await wire.rest()
    await until(lambda: len(house.charges()) > 1)
    assert [charge.completeness for charge in await house.agree()] == ["exact"] * 2


async def test_requests_on_one_connection_are_answered_in_order(house: House) -> None:
    """Sent at once without waiting for answers: each is a call of its own."""
    secret = await house.customer()
    wire = await dial(house)
    wire.send(b"".join(request(secret, body_of("openai", f"hi sim:output={index} sim:delay={60 - index * 20}")) for index in (1, 2, 3)))
    seen = b""
    while seen.count(b'"completion_tokens":') < 3:
        seen += await wire.reader.read(65536)
    counts = [int(part.split(b",")[0]) for part in seen.split(b'"completion_tokens":')[1:]]
    assert counts == [1, 2, 3]
    await house.agree()


async def test_nothing_of_a_refused_request_is_kept(house: House) -> None:
    """However many of them come, and however long the names in them are: anybody with a key could fill the memory."""
    secret = await house.customer()
    tracemalloc.start()
    try:
        for number in range(12):
            assert await _refused(house, secret, f'{{"model":"{number}{"m" * 2**20}",{_MESSAGES}}}'.encode()) == "invalid_request"
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 4 * 2**20


async def _refused(house: House, secret: str, body: bytes) -> str:
    answer = await house.http.post(f"{house.url}/v1/chat/completions", headers={"authorization": f"Bearer {secret}"}, content=body)
    return answer.headers["x-farebox-reason"]
