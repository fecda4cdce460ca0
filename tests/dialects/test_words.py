"""What clients see: refusals, frames and listings through the real SDKs, and whose fault an upstream error is."""

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from farebox.dialects import DIALECTS
from farebox.dialects.base import Fault, ModelEntry
from farebox.errors import (
    AlreadyCharged,
    AmbiguousBody,
    Busy,
    CostUnbounded,
    ExceedsAvailable,
    Exhausted,
    Held,
    InvalidKey,
    KeyPaused,
    LedgerDown,
    MethodNotAllowed,
    ModelNotFound,
    RateLimited,
    Refusal,
    TooLarge,
    UpstreamAccount,
    UpstreamTimeout,
)

OPENAI, ANTHROPIC = DIALECTS["openai"], DIALECTS["anthropic"]
EXCEEDS = ExceedsAvailable(
    needed="$0.42",
    available="$0.10",
    needed_usd="0.42",
    available_usd="0.10",
    scope="key",
    affordable="At most 900 output tokens are affordable.",
    affordable_max_output_tokens=900,
    topup_url="https://example.com/topup",
)
REFUSALS: list[tuple[Refusal, type[Exception], type[Exception], str, str]] = [
    (InvalidKey(), openai.AuthenticationError, anthropic.AuthenticationError, "invalid_api_key", "authentication_error"),
    (EXCEEDS, openai.APIStatusError, anthropic.PaymentRequiredError, "insufficient_quota", "billing_error"),
    (Exhausted(scope="key"), openai.APIStatusError, anthropic.PaymentRequiredError, "insufficient_quota", "billing_error"),
    (Held(needed="$1.00", available="$0.00"), openai.RateLimitError, anthropic.RateLimitError, "held", "rate_limit_error"),
    (RateLimited(limit="60 a minute"), openai.RateLimitError, anthropic.RateLimitError, "rate_limit_exceeded", "rate_limit_error"),
    (KeyPaused(why="x"), openai.PermissionDeniedError, anthropic.PermissionDeniedError, "key_paused", "permission_error"),
    (ModelNotFound(model="x"), openai.NotFoundError, anthropic.NotFoundError, "model_not_found", "not_found_error"),
    (CostUnbounded(field="audio"), openai.BadRequestError, anthropic.BadRequestError, "cost_unbounded", "invalid_request_error"),
    (AmbiguousBody(problem="x"), openai.BadRequestError, anthropic.BadRequestError, "ambiguous_body", "invalid_request_error"),
    (AlreadyCharged(request_id="r"), openai.ConflictError, anthropic.ConflictError, "already_charged", "conflict_error"),
    (TooLarge(what="body"), openai.APIStatusError, anthropic.ContentTooLargeError, "too_large", "request_too_large"),
    (MethodNotAllowed(path="/"), openai.APIStatusError, anthropic.APIStatusError, "method_not_allowed", "invalid_request_error"),
    (UpstreamAccount(provider="x"), openai.InternalServerError, anthropic.ServiceUnavailableError, "upstream_account", "api_error"),
    (UpstreamTimeout(provider="x"), openai.InternalServerError, anthropic.GatewayTimeoutError, "upstream_timeout", "timeout_error"),
    (LedgerDown(), openai.InternalServerError, anthropic.ServiceUnavailableError, "ledger_unavailable", "api_error"),
    (Busy(limit="calls"), openai.InternalServerError, anthropic.ServiceUnavailableError, "busy", "overloaded_error"),
]


def answering(make: Callable[[], httpx2.Response], attempts: list[str]) -> httpx2.Client:
    """An HTTP client whose server always gives the same answer."""

    def handler(request: httpx2.Request) -> httpx2.Response:
        attempts.append(request.url.path)
        return make()

    return httpx2.Client(transport=httpx2.MockTransport(handler))


def refused(dialect: str, refusal: Refusal) -> Callable[[], httpx2.Response]:
    """The answer to a refused request."""
    body = DIALECTS[dialect].refusal(refusal, "req_1")
    headers = {"content-type": "application/json", "x-should-retry": "false"}
    return lambda: httpx2.Response(refusal.status, content=body, headers=headers)


def openai_client(make: Callable[[], httpx2.Response], attempts: list[str]) -> openai.OpenAI:
    """The real SDK."""
    return openai.OpenAI(api_key="fb_1", base_url="http://gateway/v1", http_client=answering(make, attempts))


def anthropic_client(make: Callable[[], httpx2.Response], attempts: list[str]) -> anthropic.Anthropic:
    """The real SDK."""
    return anthropic.Anthropic(api_key="fb_1", base_url="http://gateway", http_client=answering(make, attempts))


@pytest.mark.parametrize(("refusal", "error", "_anthropic", "code", "_type"), REFUSALS)
def test_openai_raises_the_right_class(refusal: Refusal, error: type[Exception], _anthropic: object, code: str, _type: str) -> None:
    """With the message, the code, and the facts in `farebox`; one attempt."""
    attempts: list[str] = []
    with openai_client(refused("openai", refusal), attempts) as client, pytest.raises(error) as raised:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert isinstance(raised.value, openai.APIStatusError)
    assert raised.value.code == code
    assert raised.value.status_code == refusal.status
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["farebox"]["reason"] == refusal.reason
    assert raised.value.body["farebox"]["request_id"]
    assert raised.value.body["message"] in raised.value.message
    assert len(attempts) == 1


@pytest.mark.parametrize(("refusal", "_openai", "error", "_code", "kind"), REFUSALS)
def test_anthropic_raises_the_right_class(refusal: Refusal, _openai: object, error: type[Exception], _code: str, kind: str) -> None:
    """With the type, the reason as error code, and the facts in `farebox`; one attempt."""
    attempts: list[str] = []
    with anthropic_client(refused("anthropic", refusal), attempts) as client, pytest.raises(error) as raised:
        client.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "x"}])
    assert isinstance(raised.value, anthropic.APIStatusError)
    assert (raised.value.type, raised.value.error_code) == (kind, refusal.reason)
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["request_id"] == "req_1"
    assert raised.value.body["error"]["farebox"]["reason"] == refusal.reason
    assert len(attempts) == 1


def test_the_facts_of_a_refusal_reach_the_client() -> None:
    """Dollars as decimal strings, the affordable cap as a number, where to pay."""
    facts = {
        "reason": "exceeds_available",
        "request_id": "req_1",
        "needed_usd": "0.42",
        "available_usd": "0.10",
        "affordable_max_output_tokens": 900,
        "topup_url": "https://example.com/topup",
    }
    for dialect in DIALECTS.values():
        body = json.loads(dialect.refusal(EXCEEDS, "req_1"))
        error = body.get("error") or body.get("detail") or body
        assert facts.items() <= error["farebox"].items()
        assert error["message"] == (
            "Insufficient balance: this request may cost up to $0.42, available $0.10 (key). At most 900 output tokens are affordable."
        )


def test_a_message_is_one_tidy_line() -> None:
    """Facts that are missing leave no gaps at its end."""
    assert json.loads(OPENAI.refusal(InvalidKey(), "r"))["error"]["message"].endswith("gateway's.")
    assert json.loads(OPENAI.refusal(CostUnbounded(field="audio", why="x.", setting=""), "r"))["error"]["param"] == "audio"


def sse(body: bytes) -> Callable[[], httpx2.Response]:
    """A streamed answer."""
    return lambda: httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})


def test_openai_raises_on_the_error_frame() -> None:
    """In the middle of a stream."""
    body = b'data: {"id":"c","choices":[],"object":"chat.completion.chunk","created":1,"model":"m"}\n\n'
    with openai_client(sse(body + OPENAI.error_frame(EXCEEDS, "req_1")), []) as client, pytest.raises(openai.APIError) as raised:
        list(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True))
    assert (raised.value.type, raised.value.code) == ("insufficient_quota", "insufficient_quota")


def test_anthropic_raises_on_the_error_frame() -> None:
    """In the middle of a stream."""
    body = b'event: ping\ndata: {"type":"ping"}\n\n'
    with (
        anthropic_client(sse(body + ANTHROPIC.error_frame(EXCEEDS, "req_1")), []) as client,
        pytest.raises(anthropic.APIStatusError) as raised,
    ):
        list(client.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "x"}], stream=True))
    assert raised.value.type == "billing_error"


ENTRIES = [
    ModelEntry("gpt-6-sol", owned_by="openai", created_at_s=1_788_000_000),
    ModelEntry("claude-opus-5-5", "anthropic", "Claude Opus 5.5", 1_788_000_000, 1_000_000, 128_000),
    ModelEntry("claude-haiku-5-5"),
]


def json_answer(body: bytes) -> Callable[[], httpx2.Response]:
    """A JSON answer."""
    return lambda: httpx2.Response(200, content=body, headers={"content-type": "application/json"})


def test_openai_lists_models() -> None:
    """And gives one."""
    with openai_client(json_answer(OPENAI.models(ENTRIES)), []) as client:
        listed = list(client.models.list())
    assert [model.id for model in listed] == [entry.id for entry in ENTRIES]
    assert (listed[0].object, listed[0].owned_by, listed[0].created) == ("model", "openai", 1_788_000_000)
    with openai_client(json_answer(OPENAI.model(ENTRIES[0])), []) as client:
        assert client.models.retrieve("gpt-6-sol").id == "gpt-6-sol"


def test_anthropic_lists_models() -> None:
    """With their limits and a name to show."""
    with anthropic_client(json_answer(ANTHROPIC.models(ENTRIES)), []) as client:
        page = client.models.list()
    assert [(model.id, model.display_name) for model in page.data][1:] == [
        ("claude-opus-5-5", "Claude Opus 5.5"),
        ("claude-haiku-5-5", "claude-haiku-5-5"),
    ]
    assert (page.data[1].max_input_tokens, page.data[1].max_tokens, page.data[1].created_at.year) == (1_000_000, 128_000, 2026)
    with anthropic_client(json_answer(ANTHROPIC.model(ENTRIES[1])), []) as client:
        assert client.models.retrieve("claude-opus-5-5").lifecycle == "active"


def test_anthropic_pages_its_listing() -> None:
    """By limit and the last id seen."""
    first = json.loads(ANTHROPIC.models(ENTRIES, limit=2))
    assert (first["has_more"], first["first_id"], first["last_id"]) == (True, "gpt-6-sol", "claude-opus-5-5")
    second = json.loads(ANTHROPIC.models(ENTRIES, limit=2, after_id=first["last_id"]))
    assert ([model["id"] for model in second["data"]], second["has_more"]) == (["claude-haiku-5-5"], False)
    empty = json.loads(ANTHROPIC.models([]))
    assert (empty["data"], empty["first_id"], empty["has_more"]) == ([], None, False)


def error(**members: Any) -> bytes:
    """An upstream error body."""
    return json.dumps({"type": "error", "error": members}).encode()


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (401, error(code="invalid_api_key", message="x"), "account"),
        (402, b"", "account"),
        (403, error(code="unsupported_country_region_territory"), "account"),
        (403, error(code="content_policy_violation"), "caller"),
        (429, error(type="insufficient_quota", code="insufficient_quota"), "account"),
        (429, error(type="insufficient_quota", code="credit_balance_exhausted"), "account"),
        (429, error(code="project_spend_limit_exceeded"), "account"),
        (400, error(code="billing_hard_limit_reached"), "account"),
        (429, error(code="rate_limit_exceeded"), "busy"),
        (503, error(code="slow_down"), "busy"),
        (400, error(type="invalid_request_error", code="context_length_exceeded"), "caller"),
        (404, error(code="model_not_found"), "caller"),
        (404, b"<html>", "provider"),
        (422, error(message="x"), "caller"),
        (500, error(type="server_error"), "provider"),
        (502, b"\xff\x00", "provider"),
        (302, b"", "provider"),
        (400, b'{"error":"text"}', "provider"),
        (400, b"[" * 100_000, "provider"),
    ],
)
def test_whose_fault_an_openai_error_is(status: int, body: bytes, fault: Fault) -> None:
    """The operator's account, a passing overload, the caller, the provider."""
    assert OPENAI.fault(status, body) == fault


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (401, error(type="authentication_error"), "account"),
        (402, error(type="billing_error"), "account"),
        (403, error(type="permission_error"), "account"),
        (400, error(type="invalid_request_error", message="Your credit balance is too low to access the API."), "account"),
        (400, error(type="invalid_request_error", message="This workspace has reached its spend limit: see the console."), "account"),
        (400, error(type="invalid_request_error", message="messages.0.content: 'spend limit' is no block"), "caller"),
        (400, error(type="invalid_request_error", message="messages.0: your credit balance is too low"), "caller"),
        (429, error(type="rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}), "account"),
        (429, error(type="rate_limit_error", details={"error_code": "ramp_limit_exceeded"}), "busy"),
        (529, error(type="overloaded_error"), "busy"),
        (413, error(type="request_too_large"), "caller"),
        (404, error(type="not_found_error"), "caller"),
        (500, error(type="api_error"), "provider"),
        (504, error(type="timeout_error"), "provider"),
    ],
)
def test_whose_fault_an_anthropic_error_is(status: int, body: bytes, fault: Fault) -> None:
    """What a caller writes into a request cannot make it the operator's."""
    assert ANTHROPIC.fault(status, body) == fault
