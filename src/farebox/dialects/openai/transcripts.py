"""Answers of transcriptions: what they came to, in tokens or by the time that was heard, and their texts in other forms (providers.md §1.4).

Subtitles are made of the segments as the model's published writer makes them: milliseconds rounded, and no arrow within a line.
"""

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from farebox.dialects import counts
from farebox.dialects.meter import decode
from farebox.usage import AUDIO_IN_MS, IN_AUDIO, IN_TEXT, OUT_TEXT, Usage

SECONDS_MAX = 10_000_000
"""More than any recording lasts: a number above it is a fault of the provider."""
MS_PER_S = 1000
_KNOWN = frozenset(("type", "input_tokens", "output_tokens", "total_tokens", "input_token_details", "seconds"))
_KNOWN_DETAILS = frozenset(("text_tokens", "audio_tokens"))
_HOUR_MS = 3_600_000


class Said(msgspec.Struct):
    """An answer, or an event of one."""

    type: Any = None
    text: Any = None
    delta: Any = None
    duration: Any = None
    segments: Any = None
    usage: Any = None
    error: Any = None


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


_SAID = msgspec.json.Decoder(Said, float_hook=_number)


def read(data: bytes) -> Said | None:
    """What the bytes say; None where they cannot be read."""
    return decode(_SAID, data)


def usage_of(said: Said, raw: bytes, *, ms_min: int, by_duration: bool) -> tuple[Usage | None, list[str]]:
    """The provider's report; of a model that is billed by the time, where there is none, how long the answer says that it heard."""
    reported = said.usage
    if reported is None and not (by_duration and said.duration is not None):
        return None, []
    try:
        if reported is None:
            seconds = -(-_ms(said.duration) // MS_PER_S)
            return Usage({AUDIO_IN_MS: max(ms_min, seconds * MS_PER_S)}, 0), []
        if type(reported) is not dict:
            return None, [counts.ABSURD]
        units, prompt, flags = _units(reported, ms_min)
    except counts.UntrustedUsage as untrusted:
        return None, [untrusted.flag]
    return Usage(units, prompt, raw=raw, flags=tuple(flags)), []


def _units(usage: Mapping[str, Any], ms_min: int) -> tuple[dict[str, int], int, list[str]]:
    """Input is sound but for what the details call text."""
    details = counts.details(usage, "input_token_details")
    unknown = counts.counts_unknown(usage, _KNOWN) or counts.counts_unknown(details, _KNOWN_DETAILS)
    flags = [counts.UNKNOWN_FIELD] if unknown else []
    if usage.get("type") == "duration" or "seconds" in usage:
        return {AUDIO_IN_MS: max(ms_min, _ms(usage.get("seconds")))}, 0, flags
    prompt, output = counts.required(usage, "input_tokens"), counts.required(usage, "output_tokens")
    written = counts.optional(details, "text_tokens")
    heard = counts.optional(details, "audio_tokens")
    if max(prompt, written + heard) != prompt:
        flags.append(counts.INCONSISTENT)
        prompt = written + heard
    return counts.nonzero([(IN_TEXT, written), (IN_AUDIO, prompt - written), (OUT_TEXT, output)]), prompt, flags


def _ms(seconds: Any) -> int:
    if seconds is None:
        raise counts.UntrustedUsage(counts.PARTIAL)
    if type(seconds) not in (int, Decimal) or not 0 <= seconds <= SECONDS_MAX:
        raise counts.UntrustedUsage(counts.ABSURD)
    return math.ceil(Decimal(seconds) * MS_PER_S)


def in_form(said: Said, form: str) -> bytes | None:
    """The answer in the form that was asked for; None where it cannot be made of this one."""
    if type(said.text) is not str:
        return None
    if form == "json":
        return msgspec.json.encode({"text": said.text})
    if form == "text":
        return said.text.encode("utf-8", "replace") + b"\n"
    cues = _cues(said.segments, "," if form == "srt" else ".", numbered=form == "srt")
    if cues is None:
        return None
    return (("" if form == "srt" else "WEBVTT\n\n") + "".join(cues)).encode("utf-8", "replace")


def _cues(segments: Any, mark: str, *, numbered: bool) -> list[str] | None:
    if type(segments) is not list:
        return None
    cues = []
    for number, segment in enumerate(segments, 1):
        if type(segment) is not dict or type(segment.get("text")) is not str:
            return None
        start, end = _clock(segment.get("start"), mark), _clock(segment.get("end"), mark)
        if start is None or end is None:
            return None
        line = segment["text"].strip().replace("-->", "->")
        cues.append(f"{number}\n" * numbered + f"{start} --> {end}\n{line}\n\n")
    return cues


def _clock(seconds: Any, mark: str) -> str | None:
    """SRT shows hours always, WebVTT where there are any."""
    if type(seconds) not in (int, Decimal) or not 0 <= seconds <= SECONDS_MAX:
        return None
    ms = round(seconds * MS_PER_S)
    hours = f"{ms // _HOUR_MS:02d}:" if mark == "," or ms >= _HOUR_MS else ""
    return f"{hours}{ms // 60_000 % 60:02d}:{ms // MS_PER_S % 60:02d}{mark}{ms % MS_PER_S:03d}"
