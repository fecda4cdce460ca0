"""What a chat completions request may cost at most, and what is refused because nobody can say."""

import json
from typing import Any

import pytest

from farebox.dialects import OpenAI
from farebox.dialects.base import Ask
from farebox.dialects.routes import match
from farebox.errors import AmbiguousBody, CostUnbounded, InvalidRequest
from farebox.usage import (
    IN_CACHE_READ,
    IN_CACHE_WRITE_1H,
    IN_CACHE_WRITE_12H,
    IN_CACHE_WRITE_30M,
    IN_TEXT,
    PLAIN,
    Conditions,
)

CHAT = match("POST", "/openai/v1/chat/completions", [])
HELLO = [{"role": "user", "content": "hello"}]
OPENAI = OpenAI()
PRIORITY = Conditions(service_tier="priority")
FLEX = Conditions(service_tier="flex")
OPTIONS_NOBODY_HAS: list[Any] = [1, [], {"include_usage": 1}, {"include_obfuscation": "no"}]
TOOLS_NOBODY_HAS: list[Any] = ["x", {"a": 1}, [1], [{"type": 5}]]


def encoded(**members: Any) -> bytes:
    """A request body; a member that is None is left out."""
    return json.dumps({"model": "gpt-6-sol", "messages": HELLO, **members}).encode()


def ask(**members: Any) -> Ask:
    """What the dialect reads from it."""
    return OPENAI.ask(CHAT, encoded(**members), {})


def test_a_plain_request_is_bounded_by_its_bytes() -> None:
    """Bytes, 16 a message, 64 a tool, 1024 for the rest."""
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "g"}}]
    body = encoded(tools=tools)
    read = OPENAI.ask(CHAT, body, {})
    assert (read.dialect, read.route, read.model, read.stream) == ("openai", "chat_completions", "gpt-6-sol", False)
    assert (read.messages, read.tools) == (1, 2)
    assert read.demand.input_tokens_max == len(body) + 16 + 2 * 64 + 1024
    assert read.demand.input_units == (IN_TEXT, IN_CACHE_READ, IN_CACHE_WRITE_30M)
    assert read.demand.output_tokens_named is None
    assert read.demand.choices == 1
    assert read.unknown_fields == ()


@pytest.mark.parametrize(
    ("members", "field", "cap"),
    [
        ({}, "max_completion_tokens", None),
        ({"max_completion_tokens": 7}, "max_completion_tokens", 7),
        ({"max_tokens": 7}, "max_tokens", 7),
        ({"max_tokens": None, "max_completion_tokens": 7}, "max_completion_tokens", 7),
        ({"max_tokens": 7, "max_completion_tokens": None}, "max_tokens", 7),
        ({"max_tokens": None}, "max_completion_tokens", None),
    ],
)
def test_the_cap_is_the_one_the_caller_named(members: dict[str, Any], field: str, cap: int | None) -> None:
    """Null is absent."""
    read = ask(**members)
    assert (read.cap_field, read.demand.output_tokens_named) == (field, cap)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n"])
@pytest.mark.parametrize("value", [0, -1, True, 1.0, 1e2, "7", [7], 2**31, 10**30])
def test_caps_that_are_no_positive_integer_are_invalid_by_name(name: str, value: Any) -> None:
    """Two readers could take them for different numbers, or for none."""
    with pytest.raises(InvalidRequest) as refused:
        ask(**{name: value})
    assert refused.value.facts["field"] == name
    assert name in refused.value.message


def test_both_caps_are_invalid() -> None:
    """The provider refuses them too."""
    with pytest.raises(InvalidRequest):
        ask(max_tokens=5, max_completion_tokens=5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, 5) for name in ("Max_Tokens", "maxTokens", "MAX_TOKENS", "max-tokens", "maxCompletionTokens", "max_to\u212aens")),
        *(("N", 5), ("Stream", True), ("Model", "x"), ("streamOptions", {}), ("serviceTier", "priority"), ("Tools", [])),
        *(("webSearchOptions", {}), ("Messages", []), ("maxOutputTokens", 5), ("generationConfig", {})),
    ],
)
def test_another_spelling_of_a_field_that_moves_cost_is_ambiguous(name: str, value: Any) -> None:
    """A lenient reader upstream could take it for the field itself."""
    with pytest.raises(AmbiguousBody):
        ask(**{name: value})


@pytest.mark.parametrize(
    "members",
    [
        {"stream_options": {"includeUsage": True}},
        {"messages": [{"role": "user", "Content": "x"}]},
        {"messages": [{"role": "user", "content": [{"Type": "text", "text": "x"}]}]},
        {"tools": [{"Type": "function"}]},
        {"prompt_cache_options": {"TTL": "12h"}},
    ],
)
def test_other_spellings_are_ambiguous_in_inner_objects_too(members: dict[str, Any]) -> None:
    """Wherever the quote or a rewrite looks."""
    with pytest.raises(AmbiguousBody):
        ask(**members)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"web_search_options": {}}, "web_search_options"),
        ({"model": "gpt-5-search-api", "audio": None}, None),
        ({"model": "gpt-4o-search-preview"}, "model"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"function": {"name": "f"}}]}, "tools[0].type"),
        ({"service_tier": "scale"}, "service_tier"),
        ({"service_tier": "ultrafast"}, "service_tier"),
        ({"best_of": 4}, "best_of"),
        ({"use_beam_search": True}, "use_beam_search"),
        ({"max_output_tokens": 4}, "max_output_tokens"),
        ({"generation_config": {}}, "generation_config"),
        ({"models": ["a", "b"]}, "models"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"background": True}, "background"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"prompt_cache_options": {"ttl": "99h"}}, "prompt_cache_options.ttl"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
        *(
            ({"messages": [{"role": "user", "content": [{"type": kind}]}]}, "messages[0].content[0].type")
            for kind in ("video_url", "hologram")
        ),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "image_url": {}}]}]}, "messages[0].content[0].image_url"),
    ],
)
def test_what_has_no_bound_is_refused_by_name(members: dict[str, Any], field: str | None) -> None:
    """Fees, media, state on the provider's side, kinds nobody knows."""
    if field is None:
        field = "model"
    with pytest.raises(CostUnbounded) as refused:
        ask(**members)
    assert refused.value.facts["field"] == field
    assert field in refused.value.message


@pytest.mark.parametrize(
    "members",
    [
        {"audio": None, "web_search_options": None, "models": [], "background": False, "modalities": ["text"]},
        {"modalities": None, "tools": None, "tool_choice": "none", "logprobs": True, "top_logprobs": 5, "store": True},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": []}, {"role": "tool", "content": "x", "tool_call_id": "1"}]},
        {"messages": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "reasoning_content": "x"}]},
    ],
)
def test_what_cannot_move_cost_passes(members: dict[str, Any]) -> None:
    """Null, false and empty are not asking for anything."""
    assert ask(**members).unknown_fields == ()


@pytest.mark.parametrize(
    "members",
    [
        *({"model": value} for value in (None, "", 5, ["x"], "x" * 300, "a\nb")),
        *({"messages": value} for value in (None, [], "x", [1], {"role": "user"}, [{"content": 5}], [{"content": ["x"]}])),
        *({"stream": 1}, {"stream": "true"}, {"stream": []}),
        *({"stream_options": value} for value in OPTIONS_NOBODY_HAS),
        *({"tools": value} for value in TOOLS_NOBODY_HAS),
        *({"service_tier": 5}, {"prediction": "x"}, {"functions": "f"}, {"prompt_cache_options": "12h"}, {"n": 129}),
    ],
)
def test_wrong_types_are_invalid(members: dict[str, Any]) -> None:
    """A type that the quote does not expect is not guessed at."""
    with pytest.raises(InvalidRequest):
        ask(**members)


def test_unknown_fields_pass_and_are_named() -> None:
    """Shortened, printable, and not more than can be counted."""
    read = ask(**{"top_k": 5, "x" * 500: 1, "new\nline": 2}, **{f"f{number}": 0 for number in range(200)})
    assert "top_k" in ask(top_k=5).unknown_fields
    assert len(read.unknown_fields) == 32
    assert all(len(name) <= 64 and name.isprintable() for name in read.unknown_fields)


@pytest.mark.parametrize(
    ("tier", "conditions"),
    [
        (None, (PLAIN, PRIORITY)),
        ("auto", (PLAIN, PRIORITY)),
        ("default", (PLAIN,)),
        ("flex", (FLEX, PLAIN)),
        ("priority", (PRIORITY, PLAIN)),
        ("fast", (PRIORITY, PLAIN)),
    ],
)
def test_every_tier_that_may_be_billed_is_demanded(tier: str | None, conditions: tuple[Conditions, ...]) -> None:
    """What serves `auto`, and none, is decided by the project's setting at the provider."""
    assert ask(service_tier=tier).demand.conditions == conditions


def test_an_operator_may_say_what_auto_means() -> None:
    """With the provider's project pinned to default, holds need not cover priority."""
    pinned = OpenAI(tiers_of_auto=("default",))
    assert pinned.ask(CHAT, encoded(), {}).demand.conditions == (PLAIN,)


@pytest.mark.parametrize(
    ("members", "unit"),
    [
        ({"prompt_cache_options": {"mode": "explicit", "ttl": "12h"}}, IN_CACHE_WRITE_12H),
        (
            {"messages": [{"content": [{"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}]}]},
            IN_CACHE_WRITE_12H,
        ),
        (
            {"messages": [{"content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]}]},
            IN_CACHE_WRITE_1H,
        ),
    ],
)
def test_cache_lifetimes_that_are_asked_for_are_demanded(members: dict[str, Any], unit: str) -> None:
    """Beside the implicit write of thirty minutes."""
    assert {unit, IN_CACHE_WRITE_30M} <= set(ask(**members).demand.input_units)


def test_a_prediction_adds_its_bytes_to_every_choice() -> None:
    """Rejected predictions are output that no cap bounds, and that nobody sees."""
    read = ask(model="gpt-4o", prediction={"type": "content", "content": "x" * 100}, n=2)
    assert read.demand.extra_output_tokens >= 200
    assert read.demand.choices == 2
    assert read.hidden_output


@pytest.mark.parametrize(
    ("model", "hidden"), [("gpt-6-sol", True), ("o3", True), ("gpt-4o-mini", False), ("openai/gpt-4.1", False), ("deepseek-chat", True)]
)
def test_output_is_taken_as_hidden_unless_that_is_impossible(model: str, hidden: bool) -> None:
    """A model nobody knows may reason."""
    assert ask(model=model).hidden_output is hidden
    assert OPENAI.hides_output(model) is hidden


@pytest.mark.parametrize(
    ("members", "hides"),
    [
        ({}, False),
        ({"stream": True}, True),
        ({"stream": True, "stream_options": None}, True),
        ({"stream": True, "stream_options": {"include_usage": False}}, True),
        ({"stream": True, "stream_options": {"include_usage": True}}, False),
        ({"stream": False, "stream_options": {"include_usage": False}}, False),
    ],
)
def test_usage_is_hidden_from_streams_that_did_not_ask(members: dict[str, Any], hides: bool) -> None:
    """Only streams hide anything."""
    assert ask(**members).hides_usage is hides


def test_nothing_to_change_gives_the_same_object() -> None:
    """A body that needs no change is not copied."""
    body = encoded(max_tokens=9)
    read = OPENAI.ask(CHAT, body, {})
    assert OPENAI.rewrite(read, body, model=None, output_cap=None) is body
    assert OPENAI.rewrite(read, body, model="gpt-6-sol", output_cap=9) is body


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {}}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        ({"stream_options": {"include_obfuscation": False}}, {"include_usage": True, "include_obfuscation": False}),
        ({"stream_options": {"include_obfuscation": True, "include_usage": None}}, {"include_usage": True, "include_obfuscation": True}),
    ],
)
def test_usage_is_asked_for_on_streams(members: dict[str, Any], expected: dict[str, bool]) -> None:
    """Whatever stood there; other options stay."""
    body = encoded(stream=True, **members)
    read = OPENAI.ask(CHAT, body, {})
    sent = json.loads(OPENAI.rewrite(read, body, model=None, output_cap=None))
    assert sent == {**json.loads(body), "stream_options": expected}


@pytest.mark.parametrize(
    ("members", "cap", "expected"),
    [
        ({}, 256, {"max_completion_tokens": 256}),
        ({"max_tokens": 900}, 256, {"max_tokens": 256}),
        ({"max_completion_tokens": 900}, 256, {"max_completion_tokens": 256}),
        ({"max_completion_tokens": None}, 256, {"max_completion_tokens": 256}),
        ({"max_tokens": None}, 256, {"max_tokens": None, "max_completion_tokens": 256}),
    ],
)
def test_the_cap_is_set_in_the_field_the_caller_used(members: dict[str, Any], cap: int, expected: dict[str, Any]) -> None:
    """Never both, never twice."""
    body = encoded(**members)
    read = OPENAI.ask(CHAT, body, {})
    sent = json.loads(OPENAI.rewrite(read, body, model="gpt-6-luna", output_cap=cap))
    assert sent == {"model": "gpt-6-luna", "messages": HELLO, **expected}


def test_older_hosts_get_the_field_they_know() -> None:
    """An instance of the dialect says which."""
    older = OpenAI(cap_field="max_tokens")
    body = encoded()
    read = older.ask(CHAT, body, {})
    assert json.loads(older.rewrite(read, body, model=None, output_cap=5))["max_tokens"] == 5


def test_a_rewrite_touches_no_other_byte() -> None:
    """White space, escapes, order and number spellings stay as the client wrote them."""
    body = b'{ "messages" : [{"role":"user","content":"caf\\u00e9 \xc3\xa9 \\"model\\": 1"}],\r\n "temperature":1.0e0, "model"\t:"fast" }'
    read = OPENAI.ask(CHAT, body, {})
    assert OPENAI.rewrite(read, body, model="gpt-6-sol", output_cap=None) == body.replace(b'"fast"', b'"gpt-6-sol"')
    inserted = OPENAI.rewrite(read, body, model=None, output_cap=5)
    assert inserted == b'{"max_completion_tokens":5,' + body[1:]
