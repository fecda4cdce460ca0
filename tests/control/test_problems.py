"""Whatever goes wrong is said in a problem document, with a stable code and the field that is wrong."""

import asyncio
from typing import Any

import pytest

from control.back import Back
from farebox import limits
from farebox.control.app import self_service
from farebox.errors import Busy, LedgerUnavailable


async def _raw(back: Back, content: bytes, kind: str = "application/json") -> Any:
    return await back.http.post("/api/v1/accounts", content=content, headers={"content-type": kind})


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"\xff\xfe", 400, "invalid_json"),
        (b'{"name": NaN}', 400, "invalid_json"),
        (b'{"metadata": ' + b"[" * 100_000, 400, "invalid_json"),
        (b'{"metadata": {"n": ' + b"9" * 5_000 + b"}}", 400, "invalid_json"),
        (b'{"name": "a", "name": "b"}', 400, "ambiguous_body"),
        (b'{"metadata": {"a": "1", "a": "2"}}', 400, "ambiguous_body"),
        (b"[]", 422, "invalid_request"),
        (b"null", 422, "invalid_request"),
        (b'{"name": "\\ud800"}', 400, "invalid_json"),
        (b'{"\\ud800": 1}', 400, "invalid_json"),
        (b'{"metadata": {"a": "\\ud800"}}', 400, "invalid_json"),
        (b'{"metadata": {"a": "\\u0000"}}', 422, "invalid_request"),
        (b'{"name": "a\\u0000b"}', 422, "invalid_request"),
        (b'{"metadata": {"\\u0000": "a"}}', 422, "invalid_request"),
        ('{"name": "a\\u0000b"}'.encode("utf-16"), 422, "invalid_request"),
        (b'{"name": "\xed\xa0\x80"}', 400, "invalid_json"),
        (b'{"metadata": {"a": 1}}', 422, "invalid_request"),
        (b'{"parent": 5}', 422, "invalid_request"),
    ],
)
async def test_an_unreadable_body_does_nothing(back: Back, content: bytes, status: int, code: str) -> None:
    """Not JSON, JSON that two readers could understand differently, or text that cannot be stored."""
    answer = await _raw(back, content)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await back.get("/accounts"))["data"] == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
async def test_a_body_may_be_written_in_any_encoding_of_json(back: Back, encoding: str) -> None:
    """As RFC 4627 told encodings apart, marked or not."""
    answer = await _raw(back, '{"name": "Zoë 😀"}'.encode(encoding))
    assert (answer.status_code, answer.json().get("name")) == (201, "Zoë 😀"), answer.text


@pytest.mark.parametrize("target", ["/accounts/a%00b", "/keys/%00", "/accounts?parent=%00", "/charges?request_id=a%00"])
async def test_a_nul_character_is_refused_wherever_it_stands(back: Back, target: str) -> None:
    """In a path and in a query: PostgreSQL has no text with one, so that no store is asked for it."""
    answer = await back.http.get(f"/api/v1{target}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
    assert "NUL" in answer.json()["detail"]


async def test_an_escaped_backslash_is_no_nul_character(back: Back) -> None:
    """What only looks like the escape is kept as it was sent."""
    account = await back.post("/accounts", {"metadata": {"note": "\\u0000"}})
    assert account["metadata"] == {"note": "\\u0000"}


async def test_an_unknown_field_is_told_with_the_nearest_right_one(back: Back) -> None:
    """At the top and inside."""
    account = await back.account(None)
    problem = await back.post("/keys", {"account": account, "limt": 1}, status=422)
    assert problem["errors"] == [{"field": "limt", "problem": "there is no such field; did you mean limit?"}]
    problem = await back.post("/keys", {"account": account, "limit": 1, "rate_limits": {"requests_per_minit": 1}}, status=422)
    assert problem["errors"][0]["field"] == "rate_limits.requests_per_minit"
    assert "requests_per_minute" in problem["errors"][0]["problem"]


async def test_a_form_is_not_json(back: Back) -> None:
    """415; a body without a content type is taken as JSON."""
    assert (await _raw(back, b"name=x", "application/x-www-form-urlencoded")).status_code == 415
    answer = await back.http.post("/api/v1/accounts", content=b'{"name": "x"}')
    assert answer.status_code == 201


async def test_a_body_has_a_bound(back: Back) -> None:
    """Whether its length was announced or not."""
    answer = await _raw(back, b" " * (limits.control_body_bytes_max + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("name", ["x" * 256, "\u00e9", "a\tb", " ", ""])
async def test_an_idempotency_key_that_cannot_be_one_is_refused(back: Back, name: str) -> None:
    """Bounded, printable ASCII, not empty."""
    answer = await back.http.post("/api/v1/accounts", json={}, headers={b"idempotency-key": name.encode()})
    assert answer.status_code == 422
    assert (await back.get("/accounts"))["data"] == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/accounts", "GET, POST"),
        ("POST", "/accounts/x", "GET, PATCH"),
        ("PUT", "/keys/x", "DELETE, GET, PATCH"),
        ("GET", "/verify", "POST"),
    ],
)
async def test_a_method_that_a_path_does_not_take_is_told_those_it_takes(back: Back, method: str, path: str, allowed: str) -> None:
    """405 with Allow."""
    answer = await back.http.request(method, f"/api/v1{path}")
    assert (answer.status_code, answer.headers["allow"], answer.json()["code"]) == (405, allowed, "method_not_allowed")


@pytest.mark.parametrize(
    "path", ["/api/v1", "/api/v1/", "/api/v1/accounts/", "/api/v2/accounts", "/api/v1/accounts/a/b/c", "/console", "/"]
)
async def test_a_path_that_does_not_exist_is_told_so(back: Back, path: str) -> None:
    """404; nothing is redirected."""
    answer = await back.http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_fault_of_our_own_is_an_incident_and_says_nothing_else(back: Back, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 with a name to look for in the log; no trace, no values."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("the secret is swordfish")

    monkeypatch.setattr(back.control.office, "_reports", broken)
    answer = await back.http.get("/api/v1/accounts")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.json()["incident"].startswith("inc_")
    assert "swordfish" not in answer.text


@pytest.mark.parametrize(
    ("failure", "code"),
    [(LedgerUnavailable(problem="disk full"), "ledger_unavailable"), (Busy(limit="the ledger's queue is full"), "busy")],
)
async def test_a_ledger_that_cannot_answer_is_503(back: Back, monkeypatch: pytest.MonkeyPatch, failure: Exception, code: str) -> None:
    """To be asked again with the same Idempotency-Key."""

    async def one(_command: object) -> None:
        await asyncio.sleep(0)
        raise failure

    monkeypatch.setattr(back.batcher, "one", one)
    assert (await back.post("/accounts", {}, once="a", status=503))["code"] == code


async def test_answers_are_not_kept_by_anything_in_between(back: Back) -> None:
    """They may hold secrets."""
    for path in ("/api/v1/accounts", "/api/v1/none", "/healthz"):
        assert (await back.http.get(path)).headers["cache-control"] == "no-store"


async def test_an_address_of_callers_serves_only_what_keys_may_ask_about_themselves(back: Back) -> None:
    """Where the control API has an address of its own, admin routes do not exist on the other, for any key."""
    import httpx

    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(self_service(back.control)),
        base_url="http://calls",
        headers={"authorization": f"Bearer {back.secret}"},
    )
    for path, status in (("/api/v1/key", 200), ("/api/v1/credits", 200), ("/healthz", 200), ("/readyz", 200)):
        assert (await client.get(path)).status_code == status
    for path in ("/api/v1/accounts", "/api/v1/keys", "/metrics", "/api/v1/openapi.json", "/api/v1/docs", "/api/v1/key/"):
        assert (await client.get(path)).status_code == 404
    assert (await client.post("/api/v1/keys", json={})).status_code == 404


async def test_readiness_says_why_not(back: Back) -> None:
    """503 while the gateway takes no calls; alive all the same."""
    import msgspec

    back.control.office.context = msgspec.structs.replace(back.context, ready=lambda: "draining")
    answer = await back.http.get("/readyz")
    assert (answer.status_code, answer.json()["reason"]) == (503, "draining")
    assert (await back.http.get("/healthz")).status_code == 200
    figures = (await back.http.get("/metrics")).text
    assert "farebox_time_to_bill_seconds" in figures
