"""Sound that nobody hears: silence in each of ElevenLabs' output formats, 60 milliseconds for each character, in as many pieces as are wanted. Pure.

MP3 is made of true frames, WAV and PCM of true samples, A-law and mu-law of silent octets. Opus is silent packets on one Ogg page after the other.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

MS_PER_CHARACTER = 60
_FORMAT = re.compile(r"(mp3|pcm|wav|opus|ulaw|alaw)_(8000|16000|22050|24000|32000|44100|48000)(?:_(32|48|64|96|128|192))?", re.ASCII)
_TYPES = {
    "mp3": b"audio/mpeg",
    "pcm": b"audio/pcm",
    "wav": b"audio/wav",
    "opus": b"audio/opus",
    "ulaw": b"audio/basic",
    "alaw": b"audio/x-alaw-basic",
}
_SECOND_MS = 1000
# MPEG-1 (44,100 and up) and MPEG-2 layer III: the version's octet, samples in a frame, and the indices of rates in its header.
_NEW_MP3 = (0xFB, 1152, {44100: 0, 48000: 1}, {32: 1, 48: 3, 64: 5, 96: 7, 128: 9, 192: 11})
_OLD_MP3 = (0xF3, 576, {22050: 0, 24000: 1}, {32: 4, 48: 6, 64: 8, 96: 10, 128: 12})
_OPUS_PACKET = b"\xf8\xff\xfe"  # 20 ms of silence


class Sound(NamedTuple):
    """An output format."""

    kind: str
    rate: int
    kbps: int

    @property
    def content_type(self) -> bytes:
        """As the answer names it."""
        return _TYPES[self.kind]


def sound_of(output_format: str) -> Sound | None:
    """The format that a name means; None when it means none."""
    found = _FORMAT.fullmatch(output_format)
    if found is None or (found[1] in {"mp3", "opus"}) is (found[3] is None):
        return None
    sound = Sound(found[1], int(found[2]), int(found[3] or 0))
    return sound if sound.kind != "mp3" or _mp3_frame(sound) else None


def silence(sound: Sound, characters: int, pieces: int) -> Iterator[bytes]:
    """So much of it, in so many pieces; the header of a format that has one is in the first."""
    whole = _head(sound, characters) + _body(sound, characters)
    size = max(1, -(-len(whole) // max(1, pieces)))
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


def _head(sound: Sound, characters: int) -> bytes:
    if sound.kind != "wav":
        return b""
    size = _samples(sound, characters) * 2
    shape = b"".join(
        [
            value.to_bytes(width, "little")
            for value, width in ((16, 4), (1, 2), (1, 2), (sound.rate, 4), (sound.rate * 2, 4), (2, 2), (16, 2))
        ]
    )
    return b"RIFF" + (size + 36).to_bytes(4, "little") + b"WAVEfmt " + shape + b"data" + size.to_bytes(4, "little")


def _body(sound: Sound, characters: int) -> bytes:
    samples = _samples(sound, characters)
    if sound.kind == "mp3":
        return _mp3_frame(sound) * -(-samples // _mp3(sound)[1])
    if sound.kind == "opus":
        return b"".join([_ogg_page(number) for number in range(-(-characters * MS_PER_CHARACTER // 20))])
    return {"ulaw": b"\xff", "alaw": b"\xd5"}.get(sound.kind, b"\0\0") * samples


def _samples(sound: Sound, characters: int) -> int:
    return sound.rate * characters * MS_PER_CHARACTER // _SECOND_MS


def _mp3(sound: Sound) -> tuple[int, int, dict[int, int], dict[int, int]]:
    return _NEW_MP3 if sound.rate in _NEW_MP3[2] else _OLD_MP3


def _mp3_frame(sound: Sound) -> bytes:
    """One silent frame; empty where layer III has no such rates."""
    version, samples, rates, speeds = _mp3(sound)
    if sound.rate not in rates or sound.kbps not in speeds:
        return b""
    size = samples // 8 * sound.kbps * 1000 // sound.rate
    return bytes((0xFF, version, speeds[sound.kbps] << 4 | rates[sound.rate] << 2, 0xC0)).ljust(size, b"\0")


def _ogg_page(number: int) -> bytes:
    return (
        b"OggS\0"
        + bytes((2 if number == 0 else 0,))
        + (960 * number).to_bytes(8, "little")
        + number.to_bytes(8, "little")
        + bytes(4)
        + b"\1\3"
        + _OPUS_PACKET
    )
