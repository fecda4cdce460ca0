"""What is counted, and what providers are asked to count."""

import json
from typing import Any

import pytest

from farebox.dialects import DIALECTS, counting
from farebox.dialects.base import Ask
from farebox.dialects.counting.question import Question
from farebox.dialects.routes import METERED

_TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}
_CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "seen"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "well"}, {"type": "refusal", "refusal": "no"}]},
]


def _ask(dialect: str, route: str, body: dict[str, Any]) -> tuple[Ask, bytes]:
    raw = json.dumps(body).encode()
    return DIALECTS[dialect].ask(METERED[dialect, route], raw, {}), raw


def _counted(dialect: str, route: str, model: str, body: dict[str, Any]) -> tuple[int | None, Question | None]:
    ask, raw = _ask(dialect, route, {"model": model, **body})
    how = counting.how(ask)
    assert how is not None
    return how.here(ask, raw, model), how.there(ask, raw, model)


def test_a_chat_is_put_in_the_words_of_a_response() -> None:
    """Roles, parts, calls of tools and their answers, tools and the schema of the answer: all that is input."""
    _, question = _counted(
        "openai", "chat_completions", "gpt-6-luna", {"messages": _CHAT, "tools": [_TOOL], "response_format": _SCHEMA, "temperature": 1}
    )
    assert question is not None
    assert question.target == "/responses/input_tokens"
    assert json.loads(question.body) == {
        "model": "gpt-6-luna",
        "input": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"a":1}'},
            {"type": "function_call_output", "call_id": "c1", "output": "seen"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "well"}, {"type": "refusal", "refusal": "no"}]},
        ],
        "tools": [{"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}}],
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
    }


@pytest.mark.parametrize(
    "message",
    [
        {"role": "function", "name": "f", "content": "old"},
        {"role": "assistant", "content": "x", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "tool", "content": "no id"},
        {"role": "assistant", "content": None, "refusal": "no " * 1000},
        {"role": "user", "content": "x", "name": "n" * 64},
        {"role": "assistant", "content": "x", "reasoning_content": "well " * 1000},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}]},
    ],
)
def test_a_chat_that_a_response_has_no_words_for_is_not_asked_about(message: dict[str, Any]) -> None:
    """Its bound by the bytes stands."""
    assert _counted("openai", "chat_completions", "gpt-6-luna", {"messages": [message]})[1] is None


def test_functions_of_the_older_kind_are_input_that_is_not_asked_about() -> None:
    """A response has none: a count without them would be far too low."""
    function = {"name": "look", "description": "Looks. " * 1000, "parameters": {"type": "object"}}
    body = {"messages": [{"role": "user", "content": "hi"}], "functions": [function]}
    assert _counted("openai", "chat_completions", "gpt-6-luna", body)[1] is None


def test_a_model_whose_tokenizer_is_public_is_counted_here() -> None:
    """Not below what its text has, and well below its bytes."""
    text = "the quick brown fox " * 1000
    counted, _ = _counted("openai", "chat_completions", "gpt-4o", {"messages": [{"role": "user", "content": text}]})
    assert counted is not None
    assert 4001 <= counted <= 4600
    assert _counted("openai", "chat_completions", "gpt-6-luna", {"messages": [{"role": "user", "content": text}]})[0] is None


def test_tokens_of_a_list_of_tokens_are_themselves() -> None:
    """Texts and token arrays, one or many."""
    alone, none = _counted("openai", "embeddings", "text-embedding-3-small", {"input": list(range(5000))})
    assert none is None
    assert alone is not None
    assert alone >= 5000
    several, _ = _counted("openai", "embeddings", "text-embedding-3-small", {"input": [list(range(300)), list(range(200))]})
    assert several is not None
    assert 500 <= several < 800


def test_what_keeps_state_at_the_provider_is_counted_there_only() -> None:
    """The request does not have all of its input."""
    here, there = _counted("openai", "responses", "gpt-4o", {"input": "hi", "previous_response_id": "resp_1"})
    assert here is None
    assert there is not None
    assert json.loads(there.body)["previous_response_id"] == "resp_1"


def test_messages_are_asked_without_what_concerns_the_answer() -> None:
    """The endpoint refuses what it does not know."""
    body = {"max_tokens": 100, "stream": True, "temperature": 1, "system": "s", "messages": [{"role": "user", "content": "hi"}]}
    here, there = _counted("anthropic", "messages", "claude-sonnet-5-5", body)
    assert here is None
    assert there is not None
    assert json.loads(there.body) == {"model": "claude-sonnet-5-5", "system": "s", "messages": body["messages"]}


def test_a_request_that_runs_the_model_more_than_once_is_not_counted() -> None:
    """Its tools bring back what no count has."""
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]
    ask, _ = _ask(
        "anthropic",
        "messages",
        {"model": "claude-sonnet-5-5", "max_tokens": 9, "tools": tools, "messages": [{"role": "user", "content": "hi"}]},
    )
    assert counting.how(ask) is None


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        (b'{"input_tokens":1000}', 1178),
        (b'{"input_tokens":0}', None),
        (b'{"input_tokens":-5}', None),
        (b'{"input_tokens":1e3}', None),
        (b'{"input_tokens":true}', None),
        (b'{"input_tokens":100000000000000}', None),
        (b"{}", None),
        (b"[]", None),
        (b"", None),
        (b"[" * 100_000, None),
        (b"\xff", None),
    ],
)
def test_an_answer_counts_only_as_a_whole_number(said: bytes, tokens: int | None) -> None:
    """With a margin, because it is an estimate; anything else is no count."""
    assert Question("/t", b"", "input_tokens").answer(said) == tokens


def test_a_count_only_ever_lowers_the_bound() -> None:
    """The bytes are a bound that holds."""
    ask, _ = _ask("openai", "chat_completions", {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]})
    most = ask.demand.input_tokens_max
    assert counting.narrowed(ask, most + 5).demand.input_tokens_max == most
    assert counting.narrowed(ask, 7).demand.input_tokens_max == 7
