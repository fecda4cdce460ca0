"""Text to speech with `elevenlabs`."""

from elevenlabs.client import AsyncElevenLabs, ElevenLabs

from sdks.programs.running import run

VOICE = "21m00Tcm4TlvDq8ikWAM"
MODEL = "eleven_flash_v2_5"


class Speech:
    def __init__(self, url: str, key: str) -> None:
        self._one = ElevenLabs(api_key=key, base_url=url).text_to_speech
        self._many = AsyncElevenLabs(api_key=key, base_url=url).text_to_speech

    def whole(self) -> object:
        return b"".join(self._one.convert(VOICE, text="Hello there.", model_id=MODEL))

    async def whole_async(self) -> object:
        return b"".join([piece async for piece in self._many.convert(VOICE, text="Hello again.", model_id=MODEL)])

    def streamed(self) -> object:
        return b"".join(self._one.stream(VOICE, text="Hello, piece by piece.", model_id=MODEL))

    async def streamed_async(self) -> object:
        return b"".join([piece async for piece in self._many.stream(VOICE, text="Hello, in pieces again.", model_id=MODEL)])

    def timed(self) -> object:
        return self._one.convert_with_timestamps(VOICE, text="Hello, to the letter.", model_id=MODEL)

    async def timed_async(self) -> object:
        return [piece async for piece in self._many.stream_with_timestamps(VOICE, text="Hello, letter by letter.", model_id=MODEL)]

    def bad_request(self) -> object:
        return b"".join(self._one.convert(VOICE, text="hi sim:status=400", model_id=MODEL))

    async def not_found(self) -> object:
        return b"".join([piece async for piece in self._many.stream(VOICE, text="hi sim:status=404", model_id=MODEL)])


if __name__ == "__main__":
    run(Speech)
