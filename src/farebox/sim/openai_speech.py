"""OpenAI's `/v1/audio/speech`: its requests, sound, and events of sound. Pure.

**The rule.** tts-1 and tts-1-hd cost by the character. Other models by the token: input a quarter of the bytes of the input and the instructions, each
rounded up; output 20.8 tokens for each second of sound, rounded up, or as many as `sim:audio_out` asks. A character takes 60 milliseconds. Sound
itself tells no usage. AAC and FLAC are not true: they carry the bytes of Opus.
"""

from base64 import b64encode
from collections.abc import Iterator

import msgspec

from .dialect import Frame
from .generation import BYTES_PER_TOKEN, PIECES_MAX, Ask, Generation
from .openai_dialect import OpenAIDialect, missing, named, one_of
from .openai_embeddings import quiet
from .reading import decode, heed
from .refusals import invalid
from .sounds import Sound, silence
from .spoil import spoil_usage
from .wire import SSE, Request
from .words import Words

CHARACTERS_MAX = 4096
TOKENS_PER_THOUSAND_CHARACTERS = 1248
"""20.8 tokens a second, 60 milliseconds a character."""
_TOKENS_PER_PIECE = 10
_RATE = 24_000
_FORMATS = {
    "mp3": (Sound("mp3", _RATE, 64), b"audio/mpeg"),
    "opus": (Sound("opus", 48_000, 32), b"audio/opus"),
    "aac": (Sound("opus", 48_000, 32), b"audio/aac"),
    "flac": (Sound("opus", 48_000, 32), b"audio/flac"),
    "wav": (Sound("wav", _RATE, 0), b"audio/wav"),
    "pcm": (Sound("pcm", _RATE, 0), b"audio/pcm"),
}
_BY_THE_CHARACTER = ("tts-1", "tts-1-hd")
_encode = msgspec.json.encode


class _Body(msgspec.Struct):
    model: str | None = None
    input: str | None = None
    voice: str | dict[str, str] | None = None
    instructions: str | None = None
    response_format: str | None = None
    stream_format: str | None = None


class _Spoken(msgspec.Struct, frozen=True):
    """What the answer is made of."""

    sound: Sound
    characters: int
    """How long the sound is, in characters."""
    pieces: int
    events: bool


_body = msgspec.json.Decoder(_Body)


class OpenAISpeech(OpenAIDialect):
    """The dialect; it has no state."""

    def read(self, request: Request) -> Ask:
        """The request. What the provider would refuse is refused."""
        asked = decode(_body, request.body)
        model = named(asked.model)
        if not asked.input:
            raise missing("input")
        if not asked.voice:
            raise missing("voice")
        if len(asked.input) > CHARACTERS_MAX:
            message = (
                f"Invalid 'input': string too long. Expected a string with maximum length {CHARACTERS_MAX}, but got {len(asked.input)}."
            )
            raise invalid(message, param="input", code="string_above_max_length")
        sound, content_type = _FORMATS[one_of("response_format", asked.response_format, tuple(_FORMATS), "mp3")]
        events = one_of("stream_format", asked.stream_format, ("audio", "sse"), "audio") == "sse"
        words = _words(asked.input, events=events)
        by_character = model in _BY_THE_CHARACTER
        if events and by_character:
            raise invalid("'stream_format' 'sse' is not supported with this model.", param="stream_format", code="unsupported_value")
        characters = len(asked.input)
        tokens = -(-characters * TOKENS_PER_THOUSAND_CHARACTERS // 1000) if words.audio_out is None else words.audio_out
        if words.audio_out is not None and not by_character:
            characters = -(-words.audio_out * 1000 // TOKENS_PER_THOUSAND_CHARACTERS)
        return Ask(
            model=model,
            prompt=0 if by_character else _quarter(asked.input) + _quarter(asked.instructions or ""),
            streamed=True,
            words=words,
            output=0 if by_character else tokens,
            units={"input_characters": len(asked.input)} if by_character else {"output_audio_tokens": tokens},
            content_type=SSE if events else content_type,
            detail=_Spoken(sound, characters, min(PIECES_MAX, -(-tokens // _TOKENS_PER_PIECE) or 1), events),
        )

    def answer(self, generation: Generation) -> bytes:
        """The sound in one piece."""
        return b"".join([data for data, _ in self.frames(generation)])

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """The sound in pieces, or events with it and the usage at the end."""
        spoken = generation.ask.detail
        if not isinstance(spoken, _Spoken):
            return
        left = generation.output_total
        each = -(-left // spoken.pieces)
        for data in silence(spoken.sound, spoken.characters, spoken.pieces):
            tokens = min(each, left) if generation.output_total else 1
            left -= tokens
            yield _event({"type": "speech.audio.delta", "audio": b64encode(data).decode()}) if spoken.events else data, max(tokens, 1)
        if spoken.events:
            usage = _usage(generation)
            yield _event({"type": "speech.audio.done", **({"usage": msgspec.Raw(usage)} if usage else {})}), 0


def _words(said: str, *, events: bool) -> Words:
    words = quiet(heed(said))
    if words.fail is not None and not events:
        raise invalid("sim:fail: sound cannot say what is wrong with it; sim:cut breaks it off")
    return words


def _quarter(said: str) -> int:
    return -(-len(said.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def _usage(generation: Generation) -> bytes:
    prompt, output = generation.ask.prompt, generation.output_total
    usage = _encode({"input_tokens": prompt, "output_tokens": output, "total_tokens": prompt + output})
    return spoil_usage(usage, generation.ask.words.usage, "input_tokens")


def _event(body: dict[str, object]) -> bytes:
    return b"data: %b\n\n" % _encode(body)
