"""How long the samples of a WAV file can last: its header, and all of its bytes taken for samples."""

import struct

_PLAIN = {1: "PCM", 3: "float", 6: "A-law", 7: "mu-law"}
_EXTENSIBLE = 0xFFFE
RATE_MIN = 4_000
"""Samples a second. Nothing that was recorded has fewer; a lower figure would make days of some bytes."""


def bytes_per_s(audio: bytes) -> int | None:
    """The fewest bytes that a second of it takes, by any of its header's figures; None where it is no plain WAV."""
    if audio[:4] != b"RIFF" or audio[8:16] != b"WAVEfmt " or audio.find(b"fmt ", 16, 4096) != -1:
        return None
    try:
        length, tag, channels, rate, per_s, block, bits = struct.unpack_from("<IHHIIHH", audio, 16)
        if tag == _EXTENSIBLE:
            (tag,) = struct.unpack_from("<H", audio, 44)
    except struct.error:
        return None
    if tag not in _PLAIN or length < 16 or rate < RATE_MIN or not channels or not block or not bits:  # noqa: PLR2004
        return None
    return int(min(per_s or rate * block, rate * block, rate * channels * -(-bits // 8)))


def samples_ms(audio: bytes) -> int | None:
    """How long its samples last: those that are there, whatever the header says of their number. None where it is no plain WAV."""
    per_s = bytes_per_s(audio)
    at = audio.find(b"data", 12, 64 * 1024)
    if not per_s or at < 0:
        return None
    announced = int.from_bytes(audio[at + 4 : at + 8], "little")
    there = len(audio) - at - 8
    return max(min(announced, there), 0) * 1000 // per_s
