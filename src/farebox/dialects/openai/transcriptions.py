"""Transcriptions and translations: held by the bytes of the recording, charged by the token or by the time (providers.md §1.4).

Plain text and subtitles tell no usage. They are asked for in a form that does, and given in the one that the caller asked for.
"""

from collections.abc import Mapping

import msgspec

from farebox import limits
from farebox.dialects import bounds, fields
from farebox.dialects.base import Ask, Report, Route, StreamMeter
from farebox.dialects.media import audio, length
from farebox.dialects.meter import HoldingMeter, flags_of, raw_usage, size
from farebox.dialects.openai import multipart, transcripts
from farebox.dialects.strict import Members
from farebox.usage import AUDIO_IN_MS, IN_AUDIO, IN_TEXT, OUT_TEXT, Demand, Usage

TOKENS_PER_S = 25
"""Of a transcript: several times as fast as people speak, in any script."""
TOKENS_AROUND = 1024
TOKENS_PER_BLOCK = 4096
"""A recording that is not cut into chunks is one block, whose text is one answer of the model: 2,000 tokens is the most that is listed."""
_TEXTS = ("text", "srt", "vtt")
_FORMS = ("json", *_TEXTS, "verbose_json", "diarized_json")
_PLAIN = "text/plain; charset=utf-8"
_TELL_IN_JSON = ("whisper-1", "gpt-transcribe")
"""Models billed by the time that tell it in plain JSON; others tell it in `verbose_json` only."""
_FILES = frozenset(("file",))
_LISTS = frozenset(
    ("include", "keywords", "languages", "known_speaker_names", "known_speaker_references", "timestamp_granularities", "chunking_strategy")
)
_BODY = fields.names(
    ("file", "model", "stream", "response_format", "chunking_strategy", "timestamp_granularities"),
    (*_LISTS, "language", "prompt", "temperature"),
    {"url": "the length of a recording that is not in the request is not known."},
)


class Wanted(msgspec.Struct, frozen=True):
    """What the answer is read by."""

    form: multipart.Form
    asked: str
    sent: str
    """The form that is asked for upstream."""
    by_duration: bool


class Transcriptions:
    """`POST /audio/transcriptions` and `POST /audio/translations`."""

    def __init__(self, *, translates: bool = False, ms_min: int = 0) -> None:
        """`ms_min`: what a provider bills of a shorter recording."""
        self._translates = translates
        self._ms_min = ms_min

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
        """Reads and bounds a request."""
        form = multipart.read_form(body, headers)
        members = multipart.members(body, form, _BODY, _FILES, _LISTS)
        unknown = fields.examine(members, _BODY)
        model = fields.text(members, "model", length_max=limits.model_name_chars_max)
        name = model.rpartition("/")[2]
        stream = multipart.switch(members, "stream") and name != "whisper-1"  # which ignores it
        wanted = self._wanted(form, members, name, stream=stream)
        return Ask(
            dialect="openai",
            route=route.name,
            model=model,
            stream=stream,
            demand=self._demand(body, form, members, by_duration=wanted.by_duration),
            unknown_fields=unknown,
            names=frozenset(members),
            answer_type=_PLAIN if wanted.asked in _TEXTS and not stream else "",
            facts=wanted,
        )

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:  # noqa: ARG002 - no field caps it
        """Sets the model, and a form that tells the usage."""
        wanted: Wanted = ask.facts
        values = {}
        if model is not None and model != ask.model:
            values["model"] = model
        if wanted.sent != wanted.asked:
            values["response_format"] = wanted.sent
        return multipart.edited(body, wanted.form, values)

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:  # noqa: ARG002 - nothing in them is metered
        """Reads a whole answer, and turns it into the form that was asked for."""
        wanted: Wanted = ask.facts
        said = transcripts.read(body)
        if said is None:
            return Report(flags=("unreadable_answer",))
        usage, flags = transcripts.usage_of(said, raw_usage(body), ms_min=self._ms_min, by_duration=wanted.by_duration)
        shown = None if wanted.sent == wanted.asked else transcripts.in_form(said, wanted.asked)
        return Report(
            usage=usage,
            delivered_bytes=size(said.text),
            finished=type(said.text) is str and (shown is not None or wanted.sent == wanted.asked),
            upstream_error=said.error is not None,
            flags=flags_of(usage, flags),
            shown=shown,
        )

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:  # noqa: ARG002 - nothing in them is metered
        """A meter for one streamed transcript."""
        return TranscriptMeter(ms_min=self._ms_min)

    def _wanted(self, form: multipart.Form, members: Members, name: str, *, stream: bool) -> Wanted:
        asked = fields.word(members, "response_format") or "json"
        by_token = name.startswith("gpt-4o")
        if asked not in _FORMS:
            raise fields.invalid("response_format", f"must be one of {', '.join(_FORMS)}")
        if stream and (not name.startswith("gpt-") or asked in ("srt", "vtt", "verbose_json")):
            raise fields.invalid("stream", "is for models and formats whose events tell their usage")
        if asked in ("srt", "vtt") and "timestamp_granularities" in members:
            raise fields.invalid("timestamp_granularities", "is for `verbose_json`")
        sent = asked
        if asked in ("srt", "vtt"):
            sent = "verbose_json"
        elif asked in ("json", "text") and not stream:
            sent = "json" if by_token or (name in _TELL_IN_JSON and not self._translates) else "verbose_json"
        return Wanted(form, asked, sent, not by_token)

    def _demand(self, body: bytes, form: multipart.Form, members: Members, *, by_duration: bool) -> Demand:
        files = form.files("file")
        if len(files) != 1:
            raise fields.invalid("file", "is required, once")
        ms = length.ms_max(body[files[0].start : files[0].end]).ms
        seconds = -(-ms // transcripts.MS_PER_S)
        if by_duration:
            heard = max(self._ms_min, seconds * transcripts.MS_PER_S)
            return Demand(input_tokens_max=0, output_units=(), fees_max={AUDIO_IN_MS: heard})
        texts = {name: value for name, value in members.items() if name != "file"}
        said = TOKENS_PER_S * seconds + TOKENS_AROUND
        return Demand(
            input_tokens_max=bounds.text_tokens_max(msgspec.json.encode(texts), texts)
            + audio.audio_tokens("openai", seconds * transcripts.MS_PER_S)
            + bounds.TOKENS_PER_REQUEST_OPENAI,
            input_units=(IN_TEXT, IN_AUDIO),
            output_tokens_named=0,
            output_units=(OUT_TEXT,),
            extra_output_tokens=said if "chunking_strategy" in members else min(said, TOKENS_PER_BLOCK),
        )


class TranscriptMeter(HoldingMeter):
    """Meters the events of one transcript: pieces of text as they come, the whole of it with the usage."""

    __slots__ = ("_ms_min", "_usage", "_usage_flags")

    def __init__(self, *, ms_min: int = 0) -> None:
        super().__init__()
        self._ms_min = ms_min
        self._usage: Usage | None = None
        self._usage_flags: list[str] = []

    def observe(self, event: bytes, data: bytes) -> bytes:
        """Reads one event."""
        said = transcripts.read(data)
        if said is None:
            return self.opaque(event, data)
        self.delivered += size(said.delta)
        if said.error is not None or said.type == "error":
            self.upstream_error = True
        if said.type == "transcript.text.done":
            self._usage, self._usage_flags = transcripts.usage_of(said, raw_usage(data), ms_min=self._ms_min, by_duration=False)
            self.finished = True
            self.hold()
        return event

    def report(self) -> Report:
        """What is known now: no usage, before the text is whole."""
        return Report(
            usage=self._usage,
            delivered_bytes=self.delivered,
            finished=self.finished,
            upstream_error=self.upstream_error,
            flags=flags_of(self._usage, [*self.flags, *self._usage_flags]),
        )
