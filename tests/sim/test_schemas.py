"""Structured output: the smallest instance of a schema, and every API that asks for one."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.sim.generation import BYTES_PER_TOKEN, Ask, Model, pieces, plan, text
from farebox.sim.schemas import CHARACTERS_MAX, instance_of, said_by
from farebox.sim.words import Words

Rows = Callable[..., Awaitable[list[dict[str, Any]]]]
MODEL = Model(context_window=None, writes_cache=False, offers=frozenset())
NODE = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
    "required": ["value", "next"],
    "additionalProperties": False,
}
ANSWER = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "stops": {"type": "array", "items": {"type": "integer"}, "minItems": 2}},
    "required": ["place", "stops"],
    "additionalProperties": False,
}
MADE = {"place": "fare", "stops": [0, 0]}
WRITTEN = '{"place":"fare","stops":[0,0]}'


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        ({"type": "string"}, "fare"),
        ({"type": "string", "minLength": 6}, "farefa"),
        ({"type": "string", "maxLength": 2}, "fa"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "string", "format": "uuid", "pattern": "^[-0-9a-f]+$"}, "00000000-0000-4000-8000-000000000000"),
        ({"type": "integer"}, 0),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3.5}, 4),
        ({"type": "integer", "maximum": -1}, -1),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"type": ["null", "string"]}, None),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2}, ["a", "a"]),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "items": False, "minItems": 2}, ["fare", None]),
        ({"const": {"a": [1]}}, {"a": [1]}),
        ({"enum": [7, 8]}, 7),
        (ANSWER, MADE),
        ({"properties": {"a": {"type": "null"}, "b": True}, "minProperties": 1}, {"a": None}),
        ({"type": "object", "required": ["x"], "additionalProperties": {"type": "integer"}}, {"x": 0}),
        ({"anyOf": [{"type": "string", "pattern": "x"}, {"type": "integer"}]}, 0),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, 0),
        (
            {
                "description": "a",
                "allOf": [{"$ref": "#/definitions/a~1b"}],
                "definitions": {"a/b": {"type": "integer", "description": "b"}},
            },
            0,
        ),
        (
            {"properties": {"a": {"minimum": 1}}, "allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "integer"}}}]},
            {"a": 1},
        ),
        ({"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}, {"value": 0, "next": None}),
    ],
)
def test_the_smallest_instance(schema: dict[str, object], instance: object) -> None:
    """One line for each keyword, and the instance is one by a validator's word too."""
    assert instance_of(schema) == instance
    assert jsonschema_rs.is_valid(schema, instance)


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        ({"type": "STRING", "format": "enum", "enum": ["EAST", "WEST"]}, "EAST"),
        ({"type": "ARRAY", "items": {"type": "NUMBER"}, "minItems": "2"}, [0, 0]),
        ({"type": "ARRAY", "items": {"any_of": [{"type": "NULL"}]}, "min_items": 1}, [None]),
        ({"type": "OBJECT", "properties": {"min_items": {"type": "INTEGER"}}, "required": ["min_items"]}, {"min_items": 0}),
        ({"type": "INTEGER", "format": "int32", "nullable": True}, 0),
        ({"type": "number", "minimum": 5, "exclusiveMinimum": True, "multipleOf": 5}, 10),
        (
            {
                "type": "OBJECT",
                "properties": {"text": {"type": "STRING"}, "more": {"ref": "#/defs/a", "nullable": True}},
                "required": ["text", "more"],
                "defs": {"a": {"type": "OBJECT", "properties": {"a": {"ref": "#/defs/a"}}, "required": ["a"]}},
            },
            {"text": "fare", "more": None},
        ),
    ],
)
def test_other_spellings(schema: dict[str, object], instance: object) -> None:
    """Gemini's: types in upper case, numbers in strings, what may be null where nothing else goes; an end that an older schema excludes."""
    assert instance_of(schema) == instance


@pytest.mark.parametrize(
    "schema",
    [
        False,
        7,
        {"type": "string", "pattern": "^a+$"},
        {"type": "string", "minLength": 5, "maxLength": 4},
        {"type": "string", "format": "uuid", "maxLength": 4},
        {"type": "string", "minLength": CHARACTERS_MAX + 1},
        {"type": "integer", "minimum": 1, "maximum": 0},
        {"type": "integer", "multipleOf": 0},
        {"type": "integer", "minimum": "1e999999999"},
        {"type": "array", "minItems": 10**12},
        {"type": "array", "items": {"type": "integer"}, "minItems": 2, "uniqueItems": True},
        {"type": "array", "items": {"const": "a" * 1000}, "minItems": 1000},
        {"type": "object", "minProperties": 1},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {"not": {"type": "object"}},
        {"anyOf": []},
        {"anyOf": [{"type": "integer"}], "type": "string"},
        {"allOf": [{"properties": {"a": True}, "additionalProperties": False}, {"properties": {"b": True}, "required": ["b"]}]},
        {"$ref": "#"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/none"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1}}},
    ],
)
def test_what_cannot_be_followed_is_an_empty_object(schema: object) -> None:
    """What has no instance, a huge one, or one that is not found without guessing."""
    assert instance_of(schema) == {}


def test_a_schema_that_doubles_at_every_step_is_given_up() -> None:
    """What is tried has a limit, not only what is answered."""
    places = {f"d{at}": {"type": "array", "items": {"$ref": f"#/$defs/d{at + 1}"}, "minItems": 2} for at in range(40)}
    assert instance_of({"$ref": "#/$defs/d0", "$defs": {**places, "d40": {"type": "null"}}}) == {}


def test_a_schema_that_is_no_json_or_far_too_deep_is_an_empty_object() -> None:
    """An answer is an answer."""
    deep = b'{"type":"array","minItems":1,"items":' * 100 + b"true" + b"}" * 100
    assert "".join(said_by(deep)) == "".join(said_by(b"{,")) == "".join(said_by(b"[" * 100_000)) == "".join(said_by(b"")) == "{}"


_ENDS = st.integers(-50, 50)
_LEAVES = (
    st.builds(lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more}, st.integers(0, 9), st.integers(0, 9))
    | st.builds(
        lambda form: {"type": "string", "format": form}, st.sampled_from(["date-time", "date", "email", "uuid", "ipv4", "ipv6", "uri"])
    )
    | st.builds(lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more}, _ENDS, st.integers(0, 9))
    | st.builds(lambda low, step: {"type": "integer", "exclusiveMinimum": low, "multipleOf": step}, _ENDS, st.integers(1, 9))
    | st.builds(lambda low, more: {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + more}, _ENDS, st.integers(1, 9))
    | st.builds(lambda values: {"enum": values}, st.lists(st.none() | st.booleans() | st.text(max_size=5), min_size=1, max_size=3))
    | st.builds(lambda value: {"const": value}, st.integers() | st.text(max_size=5))
    | st.builds(
        lambda kinds: {"type": kinds}, st.lists(st.sampled_from(["null", "boolean", "string"]), min_size=1, max_size=2, unique=True)
    )
    | st.builds(lambda name: {"$ref": f"#/$defs/{name}"}, st.sampled_from("ab"))
)


def _objects(properties: dict[str, object], some: int, closed: bool) -> dict[str, object]:
    required = sorted(properties)[:some]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": not closed}


def _nested(schemas: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return (
        st.builds(_objects, st.dictionaries(st.text(max_size=4), schemas, max_size=3), st.integers(0, 3), st.booleans())
        | st.builds(lambda items, fewest: {"type": "array", "items": items, "minItems": fewest}, schemas, st.integers(0, 3))
        | st.builds(lambda one, other: {"anyOf": [one, other]}, schemas, schemas)
        | st.builds(lambda one: {"allOf": [one], "description": "one"}, schemas)
    )


_SCHEMAS = st.recursive(_LEAVES, _nested, max_leaves=8)


@given(_SCHEMAS, _SCHEMAS)
def test_the_instance_is_valid(schema: dict[str, Any], other: dict[str, Any]) -> None:
    """Of every schema whose references end; what comes out of the others is an empty object."""
    places = {"a": {"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]}, "b": {"type": "array", "items": other}}
    whole = {**schema, "$defs": places}
    made = instance_of(whole)
    assert jsonschema_rs.is_valid(whole, made), (whole, made)
    assert json.loads("".join(said_by(json.dumps(whole).encode()))) == made


@given(_SCHEMAS, st.none() | st.integers(0, 30), st.integers(1, 3))
def test_the_answer_is_cut_like_any_other(schema: dict[str, Any], cap: int | None, choices: int) -> None:
    """Four characters a token, all of them in the pieces; what the cap leaves is a beginning of it."""
    said = said_by(json.dumps(schema).encode())
    written = "".join(said)
    generation = plan(Ask(model="m", prompt=9, cap=cap, choices=choices, said=said), MODEL, b"req_1", 0)
    room = len(said) if cap is None else cap
    assert written.isascii()
    assert text(generation) == "".join(piece for piece, _ in pieces(generation)) == written[: room * BYTES_PER_TOKEN]
    assert generation.truncated == (room < len(said))
    assert generation.visible == min(room, len(said)) == -(-len(text(generation)) // BYTES_PER_TOKEN)


@pytest.mark.parametrize("ask", [Ask("m", 9, words=Words(output=3)), Ask("m", 9, tool="note"), Ask("m", 9, output=2)], ids=str)
def test_what_is_asked_for_in_tokens_or_of_a_tool_has_no_form(ask: Ask) -> None:
    """`sim:output` says how much is said, and the arguments of a tool are an object already."""
    formless = plan(ask, MODEL, b"req_1", 0)
    formed = plan(Ask(ask.model, ask.prompt, words=ask.words, tool=ask.tool, output=ask.output, said=("{}",)), MODEL, b"req_1", 0)
    assert (formed.visible, text(formed)) == (formless.visible, text(formless))


SAID = [{"role": "user", "content": "hi"}]
CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}]
NAMED = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": ANSWER}}
PLACED = {"type": "json_schema", "name": "answer", "schema": ANSWER}
OBJECT = {"type": "json_object"}
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
GEMINI = "/v1beta/models/gemini-3.5-flash:"
GEMINI_SCHEMA = {"type": "OBJECT", "properties": {"place": {"type": "STRING"}, "max_items": {"type": "INTEGER"}}, "required": ["max_items"]}
BEDROCK = "/model/anthropic.claude-haiku-4-5-20251001-v1:0/converse"
BEDROCK_FORMAT = {"type": "json_schema", "structure": {"jsonSchema": {"name": "answer", "schema": json.dumps(ANSWER)}}}


def chat(form: object, model: str = "gpt-4o-mini", **more: object) -> dict[str, Any]:
    return {"model": model, "messages": SAID, "response_format": form, **more}


def responses(form: object) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "input": "hi", "text": {"format": form}}


def claude(**form: object) -> dict[str, Any]:
    return {"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": SAID, **form}


def gemini(**form: object) -> dict[str, Any]:
    return {"contents": CONTENTS, "generationConfig": {"responseMimeType": "application/json", **form}}


CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "chat": (CHAT, chat(NAMED), WRITTEN),
    "chat of several": (CHAT, chat(NAMED, n=2), WRITTEN),
    "chat in JSON": (CHAT, chat(OBJECT), "{}"),
    "chat in text": (CHAT, chat({"type": "text"}), "This is a simulated answer"),
    "azure": ("/openai/v1/chat/completions", chat(NAMED), WRITTEN),
    "a host": ("/vllm/v1/chat/completions", chat(NAMED, "any/model"), WRITTEN),
    "a host, beside": ("/together/v1/chat/completions", chat({**OBJECT, "schema": ANSWER}, "Qwen/Qwen3.8-Flash"), WRITTEN),
    "responses": (RESPONSES, responses(PLACED), WRITTEN),
    "responses in JSON": (RESPONSES, responses(OBJECT), "{}"),
    "responses in text": (RESPONSES, {"model": "gpt-4o-mini", "input": "hi", "text": {"verbosity": "low"}}, "This is a simulated answer"),
    "messages": (MESSAGES, claude(output_config={"effort": "low", "format": PLACED}), WRITTEN),
    "messages of a beta": (MESSAGES, claude(output_format=PLACED), WRITTEN),
    "messages in text": (MESSAGES, claude(output_config={"effort": "low"}), "This is a simulated answer"),
    "gemini": (GEMINI, gemini(responseSchema=GEMINI_SCHEMA), '{"max_items":0}'),
    "gemini by JSON schema": (GEMINI, gemini(responseJsonSchema=ANSWER), WRITTEN),
    "gemini in snake case": (
        GEMINI,
        {"contents": CONTENTS, "generation_config": {"response_mime_type": "application/json", "response_schema": GEMINI_SCHEMA}},
        '{"max_items":0}',
    ),
    "gemini in JSON": (GEMINI, gemini(responseSchema=None), "{}"),
    "gemini in text": (GEMINI, gemini(responseMimeType="text/plain", stopSequences=["application/json"]), "This is a simulated answer"),
}


def said_whole(answer: Any) -> str:
    """What an answer of any API says."""
    if "choices" in answer:
        (said,) = {choice["message"]["content"] for choice in answer["choices"]}
        return str(said)
    if "candidates" in answer:
        return "".join(part["text"] for part in answer["candidates"][0]["content"]["parts"])
    content = answer["content"] if "content" in answer else answer["output"][0]["content"]
    return "".join(part["text"] for part in content)


def said_in_event(event: Any) -> str:
    """What an event of any API adds to the first choice."""
    if "candidates" in event:
        return said_whole(event)
    if event.get("choices") and event["choices"][0]["index"] == 0:
        return event["choices"][0].get("delta", {}).get("content") or ""
    delta = event.get("delta") or ""
    return delta.get("text", "") if isinstance(delta, dict) else str(delta)


@pytest.mark.parametrize("name", CASES)
async def test_every_api_answers_in_the_form_that_is_asked_for(http: httpx.AsyncClient, rows: Rows, name: str) -> None:
    """Whole and in pieces; billed by the token, like any other answer."""
    path, body, said = CASES[name]
    google = path == GEMINI
    http.headers["x-goog-api-key"] = "any"
    answer = await http.post(path + "generateContent" if google else path, json=body)
    assert said_whole(answer.raise_for_status().json()) == said
    path, more = (path + "streamGenerateContent?alt=sse", {}) if google else (path, {"stream": True})
    streamed = await http.post(path, json=body | more)
    events = [line.removeprefix("data: ") for line in streamed.raise_for_status().text.splitlines() if line.startswith("data: {")]
    assert "".join(said_in_event(json.loads(event)) for event in events) == said
    tokens = 5 if said.startswith("This") else -(-len(said) // BYTES_PER_TOKEN)
    assert [row["tokens"]["output"] for row in await rows()] == [tokens * body.get("n", 1)] * 2


async def test_bedrock_answers_in_the_form_that_a_string_asks_for(http: httpx.AsyncClient) -> None:
    """Its schema is JSON within a string."""
    body = {"messages": [{"role": "user", "content": [{"text": "hi"}]}], "outputConfig": {"textFormat": BEDROCK_FORMAT}}
    answer = (await http.post(BEDROCK, json=body)).raise_for_status().json()
    assert answer["output"]["message"]["content"] == [{"text": WRITTEN}]
    del body["outputConfig"]["textFormat"]  # type: ignore[attr-defined]
    answer = (await http.post(BEDROCK, json=body)).raise_for_status().json()
    assert answer["output"]["message"]["content"] == [{"text": "This is a simulated answer"}]


async def test_an_answer_that_the_cap_cut_does_not_parse(http: httpx.AsyncClient) -> None:
    """What a lowered cap does to structured output, and how the answer says so."""
    cut = (await http.post(CHAT, json=chat(NAMED, max_completion_tokens=3))).json()["choices"][0]
    assert (cut["finish_reason"], cut["message"]["content"]) == ("length", '{"place":"fa')
    cut = (await http.post(MESSAGES, json=claude(output_format=PLACED) | {"max_tokens": 3})).json()
    assert (cut["stop_reason"], cut["content"][0]["text"]) == ("max_tokens", '{"place":"fa')
