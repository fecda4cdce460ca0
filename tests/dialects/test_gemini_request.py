"""Reading, bounding and rewriting requests to Gemini (providers.md §3.1, §5.4, §6)."""

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farebox import limits
from farebox.dialects import Gemini
from farebox.dialects.base import Ask
from farebox.dialects.gemini.request import TOKENS_PER_REQUEST
from farebox.dialects.routes import match
from farebox.errors import AmbiguousBody, CostUnbounded, InvalidRequest, Refusal
from farebox.usage import (
    IN_AUDIO,
    IN_CACHE_READ_AUDIO,
    IN_IMAGE,
    IN_VIDEO,
    OUT_AUDIO,
    OUT_IMAGE,
    OUT_TEXT,
    OUT_VIDEO,
    TOOL_GROUNDING,
    TOOL_GROUNDING_MAPS,
    Conditions,
)

MODEL = "gemini-3.5-flash"
GEMINI = Gemini()
HELLO: Any = [{"role": "user", "parts": [{"text": "hi"}]}]


def asked(members: Any, method: str = "generateContent", model: str = MODEL, query: bytes = b"") -> Ask:
    """A request, read. `members` may be bytes as they are."""
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    return GEMINI.ask(match("POST", f"/v1beta/models/{model}:{method}", [], query), body, {})


def said(*parts: Any, **members: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [*parts]}], **members}


def blob(media_type: str, data: bytes) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": base64.b64encode(data).decode()}}


def png(width: int, height: int) -> bytes:
    head = struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + head + b"\0" * 4 + struct.pack(">I4s", 5000, b"IDAT") + b"\0" * 5004


def wav(seconds: int) -> bytes:
    data = b"\0" * (32_000 * seconds)
    form = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    return form + struct.pack("<4sI", b"data", len(data)) + data


def refusal_of(members: Any, **more: Any) -> Refusal:
    with pytest.raises((AmbiguousBody, CostUnbounded, InvalidRequest)) as raised:
        asked(members, **more)
    return raised.value


def test_text_is_bounded_by_its_bytes() -> None:
    """And by a little more for each content, each function and the request."""
    body = json.dumps(said({"text": "hi"}, tools=[{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}])).encode()
    demand = asked(body).demand
    assert demand.input_tokens_max == len(body) + 16 + 2 * 64 + TOKENS_PER_REQUEST
    assert (demand.output_tokens_named, demand.choices, demand.fees_max) == (None, 1, {})
    assert demand.conditions == (Conditions(),)


SPELLINGS = ("maxOutputTokens", "max_output_tokens"), ("candidateCount", "candidate_count"), ("generationConfig", "generation_config")


@given(st.tuples(*[st.sampled_from(pair) for pair in SPELLINGS]), st.sampled_from(["systemInstruction", "system_instruction"]))
def test_both_spellings_mean_the_same_also_mixed(names: tuple[str, str, str], system: str) -> None:
    """As the API reads them."""
    cap, count, config = names
    ask = asked({"contents": HELLO, config: {cap: 300, count: 3}, system: {"parts": [{"text": "be brief"}]}})
    assert (ask.demand.output_tokens_named, ask.demand.choices, ask.messages) == (300, 3, 2)
    rewritten = json.loads(GEMINI.rewrite(ask, json.dumps({config: {cap: 300, count: 3}}).encode(), model=None, output_cap=200))
    assert rewritten == {config: {cap: 200, count: 3}}


@pytest.mark.parametrize(
    "body",
    [
        b'{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":9}}',
        b'{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}',
        b'{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{},"generation_config":{}}',
        b'{"contents":[{"parts":[{"text":"a"}]}],"GenerationConfig":{"maxOutputTokens":1}}',
        b'{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"max_outputTokens":1}}',
        b'{"contents":[{"parts":[{"text":"a"}]}],"cached_content":null,"Cached_Content":"cachedContents/x"}',
        b'{"contents":[{"parts":[{"inlineData":{},"inline_data":{}}]}]}',
        b'{"contents":[{"parts":[{"text":"a"}]}],"tools":[{"googleSearch":{},"google_search":{}}]}',
        b'{"contents":[{"parts":[{"text":"a"}]}],"contents":[]}',
        b'{"contents":[{"parts":[{"text":"a"}]}],"model":"models/gemini-2.5-pro"}',
    ],
)
def test_what_two_readers_may_understand_differently_is_refused(body: bytes) -> None:
    """The same name twice, both spellings of one, a third spelling, another model than that of the path."""
    assert refusal_of(body).reason == "ambiguous_body"


@pytest.mark.parametrize("cap", [0, -1, 2**31, 1.0, "100", True])
def test_a_cap_that_is_no_positive_integer_is_refused(cap: Any) -> None:
    """Also one in quotes, which the API would take: nothing here reads it as a number."""
    assert isinstance(refusal_of(said({"text": "a"}, generationConfig={"maxOutputTokens": cap})), InvalidRequest)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"cachedContent": "cachedContents/x"}, "cachedContent"),
        ({"cached_content": "cachedContents/x"}, "cached_content"),
        ({"continuationToken": "x"}, "continuationToken"),
        ({"maxOutputTokens": 5}, "maxOutputTokens"),
        ({"serviceTier": "turbo"}, "serviceTier"),
        ({"generationConfig": {"responseModalities": ["SMELL"]}}, "generationConfig.responseModalities"),
        ({"generationConfig": {"routingConfig": {"autoMode": {}}}}, "generationConfig.routingConfig"),
        ({"tools": [{"codeExecution": {}}]}, "tools[0].codeExecution"),
        ({"tools": [{"code_execution": {}}]}, "tools[0].code_execution"),
        ({"tools": [{"fileSearch": {"fileSearchStoreNames": ["x"]}}]}, "tools[0].fileSearch"),
        ({"tools": [{"functionDeclarations": []}, {"somethingNew": {}}]}, "tools[1].somethingNew"),
        ({"tools": {"mcpServers": [{"name": "x"}]}}, "tools[0].mcpServers"),
    ],
)
def test_what_has_no_bound_is_refused_by_its_name(more: dict[str, Any], field: str) -> None:
    """Whatever the spelling."""
    refusal = refusal_of(said({"text": "a"}, **more))
    assert refusal.reason == "cost_unbounded"
    assert refusal.facts["field"] == field


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ({"fileData": {"fileUri": "gs://x/y", "mimeType": "image/png"}}, "fileData"),
        ({"file_data": {"file_uri": "https://x/y"}}, "file_data"),
        ({"somethingNew": {"uri": "x"}}, "somethingNew"),
        ({"inlineData": {"mimeType": "model/gltf+json", "data": "AAAA"}}, "inlineData.mimeType"),
        (
            {"functionResponse": {"name": "f", "response": {}, "parts": [{"fileData": {"fileUri": "x"}}]}},
            "functionResponse.parts[0].fileData",
        ),
    ],
)
def test_parts_that_cannot_be_bounded_are_refused(part: dict[str, Any], name: str) -> None:
    """What is fetched or kept by the provider, media of a kind that is not known, parts that are not known."""
    for path, members in (
        ("contents[0]", said(part)),
        ("systemInstruction[0]", {"contents": HELLO, "systemInstruction": {"parts": [part]}}),
    ):
        refusal = refusal_of(members)
        assert (refusal.reason, refusal.facts["field"]) == ("cost_unbounded", f"{path}.parts[0].{name}")


def test_media_are_bounded_as_media_not_by_their_base64() -> None:
    """A picture by its model's way of counting, sound by its seconds, a film by nothing but the context window."""
    plain = asked(said({"text": "x"})).demand.input_tokens_max
    picture = asked(said({"text": "x"}, blob("image/png", png(2000, 1000)))).demand
    assert 2240 < picture.input_tokens_max - plain < 2400
    assert IN_IMAGE in picture.input_units
    small = asked(said({"text": "x"}, blob("image/png", png(300, 300))), model="gemini-2.5-flash").demand
    assert 258 < small.input_tokens_max - plain < 400
    sound = asked(said({"text": "x"}, blob("audio/wav", wav(10)))).demand
    assert 320 < sound.input_tokens_max - plain < 450
    assert {IN_AUDIO, IN_CACHE_READ_AUDIO} <= set(sound.input_units)
    film = asked(said({"text": "x"}, blob("video/mp4", b"\0" * 100))).demand
    assert film.input_tokens_max - plain >= limits.context_tokens_unknown_max
    assert {IN_VIDEO, IN_AUDIO, IN_IMAGE} <= set(film.input_units)


def test_resolution_decides_what_a_picture_may_be() -> None:
    """Of the request, or of the part; both spellings."""
    picture = blob("image/png", png(2000, 1000))
    bounds = [
        asked(said(picture | more, generationConfig=config)).demand.input_tokens_max
        for more, config in (
            ({}, {"mediaResolution": "MEDIA_RESOLUTION_LOW"}),
            ({"media_resolution": {"level": "MEDIA_RESOLUTION_LOW"}}, {}),
            ({"mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"}}, {"media_resolution": "MEDIA_RESOLUTION_LOW"}),
            ({}, {}),
        )
    ]
    assert max(bounds[:2]) < bounds[2] < bounds[3]
    refusal = refusal_of(said(picture | {"mediaResolution": {"numTokens": 9000}}))
    assert refusal.facts["field"] == "contents[0].parts[0].mediaResolution.numTokens"


def test_a_document_is_bounded_by_its_pages() -> None:
    """258 tokens each before Gemini 3; one that hides its pages may fill the window."""
    pages = b"%PDF-1.4\n1 0 obj<</Type/Pages/Count 2/Kids[2 0 R 3 0 R]>>endobj\n"
    plain = asked(said({"text": "x"}), model="gemini-2.5-flash").demand.input_tokens_max
    bound = asked(said({"text": "x"}, blob("application/pdf", pages)), model="gemini-2.5-flash").demand.input_tokens_max
    assert 2 * 258 < bound - plain < 2 * 258 + 150
    hidden = asked(said({"text": "x"}, blob("application/pdf", b"%PDF-1.4 /ObjStm")), model="gemini-2.5-flash").demand.input_tokens_max
    assert hidden - plain >= limits.context_tokens_unknown_max


def test_text_as_data_counts_as_its_base64() -> None:
    """Which is longer than the text."""
    text = b"word " * 1000
    demand = asked(said(blob("text/plain; charset=utf-8", text))).demand
    assert demand.input_tokens_max > len(text)
    assert IN_IMAGE in demand.input_units


@pytest.mark.parametrize(
    ("tools", "model", "fees"),
    [
        ([{"googleSearch": {}}], MODEL, {TOOL_GROUNDING: limits.grounding_queries_max}),
        ([{"google_search": {}}], "gemini-2.5-pro", {TOOL_GROUNDING: 1}),
        ([{"googleSearchRetrieval": {}}], "gemini-1.5-pro", {TOOL_GROUNDING: 1}),
        ([{"googleMaps": {}}], MODEL, {TOOL_GROUNDING_MAPS: 1}),
        ([{"googleSearch": {}, "google_maps": {}}], "gemini-2.5-pro", {TOOL_GROUNDING: 1, TOOL_GROUNDING_MAPS: 1}),
        ([{"urlContext": {}}], MODEL, {}),
        ([{"googleSearch": None}], MODEL, {}),
    ],
)
def test_grounding_is_held_for(tools: list[Any], model: str, fees: dict[str, int]) -> None:
    """By the prompt before Gemini 3, by the query since; what it puts into the prompt as well."""
    demand = asked(said({"text": "x"}, tools=tools), model=model).demand
    assert demand.fees_max == fees
    plain = asked(said({"text": "x"}), model=model).demand
    if tools[0].get("googleSearch") is None and not fees and "urlContext" not in tools[0]:
        assert demand.input_tokens_max - plain.input_tokens_max < 100
    else:
        assert demand.input_tokens_max - plain.input_tokens_max >= limits.search_tokens_max


@pytest.mark.parametrize(
    ("model", "config", "units"),
    [
        (MODEL, {}, {OUT_TEXT, OUT_IMAGE}),
        ("gemini-2.5-flash-preview-tts", {}, {OUT_TEXT, OUT_IMAGE, OUT_AUDIO}),
        (MODEL, {"responseModalities": ["AUDIO"]}, {OUT_TEXT, OUT_IMAGE, OUT_AUDIO}),
        (MODEL, {"response_modalities": ["Text", "Video"]}, {OUT_TEXT, OUT_IMAGE, OUT_VIDEO}),
        ("gemini-2.5-flash-image", {"responseModalities": ["TEXT", "IMAGE"]}, {OUT_TEXT, OUT_IMAGE}),
    ],
)
def test_every_modality_that_may_come_is_held_for(model: str, config: dict[str, Any], units: set[str]) -> None:
    """By what is asked, and by what the model's name says."""
    assert set(asked(said({"text": "x"}, generationConfig=config), model=model).demand.output_units) == units


@pytest.mark.parametrize(
    ("tier", "tiers"),
    [("flex", ("flex", "default")), ("SERVICE_TIER_PRIORITY", ("priority", "default")), ("standard", ("default",)), (None, ("default",))],
)
def test_a_tier_may_be_served_or_not(tier: str | None, tiers: tuple[str, ...]) -> None:
    """The hold is for the dearer one."""
    assert tuple(one.service_tier for one in asked(said({"text": "x"}, serviceTier=tier)).demand.conditions) == tiers


@pytest.mark.parametrize(
    ("model", "config", "hidden"),
    [
        (MODEL, {"thinkingConfig": {"thinkingBudget": 0}}, True),
        ("gemini-2.5-flash", {}, True),
        ("gemini-2.5-flash", {"thinkingConfig": {"thinkingBudget": -1}}, True),
        ("gemini-2.5-flash", {"thinking_config": {"thinking_budget": 0}}, False),
        ("gemini-2.5-pro", {"thinkingConfig": {"thinkingBudget": 0}}, True),
        ("gemini-2.0-flash", {}, False),
        ("gemini-2.0-flash", {"responseModalities": ["IMAGE"]}, True),
    ],
)
def test_which_answers_show_all_that_is_billed(model: str, config: dict[str, Any], hidden: bool) -> None:
    """Thoughts are billed and not shown, media are no measure of their tokens."""
    assert asked(said({"text": "x"}, generationConfig=config), model=model).hidden_output is hidden


def test_a_thinking_budget_is_never_cut_below() -> None:
    """The cap bounds thoughts as well: what is left of it must be an answer."""
    demand = asked(said({"text": "x"}, generationConfig={"thinkingConfig": {"thinkingBudget": 5000}})).demand
    assert demand.output_tokens_min == 5001
    assert asked(said({"text": "x"}), model="gemini-2.5-flash-image").demand.output_tokens_min == 2048


def test_fields_that_are_not_known_pass_and_are_counted() -> None:
    """Top-level ones and those of the settings."""
    ask = asked(said({"text": "x"}, newField=1, generationConfig={"newSetting": 2, "temperature": 0.5}))
    assert ask.unknown_fields == ("newField", "generationConfig.newSetting")


@pytest.mark.parametrize(
    ("body", "rewritten"),
    [
        (b'{"contents":[]}', b'{"generationConfig":{"maxOutputTokens":77},"contents":[]}'),
        (b"{}", b'{"generationConfig":{"maxOutputTokens":77}}'),
        (b'{"generationConfig":null}', b'{"generationConfig":{"maxOutputTokens":77}}'),
        (b'{ "generation_config" : {"topK": 3} }', b'{ "generation_config" : {"maxOutputTokens":77,"topK": 3} }'),
        (b'{"generationConfig":{"max_output_tokens": 5 }}', b'{"generationConfig":{"max_output_tokens": 77 }}'),
        (b'{"generationConfig":{"maxOutputTokens":null}}', b'{"generationConfig":{"maxOutputTokens":77}}'),
        (b'{"generationConfi\\u0067":{}}', b'{"generationConfi\\u0067":{"maxOutputTokens":77}}'),
    ],
)
def test_the_cap_is_set_where_it_stands(body: bytes, rewritten: bytes) -> None:
    """Nothing else changes, not a byte."""
    ask = asked({"contents": HELLO})
    ask.names = frozenset(json.loads(body))
    assert GEMINI.rewrite(ask, body, model=None, output_cap=77) == rewritten


def test_the_model_is_set_wherever_a_body_names_it() -> None:
    """In itself, in a request to be counted, in each request of a batch; the path says it anyway."""
    generate = asked({"model": f"models/{MODEL}", "contents": HELLO})
    assert json.loads(GEMINI.rewrite(generate, generate_body(), model="other", output_cap=None))["model"] == "models/other"
    batch = {"requests": [{"model": f"models/{MODEL}", "content": HELLO[0]}, {"content": HELLO[0]}]}
    ask = asked(batch, "batchEmbedContents")
    found = json.loads(GEMINI.rewrite(ask, json.dumps(batch).encode(), model="other", output_cap=None))
    assert [one.get("model") for one in found["requests"]] == ["models/other", None]
    counted = {"generateContentRequest": {"model": f"models/{MODEL}", "contents": HELLO}}
    ask = asked(counted, "countTokens")
    found = json.loads(GEMINI.rewrite(ask, json.dumps(counted).encode(), model="other", output_cap=None))
    assert found["generateContentRequest"]["model"] == "models/other"


def generate_body() -> bytes:
    return json.dumps({"model": f"models/{MODEL}", "contents": HELLO}).encode()


def test_a_count_is_free_and_asks_of_nobody_elses() -> None:
    """What others keep at the provider is not counted for you either."""
    ask = asked({"contents": HELLO}, "countTokens")
    assert (ask.demand.input_tokens_max, ask.demand.output_units) == (0, ())
    for body in (
        {"contents": HELLO, "cachedContent": "cachedContents/x"},
        {"generateContentRequest": {"contents": HELLO, "cachedContent": "cachedContents/x"}},
        said({"fileData": {"fileUri": "x"}}),
    ):
        assert refusal_of(body, method="countTokens").reason == "cost_unbounded"


def test_embeddings_are_held_by_their_input_each_of_which_may_fill_the_window() -> None:
    """There is no output."""
    body = {"requests": [{"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}, "outputDimensionality": 8}]}
    ask = asked(body, "batchEmbedContents", "gemini-embedding-001")
    assert (ask.demand.prompts, ask.demand.output_units, ask.messages, ask.hidden_output) == (2, (), 2, False)
    one = asked({"content": {"parts": [blob("audio/wav", wav(1))]}}, "embedContent", "gemini-embedding-2")
    assert IN_AUDIO in one.demand.input_units
    assert one.hidden_output


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("embedContent", {}),
        ("embedContent", {"content": "text"}),
        ("embedContent", {"content": HELLO[0], "embedContentConfig": {"documentOcr": True}}),
        ("embedContent", {"content": {"parts": [{"fileData": {"fileUri": "x"}}]}}),
        ("embedContent", {"content": HELLO[0], "model": "models/other"}),
        ("batchEmbedContents", {"requests": []}),
        ("batchEmbedContents", {"requests": [{"content": HELLO[0]}] * 101}),
        ("batchEmbedContents", {"requests": [{"content": HELLO[0], "model": "models/other"}]}),
        ("generateContent", {}),
        ("generateContent", {"contents": []}),
        ("generateContent", {"contents": "hi"}),
        ("generateContent", {"contents": HELLO, "tools": "x"}),
        ("generateContent", {"contents": HELLO, "generationConfig": []}),
        ("generateContent", {"contents": HELLO, "generationConfig": {"candidateCount": 0}}),
        ("generateContent", []),
        ("countTokens", {"contents": HELLO, "model": "models/other"}),
    ],
)
def test_requests_that_cannot_be_read_are_refused(method: str, body: Any) -> None:
    """Before anything is held."""
    refusal_of(body, method=method)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8), lambda x: st.lists(x, max_size=3)
)
NAMES = st.sampled_from(
    [
        *("contents", "parts", "text", "inlineData", "inline_data", "mimeType", "data", "tools", "generationConfig", "requests", "content"),
        *(
            "maxOutputTokens",
            "thinkingConfig",
            "thinkingBudget",
            "functionResponse",
            "model",
            "generateContentRequest",
            "responseModalities",
        ),
    ]
)
BODIES = st.recursive(JSON, lambda x: st.lists(x, max_size=3) | st.dictionaries(NAMES, x, max_size=4), max_leaves=20)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(NAMES, BODIES, max_size=5), st.sampled_from(["generateContent", "countTokens", "embedContent", "batchEmbedContents"])
)
def test_whatever_a_body_holds_it_is_read_or_refused(body: dict[str, Any], method: str) -> None:
    """Never anything else; and what is read can be rewritten to a body that is read the same but for the cap."""
    try:
        ask = asked(body, method)
    except Refusal:
        return
    sent = GEMINI.rewrite(ask, json.dumps(body).encode(), model=None, output_cap=4321 if ask.demand.output_units else None)
    again = asked(sent, method)
    assert again.demand.output_tokens_named == (4321 if ask.demand.output_units else None)
    assert again.demand.choices == ask.demand.choices
