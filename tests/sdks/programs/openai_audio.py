"""Audio with `openai`."""

import io
import wave

import openai

from sdks.programs.running import run

SPEAKS = "gpt-4o-mini-tts"
HEARS = "gpt-4o-mini-transcribe"
MEASURES = "whisper-1"


def spoken() -> tuple[str, bytes]:
    """A second of silence, as a file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, 8000, 8000, "NONE", ""))
        written.writeframes(bytes(16000))
    return "silence.wav", file.getvalue()


class Audio:
    def __init__(self, url: str, key: str) -> None:
        self._one = openai.OpenAI(api_key=key, base_url=f"{url}/v1")
        self._many = openai.AsyncOpenAI(api_key=key, base_url=f"{url}/v1")
        self._once = self._one.with_options(max_retries=0)

    def spoken(self) -> object:
        return self._one.audio.speech.create(model=SPEAKS, voice="alloy", input="Hello there.").content

    async def spoken_async(self) -> object:
        speech = self._many.audio.speech.with_streaming_response.create(model=SPEAKS, voice="alloy", input="Hello again.")
        async with speech as response:
            return b"".join([piece async for piece in response.iter_bytes()])

    def heard(self) -> object:
        return self._one.audio.transcriptions.create(model=HEARS, file=spoken())

    async def heard_async(self) -> object:
        stream = await self._many.audio.transcriptions.create(model=HEARS, file=spoken(), stream=True)
        return [event async for event in stream]

    def measured(self) -> object:
        return self._one.audio.transcriptions.create(model=MEASURES, file=spoken(), response_format="verbose_json")

    def subtitled(self) -> object:
        return self._one.audio.transcriptions.create(model=MEASURES, file=spoken(), response_format="srt")

    def translated(self) -> object:
        return self._one.audio.translations.create(model=MEASURES, file=spoken())

    def bad_request(self) -> object:
        return self._once.audio.speech.create(model=SPEAKS, voice="alloy", input="hi sim:status=400")


if __name__ == "__main__":
    run(Audio)
