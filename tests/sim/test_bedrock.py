"""Bedrock's Converse API, as boto3 sees it; its frames and signatures, byte by byte."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import ClientError, EventStreamError

from farebox.sim import Server, serve
from farebox.sim.eventstream import event_frame, exception_frame
from farebox.sim.options import TEST_ACCESS_KEY, TEST_SECRET_KEY, described
from farebox.sim.refusals import RefusedError
from farebox.sim.sigv4 import Signed, check

MODEL = "us.anthropic.claude-opus-5-5"
INPUT, OUTPUT, READ, WRITE_5M, WRITE_1H = 4_400, 22_000, 220, 5_500, 8_800
"""Nano-dollars for a token of `MODEL`, in a region."""
TOOL = {"toolSpec": {"name": "note", "inputSchema": {"json": {"type": "object"}}}}
AT_S = 1_795_000_000
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]


def client(url: str, key: str = TEST_ACCESS_KEY, secret: str = TEST_SECRET_KEY) -> Any:
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
    )


@pytest.fixture
def bedrock(sim: Server) -> Iterator[Any]:
    made = client(sim.url)
    yield made
    made.close()


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"text": text}]}]


async def converse(bedrock: Any, text: str, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = await asyncio.to_thread(lambda: bedrock.converse(**{"modelId": MODEL, "messages": said(text)} | fields))
    return found


async def converse_stream(bedrock: Any, text: str, **fields: Any) -> list[dict[str, Any]]:
    def call() -> list[dict[str, Any]]:
        with closing(bedrock.converse_stream(**{"modelId": MODEL, "messages": said(text)} | fields)["stream"]) as stream:
            return list(stream)

    return await asyncio.to_thread(call)


async def test_answer_reports_disjoint_buckets(bedrock: Any, rows: Rows) -> None:
    """What is read from the cache or written to it is not in `inputTokens`; the total is the sum of all."""
    words = "x" * 2000 + " sim:bill=a sim:output=5 sim:cached=50 sim:cache_write=40 sim:cache_write_1h=60"
    answer = await converse(bedrock, words, inferenceConfig={"maxTokens": 100}, serviceTier={"type": "flex"})
    usage = answer["usage"]
    assert answer["output"]["message"] == {"role": "assistant", "content": [{"text": " fare box coin ride line"}]}
    assert (answer["stopReason"], answer["serviceTier"]) == ("end_turn", {"type": "flex"})
    assert usage["cacheDetails"] == [{"ttl": "5m", "inputTokens": 40}, {"ttl": "1h", "inputTokens": 60}]
    assert (usage["cacheReadInputTokens"], usage["cacheWriteInputTokens"], usage["outputTokens"]) == (50, 100, 5)
    assert usage["totalTokens"] == usage["inputTokens"] + 50 + 100 + 5
    [row] = await rows()
    assert (row["label"], row["dialect"], row["provider"], row["model"], row["cap"]) == ("a", "bedrock", "aws", MODEL, 100)
    assert row["id"] == answer["ResponseMetadata"]["RequestId"]
    assert row["nano"] == usage["inputTokens"] * INPUT + 50 * READ + 40 * WRITE_5M + 60 * WRITE_1H + 5 * OUTPUT


async def test_stream_ends_with_its_metadata(bedrock: Any, rows: Rows) -> None:
    """The events that boto3 decodes, in order, and the same usage as an answer at once."""
    found = await converse_stream(bedrock, "sim:output=2")
    assert [next(iter(event)) for event in found] == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert "".join(event["contentBlockDelta"]["delta"]["text"] for event in found[1:3]) == " fare box"
    whole = await converse(bedrock, "sim:output=2")
    assert found[-1]["metadata"]["usage"] == whole["usage"]
    first, second = await rows()
    assert (first["nano"], first["streamed"], second["streamed"]) == (second["nano"], True, False)


async def test_tools_and_reasoning_are_blocks(bedrock: Any, rows: Rows) -> None:
    """Whole and streamed they say the same."""
    fields = {
        "toolConfig": {"tools": [TOOL]},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    }
    whole = await converse(bedrock, "sim:tool=1 sim:output=2 sim:reasoning=3", **fields)
    reasoning, call = whole["output"]["message"]["content"]
    assert reasoning["reasoningContent"]["reasoningText"]["text"].count(" ") == 3
    assert (whole["stopReason"], call["toolUse"]["name"], call["toolUse"]["input"]) == ("tool_use", "note", {"text": " fare box"})
    found = await converse_stream(bedrock, "sim:tool=note sim:output=2 sim:reasoning=3", **fields)
    deltas = [event["contentBlockDelta"]["delta"] for event in found if "contentBlockDelta" in event]
    assert "".join(delta["toolUse"]["input"] for delta in deltas if "toolUse" in delta) == '{"text":" fare box"}'
    assert any("signature" in delta.get("reasoningContent", {}) for delta in deltas)
    assert [row["tokens"]["output"] for row in await rows()] == [5, 5]


async def test_cap_filter_and_missing_usage(bedrock: Any, rows: Rows) -> None:
    """The reasons to stop, and metadata that tells nothing."""
    assert (await converse(bedrock, "sim:output=9", inferenceConfig={"maxTokens": 3}))["stopReason"] == "max_tokens"
    assert (await converse(bedrock, "sim:content_filter=finish"))["stopReason"] == "content_filtered"
    found = await converse_stream(bedrock, "sim:usage=missing sim:output=1")
    assert "usage" not in found[-1]["metadata"]
    assert all(row["nano"] > 0 for row in await rows())
    for how, told in (("missing", None), ("mismatch", [{"ttl": "5m", "inputTokens": 50}])):
        usage = (await converse(bedrock, "x" * 1000 + f" sim:cache_write=100 sim:cache_split={how}"))["usage"]
        assert usage.get("cacheDetails") == told


@pytest.mark.parametrize(
    ("model", "nano"),
    [
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", 5_500),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", 5_500),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", 5_000),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.anthropic.claude-haiku-4-5-20251001-v1:0", 5_000),
        ("amazon.nova-lite-v1:0", 240),
    ],
)
async def test_inference_profiles_have_their_prices(bedrock: Any, rows: Rows, model: str, nano: int) -> None:
    """A region costs a tenth more than the whole world."""
    for words in ("sim:output=0 ", "sim:output=10"):
        await converse(bedrock, words, modelId=model)
    first, second = await rows()
    assert second["nano"] - first["nano"] == 10 * nano


async def test_exception_ends_a_stream_as_an_event(bedrock: Any, rows: Rows) -> None:
    """boto3 raises it; what came before has arrived."""
    for status, code in ((429, "throttlingException"), (500, "internalServerException"), (418, "modelStreamErrorException")):
        with pytest.raises(EventStreamError) as caught:
            await converse_stream(bedrock, f"sim:output=9 sim:fail=2 sim:status={status}")
        assert caught.value.response["Error"]["Code"] == code
    assert all(not row["finished"] and row["nano"] > 0 for row in await rows())


@pytest.mark.parametrize(
    ("text", "model", "status", "code"),
    [
        ("sim:status=429", MODEL, 429, "ThrottlingException"),
        ("sim:status=503", MODEL, 503, "ServiceUnavailableException"),
        ("sim:status=400 sim:code=ServiceQuotaExceededException", MODEL, 400, "ServiceQuotaExceededException"),
        ("hi", "anthropic.claude-none", 400, "ValidationException"),
        ("sim:odd=1", MODEL, 400, "ValidationException"),
        ("x" * 4_500_000, MODEL, 400, "ValidationException"),
    ],
)
async def test_errors_raise_boto3s_own_codes(bedrock: Any, rows: Rows, text: str, model: str, status: int, code: str) -> None:
    """The kind stands in the head, and nothing is billed."""
    with pytest.raises(ClientError) as caught:
        await converse(bedrock, text, modelId=model)
    assert (caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    [row] = await rows()
    assert (row["status"], row["nano"]) == (status, 0)


async def test_signature_is_checked(sim: Server, rows: Rows) -> None:
    """A wrong secret, an unknown key, no credential: each in the provider's words, and none on the bill."""
    for key, secret, code in (
        (TEST_ACCESS_KEY, "wrong", "InvalidSignatureException"),
        ("AKIAUNKNOWN", TEST_SECRET_KEY, "UnrecognizedClientException"),
    ):
        made = client(sim.url, key, secret)
        with pytest.raises(ClientError) as caught:
            await converse(made, "hi")
        made.close()
        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert await rows() == []
    async with httpx.AsyncClient(base_url=sim.url) as nobody:
        answer = await nobody.post(f"/model/{MODEL}/converse", json={"messages": said("hi")})
        assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (403, "MissingAuthenticationTokenException")


async def test_key_pairs_are_configured_as_the_command_line_writes_them(rows: Rows) -> None:
    """Then the test key is a stranger."""
    server = await serve(options=described([], ["AKIAMINE:my:secret"]))
    try:
        mine, other = client(server.url, "AKIAMINE", "my:secret"), client(server.url)
        assert (await converse(mine, "hi"))["stopReason"] == "end_turn"
        with pytest.raises(ClientError):
            await converse(other, "hi")
        mine.close()
        other.close()
    finally:
        await server.close()
    assert await rows() == []


async def test_bearer_key_serves_without_a_signature(http: httpx.AsyncClient, rows: Rows) -> None:
    """As Bedrock's API keys do."""
    answer = await http.post(f"/model/{MODEL}/converse", json={"messages": said("hi")})
    assert answer.json()["stopReason"] == "end_turn"
    assert (await rows())[0]["id"] == answer.headers["x-amzn-requestid"]


def signed_at(at_s: int, body: bytes, monkeypatch: pytest.MonkeyPatch, **headers: str) -> Signed:
    """A request signed by botocore at a moment."""
    moment = datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: moment)
    path, query = f"/model/{MODEL}%3A0/converse", "b=2&a=1%20x&c="
    request = AWSRequest("POST", f"http://sim.test{path}?{query}", headers={"host": "sim.test", **headers}, data=body)
    SigV4Auth(Credentials(TEST_ACCESS_KEY, TEST_SECRET_KEY), "bedrock", "us-east-1").add_auth(request)
    sent = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
    return Signed("POST", path, query, sent, body)


KEYS = {TEST_ACCESS_KEY: TEST_SECRET_KEY}


def test_botocores_signature_is_right_with_any_path_query_and_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path is encoded twice, the query sorted, spaces in headers folded."""
    check(signed_at(AT_S, b'{"a":1}', monkeypatch, **{"content-type": "application/json", "x-amz-meta": " a   b "}), KEYS, AT_S)


@pytest.mark.parametrize("late", [-301, 301])
def test_old_signatures_are_not_taken(monkeypatch: pytest.MonkeyPatch, late: int) -> None:
    """Five minutes either way."""
    signed = signed_at(AT_S, b"{}", monkeypatch)
    check(signed, KEYS, AT_S + late - (1 if late > 0 else -1))
    with pytest.raises(RefusedError, match="Signature expired"):
        check(signed, KEYS, AT_S + late)


def test_any_change_of_a_signed_request_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Body, path, query, method, signed header: each is part of the signature."""
    signed = signed_at(AT_S, b'{"a":1}', monkeypatch, **{"content-type": "application/json"})
    changes: list[dict[str, Any]] = [
        {"body": b'{"a":2}'},
        {"path": "/model/other/converse"},
        {"query": "a=1"},
        {"method": "PUT"},
        {"headers": {**signed.headers, b"content-type": b"text/plain"}},
    ]
    for change in changes:
        fields = {name: getattr(signed, name) for name in ("method", "path", "query", "headers", "body")}
        with pytest.raises(RefusedError, match="does not match") as caught:
            check(Signed(**(fields | change)), KEYS, AT_S)
        assert (caught.value.status, caught.value.code) == (403, "InvalidSignatureException")


@pytest.mark.parametrize(
    "authorization",
    [b"AWS4-HMAC-SHA256", b"AWS4-HMAC-SHA256 Credential=a/b", b"AWS4-HMAC-SHA256 " + b"Credential=" * 10_000, b"AWS4-HMAC-SHA256 \xff"],
)
def test_header_that_is_no_signature_is_refused(authorization: bytes) -> None:
    """In bounded time."""
    with pytest.raises(RefusedError) as caught:
        check(Signed("POST", "/", "", {b"authorization": authorization}, b""), KEYS, AT_S)
    assert caught.value.code == "IncompleteSignatureException"


def test_scope_has_to_be_bedrock_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another service, another day, no date, no host: each is told."""
    signed = signed_at(AT_S, b"{}", monkeypatch)
    said_so = signed.headers[b"authorization"]
    for old, new, told in (
        (b"/bedrock/", b"/s3/", "correct service"),
        (said_so.split(b"/")[1], b"20200101", "scope does not match"),
        (b"host;", b"", "must be a 'SignedHeader'"),
    ):
        headers = {**signed.headers, b"authorization": said_so.replace(old, new, 1)}
        with pytest.raises(RefusedError, match=told):
            check(Signed(signed.method, signed.path, signed.query, headers, signed.body), KEYS, AT_S)
    with pytest.raises(RefusedError, match="ISO-8601"):
        check(Signed("POST", "/", "", {**signed.headers, b"x-amz-date": b"today"}, b""), KEYS, AT_S)


def test_frames_have_the_checksums_that_botocore_checks() -> None:
    """Lengths and both CRCs; split anywhere they are the same events."""
    wire = event_frame(b"messageStart", b'{"role":"assistant"}') + exception_frame(b"throttlingException", b'{"message":"no"}')
    buffer = EventStreamBuffer()
    for at in range(len(wire)):
        buffer.add_data(wire[at : at + 1])
    first, second = [event.to_response_dict() for event in buffer]
    assert first["headers"][":event-type"] == "messageStart"
    assert first["body"] == b'{"role":"assistant"}'
    assert second["headers"][":exception-type"] == "throttlingException"
    assert int.from_bytes(wire[8:12], "big") == zlib.crc32(wire[:8])


async def test_counted_tokens_are_the_billed_ones(bedrock: Any, rows: Rows) -> None:
    """Pictures and documents too; it is free."""
    content = [
        {"text": "look"},
        {"image": {"format": "png", "source": {"bytes": bytes(6000)}}},
        {"document": {"format": "pdf", "name": "fares", "source": {"bytes": b"%PDF /Type /Page /Type /Page" + bytes(3000)}}},
    ]
    asked = {"messages": [{"role": "user", "content": content}], "system": [{"text": "be brief"}]}
    counted = await asyncio.to_thread(lambda: bedrock.count_tokens(modelId=MODEL, input={"converse": asked}))
    assert await rows() == []
    answer = await asyncio.to_thread(lambda: bedrock.converse(modelId=MODEL, **asked))
    assert counted["inputTokens"] == answer["usage"]["inputTokens"]
    assert 1568 + 4000 < counted["inputTokens"] < 1568 + 4000 + 200
    native = await asyncio.to_thread(lambda: bedrock.count_tokens(modelId=MODEL, input={"invokeModel": {"body": bytes(400)}}))
    assert native["inputTokens"] == 101
    with pytest.raises(ClientError):
        await asyncio.to_thread(lambda: bedrock.count_tokens(modelId="anthropic.none", input={"converse": asked}))


async def test_bodies_that_make_no_sense_are_refused(http: httpx.AsyncClient) -> None:
    """As validation errors."""
    bodies: tuple[dict[str, Any], ...] = (
        {"messages": []},
        {"messages": said("hi"), "inferenceConfig": {"maxTokens": 0}},
        {"messages": said("hi"), "serviceTier": {"type": "best"}},
        {"messages": said("sim:tool=knit"), "toolConfig": {"tools": [TOOL]}},
        {"messages": "hi"},
    )
    for sent in bodies:
        answer = await http.post(f"/model/{MODEL}/converse", json=sent)
        assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException"), sent
    assert (await http.post(f"/model/{MODEL}/count-tokens", json={"input": {}})).status_code == 400
