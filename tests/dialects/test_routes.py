"""Which API and route a path means: an allow-list, taken literally."""

import pytest

from farebox.dialects.base import Headers
from farebox.dialects.routes import match, spoken
from farebox.errors import MethodNotAllowed, RouteNotFound

ANTHROPIC_VERSION: Headers = [(b"anthropic-version", b"2026-10-21")]


@pytest.mark.parametrize(
    ("method", "path", "dialect", "name"),
    [
        ("POST", "/v1/chat/completions", "openai", "chat_completions"),
        ("POST", "/openai/v1/chat/completions", "openai", "chat_completions"),
        ("POST", "/v1/messages", "anthropic", "messages"),
        ("POST", "/v1/messages?beta=true", "anthropic", "messages"),
        ("POST", "/anthropic/v1/messages", "anthropic", "messages"),
        ("POST", "/v1/messages/count_tokens", "anthropic", "count_tokens"),
        ("POST", "/anthropic/v1/messages/count_tokens?beta=true", "anthropic", "count_tokens"),
        ("GET", "/v1/models", "openai", "models"),
        ("GET", "/v1/models?limit=1000", "openai", "models"),
        ("GET", "/openai/v1/models", "openai", "models"),
        ("GET", "/anthropic/v1/models", "anthropic", "models"),
        ("HEAD", "/", "anthropic", "probe"),
        ("HEAD", "/anthropic", "anthropic", "probe"),
    ],
)
def test_served_routes(method: str, path: str, dialect: str, name: str) -> None:
    """Bare paths and explicit prefixes; the query does not matter."""
    route = match(method, path, [])
    assert (route.dialect, route.name) == (dialect, name)


def test_what_is_forwarded_goes_behind_the_base_url_of_its_sdk() -> None:
    """OpenAI's ends in /v1, Anthropic's does not."""
    assert match("POST", "/openai/v1/chat/completions", []).upstream_path == "/chat/completions"
    assert match("POST", "/anthropic/v1/messages", []).upstream_path == "/v1/messages"


@pytest.mark.parametrize(
    ("headers", "dialect"),
    [
        ([], "openai"),
        ([(b"authorization", b"Bearer x")], "openai"),
        (ANTHROPIC_VERSION, "anthropic"),
        ([(b"x-api-key", b"x")], "anthropic"),
        ([(b"xi-api-key", b"x")], "elevenlabs"),
    ],
)
def test_the_listing_of_models_is_told_apart_by_headers(headers: Headers, dialect: str) -> None:
    """The path is the same in both APIs."""
    assert match("GET", "/v1/models", headers).dialect == dialect
    route = match("GET", "/v1/models/claude-opus-5-5", headers)
    assert (route.dialect, route.name, route.argument) == (dialect, "model", "claude-opus-5-5")


def test_a_model_may_carry_its_provider() -> None:
    """As one path, literally."""
    assert match("GET", "/openai/v1/models/openrouter/meta/llama-4:free", []).argument == "openrouter/meta/llama-4:free"


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/chat/completions/", "//v1/chat/completions", "/v1//chat/completions", "/v1/./chat/completions"),
        *("/v1/../v1/chat/completions", "/v1/chat%2fcompletions", "/v1/chat/completions%00", "/V1/chat/completions"),
        *("/v1/chat/completions;x", "/v1/chat/completions\n", "v1/chat/completions", "", "/v1", "/v1/messages/batches"),
        *("/openai/chat/completions", "/openai/openai/v1/chat/completions", "/anthropic/v1/chat/completions", "/openai/v1/messages"),
        *("/v1/models/", "/v1/models//x", "/v1/models/../x", "/v1/models/a/..", "/v1/models/%2e", "/v1/models/x/", "/v1/models/x\n"),
        *("/v1/responses/", "/v1/files", "/v1/realtime/client_secrets", "/v1/models/gemini:generateContent/x\u00e9"),
        "/openai/deployments/gpt/files",
    ],
)
def test_everything_else_does_not_exist(path: str) -> None:
    """Nothing is decoded, collapsed or guessed."""
    for method in ("GET", "POST", "HEAD"):
        with pytest.raises(RouteNotFound):
            match(method, path, [])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("post", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/x", "GET"),
        ("GET", "/", "HEAD"),
    ],
)
def test_a_wrong_method_names_the_right_one(method: str, path: str, allowed: str) -> None:
    """Methods are case-sensitive."""
    with pytest.raises(MethodNotAllowed) as refused:
        match(method, path, [])
    assert refused.value.facts["allowed"] == allowed


@pytest.mark.parametrize(
    ("path", "headers", "dialect"),
    [
        ("/anthropic/v1/x", [], "anthropic"),
        ("/openai/v1/x", ANTHROPIC_VERSION, "openai"),
        ("/v1/messages/", [], "anthropic"),
        ("/v1/x", [], "openai"),
        ("/v1/x", ANTHROPIC_VERSION, "anthropic"),
        ("/v1/x", [(b"x-goog-api-key", b"x"), *ANTHROPIC_VERSION], "gemini"),
    ],
)
def test_a_refused_route_is_answered_in_the_callers_dialect(path: str, headers: Headers, dialect: str) -> None:
    """As far as it can be told."""
    assert spoken(path, headers) == dialect


def test_a_refusal_shows_the_path_in_bounds() -> None:
    """Printable and short."""
    with pytest.raises(RouteNotFound) as refused:
        match("GET", "/\x1b[31m" + "x" * 10_000, [])
    assert len(refused.value.message) < 500
    assert refused.value.message.isprintable()
