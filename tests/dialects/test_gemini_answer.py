"""Gemini's answers and streams: what was used, what of it is relayed, and what waits for the charge (providers.md §3.1, A4)."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox import limits
from farebox.dialects import Gemini
from farebox.dialects.base import Ask, Report
from farebox.dialects.routes import match
from farebox.errors import UpstreamTimeout
from farebox.usage import (
    IN_AUDIO,
    IN_CACHE_READ,
    IN_CACHE_READ_AUDIO,
    IN_CACHE_READ_IMAGE,
    IN_IMAGE,
    IN_TEXT,
    IN_VIDEO,
    OUT_AUDIO,
    OUT_IMAGE,
    OUT_TEXT,
    TOOL_GROUNDING,
    TOOL_GROUNDING_MAPS,
)

GEMINI = Gemini()
MODEL = "gemini-3.5-flash"


def asked(method: str = "streamGenerateContent", query: bytes = b"alt=sse", model: str = MODEL, **members: Any) -> Ask:
    body = {"contents": [{"parts": [{"text": "x"}]}], **members}
    return GEMINI.ask(match("POST", f"/v1/models/{model}:{method}", [], query), json.dumps(body).encode(), {})


def candidate(text: str, finish: str = "", index: int = 0, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": index, **more}
    return found | ({"finishReason": finish} if finish else {})


def said(*candidates: Any, usage: Any = None, **more: Any) -> dict[str, Any]:
    found = {"candidates": [*candidates]} | ({"usageMetadata": usage} if usage is not None else {})
    return found | {"modelVersion": MODEL, "responseId": "r1"} | more


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\r\n\r\n"


def used(prompt: int = 9, candidates: int = 0, thoughts: int = 0, **more: Any) -> dict[str, Any]:
    tools = more.get("toolUsePromptTokenCount", 0)
    counts = {"promptTokenCount": prompt, "candidatesTokenCount": candidates, "thoughtsTokenCount": thoughts}
    found = {name: count for name, count in counts.items() if count}
    return found | {"totalTokenCount": prompt + candidates + thoughts + tools} | more


FIRST = said(candidate("H"), usage=used())
LAST = said(candidate("i", "STOP"), usage=used(9, 2, 31))
STREAM = event(FIRST) + event(LAST)
ARRAY = b"[" + json.dumps(FIRST).encode() + b",\r\n" + json.dumps(LAST).encode() + b"]"


def whole(value: Any, **more: Any) -> Report:
    return GEMINI.read_answer(asked("generateContent", **more), json.dumps(value).encode(), {})


def run(ask: Ask, *pieces: bytes) -> tuple[bytes, bytes, Report]:
    """What is relayed, what is held back, what is known; the connection ends after the last piece."""
    meter = GEMINI.stream(ask, {})
    relayed = b"".join([meter.feed(piece) for piece in pieces]) + meter.close()
    return relayed, meter.held_back, meter.report()


def units(report: Report) -> dict[str, int]:
    assert report.usage is not None
    return report.usage.units


# --- usage ---------------------------------------------------------------------------------------------------------------------------


def test_every_part_of_the_usage_is_counted_once() -> None:
    """Cached tokens are in the prompt, thoughts are not in the candidates, what tools put into the prompt stands beside it."""
    usage = {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 600,
        "candidatesTokenCount": 50,
        "thoughtsTokenCount": 40,
        "toolUsePromptTokenCount": 30,
        "totalTokenCount": 1120,
        "trafficType": "ON_DEMAND",
        "serviceTier": "STANDARD",
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 900}, {"modality": "AUDIO", "tokenCount": 100}],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 550}, {"modality": "AUDIO", "tokenCount": 50}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 20}],
        "toolUsePromptTokensDetails": [{"modality": "TEXT", "tokenCount": 30}],
    }
    report = whole(said(candidate("hi", "STOP"), usage=usage))
    expected = {IN_TEXT: 380, IN_AUDIO: 50, IN_CACHE_READ: 550, IN_CACHE_READ_AUDIO: 50, OUT_TEXT: 70, OUT_IMAGE: 20}
    assert units(report) == expected
    assert report.usage is not None
    assert report.usage.prompt_total == 1030
    assert json.loads(report.usage.raw) == usage
    # The details of the candidates name fewer tokens than there are: the rest is text, and that is told.
    assert report.flags == ("inconsistent_usage",)
    assert (report.model_served, report.response_id, report.finished) == (MODEL, "r1", True)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (used(10, 5), {IN_TEXT: 10, OUT_TEXT: 5}),
        (used(10, 5, 7), {IN_TEXT: 10, OUT_TEXT: 12}),
        (used(10, 0, 7), {IN_TEXT: 10, OUT_TEXT: 7}),
        (used(10, 5, cachedContentTokenCount=10), {IN_CACHE_READ: 10, OUT_TEXT: 5}),
        (used(10, 5, toolUsePromptTokenCount=30), {IN_TEXT: 40, OUT_TEXT: 5}),
        (
            used(300, 5, promptTokensDetails=[{"modality": "VIDEO", "tokenCount": 200}, {"modality": "DOCUMENT", "tokenCount": 100}]),
            {IN_VIDEO: 200, IN_IMAGE: 100, OUT_TEXT: 5},
        ),
        (
            used(300, 5, cachedContentTokenCount=250, promptTokensDetails=[{"modality": "IMAGE", "tokenCount": 300}]),
            {IN_IMAGE: 50, IN_CACHE_READ_IMAGE: 250, OUT_TEXT: 5},
        ),
        (used(10, 25, candidatesTokensDetails=[{"modality": "AUDIO", "tokenCount": 25}]), {IN_TEXT: 10, OUT_AUDIO: 25}),
        (used(10, 5, trafficType="ON_DEMAND", promptTokensDetails=[{"tokenCount": 10}]), {IN_TEXT: 10, OUT_TEXT: 5}),
    ],
)
def test_usage_in_disjoint_units(usage: dict[str, Any], expected: dict[str, int]) -> None:
    """By modality where it is told, text where it is not."""
    report = whole(said(candidate("hi", "STOP"), usage=usage))
    assert units(report) == expected
    assert report.flags == ()


@pytest.mark.parametrize(
    ("usage", "tokens", "flag"),
    [
        (used(10, 5, totalTokenCount=99), 99, "inconsistent_usage"),
        (used(10, 5, cachedContentTokenCount=11), 16, "inconsistent_usage"),
        (used(10, 5, promptTokensDetails=[{"modality": "IMAGE", "tokenCount": 12}]), 17, "inconsistent_usage"),
        (used(10, 5, newTokenCount=3), 15, "unknown_usage_field"),
    ],
)
def test_a_usage_that_does_not_add_up_is_charged_by_its_larger_reading(usage: dict[str, Any], tokens: int, flag: str) -> None:
    """And told."""
    report = whole(said(candidate("hi", "STOP"), usage=usage))
    assert flag in report.flags
    assert sum(units(report).values()) == tokens


@pytest.mark.parametrize(
    ("usage", "flag"),
    [
        ({"candidatesTokenCount": 5}, "partial_usage"),
        ({"promptTokenCount": 5}, "partial_usage"),
        (used(10, -5), "absurd_usage"),
        (used(10, 5, thoughtsTokenCount="7"), "absurd_usage"),
        (used(10, 5, promptTokensDetails={"TEXT": 10}), "absurd_usage"),
        (used(10, 5, promptTokensDetails=[7]), "absurd_usage"),
        (used(10, 5, promptTokensDetails=[{"modality": "SMELL", "tokenCount": 10}]), "unknown_modality"),
        ([], "absurd_usage"),
    ],
)
def test_a_usage_that_cannot_be_trusted_is_none(usage: Any, flag: str) -> None:
    """The hold is charged, not zero."""
    report = whole(said(candidate("hi", "STOP"), usage=usage))
    assert report.usage is None
    assert flag in report.flags
    assert report.finished


@pytest.mark.parametrize(
    ("usage", "tier"),
    [
        ({"serviceTier": "STANDARD"}, "default"),
        ({"serviceTier": "FLEX"}, "flex"),
        ({"serviceTier": "priority"}, "priority"),
        ({"trafficType": "ON_DEMAND_PRIORITY"}, "priority"),
        ({"trafficType": "ON_DEMAND_FLEX", "serviceTier": "STANDARD"}, "default"),
        ({"trafficType": "ON_DEMAND"}, "flex"),
        ({}, "flex"),
        ({"serviceTier": "NEW"}, "new"),
    ],
)
def test_the_tier_is_the_one_that_the_answer_says(usage: dict[str, Any], tier: str) -> None:
    """Where it says none, the one that was asked for."""
    report = whole(said(candidate("hi", "STOP"), usage=used(10, 5, **usage)), serviceTier="flex")
    assert report.usage is not None
    assert report.usage.conditions.service_tier == tier


@pytest.mark.parametrize("cached", [0, 50_000])
def test_the_step_in_price_counts_the_whole_prompt(cached: int) -> None:
    """Cached tokens too, and those of tools."""
    for prompt, tools in ((200_000, 0), (200_001, 0), (199_000, 1_001)):
        usage = used(prompt, 5, toolUsePromptTokenCount=tools, cachedContentTokenCount=cached)
        report = whole(said(candidate("hi", "STOP"), usage=usage), model="gemini-2.5-pro")
        assert report.usage is not None
        assert report.usage.prompt_total == prompt + tools


QUERIES = {"webSearchQueries": ["a", "b"], "groundingChunks": [{"web": {"uri": "x"}}]}
MAPS = {"groundingChunks": [{"maps": {"uri": "x", "placeId": "y"}}], "googleMapsWidgetContextToken": "t"}


@pytest.mark.parametrize(
    ("model", "grounding", "fees"),
    [
        ("gemini-3.5-flash", QUERIES, {TOOL_GROUNDING: 2}),
        ("gemini-2.5-flash", QUERIES, {TOOL_GROUNDING: 1}),
        ("gemini-3.5-flash", MAPS, {TOOL_GROUNDING_MAPS: 1}),
        ("gemini-2.5-flash", MAPS, {TOOL_GROUNDING_MAPS: 1}),
        (
            "gemini-2.5-flash",
            {"groundingChunks": [{"maps": {}}, {"web": {}}], "webSearchQueries": ["a"]},
            {TOOL_GROUNDING: 1, TOOL_GROUNDING_MAPS: 1},
        ),
        ("gemini-2.5-flash", {"searchEntryPoint": {"renderedContent": "x"}}, {TOOL_GROUNDING: 1}),
        ("gemini-3.5-flash", {"webSearchQueries": ["a"], "imageSearchQueries": ["b"]}, {TOOL_GROUNDING: 2}),
        ("gemini-3.5-flash", {}, {}),
        ("gemini-2.5-flash", {}, {}),
    ],
)
def test_grounding_has_a_fee(model: str, grounding: dict[str, Any], fees: dict[str, int]) -> None:
    """By the query since Gemini 3, by the answer before; Maps by the answer."""
    answer = said(candidate("hi", "STOP", groundingMetadata=grounding), usage=used(10, 5), modelVersion=model)
    found = units(whole(answer, model=model))
    assert {unit: found.get(unit, 0) for unit in fees} == fees
    assert sum(number for unit, number in found.items() if unit.startswith("tool_")) == sum(fees.values())


def test_queries_are_counted_once_however_often_a_stream_tells_them() -> None:
    """The sum so far, or each by itself; of every candidate."""
    ask = asked(tools=[{"googleSearch": {}}], generationConfig={"candidateCount": 2})
    pieces = [
        event(said(candidate("a", groundingMetadata={"webSearchQueries": ["a"]}), usage=used(9, 1))),
        event(said(candidate("b", "STOP", groundingMetadata={"webSearchQueries": ["a", "b"]}), usage=used(9, 2))),
        event(said(candidate("c", "STOP", 1, groundingMetadata={"webSearchQueries": ["c"]}), usage=used(9, 3))),
    ]
    assert units(run(ask, *pieces)[2])[TOOL_GROUNDING] == 3


@pytest.mark.parametrize("usage", [used(10), None])
def test_a_blocked_prompt_is_an_answer(usage: Any) -> None:
    """Its input is billed, where it is told."""
    answer = said(usage=usage, promptFeedback={"blockReason": "PROHIBITED_CONTENT"})
    del answer["candidates"]
    report = whole(answer)
    assert report.finished
    assert (report.usage is None) == (usage is None)
    assert run(asked(), event(answer))[2].finished


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"error":{"code":500}}', b"<html>", b"{" * 50_000, b'{"candidates":7}'])
def test_what_is_no_answer_is_not_finished(body: bytes) -> None:
    """And never raises."""
    report = GEMINI.read_answer(asked("generateContent"), body, {})
    assert not report.finished
    assert report.usage is None


def test_all_that_was_generated_counts_as_delivered() -> None:
    """Text, thoughts, calls, programs and media; not what names them."""
    parts = [
        {"text": "día"},
        {"text": "hm", "thought": True},
        {"functionCall": {"id": "x", "name": "f", "args": {"a": 1}}},
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
    ]
    report = whole(said({"content": {"parts": parts}, "finishReason": "STOP"}))
    assert report.delivered_bytes == 4 + 2 + len('f{"a":1}') + len("PYTHON1") + 4


# --- streams -------------------------------------------------------------------------------------------------------------------------


def test_the_last_usage_wins_and_the_end_is_withheld() -> None:
    """Every event has the sum so far; they are not added up."""
    relayed, held, report = run(asked(), STREAM)
    assert (relayed, held) == (event(FIRST), event(LAST))
    assert units(report) == {IN_TEXT: 9, OUT_TEXT: 33}
    assert (report.finished, report.response_id, report.model_served, report.delivered_bytes) == (True, "r1", MODEL, 2)
    assert report.flags == ()


def test_an_array_is_relayed_byte_for_byte() -> None:
    """Its last element and its bracket are withheld."""
    relayed, held, report = run(asked(query=b""), ARRAY)
    assert relayed + held == ARRAY
    assert json.loads(relayed + b"]") == [FIRST]
    assert units(report) == {IN_TEXT: 9, OUT_TEXT: 33}
    assert report.finished


@pytest.mark.parametrize(("query", "stream"), [(b"alt=sse", STREAM), (b"", ARRAY), (b"alt=json", ARRAY)])
def test_splits_at_every_byte_change_nothing(query: bytes, stream: bytes) -> None:
    """One byte at a time, and cut in two at every place."""
    expected = run(asked(query=query), stream)
    assert run(asked(query=query), *(stream[at : at + 1] for at in range(len(stream)))) == expected
    assert all(run(asked(query=query), stream[:at], stream[at:]) == expected for at in range(len(stream)))


@pytest.mark.parametrize(("query", "stream"), [(b"alt=sse", STREAM), (b"", ARRAY)])
def test_a_cut_stream_has_no_usage_but_its_input(query: bytes, stream: bytes) -> None:
    """Wherever it was cut: before the finish nobody knows what was generated."""
    at = stream.index(b"finishReason")
    for cut in range(stream.index(b'"responseId": "r1"}') + 19, at):
        _, held, report = run(asked(query=query), stream[:cut])
        assert (report.finished, report.usage, held) == (False, None, b"")
        assert report.input_seen is not None
        assert report.input_seen.units == {IN_TEXT: 9}


def test_a_stream_that_breaks_after_its_last_report_is_charged_by_it() -> None:
    """But not where a fee may be told later, and not before every candidate has finished."""
    meters = [
        (GEMINI.stream(asked(), {}), True),
        (GEMINI.stream(asked(tools=[{"googleSearch": {}}]), {}), False),
        (GEMINI.stream(asked(generationConfig={"candidateCount": 2}), {}), False),
    ]
    for meter, known in meters:
        assert meter.feed(STREAM) == event(FIRST)
        assert not meter.finished, "only the end of the connection is the end"
        assert (meter.report().usage is not None) == known


def test_output_after_the_last_usage_makes_it_stale() -> None:
    """What came since is not in it."""
    stream = event(said(candidate("a"), usage=used(9, 1))) + event(said(candidate("b", "STOP")))
    _, _, report = run(asked(), stream)
    assert report.usage is None
    assert report.finished
    late = stream + event(said(usage=used(9, 2)))
    assert units(run(asked(), late)[2]) == {IN_TEXT: 9, OUT_TEXT: 2}


def test_every_candidate_must_have_finished() -> None:
    """What comes between the first finish and the last is held until the end as well, in order."""
    events = [event(said(candidate("a"), usage=used(9, 1)))]
    events += [event(said(candidate("", "STOP", index), usage=used(9, 4))) for index in (0, 1, 2)]
    relayed, held, report = run(asked(generationConfig={"candidateCount": 3}), *events)
    assert relayed + held == b"".join(events)
    assert relayed == events[0]
    assert report.finished


@pytest.mark.parametrize("query", [b"alt=sse", b""])
def test_an_error_in_a_stream_is_the_providers(query: bytes) -> None:
    """It passes, and nothing is added to it."""
    error = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    stream = event(FIRST) + event(error) if query else b"[" + json.dumps(FIRST).encode() + b",\r\n" + json.dumps(error).encode() + b"]"
    relayed, held, report = run(asked(query=query), stream)
    assert relayed + held == stream
    assert (report.finished, report.upstream_error, report.usage) == (False, True, None)


def test_an_error_instead_of_an_array_passes() -> None:
    """An object alone, too."""
    error = b'{"error":{"code":503,"message":"busy"}}'
    relayed, held, report = run(asked(query=b""), error)
    assert relayed + held == error
    assert report.upstream_error


@pytest.mark.parametrize("seen", [b"", ARRAY[:40], ARRAY[: ARRAY.index(b",\r\n")], ARRAY[:-1], ARRAY[:-30]])
def test_a_broken_array_is_closed_by_an_error(seen: bytes) -> None:
    """What the client has in the end is one array, whose last element says what went wrong."""
    ask = asked(query=b"")
    relayed, held, report = run(ask, seen)
    assert not report.finished
    assert held == b""
    frame = GEMINI.error_frame(UpstreamTimeout(provider="gemini", problem="x", charged="y"), "req_1", ask)
    found = json.loads(relayed + frame)
    assert found[-1]["error"]["status"] == "DEADLINE_EXCEEDED"
    assert found[:-1] in ([], [FIRST])


def test_a_broken_stream_of_events_is_ended_by_an_event_on_which_the_sdk_raises() -> None:
    """It begins with `{"error":` and is no comment."""
    ask = asked()
    relayed, held, _ = run(ask, STREAM[:-40])
    assert (relayed, held) == (event(FIRST), b"")
    frame = GEMINI.error_frame(UpstreamTimeout(provider="gemini", problem="x", charged="y"), "req_1", ask)
    assert frame.startswith(b'data: {"error":{"code":504,')
    assert frame.endswith(b"}\r\n\r\n")


def test_an_event_that_is_too_large_is_relayed_and_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded; the charge is then the hold."""
    monkeypatch.setattr(limits, "stream_event_bytes_max", 300)
    large = said(candidate("x" * 1000), usage=used())
    stream = b"[" + json.dumps(large).encode() + b",\r\n" + json.dumps(LAST).encode() + b"]"
    pieces = [stream[at : at + 50] for at in range(0, len(stream), 50)]
    relayed, held, report = run(asked(query=b""), *pieces)
    assert relayed + held == stream
    assert "oversized_event" in report.flags
    assert report.finished


FRAGMENTS = st.sampled_from(
    [
        *(STREAM, ARRAY, event(FIRST), event(LAST), b"[", b"]", b",", b"\r\n", b'"', b"\\", b"{", b"}", b"data: ", b": c\n\n"),
        *(b'{"usageMetadata":{}}', b'{"candidates":[{"finishReason":"STOP"}]}', b'{"error":{}}', b"data: [1]\n\n"),
        b'{"usageMetadata":{"promptTokenCount":1}}',
    ]
)


@given(
    st.lists(FRAGMENTS | st.binary(max_size=8), max_size=12).map(b"".join),
    st.lists(st.integers(min_value=0), max_size=6),
    st.sampled_from([b"alt=sse", b""]),
)
def test_arbitrary_bytes_survive_arbitrary_splits(data: bytes, cuts: list[int], query: bytes) -> None:
    """The same output however it is cut, never an exception, and nothing that was not sent."""
    ask = asked(query=query)
    expected = run(ask, data)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    assert run(asked(query=query), *(data[start:end] for start, end in pairwise(edges))) == expected
    out = expected[0] + expected[1]
    assert data.startswith(out.rstrip(b"\r\n")) or out.startswith(data)


# --- embeddings ----------------------------------------------------------------------------------------------------------------------


def embedded(body: bytes, method: str = "embedContent") -> Report:
    content = {"parts": [{"text": "x"}]}
    members = {"content": content} if method == "embedContent" else {"requests": [{"content": content}]}
    ask = GEMINI.ask(match("POST", f"/v1/models/gemini-embedding-001:{method}", []), json.dumps(members).encode(), {})
    return GEMINI.read_answer(ask, body, {})


def test_embeddings_are_charged_by_their_input() -> None:
    """As told; older versions of the API tell nothing, and then the bound is charged."""
    report = embedded(b'{"embedding":{"values":[0.1]},"usageMetadata":{"promptTokenCount":7}}')
    assert units(report) == {IN_TEXT: 7}
    assert report.finished
    for method, body in (("embedContent", b'{"embedding":{"values":[]}}'), ("batchEmbedContents", b'{"embeddings":[]}')):
        report = embedded(body, method)
        assert (report.finished, report.usage, report.flags) == (True, None, ())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"error":{}}', b'{"embedding":7}'])
def test_what_is_no_embedding_is_not_finished(body: bytes) -> None:
    """Whatever it is."""
    assert not embedded(body).finished


@pytest.mark.parametrize("usage", [b"[]", b'{"promptTokenCount":-1}', b'{"tokens":7}'])
def test_an_embeddings_absurd_usage_is_none(usage: bytes) -> None:
    """Told by a flag."""
    report = embedded(b'{"embedding":{"values":[]},"usageMetadata":' + usage + b"}")
    assert report.usage is None
    assert report.flags


# --- modalities that are not told ----------------------------------------------------------------------------------------------------


def medium_embedded(usage: dict[str, Any], kind: str = "audio/wav") -> Report:
    """An embedding of a text and a medium."""
    parts = [{"text": "x"}, {"inlineData": {"mimeType": kind, "data": "aGVsbG8gd29ybGQ="}}]
    route = match("POST", "/v1beta/models/gemini-embedding-2:embedContent", [])
    ask = GEMINI.ask(route, json.dumps({"content": {"parts": parts}}).encode(), {})
    return GEMINI.read_answer(ask, json.dumps({"embedding": {"values": [1]}, "usageMetadata": usage}).encode(), {})


def test_what_embeddings_call_their_details_is_read() -> None:
    """They say `promptTokenDetails` where every other answer says `promptTokensDetails`."""
    details = [{"modality": "AUDIO", "tokenCount": 90}, {"modality": "TEXT", "tokenCount": 10}]
    report = medium_embedded({"promptTokenCount": 100, "promptTokenDetails": details})
    assert units(report) == {IN_AUDIO: 90, IN_TEXT: 10}
    assert report.usage is not None
    assert (report.usage.completeness, report.flags) == ("exact", ())


@pytest.mark.parametrize(("kind", "unit"), [("audio/wav", IN_AUDIO), ("image/png", IN_IMAGE), ("video/mp4", IN_VIDEO)])
def test_an_embedded_medium_of_which_nothing_is_told_is_never_charged_as_text(kind: str, unit: str) -> None:
    """Text is the cheapest that it can have been."""
    report = medium_embedded({"promptTokenCount": 100}, kind)
    assert units(report) == {unit: 100}
    assert report.usage is not None
    assert report.usage.completeness == "estimated"


def test_a_recording_of_which_nothing_is_told_is_charged_as_sound() -> None:
    """And marked, since some of it was text."""
    parts = [{"text": "x"}, {"inlineData": {"mimeType": "audio/wav", "data": "aGVsbG8gd29ybGQ="}}]
    report = whole(said(candidate("hi", "STOP"), usage=used(100, 5)), contents=[{"parts": parts}])
    assert units(report) == {IN_AUDIO: 100, OUT_TEXT: 5}
    assert report.usage is not None
    assert report.usage.completeness == "estimated"
    told = used(100, 5, promptTokensDetails=[{"modality": "TEXT", "tokenCount": 4}, {"modality": "AUDIO", "tokenCount": 96}])
    exact = whole(said(candidate("hi", "STOP"), usage=told), contents=[{"parts": parts}])
    assert units(exact) == {IN_AUDIO: 96, IN_TEXT: 4, OUT_TEXT: 5}
    assert exact.usage is not None
    assert exact.usage.completeness == "exact"


@pytest.mark.parametrize(("kind", "unit"), [("image/png", OUT_IMAGE), ("audio/L16;rate=24000", OUT_AUDIO)])
def test_a_medium_in_the_answer_of_which_nothing_is_told_is_charged_as_what_it_is(kind: str, unit: str) -> None:
    """A picture costs many times what its tokens would as text."""
    shown = {"content": {"parts": [{"inlineData": {"mimeType": kind, "data": "aGk="}}]}, "index": 0, "finishReason": "STOP"}
    report = whole(said(shown, usage=used(9, 1290, 3)))
    assert units(report) == {IN_TEXT: 9, unit: 1290, OUT_TEXT: 3}
    assert report.usage is not None
    assert report.usage.completeness == "estimated"
