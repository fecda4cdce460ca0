"""A name of the operator's own for a model: the request is read, held, metered and billed as one for the model that it stands for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.house import House, open_house

ALIASES = {
    "voice": "openai/tts-1-hd",
    "teller": "openai/gpt-4o-mini-tts",
    "ears": "openai/whisper-1",
    "scribe": "openai/gpt-4o-transcribe",
    "painter": "openai/gpt-image-1",
    "old-painter": "openai/dall-e-3",
    "searcher": "openai/gpt-4o-search-preview",
    "twin": "gemini/gemini-2.5-flash",
    "thinker": "anthropic/claude-sonnet-5-5",
}
WAV = b"RIFF\x24\x7d\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\0\x7d\0\0" + bytes(32_000)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house with names of its own."""
    async with open_house(tmp_path, {"models": {name: {"route": [target]} for name, target in ALIASES.items()}}) as opened:
        yield opened


async def _post(house: House, path: str, secret: str, **more: Any) -> httpx.Response:
    return await house.http.post(house.url + path, headers={"authorization": f"Bearer {secret}"}, **more)


@pytest.mark.parametrize("name", ["voice", "teller"])
async def test_speech_is_billed_by_what_the_model_is_sold_by(house: House, name: str) -> None:
    """By the character, or by the token."""
    secret = await house.customer("50.00", None)
    answer = await _post(house, "/v1/audio/speech", secret, json={"model": name, "input": "Hello there.", "voice": "alloy"})
    assert answer.status_code == 200, answer.text
    (charge,) = await house.agree_with(1)
    assert (charge.model, charge.completeness, charge.flags) == (ALIASES[name].partition("/")[2], "exact", "")


@pytest.mark.parametrize("name", ["ears", "scribe"])
@pytest.mark.parametrize("form", ["json", "text"])
async def test_transcriptions_are_billed_by_what_the_model_is_sold_by(house: House, name: str, form: str) -> None:
    """By the second, or by the token; in the format that was asked for, whichever is asked of the provider."""
    secret = await house.customer("50.00", None)
    sent = {"files": {"file": ("a.wav", WAV, "audio/wav")}, "data": {"model": name, "response_format": form}}
    answer = await _post(house, "/v1/audio/transcriptions", secret, **sent)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json" if form == "json" else "text/plain")
    (charge,) = await house.agree_with(1)
    assert (charge.completeness, charge.flags) == ("exact", "")


@pytest.mark.parametrize("name", ["painter", "old-painter"])
async def test_pictures_are_billed_by_what_the_model_is_sold_by(house: House, name: str) -> None:
    """By the token, or by the picture."""
    secret = await house.customer("50.00", None)
    answer = await _post(house, "/v1/images/generations", secret, json={"model": name, "prompt": "a cat", "size": "1024x1024"})
    assert answer.status_code == 200, answer.text
    (charge,) = await house.agree_with(1)
    assert (charge.completeness, charge.flags) == ("exact", "")


async def test_a_model_that_searches_by_itself_is_refused_by_any_name(house: House) -> None:
    """Its searches have a fee that no usage reports."""
    secret = await house.customer("50.00", None)
    asked = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    for name in ("searcher", "gpt-4o-search-preview"):
        answer = await _post(house, "/v1/chat/completions", secret, json={"model": name, **asked})
        assert (answer.status_code, answer.headers["x-farebox-reason"]) == (400, "cost_unbounded"), name
    assert await house.sim_calls() == []


async def test_names_work_in_every_dialect(house: House) -> None:
    """In a path and in a body."""
    secret = await house.customer("50.00", None)
    assert (await house.messages(secret, model="thinker")).status_code == 200
    asked = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 9}}
    answer = await house.http.post(f"{house.url}/v1beta/models/twin:generateContent", headers={"x-goog-api-key": secret}, json=asked)
    assert answer.status_code == 200, answer.text
    await house.agree_with(2)
