"""OpenAI's speech, transcriptions and translations."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from farebox.sim.sounds import Sound, silence

SAID = "This is a simulated answer"
Rows = Callable[..., Awaitable[list[dict[str, Any]]]]


def wav(seconds: int) -> bytes:
    """Sixty milliseconds a character: so many seconds."""
    return b"".join(silence(Sound("wav", 8000, 0), seconds * 1000 // 60 + 1, 1))


async def test_characters_are_billed_where_characters_are_sold(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Not bytes: four letters, whatever they take."""
    answer = await chat.audio.speech.create(model="tts-1", voice="alloy", input="öäüß")
    assert answer.response.headers["content-type"] == "audio/mpeg"
    assert answer.content.startswith(b"\xff\xf3")
    await chat.audio.speech.create(model="tts-1-hd", voice="alloy", input="öäüß", response_format="wav")
    first, second = await rows()
    assert first["units"] == second["units"] == {"input_characters": 4}
    assert (Decimal(first["usd"]), Decimal(second["usd"])) == (Decimal("0.00006"), Decimal("0.00012"))


async def test_speech_by_tokens_tells_them_in_events_only(chat: openai.AsyncOpenAI, http: httpx.AsyncClient, rows: Rows) -> None:
    """20.8 tokens a second; the sound itself is as long, and says nothing of it."""
    body = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "x" * 100, "response_format": "pcm"}
    sound = (await http.post("/v1/audio/speech", json=body)).content
    assert len(sound) == 100 * 60 * 24 * 2
    streamed = await http.post(
        "/v1/audio/speech", json={**body, "stream_format": "sse", "instructions": "calm", "input": "sim:audio_out=300"}
    )
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert '"type":"speech.audio.done","usage":{"input_tokens":6,"output_tokens":300,"total_tokens":306}' in streamed.text
    async with chat.audio.speech.with_streaming_response.create(model="gpt-4o-mini-tts", voice="alloy", input="x" * 100) as answer:
        assert len(b"".join([piece async for piece in answer.iter_bytes()])) > 1000
    first, second, third = await rows()
    assert (first["units"], third["units"]) == ({"input_tokens": 25, "output_tokens": 125, "output_audio_tokens": 125},) * 2
    assert second["tokens"]["output"] == 300
    assert Decimal(first["usd"]) == (25 * Decimal("0.6") + 125 * 12) / 1_000_000


@pytest.mark.parametrize("response_format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
async def test_speech_has_every_format(http: httpx.AsyncClient, response_format: str) -> None:
    """Named as the provider names it."""
    answer = await http.post(
        "/v1/audio/speech", json={"model": "tts-1", "voice": "a", "input": "hello", "response_format": response_format}
    )
    expected = "audio/mpeg" if response_format == "mp3" else f"audio/{response_format}"
    assert (answer.headers["content-type"], len(answer.content) > 100) == (expected, True)


async def test_cut_speech_may_bill_what_was_sent(http: httpx.AsyncClient, rows: Rows) -> None:
    """Ten tokens to a piece."""
    body = {"model": "gpt-4o-mini-tts", "voice": "a", "input": "sim:audio_out=100 sim:cut=3 sim:on_abort=bill_sent"}
    with pytest.raises(httpx.RemoteProtocolError):
        await http.post("/v1/audio/speech", json=body)
    [row] = await rows()
    assert (row["tokens"]["output"], row["units"]["output_audio_tokens"], row["finished"]) == (30, 30, False)


async def test_transcription_by_tokens(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Ten tokens a second of a WAV, the prompt's text beside them; streamed, the last event tells."""
    whole = await chat.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", wav(2)), prompt="sim:output=5 x")
    assert whole.usage is not None
    assert whole.usage.type == "tokens"
    assert whole.usage.input_token_details is not None
    assert (whole.usage.input_token_details.audio_tokens, whole.usage.input_token_details.text_tokens) == (30, 4)
    stream = await chat.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", wav(2)), prompt="sim:output=5 x", stream=True)
    found = [event async for event in stream]
    assert "".join(event.delta for event in found if event.type == "transcript.text.delta") == whole.text
    assert found[-1].type == "transcript.text.done"
    assert found[-1].usage is not None
    assert found[-1].usage.total_tokens == 39
    first, second = await rows()
    assert first["units"] == second["units"] == {"input_tokens": 34, "input_audio_tokens": 30, "output_tokens": 5}
    assert Decimal(first["usd"]) == (4 * Decimal("2.5") + 30 * 6 + 5 * 10) / 1_000_000


async def test_transcription_by_the_second(chat: openai.AsyncOpenAI, rows: Rows) -> None:
    """Begun seconds count; usage is a duration."""
    whole = await chat.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav(2)))
    assert whole.usage is not None
    assert whole.usage.type == "duration"
    assert (whole.text, whole.usage.seconds) == (SAID, 3)
    verbose = await chat.audio.transcriptions.create(
        model="whisper-1", file=("a.mp3", bytes(1)), prompt="sim:seconds=12", response_format="verbose_json"
    )
    assert (verbose.duration, verbose.usage and verbose.usage.seconds) == (12, 12)
    await chat.audio.transcriptions.create(model="gpt-transcribe", file=("a.mp3", bytes(32_001)))
    assert [row["units"]["audio_seconds"] for row in await rows()] == [3, 12, 3]
    assert [Decimal(row["usd"]) for row in await rows()] == [Decimal("0.0003"), Decimal("0.0012"), Decimal("0.000225")]


@pytest.mark.parametrize(
    ("response_format", "written"),
    [
        ("text", f"{SAID}\n"),
        ("srt", f"1\n00:00:00,000 --> 00:01:02,000\n{SAID}\n\n"),
        ("vtt", f"WEBVTT\n\n00:00.000 --> 01:02.000\n{SAID}\n\n"),
    ],
)
async def test_text_formats_tell_nothing_of_the_usage(chat: openai.AsyncOpenAI, rows: Rows, response_format: Any, written: str) -> None:
    """They are text, and billed all the same."""
    answer = await chat.audio.transcriptions.with_raw_response.create(
        model="whisper-1", file=("a.mp3", b"x"), prompt="sim:seconds=62", response_format=response_format
    )
    assert (answer.headers["content-type"], answer.text) == ("text/plain; charset=utf-8", written)
    assert [row["units"]["audio_seconds"] for row in await rows()] == [62]


async def test_speakers_are_told_apart_when_asked_for(http: httpx.AsyncClient) -> None:
    """Segments with a speaker, and usage in tokens."""
    form = {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json"}
    answer = (await http.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", wav(1))})).json()
    assert (answer["segments"][0]["speaker"], answer["usage"]["type"]) == ("A", "tokens")


async def test_translation_tells_no_usage(http: httpx.AsyncClient, rows: Rows) -> None:
    """Its duration stands in the verbose form only."""
    sound = {"file": ("a.wav", wav(2))}
    plain = (await http.post("/v1/audio/translations", data={"model": "whisper-1"}, files=sound)).json()
    form = {"model": "whisper-1", "response_format": "verbose_json"}
    verbose = (await http.post("/v1/audio/translations", data=form, files=sound)).json()
    assert plain == {"text": SAID}
    assert (verbose["duration"], verbose["task"], "usage" in verbose) == (3, "translate", False)
    assert [row["units"]["audio_seconds"] for row in await rows()] == [3, 3]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"voice": None}, "voice"),
        ({"response_format": "mid"}, "response_format"),
        ({"model": "tts-1", "stream_format": "sse"}, "stream_format"),
        ({"input": "sim:fail=1"}, None),
    ],
)
async def test_speech_that_cannot_be_is_refused(http: httpx.AsyncClient, rows: Rows, fields: dict[str, object], param: str | None) -> None:
    """The parameter at fault is named, and nothing is billed."""
    answer = await http.post("/v1/audio/speech", json={"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "hello", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert [row["nano"] for row in await rows()] == [0]


@pytest.mark.parametrize(
    ("path", "form", "sound", "param"),
    [
        ("transcriptions", {"model": "whisper-1"}, None, "file"),
        ("transcriptions", {"model": "whisper-1"}, b"", "file"),
        ("transcriptions", {"model": "gpt-4o-transcribe", "response_format": "srt"}, b"x", "response_format"),
        ("transcriptions", {"model": "whisper-1", "response_format": "mid"}, b"x", "response_format"),
        ("translations", {"model": "gpt-4o-transcribe"}, b"x", "model"),
        ("transcriptions", {}, b"x", None),
    ],
)
async def test_form_that_cannot_be_is_refused(
    http: httpx.AsyncClient, rows: Rows, path: str, form: dict[str, str], sound: bytes | None, param: str | None
) -> None:
    """The parameter at fault is named, and nothing is billed."""
    files: Any = {"file": ("a.mp3", sound)} if sound is not None else {"none": (None, "")}
    answer = await http.post(f"/v1/audio/{path}", data=form, files=files)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert [row["nano"] for row in await rows()] == [0]
