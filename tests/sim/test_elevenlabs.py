"""ElevenLabs' text-to-speech, as its own SDK sees it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from elevenlabs.client import AsyncElevenLabs
from elevenlabs.core.api_error import ApiError

from farebox.sim import Server
from farebox.sim.sounds import silence, sound_of

VOICE = "JBFqnCBsd6RMkjVDRZzb"
PATH = f"/v1/text-to-speech/{VOICE}"
CREDIT_NANO = 80_000
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]


@pytest.fixture
async def speaker(sim: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sim.url, headers={"xi-api-key": "any"}, timeout=20) as client:
        yield client


@pytest.fixture
async def eleven(sim: Server) -> AsyncIterator[AsyncElevenLabs]:
    async with httpx.AsyncClient(timeout=20) as client:
        yield AsyncElevenLabs(api_key="any", base_url=sim.url, httpx_client=client)


async def test_sdk_hears_the_same_whole_and_streamed(eleven: AsyncElevenLabs, rows: Rows) -> None:
    """Both cost the text's characters."""
    text = "sim:bill=a All aboard, please."
    whole = b"".join([piece async for piece in eleven.text_to_speech.convert(VOICE, text=text, model_id="eleven_multilingual_v2")])
    streamed = b"".join([piece async for piece in eleven.text_to_speech.stream(VOICE, text=text, model_id="eleven_multilingual_v2")])
    assert whole == streamed
    assert whole.startswith(b"\xff\xfb")
    first, second = await rows()
    assert first["fees"] == second["fees"] == {"credits": len(text)}
    assert first["nano"] == second["nano"] == len(text) * CREDIT_NANO
    assert (first["label"], first["dialect"], first["streamed"], second["streamed"]) == ("a", "elevenlabs", False, True)


async def test_sdk_reads_timestamps_whole_and_by_the_line(eleven: AsyncElevenLabs) -> None:
    """Every character has its time; the pieces of a stream follow each other."""
    text = "All aboard, the train is leaving now."
    whole = await eleven.text_to_speech.convert_with_timestamps(VOICE, text=text)
    lines = [line async for line in eleven.text_to_speech.stream_with_timestamps(VOICE, text=text)]
    assert whole.alignment is not None
    assert "".join(whole.alignment.characters) == text
    assert len(lines) == 2
    assert b"".join([base64.b64decode(line.audio_base_64) for line in lines]) == base64.b64decode(whole.audio_base_64)
    spoken = [line.alignment for line in lines if line.alignment is not None]
    assert "".join(character for line in spoken for character in line.characters) == text
    starts = [start for line in spoken for start in line.character_start_times_seconds]
    assert starts == whole.alignment.character_start_times_seconds == sorted(starts)


async def test_head_tells_the_credits_and_the_request(speaker: httpx.AsyncClient, rows: Rows) -> None:
    """Half a credit for each character of the fast models, rounded up; characters, not bytes."""
    for model, text, credits_used in (
        ("eleven_flash_v2_5", "hello", 3),
        ("eleven_turbo_v2_5", "hell", 2),
        ("eleven_v3", "Grüße 👋", 7),
        (None, "hello", 5),
    ):
        answer = await speaker.post(PATH, json={"text": text, "model_id": model})
        row = (await rows())[-1]
        assert answer.headers["character-cost"] == str(credits_used)
        assert row["id"] == answer.headers["request-id"]
        assert row["nano"] == credits_used * CREDIT_NANO


@pytest.mark.parametrize(("how", "told"), [("missing", None), ("partial", None), ("zero", "0"), ("negative", "-27")])
async def test_cost_in_the_head_may_be_missing_or_absurd(speaker: httpx.AsyncClient, rows: Rows, how: str, told: str | None) -> None:
    """The bill stays true."""
    text = f"sim:usage={how}".ljust(27, ".")
    answer = await speaker.post(f"{PATH}/stream", json={"text": text.replace(".", " ")})
    assert answer.headers.get("character-cost") == told
    assert (await rows())[0]["nano"] == 27 * CREDIT_NANO


async def test_text_is_paid_for_however_the_answer_ends(speaker: httpx.AsyncClient, rows: Rows) -> None:
    """A stream that is cut costs all of it."""
    text = "sim:cut=1 " + "a long way to go " * 20
    with pytest.raises(httpx.RemoteProtocolError):
        await speaker.post(f"{PATH}/stream", json={"text": text})
    [row] = await rows()
    assert (row["finished"], row["nano"]) == (False, len(text) * CREDIT_NANO)


@pytest.mark.parametrize(
    ("output_format", "content_type", "beginning"),
    [
        ("mp3_44100_192", "audio/mpeg", b"\xff\xfb"),
        ("mp3_22050_32", "audio/mpeg", b"\xff\xf3"),
        ("pcm_16000", "audio/pcm", b"\0\0"),
        ("wav_44100", "audio/wav", b"RIFF"),
        ("opus_48000_32", "audio/opus", b"OggS"),
        ("ulaw_8000", "audio/basic", b"\xff"),
        ("alaw_8000", "audio/x-alaw-basic", b"\xd5"),
    ],
)
async def test_sound_has_the_format_that_was_asked_for(
    speaker: httpx.AsyncClient, output_format: str, content_type: str, beginning: bytes
) -> None:
    """Its type and its first bytes tell."""
    answer = await speaker.post(PATH, params={"output_format": output_format}, json={"text": "hello"})
    assert answer.headers["content-type"] == content_type
    assert answer.content.startswith(beginning)


def test_sound_lasts_as_long_as_its_text_and_pieces_add_up() -> None:
    """60 ms a character; a frame of MP3 has the bytes that its header says."""
    pcm, mp3 = sound_of("pcm_16000"), sound_of("mp3_44100_128")
    assert pcm is not None
    assert mp3 is not None
    assert len(b"".join(silence(pcm, 10, 3))) == 16_000 * 2 * 600 // 1000
    frames = b"".join(silence(mp3, 10, 4))
    assert len(frames) == 417 * 23
    assert {frames[at : at + 2] for at in range(0, len(frames), 417)} == {b"\xff\xfb"}
    assert all(sound_of(name) is None for name in ("mp3_44100", "mp3_8000_128", "pcm_16000_32", "flac_1", ""))


@pytest.mark.parametrize(
    ("sent", "query", "status", "told"),
    [
        ({}, {}, 422, "missing"),
        ({"text": " "}, {}, 400, "invalid_text"),
        ({"text": "hi", "model_id": "eleven_none"}, {}, 400, "model_not_found"),
        ({"text": "x" * 5001, "model_id": "eleven_v3"}, {}, 400, "max_character_limit_exceeded"),
        ({"text": "hi"}, {"output_format": "flac"}, 400, "invalid_output_format"),
        ({"text": "sim:status=401 sim:code=quota_exceeded"}, {}, 401, "quota_exceeded"),
        ({"text": "sim:status=429"}, {}, 429, "too_many_concurrent_requests"),
        ({"text": "sim:odd=1"}, {}, 400, "invalid_request"),
    ],
)
async def test_what_the_provider_refuses_is_refused_and_free(
    speaker: httpx.AsyncClient, rows: Rows, sent: dict[str, object], query: dict[str, str], status: int, told: str
) -> None:
    """A detail with a status, or of what is missing."""
    answer = await speaker.post(PATH, json=sent, params=query)
    detail = answer.json()["detail"]
    assert (answer.status_code, detail[0]["type"] if isinstance(detail, list) else detail["status"]) == (status, told)
    assert (await rows())[0]["nano"] == 0


async def test_sdk_raises_its_own_error(eleven: AsyncElevenLabs) -> None:
    """Without money the native status is 401."""
    with pytest.raises(ApiError) as caught:
        await eleven.text_to_speech.convert_with_timestamps(VOICE, text="sim:status=401 sim:code=quota_exceeded")
    assert caught.value.status_code == 401
    assert json.loads(json.dumps(caught.value.body))["detail"]["status"] == "quota_exceeded"


async def test_credential_is_the_headers_key(speaker: httpx.AsyncClient) -> None:
    """A bearer key is none."""
    answer = await speaker.post(PATH, json={"text": "hi"}, headers={"xi-api-key": "", "authorization": "Bearer any"})
    assert (answer.status_code, answer.json()["detail"]["status"]) == (401, "invalid_api_key")


async def test_stream_of_sound_has_no_event_to_fail_with(speaker: httpx.AsyncClient) -> None:
    """It can be cut, as a real one is."""
    assert (await speaker.post(f"{PATH}/stream", json={"text": "sim:fail=1"})).status_code == 400


async def test_models_tell_what_their_characters_cost(eleven: AsyncElevenLabs) -> None:
    """On the path that others list theirs on too."""
    rates = {model.model_id: model.model_rates for model in await eleven.models.list()}
    fast = rates["eleven_flash_v2_5"]
    assert fast is not None
    assert fast.character_cost_multiplier == 0.5


async def test_many_speak_at_once(speaker: httpx.AsyncClient, rows: Rows) -> None:
    """Each call has its own row."""
    answers = await asyncio.gather(*[speaker.post(PATH, json={"text": "x" * number}) for number in range(1, 20)])
    assert {int(answer.headers["character-cost"]) for answer in answers} == set(range(1, 20))
    assert sum(row["fees"]["credits"] for row in await rows()) == sum(range(1, 20))
