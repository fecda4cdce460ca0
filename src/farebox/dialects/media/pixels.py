"""The size of a picture in pixels, from its header: PNG, JPEG, GIF, WebP, BMP.

A header is believed only where every reader must understand it alike: a second size in the same file, an irregular order, a size of
zero are reasons to know nothing.
"""

import struct
from collections.abc import Callable

from farebox.dialects.media import payload

_PREFIXES = (4096, 64 * 1024, 1024 * 1024)
"""How much is decoded, in turns: colour profiles and thumbnails may come before the size."""
_TRUNCATED = (struct.error, IndexError)
_STEPS_MAX = 256
"""Segments or chunks before the pixels. A header of thousands of empty ones is not worth the time."""
_BLOCKS_MAX = 4096

Size = tuple[int, int]
_IMAGE_END = 0xD9
_SCAN = 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset((0x00, 0x01, *range(0xD0, 0xD9)))
"""JPEG markers without a length: none of them belongs before the first scan."""


def size_of(base64_text: str, media_type: str = "", *, url_safe: bool = False) -> Size | None:
    """Width and height; None where they cannot be told for certain, and where the declared type is another than the bytes say."""
    for prefix_bytes in _PREFIXES:
        head = payload.prefix(base64_text, prefix_bytes, url_safe=url_safe)
        read = _reader(head, media_type) if head else None
        if head is None or read is None:
            return None
        try:
            width, height = read(head)
        except _TRUNCATED:
            if len(head) < prefix_bytes:  # that was all
                return None
        except ValueError:
            return None
        else:
            return (width, height) if width > 0 and height > 0 else None
    return None


def _reader(head: bytes, media_type: str) -> Callable[[bytes], Size] | None:
    for magic, kinds, read in _KINDS:
        if head.startswith(magic):
            return read if not media_type or media_type in kinds else None
    return None


def _png(head: bytes) -> Size:
    """Its first chunk, and no other of that name before the pixels: there are readers that take the last."""
    length, name, width, height = struct.unpack_from(">I4sII", head, 8)
    if length != 13 or name != b"IHDR":  # noqa: PLR2004
        raise ValueError(name)
    at = 8 + 12 + length
    for _ in range(_STEPS_MAX):
        length, name = struct.unpack_from(">I4s", head, at)
        if name == b"IDAT":
            return width, height
        if name in (b"IHDR", b"IEND"):
            raise ValueError(name)
        at += 12 + length
    raise ValueError(at)


def _jpeg(head: bytes) -> Size:
    """The one frame header before the first scan."""
    size: Size | None = None
    at = 2
    for _ in range(_STEPS_MAX):
        if head[at] != 0xFF:  # noqa: PLR2004
            raise ValueError(at)
        at += 1
        marker = head[at]
        if marker == 0xFF:  # noqa: PLR2004 - a fill byte
            continue
        if marker == _SCAN and size is not None:
            return size
        if marker in _BARE or marker in (_SCAN, _IMAGE_END):
            raise ValueError(marker)
        (length,) = struct.unpack_from(">H", head, at + 1)
        if length < 2 or (marker in _FRAMES and size is not None):  # noqa: PLR2004
            raise ValueError(marker)
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", head, at + 4)
            size = width, height
        at += 1 + length
    raise ValueError(at)


def _gif(head: bytes) -> Size:
    """The screen, or the first frame where that reaches beyond it: there are readers that grow the screen."""
    width, height, flags = struct.unpack_from("<HHB", head, 6)
    at = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    blocks = 0
    while head[at] == 0x21:  # noqa: PLR2004 - an extension
        at += 2
        while (length := head[at]) != 0:
            at += 1 + length
            blocks += 1
        at += 1
        blocks += 1
        if blocks > _BLOCKS_MAX:
            raise ValueError(at)
    if head[at] != 0x2C:  # noqa: PLR2004 - a frame
        raise ValueError(at)
    left, top, frame_width, frame_height = struct.unpack_from("<HHHH", head, at + 1)
    return max(width, left + frame_width), max(height, top + frame_height)


def _webp(head: bytes) -> Size:
    kind = head[8:16]
    if kind == b"WEBPVP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(_full(head, 27, 30), "little")
    if kind == b"WEBPVP8L":
        bits = int.from_bytes(_full(head, 21, 25), "little")
        if head[20] != 0x2F:  # noqa: PLR2004
            raise ValueError(kind)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"WEBPVP8 ":
        start, width, height = struct.unpack_from("<3sHH", head, 23)
        if start != b"\x9d\x01\x2a" or head[20] & 1:
            raise ValueError(start)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError(kind)


def _full(head: bytes, start: int, end: int) -> bytes:
    if len(head) < end:
        raise IndexError(end)
    return head[start:end]


def _bmp(head: bytes) -> Size:
    (length,) = struct.unpack_from("<I", head, 14)
    if length == 12:  # noqa: PLR2004 - the oldest header
        width, height = struct.unpack_from("<HH", head, 18)
    elif length >= 40:  # noqa: PLR2004
        width, height = struct.unpack_from("<ii", head, 18)
    else:
        raise ValueError(length)
    return width, abs(height)


_KINDS: tuple[tuple[bytes, tuple[str, ...], Callable[[bytes], Size]], ...] = (
    (b"\x89PNG\r\n\x1a\n", ("image/png", "image/apng"), _png),
    (b"\xff\xd8\xff", ("image/jpeg", "image/jpg", "image/pjpeg"), _jpeg),
    (b"GIF87a", ("image/gif",), _gif),
    (b"GIF89a", ("image/gif",), _gif),
    (b"RIFF", ("image/webp",), _webp),
    (b"BM", ("image/bmp", "image/x-ms-bmp"), _bmp),
)
