"""The unmodified OpenAI SDK on the routes that take files and give sound: as straight at the provider, charged what the provider billed."""

import io
import wave
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import openai
import pytest

from support.house import House

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
"""The SDK says so of translations; they are served all the same."""

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40\x08\6\0\0\0" + bytes(4) + b"\0\0\0\0IDAT" + bytes(4) + b"\0\0\0\0IEND" + bytes(4)
_OWN = {"created", "created_at"}
_TRANSCRIPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"model": "whisper-1"},
    "json": {"model": "whisper-1", "response_format": "json"},
    "verbose": {"model": "whisper-1", "response_format": "verbose_json", "timestamp_granularities": ["segment"]},
    "text": {"model": "whisper-1", "response_format": "text"},
    "srt": {"model": "whisper-1", "response_format": "srt"},
    "vtt": {"model": "whisper-1", "response_format": "vtt"},
    "an_hour_in_vtt": {"model": "whisper-1", "response_format": "vtt", "prompt": "long"},
    "an_hour_in_srt": {"model": "whisper-1", "response_format": "srt", "prompt": "long"},
    "asked_to_stream": {"model": "whisper-1", "stream": True},
    "by_the_second": {"model": "gpt-transcribe", "languages": ["en", "de"], "keywords": ["nano"]},
    "by_the_token": {"model": "gpt-4o-transcribe", "prompt": "names: Ada. sim:output=9", "include": ["logprobs"], "temperature": 0.2},
    "by_the_token_in_chunks": {"model": "gpt-4o-mini-transcribe", "chunking_strategy": {"type": "server_vad", "silence_duration_ms": 20}},
    "speakers": {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json", "chunking_strategy": "auto"},
    "speakers_as_text": {"model": "gpt-4o-transcribe-diarize", "response_format": "text"},
}
_STREAMED: dict[str, dict[str, Any]] = {
    "by_the_second": {"model": "gpt-transcribe"},
    "by_the_token": {"model": "gpt-4o-transcribe", "prompt": "sim:output=40", "response_format": "json"},
    "small": {"model": "gpt-4o-mini-transcribe", "language": "en"},
}
_EDITS: dict[str, dict[str, Any]] = {
    "one": {"model": "gpt-image-1.5", "image": ("a.png", PNG), "quality": "low", "size": "1024x1024"},
    "several": {
        "model": "gpt-image-1.5",
        "image": [("a.png", PNG), ("b.png", PNG)],
        "mask": ("m.png", PNG),
        "n": 2,
        "input_fidelity": "high",
    },
    "newest": {"model": "gpt-image-2", "image": ("a.png", PNG), "quality": "high", "size": "1536x1024", "output_format": "webp"},
    "small": {"model": "gpt-image-1-mini", "image": ("a.png", PNG), "background": "opaque"},
    "by_the_image": {"model": "dall-e-2", "image": ("a.png", PNG), "size": "512x512", "n": 3},
}


def wav(ms: int) -> bytes:
    """So much silence."""
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(4000)
        sound.writeframes(bytes(4 * ms))
    return written.getvalue()


def _same(answer: Any) -> Any:
    """What must be equal in two answers: all but the moments they were made."""
    value = answer if isinstance(answer, str) else answer.model_dump()
    return value if isinstance(value, str) else {name: inner for name, inner in value.items() if name not in _OWN}


@pytest.fixture
async def straight(house: House) -> AsyncIterator[openai.AsyncOpenAI]:
    """The same SDK at the provider itself."""
    async with openai.AsyncOpenAI(api_key="any", base_url=f"{house.sim.url}/v1", max_retries=0) as client:
        yield client


async def test_transcriptions_are_those_of_the_provider(house: House, straight: openai.AsyncOpenAI) -> None:
    """In every format, those that tell no usage among them; each charged exactly what it was billed."""
    client = house.openai(await house.customer("50.00", None))
    for name, body in _TRANSCRIPTIONS.items():
        file = ("speech.wav", wav(3_723_000 if body.get("prompt") == "long" else 7_300), "audio/wav")
        through = await client.audio.transcriptions.create(file=file, **body)
        if body.get("stream"):  # whisper ignores it, and answers whole
            continue
        assert _same(through) == _same(await straight.audio.transcriptions.create(file=file, **body)), name
    charges = await house.agree_with(len(_TRANSCRIPTIONS))
    assert {charge.completeness for charge in charges} == {"exact"}
    assert {charge.flags for charge in charges} == {""}


async def test_text_is_called_text(house: House) -> None:
    """Though the provider was asked for JSON; an error stays what it is."""
    client = house.openai(await house.customer("50.00", None)).audio.transcriptions.with_raw_response
    for form in ("text", "srt", "vtt"):
        answer = await client.create(file=("a.wav", wav(900)), model="whisper-1", response_format=form)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-farebox-cost"] == "0.0001"
    with pytest.raises(openai.BadRequestError) as refused:
        await client.create(file=("a.wav", b""), model="whisper-1", response_format="text")
    assert (refused.value.code, refused.value.response.headers["content-type"]) == ("audio_too_short", "application/json")
    await house.agree_with(4)


async def test_streamed_transcripts_are_those_of_the_provider(house: House, straight: openai.AsyncOpenAI) -> None:
    """Event by event, the usage at the end."""
    client = house.openai(await house.customer("50.00", None))
    for name, body in _STREAMED.items():
        seen = []
        for one in (client, straight):
            stream = await one.audio.transcriptions.create(file=("a.wav", wav(2_000)), stream=True, **body)
            seen.append([event.model_dump() async for event in stream])
        assert seen[0] == seen[1], name
        assert seen[0][-1]["type"] == "transcript.text.done"
    charges = await house.agree_with(len(_STREAMED))
    assert {charge.completeness for charge in charges} == {"exact"}


async def test_translations_are_those_of_the_provider(house: House, straight: openai.AsyncOpenAI) -> None:
    """They tell no usage in any format: charged by the time that the answer says it heard."""
    client = house.openai(await house.customer("50.00", None))
    forms: tuple[Any, ...] = (openai.omit, "json", "text", "srt", "vtt", "verbose_json")
    for form in forms:
        body = {"file": ("a.wav", wav(12_001)), "model": "whisper-1", "response_format": form}
        through = await client.audio.translations.create(**body)
        assert _same(through) == _same(await straight.audio.translations.create(**body)), form
    charges = await house.agree_with(len(forms))
    assert {(charge.completeness, charge.price) for charge in charges} == {("exact", 13 * 100_000)}


async def test_edited_images_are_those_of_the_provider(house: House, straight: openai.AsyncOpenAI) -> None:
    """By the token and by the image; several pictures, and a mask."""
    client = house.openai(await house.customer("50.00", None))
    for name, body in _EDITS.items():
        through = await client.images.edit(prompt="a cat", **body)
        assert _same(through) == _same(await straight.images.edit(prompt="a cat", **body)), name
    charges = await house.agree_with(len(_EDITS))
    assert {charge.completeness for charge in charges} == {"exact"}


@pytest.mark.parametrize("partials", [0, 1, 3])
async def test_streamed_images_are_those_of_the_provider(house: House, straight: openai.AsyncOpenAI, partials: int) -> None:
    """Partial ones as they come, the whole one with the usage at the end."""
    client = house.openai(await house.customer("50.00", None))
    kinds: tuple[tuple[str, Callable[[openai.AsyncOpenAI], Any], dict[str, Any]], ...] = (
        ("image_edit", lambda one: one.images.edit, {"image": ("a.png", PNG)}),
        ("image_generation", lambda one: one.images.generate, {}),
    )
    for kind, asking, more in kinds:
        seen = []
        for one in (client, straight):
            stream = await asking(one)(model="gpt-image-1.5", prompt="a cat", quality="low", stream=True, partial_images=partials, **more)
            seen.append([event.model_dump(exclude=_OWN) async for event in stream])
        assert seen[0] == seen[1]
        assert [event["type"] for event in seen[0]] == [f"{kind}.partial_image"] * partials + [f"{kind}.completed"]
    charges = await house.agree_with(2)
    assert {charge.completeness for charge in charges} == {"exact"}


@pytest.mark.parametrize("model", ["tts-1", "tts-1-hd", "gpt-4o-mini-tts"])
async def test_sound_is_that_of_the_provider(house: House, straight: openai.AsyncOpenAI, model: str) -> None:
    """Byte for byte, in every format, whole and as it comes; of the same kind."""
    client = house.openai(await house.customer("50.00", None))
    forms: tuple[Any, ...] = ("mp3", "opus", "aac", "flac", "wav", "pcm")
    for form in forms:
        body: Any = {"model": model, "voice": "alloy", "input": "Grüß Gott, world. " * 9, "response_format": form}
        whole = await client.audio.speech.create(**body)
        wanted = await straight.audio.speech.create(**body)
        assert whole.content == wanted.content
        assert whole.response.headers["content-type"] == wanted.response.headers["content-type"]
        async with client.audio.speech.with_streaming_response.create(**body) as answer:
            assert b"".join([piece async for piece in answer.iter_bytes()]) == wanted.content
    charges = await house.agree_with(2 * len(forms))
    assert {charge.completeness for charge in charges} == {"exact"}


async def test_events_of_speech_are_those_of_the_provider(house: House) -> None:
    """As they are: the client asked for them."""
    secret = await house.customer("50.00", None)
    body = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hello there, world.", "stream_format": "sse", "instructions": "slowly"}
    seen = []
    for url, key in ((house.url, secret), (house.sim.url, "any")):
        answer = await house.http.post(f"{url}/v1/audio/speech", json=body, headers={"authorization": f"Bearer {key}"})
        seen.append((answer.headers["content-type"], answer.text))
    assert seen[0] == seen[1]
    assert "speech.audio.done" in seen[0][1]
    (charge,) = await house.agree_with(1)
    assert charge.completeness == "exact"


# --- what goes wrong --------------------------------------------------------------------------------------------------------------


def _every_route(client: openai.AsyncOpenAI, said: str, model: str = "") -> dict[str, Callable[[], Any]]:
    """One call of each route that costs, with words for the provider in it."""
    file = ("a.wav", wav(60_000))
    images = client.images
    return {
        "transcription": lambda: client.audio.transcriptions.create(file=file, model=model or "whisper-1", prompt=said),
        "text": lambda: client.audio.transcriptions.create(file=file, model=model or "whisper-1", prompt=said, response_format="text"),
        "translation": lambda: client.audio.translations.create(file=file, model=model or "whisper-1", prompt=said),
        "edit": lambda: images.edit(image=("a.png", PNG), model=model or "gpt-image-1.5", prompt=said),
        "generation": lambda: images.generate(model=model or "gpt-image-1.5", prompt=said),
        "speech": lambda: client.audio.speech.create(model=model or "tts-1", voice="alloy", input=said),
        "spoken": lambda: client.audio.speech.create(model=model or "gpt-4o-mini-tts", voice="alloy", input=said),
        "embedding": lambda: client.embeddings.create(model=model or "text-embedding-3-large", input=said),
        "completion": lambda: client.completions.create(model=model or "gpt-3.5-turbo-instruct", prompt=said),
    }


async def test_no_money_is_said_once_on_every_route(house: House) -> None:
    """The SDK makes one attempt, the error says why, and nothing is forwarded or moved."""
    client = house.openai(await house.customer("0.000000001", None))
    books = house.books()
    calls = _every_route(client, "hello")
    for name, call in calls.items():
        with pytest.raises(openai.APIStatusError) as refused:
            await call()
        assert (name, refused.value.status_code, refused.value.code) == (name, 402, "insufficient_quota")
        assert refused.value.response.headers["x-farebox-reason"] in ("exceeds_available", "exhausted")
    assert len(house.seen) == len(calls)
    assert (await house.sim_calls(), house.books()) == ([], books)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.InternalServerError)]
)
async def test_what_the_provider_refuses_is_free_and_raises_what_it_would(house: House, status: int, kind: type[openai.APIError]) -> None:
    """On every route."""
    client = house.openai(await house.customer("50.00", None), max_retries=0)
    for call in _every_route(client, f"sim:status={status}").values():
        with pytest.raises(kind):
            await call()
    assert {charge.price for charge in await house.agree()} == {0}


async def test_refusals_of_the_gateway_raise_the_right_exception(house: House) -> None:
    """Of every route: no key, a key that may not, a model that is not there."""
    stranger = house.openai("fbx_test_nobody", max_retries=0)
    kept_out = house.openai(await house.customer("50.00", None, models=("openai/gpt-4o-mini",)), max_retries=0)
    client = house.openai(await house.customer("50.00", None), max_retries=0)
    for call in _every_route(stranger, "hello").values():
        with pytest.raises(openai.AuthenticationError):
            await call()
    for call in _every_route(kept_out, "hello").values():
        with pytest.raises(openai.PermissionDeniedError):
            await call()
    for call in _every_route(client, "hello", "no-such-model").values():
        with pytest.raises(openai.PermissionDeniedError, match="no price"):
            await call()
    assert await house.sim_calls() == []


async def test_what_has_no_bound_is_refused_by_name(house: House) -> None:
    """Before anything is held."""
    client = house.openai(await house.customer("50.00", None), max_retries=0)
    picture = ("a.png", PNG)
    asked: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("quality", lambda: client.images.edit(image=picture, prompt="a", model="gpt-image-1.5", quality="max")),
        ("output_format", lambda: client.images.edit(image=picture, prompt="a", model="gpt-image-2.5-flare", output_format="svg")),
        ("frame_count", lambda: client.images.generate(prompt="a", model="gpt-image-2.5-flare", frame_count=4)),
        (
            "svg",
            lambda: client.images.edit(image=picture, prompt="a", model="gpt-image-2.5-flare", extra_body={"svg": {"model": "gpt-5.4"}}),
        ),
        (
            "url",
            lambda: client.audio.transcriptions.create(file=("a", b"a"), model="whisper-1", extra_body={"url": "https://example.com/a"}),
        ),
    )
    for field, call in asked:
        with pytest.raises(openai.BadRequestError) as refused:
            await call()
        assert (refused.value.code, refused.value.param) == ("cost_unbounded", field)
    with pytest.raises(openai.BadRequestError) as ambiguous:
        await client.audio.transcriptions.create(file=("a", b"a"), model="whisper-1", extra_body={"Model": "gpt-4o-transcribe"})
    assert ambiguous.value.code == "ambiguous_body"
    with pytest.raises(openai.NotFoundError):
        await client.images.create_variation(image=picture)
    assert (house.charges(), await house.sim_calls()) == ([], [])


async def test_two_content_types_are_no_form(house: House) -> None:
    """A body that is one form by the first boundary and another by the second reaches nobody."""
    secret = await house.customer("50.00", None)
    part = b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    hidden = part % (b"b1", b"model", b"", b"gpt-4o-transcribe") + b"--b1--\r\n"
    body = (
        part % (b"b0", b"model", b"", b"whisper-1")
        + part % (b"b0", b"file", b'; filename="a.wav"', wav(50) + b"\r\n" + hidden)
        + b"--b0--\r\n"
    )
    kinds = [("content-type", f"multipart/form-data; boundary={name}") for name in ("b0", "b1")]
    for order in (kinds, kinds[::-1]):
        answer = await house.http.post(
            f"{house.url}/v1/audio/transcriptions", content=body, headers=[("authorization", f"Bearer {secret}"), *order]
        )
        assert (answer.status_code, answer.headers["x-farebox-reason"]) == (400, "invalid_request")
    assert await house.sim_calls() == []


@pytest.mark.parametrize("how", ["cut=1", "fail=1", "usage=missing", "usage=partial", "usage=negative"])
async def test_broken_and_silent_answers_are_never_cheaper_than_their_bill(house: House, how: str) -> None:
    """Streamed or not; a client that was told the end was told all of it."""
    client = house.openai(await house.customer("50.00", None), max_retries=0)
    said = f"hello sim:{how}"
    calls = [call for name, call in _every_route(client, said).items() if not (how == "fail=1" and name in ("speech", "spoken"))]
    file = ("a.wav", wav(5_000))
    calls.append(lambda: client.audio.transcriptions.create(file=file, model="gpt-4o-transcribe", prompt=said, stream=True))
    calls.append(lambda: client.images.edit(image=("a.png", PNG), model="gpt-image-1.5", prompt=said, stream=True, partial_images=2))
    for call in calls:
        try:
            answer = await call()
            if isinstance(answer, openai.AsyncStream):
                async for _ in answer:
                    pass
        except (openai.APIError, httpx.HTTPError):
            pass
    assert len(await house.agree()) >= len(calls) - 2


async def test_whoever_leaves_is_charged_what_was_billed(house: House) -> None:
    """The rest is read for them: events, pictures and sound."""
    client = house.openai(await house.customer("50.00", None))
    said = "hello sim:pace=20"
    stream: Any
    for stream in (
        await client.audio.transcriptions.create(
            file=("a.wav", wav(5_000)), model="gpt-4o-transcribe", prompt=f"{said} sim:output=90", stream=True
        ),
        await client.images.edit(image=("a.png", PNG), model="gpt-image-1.5", prompt=said, stream=True, partial_images=3),
    ):
        async for _ in stream:
            break
        await stream.close()
    for model in ("tts-1", "gpt-4o-mini-tts"):
        async with client.audio.speech.with_streaming_response.create(model=model, voice="alloy", input=f"{said} " * 20) as answer:
            async for _ in answer.iter_bytes():
                break
    charges = await house.agree_with(4)
    assert {charge.completeness for charge in charges} == {"exact"}
