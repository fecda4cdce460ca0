"""What an answer cost, by its head: ElevenLabs says there how many credits a text took, before there is any sound.

A head that does not say leaves the characters that were held for. What it says once counts however the sound ends.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from farebox import limits
from farebox.dialects import counts
from farebox.dialects.base import Ask, Report
from farebox.dialects.meter import PassingMeter, decode
from farebox.usage import CHARS, CREDITS, Usage

COST = b"character-cost"
COST_MISSING = "character_cost_missing"
_DIGITS_MAX = 12


class _Timed(msgspec.Struct):
    audio_base64: Any = None


_TIMED = msgspec.json.Decoder(_Timed)


def read_cost(ask: Ask, headers: Mapping[bytes, bytes]) -> tuple[Usage | None, tuple[str, ...]]:
    """The usage that a head tells. None with a flag: what it tells cannot be."""
    told = headers.get(COST)
    if told is None:
        return Usage({CHARS: ask.facts}, 0, completeness="estimated"), (COST_MISSING,)
    text = told.strip()
    credits_used = int(text) if text.isdigit() and len(text) <= _DIGITS_MAX else -1
    if not 0 <= credits_used <= ask.facts * limits.absurd_usage_factor:
        return None, (counts.ABSURD,)
    return Usage({CREDITS: credits_used}, 0, raw=b'{"character_cost":%d}' % credits_used), ()


def read_timed(ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:
    """Reads a whole answer with timestamps."""
    usage, flags = read_cost(ask, headers)
    answer = decode(_TIMED, body)
    spoken = answer is not None and type(answer.audio_base64) is str
    return Report(usage=usage, delivered_bytes=len(body), finished=spoken, flags=flags)


class SoundMeter(PassingMeter):
    """Passes sound on, or lines with sound in them. Its cost was told before it began."""

    __slots__ = ("_flags", "_usage")

    def __init__(self, ask: Ask, headers: Mapping[bytes, bytes]) -> None:
        super().__init__()
        self._usage, self._flags = read_cost(ask, headers)

    def report(self) -> Report:
        """What the head said."""
        return Report(usage=self._usage, delivered_bytes=self.delivered, finished=self.finished, flags=self._flags)
