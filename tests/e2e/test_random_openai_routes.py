"""Hundreds of random calls over OpenAI's routes beside chat and responses: joined by call id, every charge is the provider's bill.

Where the provider's answer does not say what it billed, the charge covers it; by how much is printed.
"""

import asyncio
import io
import random
import wave
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import openai
import pytest

from farebox.ledger.model import Charge
from farebox.money import format_usd
from support.house import House, charged_by_id
from support.joined import calls

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
"""The SDK says so of translations; they are served all the same."""

CALLS = calls(90)
AT_ONCE = 8
ODD = ("usage=missing", "usage=partial", "usage=negative", "cut=1", "cut=0", "cut=2")
"""What a provider may do in whose answer the bill is not to be found."""
Call = Callable[[openai.AsyncOpenAI], Awaitable[Any]]
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR%b%b\x08\6\0\0\0\0\0\0\0\0\0\0\0IDAT\0\0\0\0"


class Dice:
    """Draws calls. Each carries a label: whether its provider behaves."""

    ROUTES = ("embedding", "completion", "generation", "edit", "speech", "transcription", "free")

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def call(self) -> tuple[str, Call]:
        """A route's name and a call of it."""
        drawn: tuple[str, Call] = getattr(self, self.one(*self.ROUTES))()
        return drawn

    def one(self, *values: Any) -> Any:
        return self.chance.choice(values)

    def words(self, *words: str) -> str:
        """For the provider, with whether it behaves."""
        odd = [self.one(*ODD), "bill=odd"] if self.chance.random() < 0.15 else ["bill=even"]
        return " ".join([*[f"sim:{word}" for word in (*words, *odd)], "x" * self.chance.randrange(60)])

    def embedding(self) -> tuple[str, Call]:
        tokens = [self.chance.randrange(100_000) for _ in range(self.chance.randint(1, 40))]
        given = self.one(self.words(), ["one", "zwei ☃", self.words()], tokens, [tokens, tokens[:1]])
        model, encoding = (
            self.one("text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"),
            self.one("float", "base64"),
        )
        return "embeddings", lambda client: client.embeddings.create(model=model, input=given, encoding_format=encoding)

    def completion(self) -> tuple[str, Call]:
        shown, stream = self.chance.randint(1, 3), self.one(True, False)
        said = self.words(f"output={self.chance.randrange(40)}")
        body = {
            "model": self.one("gpt-3.5-turbo-instruct", "davinci-002", "babbage-002"),
            "prompt": self.one(said, [said, said], [said], [1, 2, 3]),
            "n": shown,
            **(
                {"stream": True, **self.one({}, {"stream_options": {"include_usage": True}})}
                if stream
                else {"best_of": shown + self.one(0, 2)}
            ),
            **self.one({}, {"max_tokens": self.chance.randint(1, 50)}),
        }
        leaves = self.leaves()
        return "completions", lambda client: follow(client.completions.create(**body), leaves=leaves)

    def generation(self) -> tuple[str, Call]:
        body, leaves = self.picture(), self.leaves()
        return "image_generations", lambda client: follow(client.images.generate(**body), leaves=leaves)

    def edit(self) -> tuple[str, Call]:
        pictures = [(f"{number}.png", self.png()) for number in range(self.chance.randint(1, 3))]
        given = self.one({}, {"mask": pictures[0]})
        body = {**self.picture("dall-e-2"), "image": self.one(pictures, pictures[0]), **given}
        leaves = self.leaves()
        return "image_edits", lambda client: follow(client.images.edit(**body), leaves=leaves)

    def picture(self, by_image: str = "") -> dict[str, Any]:
        """What drawing and editing have in common."""
        model = self.one("gpt-image-1.5", "gpt-image-1-mini", "gpt-image-2", "gpt-image-2.5-flare", by_image or "dall-e-3")
        if model == "dall-e-3":
            return {
                "model": model,
                "prompt": self.words(),
                "size": self.one("1024x1024", "1792x1024"),
                "quality": self.one("standard", "hd"),
            }
        if model == "dall-e-2":
            return {
                "model": model,
                "prompt": self.words(),
                "size": self.one("1024x1024", "512x512", "256x256"),
                "n": self.chance.randint(1, 4),
            }
        drawn = self.one({}, {"n": self.chance.randint(1, 4)}, {"stream": True, "partial_images": self.chance.randint(0, 3)})
        size = {"quality": self.one("low", "medium", "high", "auto"), "size": self.one("1024x1024", "1536x1024", "1024x1536", "auto")}
        return {"model": model, "prompt": self.words(*self.one((), (f"output={self.chance.randrange(272)}",))), **size, **drawn}

    def speech(self) -> tuple[str, Call]:
        model = self.one("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
        words = self.one((), (f"audio_out={self.chance.randrange(900)}",)) if model.startswith("gpt-") else ()
        form = self.one("mp3", "opus", "aac", "flac", "wav", "pcm")
        body: Any = {
            "model": model,
            "voice": "alloy",
            "input": self.words(*words) + "é" * self.chance.randrange(9),
            "response_format": form,
        }
        events, leaves = model.startswith("gpt-") and self.one(True, False, False), self.leaves()

        async def speak(client: openai.AsyncOpenAI) -> None:
            more: dict[str, Any] = {"stream_format": "sse"} if events else {}
            async with client.audio.speech.with_streaming_response.create(**body, **more) as answer:
                async for _ in answer.iter_bytes():
                    if leaves:
                        return

        return "speech", speak

    def transcription(self) -> tuple[str, Call]:
        seconds = self.chance.randint(1, 40)
        file = ("a.wav", wav(seconds * 1000 - self.chance.randrange(900)), "audio/wav")
        said = self.words(*self.one((), (f"seconds={self.chance.randint(0, seconds)}",)))
        body: dict[str, Any] = {"file": file, "prompt": said}
        if self.one(True, False, False):
            body |= self.one({}, {"response_format": self.one("json", "text", "srt", "vtt", "verbose_json")})
            return "translations", lambda client: client.audio.translations.create(model="whisper-1", **body)
        model = self.one("whisper-1", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize")
        forms = {
            "whisper-1": ("json", "text", "srt", "vtt", "verbose_json"),
            "gpt-4o-transcribe-diarize": ("json", "text", "diarized_json"),
        }
        body |= {"model": model, "response_format": self.one(*forms.get(model, ("json",)))}
        if model in ("gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"):
            body |= self.one({}, {"stream": True})
        leaves = self.leaves()
        return "transcriptions", lambda client: follow(client.audio.transcriptions.create(**body), leaves=leaves)

    def free(self) -> tuple[str, Call]:
        if self.one(True, False):
            said = self.one("hello", ["a", "b"])
            return "moderations", lambda client: client.moderations.create(input=said)
        return "input_tokens", lambda client: client.responses.input_tokens.count(model="gpt-5.4", input="hello there")

    def leaves(self) -> bool:
        """Whether the client leaves after the first piece."""
        return self.chance.random() < 0.2

    def png(self) -> bytes:
        """A picture of any size; nobody looks at more than its head."""
        return _PNG % (self.chance.randint(1, 3000).to_bytes(4, "big"), self.chance.randint(1, 3000).to_bytes(4, "big"))


def wav(ms: int) -> bytes:
    """So much silence."""
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(4000)
        sound.writeframes(bytes(4 * ms))
    return written.getvalue()


async def follow(asking: Awaitable[Any], *, leaves: bool) -> None:
    """A stream to its end, or its first piece."""
    answer = await asking
    if isinstance(answer, openai.AsyncStream):
        async for _ in answer:
            if leaves:
                break
        await answer.close()


@pytest.mark.parametrize("seed", [1, 20261121])
async def test_every_charge_is_the_bill_on_every_route(house: House, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """To the nano-dollar, and without an oddity, wherever the provider says what it billed; never below it where it does not."""
    client = house.openai(await house.customer("5000.00", None), max_retries=0, timeout=60)
    dice, room, made = Dice(seed), asyncio.Semaphore(AT_ONCE), Counter[str]()

    async def make(name: str, call: Call) -> None:
        made[name] += 1
        async with room:
            try:
                await call(client)
            except openai.BadRequestError:
                raise
            except (openai.APIError, httpx2.HTTPError):
                pass  # what an odd provider comes to

    async with asyncio.TaskGroup() as group:
        for name, call in [dice.call() for _ in range(CALLS)]:
            group.create_task(make(name, call))
    await house.agree()
    charges, rows = charged_by_id(house.charges()), await house.sim_calls()
    unheard = [charge for charge in house.charges() if not charge.upstream_request_id]
    lost = [row for row in rows if row["id"] not in charges]
    assert len(made) == len(Dice.ROUTES) + 2
    assert len(rows) == len(house.charges()) == CALLS - made["moderations"] - made["input_tokens"]
    assert (len(lost), {row["label"] for row in lost} - {"odd"}) == (len(unheard), set()), "answers without a head have no id to join by"
    assert sum(charge.price for charge in unheard) >= sum(int(row["nano"]) for row in lost)
    for row in rows:
        if row["id"] in charges:
            _matches(row, charges[row["id"]])
    billed = sum(int(row["nano"]) for row in rows)
    over = sum(charge.price for charge in house.charges()) - billed
    with capsys.disabled():
        print(f"\n{dict(made)}: billed ${format_usd(billed)}, charged ${format_usd(over)} more")


def _matches(row: dict[str, Any], charge: Charge) -> None:
    nano = int(row["nano"])
    if row["label"] != "odd":
        assert (charge.completeness, charge.price, charge.flags) == ("exact", nano, ""), (row, charge)
    elif charge.completeness == "exact":
        assert charge.price == nano, (row, charge)
    else:
        assert charge.price >= nano, (row, charge)
    assert charge.paid == charge.price, (row, charge)
