"""Pictures, documents and recordings by the unmodified SDKs: charged to the nano-dollar what the provider bills, never more than was held."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from farebox.ledger.model import Charge
from support.house import House, open_house
from support.media import PICTURES, data_url, mp3, pdf, picture, text, wav

SIZES = ((1, 1), (640, 480), (3000, 2000), (700, 9000))
SEEING = ("gpt-6-sol", "gpt-5.4", "gpt-5", "gpt-5-mini", "gpt-4.1-nano", "gpt-4o", "gpt-4o-mini", "o3")
CLAUDES = ("claude-sonnet-5-5", "claude-opus-4-7", "claude-opus-4-6")
SQUARE = data_url("image/png", picture("image/png", 1024, 1024))


async def exact(house: House, calls: int) -> list[Charge]:
    """Checks that so many calls are charged as billed, from reports, within their holds."""
    charges = await house.agree_with(calls)
    held = dict(house.rows("SELECT id, amount FROM holds"))
    for charge in charges:
        assert (charge.completeness, charge.written_off) == ("exact", 0), charge
        assert charge.price <= held[charge.hold_id], charge
        assert not charge.flags, charge
    return charges


def units(charge: Charge) -> dict[str, int]:
    found: dict[str, int] = json.loads(charge.usage)["units"]
    return found


def asked(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": [{"type": "text", "text": "look sim:output=4"}, *parts]}]


def image_url(url: str, **more: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def block(kind: str, data: bytes) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": text(data)}}


@pytest.mark.parametrize("model", SEEING)
async def test_pictures_in_chat_are_charged_as_billed(house: House, model: str) -> None:
    """Of every kind and every size, at every family of models; at an address too; whole and streamed."""
    client = house.openai(await house.customer("50.00", None))
    for kind, size in zip(PICTURES, SIZES, strict=True):
        url = data_url(kind, picture(kind, *size))
        whole = await client.chat.completions.create(model=model, messages=asked(image_url(url), image_url(url, detail="low")))
        assert whole.usage is not None
        assert whole.usage.prompt_tokens_details is not None
    await client.chat.completions.create(model=model, messages=asked(image_url("https://example.com/a.webp", detail="high")))
    stream = await client.chat.completions.create(model=model, messages=asked(image_url(SQUARE)), stream=True)
    assert [chunk async for chunk in stream][-1].choices[0].finish_reason == "stop"
    charges = await exact(house, len(SIZES) + 2)
    assert all(units(charge)["in_image_uncached"] for charge in charges)


@pytest.mark.parametrize("model", SEEING)
async def test_pictures_in_responses_are_charged_as_billed(house: House, model: str) -> None:
    """In the input, and in what a function gave back."""
    client = house.openai(await house.customer("50.00", None))
    for kind, size in zip(PICTURES, SIZES, strict=True):
        seen: Any = {"type": "input_image", "image_url": data_url(kind, picture(kind, *size)), "detail": "auto"}
        given: Any = [
            {"role": "user", "content": [{"type": "input_text", "text": "look sim:output=4"}, seen]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [seen]},
        ]
        assert (await client.responses.create(model=model, input=given)).usage is not None
    elsewhere: Any = [{"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.gif", "detail": "high"}]}]
    events = [event async for event in await client.responses.create(model=model, input=elsewhere, stream=True)]
    assert events[-1].type == "response.completed"
    await exact(house, len(SIZES) + 1)


@pytest.mark.parametrize("model", CLAUDES)
async def test_pictures_and_documents_in_messages_are_charged_as_billed(house: House, model: str) -> None:
    """Alone, in the result of a tool, within a document; at an address; counted beforehand for nothing."""
    client = house.anthropic(await house.customer("50.00", None))
    for kind, size in zip(PICTURES, SIZES, strict=True):
        shown = block(kind, picture(kind, *size))
        given: Any = [
            *asked(shown, {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": text(pdf(3))}}),
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": [shown]},
                    {"type": "document", "source": {"type": "content", "content": [shown]}},
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain text"}},
                ],
            },
        ]
        answer = await client.messages.create(model=model, max_tokens=64, messages=given)
        counted = await client.messages.count_tokens(model=model, messages=given)
        assert counted.input_tokens == answer.usage.input_tokens
    elsewhere: Any = asked({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}})
    async with client.messages.stream(model=model, max_tokens=64, messages=elsewhere) as stream:
        assert (await stream.get_final_message()).usage.input_tokens > 1500
    await exact(house, len(SIZES) + 1)


@pytest.mark.parametrize("model", ["gpt-audio", "gpt-audio-mini"])
async def test_recordings_are_charged_as_billed(house: House, model: str) -> None:
    """At the price of sound, which the usage tells apart."""
    client = house.openai(await house.customer("50.00", None))
    for kind, data in (("wav", wav(2_500)), ("wav", wav(30_000, rate=8000)), ("mp3", mp3(9_000))):
        sound: Any = {"type": "input_audio", "input_audio": {"data": text(data), "format": kind}}
        whole = await client.chat.completions.create(model=model, messages=asked(sound))
        assert whole.usage is not None
        assert whole.usage.prompt_tokens_details is not None
        assert whole.usage.prompt_tokens_details.audio_tokens
    charges = await exact(house, 3)
    assert [units(charge)["in_audio_uncached"] >= 20 for charge in charges] == [True] * 3


async def test_documents_are_charged_as_billed(house: House) -> None:
    """However many pages they have: the context window is held."""
    client = house.openai(await house.customer("50.00", None))
    for pages in (1, 40):
        url = data_url("application/pdf", pdf(pages))
        in_chat: Any = {"type": "file", "file": {"filename": "a.pdf", "file_data": url}}
        await client.chat.completions.create(model="gpt-4o", messages=asked(in_chat))
        given: Any = [{"role": "user", "content": [{"type": "input_file", "filename": "a.pdf", "file_data": url}]}]
        await client.responses.create(model="gpt-4o", input=given)
    await exact(house, 4)


async def test_a_picture_left_behind_is_charged_for_no_less_than_it_was_billed(house: House) -> None:
    """A stream whose usage never comes is charged by the bound."""
    client = house.openai(await house.customer("50.00", None))
    sound: Any = {"type": "input_audio", "input_audio": {"data": text(wav(8_000)), "format": "wav"}}
    for model, part in (("gpt-4o-mini", image_url(SQUARE)), ("gpt-4o-audio-preview-2025-06-03", sound)):
        content: Any = [{"type": "text", "text": "sim:output=30 sim:cut=5 sim:on_abort=bill_sent"}, part]
        with pytest.raises(openai.APIError):
            async for _ in await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": content}], stream=True, max_completion_tokens=60
            ):
                pass
    charges = await house.agree_with(2)
    assert all(charge.completeness == "estimated" for charge in charges)


async def test_what_nothing_bounds_is_refused_and_nothing_moves(house: House) -> None:
    """With the name of the field and what to do; and what another account stored is not there."""
    secret = await house.customer("50.00", None)
    client, claude = house.openai(secret), house.anthropic(secret)
    before = house.books()
    file: Any = {"type": "file", "file": {"file_id": "file_1"}}
    with pytest.raises(openai.BadRequestError, match="send its bytes") as refused:
        await client.chat.completions.create(model="gpt-4o", messages=asked(file))
    assert refused.value.code == "cost_unbounded"
    assert refused.value.param == "messages[0].content[1].file.file_id"
    document: Any = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
    with pytest.raises(anthropic.BadRequestError, match="send its bytes"):
        await claude.messages.create(model="claude-sonnet-5-5", max_tokens=5, messages=asked(document))
    kept: Any = [{"role": "user", "content": [{"type": "input_image", "file_id": "file_1", "detail": "auto"}]}]
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="gpt-4o", input=kept)
    given: Any = asked({"type": "image", "source": {"type": "file", "file_id": "file_1"}})
    with pytest.raises(anthropic.NotFoundError):
        await claude.messages.create(model="claude-sonnet-5-5", max_tokens=5, messages=given)
    with pytest.raises(openai.BadRequestError, match="data URL"):
        await client.chat.completions.create(model="gpt-4o", messages=asked(image_url("data:text/html;base64,AAAA")))
    assert house.books() == before
    assert await house.sim_calls() == []


@pytest.fixture
async def renamed(tmp_path: Path) -> AsyncIterator[House]:
    """A house where names mean other models than they seem to."""
    names = {"gpt-4o": {"route": ["openai/gpt-4o-mini"]}, "eyes": {"route": ["openai/gpt-4o"]}}
    async with open_house(tmp_path, {"models": names}) as opened:
        yield opened


async def test_a_picture_is_held_for_at_the_model_that_an_alias_means(renamed: House) -> None:
    """Which counts it thirty times as high; and one of whose name nothing is known is held for no higher than it can be."""
    client = renamed.openai(await renamed.customer("50.00", None))
    url = data_url("image/png", picture("image/png", 2048, 2048))
    for model in ("gpt-4o", "eyes"):
        await client.chat.completions.create(model=model, messages=asked(image_url(url)), max_completion_tokens=5)
    mini, full = await exact(renamed, 2)
    assert units(mini)["in_image_uncached"] > 20_000
    assert renamed.rows("SELECT tokens_bound FROM holds WHERE id = ?", full.hold_id)[0][0] < 5000
