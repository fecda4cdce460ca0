"""What a second reader with fresh eyes found in the dialects' money: each was possible once."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from farebox import limits
from farebox.dialects import DIALECTS
from farebox.dialects.counting import how
from farebox.dialects.routes import match
from farebox.money import format_usd, parse_usd
from support.house import House, open_house, until
from upstream.scripted import Peer, serving

USAGE = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def answer(body: Any) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data)


def response(status: str, usage: object = None) -> bytes:
    about = {"id": "resp_1", "object": "response", "status": status, "model": "gpt-4o-mini", "output": [], "usage": usage}
    return answer(about)


async def post(house: House, secret: str, path: str, body: Any, **headers: str) -> httpx.Response:
    return await house.http.post(house.url + path, headers={"authorization": f"Bearer {secret}", **headers}, json=body)


def hold_of(house: House, charge: Any) -> int:
    return int(house.rows("SELECT amount FROM holds WHERE id = ?", charge.hold_id)[0][0])


# --- what an answer may hide -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["claude-3-5-haiku-latest", "anthropic/claude-3-5-haiku-latest", "finder"])
async def test_what_a_request_hides_stays_hidden_whatever_its_model_is_called(tmp_path: Path, model: str) -> None:
    """It searches, and the report is lost: the hold. The same model's longer name, or an alias, said that all was visible."""
    aliases = {"models": {"finder": {"route": ["anthropic/claude-3-5-haiku-latest"]}}}
    async with open_house(tmp_path, aliases) as house:
        secret = await house.customer()
        tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}]
        await house.messages(secret, "sim:usage=missing sim:output=30", model=model, max_tokens=2048, tools=tools)
        (charge,) = house.charges()
        assert (charge.completeness, charge.price) == ("unknown", hold_of(house, charge))


@pytest.mark.parametrize("model", ["claude-3-5-haiku-latest", "plain"])
async def test_an_alias_of_a_model_that_shows_all_is_charged_what_was_seen(tmp_path: Path, model: str) -> None:
    """A lost report of a model that cannot think unseen costs what was delivered, not the worst case: also under an operator's own name."""
    aliases = {"models": {"plain": {"route": ["anthropic/claude-3-5-haiku-latest"]}}}
    async with open_house(tmp_path, aliases) as house:
        secret = await house.customer()
        await house.messages(secret, "sim:usage=missing sim:output=30", model=model, max_tokens=4096)
        (charge,) = house.charges()
        assert charge.completeness == "estimated"
        assert charge.price < hold_of(house, charge)


async def test_a_cancelled_response_without_usage_is_charged_its_hold(tmp_path: Path) -> None:
    """What was written before the cancel is nowhere in the answer: nobody can say that it was nothing."""

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            peer.send(response("cancelled" if b"/cancel" in request else "queued"))

    async with serving(script) as provider, open_house(tmp_path, sim_url=f"http://127.0.0.1:{provider.origin.port}") as house:
        secret = await house.customer()
        asked = {"model": "gpt-4o-mini", "input": "hi", "background": True, "max_output_tokens": 400}
        assert (await post(house, secret, "/v1/responses", asked)).status_code == 200
        assert (await post(house, secret, "/v1/responses/resp_1/cancel", {})).json()["status"] == "cancelled"
        (charge,) = house.charges()
        assert (charge.completeness, charge.price) == ("unknown", hold_of(house, charge))


async def test_a_response_that_one_key_does_not_know_is_asked_for_with_the_others(tmp_path: Path) -> None:
    """Each may be another project's, and only one of them made it: its customer is charged what it cost, not the hold; and can read it."""
    asked: list[bytes] = []

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            made = b"bearer sk-a" in request.lower()
            asked.append(request.partition(b" ")[0] + (b" a" if made else b" b"))
            known = response("queued" if request.startswith(b"POST") else "completed", USAGE)
            peer.send(known if made else b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}")

    async with serving(script) as provider:
        url = f"http://127.0.0.1:{provider.origin.port}"
        keys = {"api_key": "sk-a", "api_keys": ["sk-b"], "base_url": url}
        async with open_house(tmp_path, {"providers": {"openai": keys}}, sim_url=url) as house:
            secret = await house.customer()
            body = {"model": "gpt-4o-mini", "input": "hi", "background": True, "max_output_tokens": 400}
            assert (await post(house, secret, "/v1/responses", body)).status_code == 200
            await house.running.batcher.write("hasten_background", [("openai", "resp_1", 0)])
            await until(house.charges)
            (charge,) = house.charges()
            assert (charge.completeness, charge.tokens, charge.outcome) == ("exact", 30, "answered")
            for _ in range(2):
                shown = await house.http.get(f"{house.url}/v1/responses/resp_1", headers={"authorization": f"Bearer {secret}"})
                assert shown.json()["status"] == "completed"
    assert asked[:3] == [b"POST a", b"GET b", b"GET a"]


# --- bounds --------------------------------------------------------------------------------------------------------------------------


async def test_going_on_at_another_model_is_not_bounded_by_what_the_first_one_counted(house: House) -> None:
    """One model takes a picture for some hundreds of tokens, another the same one for tens of thousands."""
    secret = await house.customer("50.00", None)
    image = {"role": "user", "content": [{"type": "input_image", "image_url": PIXEL, "detail": "high"}]}
    first = await post(house, secret, "/v1/responses", {"model": "gpt-4o", "input": [image], "max_output_tokens": 16})
    assert first.status_code == 200, first.text
    holds = {}
    for model in ("gpt-4o", "openai/gpt-4o", "gpt-4o-mini"):
        asked = {"model": model, "input": "go on", "max_output_tokens": 16, "previous_response_id": first.json()["id"]}
        dry = await post(house, secret, "/v1/responses", asked, **{"x-farebox-dry-run": "1"})
        holds[model] = dry.json()["input_tokens_max"]
    assert max(holds["gpt-4o"], holds["openai/gpt-4o"]) < 2_000
    assert holds["gpt-4o-mini"] >= 100_000


@pytest.mark.parametrize("kind", ["reasoning", "web_search_call"])
async def test_an_item_that_the_provider_recalls_by_its_id_is_not_bounded_by_its_bytes(house: House, kind: str) -> None:
    """What was thought is kept by the provider: some bytes of a name may bring all of it into the prompt. Encrypted it is there, and counts; what was
    found is never there, whatever else is.
    """
    secret = await house.customer("50.00", None)
    bounds = {}
    for how_much, more in {"named": {"id": "rs_1"}, "whole": {"id": "rs_1", "encrypted_content": "x" * 900}}.items():
        item = {"type": kind, "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}], **more}
        asked = {"model": "gpt-5-mini", "input": [item, {"role": "user", "content": "go on"}], "max_output_tokens": 16}
        dry = await post(house, secret, "/v1/responses", asked, **{"x-farebox-dry-run": "1"})
        bounds[how_much] = dry.json()["input_tokens_max"]
    assert bounds["named"] >= 200_000
    assert 900 < bounds["whole"] < 3_000 or (kind == "web_search_call" and bounds["whole"] == bounds["named"])


async def test_what_is_recalled_is_counted_by_the_provider_before_it_is_refused(house: House) -> None:
    """The whole context window does not fit into a small wallet; what the provider counts does."""
    secret = await house.customer("0.04", None)
    given = [{"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}}, {"role": "user", "content": "go on"}]
    answered = await post(house, secret, "/v1/responses", {"model": "gpt-5-mini", "input": given, "max_output_tokens": 16})
    assert answered.status_code == 200, answered.text
    (charge,) = await house.agree()
    assert "input_counted" in charge.flags.split(",")


def test_a_count_of_a_prompt_counts_what_goes_with_it() -> None:
    """The text that is to follow is read by the model as well."""
    route = match("POST", "/v1/completions", [])
    counts = []
    for suffix in ("", "b7 " * 4_000):
        body = json.dumps({"model": "gpt-3.5-turbo-instruct", "prompt": "hi", "suffix": suffix}).encode()
        ask = DIALECTS["openai"].ask(route, body, {})
        counting = how(ask)
        assert counting is not None
        counts.append(counting.here(ask, body, ask.model) or 0)
    assert counts[1] - counts[0] >= 8_000


async def test_a_deployment_is_counted_as_the_model_behind_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its name is: it may be that of a model with another tokenizer."""
    seen: list[str] = []

    def counted(model: str, *_: Any, **__: Any) -> int:
        seen.append(model)
        return 5

    monkeypatch.setattr("farebox.dialects.counting.openai.request_tokens", counted)
    deployed = {"deployments": {"gpt-4o": "gpt-4"}, "api_key": "sk-upstream", "base_url": "http://127.0.0.1:9"}
    own = {"dialect": "openai", "prices": "my", "api_key": "sk-upstream", "base_url": "http://127.0.0.1:9"}
    async with open_house(tmp_path, {"providers": {"azure": deployed, "my": own}}) as house:
        text = "hello " * 4000
        rich = await house.customer("900.00", None)
        dry = await house.chat(rich, text, {"x-farebox-dry-run": "1"}, model="azure/gpt-4o", max_completion_tokens=16)
        worst = parse_usd(dry.json()["worst_case_usd"])
        poor = await house.customer(format_usd(worst * 7 // 10), None)
        await house.chat(poor, text, model="azure/gpt-4o", max_completion_tokens=16)
    assert seen == ["gpt-4"]


async def test_a_count_that_nobody_waits_for_still_counts_as_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread cannot be broken off: a caller whose counts take too long has one of them at work, not one for each request."""
    go, running = threading.Event(), []

    def slow(*_: Any, **__: Any) -> int:
        running.append(1)
        go.wait(20)
        return 5

    monkeypatch.setattr("farebox.dialects.counting.openai.request_tokens", slow)
    monkeypatch.setattr(limits, "count_s_max", 0.01)
    text = "hello " * 2000
    rich = await house.customer("900.00", None)
    dry = await house.chat(rich, text, {"x-farebox-dry-run": "1"}, max_completion_tokens=16)
    poor = await house.customer(format_usd(parse_usd(dry.json()["worst_case_usd"]) * 7 // 10), None)
    try:
        for _ in range(4):
            assert (await house.chat(poor, text, max_completion_tokens=16)).status_code == 402
        assert len(running) == 1
    finally:
        go.set()
    monkeypatch.setattr(limits, "count_s_max", 20)
    async with asyncio.timeout(20):
        while (await house.chat(poor, text, max_completion_tokens=16)).status_code != 200:
            await until(lambda: True)


# --- what goes to a provider ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        "application/json; charset=utf-7",
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/json",
        "APPLICATION/JSON; charset=utf-16",
    ],
)
async def test_a_body_goes_upstream_as_what_it_was_read_as(tmp_path: Path, said: str) -> None:
    """`+ACI-` is text here and a quotation mark in UTF-7; `&max_tokens=9999&` is text here and a field of a form."""
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            heads.append(request.partition(b"\r\n\r\n")[0].lower())
            peer.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}")

    body = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"&max_tokens=9999&+ACIAfQBd-"}]}'
    async with serving(script) as provider, open_house(tmp_path, sim_url=f"http://127.0.0.1:{provider.origin.port}") as house:
        headers = {"authorization": f"Bearer {await house.customer()}", "content-type": said}
        await house.http.post(f"{house.url}/v1/chat/completions", headers=headers, content=body)
    (head,) = heads
    assert [line for line in head.split(b"\r\n") if line.startswith(b"content-type")] == [b"content-type: application/json"]


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/responses/input_tokens"])
async def test_what_one_provider_does_for_nothing_is_not_asked_of_another(tmp_path: Path, path: str) -> None:
    """Mistral sells moderation by the token: passed on as free, the operator would pay for it and nobody be charged."""
    asked: list[bytes] = []

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            asked.append(request)
            peer.send(answer({}))

    async with serving(script) as provider:
        url = f"http://127.0.0.1:{provider.origin.port}"
        async with open_house(tmp_path, {"providers": {"mistral": {"api_key": "sk-upstream", "base_url": url}}}, sim_url=url) as house:
            secret = await house.customer()
            refused = await post(house, secret, path, {"model": "mistral/mistral-moderation-2411", "input": "hi"})
            assert (refused.status_code, refused.headers["x-farebox-reason"]) == (404, "route_not_found")
            assert not asked
            assert (await post(house, secret, path, {"input": "hi", "model": "omni-moderation-latest"})).status_code == 200
    assert len(asked) == 1
