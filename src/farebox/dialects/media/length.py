"""How long a recording lasts: at most, for the quote, and measured, for answers that do not say it.

What a provider reports is what is charged; this is for what it does not report. MP3 and plain WAV are counted by their samples, and
nothing that such a file says of itself makes it shorter. Of the other containers only what they tell is known (read by tinytag), and what
they tell can be false: such a length is marked as not certain, and one that cannot be true is none.
"""

import io
import math

import msgspec

from farebox.dialects.media import mp3, wav

BYTES_PER_S_MIN = 750
"""6 kbit/s: the lowest rate of any coder in use (Opus)."""
BYTES_PER_S_MAX = 400_000
"""Stereo at 48,000 samples of 32 bits. A file that has more for each of its seconds lasts longer than it tells, or is no recording."""
_READS_MAX = 100_000


class Length(msgspec.Struct, frozen=True):
    """In milliseconds. `certain`: counted, not told."""

    ms: int
    certain: bool


def ms_max(recording: bytes) -> Length:
    """No less than any provider can find in it; where that is not certain, what it tells or what its bytes hold at the lowest rate."""
    per_s = wav.bytes_per_s(recording)
    if per_s:
        return Length(len(recording) * 1000 // per_s + 1, certain=True)
    found = mp3.frames(recording)
    if found is not None and found.whole:
        return Length(mp3.frames_ms_max(recording), certain=True)
    return Length(max(size_ms_max(len(recording)), told_ms(recording) or 0), certain=False)


def size_ms_max(size: int) -> int:
    """How long so many bytes last at the lowest rate."""
    return size * 1000 // BYTES_PER_S_MIN + 1


def measured(recording: bytes) -> Length | None:
    """How long it lasts; None where it cannot be read, or tells what cannot be true."""
    samples = wav.samples_ms(recording)
    if samples is not None:
        return Length(samples, certain=True)
    found = mp3.frames(recording)
    if found is not None and found.whole:
        return Length(found.ms, certain=True)
    told = told_ms(recording)
    if not told or told * BYTES_PER_S_MAX < len(recording) * 1000:
        return None
    return Length(told, certain=False)


def told_ms(recording: bytes) -> int | None:
    """What its container tells: Ogg, FLAC, MP4, AIFF, WMA, other WAV. None where it is none of them, or broken."""
    from tinytag import TinyTag, TinyTagException  # loaded when the first recording comes

    try:
        seconds = TinyTag.get(file_obj=_Patience(recording), tags=False).duration
    except TinyTagException:
        return None
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return None
    return math.ceil(seconds * 1000)


class _Patience(io.BytesIO):
    """A file that ends for whoever reads it in too many pieces: one made of nothing but headers is no recording."""

    def __init__(self, recording: bytes) -> None:
        super().__init__(recording)
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        return super().read(size) if self._reads < _READS_MAX else b""
