"""What a messages request may cost at most, and what is refused because nobody can say."""

import json
from typing import Any

import pytest

from farebox import limits
from farebox.dialects import Anthropic
from farebox.dialects.anthropic.request import Defaults
from farebox.dialects.base import Ask
from farebox.dialects.routes import match
from farebox.errors import AmbiguousBody, CostUnbounded, InvalidRequest
from farebox.usage import IN_CACHE_READ, IN_CACHE_WRITE_1H, IN_CACHE_WRITE_5M, IN_TEXT, PLAIN, TOOL_WEB_SEARCH, Conditions

MESSAGES = match("POST", "/anthropic/v1/messages", [])
COUNT_TOKENS = match("POST", "/anthropic/v1/messages/count_tokens", [])
ANTHROPIC = Anthropic()
PINNED = Anthropic(Defaults(tiers_of_auto=("default",), geos_of_default=("global",)))
HELLO = [{"role": "user", "content": "hello"}]
EPHEMERAL = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def encoded(**members: Any) -> bytes:
    """A request body."""
    return json.dumps({"model": "claude-opus-5-5", "max_tokens": 100, "messages": HELLO, **members}).encode()


def ask(headers: dict[bytes, bytes] | None = None, /, **members: Any) -> Ask:
    """What the dialect reads from it."""
    return ANTHROPIC.ask(MESSAGES, encoded(**members), headers or {})


def block(**members: Any) -> dict[str, Any]:
    """A request with one content block."""
    return {"messages": [{"role": "user", "content": [members]}]}


def test_a_plain_request_is_bounded_by_its_bytes() -> None:
    """Bytes, 16 a message, 64 a tool, 2048 for the rest."""
    body = encoded(tools=[{"name": "f", "input_schema": {"type": "object"}}, {"type": "custom", "name": "g", "input_schema": {}}])
    read = ANTHROPIC.ask(MESSAGES, body, {})
    assert (read.dialect, read.route, read.model, read.stream) == ("anthropic", "messages", "claude-opus-5-5", False)
    assert read.demand.input_tokens_max == len(body) + 16 + 2 * 64 + 2048
    assert read.demand.input_units == (IN_TEXT, IN_CACHE_READ)
    assert (read.demand.output_tokens_named, read.demand.output_tokens_min, read.demand.choices) == (100, 1, 1)
    assert not read.hides_usage


def test_a_claude_code_request_is_read_whole() -> None:
    """System blocks with breakpoints, tools, thinking kept from earlier turns, context edits that only remove."""
    read = ask(
        {b"anthropic-beta": b"claude-code-20250219,context-management-2025-06-27,advisor-tool-2026-03-01"},
        system=[{"type": "text", "text": "You are", "cache_control": EPHEMERAL}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": HOUR}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "", "signature": "abc"},
                    {"type": "redacted_thinking", "data": "abc"},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {"cache_control": "no-store", "type": "image"}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "y"}]}]},
        ],
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}, {"type": "clear_tool_uses_20250919"}]},
        metadata={"user_id": "u"},
        stream=True,
    )
    assert read.stream
    assert read.unknown_fields == ()
    assert set(read.demand.input_units) == {IN_TEXT, IN_CACHE_READ, IN_CACHE_WRITE_5M, IN_CACHE_WRITE_1H}


@pytest.mark.parametrize(
    ("members", "units"),
    [
        ({"cache_control": EPHEMERAL}, {IN_CACHE_WRITE_5M}),
        ({"cache_control": {"type": "ephemeral", "ttl": "5m"}}, {IN_CACHE_WRITE_5M}),
        ({"cache_control": None}, set()),
        ({"system": [{"type": "text", "text": "x", "cache_control": HOUR}]}, {IN_CACHE_WRITE_1H}),
        ({"tools": [{"name": "f", "cache_control": HOUR}]}, {IN_CACHE_WRITE_1H}),
        (block(type="tool_result", content=[{"type": "text", "text": "x", "cache_control": HOUR}]), {IN_CACHE_WRITE_1H}),
        (
            block(type="document", source={"type": "content", "content": [{"type": "text", "text": "x", "cache_control": HOUR}]}),
            {IN_CACHE_WRITE_1H},
        ),
        (block(type="search_result", content=[{"type": "text", "text": "x", "cache_control": EPHEMERAL}]), {IN_CACHE_WRITE_5M}),
    ],
)
def test_cache_breakpoints_are_found_wherever_they_are(members: dict[str, Any], units: set[str]) -> None:
    """Each lifetime is a unit of its own, and the dearest is held."""
    assert set(ask(**members).demand.input_units) == {IN_TEXT, IN_CACHE_READ} | units


@pytest.mark.parametrize(
    ("members", "field"),
    [
        *(({"tools": [{"type": kind, "name": "x"}]}, "tools[0].type") for kind in ("code_execution_20250825", "web_search", "hologram")),
        *(({"tools": [{"type": kind, "name": "x"}]}, "tools[0].max_uses") for kind in ("web_search_20250305", "web_fetch_20250910")),
        ({"tools": [{"type": "web_fetch_20250910", "name": "x", "max_uses": 2}]}, "tools[0].max_content_tokens"),
        ({"tools": [{"type": "advisor_20260301", "model": "claude-opus-5-5", "max_uses": 2}]}, "tools[0].max_tokens"),
        ({"mcp_servers": [{"url": "https://x"}]}, "mcp_servers"),
        ({"container": "c_1"}, "container"),
        ({"fallback_credit_token": "x"}, "fallback_credit_token"),
        ({"thread": {"type": "create"}}, "thread"),
        ({"billing_policy": {"bill_to": "user_profile"}}, "billing_policy"),
        ({"user_profile_id": "u"}, "user_profile_id"),
        ({"compaction": {"type": "summarize"}}, "compaction"),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, "context_management.edits[0].type"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"speed": "ludicrous"}, "speed"),
        ({"inference_geo": "eu"}, "inference_geo"),
        ({"cache_control": {"type": "ephemeral", "ttl": "24h"}}, "cache_control.ttl"),
        *(
            (block(type=kind), "messages[0].content[0].type")
            for kind in ("container_upload", "compaction", "tool_addition", "mcp_tool_use", "hologram")
        ),
        *((block(type="document", source={"type": kind}), "messages[0].content[0].source.type") for kind in ("url", "file", "hologram")),
        (block(type="document", source={"type": "text", "data": "x", "url": "https://x"}), "messages[0].content[0].source.url"),
        (block(type="tool_result", content=[{"type": "video"}]), "messages[0].content[0].content[0].type"),
        ({"system": [{"type": "video"}]}, "system[0].type"),
        (block(type="text", text="x", content=[{"type": "video"}]), "messages[0].content[0].content[0].type"),
        (block(type="text", text="x", source={"type": "url"}), "messages[0].content[0].source.type"),
        ({"max_tokens_to_sample": 5}, "max_tokens_to_sample"),
        ({"generation_config": {"max_output_tokens": 5}}, "generation_config"),
    ],
)
def test_what_has_no_bound_is_refused_by_name(members: dict[str, Any], field: str) -> None:
    """Server tools, media, state, other payers, other models, kinds nobody knows."""
    with pytest.raises(CostUnbounded) as refused:
        ask(**members)
    assert refused.value.facts["field"] == field


@pytest.mark.parametrize(
    "headers",
    [
        {b"anthropic-user-profile-id": b"u"},
        {b"anthropic-workspace-id": b"w"},
        {b"anthropic-beta": b"prompt-caching-2024-07-31, user-profiles-billing-2026-10-01"},
    ],
)
def test_headers_that_decide_who_pays_are_refused(headers: dict[bytes, bytes]) -> None:
    """On every route that has a body."""
    for route in (MESSAGES, COUNT_TOKENS):
        with pytest.raises(CostUnbounded):
            ANTHROPIC.ask(route, encoded(), headers)


@pytest.mark.parametrize(
    "members",
    [
        {"maxTokens": 5},
        {"Max_Tokens": 5},
        {"mcpServers": []},
        {"cacheControl": EPHEMERAL},
        {"serviceTier": "auto"},
        {"thinking": {"type": "enabled", "budgetTokens": 5}},
        {"cache_control": {"type": "ephemeral", "TTL": "1h"}},
        {"tools": [{"name": "f", "Type": "web_search"}]},
        block(type="text", text="x", cacheControl=HOUR),
        {"context_management": {"Edits": []}},
        block(type="document", source={"type": "text", "data": "x", "fileId": "f"}),
    ],
)
def test_another_spelling_of_a_field_that_moves_cost_is_ambiguous(members: dict[str, Any]) -> None:
    """At the top and wherever the quote looks."""
    with pytest.raises(AmbiguousBody):
        ask(**members)


@pytest.mark.parametrize(
    ("members", "named", "least"),
    [
        ({"max_tokens": 0}, 0, 0),
        ({"max_tokens": 1}, 1, 1),
        ({"max_tokens": 5000, "thinking": {"type": "enabled", "budget_tokens": 2000}}, 5000, 2001),
        ({"max_tokens": 1500, "thinking": {"type": "enabled", "budget_tokens": 2000}}, 1500, 1500),
        ({"thinking": {"type": "adaptive"}}, 100, 1),
        ({"thinking": {"type": "disabled"}}, 100, 1),
    ],
)
def test_the_cap_is_never_lowered_below_a_thinking_budget(members: dict[str, Any], named: int, least: int) -> None:
    """Zero is a prewarm; an interleaved budget may exceed the cap, which stands then."""
    demand = ask(**members).demand
    assert (demand.output_tokens_named, demand.output_tokens_min) == (named, least)


@pytest.mark.parametrize(
    ("members", "hidden"),
    [
        ({}, True),
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "adaptive"}}, True),
        ({"model": "claude-3-5-haiku-20241022"}, False),
        ({"model": "claude-3-7-sonnet-20250219"}, True),
    ],
)
def test_output_is_taken_as_hidden_unless_that_is_impossible(members: dict[str, Any], hidden: bool) -> None:
    """Without a word about thinking, the model decides."""
    assert ask(**members).hidden_output is hidden


@pytest.mark.parametrize(
    ("members", "conditions"),
    [
        ({}, {PLAIN}),
        ({"service_tier": "standard_only", "speed": "standard", "inference_geo": "global"}, {PLAIN}),
        ({"speed": "fast"}, {PLAIN, Conditions(speed="fast")}),
        ({"inference_geo": "us"}, {Conditions(geo="us")}),
    ],
)
def test_conditions_are_what_the_request_says(members: dict[str, Any], conditions: set[Conditions]) -> None:
    """With a workspace that is pinned to the plain ones."""
    assert set(PINNED.ask(MESSAGES, encoded(**members), {}).demand.conditions) == conditions


def test_without_a_pinned_workspace_every_tier_and_region_is_demanded() -> None:
    """Its settings decide, and they are not known here."""
    tiers, geos = ("default", "priority"), ("global", "us")
    assert set(ask().demand.conditions) == {Conditions(service_tier=tier, geo=geo) for tier in tiers for geo in geos}
    assert set(ask(service_tier="standard_only").demand.conditions) == {Conditions(geo=geo) for geo in geos}


@pytest.mark.parametrize(
    "members",
    [
        *({"max_tokens": value} for value in (None, -1, True, 1.0, "5", 2**31)),
        *({"model": value} for value in (None, "", 5)),
        *({"messages": value} for value in (None, [], "x", [1], [{"content": 5}], [{"content": [{"type": None}]}], [{"content": [5]}])),
        *({"thinking": value} for value in ("on", {"budget_tokens": 5}, {"budget_tokens": True}, {"budget_tokens": "2000"})),
        *({"tools": value} for value in ("x", {"a": 1}, [1])),
        *({"stream": 1}, {"system": 5}, {"cache_control": "ephemeral"}, {"service_tier": 1}, {"context_management": []}),
        block(type="document"),
        block(type="image"),
        {"system": [{"type": "image"}]},
        block(type="tool_result", content=[{"type": "image", "source": 5}]),
    ],
)
def test_wrong_types_are_invalid(members: dict[str, Any]) -> None:
    """A type that the quote does not expect is not guessed at."""
    with pytest.raises(InvalidRequest):
        ask(**members)


def test_max_tokens_is_required_for_messages_only() -> None:
    """Counting takes none."""
    body = json.dumps({"model": "m", "messages": HELLO}).encode()
    with pytest.raises(InvalidRequest):
        ANTHROPIC.ask(MESSAGES, body, {})
    assert ANTHROPIC.ask(COUNT_TOKENS, body, {}).demand.output_tokens_named == 0


def test_counting_is_free_so_media_and_server_tools_pass() -> None:
    """What is kept elsewhere must be the caller's own; what is paid by others does not pass."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    body = encoded(messages=[{"role": "user", "content": [image]}], tools=[{"type": "web_search_20250305", "name": "web_search"}])
    read = ANTHROPIC.ask(COUNT_TOKENS, body, {})
    assert (read.route, read.stream, read.tools) == ("count_tokens", False, 1)
    for members in (
        {"mcp_servers": [{"url": "x"}]},
        {"container": "c"},
        block(type="document", source={"type": "hologram"}),
    ):
        with pytest.raises(CostUnbounded):
            ANTHROPIC.ask(COUNT_TOKENS, encoded(**members), {})
    for kind in ("image", "document"):
        kept = ANTHROPIC.ask(COUNT_TOKENS, encoded(**block(type=kind, source={"type": "file", "file_id": "f"})), {})
        assert kept.uses == (("file", "f"),)  # which must be its own account's
        assert ANTHROPIC.ask(COUNT_TOKENS, encoded(**block(type=kind, source={"type": "url", "url": "https://x"})), {}).uses == ()


def test_a_rewrite_touches_no_other_byte() -> None:
    """The same object when nothing changes."""
    body = b'{\n "max_tokens" : 4000 ,"model":"claude","messages":[{"role":"user","content":"\\"max_tokens\\": 1"}]}'
    read = ANTHROPIC.ask(MESSAGES, body, {})
    assert ANTHROPIC.rewrite(read, body, model=None, output_cap=None) is body
    assert ANTHROPIC.rewrite(read, body, model="claude", output_cap=4000) is body
    changed = ANTHROPIC.rewrite(read, body, model="claude-opus-5-5", output_cap=256)
    assert changed == body.replace(b"4000", b"256").replace(b'"claude"', b'"claude-opus-5-5"')


def test_the_providers_tools_are_bounded_by_their_own_caps() -> None:
    """The fee of every use; and all of the input again, with what was found and written, every time the model goes on."""
    plain = ask().demand
    tools = [
        {"type": "web_search_20250305", "name": "s", "max_uses": 3},
        {"type": "web_fetch_20250910", "name": "f", "max_uses": 2, "max_content_tokens": 9000},
    ]
    found = ask(tools=tools).demand
    assert found.fees_max == {TOOL_WEB_SEARCH: 3}
    assert found.prompts == 3, "the answer, and each page that is fetched without a fee"
    assert found.input_tokens_max > 6 * (plain.input_tokens_max + 3 * limits.search_tokens_max + 18_000)
    assert ask(tools=[{"type": "bash_20250124", "name": "bash"}]).demand.fees_max == {}


def test_other_models_are_bounded_at_their_own_prices() -> None:
    """An adviser as often as it may be asked; every model to fall back to, with its own cap or the request's."""
    adviser = {"type": "advisor_20260301", "name": "a", "model": "claude-opus-5-5", "max_uses": 2, "max_tokens": 700}
    demand = ask(tools=[adviser], fallbacks=[{"model": "claude-sonnet-5-5"}, {"model": "claude-haiku-5-5", "max_tokens": 9}]).demand
    assert [(other.model, other.demand.output_tokens_named, other.demand.prompts) for other in demand.others] == [
        ("claude-opus-5-5", 1400, 2),
        ("claude-sonnet-5-5", demand.output_tokens_named, 3),
        ("claude-haiku-5-5", 9, 3),
    ]
    assert all(other.demand.input_tokens_max >= demand.input_tokens_max for other in demand.others)


@pytest.mark.parametrize(
    ("speed", "own", "held"),
    [
        ("standard", {"speed": "fast"}, {"fast", "standard"}),
        ("standard", {}, {"standard"}),
        ("fast", {}, {"fast", "standard"}),
        ("fast", {"speed": "standard"}, {"standard"}),
        ("fast", {"speed": None}, {"standard"}),
    ],
)
def test_a_model_to_fall_back_to_is_held_for_at_its_own_speed(speed: str, own: dict[str, Any], held: set[str]) -> None:
    """An attempt may be asked to run faster, and dearer, than the request; said as null it is plain."""
    demand = ask(speed=speed, fallbacks=[{"model": "claude-opus-5", "output_config": {"effort": "low"}, **own}]).demand
    assert {one.speed for one in demand.others[0].demand.conditions} == held
    assert {one.speed for one in demand.conditions} == ({"fast", "standard"} if speed == "fast" else {"standard"})


@pytest.mark.parametrize(
    ("chain", "field"),
    [
        ("default", "fallbacks"),
        ([{"model": "claude-opus-5", "speed": "warp"}], "fallbacks[0].speed"),
        ([{"model": "claude-opus-5", "inference_geo": "us"}], "fallbacks[0].inference_geo"),
        ([{"model": "claude-opus-5", "tools": [{"type": "web_search_20250305", "name": "s"}]}], "fallbacks[0].tools"),
    ],
)
def test_what_a_fallback_changes_for_itself_is_known_or_refused(chain: Any, field: str) -> None:
    """Nobody holds for what would be billed under conditions that the request does not have."""
    with pytest.raises(CostUnbounded) as refused:
        ask(fallbacks=chain)
    assert refused.value.facts["field"] == field


@pytest.mark.parametrize(("ttl", "unit"), [({}, IN_CACHE_WRITE_5M), ({"ttl": "1h"}, IN_CACHE_WRITE_1H)])
def test_an_advisers_own_cache_is_held_for(ttl: dict[str, str], unit: str) -> None:
    """Its prompt is written to a cache where the tool says so, dearer than it is read."""
    adviser = {"type": "advisor_20260301", "name": "a", "model": "claude-opus-5-5", "max_uses": 2, "max_tokens": 700}
    plain, caching = (ask(tools=[{**adviser, **more}]).demand.others[0].demand for more in ({}, {"caching": {"type": "ephemeral", **ttl}}))
    assert unit not in plain.input_units
    assert unit in caching.input_units


def test_what_a_search_found_before_is_bounded_by_what_a_search_can_find() -> None:
    """It is encrypted: its bytes say nothing."""
    result = [{"type": "web_search_result", "url": "https://x", "encrypted_content": "abc"}]
    found = ask(**block(type="web_search_tool_result", tool_use_id="srv_1", content=result)).demand
    assert found.input_tokens_max > limits.search_tokens_max


def test_a_reference_to_a_tool_is_bounded_by_its_definition() -> None:
    """Clients that search tools themselves answer with references; each may bring the definition once more."""
    tools = [
        {"name": "search", "input_schema": {"type": "object"}},
        {"name": "weather", "description": "w" * 5000, "input_schema": {"type": "object"}, "defer_loading": True},
    ]

    def tokens(*names: str) -> int:
        found = [{"type": "tool_reference", "tool_name": name, "cache_control": HOUR} for name in names]
        read = ask(**block(type="tool_result", tool_use_id="t", content=found), tools=tools)
        assert (IN_CACHE_WRITE_1H in read.demand.input_units) == bool(names)
        return read.demand.input_tokens_max

    assert tokens("weather", "weather") > tokens() + 2 * 5000
    with pytest.raises(CostUnbounded) as refused:
        tokens("of_a_server")
    assert refused.value.facts["field"] == "messages[0].content[0].content[0].type"


@pytest.mark.parametrize("kind", ["web_search_20260209", "web_search_20260318", "web_fetch_20260209"])
def test_web_tools_that_run_programs_are_refused_unless_the_model_calls_them_itself(kind: str) -> None:
    """Each program runs the model again over all there is, and `max_uses` caps none of them."""
    tool = {"type": kind, "name": "w", "max_uses": 1, "max_content_tokens": 9}
    for callers in ({}, {"allowed_callers": ["direct", "code_execution_20260120"]}, {"allowed_callers": None}):
        with pytest.raises(CostUnbounded) as refused:
            ask(tools=[{**tool, **callers}])
        assert refused.value.facts["field"] == "tools[0].allowed_callers"
        assert f'bounds."tools.{kind}"' in str(refused.value.facts["setting"])
    assert ask(tools=[{**tool, "allowed_callers": ["direct"]}]).demand.prompts == 1 + ("fetch" in kind)
    assert ask(tools=[{**tool, "type": kind[:-8] + "20250305"}]).demand.prompts == 1 + ("fetch" in kind)
