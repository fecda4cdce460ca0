"""What only a setting bounds: refused without, naming the setting; held for with it; and what no setting admits."""

import json
import re
import tomllib
from typing import Any

import pytest

from farebox import limits
from farebox.dialects import DIALECTS, Anthropic, Bedrock, Gemini, OpenAI
from farebox.dialects.base import Ask, Dialect, Route
from farebox.dialects.extras import NO_SETTING, Bounds
from farebox.dialects.openai.hosts import HOSTS
from farebox.errors import CostUnbounded, InvalidRequest
from farebox.usage import IN_VIDEO, OUT_AUDIO, Extra

EXTRA = Extra(input_tokens=12_345, output_tokens=67, fee_pico=89)
ROUTES = {
    "chat": Route("openai", "chat_completions", "POST"),
    "responses": Route("openai", "responses", "POST"),
    "messages": Route("anthropic", "messages", "POST"),
    "gemini": Route("gemini", "generate_content", "POST", argument="gemini-2.5-flash"),
    "bedrock": Route("bedrock", "converse", "POST", argument="anthropic.claude-opus-4-1-20250805-v1:0"),
}
PLAIN: dict[str, dict[str, Any]] = {
    "chat": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"model": "gpt-4o-mini", "input": "hi"},
    "messages": {"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]},
    "gemini": {"contents": [{"parts": [{"text": "hi"}]}]},
    "bedrock": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
}


def speaker(name: str, admits: Bounds) -> Dialect:
    if name in ("openai", "anthropic"):
        return OpenAI(bounds=admits) if name == "openai" else Anthropic(bounds=admits)
    return Gemini(admits) if name == "gemini" else Bedrock(admits)


def ask(route: str, more: dict[str, Any], bounds: dict[str, Extra] | None = None, headers: dict[bytes, bytes] | None = None) -> Ask:
    body = json.dumps({**PLAIN[route], **more}).encode()
    spoken = ROUTES[route].dialect
    return speaker(spoken, Bounds(spoken, bounds or {})).ask(ROUTES[route], body, headers or {})


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def contents(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"contents": [{"parts": list(parts)}]}


def data(mime: str) -> dict[str, str]:
    return {"mimeType": mime, "data": "AAAA"}


# By route: what is asked, the name of the setting, how many of it there are.
BOUNDED: list[tuple[str, dict[str, Any], str, int]] = [
    ("chat", {"tools": [{"type": "web_search"}]}, "tools.web_search", 1),
    ("chat", {"messages": user({"type": "video_url", "video_url": {"url": "https://e.com/v"}})}, "messages.content.video_url", 1),
    ("chat", {"messages": user({"type": "document_url", "document_url": "https://e.com"})}, "messages.content.document_url", 1),
    ("chat", {"messages": user({"type": "file", "file": {"file_url": "https://e.com/a.pdf"}})}, "messages.content.file", 1),
    ("chat", {"messages": user({"type": "file", "file": {"file_id": "file_1"}})}, "messages.content.file", 1),
    ("chat", {"audio": {"voice": "alloy", "format": "mp3"}, "modalities": ["text", "audio"]}, "audio", 1),
    ("chat", {"plugins": [{"id": "web"}, {"id": "file-parser"}]}, "plugins", 2),
    ("chat", {"web_search_options": {}}, "web_search_options", 1),
    ("chat", {"search_parameters": {"mode": "on"}}, "search_parameters", 1),
    ("chat", {"model": "gpt-4o-search-preview"}, "model.search", 1),
    ("responses", {"tools": [{"type": "mcp", "server_url": "https://e.com", "server_label": "e"}] * 2}, "tools.mcp", 2),
    ("responses", {"tools": [{"type": "computer_use_preview", "display_width": 1}]}, "tools.computer_use_preview", 1),
    ("responses", {"input": [{"type": "mcp_list_tools", "id": "mcpl_1", "tools": []}]}, "input.mcp_list_tools", 1),
    ("responses", {"input": [{"type": "mcp_approval_response", "approval_request_id": "a"}]}, "input.mcp_approval_response", 1),
    ("responses", {"input": user({"type": "input_video", "video": "x"})}, "input.content.input_video", 1),
    ("responses", {"input": user({"type": "input_file", "file_url": "https://e.com/a.pdf"})}, "input.content.input_file", 1),
    ("messages", {"mcp_servers": [{"type": "url", "url": "https://e.com", "name": "e"}]}, "mcp_servers", 1),
    ("messages", {"tools": [{"type": "code_execution_20260120", "name": "c"}]}, "tools.code_execution_20260120", 1),
    ("messages", {"messages": user({"type": "mcp_tool_use", "id": "1", "input": {"user_id": 3}})}, "messages.content.mcp_tool_use", 1),
    (
        "messages",
        {"messages": user({"type": "document", "source": {"type": "url", "url": "https://e.com/a.pdf"}})},
        "messages.content.document",
        1,
    ),
    (
        "messages",
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
        "context_management.edits.compact_20260112",
        1,
    ),
    ("gemini", {"tools": [{"codeExecution": {}}]}, "tools.codeExecution", 1),
    ("gemini", {"tools": [{"code_execution": {}}]}, "tools.codeExecution", 1),
    ("gemini", {"tools": [{"enterpriseWebSearch": {}}]}, "tools.enterpriseWebSearch", 1),
    ("gemini", {"tools": [{"telepathy": {}}]}, "tools.telepathy", 1),
    ("gemini", contents({"fileData": {"fileUri": "https://youtu.be/x"}}), "contents.parts.fileData", 1),
    ("gemini", contents({"file_data": {"file_uri": "https://youtu.be/x"}}), "contents.parts.fileData", 1),
    ("gemini", contents({"inlineData": data("application/msword")}), "contents.parts.inlineData", 1),
    ("gemini", contents({"hologram": {"d": 1}}), "contents.parts.hologram", 1),
    ("bedrock", {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}, "guardrailConfig", 1),
    ("bedrock", {"messages": user({"video": {"format": "mp4", "source": {"bytes": "AAAA"}}})}, "messages.content.video", 1),
    (
        "bedrock",
        {"messages": user({"document": {"format": "docx", "name": "d", "source": {"bytes": "AAAA"}}})},
        "messages.content.document",
        1,
    ),
    ("bedrock", {"toolConfig": {"tools": [{"systemTool": {"name": "t"}}]}}, "toolConfig.tools.systemTool", 1),
]


def setting_in(message: str) -> dict[str, Any]:
    """The settings that a refusal says to write, by doing what it says."""
    found = re.search(r"under (\[[^\s]+\]): (bounds\..+)$", message)
    assert found, message
    return tomllib.loads(f"{found[1]}\n{found[2]}")


@pytest.mark.parametrize(("route", "more", "name", "_number"), BOUNDED)
def test_the_refusal_names_the_setting_that_would_admit_it(route: str, more: dict[str, Any], name: str, _number: int) -> None:
    """In the words of the settings file, with the provider's section."""
    with pytest.raises(CostUnbounded) as refused:
        ask(route, more)
    written = setting_in(refused.value.message)
    assert list(written["providers"]) == [ROUTES[route].dialect]
    assert list(written["providers"][ROUTES[route].dialect]["bounds"]) == [name]


@pytest.mark.parametrize(("route", "more", "name", "number"), BOUNDED)
def test_with_its_setting_it_is_held_for(route: str, more: dict[str, Any], name: str, number: int) -> None:
    """Each of it by so many tokens in and out and its fee, above what the request bounds by itself; what the answer shows is no measure then."""
    found = ask(route, more, {name: EXTRA})
    assert found.demand.extra_input_tokens == number * EXTRA.input_tokens
    assert found.demand.extra_output_tokens == number * EXTRA.output_tokens
    assert found.demand.fee_pico == number * EXTRA.fee_pico
    assert found.demand.input_tokens_max > 0
    assert found.hidden_output


@pytest.mark.parametrize(("route", "more", "name", "_number"), BOUNDED)
def test_the_setting_of_one_thing_admits_no_other(route: str, more: dict[str, Any], name: str, _number: int) -> None:
    """Names are compared whole."""
    for other in (name + "x", name[:-1], name.rpartition(".")[2] + ".", "*", "tools", "input"):
        with pytest.raises(CostUnbounded):
            ask(route, more, {other: EXTRA})


@pytest.mark.parametrize("route", PLAIN)
def test_a_request_without_anything_of_the_kind_is_held_for_as_ever(route: str) -> None:
    """Whatever the settings admit."""
    plain, admitted = ask(route, {}), ask(route, {}, {name: EXTRA for _, _, name, _ in BOUNDED})
    assert (plain.demand, plain.hidden_output, plain.uses) == (admitted.demand, admitted.hidden_output, admitted.uses)
    assert not plain.demand.extra_input_tokens


BARRED: list[tuple[str, dict[str, Any]]] = [
    ("chat", {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}),
    ("chat", {"conversation": "conv_1"}),
    ("chat", {"models": ["a"]}),
    ("chat", {"tools": [{"type": "mcp", "headers": {"authorization": "Bearer x"}}]}),
    ("chat", {"tools": [{"type": "retrieval", "vector_store_ids": ["vs_1"]}]}),
    ("chat", {"tools": [{"type": ""}]}),
    ("chat", {"tools": [{"type": "a b"}]}),
    ("chat", {"service_tier": "platinum"}),
    ("responses", {"tools": [{"type": "mcp", "server_url": "https://e.com", "authorization": "secret"}]}),
    ("responses", {"tools": [{"type": "mcp", "connector_id": "connector_gmail"}]}),
    ("responses", {"tools": [{"type": "mcp", "server_url": "https://e.com", "headers": {"x": "y"}}]}),
    ("responses", {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}),
    ("responses", {"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}),
    ("responses", {"tools": [{"type": "shell", "environment": {"type": "container_reference", "container_id": "cntr_1"}}]}),
    ("responses", {"tools": [{"type": "image_generation"}]}),
    ("responses", {"prompt": {"id": "pmpt_1"}}),
    ("messages", {"user_profile_id": "p"}),
    ("messages", {"workspace_id": "w"}),
    ("messages", {"billing_policy": "b"}),
    ("messages", {"fallback_credit_token": "t"}),
    ("messages", {"container": "c"}),
    ("messages", {"thread": {"type": "create"}}),
    ("messages", {"mcp_servers": [{"type": "url", "url": "https://e.com", "name": "e", "authorization_token": "t"}]}),
    ("gemini", {"cachedContent": "cachedContents/1"}),
    ("gemini", {"tools": [{"fileSearch": {"fileSearchStoreNames": ["s"]}}]}),
    ("gemini", {"tools": [{"mcpServers": [{"name": "m", "streamableHttpTransport": {"url": "https://e.com", "headers": {"a": "b"}}}]}]}),
    ("gemini", contents({"fileData": {"fileUri": "gs://bucket/a"}})),
    ("gemini", contents({"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}})),
    ("gemini", contents({"fileData": {"fileUri": "files/abc"}})),
    ("bedrock", {"promptVariables": {"a": {"text": "b"}}}),
    ("bedrock", {"messages": user({"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://b/v"}}}})}),
]


@pytest.mark.parametrize(("route", "more"), BARRED)
def test_no_setting_admits_what_decides_the_payer_or_is_kept_by_the_provider(route: str, more: dict[str, Any]) -> None:
    """The refusal says so, and whatever is set, it is refused."""
    names = [
        *more,
        "tools.mcp",
        "tools.file_search",
        "tools.retrieval",
        "tools.shell",
        "tools.image_generation",
        "tools.",
        "tools.a b",
        "tools.fileSearch",
        "input.",
    ]
    names += ["tools.mcpServers", "contents.parts.fileData", "messages.content.video", "messages.audio"]
    for bounds in ({}, dict.fromkeys(names, EXTRA)):
        with pytest.raises(CostUnbounded) as refused:
            ask(route, more, bounds)
        assert refused.value.facts["setting"] == NO_SETTING


def test_what_no_usage_reports_needs_a_fee() -> None:
    """Tokens alone would admit a search for nothing."""
    with pytest.raises(CostUnbounded) as refused:
        ask("chat", {"web_search_options": {}}, {"web_search_options": Extra(input_tokens=10)})
    assert "fee_usd" in refused.value.message
    assert ask("chat", {"web_search_options": {}}, {"web_search_options": Extra(fee_pico=1)}).demand.fee_pico == 1


def test_files_that_a_setting_admits_must_be_the_callers_own() -> None:
    """The gateway checks whose they are before anything is sent."""
    part = {"type": "input_file", "file_id": "file-1"}
    assert ask("responses", {"input": user(part)}, {"input.content.input_file": EXTRA}).uses == (("file", "file-1"),)
    tool = {"type": "sandbox", "resources": {"file_ids": ["file-1", "file-2"]}}
    assert ask("responses", {"tools": [tool]}, {"tools.sandbox": EXTRA}).uses == (("file", "file-1"), ("file", "file-2"))
    source = {"type": "document", "source": {"type": "file", "file_id": "file_9"}}
    assert ask("messages", {"messages": user(source)}, {"messages.content.document": EXTRA}).uses == (("file", "file_9"),)
    with pytest.raises(CostUnbounded):
        ask("responses", {"tools": [{"type": "sandbox", "file_ids": [{"id": 1}]}]}, {"tools.sandbox": EXTRA})


def test_a_request_names_only_so_many_files() -> None:
    """Each of them is looked up."""
    tool = {"type": "sandbox", "file_ids": [f"file-{number}" for number in range(limits.request_media_max + 1)]}
    with pytest.raises(InvalidRequest, match="too many"):
        ask("responses", {"tools": [tool]}, {"tools.sandbox": EXTRA})


def test_the_schemas_of_tools_have_names_of_the_callers_own() -> None:
    """A member `user_id` of a function's arguments is nobody's id."""
    tool = {"type": "hosted", "parameters": {"properties": {"user_id": {"type": "string"}}}}
    assert ask("chat", {"tools": [tool]}, {"tools.hosted": EXTRA}).demand.extra_input_tokens


def test_what_is_admitted_may_be_billed_by_its_own_unit() -> None:
    """Sound is dearer than text, video than either."""
    spoken = ask("chat", {"audio": {"voice": "alloy"}, "modalities": ["text", "audio"]}, {"audio": EXTRA})
    assert OUT_AUDIO in spoken.demand.output_units
    film = ask("gemini", contents({"fileData": {"fileUri": "https://youtu.be/x"}}), {"contents.parts.fileData": EXTRA})
    assert IN_VIDEO in film.demand.input_units


def test_hosts_that_charge_for_reading_files_need_the_fee() -> None:
    """What it is, is not known of any."""
    body = json.dumps({**PLAIN["chat"], "messages": user({"type": "file", "file": {"file_data": "JVBERi0="}})}).encode()
    bounds = Bounds("groq", {"messages.content.file": EXTRA})
    assert OpenAI(host=HOSTS["groq"], bounds=bounds).ask(ROUTES["chat"], body, {}).demand.fee_pico == EXTRA.fee_pico
    with pytest.raises(CostUnbounded, match=r"\[providers\.groq\].*fee_usd"):
        OpenAI(host=HOSTS["groq"], bounds=Bounds("groq")).ask(ROUTES["chat"], body, {})


# --- headers and betas ------------------------------------------------------------------------------------------------------------------

PAYERS = {
    "openai": ("openai-organization", "openai-project", "openai-beta", "x-api-key"),
    "azure": ("x-ms-client-request-id", "x-ms-region", "x-ms-oai-assistant-testenv", "ocp-apim-subscription-key", "api-key"),
    "anthropic": ("authorization", "x-api-key", "x-organization"),
    "gemini": ("x-goog-user-project", "x-goog-request-params", "x-goog-api-key", "x-server-timeout", "x-goog-quota-user"),
    "elevenlabs": ("xi-api-key", "xi-workspace-id", "x-workspace"),
    "bedrock": (
        *("x-amzn-bedrock-guardrailidentifier", "x-amzn-bedrock-guardrailversion", "x-amzn-bedrock-performanceconfig-latency"),
        *("x-amzn-bedrock-service-tier", "x-amzn-bedrock-trace", "x-amz-security-token", "x-amz-date", "authorization"),
    ),
}
"""Headers that decide who pays, at what price, or by whose key: they must not get through."""


@pytest.mark.parametrize(("provider", "header"), [(provider, header) for provider, headers in PAYERS.items() for header in headers])
def test_headers_that_move_cost_or_payer_never_go_along(provider: str, header: str) -> None:
    """Of what a client sends only what a dialect names, or begins as it says, is forwarded."""
    forwards = DIALECTS.get(provider, DIALECTS["openai"]).forwards
    assert not header.encode().startswith(forwards)


@pytest.mark.parametrize(
    "header",
    [
        "anthropic-workspace-id",
        "anthropic-user-profile-id",
        "anthropic-organization-id",
        "anthropic-billing-account",
        "anthropic-x-project",
    ],
)
def test_a_header_that_names_another_payer_is_refused(header: str) -> None:
    """Anthropic's headers go along as they are, so these are no calls at all. Counting tokens with one is none either."""
    for name in ("messages", "count_tokens"):
        with pytest.raises(CostUnbounded, match="decides who pays") as refused:
            Anthropic().ask(Route("anthropic", name, "POST"), json.dumps(PLAIN["messages"]).encode(), {header.encode(): b"x"})
        assert refused.value.facts["setting"] == NO_SETTING


@pytest.mark.parametrize(
    "beta",
    ["user-profiles-2026-03-24", "USER-PROFILES-2026-09-04", "user-profiles-billing-2026-10-01", "context-1m-2025-08-07, user-profiles"],
)
def test_a_beta_that_lets_a_request_name_its_payer_is_refused(beta: str) -> None:
    """In any letters, among others, by any date."""
    with pytest.raises(CostUnbounded, match="decides who pays"):
        ask("messages", {}, headers={b"anthropic-beta": beta.encode()})


def test_other_betas_pass_and_unknown_ones_are_counted_by_name() -> None:
    """What a beta costs is decided by the field that it allows. A key may refuse the unknown, as it may unknown fields."""
    known = b"context-1m-2025-08-07,interleaved-thinking-2025-05-14, claude-code-20250219"
    assert ask("messages", {}, headers={b"anthropic-beta": known, b"anthropic-version": b"2023-06-01"}).unknown_fields == ()
    unknown = ask("messages", {}, headers={b"anthropic-beta": known + b",mind-reading-2027-01-01", b"anthropic-mood": b"good"})
    assert unknown.unknown_fields == ("anthropic-mood", "anthropic-beta: mind-reading-2027-01-01")
    many = ask("messages", {}, headers={b"anthropic-beta": b",".join(b"x%d" % number for number in range(1000))})
    assert len(many.unknown_fields) == 16


def test_queries_that_name_a_payer_never_go_along() -> None:
    """Of a query only what a dialect knows is sent on."""
    plain = ask("gemini", {})
    gemini, eleven = DIALECTS["gemini"], DIALECTS["elevenlabs"]
    query = b"key=abc&userProject=other&$userProject=other&quotaUser=q&alt=json"
    assert gemini.target(plain, Route("gemini", "generate_content", "POST", "/v1beta/models/"), "gemini-2.5-flash", query).endswith(
        "/v1beta/models/gemini-2.5-flash:generateContent"
    )
    sent = b"enable_logging=false&optimize_streaming_latency=3&workspace_id=w&xi_api_key=k&service_account=s"
    target = eleven.target(plain, Route("elevenlabs", "text_to_speech", "POST", "/v1/text-to-speech/v"), "eleven_flash_v2_5", sent)
    assert target == "/v1/text-to-speech/v?enable_logging=false&optimize_streaming_latency=3"
    openai = DIALECTS["openai"].target(ask("chat", {}), Route("openai", "chat_completions", "POST", "/chat/completions"), "m", b"project=p")
    assert openai == "/chat/completions"
