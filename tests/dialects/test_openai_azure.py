"""Azure's paths, and requests read as ones for the model behind a deployment."""

import json
from typing import Any

import pytest

from farebox.dialects import routes
from farebox.dialects.base import Route
from farebox.dialects.openai import azure
from farebox.errors import AmbiguousBody, CostUnbounded, InvalidRequest, MethodNotAllowed, RouteNotFound

KEY = [(b"api-key", b"k")]
BEARER = [(b"authorization", b"Bearer k")]
DEPLOYMENTS = {"prod": "gpt-4o", "thinker": "gpt-6-sol", "gpt-4o-mini": "o3", "a-search-b": "gpt-4o", "ears": "whisper-1"}
BY_V1 = azure.Azure(deployments=DEPLOYMENTS, api_version="")
BY_VERSION = azure.Azure(deployments=DEPLOYMENTS, api_version="2024-10-21")
CHAT = Route("openai", "chat_completions", "POST", "/chat/completions", provider="azure")


def behind(deployment: str) -> Route:
    return Route("openai", "chat_completions", "POST", "/chat/completions", argument=deployment, provider="azure")


def body(**more: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "hi"}], **more}).encode()


@pytest.mark.parametrize("prefix", ["", "/azure"])
@pytest.mark.parametrize(
    "operation", ["chat/completions", "embeddings", "completions", "audio/speech", "audio/transcriptions", "images/edits"]
)
@pytest.mark.parametrize("headers", [KEY, BEARER])
def test_a_deployments_path_is_azures_whatever_carries_the_key(prefix: str, operation: str, headers: list[tuple[bytes, bytes]]) -> None:
    """The path says enough."""
    route = routes.match("POST", f"{prefix}/openai/deployments/my.dep_1-x/{operation}", headers)
    assert (route.dialect, route.provider, route.argument, route.upstream_path) == ("openai", "azure", "my.dep_1-x", f"/{operation}")


def test_the_shared_prefix_is_told_apart_by_where_the_key_stands() -> None:
    """`/openai/v1` is OpenAI's own, with Azure's header Azure's; `/azure/openai/v1` is Azure's with any."""
    assert routes.match("POST", "/openai/v1/chat/completions", BEARER).provider == ""
    assert routes.match("POST", "/openai/v1/chat/completions", KEY) == CHAT
    assert routes.match("POST", "/azure/openai/v1/chat/completions", BEARER) == CHAT
    assert routes.match("POST", "/openai/responses", KEY).name == "responses"
    assert routes.match("GET", "/openai/v1/responses/resp_1", KEY).kind == "owned"
    assert routes.match("GET", "/openai/models", KEY).kind == "models"
    assert routes.match("POST", "/v1/chat/completions", KEY).provider == ""


@pytest.mark.parametrize(
    "path",
    [
        "/openai/deployments/a/responses",
        "/openai/deployments/a/moderations",
        "/openai/deployments/../chat/completions",
        "/openai/deployments//chat/completions",
        "/openai/deployments/a%2fb/chat/completions",
        "/openai/deployments/a/b/chat/completions",
        "/openai/deployments/a/chat/completions/",
        "/openai/chat/completion",
        "/azure/v1/chat/completions",
        "/azureopenai/deployments/a/chat/completions",
    ],
)
def test_nothing_else_is_there(path: str) -> None:
    """Neither other operations nor names that no deployment has."""
    with pytest.raises(RouteNotFound):
        routes.match("POST", path, KEY)


def test_another_method_is_told_as_that() -> None:
    """As on every path."""
    with pytest.raises(MethodNotAllowed):
        routes.match("GET", "/openai/deployments/a/chat/completions", KEY)


def test_the_path_counts_before_the_body() -> None:
    """As it does at Azure; without a deployment in the path the body's model is one; elsewhere a model is a model."""
    assert azure.named(behind("prod"), "thinker") == "azure/prod"
    assert azure.named(CHAT, "prod") == azure.named(CHAT, "azure/prod") == "azure/prod"
    assert azure.named(Route("openai", "chat_completions", "POST"), "prod") == "prod"


def test_a_body_behind_a_deployment_need_not_name_a_model() -> None:
    """It gets one; a body that has one, is no object, or cannot be read, is left to be refused."""
    assert json.loads(azure.whole(behind("prod"), body()))["model"] == "prod"
    for left in (body(model="x"), b"[1]", b"\xff", b""):
        assert azure.whole(behind("prod"), left) == left
    for broken in (b"{", b'{"a":', b'{"a":' + b"[" * 100_000, b'{"model":'):
        with pytest.raises(InvalidRequest):
            BY_V1.ask(behind("prod"), azure.whole(behind("prod"), broken), {})
    assert azure.whole(CHAT, body()) == body()


@pytest.mark.parametrize("found", [b'{"model": 1}', b"[]", b"{", b"\xff", b'{"model":'])
def test_a_body_without_a_readable_model_names_none(found: bytes) -> None:
    """Whoever reads it next says what is wrong with it."""
    assert azure.model_in(found) == ""


def test_a_request_is_bounded_as_one_for_the_model_behind() -> None:
    """A deployment may have any name, another model's too: what may be unseen is decided by what it is."""
    assert not BY_V1.ask(behind("prod"), body(model="prod"), {}).hidden_output
    assert BY_V1.ask(behind("thinker"), body(model="gpt-4o"), {}).hidden_output
    assert BY_V1.ask(behind("gpt-4o-mini"), body(model="gpt-4o-mini"), {}).hidden_output
    assert not BY_V1.ask(behind("a-search-b"), body(model="a-search-b"), {}).hidden_output
    assert BY_V1.ask(behind("prod"), body(model="thinker"), {}).model == "azure/prod"


def test_a_form_is_read_as_one_for_the_model_behind() -> None:
    """Sound for a model that is paid by its length."""
    form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nears\r\n'
    form += b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + bytes(3200) + b"\r\n--b--\r\n"
    route = Route("openai", "transcriptions", "POST", "/audio/transcriptions", argument="ears", provider="azure")
    ask = BY_V1.ask(route, form, {b"content-type": b"multipart/form-data; boundary=b"})
    assert (ask.model, list(ask.demand.fees_max)) == ("azure/ears", ["audio_in_ms"])
    sent = BY_V1.rewrite(ask, form, model="other", output_cap=None)
    assert b"\r\n\r\nother\r\n" in sent
    assert b"ears" not in sent


def test_upstream_paths_have_the_operators_version() -> None:
    """Never the client's; without one, the path is that of `/openai/v1`."""
    ask = BY_V1.ask(behind("prod"), body(model="prod"), {})
    assert BY_V1.target(ask, behind("prod"), "prod", b"api-version=2023-05-15") == "/chat/completions"
    assert BY_VERSION.target(ask, behind("prod"), "prod", b"api-version=2023-05-15") == "/prod/chat/completions?api-version=2024-10-21"


def test_what_no_deployment_has_a_path_for_is_not_found_by_version() -> None:
    """Before anything is held."""
    responses = Route("openai", "responses", "POST", "/responses")
    asked = json.dumps({"model": "gpt-4o", "input": "hi", "store": False}).encode()
    assert BY_V1.ask(responses, asked, {}).route == "responses"
    with pytest.raises(RouteNotFound):
        BY_VERSION.ask(responses, asked, {})


@pytest.mark.parametrize(
    ("found", "refusal"),
    [(body(model="prod", plugins=[{"id": "web"}]), CostUnbounded), (b'{"model":"prod","model":"thinker","messages":[]}', AmbiguousBody)],
)
def test_what_is_refused_elsewhere_is_refused_here(found: bytes, refusal: type[Exception]) -> None:
    """A deployment is no way round."""
    with pytest.raises(refusal):
        BY_V1.ask(behind("prod"), found, {})
