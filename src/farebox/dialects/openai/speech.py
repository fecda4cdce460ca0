"""Speech: charged by the character of its input, or by the token, which only its events tell (providers.md §1.4).

Sound itself carries no usage. Of a model that is billed by the token the events are asked for, and the sound is taken out of them.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from farebox import limits
from farebox.dialects import bounds, counts, fields
from farebox.dialects.base import Ask, Report, Route, StreamMeter
from farebox.dialects.meter import HoldingMeter, PassingMeter, decode, flags_of, raw_usage
from farebox.dialects.openai.chat import with_member, with_model_and_cap
from farebox.dialects.strict import Members, read_object
from farebox.usage import CHARS, IN_TEXT, OUT_AUDIO, Demand, Usage

TEXT_CHARS_MAX = 4096
TOKENS_PER_CHAR = 6
"""Of sound, at 20.8 tokens a second: more than a quarter of a second for each character, four times as slow as people read aloud."""
TOKENS_AROUND = 1024
"""Of sound, for pauses before and after."""
_SLOWEST = 4
_TYPES = {"mp3": "audio/mpeg", "opus": "audio/opus", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav", "pcm": "audio/pcm"}
_BODY = fields.names(("model", "input", "stream_format", "response_format", "speed", "instructions"), ("voice", "user"))
_KNOWN = frozenset(("input_tokens", "output_tokens", "total_tokens"))


class _Event(msgspec.Struct):
    type: Any = None
    audio: Any = None
    usage: Any = None
    error: Any = None


_EVENT = msgspec.json.Decoder(_Event)


class Speech:
    """`POST /audio/speech`."""

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:  # noqa: ARG002 - no header moves cost
        """Reads and bounds a request. `facts` is the number of characters that are charged; 0 where tokens are."""
        members = read_object(body)
        unknown = fields.examine(members, _BODY)
        model = fields.text(members, "model", length_max=limits.model_name_chars_max)
        said = fields.word(members, "input")
        if not said or len(said) > TEXT_CHARS_MAX:
            raise fields.invalid("input", f"must be a text of 1 to {TEXT_CHARS_MAX} characters")
        by_token = model.rpartition("/")[2].startswith("gpt-")
        events = (fields.word(members, "stream_format") or "audio") == "sse"
        if events and not by_token:
            raise fields.invalid("stream_format", "cannot be `sse` for this model")
        form = fields.word(members, "response_format") or "mp3"
        if form not in _TYPES:
            raise fields.invalid("response_format", f"must be one of {', '.join(_TYPES)}")
        return Ask(
            dialect="openai",
            route=route.name,
            model=model,
            stream=events,
            demand=_by_token(body, members, said) if by_token else Demand(0, output_units=(), fees_max={CHARS: len(said)}),
            unknown_fields=unknown,
            names=frozenset(members),
            binary=not events,
            answer_type=_TYPES[form] if by_token and not events else "",
            facts=0 if by_token else len(said),
        )

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:  # noqa: ARG002 - sound has no cap
        """Sets the model, and asks for events where the sound would not say what it cost."""
        body = with_model_and_cap(ask, body, model=model, output_cap=None)
        return with_member(ask, body, "stream_format", b'"sse"') if ask.binary and not ask.facts else body

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:
        """Reads a whole answer as the stream it is."""
        meter = self.stream(ask, headers)
        meter.feed(body)
        meter.close()
        return meter.report()

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:  # noqa: ARG002 - nothing in them is metered
        """A meter for one spoken answer."""
        return SoundMeter(ask.facts) if ask.facts else SpeechMeter(sound=ask.binary)


class SoundMeter(PassingMeter):
    """Passes sound on. It says nothing about its cost; the characters that were asked for do."""

    __slots__ = ("_chars",)

    def __init__(self, chars: int) -> None:
        super().__init__()
        self._chars = chars

    def report(self) -> Report:
        """The characters, once there was sound."""
        usage = Usage({CHARS: self._chars}, 0) if self.delivered else None
        return Report(usage=usage, delivered_bytes=self.delivered, finished=self.finished)


class SpeechMeter(HoldingMeter):
    """Meters the events of one spoken answer, as they are or as the sound that is in them."""

    __slots__ = ("_sound", "_usage", "_usage_flags")

    def __init__(self, *, sound: bool) -> None:
        super().__init__()
        self._sound = sound
        self._usage: Usage | None = None
        self._usage_flags: list[str] = []

    def observe(self, event: bytes, data: bytes) -> bytes:
        """Reads one event."""
        said = decode(_EVENT, data)
        if said is None:
            return self.opaque(event, data)
        if said.error is not None or said.type == "error":
            self.upstream_error = True
        if said.type == "speech.audio.done":
            self._usage, self._usage_flags = _usage(said.usage, raw_usage(data))
            self.finished = True
            self.hold()
        return self._heard(said) if self._sound else event

    def report(self) -> Report:
        """What is known now."""
        return Report(
            usage=self._usage,
            delivered_bytes=self.delivered,
            finished=self.finished,
            upstream_error=self.upstream_error,
            flags=flags_of(self._usage, [*self.flags, *self._usage_flags]),
        )

    def opaque(self, event: bytes, data: bytes) -> bytes:
        """An event that cannot be read is not sound."""
        passed = super().opaque(event, data)
        return b"" if self._sound else passed

    def _read(self, event: bytes) -> bytes:
        piece = super()._read(event)
        return b"" if self._sound and piece is event else piece  # what says nothing, or is too large to be read, is not sound

    def _heard(self, said: _Event) -> bytes:
        if said.type != "speech.audio.delta" or type(said.audio) is not str:
            return b""
        try:
            sound = base64.b64decode(said.audio)
        except (binascii.Error, ValueError):
            self.flag("unreadable_event")
            return b""
        self.delivered += len(sound)
        return sound


def _by_token(body: bytes, members: Members, said: str) -> Demand:
    """No field caps the sound: all of it is demanded from the start."""
    speed = members.get("speed")
    slower = 1 if speed is None or (type(speed) in (int, float) and speed >= 1) else _SLOWEST
    return Demand(
        input_tokens_max=bounds.text_tokens_max(body, members) + bounds.TOKENS_PER_REQUEST_OPENAI,
        input_units=(IN_TEXT,),
        output_tokens_named=0,
        output_units=(OUT_AUDIO,),
        extra_output_tokens=(TOKENS_PER_CHAR * len(said) + TOKENS_AROUND) * slower,
    )


def _usage(said: Any, raw: bytes) -> tuple[Usage | None, list[str]]:
    if said is None:
        return None, []
    if type(said) is not dict:
        return None, [counts.ABSURD]
    try:
        prompt, output = counts.required(said, "input_tokens"), counts.required(said, "output_tokens")
    except counts.UntrustedUsage as untrusted:
        return None, [untrusted.flag]
    flags = (counts.UNKNOWN_FIELD,) if counts.counts_unknown(said, _KNOWN) else ()
    return Usage(counts.nonzero([(IN_TEXT, prompt), (OUT_AUDIO, output)]), prompt, raw=raw, flags=flags), []
