"""Everything that a provider can do wrong on request."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest

Rows = Callable[..., Awaitable[list[dict[str, Any]]]]
Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
BOTH = pytest.mark.parametrize("path", [CHAT, MESSAGES])


def body(path: str, text: str, **fields: object) -> dict[str, object]:
    model = {"model": "gpt-6-sol"} if path == CHAT else {"model": "claude-opus-5-5", "max_tokens": 5000}
    return {**model, "messages": [{"role": "user", "content": text}], **fields}


def request(path: str, text: str, **fields: object) -> bytes:
    sent = json.dumps(body(path, text, **fields)).encode()
    return b"POST %b HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer k\r\ncontent-length: %d\r\n\r\n%b" % (path.encode(), len(sent), sent)


def pieces(written: bytes) -> int:
    return written.count(b'"content":" ') + written.count(b'"text":" ')


@BOTH
async def test_cut_drops_the_connection_after_so_many_pieces(connect: Connect, rows: Rows, path: str) -> None:
    """The caller sees ten pieces and an end that is none; the provider bills everything it was going to generate."""
    reader, writer = await connect()
    writer.write(request(path, "sim:output=50 sim:cut=10", stream=True))
    written = await reader.read()
    assert pieces(written) == 10
    assert not written.endswith(b"0\r\n\r\n")
    [row] = await rows()
    assert (row["finished"], row["aborted"], row["tokens"]["output"]) == (False, False, 50)


@BOTH
async def test_cut_under_bill_sent_bills_what_was_sent(connect: Connect, rows: Rows, path: str) -> None:
    """Reasoning came before the first piece and is in it."""
    reader, writer = await connect()
    writer.write(request(path, "sim:output=50 sim:reasoning=5 sim:cut=10 sim:on_abort=bill_sent", stream=True))
    await reader.read()
    [row] = await rows()
    assert (row["tokens"]["output"], row["tokens"]["reasoning"]) == (15, 5)
    assert row["nano"] > 0


@pytest.mark.parametrize("count", [0, 3])
@BOTH
async def test_answer_that_is_cut_never_arrives_whole(connect: Connect, rows: Rows, path: str, count: int) -> None:
    """At 0 not a byte comes, else the first half of what the head promised."""
    reader, writer = await connect()
    writer.write(request(path, f"sim:output=50 sim:cut={count} sim:on_abort=bill_sent"))
    written = await reader.read()
    head, _, answer = written.partition(b"\r\n\r\n")
    assert bool(written) is bool(count)
    assert not written or len(answer) < int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    [row] = await rows()
    assert (row["finished"], row["aborted"], row["tokens"]["output"]) == (False, False, 0)
    assert row["tokens"]["input"] > 0


async def test_cut_at_zero_sends_the_head_of_a_stream_only(connect: Connect) -> None:
    """No event follows."""
    reader, writer = await connect()
    writer.write(request(CHAT, "sim:cut=0", stream=True))
    written = await reader.read()
    assert written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert written.endswith(b"\r\n\r\n")
    assert b"data:" not in written


@BOTH
async def test_stall_falls_silent_until_the_caller_leaves(connect: Connect, http: httpx.AsyncClient, rows: Rows, path: str) -> None:
    """The call stays open meanwhile, whatever else the caller sends, and is billed as aborted then."""
    reader, writer = await connect()
    writer.write(request(path, "sim:output=50 sim:stall=4 sim:on_abort=bill_sent", stream=True))
    written = b""
    while pieces(written) < 4:
        written += await reader.read(65536)
    writer.write(request(path, "hi"))
    [row] = (await http.get("/sim/calls")).json()["data"]
    assert (row["open"], row["nano"], pieces(written)) == (True, 0, 4)
    writer.close()
    [row] = await rows()
    assert (row["open"], row["aborted"], row["finished"], row["tokens"]["output"]) == (False, True, False, 4)


@pytest.mark.parametrize("count", [0, 3])
@BOTH
async def test_answer_that_stalls_never_arrives_whole(connect: Connect, http: httpx.AsyncClient, rows: Rows, path: str, count: int) -> None:
    """At 0 not a byte comes, else the first half; the call is open until the caller leaves."""
    reader, writer = await connect()
    writer.write(request(path, f"sim:output=50 sim:delay=1 sim:stall={count}"))
    if count:
        assert await reader.readuntil(b" coin")
    while not (found := (await http.get("/sim/calls")).json()["data"]):
        pass
    assert found[0]["open"]
    writer.close()
    [row] = await rows()
    assert (row["aborted"], row["tokens"]["output"]) == (True, 50)


@pytest.mark.parametrize(("on_abort", "output"), [("bill_all", 5000), ("bill_sent", None)])
@BOTH
async def test_caller_that_leaves_a_stream_is_billed_as_asked(
    connect: Connect, rows: Rows, path: str, on_abort: str, output: int | None
) -> None:
    """Leaving is not free: everything, or the pieces sent until it was noticed."""
    reader, writer = await connect()
    writer.write(request(path, f"sim:output=5000 sim:pace=5 sim:on_abort={on_abort}", stream=True))
    written = b""
    while pieces(written) < 3:
        written += await reader.read(65536)
    writer.close()
    [row] = await rows()
    assert (row["aborted"], row["finished"]) == (True, False)
    assert row["tokens"]["output"] == output if output else 3 <= row["tokens"]["output"] < 5000


@pytest.mark.parametrize("stream", [True, False])
@BOTH
async def test_caller_that_leaves_before_the_first_byte_is_billed(
    connect: Connect, http: httpx.AsyncClient, rows: Rows, path: str, stream: bool
) -> None:
    """The provider had begun."""
    _, writer = await connect()
    writer.write(request(path, "sim:output=20 sim:delay=600000", stream=stream))
    while not (await http.get("/sim/calls")).json()["data"]:
        pass
    writer.close()
    [row] = await rows()
    assert (row["aborted"], row["tokens"]["output"]) == (True, 20)


async def test_delay_and_pace_hold_answers_back(http: httpx.AsyncClient) -> None:
    """At least that long; refusals wait as well."""
    clock = asyncio.get_running_loop().time
    start = clock()
    await http.post(CHAT, json=body(CHAT, "sim:delay=60"))
    await http.post(CHAT, json=body(CHAT, "sim:delay=60 sim:status=500"))
    await http.post(CHAT, json=body(CHAT, "sim:output=4 sim:pace=20", stream=True))
    assert clock() - start >= 0.17


async def test_only_streams_fail_in_the_middle(http: httpx.AsyncClient) -> None:
    """An answer at once has no middle: it is an error from the start, or none."""
    assert (await http.post(CHAT, json=body(CHAT, "sim:fail=1 sim:status=503"))).status_code == 503
    assert (await http.post(CHAT, json=body(CHAT, "sim:fail=1"))).status_code == 200


async def test_failing_stream_ends_with_the_dialects_error(chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, rows: Rows) -> None:
    """The SDKs raise it after the pieces before it."""
    stream = await chat.chat.completions.create(
        model="gpt-6-sol", messages=[{"role": "user", "content": "sim:output=9 sim:fail=3 sim:code=slow_down"}], stream=True
    )
    chunks = aiter(stream)
    assert [(await anext(chunks)).choices[0].delta.content for _ in range(4)] == ["", " fare", " box", " coin"]
    with pytest.raises(openai.APIError) as caught:
        await anext(chunks)
    assert caught.value.code == "slow_down"
    with pytest.raises(anthropic.APIStatusError) as told:
        async with claude.messages.stream(
            model="claude-opus-5-5",
            max_tokens=50,
            messages=[{"role": "user", "content": "sim:output=9 sim:fail=3 sim:status=529 sim:on_abort=bill_sent"}],
        ) as messages:
            await messages.get_final_message()
    assert isinstance(told.value.body, dict)
    assert told.value.body["error"]["type"] == "overloaded_error"
    assert [(row["finished"], row["aborted"], row["tokens"]["output"]) for row in await rows()] == [(False, False, 9), (False, False, 3)]


@pytest.mark.parametrize("how", ["missing", "partial", "zero", "negative"])
async def test_openai_usage_is_misreported_but_billed_truly(http: httpx.AsyncClient, rows: Rows, how: str) -> None:
    """Answer and stream tell the same falsehood."""
    text = f"sim:output=9 sim:usage={how}"
    whole = (await http.post(CHAT, json=body(CHAT, text))).json().get("usage")
    stream = await http.post(CHAT, json=body(CHAT, text, stream=True, stream_options={"include_usage": True}))
    chunks = [json.loads(line[6:]) for line in stream.text.split("\n\n") if line.startswith("data: {")]
    streamed = chunks[-1]["usage"]
    assert whole == streamed
    if how == "missing":
        assert whole is None
    elif how == "partial":
        assert set(whole) == {"prompt_tokens"}
    elif how == "zero":
        assert (whole["prompt_tokens"], whole["completion_tokens"], whole["prompt_tokens_details"]["cached_tokens"]) == (0, 0, 0)
    else:
        assert (whole["completion_tokens"], whole["prompt_tokens"] < 0) == (-9, True)
    assert [row["tokens"]["output"] for row in await rows()] == [9, 9]


@pytest.mark.parametrize("how", ["missing", "partial", "zero", "negative"])
async def test_anthropic_usage_is_misreported_but_billed_truly(http: httpx.AsyncClient, rows: Rows, how: str) -> None:
    """A partial stream has its exact input at the start and no usage at the end."""
    text = f"sim:output=9 sim:usage={how}"
    whole = (await http.post(MESSAGES, json=body(MESSAGES, text))).json().get("usage")
    stream = await http.post(MESSAGES, json=body(MESSAGES, text, stream=True))
    data = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: ")]
    start, final = data[0]["message"].get("usage"), data[-2].get("usage")
    row = (await rows())[0]["tokens"]
    if how == "missing":
        assert whole is start is final is None
    elif how == "partial":
        assert whole == {"input_tokens": row["input"]}
        assert (start["input_tokens"], start["output_tokens"], final) == (row["input"], 1, None)
    else:
        factor = 0 if how == "zero" else -1
        assert whole["output_tokens"] == final["output_tokens"] == 9 * factor
        assert whole["input_tokens"] == start["input_tokens"] == final["input_tokens"] == row["input"] * factor
    assert [each["tokens"]["output"] for each in await rows()] == [9, 9]


@pytest.mark.parametrize("stream", [True, False])
@BOTH
async def test_garbage_is_no_answer_but_is_billed(http: httpx.AsyncClient, rows: Rows, path: str, stream: bool) -> None:
    """A page, compression that nobody accepts, broken JSON: all with status 200, all generated, all billed."""
    page = await http.post(path, json=body(path, "sim:garbage=html", stream=stream))
    assert page.headers["content-type"] == "text/html"
    async with http.stream("POST", path, json=body(path, "sim:garbage=gzip", stream=stream)) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert b"simulated" in gzip.decompress(raw)
    bad = await http.post(path, json=body(path, "sim:garbage=badjson", stream=stream))
    for written in [line.removeprefix("data: ") for line in bad.text.splitlines() if line.startswith(("data: {", "{"))]:
        with pytest.raises(json.JSONDecodeError):
            json.loads(written)
    assert [(row["finished"], row["tokens"]["output"]) for row in await rows()] == [(True, 5)] * 3


@BOTH
async def test_garbage_that_breaks_the_connection_is_billed_as_unfinished(http: httpx.AsyncClient, rows: Rows, path: str) -> None:
    """A body shorter than its length, or nothing at all."""
    for how in ("badlength", "nothing"):
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(path, json=body(path, f"sim:garbage={how} sim:delay=1"))
    assert [(row["finished"], row["aborted"], row["tokens"]["output"]) for row in await rows()] == [(False, False, 5)] * 2
