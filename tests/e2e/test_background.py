"""Responses in the background: the hold stays open until the provider has answered, whoever asks it, and ends in one charge."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from e2e.wire import dial, request
from farebox import limits, metrics, sim
from farebox.ledger.commands import Authorize, Capture, Command
from store.disk import FailingDisk
from support.house import House, open_house, until
from upstream.scripted import Peer, serving

LATER_MS = 3_600_000


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Providers are asked again at once."""
    monkeypatch.setattr(limits, "background_poll_pause_ms_min", 5)
    monkeypatch.setattr(limits, "background_poll_pause_ms_max", 20)


@pytest.fixture
def nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its own, the gateway asks in an hour."""
    monkeypatch.setattr(limits, "background_poll_pause_ms_min", LATER_MS)
    monkeypatch.setattr(limits, "background_poll_pause_ms_max", LATER_MS)


def bearer(secret: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}", **more}


async def ask(house: House, secret: str, text: str = "hi", headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    """A response in the background."""
    asked = {"model": "gpt-4o-mini", "input": text, "background": True, "max_output_tokens": 400, **body}
    return await house.http.post(f"{house.url}/v1/responses", headers=bearer(secret, **(headers or {})), json=asked)


async def begun(house: House, secret: str, text: str = "hi", **body: Any) -> str:
    answer = await ask(house, secret, text, **body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "queued"
    return str(answer.json()["id"])


async def look(house: House, secret: str, name: str, more: str = "", method: str = "GET") -> httpx.Response:
    return await house.http.request(method, f"{house.url}/v1/responses/{name}{more}", headers=bearer(secret))


async def over(house: House) -> None:
    await until(lambda: not house.rows("SELECT 1 FROM background"))


def waiting(house: House) -> list[Any]:
    return [row[0] for row in house.rows("SELECT response_id FROM background")]


# --- who settles it ------------------------------------------------------------------------------------------------------------------


async def test_the_poller_charges_what_the_provider_billed(house: House) -> None:
    """Nothing is charged with the first answer, and all of it with the last: to the nano-dollar, once."""
    secret = await house.customer()
    answer = await ask(house, secret, "sim:polls=3 sim:output=120")
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    assert "x-farebox-hold" in answer.headers
    assert "x-farebox-cost" not in answer.headers
    await over(house)
    (charge,) = await house.agree_with(1)
    assert (charge.completeness, charge.outcome, charge.status, charge.route) == ("exact", "answered", 200, "responses")
    assert charge.upstream_request_id == answer.headers["x-upstream-request-id"]
    (facts,) = house.rows("SELECT facts FROM objects WHERE kind = 'response'")
    assert json.loads(facts[0]) == {"model": "gpt-4o-mini", "total_tokens": charge.tokens}


@pytest.mark.usefixtures("nobody_asks")
async def test_a_client_that_sees_the_end_was_charged_before(house: House) -> None:
    """What it is shown until then settles nothing."""
    secret = await house.customer()
    name = await begun(house, secret, "sim:polls=2 sim:output=30")
    for _ in range(2):
        assert (await look(house, secret, name)).json()["status"] == "in_progress"
        assert not house.charges()
    assert (await look(house, secret, name)).json()["status"] == "completed"
    assert [charge.completeness for charge in house.charges()] == ["exact"]
    assert (await look(house, secret, name)).json()["status"] == "completed"
    await house.agree_with(1)


@pytest.mark.parametrize("text", ["sim:polls=6 sim:output=90", "sim:polls=6 sim:output=90 sim:reasoning=40"])
async def test_poller_clients_and_a_cancel_at_once_make_one_charge(house: House, text: str) -> None:
    """Twenty of them: whoever learns first what it came to settles it, the others change nothing and see the same."""
    secret = await house.customer()
    name = await begun(house, secret, text)
    looks = [look(house, secret, name) for _ in range(18)]
    cancels = [look(house, secret, name, "/cancel", "POST") for _ in range(2)]
    answers = await asyncio.gather(*looks, *cancels)
    assert {answer.status_code for answer in answers} == {200}
    await over(house)
    (charge,) = await house.agree_with(1)
    assert charge.price
    assert not house.rows("SELECT 1 FROM holds WHERE state = 'open'")


@pytest.mark.usefixtures("nobody_asks")
async def test_a_cancelled_one_is_charged_what_the_provider_bills_for_it(house: House) -> None:
    """The answer to the cancel says what that is."""
    secret = await house.customer()
    name = await begun(house, secret, "sim:polls=50 sim:output=300")
    answer = await look(house, secret, name, "/cancel", "POST")
    assert answer.json()["status"] == "cancelled"
    await house.agree_with(1)
    assert not waiting(house)


@pytest.mark.usefixtures("nobody_asks")
async def test_a_cancel_that_does_not_end_it_at_once_has_the_provider_asked(tmp_path: Path) -> None:
    """Whoever cancels wants its money back, not in an hour."""

    async def script(peer: Peer) -> None:
        answers = {
            b"POST /v1/responses": "queued",
            b"POST /v1/responses/resp_1/cancel": "in_progress",
            b"GET /v1/responses/resp_1": "completed",
        }
        while request := await peer.request():
            peer.send(response(answers[request.partition(b" HTTP")[0]], USAGE))

    async with serving(script) as provider, open_house(tmp_path, sim_url=f"http://127.0.0.1:{provider.origin.port}") as house:
        secret = await house.customer()
        await begun(house, secret)
        assert (await look(house, secret, "resp_1", "/cancel", "POST")).json()["status"] == "in_progress"
        await over(house)
        assert [(charge.completeness, charge.tokens) for charge in house.charges()] == [("exact", 30)]


@pytest.mark.parametrize("end", ["failed", "incomplete"])
async def test_one_that_ends_otherwise_is_charged_too(house: House, end: str) -> None:
    """By its usage where it has one; never guessed to nothing where it has none."""
    secret = await house.customer()
    await begun(house, secret, f"sim:polls=1 sim:output=60 sim:end={end}")
    await over(house)
    await house.agree()
    (charge,) = house.charges()
    assert charge.completeness in ("exact", "estimated")
    assert charge.price


@pytest.mark.parametrize("usage", ["missing", "partial", "negative"])
async def test_one_without_a_report_is_charged_by_the_same_rules_as_any_call(house: House, usage: str) -> None:
    """Nobody sees how much was written unseen: the hold."""
    secret = await house.customer()
    await begun(house, secret, f"sim:polls=1 sim:output=60 sim:usage={usage}", model="gpt-5-mini")
    await over(house)
    (charge,) = house.charges()
    assert charge.completeness == "unknown"
    assert charge.price == house.rows("SELECT amount FROM holds")[0][0]


async def test_one_that_the_provider_does_not_know_any_more_is_charged_whole(house: House) -> None:
    """Deleted past the gateway: the truth is lost, and what it may have cost is charged."""
    secret = await house.customer()
    name = await begun(house, secret, "sim:polls=1000")
    await house.http.delete(f"{house.sim.url}/v1/responses/{name}", headers=bearer("sk-upstream"))
    await over(house)
    (charge,) = house.charges()
    assert (charge.completeness, charge.outcome) == ("unknown", "response_gone")
    assert charge.price == house.rows("SELECT amount FROM holds")[0][0]


@pytest.mark.usefixtures("nobody_asks")
async def test_a_client_that_deletes_it_is_charged_by_what_was_known_before(house: House) -> None:
    """The provider is asked once more, because it will not be able to say afterwards."""
    secret = await house.customer()
    name = await begun(house, secret, "sim:polls=0 sim:output=40")
    assert (await look(house, secret, name, method="DELETE")).json()["deleted"] is True
    assert [charge.completeness for charge in await house.agree_with(1)] == ["exact"]
    assert (await look(house, secret, name)).status_code == 404


def http(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


def response(status: str, usage: object = None, name: str = "resp_1") -> bytes:
    about = {"id": name, "object": "response", "status": status, "model": "gpt-4o-mini", "output": [], "usage": usage}
    return http("200 OK", json.dumps(about).encode())


USAGE = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}
TROUBLES = {
    "an error": http("500 Internal Server Error", b'{"error": {"message": "oops"}}'),
    "a limit": http("429 Too Many Requests", b'{"error": {"message": "slow down", "type": "requests"}}'),
    "the operator's key": http("401 Unauthorized", b'{"error": {"message": "bad key", "code": "invalid_api_key"}}'),
    "no JSON": http("200 OK", b"<html>"),
    "something else": http("200 OK", b'{"object": "list", "data": []}'),
    "another response": response("completed", USAGE, "resp_2"),
    "not over": response("in_progress", USAGE),
    "an unknown state": response("paused", USAGE),
    "a connection that ends": b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{",
    "nothing": b"",
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_provider_in_trouble_is_asked_again(tmp_path: Path, trouble: str) -> None:
    """It costs nobody anything: not the customer the hold, not the operator the bill. The third answer counts."""
    asked: list[bytes] = []
    answers = [response("queued"), TROUBLES[trouble], TROUBLES[trouble], response("completed", USAGE)]

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            asked.append(request.partition(b" HTTP")[0])
            answer = answers[min(len(asked), len(answers)) - 1]
            peer.send(answer)
            if trouble in ("a connection that ends", "nothing") and answer is TROUBLES[trouble]:
                return

    async with serving(script) as provider, open_house(tmp_path, sim_url=f"http://127.0.0.1:{provider.origin.port}") as house:
        secret = await house.customer()
        assert await begun(house, secret) == "resp_1"
        await over(house)
        (charge,) = house.charges()
        assert (charge.completeness, charge.tokens, charge.outcome) == ("exact", 30, "answered")
    assert asked == [b"POST /v1/responses", *[b"GET /v1/responses/resp_1"] * 3]


# --- streams -------------------------------------------------------------------------------------------------------------------------


async def test_a_stream_that_is_read_to_its_end_is_charged_once(house: House) -> None:
    """By its own last event, or by the poller before it: the client gets all of it either way."""
    secret = await house.customer()
    answer = await ask(house, secret, "sim:polls=2 sim:output=40 sim:pace=2", stream=True)
    assert b"response.completed" in answer.content
    await over(house)
    await house.agree_with(1)


async def test_a_client_that_leaves_its_stream_leaves_it_to_the_background(house: House) -> None:
    """It may come back for the rest with the id it has seen: that was known to be its own before it was shown."""
    secret = await house.customer()
    body = {"model": "gpt-4o-mini", "input": "sim:polls=3 sim:output=200 sim:pace=20", "background": True, "stream": True}
    async with house.http.stream("POST", f"{house.url}/v1/responses", headers=bearer(secret), json=body) as answer:
        first = await anext(line async for line in answer.aiter_lines() if line.startswith("data: "))
        name = json.loads(first[6:])["response"]["id"]
        assert waiting(house) == [name]
    rest = await look(house, secret, name, "?stream=true&starting_after=1")
    assert rest.headers["content-type"].startswith("text/event-stream")
    assert b"response.created" not in rest.content
    assert b"response.completed" in rest.content
    await over(house)
    await house.agree_with(1)


def data_of(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: ")]


async def broken_off(house: House, secret: str) -> str:
    """A response whose client has left its stream, at a provider that has long not finished; its name."""
    body = {"model": "gpt-4o-mini", "input": "sim:output=60 sim:pace=20", "background": True, "stream": True}
    async with house.http.stream("POST", f"{house.url}/v1/responses", headers=bearer(secret), json=body) as answer:
        first = await anext(line async for line in answer.aiter_lines() if line.startswith("data: "))
    return str(json.loads(first[6:])["response"]["id"])


@pytest.mark.usefixtures("nobody_asks")
async def test_a_client_that_reads_the_events_again_is_charged_before_it_sees_the_last(house: House) -> None:
    """Its first stream broke off, and nobody else has asked meanwhile: the end of the second one says what the call came to. With the ledger's
    thread occupied it has all but that end; when it has the end, the charge is on record.
    """
    secret = await house.customer()
    name = await broken_off(house, secret)
    house.running._sweeping.cancel()  # from here on only the charge is written
    await asyncio.wait([house.running._sweeping])
    async with await dial(house) as wire:
        async with house.ledger_occupied():
            wire.send(request(secret, b"", path=f"/v1/responses/{name}?stream=true", method="GET"))
            await wire.until(b"event: response.output_item.done")
            await until(lambda: house.running.batcher.waiting)
            assert b"event: response.created" in wire.arrived()
            assert b"event: response.completed" not in wire.arrived()
            assert house.charges() == []
        await wire.until(b"event: response.completed")
        assert [charge.completeness for charge in house.charges()] == ["exact"]
    await house.agree_with(1)


@pytest.mark.usefixtures("nobody_asks")
async def test_events_that_are_read_again_are_the_providers_byte_for_byte(house: House) -> None:
    """The first time, when their end is charged, as afterwards."""
    secret = await house.customer()
    name = await broken_off(house, secret)
    again = await look(house, secret, name, "?stream=true")
    assert len(house.charges()) == 1
    straight = await house.http.get(f"{house.sim.url}/v1/responses/{name}?stream=true", headers=bearer("sk-upstream"))
    assert again.content == straight.content
    events = data_of(again.content)
    assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")
    assert (await look(house, secret, name, "?stream=true")).content == straight.content
    await house.agree_with(1)


@pytest.mark.usefixtures("nobody_asks")
async def test_a_last_event_without_its_blank_line_ends_events_that_are_read_again(tmp_path: Path) -> None:
    """It is the end all the same: charged, and shown whole."""

    async def script(peer: Peer) -> None:
        completed = response("completed", USAGE).partition(b"\r\n\r\n")[2]
        events = http("200 OK", b'data: {"type": "response.completed", "response": %b}' % completed)
        while asked := await peer.request():
            peer.send(response("queued") if asked.startswith(b"POST") else events.replace(b"application/json", b"text/event-stream"))

    async with serving(script) as provider, open_house(tmp_path, sim_url=f"http://127.0.0.1:{provider.origin.port}") as house:
        secret = await house.customer()
        again = await look(house, secret, await begun(house, secret), "?stream=true")
        assert [(data["type"], data["response"]["status"]) for data in data_of(again.content)] == [("response.completed", "completed")]
        assert [(charge.completeness, charge.tokens) for charge in house.charges()] == [("exact", 30)]


@pytest.mark.usefixtures("nobody_asks")
async def test_a_repeat_of_a_stream_with_its_idempotency_key_gets_the_same_events(house: House) -> None:
    """They are recorded when they are over; until then the first request has the name."""
    secret = await house.customer()
    headers = {"idempotency-key": "once"}
    first = asyncio.ensure_future(ask(house, secret, "sim:output=40 sim:pace=5", headers, stream=True))
    await until(lambda: waiting(house))
    assert house.rows("SELECT state, answer FROM replays") == [("running", None)]
    events = (await first).content
    assert b"response.completed" in events
    again = await ask(house, secret, "sim:output=40 sim:pace=5", headers, stream=True)
    assert (again.content, again.headers["x-farebox-replayed"]) == (events, "1")
    await house.agree_with(1)


# --- whose it is ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("nobody_asks")
@pytest.mark.parametrize(("method", "more"), [("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")])
async def test_another_accounts_response_does_not_exist(house: House, method: str, more: str) -> None:
    """Told in the same words as of one that nobody made; the provider is not asked."""
    own, other = await house.customer(), await house.customer()
    name = await begun(house, own, "sim:polls=5")
    before = len(await house.sim_calls())
    theirs = await look(house, other, name, more, method)
    nobodys = await look(house, other, "resp_" + "0" * (len(name) - 5), more, method)
    for answer in (theirs, nobodys):
        body = answer.json()["error"]
        body.pop("farebox")
        assert (answer.status_code, body["code"], body["type"]) == (404, "not_found", "invalid_request_error")
    assert theirs.json()["error"]["message"] == nobodys.json()["error"]["message"]
    assert len(await house.sim_calls()) == before
    assert waiting(house) == [name]
    assert (await look(house, own, name, "/cancel", "POST")).status_code == 200


async def test_an_account_may_use_what_those_below_it_made_and_they_not_what_it_made(house: House) -> None:
    """The company sees its teams' responses; a team sees neither the company's nor another team's."""
    company = await house.account()
    teams = [await house.account(parent=company, own_wallet=False) for _ in range(2)]
    keys = {name: await house.key(name) for name in (company, *teams)}
    made = {name: (await ask(house, keys[name], background=False)).json()["id"] for name in keys}
    for asker, secret in keys.items():
        for maker, response in made.items():
            expected = 200 if asker in (maker, company) else 404
            assert (await look(house, secret, response)).status_code == expected, (asker, maker)


async def test_going_on_from_another_accounts_response_is_refused_before_anything_is_held(house: House) -> None:
    """Its contents would be in the answer."""
    own, other = await house.customer(), await house.customer()
    name = (await ask(house, own, background=False)).json()["id"]
    before = house.books()
    answer = await ask(house, other, background=False, previous_response_id=name)
    assert (answer.status_code, answer.headers["x-farebox-reason"]) == (404, "not_found")
    assert house.books() == before


async def test_going_on_from_a_response_is_bounded_by_what_that_one_held(house: House) -> None:
    """Its recorded tokens and the new bytes, not the model's whole context window; and the charge is the provider's bill."""
    secret = await house.customer()
    first = await ask(house, secret, "sim:output=50", background=False)
    alone = float(first.headers["x-farebox-hold"])
    second = await ask(house, secret, "sim:output=20", background=False, previous_response_id=first.json()["id"])
    assert second.status_code == 200, second.text
    assert float(second.headers["x-farebox-hold"]) < 2 * alone
    calls = {call["id"]: call for call in await house.sim_calls()}
    for charge in await house.agree_with(2):
        assert charge.price <= house.rows("SELECT amount FROM holds WHERE id = ?", charge.hold_id)[0][0], calls


async def test_a_call_that_is_not_kept_leaves_no_object(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is kept costs no commit more."""
    secret = await house.customer()
    await ask(house, secret, background=False, store=False)
    await house.chat(secret)
    assert house.rows("SELECT * FROM objects") == []
    house.running._sweeping.cancel()  # from here on only calls write
    await asyncio.wait([house.running._sweeping])
    put = house.running.batcher._put
    queued: list[tuple[Command, ...]] = []

    def noting(entry: tuple[Command, ...], work: Callable[[], Any] | None) -> "asyncio.Future[Any]":
        queued.append(entry)
        return put(entry, work)

    monkeypatch.setattr(house.running.batcher, "_put", noting)
    await ask(house, secret, background=False)
    assert house.rows("SELECT kind FROM objects ORDER BY kind") == [("item",), ("response",)]
    assert [tuple(map(type, entry)) for entry in queued] == [(Authorize,), (Capture,)]


async def test_a_repeat_with_its_idempotency_key_gets_the_same_response(house: House) -> None:
    """While the provider is at work as well as afterwards: it is one call."""
    secret = await house.customer()
    headers = {"idempotency-key": "once"}
    first = await ask(house, secret, "sim:polls=4", headers)
    again = await ask(house, secret, "sim:polls=4", headers)
    assert again.headers["x-farebox-replayed"] == "1"
    assert again.json() == first.json()
    await over(house)
    assert (await ask(house, secret, "sim:polls=4", headers)).json() == first.json()
    await house.agree_with(1)


# --- what happens to the gateway -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def left_waiting(folder: Path, sim_url: str, settings: dict[str, Any] | None = None) -> AsyncIterator[House]:
    """A gateway that ends while something waits: it stays held."""
    opened = open_house(folder, settings, sim_url=sim_url)
    yield await opened.__aenter__()
    with pytest.raises(AssertionError, match="still held"):
        await opened.__aexit__(None, None, None)


async def hurry(house: House, provider: str, name: str) -> None:
    await house.running.batcher.write("hasten_background", [(provider, name, 0)])


@pytest.mark.usefixtures("nobody_asks")
async def test_a_restart_takes_over_what_the_gateway_before_it_left(tmp_path: Path) -> None:
    """On a file: the holds of the background are nobody's orphans, and the next process asks."""
    simulator = await sim.serve("127.0.0.1", 0)
    async with left_waiting(tmp_path, simulator.url) as house:
        name = await begun(house, await house.customer(), "sim:polls=0 sim:output=70")
    async with open_house(tmp_path, sim_url=simulator.url) as house:
        assert waiting(house) == [name]
        await hurry(house, "openai", name)
        await over(house)
        (charge,) = house.charges()
        (billed,) = json.loads((await house.http.get(f"{simulator.url}/sim/calls")).text)["data"]
        assert (charge.price, charge.completeness, charge.outcome) == (int(billed["nano"]), "exact", "answered")
        assert house.rows("SELECT id FROM objects WHERE kind = 'response'") == [(name,)]
    await simulator.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_what_the_ledger_cannot_be_told_is_told_when_it_is_back(fragile: House, disk: FailingDisk) -> None:
    """The client is told not to repeat it, and the provider is asked all the same."""
    secret = await fragile.customer()
    asked = asyncio.ensure_future(ask(fragile, secret, "sim:polls=1 sim:output=35 sim:delay=300"))
    await fragile.held()
    disk.fail(apsw.FullError, after=0)
    answer = await asked
    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")
    disk.heal()
    await until(fragile.charges)
    await fragile.settled()
    await fragile.agree_with(1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_whose_a_response_is_survives_an_outage_with_its_charge(fragile: House, disk: FailingDisk) -> None:
    """Both are one record in the capture journal. Nobody may use it before the ledger says whose it is."""
    secret = await fragile.customer()
    asked = asyncio.ensure_future(ask(fragile, secret, "sim:output=25 sim:delay=300", background=False))
    await fragile.held()
    disk.fail(apsw.FullError, after=0)
    answer = await asked
    assert answer.status_code == 200, answer.text
    name = answer.json()["id"]
    assert fragile.rows("SELECT * FROM objects") == fragile.rows("SELECT * FROM charges") == []
    assert (await look(fragile, secret, name)).status_code == 404
    disk.heal()
    await fragile.settled()
    await fragile.agree_with(1)
    assert (await look(fragile, secret, name)).status_code == 200


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("nobody_asks")
async def test_an_end_that_is_learned_while_the_ledger_is_away_is_charged_when_it_is_back(fragile: House, disk: FailingDisk) -> None:
    """The client sees it at once, because its charge is in the capture journal."""
    secret = await fragile.customer()
    name = await begun(fragile, secret, "sim:polls=0 sim:output=45")
    disk.fail(apsw.FullError, after=0)
    assert (await look(fragile, secret, name)).json()["status"] == "completed"
    assert fragile.charges() == []
    assert waiting(fragile) == [name]
    disk.heal()
    await fragile.settled()
    await fragile.agree_with(1)
    assert not waiting(fragile)


@pytest.mark.usefixtures("nobody_asks")
async def test_a_provider_that_is_not_configured_any_more_is_alarmed_and_waited_for(tmp_path: Path) -> None:
    """Its holds are neither given back nor charged until it can be asked again, or until their deadline."""
    simulator = await sim.serve("127.0.0.1", 0)
    other = {"dialect": "openai", "base_url": f"{simulator.url}/v1", "api_key": "sk-upstream", "prices": "openai"}
    settings = {"providers": {"other": other}}
    async with left_waiting(tmp_path, simulator.url, settings) as house:
        name = await begun(house, await house.customer(), "sim:polls=0", model="other/gpt-4o-mini")
    before = alarms("background_provider_gone")
    async with left_waiting(tmp_path, simulator.url) as house:
        await hurry(house, "other", name)
        await until(lambda: alarms("background_provider_gone") > before)
        await until(lambda: not house.rows("SELECT 1 FROM background WHERE claimed_by <> ''"))
    async with open_house(tmp_path, settings, sim_url=simulator.url) as house:
        assert waiting(house) == [name]
        await hurry(house, "other", name)
        await over(house)
        assert [charge.completeness for charge in house.charges()] == ["exact"]
    await simulator.close()


async def test_one_that_cannot_be_read_holds_up_no_other(house: House) -> None:
    """Written by a version to come, or by a fault: it waits for somebody who can read it, or for its deadline."""
    secret = await house.customer()
    name = await begun(house, secret, "sim:polls=1000")
    (facts,) = house.rows("SELECT facts FROM background")
    overwrite(house, "UPDATE background SET facts = 'not JSON'")
    await begun(house, secret, "sim:polls=1 sim:output=30")
    await until(house.charges)
    assert waiting(house) == [name]
    overwrite(house, "UPDATE background SET facts = ?", facts[0])
    assert (await look(house, secret, name, "/cancel", "POST")).json()["status"] == "cancelled"
    await over(house)
    await house.agree_with(2)


def overwrite(house: House, sql: str, *values: str) -> None:
    """Past the gateway."""
    db = apsw.Connection(house.rows("PRAGMA database_list")[0][2])
    db.set_busy_timeout(5000)
    db.execute(sql, values)
    db.close()


def alarms(name: str) -> float:
    return float(metrics.alarms.labels(name)._value.get())
