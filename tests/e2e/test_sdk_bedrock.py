"""The unmodified `boto3` through the gateway: an endpoint and a bearer key are all it is told; each call is charged what Bedrock billed."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from farebox.money import format_usd
from farebox.sim.options import TEST_ACCESS_KEY, TEST_SECRET_KEY
from sdks.https import https_before
from support.house import House, charged_by_id, open_house
from support.joined import calls
from upstream.certificates import Authority

MODEL = "us.anthropic.claude-opus-5-5"
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.anthropic.claude-haiku-4-5-20251001-v1:0"
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
TOOL: Any = {"toolSpec": {"name": "note", "inputSchema": {"json": {"type": "object", "properties": {"text": {"type": "string"}}}}}}
CACHED = "x" * 1000
ASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("hi", {}),
    "capped": ("sim:output=90", {"inferenceConfig": {"maxTokens": 5, "temperature": 0.5}}),
    "system": ("hi", {"system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}]}),
    "tool": ("sim:tool=note", {"toolConfig": {"tools": [TOOL], "toolChoice": {"auto": {}}}}),
    "reasoning": ("sim:reasoning=30", {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}),
    "cache": (f"{CACHED} sim:cached=20 sim:cache_write=30", {"system": [{"text": "x"}, {"cachePoint": {"type": "default", "ttl": "5m"}}]}),
    "cached_for_an_hour": (
        f"{CACHED} sim:cache_write=40 sim:cache_write_1h=50",
        {"system": [{"cachePoint": {"type": "default", "ttl": "1h"}}]},
    ),
    "unknown_lifetime": (
        f"{CACHED} sim:cache_write=100 sim:cache_split=missing",
        {"system": [{"text": "x"}, {"cachePoint": {"type": "default", "ttl": "5m"}}]},
    ),
    "filtered": ("sim:content_filter=finish", {}),
}


@pytest.fixture
async def bedrock(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Any]]:
    """Makes clients of the gateway, by https, to which alone a bearer key is sent. The key is read at the first call."""
    authority = Authority(tmp_path)
    made: list[Any] = []

    def make(secret: str, **config: Any) -> Any:
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", secret)
        settings = Config(read_timeout=20, **config)
        made.append(
            boto3.client("bedrock-runtime", endpoint_url=secure, region_name="us-east-1", verify=authority.ca_file, config=settings)
        )
        return made[-1]

    async with https_before(house.url, authority.context("127.0.0.1")) as secure:
        yield make
        for one in made:
            one.close()


@pytest.fixture
def straight(house: House) -> Iterator[Any]:
    """The same SDK at the simulated provider itself."""
    made = boto3.client(
        "bedrock-runtime",
        endpoint_url=house.sim.url,
        region_name="us-east-1",
        aws_access_key_id=TEST_ACCESS_KEY,
        aws_secret_access_key=TEST_SECRET_KEY,
        config=Config(signature_version="v4", retries={"total_max_attempts": 1}),
    )
    yield made
    made.close()


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"text": text}]}]


async def converse(bedrock: Any, text: str, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = await asyncio.to_thread(lambda: bedrock.converse(**{"modelId": MODEL, "messages": said(text)} | fields))
    found.pop("ResponseMetadata")
    return found


async def converse_stream(bedrock: Any, text: str, **fields: Any) -> list[dict[str, Any]]:
    def call() -> list[dict[str, Any]]:
        with closing(bedrock.converse_stream(**{"modelId": MODEL, "messages": said(text)} | fields)["stream"]) as stream:
            return list(stream)

    return await asyncio.to_thread(call)


def same(value: Any) -> Any:
    """What must be equal in two answers: all but the ids of tool calls."""
    if isinstance(value, dict):
        return {name: same(inner) for name, inner in value.items() if name != "toolUseId"}
    return [same(inner) for inner in value] if isinstance(value, list) else value


async def test_answers_are_those_of_bedrock_and_cost_what_it_bills(house: House, bedrock: Callable[..., Any], straight: Any) -> None:
    """Whole and as streams, event by event; signed on the way there. Each is charged exactly."""
    through = bedrock(await house.customer("50.00", None))
    for name, (text, fields) in ASKS.items():
        capped = {"inferenceConfig": {"maxTokens": 3000}, **fields}
        assert same(await converse(through, text, **capped)) == same(await converse(straight, text, **capped)), name
        assert same(await converse_stream(through, text, **capped)) == same(await converse_stream(straight, text, **capped)), name
    charges = await house.agree_with(2 * len(ASKS))
    assert {charge.completeness for charge in charges} == {"exact"}
    assert {charge.flags for charge in charges} == {""}


async def test_an_arn_is_priced_by_its_profile_and_sent_as_it_is(house: House, bedrock: Callable[..., Any]) -> None:
    """`global.` profiles have prices of their own; the simulator counts by the model that it was sent."""
    through = bedrock(await house.customer())
    await converse(through, "hi", modelId=ARN)
    await converse_stream(through, "hi", modelId="bedrock/amazon.nova-lite-v1:0")
    first, second = await house.agree_with(2)
    assert (first.provider, first.model) == ("bedrock", "global.anthropic.claude-haiku-4-5-20251001-v1:0")
    assert (second.provider, second.model) == ("bedrock", "amazon.nova-lite-v1:0")
    assert "%3Ainference-profile%2Fglobal." in house.seen[0] or ":inference-profile/global." in house.seen[0]


async def test_a_bearer_key_goes_upstream_where_that_is_what_is_set(tmp_path: Path) -> None:
    """Without an access key's id nothing is signed."""
    settings = {"providers": {"eu": {"dialect": "bedrock", "prices": "bedrock", "api_key": "bearer-upstream"}}}

    def with_address(sim_url: str) -> dict[str, Any]:
        return {"providers": {"eu": {**settings["providers"]["eu"], "base_url": sim_url}}}

    async with open_house(tmp_path, with_address) as house:
        secret = await house.customer()
        answer = await plain(house, secret, "hi", model="eu/us.anthropic.claude-opus-5-5")
        assert (answer.status_code, answer.headers["x-farebox-hold"] > "0") == (200, True)
        (charge,) = await house.agree_with(1)
        assert charge.provider == "eu"


async def test_what_a_picture_or_a_document_may_cost_is_held(house: House, bedrock: Callable[..., Any], straight: Any) -> None:
    """Their bytes are read for it; the answer is the provider's own."""
    through = bedrock(await house.customer("20.00", None))
    pdf = b"%PDF-1.4\n1 0 obj<</Type/Pages/Kids[2 0 R 3 0 R]/Count 2>>endobj"
    media = [
        {"image": {"format": "png", "source": {"bytes": PIXEL}}},
        {"document": {"format": "pdf", "name": "fares", "source": {"bytes": pdf}}},
        {"document": {"format": "txt", "name": "more", "source": {"bytes": b"one fare for all" * 9}}},
        {"text": "What do they say?"},
    ]
    asked = {"messages": [{"role": "user", "content": media}], "inferenceConfig": {"maxTokens": 300}}
    assert same(await converse(through, "", **asked)) == same(await converse(straight, "", **asked))
    assert same(await converse_stream(through, "", **asked)) == same(await converse_stream(straight, "", **asked))
    await house.agree_with(2)


async def test_an_unnamed_cap_is_set_and_a_tool_is_answered(house: House, bedrock: Callable[..., Any]) -> None:
    """The conversation goes on with what the tool said; no call could have cost more than was held."""
    through = bedrock(await house.customer("20.00", None, default_max_output_tokens=300))
    history = said("go sim:tool=note")
    first = await converse(through, "", messages=history, toolConfig={"tools": [TOOL]})
    (used,) = [block["toolUse"] for block in first["output"]["message"]["content"] if "toolUse" in block]
    result = {"toolResult": {"toolUseId": used["toolUseId"], "content": [{"json": {"found": "a fare box"}}], "status": "success"}}
    history += [first["output"]["message"], {"role": "user", "content": [result, {"text": "and now sim:output=900"}]}]
    second = await converse(through, "", messages=history, toolConfig={"tools": [TOOL]})
    assert second["stopReason"] == "max_tokens"
    assert [row["cap"] for row in await house.sim_calls()] == [300, 300]
    await house.agree_with(2)


async def test_no_money_is_said_once_in_the_clients_own_words(house: House, bedrock: Callable[..., Any]) -> None:
    """One attempt, a code of its own, the message with both figures; nothing moved, nothing was sent on."""
    through = bedrock(await house.customer("0.01"))
    before = house.books()
    for call in (converse, converse_stream):
        with pytest.raises(ClientError) as refused:
            await call(through, "hi", inferenceConfig={"maxTokens": 60_000})
        told = refused.value.response
        assert told["Error"]["Code"] == "ServiceQuotaExceededException"
        assert "available $0.01" in told["Error"]["Message"]
        assert (told["ResponseMetadata"]["HTTPStatusCode"], told["ResponseMetadata"]["RetryAttempts"]) == (402, 0)
        assert told["ResponseMetadata"]["RequestId"].startswith("req_")
    assert len(house.seen) == 2
    assert house.books() == before
    assert not await house.sim_calls()


REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"modelId": "us.anthropic.claude-nobody-9"}, 403, "AccessDeniedException", "has no price"),
    ({"modelId": "arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:1"}, 400, "ValidationException", "kept by the provider"),
    ({"modelId": "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"}, 400, "ValidationException", "modelId"),
    ({"guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"}}, 400, "ValidationException", "guardrail"),
    ({"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}}, 400, "ValidationException", "systemTool"),
    ({"serviceTier": {"type": "reserved"}}, 400, "ValidationException", "serviceTier"),
    ({"performanceConfig": {"latency": "optimized"}}, 400, "ValidationException", "optimized"),
    ({"additionalModelRequestFields": {"max_tokens": 100_000}}, 400, "ValidationException", "max_tokens"),
    ({"promptVariables": {"a": {"text": "b"}}}, 400, "ValidationException", "promptVariables"),
]


@pytest.mark.parametrize(
    ("fields", "status", "code", "words"), REFUSED, ids=[next(iter(case[0])) + str(at) for at, case in enumerate(REFUSED)]
)
async def test_what_cannot_be_bounded_is_refused(
    house: House, bedrock: Callable[..., Any], fields: dict[str, Any], status: int, code: str, words: str
) -> None:
    """By name, before anything is held or sent."""
    through = bedrock(await house.customer())
    before = house.books()
    with pytest.raises(ClientError, match=words) as refused:
        await converse(through, "hi", **fields)
    told = refused.value.response
    assert (told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"]) == (status, code)
    assert (house.books(), await house.sim_calls()) == (before, [])


async def test_other_operations_and_keys_are_refused_clearly(house: House, bedrock: Callable[..., Any], straight: Any) -> None:
    """InvokeModel has a usage of its own for every model; a signature is no key of this gateway."""
    through = bedrock(await house.customer())
    with pytest.raises(ClientError, match="Use `converse`") as refused:
        await asyncio.to_thread(lambda: through.invoke_model(modelId=MODEL, body="{}"))
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"
    with pytest.raises(ClientError, match="Use `converse`"):
        await asyncio.to_thread(through.list_async_invokes)
    headers = {"authorization": "AWS4-HMAC-SHA256 Credential=x"}
    answer = await house.http.post(f"{house.url}/model/{MODEL}/converse", headers=headers, json={"messages": said("hi")})
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (401, "UnrecognizedClientException")
    assert "AWS_BEARER_TOKEN_BEDROCK" in answer.json()["message"]
    assert not await house.sim_calls()


@pytest.mark.parametrize(("status", "code"), [(400, "ValidationException"), (429, "ThrottlingException"), (500, "InternalServerException")])
async def test_errors_of_the_provider_pass_as_they_are_and_cost_nothing(
    house: House, bedrock: Callable[..., Any], status: int, code: str
) -> None:
    """With their code, on which a program decides."""
    through = bedrock(await house.customer(), retries={"total_max_attempts": 1})
    for call in (converse, converse_stream):
        with pytest.raises(ClientError) as failed:
            await call(through, f"sim:status={status}")
        assert failed.value.response["Error"]["Code"] == code
    await house.settled()
    assert [(charge.price, charge.outcome) for charge in house.charges()] == [(0, "released")] * 2


async def test_the_operators_trouble_is_not_the_callers(house: House, bedrock: Callable[..., Any]) -> None:
    """A key that Bedrock does not take is told as what it is."""
    through = bedrock(await house.customer(), retries={"total_max_attempts": 1})
    with pytest.raises(ClientError, match="own account with bedrock") as failed:
        await converse(through, "sim:status=403")
    assert failed.value.response["Error"]["Code"] == "ServiceUnavailableException"


@pytest.mark.parametrize("how", ["sim:cut=3", "sim:fail=3", "sim:garbage=badjson"])
async def test_a_stream_that_breaks_ends_with_an_exception(house: House, bedrock: Callable[..., Any], how: str) -> None:
    """Never in silence; what was billed for it is covered, for it is billed to its end."""
    through = bedrock(await house.customer("20.00", None))
    with pytest.raises(EventStreamError):
        await converse_stream(through, f"sim:output=400 {how}", inferenceConfig={"maxTokens": 900})
    (charge,) = await house.agree()
    assert (charge.completeness, charge.price >= int((await house.sim_calls())[0]["nano"])) == ("unknown", True)


@pytest.mark.parametrize("how", ["missing", "partial", "negative", "zero"])
async def test_a_report_that_cannot_be_believed_charges_the_hold(house: House, bedrock: Callable[..., Any], how: str) -> None:
    """And an explicit zero nothing."""
    through = bedrock(await house.customer("20.00", None))
    for call in (converse, converse_stream):
        await call(through, f"sim:bill=odd sim:usage={how}")
    for charge in await house.agree(but=("odd",)):
        assert (charge.completeness, charge.price > 0) == (("exact", False) if how == "zero" else ("unknown", True))


async def test_counting_is_free_and_models_are_listed(house: House, bedrock: Callable[..., Any]) -> None:
    """Neither is charged."""
    secret = await house.customer("0.00")
    through = bedrock(secret)
    counted = await asyncio.to_thread(lambda: through.count_tokens(modelId=MODEL, input={"converse": {"messages": said("hi")}}))
    assert counted["inputTokens"] > 0
    with pytest.raises(ClientError, match="invokeModel"):
        await asyncio.to_thread(lambda: through.count_tokens(modelId=MODEL, input={"invokeModel": {"body": b"{}"}}))
    listed = await house.http.get(f"{house.url}/foundation-models", headers={"authorization": f"Bearer {secret}"})
    assert MODEL in {model["modelId"] for model in listed.json()["modelSummaries"]} or "amazon.nova-lite-v1:0" in listed.text
    one = await house.http.get(
        f"{house.url}/bedrock/foundation-models/amazon.nova-lite-v1%3A0", headers={"authorization": f"Bearer {secret}"}
    )
    assert one.json()["modelDetails"]["modelId"] == "amazon.nova-lite-v1:0"
    assert not house.charges()


# --- at random -----------------------------------------------------------------------------------------------------------------------------

CALLS = calls(60)
AT_ONCE = 8
ODD = ("usage=missing", "usage=partial", "usage=negative", "cut=1", "cut=0", "cut=4", "fail=2", "garbage=html")
"""What a provider may do in whose answer the bill is not to be found."""
MODELS = (
    *(MODEL, "eu.anthropic.claude-haiku-4-5-20251001-v1:0", "global.anthropic.claude-sonnet-5-5", "amazon.nova-lite-v1:0"),
    *("meta.llama3-3-70b-instruct-v1:0", ARN),
)


async def plain(
    house: House, secret: str, text: str, *, model: str = MODEL, streamed: bool = False, leaves: bool = False, **more: Any
) -> httpx.Response:
    """One call, as plain HTTP; `leaves`: after the first piece of its answer."""
    url = f"{house.url}/model/{quote(model, safe='')}/{'converse-stream' if streamed else 'converse'}"
    headers, body = {"authorization": f"Bearer {secret}"}, {"messages": said(text), **more}
    if not leaves:
        return await house.http.post(url, headers=headers, json=body)
    async with house.http.stream("POST", url, headers=headers, json=body) as answer:
        async for _ in answer.aiter_raw():
            break
    return answer


def drawn(chance: random.Random) -> dict[str, Any]:
    """A call. Its label says whether its provider behaves."""
    odd = [chance.choice(ODD), "bill=odd"] if chance.random() < 0.15 else ["bill=even"]
    model = chance.choice(MODELS)
    caches = "anthropic" in model and chance.random() < 0.5
    words = [f"output={chance.randrange(120)}", *odd]
    more: dict[str, Any] = {}
    if caches:
        ttl = chance.choice(("5m", "1h"))
        more["system"] = [{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": ttl}}]
        words += [f"cached={chance.randrange(60)}", f"cache_write={chance.randrange(60)}"]
        words += [f"cache_write_1h={chance.randrange(60)}"] if ttl == "1h" and chance.random() < 0.5 else []
    if "anthropic" in model and chance.random() < 0.4:
        words += [f"reasoning={chance.randrange(300)}"]
    if chance.random() < 0.6:
        more["inferenceConfig"] = {"maxTokens": chance.randint(1, 200)}
    if chance.random() < 0.2:
        more["toolConfig"] = {"tools": [TOOL]}
        words += chance.choice(([], ["tool=note"]))
    text = " ".join([*[f"sim:{word}" for word in words], "x" * chance.randrange(600)])
    return {"text": text, "model": model, "streamed": chance.random() < 0.6, "leaves": chance.random() < 0.15, **more}


@pytest.mark.parametrize("seed", [1, 20261121])
async def test_every_charge_is_the_bill(house: House, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """To the nano-dollar, and without an oddity, wherever the provider says what it billed; never below it where it does not."""
    secret, chance, room = await house.customer("9000.00", None), random.Random(seed), asyncio.Semaphore(AT_ONCE)

    async def make(call: dict[str, Any]) -> None:
        async with room:
            try:
                answer = await plain(house, secret, **call)
            except httpx.HTTPError:
                return
            assert answer.status_code in (200, 502), answer.text

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLS):
            group.create_task(make(drawn(chance)))
    await house.agree()
    charges, rows = charged_by_id(house.charges()), await house.sim_calls()
    lost = [row for row in rows if row["id"] not in charges]
    assert len(rows) == len(house.charges()) == CALLS
    assert {row["label"] for row in lost} <= {"odd"}
    for row in rows:
        if row["label"] == "even":
            charge = charges[row["id"]]
            assert (charge.completeness, charge.price, charge.flags) == ("exact", int(row["nano"]), ""), (row, charge)
    over = sum(charge.price for charge in house.charges()) - sum(int(row["nano"]) for row in rows)
    assert over >= 0
    with capsys.disabled():
        print(f"\nbedrock: {CALLS} calls, charged ${format_usd(over)} more than was billed")
