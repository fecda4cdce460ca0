"""What Anthropic bills and tells beside text: cache lifetimes, its own tools, runs of other models, refusals, places, pictures."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types import MessageParam

MODEL = "claude-opus-5-5"
OTHER = "claude-haiku-5-5"
INPUT, OUTPUT, WRITE_5M, WRITE_1H = 4_000, 20_000, 5_000, 8_000
"""Nano-dollars for a token of `MODEL`."""
SEARCH_NANO = 10_000_000
TOOLS = [
    {"type": "web_search_20260318", "name": "web_search", "max_uses": 3},
    {"type": "web_fetch_20260318", "name": "web_fetch"},
    {"type": "code_execution_20260521", "name": "code_execution"},
    {"type": "advisor_20260301", "name": "advisor", "model": OTHER, "max_tokens": 30},
    {"name": "note", "input_schema": {"type": "object"}},
]
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]


def said(text: str) -> list[MessageParam]:
    return [{"role": "user", "content": text}]


def body(text: str, **fields: object) -> dict[str, object]:
    return {"model": MODEL, "max_tokens": 1000, "messages": said(text), **fields}


async def told(http: httpx.AsyncClient, text: str, **fields: object) -> dict[str, Any]:
    answer = await http.post("/v1/messages", json=body(text, **fields))
    found: dict[str, Any] = answer.json()
    assert answer.status_code == 200, found
    return found


async def events(http: httpx.AsyncClient, text: str, **fields: object) -> list[dict[str, Any]]:
    answer = await http.post("/v1/messages", json=body(text, stream=True, **fields))
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]


async def test_cache_is_written_for_minutes_and_for_an_hour_in_one_call(http: httpx.AsyncClient, rows: Rows) -> None:
    """Each part has its own price."""
    usage = (await told(http, "x" * 4000 + " sim:cache_write=400 sim:cache_write_1h=200 sim:cached=100 sim:output=0"))["usage"]
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 200}
    assert (usage["cache_creation_input_tokens"], usage["cache_read_input_tokens"]) == (600, 100)
    [row] = await rows()
    assert row["units"]["cache_write_1h_tokens"] == 200
    assert row["nano"] == usage["input_tokens"] * INPUT + 400 * WRITE_5M + 200 * WRITE_1H + 100 * 200


async def test_cache_split_may_be_missing_or_short(http: httpx.AsyncClient, rows: Rows) -> None:
    """The bill is the same; only what is told differs."""
    text = "x" * 4000 + " sim:output=0 sim:cache_write=100 sim:cache_write_1h=300 sim:cache_split="
    missing = (await told(http, text + "missing"))["usage"]
    short = (await told(http, text + "mismatch"))["usage"]
    assert "cache_creation" not in missing
    assert short["cache_creation"] == {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 150}
    assert missing["cache_creation_input_tokens"] == short["cache_creation_input_tokens"] == 400
    first, second = await rows()
    assert first["units"]["cache_write_1h_tokens"] == second["units"]["cache_write_1h_tokens"] == 300


async def test_searches_are_a_fee_and_what_they_find_is_input(http: httpx.AsyncClient, rows: Rows) -> None:
    """Those that fail are free, and so is fetching; the tool's limit holds."""
    answer = await told(http, "sim:web_search=2 sim:web_search_errors=5 sim:web_fetch=1 sim:output=4", tools=TOOLS)
    kinds = [block["type"] for block in answer["content"]]
    search = ["server_tool_use", "web_search_tool_result"]
    assert kinds == [*search * 3, "server_tool_use", "web_fetch_tool_result", "text"]
    failed = answer["content"][5]["content"]
    assert failed == {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    assert answer["usage"]["server_tool_use"] == {"web_search_requests": 2, "web_fetch_requests": 1}
    counted = (
        await http.post("/v1/messages/count_tokens", json={k: v for k, v in body("x", tools=TOOLS).items() if k != "max_tokens"})
    ).json()
    [row] = await rows()
    assert row["fees"] == {"web_search": 2}
    assert row["tokens"]["input"] > counted["input_tokens"] + 2 * 400 + 1000
    assert row["nano"] == row["tokens"]["input"] * INPUT + 4 * OUTPUT + 2 * SEARCH_NANO


async def test_tools_that_are_not_offered_are_not_used(http: httpx.AsyncClient, rows: Rows) -> None:
    """No tool, no search."""
    answer = await told(http, "sim:web_search=2 sim:code_execution=1")
    assert [block["type"] for block in answer["content"]] == ["text"]
    assert "server_tool_use" not in answer["usage"]
    assert (await rows())[0]["fees"] == {}


async def test_input_grows_while_tools_are_used(http: httpx.AsyncClient) -> None:
    """The beginning of a stream knows the request; its end knows what the tools brought back."""
    found = await events(http, "sim:web_search=1 sim:code_execution=1 sim:deltas=3 sim:output=9", tools=TOOLS)
    start = found[0]["message"]["usage"]
    deltas = [event for event in found if event["type"] == "message_delta"]
    assert [delta["usage"]["input_tokens"] - start["input_tokens"] for delta in deltas] == [450, 450, 450]
    assert [delta["usage"]["output_tokens"] for delta in deltas] == [3, 6, 9]
    assert [delta["delta"]["stop_reason"] for delta in deltas] == [None, None, "end_turn"]
    assert deltas[-1]["usage"]["server_tool_use"] == {"web_search_requests": 1, "web_fetch_requests": 0}
    starts = [event["content_block"]["type"] for event in found if event["type"] == "content_block_start"]
    assert starts == ["server_tool_use", "web_search_tool_result", "server_tool_use", "bash_code_execution_tool_result", "text"]


async def test_sdk_reads_server_tools_and_thinking(claude: anthropic.AsyncAnthropic, rows: Rows) -> None:
    """Streamed and whole are the same message."""
    asked: Any = {
        "model": MODEL,
        "max_tokens": 5000,
        "messages": said("sim:web_search=1 sim:reasoning=6 sim:output=3"),
        "thinking": {"type": "adaptive"},
        "tools": TOOLS[:1],
    }
    whole = await claude.messages.create(**asked)
    async with claude.messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    kinds = ["server_tool_use", "web_search_tool_result", "thinking", "text"]
    assert [block.type for block in whole.content] == [block.type for block in streamed.content] == kinds
    thought = whole.content[2]
    assert thought.type == "thinking"
    assert thought == streamed.content[2]
    assert thought.thinking.count(" ") == 6
    assert whole.usage.server_tool_use == streamed.usage.server_tool_use
    first, second = await rows()
    assert first["nano"] == second["nano"]
    assert first["tokens"]["reasoning"] == 6


async def test_compaction_is_billed_beside_the_top_level(http: httpx.AsyncClient, rows: Rows) -> None:
    """Its tokens stand in the iterations only, and are priced by themselves."""
    usage = (await told(http, "sim:iterations=compaction sim:output=5"))["usage"]
    kinds = [(each["type"], each["output_tokens"]) for each in usage["iterations"]]
    assert kinds == [("compaction", 40), ("message", 5)]
    assert usage["output_tokens"] == 5
    [row] = await rows()
    assert row["nano"] == 2 * usage["input_tokens"] * INPUT + 45 * OUTPUT


async def test_advisor_is_billed_at_its_own_model(http: httpx.AsyncClient, rows: Rows) -> None:
    """Haiku's tokens cost what Haiku's cost; the advisor's own cap holds."""
    usage = (await told(http, "sim:iterations=advisor_message sim:output=5", tools=TOOLS))["usage"]
    advised = usage["iterations"][0]
    assert (advised["type"], advised["model"], advised["output_tokens"]) == ("advisor_message", OTHER, 30)
    [row] = await rows()
    assert row["parts"][0]["model"] == OTHER
    assert row["nano"] == usage["input_tokens"] * INPUT + 5 * OUTPUT + advised["input_tokens"] * 100 + 30 * 500


async def test_runs_of_the_same_model_add_up_at_the_top(http: httpx.AsyncClient, rows: Rows) -> None:
    """A loop over tools reads its input again."""
    usage = (await told(http, "sim:iterations=message sim:output=9"))["usage"]
    assert [each["type"] for each in usage["iterations"]] == ["message", "message"]
    for name in ("input_tokens", "output_tokens"):
        assert usage[name] == sum(each[name] for each in usage["iterations"]), name
    [row] = await rows()
    assert row["nano"] == usage["input_tokens"] * INPUT + 9 * OUTPUT


async def test_fallback_serves_and_is_billed_alone_when_nothing_was_said_before(http: httpx.AsyncClient, rows: Rows) -> None:
    """An attempt that declined before its first token is free; one that said something is not."""
    chain = [{"model": OTHER}]
    declined = await told(http, "sim:iterations=fallback_message sim:output=5", fallbacks=chain)
    spoke = await told(http, "sim:iterations=fallback_output sim:output=5", fallbacks=chain)
    assert declined["model"] == spoke["model"] == OTHER
    assert declined["content"][0]["type"] == "fallback"
    assert [(i["type"], i["model"], i["output_tokens"]) for i in declined["usage"]["iterations"]] == [
        ("message", MODEL, 0),
        ("fallback_message", OTHER, 5),
    ]
    assert spoke["usage"]["iterations"][0]["output_tokens"] == 40
    first, second = await rows()
    assert (first["model"], first["parts"]) == (OTHER, [])
    assert first["nano"] == declined["usage"]["input_tokens"] * 100 + 5 * 500
    assert second["nano"] == spoke["usage"]["input_tokens"] * (100 + INPUT) + 5 * 500 + 40 * OUTPUT


async def test_sdks_beta_reads_the_iterations(claude: anthropic.AsyncAnthropic) -> None:
    """In an answer, and in the end of a stream."""
    asked: Any = {"model": MODEL, "max_tokens": 100, "messages": said("sim:iterations=compaction sim:output=5")}
    whole = await claude.beta.messages.create(**asked)
    async with claude.beta.messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    assert whole.usage.iterations is not None
    assert [run.type for run in whole.usage.iterations] == ["compaction", "message"]
    assert streamed.usage.iterations == whole.usage.iterations
    assert [block.type for block in streamed.content] == [block.type for block in whole.content] == ["compaction", "text"]


async def test_unknown_kind_of_iteration_is_billed(http: httpx.AsyncClient, rows: Rows) -> None:
    """What a gateway does not know costs nevertheless."""
    usage = (await told(http, "sim:iterations=unknown-compaction sim:output=5"))["usage"]
    assert {each["type"] for each in usage["iterations"]} == {"sim_rehearsal", "compaction", "message"}
    assert (await rows())[0]["nano"] == 3 * usage["input_tokens"] * INPUT + 85 * OUTPUT


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        ("sim:iterations=advisor_message", {}, "offers no advisor"),
        ("sim:iterations=fallback_message", {}, "names no fallbacks"),
        ("sim:iterations=compaction-odd", {}, "sim:iterations is one or several of"),
        ("sim:tool=knit", {"tools": TOOLS}, "no tool of this name"),
        ("hi", {"inference_geo": "mars"}, "inference_geo"),
    ],
)
async def test_what_cannot_be_rehearsed_is_refused(
    http: httpx.AsyncClient, rows: Rows, text: str, fields: dict[str, object], message: str
) -> None:
    """A word that the request has no place for fails loudly."""
    answer = await http.post("/v1/messages", json=body(text, **fields))
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
    assert (await rows())[0]["nano"] == 0


async def test_models_beside_the_one_that_answers_have_to_exist(http: httpx.AsyncClient) -> None:
    """An unknown advisor is told, not billed at nothing."""
    tools = [{"type": "advisor_20260301", "name": "advisor", "model": "claude-none"}]
    answer = await http.post("/v1/messages", json=body("sim:iterations=advisor_message", tools=tools))
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "model: claude-none")


async def test_refusal_before_the_first_token_is_free(http: httpx.AsyncClient, rows: Rows) -> None:
    """Its usage informs only. One in the middle costs what was said until then."""
    none = await told(http, "sim:refusal=0 sim:reasoning=9")
    some = await told(http, "sim:refusal=3 sim:output=50")
    assert (none["stop_reason"], none["content"], none["usage"]["output_tokens"]) == ("refusal", [], 0)
    assert none["usage"]["input_tokens"] > 0
    assert none["stop_details"]["type"] == "refusal"
    assert (some["stop_reason"], some["usage"]["output_tokens"]) == ("refusal", 3)
    streamed = await events(http, "sim:refusal=0")
    assert [event["type"] for event in streamed] == ["message_start", "message_delta", "message_stop"]
    first, second, third = await rows()
    assert (first["nano"], first["finished"], third["nano"]) == (0, True, 0)
    assert second["nano"] == some["usage"]["input_tokens"] * INPUT + 3 * OUTPUT


async def test_place_costs_a_tenth_more_for_every_token_and_for_no_fee(http: httpx.AsyncClient, rows: Rows) -> None:
    """`inference_geo` is told again and multiplies tokens only."""
    text = "sim:output=7 sim:cached=3 sim:cache_write=2 sim:web_search=1"
    here = await told(http, text, tools=TOOLS)
    there = await told(http, text, tools=TOOLS, inference_geo="us")
    assert (here["usage"]["inference_geo"], there["usage"]["inference_geo"]) == ("global", "us")
    first, second = await rows()
    assert second["nano"] - SEARCH_NANO == (first["nano"] - SEARCH_NANO) * 11 // 10


async def test_newest_version_has_no_sampling(http: httpx.AsyncClient) -> None:
    """2026-10-21 refuses what 2023-06-01 takes; other versions there are none."""
    for version, fields, status in (
        ("2023-06-01", {"temperature": 0.5}, 200),
        ("2026-10-21", {"temperature": 0.5}, 400),
        ("2026-10-21", {"temperature": None}, 200),
        ("2025-01-01", {}, 400),
    ):
        answer = await http.post("/v1/messages", json=body("hi", **fields), headers={"anthropic-version": version})
        assert answer.status_code == status, (version, fields)


async def test_overload_in_the_middle_is_an_event(http: httpx.AsyncClient) -> None:
    """529 has no status line once the head is sent."""
    found = await events(http, "sim:output=9 sim:fail=2 sim:status=529")
    assert found[-1]["error"]["type"] == "overloaded_error"
    assert [event["type"] for event in found].count("content_block_delta") == 2


def png(width: int, height: int) -> str:
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return base64.b64encode(head + bytes(3000)).decode()


def picture(data: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


async def test_pictures_and_documents_count_by_size_and_pages_not_by_bytes(http: httpx.AsyncClient, rows: Rows) -> None:
    """A patch of 28 pixels is a token, a page 2,000; counting first says the same."""

    async def counted(*blocks: dict[str, Any]) -> int:
        messages = [{"role": "user", "content": [{"type": "text", "text": "look"}, *blocks]}]
        answer = await http.post("/v1/messages/count_tokens", json={"model": MODEL, "messages": messages})
        found: int = answer.json()["input_tokens"]
        whole = await http.post("/v1/messages", json={"model": MODEL, "max_tokens": 5, "messages": messages})
        assert whole.json()["usage"]["input_tokens"] == found
        return found

    small, large = await counted(picture(png(280, 57))), await counted(picture(png(5600, 5600)))
    assert large - small == 4784 - 30
    pdf = base64.b64encode(b"%PDF-1.7 /Type /Pages /Type /Page /Type/Page " + bytes(9000)).decode()
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": pdf}}
    tool_result = {"type": "tool_result", "tool_use_id": "t", "content": [picture(png(28, 28))]}
    assert 4000 < await counted(document) < 4100
    assert await counted(tool_result) < 100
    unseen = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    assert await counted(unseen) > 4784
    assert all(row["nano"] > 0 for row in await rows())
