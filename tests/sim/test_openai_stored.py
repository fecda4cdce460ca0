"""What OpenAI keeps of a response, and what can be done with it afterwards."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import openai
import pytest

MODEL = "gpt-6-sol"
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]


async def test_response_in_the_background_is_polled_to_its_end(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Queued, then in progress as often as asked, then over; it is billed once, however often it is read."""
    answer = await chat.responses.create(model=MODEL, input="sim:polls=2 sim:output=6", background=True)
    assert (answer.status, answer.usage, answer.output) == ("queued", None, [])
    found = [await chat.responses.retrieve(answer.id) for _ in range(4)]
    assert [each.status for each in found] == ["in_progress", "in_progress", "completed", "completed"]
    assert [each.usage and each.usage.output_tokens for each in found] == [None, None, 6, 6]
    [row] = await rows()
    assert (row["tokens"]["output"], row["finished"]) == (6, True)


async def test_stream_in_the_background_goes_on_without_its_caller(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """It is billed whole although the connection was dropped, and its events can be had again from any of them."""
    stream = await chat.responses.create(model=MODEL, input="sim:output=9 sim:cut=3 sim:on_abort=bill_sent", background=True, stream=True)
    seen: list[Any] = []

    async def follow() -> None:
        async for event in stream:
            seen.append(event)  # noqa: PERF401  # the loop ends with an error: what came before is wanted

    with pytest.raises(openai.APIError):
        await follow()
    assert seen[0].type == "response.created"
    again = await chat.responses.retrieve(seen[0].response.id, stream=True, starting_after=seen[-1].sequence_number)
    rest = [event async for event in again]
    assert [event.sequence_number for event in [*seen, *rest]] == list(range(len(seen) + len(rest)))
    assert rest[-1].type == "response.completed"
    assert [row["tokens"]["output"] for row in await rows()] == [9]


@pytest.mark.parametrize(("on_abort", "output"), [("bill_all", 8), ("bill_sent", 0)])
async def test_cancelled_response_reports_what_is_billed(chat: openai.AsyncOpenAI, rows: Rows, on_abort: str, output: int) -> None:
    """All of it or its input alone; cancelling again changes nothing, nor does reading."""
    answer = await chat.responses.create(model=MODEL, input=f"sim:output=8 sim:on_abort={on_abort}", background=True)
    found = [
        await chat.responses.cancel(answer.id),
        await chat.responses.cancel(answer.id),
        await chat.responses.retrieve(answer.id),
    ]
    assert {each.status for each in found} == {"cancelled"}
    assert {each.usage and each.usage.output_tokens for each in found} == {output}
    [row] = await rows()
    assert (row["tokens"]["output"], row["aborted"]) == (output, True)


async def test_cancelling_what_is_over_changes_nothing(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """A response that ended stays ended; one in the foreground cannot be cancelled."""
    answer = await chat.responses.create(model=MODEL, input="sim:polls=0 sim:on_abort=bill_sent", background=True)
    assert (await chat.responses.cancel(answer.id)).status == "completed"
    plain = await chat.responses.create(model=MODEL, input="hi")
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        await chat.responses.cancel(plain.id)
    assert [row["tokens"]["output"] for row in await rows()] == [5, 5]


async def test_conversation_before_is_billed_again_as_input(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """By the id of the response before, or by the conversation's: input that is not in the request's bytes."""
    first = await chat.responses.create(model=MODEL, input="tell me more")
    await chat.responses.create(model=MODEL, input="again", previous_response_id=first.id)
    alone = await chat.responses.create(model=MODEL, input="again")
    for _ in range(2):
        await chat.responses.create(model=MODEL, input="again", conversation="conv_1")
    before, chained, single, opened, continued = [row["tokens"] for row in await rows()]
    assert alone.usage is not None
    assert chained["input"] == single["input"] + before["input"] + before["output"]
    assert (opened["input"], continued["input"]) == (single["input"], 2 * single["input"] + single["output"])


async def test_counted_tokens_are_the_billed_ones(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Counting costs nothing and knows the conversation so far."""
    first = await chat.responses.create(model=MODEL, input="tell me more")
    counted = await chat.responses.input_tokens.count(model=MODEL, input="again", previous_response_id=first.id)
    answer = await chat.responses.create(model=MODEL, input="again", previous_response_id=first.id)
    assert answer.usage is not None
    assert counted.input_tokens == answer.usage.input_tokens
    assert len(await rows()) == 2


async def test_compacting_is_billed(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Its usage is the bill's."""
    compacted = await chat.responses.compact(model=MODEL, input="long talk sim:output=30")
    assert (compacted.object, compacted.output[0].type) == ("response.compaction", "compaction")
    [row] = await rows()
    assert (row["tokens"]["input"], row["tokens"]["output"]) == (compacted.usage.input_tokens, 30)


async def test_input_is_listed_in_pages(chat: openai.AsyncOpenAI) -> None:
    """The last item comes first unless the first one shall; a page goes on after the one before."""
    said: list[Any] = [{"role": "user", "content": f"part {number}"} for number in range(3)]
    answer = await chat.responses.create(model=MODEL, input=said)
    texts = [item.content[0].text async for item in chat.responses.input_items.list(answer.id, limit=2)]  # type: ignore[union-attr,index]  # messages, as they were sent
    assert texts == ["part 2", "part 1", "part 0"]
    first = await chat.responses.input_items.list(answer.id, limit=1, order="asc")
    assert (first.has_more, first.data[0].id) == (True, "msg_input_0")


async def test_forgotten_response_is_gone(chat: openai.AsyncOpenAI, http: httpx.AsyncClient) -> None:
    """Deleted, never stored, or forgotten with the bill: not found."""
    kept = await chat.responses.create(model=MODEL, input="hi")
    unkept = await chat.responses.create(model=MODEL, input="hi", store=False)
    reset = await chat.responses.create(model=MODEL, input="hi")
    await chat.responses.delete(kept.id)
    assert (await chat.responses.retrieve(reset.id)).status == "completed"
    await http.post("/sim/reset")
    for name in (kept.id, unkept.id, reset.id, "resp_none"):
        with pytest.raises(openai.NotFoundError, match="not found"):
            await chat.responses.retrieve(name)


async def test_only_a_stream_in_the_background_is_streamed_again(chat: openai.AsyncOpenAI, http: httpx.AsyncClient) -> None:
    """Others are refused, and so is a number that is none."""
    plain = await chat.responses.create(model=MODEL, input="hi")
    assert (await http.get(f"/v1/responses/{plain.id}?stream=true")).status_code == 400
    stream = await chat.responses.create(model=MODEL, input="hi", background=True, stream=True)
    events = [event async for event in stream]
    name = events[0].response.id  # type: ignore[union-attr]  # response.created
    assert (await http.get(f"/v1/responses/{name}?stream=true&starting_after=x")).status_code == 400


async def test_wrong_method_on_a_stored_response_is_refused(http: httpx.AsyncClient) -> None:
    """The path is there, the method is not."""
    assert (await http.put("/v1/responses/resp_1")).status_code == 405
    assert (await http.get("/v1/responses/resp_1/nothing")).status_code == 404
    assert (await http.get("/v1/responses/resp_1", headers={"authorization": ""})).status_code == 401
