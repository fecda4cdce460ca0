"""OpenAI's `/v1/audio/transcriptions` and `/v1/audio/translations`: their forms, answers and streams. Pure.

**The rule.** The words stand in the form's `prompt`. whisper-1 and gpt-transcribe cost by the second, rounded up; other models by the token: input a quarter of
the prompt's bytes and 10 for each second of sound, rounded up. The sound is as long as a WAV's header says; any other has 16,000 bytes a second;
`sim:seconds` says it instead.
"""

from collections.abc import Iterator

import msgspec

from .dialect import Frame
from .generation import BYTES_PER_TOKEN, Ask, Generation, pieces, text
from .multipart import form_of
from .openai_dialect import OpenAIDialect, missing, named, one_of
from .openai_embeddings import quiet
from .reading import heed
from .refusals import invalid
from .spoil import spoil_usage
from .wire import JSON, SSE, Request

BYTES_PER_SECOND = 16_000
TOKENS_PER_SECOND = 10
_TEXT_FORMATS = frozenset({"text", "srt", "vtt"})
_WHISPER_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_FORMATS = {
    "gpt-4o-transcribe-diarize": ("json", "text", "diarized_json"),
    "gpt-4o-transcribe": ("json",),
    "gpt-4o-mini-transcribe": ("json",),
}
_BY_THE_SECOND = ("whisper-1", "gpt-transcribe")
_PLAIN = b"text/plain; charset=utf-8"
_SAID = "This is a simulated answer"
_WAV_HEAD = 44
_encode = msgspec.json.encode


class _Heard(msgspec.Struct, frozen=True):
    """What the answer is made of."""

    seconds: int
    response_format: str
    by_second: bool


class OpenAITranscriptions(OpenAIDialect):
    """The dialect on one of its two routes; it has no state."""

    def __init__(self, *, translates: bool = False) -> None:
        self._translates = translates

    def read(self, request: Request) -> Ask:
        """The request. What the provider would refuse is refused."""
        form = form_of(request)
        model = named(form.fields.get("model"))
        file = next((file.data for file in form.files if file.field == "file"), None)
        if file is None:
            raise missing("file")
        if not file:
            raise invalid("Audio file is too short. Minimum audio length is 0.1 seconds.", param="file", code="audio_too_short")
        if self._translates and model != "whisper-1":
            raise invalid(f"Model '{model[:80]}' does not support translation. Use 'whisper-1' instead.", param="model")
        response_format = _format(model, form.fields.get("response_format"))
        words = quiet(heed(form.fields.get("prompt", "")))
        seconds = seconds_of(file) if words.seconds is None else words.seconds
        streamed = form.fields.get("stream", "false").lower() == "true" and model != "whisper-1"
        by_second = model in _BY_THE_SECOND
        said = -(-len(form.fields.get("prompt", "").encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)
        heard = seconds * TOKENS_PER_SECOND
        return Ask(
            model=model,
            prompt=0 if by_second else said + heard,
            streamed=streamed,
            words=words,
            output=0 if by_second else None,
            units={"audio_seconds": seconds, "input_audio_seconds": seconds} if by_second else {"input_audio_tokens": heard},
            content_type=SSE if streamed else _PLAIN if response_format in _TEXT_FORMATS else JSON,
            detail=_Heard(seconds, response_format, by_second),
        )

    def answer(self, generation: Generation) -> bytes:
        """The text, in the form that was asked for."""
        heard, said = _heard(generation), _said(generation)
        if heard.response_format == "text":
            return said.encode() + b"\n"
        if heard.response_format == "srt":
            return f"1\n00:00:00,000 --> {_clock(heard.seconds, ',')}\n{said}\n\n".encode()
        if heard.response_format == "vtt":
            return f"WEBVTT\n\n00:00.000 --> {_clock(heard.seconds, '.')}\n{said}\n\n".encode()
        body: dict[str, object] = {"text": said}
        if heard.response_format == "verbose_json":
            body |= {"task": "translate" if self._translates else "transcribe", "language": "english", "duration": float(heard.seconds)}
            body |= {"segments": [_segment(heard, said)]}
        elif heard.response_format == "diarized_json":
            speaker = {
                "id": "seg_0",
                "type": "transcript.text.segment",
                "start": 0.0,
                "end": float(heard.seconds),
                "speaker": "A",
                "text": said,
            }
            body |= {"task": "transcribe", "duration": float(heard.seconds), "segments": [speaker]}
        usage = b"" if self._translates else _usage(generation)
        return _encode({**body, "usage": msgspec.Raw(usage)} if usage else body)

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """Deltas, and the whole text with its usage."""
        heard = _heard(generation)
        if heard.by_second:
            yield _event({"type": "transcript.text.delta", "delta": _SAID}), 1
        for piece, tokens in pieces(generation):
            yield _event({"type": "transcript.text.delta", "delta": piece}), tokens
        usage = _usage(generation)
        yield _event({"type": "transcript.text.done", "text": _said(generation), **({"usage": msgspec.Raw(usage)} if usage else {})}), 0


def seconds_of(sound: bytes) -> int:
    """How long a sound is, rounded up."""
    if sound.startswith(b"RIFF") and sound[8:16] == b"WAVEfmt " and len(sound) > _WAV_HEAD:
        per_second = int.from_bytes(sound[28:32], "little") or BYTES_PER_SECOND
        return -(-(len(sound) - _WAV_HEAD) // per_second)
    return -(-len(sound) // BYTES_PER_SECOND)


def _format(model: str, asked: str | None) -> str:
    allowed = next((formats for name, formats in _FORMATS.items() if model.startswith(name)), _WHISPER_FORMATS)
    if asked is not None and asked not in allowed:
        one_of("response_format", asked, ("json", "text", "srt", "verbose_json", "vtt", "diarized_json"), "json")
        message = f"response_format '{asked}' is not compatible with model '{model}'. Use 'json' instead."
        raise invalid(message, param="response_format", code="unsupported_value")
    return asked or "json"


def _heard(generation: Generation) -> _Heard:
    detail = generation.ask.detail
    return detail if isinstance(detail, _Heard) else _Heard(0, "json", by_second=True)


def _said(generation: Generation) -> str:
    return _SAID if _heard(generation).by_second else text(generation)


def _segment(heard: _Heard, said: str) -> dict[str, object]:
    measured = {"temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 1.0, "no_speech_prob": 0.0}
    return {"id": 0, "seek": 0, "start": 0.0, "end": float(heard.seconds), "text": said, "tokens": [], **measured}


def _clock(seconds: int, mark: str) -> str:
    hours = f"{seconds // 3600:02d}:" if mark == "," or seconds >= 3600 else ""  # noqa: PLR2004  # an hour: VTT leaves none out
    return f"{hours}{seconds % 3600 // 60:02d}:{seconds % 60:02d}{mark}000"


def _usage(generation: Generation) -> bytes:
    """What is reported, in tokens or as a duration; empty when nothing is."""
    heard = _heard(generation)
    if heard.by_second:
        return spoil_usage(_encode({"type": "duration", "seconds": float(heard.seconds)}), generation.ask.words.usage, "type")
    prompt, output = generation.ask.prompt, generation.output_total
    sound = generation.units.get("input_audio_tokens", 0)
    usage = {
        "type": "tokens",
        "input_tokens": prompt,
        "output_tokens": output,
        "total_tokens": prompt + output,
        "input_token_details": {"text_tokens": prompt - sound, "audio_tokens": sound},
    }
    return spoil_usage(_encode(usage), generation.ask.words.usage, "input_tokens")


def _event(body: dict[str, object]) -> bytes:
    return b"data: %b\n\n" % _encode(body)
