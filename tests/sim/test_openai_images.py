"""OpenAI's pictures."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

MODEL = "gpt-image-1.5"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40" + bytes(100)
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]


async def test_pictures_are_billed_by_their_tokens(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """What OpenAI lists for a quality and a size, for each picture."""
    answer = await chat.images.generate(model=MODEL, prompt="a tram", n=2, quality="low", size="1024x1536")
    assert answer.usage is not None
    assert answer.data is not None
    assert (len(answer.data), answer.usage.output_tokens, answer.usage.input_tokens) == (2, 816, 2)
    assert answer.usage.output_tokens_details is not None
    assert answer.usage.output_tokens_details.image_tokens == 816
    [row] = await rows()
    assert row["units"] == {"input_tokens": 2, "output_tokens": 816, "output_image_tokens": 816}
    assert Decimal(row["usd"]) == (2 * 5 + 816 * 32) / Decimal(1_000_000)


@pytest.mark.parametrize(
    ("quality", "size", "tokens"),
    [("auto", "auto", 1056), ("high", "1024x1024", 4160), ("max", "1536x864", 6240), ("low", "1536x1024", 400)],
)
async def test_tokens_follow_quality_and_size(chat: openai.AsyncOpenAI, rows: Rows, quality: Any, size: str, tokens: int) -> None:
    """A size that is not listed counts as the largest one that is."""
    await chat.images.generate(model=MODEL, prompt="a tram", quality=quality, size=size)
    await chat.images.generate(model=MODEL, prompt="sim:output=7", quality=quality, size=size)
    assert [row["tokens"]["output"] for row in await rows()] == [tokens, 7]


async def test_partial_pictures_are_streamed_and_cost_a_hundred_tokens_each(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Only the whole picture tells the usage."""
    stream = await chat.images.generate(model=MODEL, prompt="sim:output=300", stream=True, partial_images=2)
    found = [event async for event in stream]
    assert [event.type for event in found] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert found[-1].type == "image_generation.completed"
    assert found[-1].usage.output_tokens == 500
    assert [row["tokens"]["output"] for row in await rows()] == [500]


async def test_edits_take_pictures_in_a_form(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Each is counted by its size; usage tells text and pictures apart."""
    answer = await chat.images.edit(model=MODEL, prompt="add a bell", image=[("a.png", PNG), ("b.png", PNG)], quality="low", n=1)
    assert answer.usage is not None
    assert (answer.usage.input_tokens_details.image_tokens, answer.usage.input_tokens_details.text_tokens) == (8, 3)
    stream = await chat.images.edit(model=MODEL, prompt="sim:image_in=30", image=("a.png", PNG), stream=True)
    assert [event.type async for event in stream] == ["image_edit.completed"]
    first, second = await rows()
    assert (first["units"]["input_image_tokens"], second["units"]["input_image_tokens"]) == (8, 30)
    assert Decimal(first["usd"]) == (3 * 5 + 8 * 8 + 272 * 32) / Decimal(1_000_000)


@pytest.mark.parametrize(
    ("model", "fields", "usd"),
    [
        ("dall-e-2", {"n": 3, "size": "256x256"}, "0.048"),
        ("dall-e-3", {}, "0.04"),
        ("dall-e-3", {"quality": "hd", "size": "1792x1024", "response_format": "b64_json"}, "0.12"),
    ],
)
async def test_old_models_are_billed_by_the_picture(chat: openai.AsyncOpenAI, rows: Rows, model: str, fields: Any, usd: str) -> None:
    """They tell no usage."""
    answer = await chat.images.generate(model=model, prompt="sim:reasoning=5 a tram", **fields)
    assert answer.usage is None
    assert answer.data is not None
    assert (answer.data[0].url is None) is ("response_format" in fields)
    [row] = await rows()
    assert (row["usd"], row["units"], sum(row["fees"].values())) == (usd, {}, fields.get("n", 1))


async def test_drawing_is_written_by_another_model(http: httpx.AsyncClient, rows: Rows) -> None:
    """Its tokens are billed at that model, beside the picture's."""
    sent = {"model": MODEL, "prompt": "sim:svg=200 sim:output=100", "output_format": "svg", "svg": {"model": "gpt-6-sol"}}
    answer = (await http.post("/v1/images/generations", json=sent)).json()
    assert answer["svg_usage"] == {
        "model": "gpt-6-sol",
        "input_tokens": 40,
        "output_tokens": 200,
        "reasoning_tokens": 0,
        "total_tokens": 240,
    }
    [row] = await rows()
    assert row["parts"] == [{"model": "gpt-6-sol", "units": {"input_tokens": 40, "output_tokens": 200}}]
    picture = row["tokens"]["input"] * 5 + 100 * 32
    assert Decimal(row["usd"]) == (picture + 40 * 2 + 200 * 10) / Decimal(1_000_000)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": "x" * 32_001}, "prompt"),
        ({"n": 11}, "n"),
        ({"partial_images": 4, "stream": True}, "partial_images"),
        ({"partial_images": 1}, "partial_images"),
        ({"quality": "best"}, "quality"),
        ({"response_format": "url"}, "response_format"),
        ({"svg": {"model": "gpt-6-sol"}}, "svg"),
        ({"svg": {"model": "gpt-6-sol"}, "output_format": "svg", "n": 2}, "output_format"),
        ({"model": "dall-e-3", "n": 2}, "n"),
        ({"model": "dall-e-2", "size": "1792x1024"}, "size"),
        ({"model": "dall-e-2", "quality": "hd"}, "quality"),
    ],
)
async def test_what_the_provider_refuses_is_refused_and_free(
    http: httpx.AsyncClient, rows: Rows, fields: dict[str, object], param: str
) -> None:
    """The parameter at fault is named."""
    answer = await http.post("/v1/images/generations", json={"model": MODEL, "prompt": "a tram", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert [row["nano"] for row in await rows()] == [0]


async def test_edit_without_a_picture_is_refused(http: httpx.AsyncClient) -> None:
    """So is a body that is no form, and one without an end."""
    form = {"model": (None, MODEL), "prompt": (None, "a bell")}
    assert (await http.post("/v1/images/edits", files=form)).json()["error"]["param"] == "image"
    assert (await http.post("/v1/images/edits", json={})).status_code == 400
    typed = {"content-type": "multipart/form-data; boundary=b"}
    for body in (
        b"",
        b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nx',
        b"--b\r\n\r\nx\r\n--b--",
        b"--b\r\nnothing\r\n--b--",
    ):
        assert (await http.post("/v1/images/edits", content=body, headers=typed)).status_code == 400
