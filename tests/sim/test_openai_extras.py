"""Chat completions beyond text: pictures, sound, predictions, searches, tiers."""

import struct
from base64 import b64encode
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

MODEL = "gpt-6-sol"
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]


def png(width: int, height: int) -> str:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", width, height)
    return "data:image/png;base64," + b64encode(head + bytes(3000)).decode()


def asked(text: str, *parts: dict[str, Any]) -> list[Any]:
    return [{"role": "user", "content": [{"type": "text", "text": text}, *parts]}]


async def test_pictures_are_counted_by_their_size_and_not_by_their_bytes(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """A patch of 32 pixels is a token, and what cannot be seen is 2,048 pixels square, unless the words say otherwise."""
    for said, url in (("a", png(64, 33)), ("b", "https://example.com/a.jpg"), ("sim:image_in=7", png(64, 33)), ("a", "data:,")):
        await chat.chat.completions.create(model=MODEL, messages=asked(said, {"type": "image_url", "image_url": {"url": url}}))
    tokens = [row["units"]["input_image_tokens"] for row in await rows()]
    assert tokens == [4, 4096, 7, 4096]
    found = await rows()
    assert all(row["tokens"]["input"] - row["units"]["input_image_tokens"] < 60 for row in found)


async def test_sound_goes_in_and_comes_out_at_its_own_price(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Usage tells both, streamed or not, and both are dearer than text."""
    sound = {"type": "input_audio", "input_audio": {"data": b64encode(bytes(9600)).decode(), "format": "wav"}}
    audio: dict[str, Any] = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}
    said = asked("sim:output=5 sim:audio_out=50", sound)
    whole = await chat.chat.completions.create(model="gpt-audio", messages=said, **audio)
    assert whole.usage is not None
    assert whole.usage.prompt_tokens_details is not None
    assert whole.usage.completion_tokens_details is not None
    assert (whole.usage.prompt_tokens_details.audio_tokens, whole.usage.completion_tokens_details.audio_tokens) == (2, 50)
    assert whole.usage.completion_tokens == 55
    assert whole.choices[0].message.audio is not None
    assert whole.choices[0].message.audio.transcript == " fare box coin ride line"
    stream = await chat.chat.completions.create(
        model="gpt-audio", messages=said, **audio, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    sounds = [chunk.choices[0].delta.audio for chunk in chunks if chunk.choices]
    data = "".join(sound.data or "" for sound in sounds if sound is not None)
    assert data == whole.choices[0].message.audio.data
    assert chunks[-1].usage == whole.usage
    first, second = await rows()
    assert first["usd"] == second["usd"]
    text_in = first["tokens"]["input"] - 2
    expected = text_in * Decimal("2.5") + 2 * 32 + 5 * 10 + 50 * 64
    assert Decimal(first["usd"]) == expected / 1_000_000


async def test_sound_counts_against_the_cap(http: httpx.AsyncClient, rows: Rows) -> None:
    """What the cap leaves of it."""
    body = {"model": "gpt-audio", "messages": asked("sim:output=5 sim:audio_out=50"), "max_completion_tokens": 15}
    answer = await http.post(
        "/v1/chat/completions", json={**body, "modalities": ["text", "audio"], "audio": {"voice": "a", "format": "wav"}}
    )
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    assert [(row["tokens"]["output"], row["units"]["output_audio_tokens"]) for row in await rows()] == [(15, 10)]


async def test_rejected_predictions_are_output_that_no_cap_bounds(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """At most what was predicted is rejected; without a prediction nothing is."""
    prediction: Any = {"type": "content", "content": "x" * 78}
    for fields in ({"prediction": prediction}, {}):
        answer = await chat.chat.completions.create(
            model="gpt-4o", messages=asked("sim:output=9 sim:rejected=50 sim:accepted=4"), max_completion_tokens=9, **fields
        )
        assert answer.usage is not None
        assert answer.usage.completion_tokens_details is not None
        details = answer.usage.completion_tokens_details
        assert (details.accepted_prediction_tokens, details.rejected_prediction_tokens) == ((4, 20) if fields else (0, 0))
        assert answer.usage.completion_tokens == (29 if fields else 9)
    assert [row["tokens"]["output"] for row in await rows()] == [29, 9]


async def test_searching_costs_a_fee_that_usage_does_not_tell(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """One search for each request that asks for it or whose model always searches."""
    await chat.chat.completions.create(model=MODEL, messages=asked("hi"), web_search_options={})
    await chat.chat.completions.create(model="gpt-4o-search-preview", messages=asked("hi"))
    await chat.chat.completions.create(model="gpt-5-search-api", messages=asked("sim:web_search=4"))
    await chat.chat.completions.create(model=MODEL, messages=asked("sim:web_search=4"))
    found = await rows()
    assert [row["fees"] for row in found] == [{"web_search": 1}, {"web_search_preview": 1}, {"web_search": 4}, {}]
    assert [row["nano"] // 10_000_000 for row in found] == [1, 2, 4, 0]


async def test_tier_that_serves_may_be_another_than_the_one_asked_for(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """The answer and the bill have the one that served."""
    answer = await chat.chat.completions.create(model=MODEL, messages=asked("sim:tier=default sim:output=100"), service_tier="priority")
    plain = await chat.chat.completions.create(model=MODEL, messages=asked("sim:tier=default sim:output=100"))
    dear = await chat.chat.completions.create(model=MODEL, messages=asked("sim:tier=default sim:output=100".replace("default", "priority")))
    assert (answer.service_tier, plain.service_tier, dear.service_tier) == ("default", "default", "priority")
    first, second, third = [row["nano"] for row in await rows()]
    assert first == second
    assert third > second * 1.9


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"modalities": ["audio"]}, "audio"),
        ({"modalities": ["audio"], "audio": {"format": "wav"}, "stream": True}, "audio.format"),
        ({"prediction": {"type": "content", "content": "x"}, "n": 2}, "n"),
    ],
)
async def test_what_cannot_be_is_refused(http: httpx.AsyncClient, fields: dict[str, object], param: str) -> None:
    """Sound needs a format that can be streamed, a prediction one choice."""
    answer = await http.post("/v1/chat/completions", json={"model": "gpt-audio", "messages": asked("hi"), **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
