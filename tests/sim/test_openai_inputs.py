"""OpenAI's old completions, embeddings and moderations."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

OLD = "gpt-3.5-turbo-instruct"
SMALL = "text-embedding-3-small"
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]


async def test_completion_ends_at_sixteen_tokens_unless_it_is_told(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """The default cap is the provider's."""
    short = await chat.completions.create(model=OLD, prompt="sim:output=50")
    long = await chat.completions.create(model=OLD, prompt="sim:output=50", max_tokens=50)
    assert [each.choices[0].finish_reason for each in (short, long)] == ["length", "stop"]
    assert [each.usage and each.usage.completion_tokens for each in (short, long)] == [16, 50]
    assert [row["tokens"]["output"] for row in await rows()] == [16, 50]


async def test_best_of_bills_what_is_thrown_away(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Five are generated for each of two prompts, two of them shown."""
    answer = await chat.completions.create(model=OLD, prompt=["one", "sim:output=4"], n=2, best_of=5)
    assert answer.usage is not None
    assert ([choice.index for choice in answer.choices], answer.usage.completion_tokens) == ([0, 1, 2, 3], 40)
    assert [row["tokens"]["output"] for row in await rows()] == [40]


async def test_completion_is_streamed_with_usage_when_it_was_asked_for(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Each choice is whole, and the last chunk has the usage alone."""
    stream = await chat.completions.create(model=OLD, prompt="sim:output=3", n=2, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    for index in (0, 1):
        said = "".join(choice.text for chunk in chunks for choice in chunk.choices if choice.index == index)
        assert said == " fare box coin"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    [row] = await rows()
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (row["tokens"]["input"], 6)


async def test_arrays_of_tokens_are_counted_by_their_length(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """One array is one input, several are several; a text is a quarter of its bytes."""
    await chat.completions.create(model=OLD, prompt=[1, 2, 3])
    await chat.completions.create(model=OLD, prompt=[[1, 2], [3]])
    for given, count in ((["a" * 9, "b"], 2), ([7] * 11, 1), ([[1, 2], [3, 4, 5]], 2), ("word", 1)):
        answer = await chat.embeddings.create(model=SMALL, input=given)
        assert len(answer.data) == count
    found = [row["tokens"] for row in await rows()]
    assert [each["input"] for each in found] == [3, 3, 4, 11, 5, 1]
    assert [each["output"] for each in found] == [5, 10, 0, 0, 0, 0]


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_vectors_have_the_length_that_was_asked_for(http: httpx.AsyncClient, chat: openai.AsyncOpenAI, encoding: str) -> None:
    """As numbers or in base64, the SDK reads the same."""
    answer = await chat.embeddings.create(model=SMALL, input="word", dimensions=8, encoding_format=encoding)  # type: ignore[arg-type]  # one of its two literals
    raw = (await http.post("/v1/embeddings", json={"model": SMALL, "input": "word", "dimensions": 8, "encoding_format": encoding})).json()
    assert isinstance(raw["data"][0]["embedding"], str if encoding == "base64" else list)
    if encoding == "float":
        assert answer.data[0].embedding == raw["data"][0]["embedding"]
        assert len(answer.data[0].embedding) == 8
    assert len((await chat.embeddings.create(model="text-embedding-3-large", input="word")).data[0].embedding) == 3072


async def test_embedding_bills_input_alone(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Words for reasoning and a cache mean nothing to a model that has neither; the label does."""
    said = "sim:bill=e sim:reasoning=9 sim:cached=9 sim:output=9 " + "x" * 3000
    answer = await chat.embeddings.create(model=SMALL, input=said)
    [row] = await rows()
    assert (row["label"], row["units"]) == ("e", {"input_tokens": answer.usage.prompt_tokens})
    assert Decimal(row["usd"]) == answer.usage.prompt_tokens * Decimal("0.00000002")


@pytest.mark.parametrize(
    ("path", "sent", "param"),
    [
        ("/v1/embeddings", {"model": SMALL}, "input"),
        ("/v1/embeddings", {"model": SMALL, "input": ""}, None),
        ("/v1/embeddings", {"model": SMALL, "input": []}, None),
        ("/v1/embeddings", {"model": SMALL, "input": ["a"] * 2049}, None),
        ("/v1/embeddings", {"model": SMALL, "input": [1] * 8193}, "input"),
        ("/v1/embeddings", {"model": SMALL, "input": [[1] * 8000] * 38}, "input"),
        ("/v1/embeddings", {"model": SMALL, "input": "a", "dimensions": 1537}, "dimensions"),
        ("/v1/embeddings", {"model": "text-embedding-ada-002", "input": "a", "dimensions": 8}, "dimensions"),
        ("/v1/embeddings", {"model": SMALL, "input": "a", "encoding_format": "hex"}, "encoding_format"),
        ("/v1/completions", {"model": OLD, "prompt": "a", "n": 3, "best_of": 2}, None),
        ("/v1/completions", {"model": OLD, "prompt": "a", "best_of": 21}, "best_of"),
        ("/v1/completions", {"model": OLD, "prompt": "a", "best_of": 2, "stream": True}, "best_of"),
        ("/v1/completions", {"model": OLD, "prompt": []}, "prompt"),
        ("/v1/completions", {"prompt": "a"}, None),
    ],
)
async def test_what_the_provider_refuses_is_refused_and_free(
    http: httpx.AsyncClient, rows: Rows, path: str, sent: dict[str, object], param: str | None
) -> None:
    """The parameter at fault is named."""
    answer = await http.post(path, json=sent)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert [row["nano"] for row in await rows()] == [0]


async def test_usage_can_be_misreported(http: httpx.AsyncClient, rows: Rows) -> None:
    """Left out or zero; the bill stays true."""
    for said, expected in (("sim:usage=missing", None), ("sim:usage=zero", {"prompt_tokens": 0, "total_tokens": 0})):
        answer = (await http.post("/v1/embeddings", json={"model": SMALL, "input": said})).json()
        assert answer.get("usage") == expected
    assert all(row["tokens"]["input"] > 0 for row in await rows())


async def test_moderation_is_free(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """A result for each text, and no row; still a key and a known model are needed."""
    assert len((await chat.moderations.create(input=["a", "b"])).results) == 2
    assert not (await chat.moderations.create(input="a", model="omni-moderation-latest")).results[0].flagged
    parts: list[Any] = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert len((await chat.moderations.create(input=parts)).results) == 1
    with pytest.raises(openai.NotFoundError):
        await chat.moderations.create(input="a", model="gpt-6-sol")
    assert await rows() == []
