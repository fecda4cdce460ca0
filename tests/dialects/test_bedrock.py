"""What a Converse request may cost at most, how its frames are read wherever they are cut, and what its usage means."""

import base64
import json
from typing import Any
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from farebox import limits
from farebox.dialects import Bedrock
from farebox.dialects.base import Ask, StreamMeter
from farebox.dialects.bedrock import error_type, frames
from farebox.dialects.routes import match, spoken
from farebox.errors import (
    AmbiguousBody,
    CostUnbounded,
    Exhausted,
    InvalidRequest,
    LedgerDown,
    MethodNotAllowed,
    RouteNotFound,
    UpstreamTimeout,
)
from farebox.sim.eventstream import event_frame, exception_frame
from farebox.usage import IN_CACHE_READ, IN_CACHE_WRITE_1H, IN_CACHE_WRITE_5M, IN_TEXT, OUT_TEXT

MODEL = "us.anthropic.claude-opus-5-5"
BEDROCK = Bedrock()
ARN = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{MODEL}"
STREAM = match("POST", f"/model/{MODEL}/converse-stream", [])
SAID = [{"role": "user", "content": [{"text": "hi"}]}]
USAGE = {"inputTokens": 9, "outputTokens": 2, "totalTokens": 41, "cacheReadInputTokens": 10, "cacheWriteInputTokens": 20}
WRITES = {"cacheDetails": [{"ttl": "5m", "inputTokens": 5}, {"ttl": "1h", "inputTokens": 15}]}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\0\0\0\0\0\0\0\0IDAT\0\0\0\0").decode()


NATIVE: tuple[dict[str, Any], ...] = ({"tools": [{}]}, {"max_tokens": 9}, {"inferenceConfig": {"maxTokens": 9}})


def encoded(**members: Any) -> bytes:
    return json.dumps({"messages": SAID, **members}).encode()


def ask(**members: Any) -> Ask:
    return BEDROCK.ask(STREAM, encoded(**members), {})


def block(**member: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [member]}]}


def event(kind: str, **told: Any) -> bytes:
    return event_frame(kind.encode(), json.dumps(told).encode())


WHOLE = (
    event("messageStart", role="assistant")
    + event("contentBlockDelta", contentBlockIndex=0, delta={"text": "Hé"})
    + event("contentBlockStop", contentBlockIndex=0)
)
END = event("messageStop", stopReason="end_turn") + event("metadata", usage=USAGE | WRITES, metrics={"latencyMs": 1})


# --- paths ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [MODEL, "amazon.nova-lite-v1%3A0", "amazon.nova-lite-v1:0", ARN.replace("/", "%2F"), "bedrock%2F" + MODEL])
def test_models_stand_in_the_path_escaped(name: str) -> None:
    """By id, with a provider, or as an ARN; with a prefix of the API's own or without."""
    for base in ("", "/bedrock"):
        route = match("POST", f"{base}/model/{name}/converse", [])
        assert (route.dialect, route.name, route.argument) == ("bedrock", "converse", name.replace("%3A", ":").replace("%2F", "/"))


@pytest.mark.parametrize(
    "path",
    [
        *("/model/a/invoke", "/model/a/invoke-with-response-stream", "/model//converse", "/model/a/b/converse", "/model/%61/converse"),
        *("/model/a%2F%2e%2e/converse", "/model/a%252F/converse", "/model/../converse", "/async-invoke", "/guardrail/g/version/1/apply"),
        *("/model/a/converse/", "/bedrock/model/a/invoke", "/model/a/invoke-with-bidirectional-stream", "/guardrail-checks/invoke"),
    ],
)
def test_everything_else_is_refused_with_the_way_to_go(path: str) -> None:
    """Nothing but colons and slashes is unescaped."""
    with pytest.raises(RouteNotFound, match="Use `converse`"):
        match("POST", path, [])
    assert spoken(path, []) == "bedrock"
    with pytest.raises(MethodNotAllowed):
        match("GET", f"/model/{MODEL}/converse", [])


def test_an_arn_is_priced_by_its_model_and_sent_as_it_is() -> None:
    """As long as its model is the one that is meant."""
    route = match("POST", f"/model/{ARN.replace('/', '%2F')}/converse", [])
    read = BEDROCK.ask(route, encoded(), {})
    assert read.model == MODEL
    assert BEDROCK.target(read, route, MODEL, b"") == f"/model/{ARN.replace(':', '%3A').replace('/', '%2F')}/converse"
    assert BEDROCK.target(read, route, "amazon.nova-lite-v1:0", b"") == "/model/amazon.nova-lite-v1%3A0/converse"


@pytest.mark.parametrize(
    "kind",
    [
        "application-inference-profile",
        "provisioned-model",
        "custom-model",
        "imported-model",
        "prompt",
        "prompt-router",
        "default-prompt-router",
    ],
)
def test_an_arn_that_stands_for_something_of_its_owners_is_refused(kind: str) -> None:
    """Its model, or its price, is known to its account alone."""
    route = match("POST", f"/model/arn:aws:bedrock:us-east-1:123456789012:{kind}%2Fabc123/converse", [])
    with pytest.raises(CostUnbounded, match="modelId"):
        BEDROCK.ask(route, encoded(), {})


def test_a_body_may_not_name_another_model_or_spell_its_cap_differently() -> None:
    """The path decides; and there is one name for the cap."""
    assert ask(modelId=MODEL).model == MODEL
    for members in ({"modelId": "another"}, {"max_tokens": 5}, {"inferenceConfig": {"max_tokens": 5}}):
        with pytest.raises(AmbiguousBody):
            ask(**members)


# --- what it may cost ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "body"),
    [
        ({}, {"inferenceConfig": {"maxTokens": 7}}),
        ({"inferenceConfig": None}, {"inferenceConfig": {"maxTokens": 7}}),
        ({"inferenceConfig": {}}, {"inferenceConfig": {"maxTokens": 7}}),
        ({"inferenceConfig": {"topP": 1, "maxTokens": 90}}, {"inferenceConfig": {"topP": 1, "maxTokens": 7}}),
        ({"inferenceConfig": {"maxTokens": None, "topP": 1}}, {"inferenceConfig": {"maxTokens": 7, "topP": 1}}),
    ],
)
def test_the_cap_is_set_where_it_stands(members: dict[str, Any], body: dict[str, Any]) -> None:
    """And everything else stays."""
    before = encoded(**members)
    read = ask(**members)
    assert json.loads(BEDROCK.rewrite(read, before, model=None, output_cap=7)) == {"messages": SAID, **body}
    assert BEDROCK.rewrite(read, before, model="another", output_cap=None) is before


def test_cache_points_say_what_may_be_written() -> None:
    """For five minutes where they do not say how long."""
    assert ask(system=[{"cachePoint": {"type": "default"}}]).demand.input_units == (IN_TEXT, IN_CACHE_READ, IN_CACHE_WRITE_5M)
    hour = {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {}}}}, {"cachePoint": {"type": "default", "ttl": "1h"}}]}
    assert ask(toolConfig=hour).demand.input_units == (IN_TEXT, IN_CACHE_READ, IN_CACHE_WRITE_1H)
    with pytest.raises(CostUnbounded, match="ttl"):
        ask(system=[{"cachePoint": {"type": "default", "ttl": "1d"}}])


def test_tiers_and_latency_may_fall_back_to_the_plain_ones() -> None:
    """The dearest of them is held."""
    told = ask(serviceTier={"type": "priority"}, performanceConfig={"latency": "optimized"}).demand.conditions
    assert {(one.service_tier, one.speed) for one in told} == {
        ("priority", "optimized"),
        ("priority", "standard"),
        ("default", "optimized"),
        ("default", "standard"),
    }
    assert len(ask().demand.conditions) == 1


def test_media_are_counted_as_what_they_are() -> None:
    """A picture by its size, not by the length of its base64; text by its bytes; a document of unknown pages by the most there can be."""
    plain = ask().demand.input_tokens_max
    picture = {"format": "png", "source": {"bytes": PIXEL}}
    assert plain < ask(**block(image=picture)).demand.input_tokens_max < plain + 200
    document = {"format": "txt", "name": "a", "source": {"bytes": base64.b64encode(b"x" * 3000).decode()}}
    assert ask(**block(document=document)).demand.input_tokens_max > plain + 3000
    unread = {"format": "pdf", "name": "a", "source": {"bytes": "AAAA"}}
    assert ask(**block(document=unread)).demand.input_tokens_max > plain + 600 * 3000
    nested = {"toolUseId": "t", "content": [{"image": picture}, {"json": {"a": 1}}]}
    assert plain < ask(**block(toolResult=nested)).demand.input_tokens_max < plain + 300


@pytest.mark.parametrize(
    "members",
    [
        *(block(**{kind: {"format": "x", "source": {"bytes": "AA"}}}) for kind in ("video", "audio")),
        block(image={"format": "png", "source": {"s3Location": {"uri": "s3://a/b"}}}),
        block(document={"format": "docx", "name": "a", "source": {"bytes": "AA"}}),
        block(document={"format": "pdf", "name": "a", "source": {"s3Location": {"uri": "s3://a/b"}}}),
        block(guardContent={"text": {"text": "x"}}),
        block(toolResult={"toolUseId": "t", "content": [{"video": {}}]}),
        block(toolAddition={"tool": {}}),
        block(somethingNew={}),
        {"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}},
        {"toolConfig": {"tools": [{"newTool": {}}]}},
        {"guardrailConfig": {"guardrailIdentifier": "a", "guardrailVersion": "1"}},
        {"promptVariables": {"a": {"text": "b"}}},
        {"serviceTier": {"type": "reserved"}},
        {"performanceConfig": {"latency": "new"}},
        {"maxTokens": 5},
        *({"additionalModelRequestFields": fields} for fields in NATIVE),
        {"additionalModelRequestFields": {"anthropic_beta": ["mcp-client-2025-04-04"]}},
    ],
)
def test_what_has_no_bound_is_refused(members: dict[str, Any]) -> None:
    """Kinds that are not known, too: nobody knows what they cost."""
    with pytest.raises(CostUnbounded):
        ask(**members)


@pytest.mark.parametrize("members", [{"messages": []}, {"inferenceConfig": {"maxTokens": 0}}, {"inferenceConfig": {"maxTokens": True}}])
def test_what_cannot_be_meant_is_refused(members: dict[str, Any]) -> None:
    """By name."""
    with pytest.raises(InvalidRequest):
        ask(**members)


def test_a_thinking_budget_bounds_the_cap_from_below() -> None:
    """It is never lowered under it."""
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 2000}, "anthropic_beta": ["interleaved-thinking-2025-05-14"]}
    assert ask(additionalModelRequestFields=thinking).demand.output_tokens_min == 2001


# --- frames --------------------------------------------------------------------------------------------------------------------------------


def fed(meter: StreamMeter, data: bytes, sizes: list[int]) -> bytes:
    """What comes out of a stream that arrives in pieces of these sizes, the end with it."""
    out, at = b"", 0
    for size in [*sizes, len(data)]:
        out += meter.feed(data[at : at + size])
        at += size
    return out + meter.close()


@given(st.lists(st.integers(0, 60), max_size=60))
def test_frames_are_read_wherever_they_are_cut(sizes: list[int]) -> None:
    """The same bytes come out; the end waits for the charge."""
    meter = BEDROCK.stream(ask(system=[{"cachePoint": {"type": "default", "ttl": "1h"}}]), {})
    assert fed(meter, WHOLE + END, sizes) == WHOLE
    report = meter.report()
    assert (meter.held_back, report.finished, report.delivered_bytes, report.flags) == (END, True, 3, ())
    assert report.usage is not None
    assert report.usage.units == {IN_TEXT: 9, IN_CACHE_READ: 10, IN_CACHE_WRITE_5M: 5, IN_CACHE_WRITE_1H: 15, OUT_TEXT: 2}
    assert report.usage.prompt_total == 39


@given(st.integers(0, len(WHOLE + END) - 1), st.integers(1, 255), st.lists(st.integers(0, 60), max_size=20))
def test_a_wrong_byte_is_never_passed_on_as_an_event(at: int, change: int, sizes: list[int]) -> None:
    """What comes out is whole frames from the beginning; without an end there is no usage."""
    data = bytearray(WHOLE + END)
    data[at] ^= change
    meter = BEDROCK.stream(ask(), {})
    out = fed(meter, bytes(data), sizes) + meter.held_back
    assert (WHOLE + END).startswith(out)
    assert len(out) <= at
    assert (meter.report().usage, meter.finished) == (None, False)


def test_memory_is_bounded_and_a_huge_frame_passes_unread() -> None:
    """Its prelude is believed once its checksum is right; what follows is read again."""
    huge = event_frame(b"contentBlockDelta", b'{"delta":{"text":"' + b"x" * (limits.stream_event_bytes_max + 1) + b'"}}')
    meter = BEDROCK.stream(ask(), {})
    out = b"".join(meter.feed(huge[at : at + 65_536]) for at in range(0, len(huge), 65_536))
    assert out == huge
    assert (meter.feed(WHOLE + END), meter.finished, meter.report().flags) == (WHOLE, True, ("oversized_event",))
    promised = (2**32 - 1).to_bytes(4, "big") + (0).to_bytes(4, "big")
    splitter = frames.FrameSplitter()
    pieces, broken = splitter.feed(promised + crc32(promised).to_bytes(4, "big") + b"x" * 100)
    assert (len(b"".join(pieces)), broken, splitter.close()) == (112, False, b"")


@pytest.mark.parametrize("kind", [b"throttlingException", b"modelStreamErrorException"])
def test_an_exception_ends_a_stream_with_no_usage(kind: bytes) -> None:
    """It waits for the charge as every end does."""
    told = exception_frame(kind, b'{"message":"no"}')
    meter = BEDROCK.stream(ask(), {})
    assert meter.feed(WHOLE + told) + meter.close() == WHOLE
    report = meter.report()
    assert (meter.held_back, report.upstream_error, report.finished, report.usage) == (told, True, False, None)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (UpstreamTimeout(provider="x"), "modelStreamErrorException"),
        (LedgerDown(), "serviceUnavailableException"),
        (Exhausted(), "validationException"),
    ],
)
def test_our_own_exceptions_are_frames_that_botocore_reads(refusal: Any, code: str) -> None:
    """With both checksums right, and the kind where it looks for it."""
    buffer = EventStreamBuffer()
    buffer.add_data(BEDROCK.error_frame(refusal, "req_1"))
    (read,) = list(buffer)
    assert (read.headers[":message-type"], read.headers[":exception-type"]) == ("exception", code)
    assert json.loads(read.payload)["farebox"]["request_id"] == "req_1"


@given(st.binary(max_size=300))
def test_hostile_bytes_never_raise(data: bytes) -> None:
    """As frames, as the headers of one, as payloads, as answers."""
    read = ask()
    meter = BEDROCK.stream(read, {})
    meter.feed(data)
    meter.feed(event_frame(b"metadata", data) + event_frame(b"contentBlockDelta", data))
    pair = (16 + len(data)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
    checked = pair + crc32(pair).to_bytes(4, "big") + data
    BEDROCK.stream(read, {}).feed(checked + crc32(checked).to_bytes(4, "big"))
    BEDROCK.stream(read, {}).feed(event_frame(b"metadata", b'{"usage":' + data + b"}"))
    BEDROCK.read_answer(read, data, {})
    BEDROCK.fault(400, data)


# --- usage ---------------------------------------------------------------------------------------------------------------------------------


def units(read: Ask, **usage: Any) -> tuple[dict[str, int] | None, tuple[str, ...]]:
    report = BEDROCK.read_answer(read, json.dumps({"output": {"message": {"content": []}}, "usage": usage}).encode(), {})
    return (None if report.usage is None else report.usage.units), report.flags


def test_writes_of_unknown_lifetime_are_the_dearest_that_was_asked_for() -> None:
    """All of them, or the rest."""
    short, long = ask(system=[{"cachePoint": {"type": "default"}}]), ask(system=[{"cachePoint": {"type": "default", "ttl": "1h"}}])
    told = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 102, "cacheWriteInputTokens": 100}
    assert units(short, **told) == ({IN_TEXT: 1, IN_CACHE_WRITE_5M: 100, OUT_TEXT: 1}, ())
    assert units(long, **told, cacheDetails=[{"ttl": "5m", "inputTokens": 40}]) == (
        {IN_TEXT: 1, IN_CACHE_WRITE_5M: 40, IN_CACHE_WRITE_1H: 60, OUT_TEXT: 1},
        (),
    )


@pytest.mark.parametrize(
    ("ttl", "details", "completeness"),
    [
        ("5m", [], "exact"),
        ("1h", [{"ttl": "1h", "inputTokens": 100}], "exact"),
        ("1h", [], "estimated"),
        ("1h", [{"ttl": "5m", "inputTokens": 40}], "estimated"),
        ("5m", [{"ttl": "5m", "inputTokens": 140}], "estimated"),
    ],
)
def test_writes_that_may_have_been_cheaper_than_what_is_charged_are_an_estimate(ttl: str, details: Any, completeness: str) -> None:
    """The bill may be below the dearest lifetime."""
    told = {"inputTokens": 1, "outputTokens": 1, "cacheWriteInputTokens": 100, "cacheDetails": details}
    answer = json.dumps({"output": {"message": {"content": []}}, "usage": told}).encode()
    usage = BEDROCK.read_answer(ask(system=[{"cachePoint": {"type": "default", "ttl": ttl}}]), answer, {}).usage
    assert usage is not None
    assert usage.completeness == completeness


@pytest.mark.parametrize(
    ("usage", "found"),
    [
        ({"inputTokens": 9}, (None, ("partial_usage",))),
        ({"inputTokens": -9, "outputTokens": 1}, (None, ("absurd_usage",))),
        ({"inputTokens": 9, "outputTokens": 1.0}, (None, ("absurd_usage",))),
        ({"inputTokens": 9, "outputTokens": 1, "cacheDetails": [{"ttl": "1d", "inputTokens": 1}]}, (None, ("unknown_cache_ttl",))),
        ({"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}, ({}, ())),
        (
            {"inputTokens": 9, "outputTokens": 1, "totalTokens": 10, "cacheReadInputTokens": 5},
            ({IN_TEXT: 9, IN_CACHE_READ: 5, OUT_TEXT: 1}, ()),
        ),
        ({"inputTokens": 9, "outputTokens": 1, "totalTokens": 30}, ({IN_TEXT: 9, OUT_TEXT: 21}, ("inconsistent_usage",))),
        ({"inputTokens": 9, "outputTokens": 1, "newTokens": 3}, ({IN_TEXT: 9, OUT_TEXT: 1}, ("unknown_usage_field",))),
    ],
)
def test_usage_is_believed_as_far_as_it_can_be(usage: dict[str, Any], found: Any) -> None:
    """A total that leaves the cache out is no oddity; one that is larger than its parts is charged."""
    assert units(ask(), **usage) == found


@pytest.mark.parametrize(
    ("told", "tier", "speed"), [({}, "flex", "standard"), ({"serviceTier": {"type": "default"}}, "default", "standard")]
)
def test_an_answer_says_how_it_was_served(told: dict[str, Any], tier: str, speed: str) -> None:
    """Where it does not, it was as asked for."""
    body = {"output": {"message": {}}, "usage": {"inputTokens": 1, "outputTokens": 1}, **told}
    usage = BEDROCK.read_answer(ask(serviceTier={"type": "flex"}), json.dumps(body).encode(), {}).usage
    assert usage is not None
    assert (usage.conditions.service_tier, usage.conditions.speed) == (tier, speed)


def test_no_money_is_a_quota_and_faults_have_owners() -> None:
    """The kind of a refusal stands in the head, for the body has none."""
    assert (error_type(Exhausted()), error_type(LedgerDown())) == (b"ServiceQuotaExceededException", b"ServiceUnavailableException")
    said = {403: "x", 400: "Operation not allowed", 404: "Model use case details have not been submitted for this account."}
    assert {BEDROCK.fault(status, json.dumps({"message": text}).encode()) for status, text in said.items()} == {"account"}
    assert BEDROCK.fault(400, b'{"message":"The provided model identifier is invalid."}') == "caller"
    assert (BEDROCK.fault(429, b"{}"), BEDROCK.fault(500, b"<html>")) == ("busy", "provider")
