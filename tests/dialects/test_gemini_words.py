"""Gemini's paths, credentials and words: what is served, what goes upstream, refusals and listings in its shapes (providers.md §0, §1.7, §3.1)."""

import json
from typing import Any

import pytest

from farebox.dialects import Gemini
from farebox.dialects.base import Headers, ModelEntry
from farebox.dialects.credentials import find_key
from farebox.dialects.routes import match, spoken
from farebox.errors import (
    ExceedsAvailable,
    InvalidKey,
    InvalidRequest,
    MethodNotAllowed,
    ModelNotFound,
    RateLimited,
    Refusal,
    RouteNotFound,
    UpstreamAccount,
)

GEMINI = Gemini()
MODEL = "gemini-3.5-flash"
BODY = b'{"contents":[{"parts":[{"text":"a"}]}]}'
GOOGLE: Headers = [(b"x-goog-api-key", b"fbx_1")]
METHODS = {
    "generateContent": ("generate_content", "metered"),
    "streamGenerateContent": ("stream_generate_content", "metered"),
    "embedContent": ("embed_content", "metered"),
    "batchEmbedContents": ("batch_embed_contents", "metered"),
    "countTokens": ("count_tokens", "free"),
}


@pytest.mark.parametrize(("base", "upstream"), [("", ""), ("/gemini", "")])
@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("method", METHODS)
def test_both_versions_are_served_bare_and_with_a_prefix(base: str, upstream: str, version: str, method: str) -> None:
    """And go upstream as the version they came as."""
    route = match("POST", f"{base}/{version}/models/{MODEL}:{method}", [])
    assert (route.dialect, (route.name, route.kind), route.argument) == ("gemini", METHODS[method], MODEL)
    assert route.upstream_path == f"{upstream}/{version}/models/"


def test_a_model_may_carry_its_provider() -> None:
    """And colons of its own."""
    assert match("POST", "/v1beta/models/gemini/gemini-3.5-flash:generateContent", []).argument == "gemini/gemini-3.5-flash"
    assert match("POST", "/v1beta/models/own/a:b:generateContent", []).argument == "own/a:b"


@pytest.mark.parametrize("path", ["/v1beta/models", "/gemini/v1/models", "/gemini/v1beta/models"])
def test_the_listing_is_served(path: str) -> None:
    """And each model of it."""
    route = match("GET", path, [])
    assert (route.dialect, route.kind) == ("gemini", "models")
    route = match("GET", f"{path}/{MODEL}", [])
    assert (route.dialect, route.kind, route.argument) == ("gemini", "model", MODEL)


@pytest.mark.parametrize(
    ("headers", "query", "dialect"),
    [
        (GOOGLE, b"", "gemini"),
        ([], b"key=fbx_1", "gemini"),
        ([], b"pageSize=5&key=fbx_1", "gemini"),
        ([], b"monkey=fbx_1", "openai"),
        ([], b"", "openai"),
        ([*GOOGLE, (b"anthropic-version", b"2023-06-01")], b"", "gemini"),
    ],
)
def test_the_shared_listing_is_told_by_where_the_key_stands(headers: Headers, query: bytes, dialect: str) -> None:
    """In Google's header, or in the query."""
    assert match("GET", "/v1/models", headers, query).dialect == dialect
    route = match("GET", "/v1/models/some-model", headers, query)
    assert (route.dialect, route.argument) == (dialect, "some-model")


@pytest.mark.parametrize(
    "path",
    [
        *("/v1beta/cachedContents", "/v1beta/files", "/upload/v1beta/files", "/v1beta/auth_tokens", "/v1alpha/auth_tokens"),
        *(
            "/v1beta/interactions",
            "/v1beta/corpora",
            "/v1beta/fileSearchStores",
            "/v1beta/batches",
            "/v1beta/tunedModels/x:generateContent",
        ),
        *(
            f"/v1beta/models/{MODEL}:{name}"
            for name in ("batchGenerateContent", "predict", "predictLongRunning", "generateAnswer", "bidiGenerateContent")
        ),
        *(f"/v1beta/models/{MODEL}:", f"/v1beta/models/{MODEL}", "/v1beta/models/:generateContent", "/v1beta/models/../x:generateContent"),
        *(
            f"/v1beta/models/{MODEL}:generateContent/",
            f"/v1beta/models/{MODEL}:GenerateContent",
            f"/v1beta/models/{MODEL}%3AgenerateContent",
        ),
        *(f"/v1alpha/models/{MODEL}:generateContent", f"/v2/models/{MODEL}:generateContent", f"/openai/v1/models/{MODEL}:generateContent"),
        *("/v1beta/openai/chat/completions", "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"),
    ],
)
def test_everything_else_does_not_exist(path: str) -> None:
    """What mints credentials, stores, runs for long or is billed by the hour least of all."""
    with pytest.raises((RouteNotFound, MethodNotAllowed)):
        match("POST", path, GOOGLE)
    assert spoken(path, GOOGLE) == ("openai" if path.startswith("/openai") else "gemini")


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (GOOGLE, b""),
        ([], b"key=fbx_1"),
        ([], b"alt=sse&key=fbx%5F1"),
        ([(b"authorization", b"Bearer fbx_1")], b"key=fbx_1"),
    ],
)
def test_the_key_is_found(headers: Headers, query: bytes) -> None:
    """In the header, in the query; in both if they agree."""
    route = match("POST", f"/v1/models/{MODEL}:generateContent", headers, query)
    assert find_key(headers, query, route) == "fbx_1"


@pytest.mark.parametrize("query", [b"key=fbx_2", b"key=fbx_1&key=fbx_2", b"&".join([b"a=b"] * 100)])
def test_keys_that_differ_are_refused(query: bytes) -> None:
    """And a query that is not worth reading."""
    with pytest.raises(InvalidKey):
        find_key(GOOGLE, query, match("POST", f"/v1/models/{MODEL}:generateContent", GOOGLE, query))


@pytest.mark.parametrize(
    ("method", "query", "sent"),
    [
        ("generateContent", b"key=fbx_1&alt=json&fields=candidates", ":generateContent"),
        ("streamGenerateContent", b"alt=sse&key=fbx_1&prettyPrint=false", ":streamGenerateContent?alt=sse"),
        ("streamGenerateContent", b"%24alt=sse", ":streamGenerateContent?alt=sse"),
        ("streamGenerateContent", b"key=fbx_1", ":streamGenerateContent"),
        ("streamGenerateContent", b"alt=json", ":streamGenerateContent"),
    ],
)
def test_of_the_query_only_the_way_of_streaming_goes_upstream(method: str, query: bytes, sent: str) -> None:
    """The key never, and nothing that would leave the usage out of the answer."""
    route = match("POST", f"/v1/models/{MODEL}:{method}", [], query)
    ask = GEMINI.ask(route, BODY, {})
    assert GEMINI.target(ask, route, "served", query) == f"/v1/models/served{sent}"


@pytest.mark.parametrize("query", [b"alt=media", b"alt=proto", b"alt=sse&alt=json", b"alt=SSE", b"&".join([b"a=b"] * 200)])
def test_another_way_of_streaming_is_refused(query: bytes) -> None:
    """It could not be metered."""
    with pytest.raises(InvalidRequest):
        GEMINI.ask(match("POST", f"/v1/models/{MODEL}:streamGenerateContent", [], query), BODY, {})


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (ExceedsAvailable(needed="0.5", available="0.1", scope="wallet", affordable=""), "RESOURCE_EXHAUSTED"),
        (InvalidKey(detail="x"), "UNAUTHENTICATED"),
        (InvalidRequest(problem="x"), "INVALID_ARGUMENT"),
        (ModelNotFound(model="x", candidates=""), "NOT_FOUND"),
        (RateLimited(limit="x", retry_after_s=1), "RESOURCE_EXHAUSTED"),
        (UpstreamAccount(provider="gemini"), "UNAVAILABLE"),
    ],
)
def test_refusals_have_the_shape_of_the_apis_errors(refusal: Refusal, status: str) -> None:
    """Code, message, status; and ours beside."""
    error = json.loads(GEMINI.refusal(refusal, "req_1"))["error"]
    assert (error["code"], error["status"]) == (refusal.status, status)
    assert error["message"]
    assert error["farebox"]["reason"] == refusal.reason
    assert error["farebox"]["request_id"] == "req_1"


def entries(number: int) -> list[ModelEntry]:
    known = [ModelEntry(f"gemini-{index}", context_tokens_max=1000, output_tokens_max=100) for index in range(number)]
    return [*known, ModelEntry("claude-x"), ModelEntry("gemini-embedding-9", context_tokens_max=5, output_tokens_max=1)]


def test_the_listing_comes_in_pages() -> None:
    """A page's token is the last model of the one before; another API's models are not in it."""
    seen: list[Any] = []
    after = None
    for _ in range(4):
        page = json.loads(GEMINI.models(entries(6), limit=2, after_id=after))
        seen += page["models"]
        after = page.get("nextPageToken")
        if after is None:
            break
    assert [model["name"] for model in seen] == [*(f"models/gemini-{index}" for index in range(6)), "models/gemini-embedding-9"]
    first, *_, last = seen
    assert (first["inputTokenLimit"], first["outputTokenLimit"]) == (1000, 100)
    assert first["supportedGenerationMethods"] == ["generateContent", "streamGenerateContent", "countTokens"]
    assert last["supportedGenerationMethods"] == ["embedContent", "batchEmbedContents"]
    assert "outputTokenLimit" not in last
    assert json.loads(GEMINI.model(entries(1)[0])) == seen[0]


def error(code: int, status: str, message: str = "x", reason: str = "") -> Any:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    return {"error": {"code": code, "message": message, "status": status, "details": details}}


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (400, error(400, "INVALID_ARGUMENT", "contents is not specified"), "caller"),
        (400, error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", "API_KEY_INVALID"), "account"),
        (400, error(400, "INVALID_ARGUMENT", "say: API key not valid"), "caller"),
        (400, error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), "account"),
        (402, error(402, "RESOURCE_EXHAUSTED", "Prepay credits are depleted."), "account"),
        (403, error(403, "PERMISSION_DENIED"), "account"),
        (404, error(404, "NOT_FOUND"), "caller"),
        (429, error(429, "RESOURCE_EXHAUSTED"), "busy"),
        (429, [error(429, "RESOURCE_EXHAUSTED")], "busy"),
        (400, [error(400, "INVALID_ARGUMENT", "x", "API_KEY_INVALID")], "account"),
        (503, error(503, "UNAVAILABLE", "The model is overloaded."), "busy"),
        (500, error(500, "INTERNAL"), "provider"),
        (400, {"error": 7}, "provider"),
        (404, [], "provider"),
    ],
)
def test_whose_trouble_an_upstream_error_is(status: int, body: Any, fault: str) -> None:
    """The operator's key, place and credit are never the caller's fault; errors may come in an array."""
    assert GEMINI.fault(status, json.dumps(body).encode()) == fault


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"7", b"[[]]"])
def test_an_error_that_cannot_be_read_is_the_providers(body: bytes) -> None:
    """Whatever its status says of the caller."""
    assert GEMINI.fault(404, body) == "provider"
