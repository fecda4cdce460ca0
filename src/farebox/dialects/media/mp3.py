"""How long an MP3 lasts: frame by frame. Its bound takes every place where a frame could begin, so that no reader finds more of them."""

import re

import msgspec

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_VERSION_1 = 3
_LAYER_I, _LAYER_III = 3, 1
_KBITS_1 = {
    3: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBITS_2 = {
    3: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    1: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HEAD = re.compile(rb"\xff(?=([\xe2-\xe7\xf2-\xff][\x00-\xef]))")
_HEADS_MAX = 1_000_000
"""Ten hours of speech. A file with more places like that is bounded by its bytes."""
_MISSES_MAX = 65_536
"""Places that look like a header and are none. A file with more of them is no MP3, and not worth the time."""
_TAGS_MAX = 16
_BYTES_PER_S_MIN = 180
"""A frame has at least 13 bytes and lasts at most 72 ms."""
_TICKS = 14_112_000
"""So many make a second, and a whole number of them each frame's length at every rate."""
_TAG_BYTES = 10
_SUMMARY_BYTES = 256
"""Where in the first frame an encoder may say how many there are."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A frame header, read."""

    kind: int
    """Version and layer: one stream has one."""
    length: int
    """In bytes; 0 where it does not say."""
    ticks: int


def _frame(second: int, third: int) -> Frame:
    version, layer = second >> 3 & 3, second >> 1 & 3
    rate = _RATES[version][third >> 2 & 3]
    kbits = (_KBITS_1 if version == _VERSION_1 else _KBITS_2)[layer][third >> 4]
    padding = third >> 1 & 1
    if layer == _LAYER_I:
        samples, length = 384, (12_000 * kbits // rate + padding) * 4
    else:
        samples = 576 if layer == _LAYER_III and version != _VERSION_1 else 1152
        length = samples * 125 * kbits // rate + padding
    return Frame(kind=second & 0xFE, length=length if kbits else 0, ticks=samples * _TICKS // rate)


_FRAMES = {
    bytes((second, third)): _frame(second, third)
    for second in (*range(0xE2, 0xE8), *range(0xF2, 0x100))
    for third in range(0xF0)
    if second >> 1 & 3 and third >> 2 & 3 != 3  # noqa: PLR2004
}
"""Every header that means something, by its second and third byte."""


class Frames(msgspec.Struct, frozen=True):
    """The frames of a file, one after the other."""

    ms: int
    whole: bool
    """Nine tenths of what follows its tags are frames. Otherwise readers may take it for something else."""


def frames_ms_max(audio: bytes) -> int:
    """No reader finds more: every place where a header could stand, or what the file says of itself if that is more."""
    if audio.count(b"\xff") > _HEADS_MAX:
        return max(len(audio) * 1000 // _BYTES_PER_S_MIN + 1, _claimed_ms(audio))
    found = (_FRAMES.get(head[1]) for head in _HEAD.finditer(audio))
    return max(_ms(sum(frame.ticks for frame in found if frame is not None)), _claimed_ms(audio))


def frames(audio: bytes) -> Frames | None:
    """What an MP3 has in it, whatever it says of itself; None where it does not begin with a tag or a frame."""
    at = start = _after_tag(audio)
    ticks = covered = misses = 0
    kind: int | None = None
    if not _begins(audio, at) or audio.count(b"\xff") > _HEADS_MAX:
        return None
    while (head := _HEAD.search(audio, at)) is not None:
        at = head.start()
        frame = _FRAMES.get(head[1])
        if frame is None or not frame.length or (kind != frame.kind if kind is not None else not _follows(audio, at, frame)):
            at += 1
            misses += 1
            if misses > _MISSES_MAX:
                return None
            continue
        if kind is not None or _summary(audio, at) < 0:
            ticks += frame.ticks
        kind = frame.kind
        at += frame.length
        covered += frame.length
    return Frames(_ms(ticks), whole=covered * 10 >= (len(audio) - start) * 9)


def _begins(audio: bytes, at: int) -> bool:
    return audio[at : at + 1] == b"\xff" and audio[at + 1 : at + 3] in _FRAMES


def _follows(audio: bytes, at: int, frame: Frame) -> bool:
    """Whether another frame begins where this one ends, or the file ends there: two in a row are no chance."""
    after = at + frame.length
    found = _FRAMES.get(audio[after + 1 : after + 3])
    return after >= len(audio) or (audio[after] == 0xFF and found is not None and found.kind == frame.kind)  # noqa: PLR2004


def _claimed_ms(audio: bytes) -> int:
    """What the first frame says of all of them: there are readers that believe it."""
    head = _HEAD.search(audio, _after_tag(audio))
    frame = _FRAMES.get(head[1]) if head is not None else None
    if head is None or frame is None or (at := _summary(audio, head.start())) < 0:
        return 0
    count = int.from_bytes(audio[at + 14 : at + 18] if audio[at : at + 4] == b"VBRI" else audio[at + 8 : at + 12], "big")
    return _ms(count * frame.ticks)


def _summary(audio: bytes, at: int) -> int:
    """Where in the frame at this place its encoder speaks of all frames; negative where it does not."""
    return max(audio.find(name, at, at + _SUMMARY_BYTES) for name in (b"Xing", b"Info", b"VBRI"))


def _after_tag(audio: bytes) -> int:
    """Where the frames begin: tags may hold pictures in which everything can be found."""
    at = 0
    for _ in range(_TAGS_MAX):
        if audio[at : at + 3] != b"ID3" or len(audio) < at + _TAG_BYTES:
            break
        size = 0
        for byte in audio[at + 6 : at + _TAG_BYTES]:
            size = size << 7 | byte & 0x7F
        at += _TAG_BYTES + size
    return at


def _ms(ticks: int) -> int:
    return -(-ticks * 1000 // _TICKS)
