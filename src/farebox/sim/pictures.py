"""Pictures and documents as far as counting tokens needs them: the size in a picture's header, the pages of a PDF. Decodes neither. Pure."""

import re
from base64 import b64decode
from binascii import Error as NotBase64Error

PATCH_PIXELS = 28
PAGE_TOKENS = 2_000
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_HEAD_CHARACTERS = 87_384  # the first 64 KB of a file, where its size stands
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def picture_tokens(base64: str, most: int) -> int:
    """One token for each patch that a picture begins, at most so many; as many as that where its size cannot be read."""
    size = seen_size(base64)
    return most if size is None else min(most, -(-size[0] // PATCH_PIXELS) * -(-size[1] // PATCH_PIXELS))


def seen_size(base64: str) -> tuple[int, int] | None:
    """Width and height of a picture by its first bytes; None where they do not tell."""
    return size_of(decoded(base64[:_HEAD_CHARACTERS]))


def document_tokens(base64: str) -> int:
    """So many for each page that stands readable in the file, and for one where none does."""
    return PAGE_TOKENS * max(1, len(_PAGE.findall(decoded(base64))))


def decoded(data: str) -> bytes:
    """The bytes of some base64; none where it is none."""
    try:
        return b64decode(data[: len(data) // 4 * 4])
    except (NotBase64Error, ValueError):
        return b""


def size_of(file: bytes) -> tuple[int, int] | None:
    """Width and height of a picture in pixels, from its header; None where it has none that is known."""
    if file.startswith(b"\x89PNG\r\n\x1a\n") and len(file) >= 24:  # noqa: PLR2004  # PNG: both stand in the first chunk
        return _big(file[16:20]), _big(file[20:24])
    if file.startswith(b"GIF8") and len(file) >= 10:  # noqa: PLR2004  # GIF: both stand behind the name of the format
        return _little(file[6:8]), _little(file[8:10])
    if file.startswith(b"RIFF") and file[8:12] == b"WEBP" and len(file) >= 30:  # noqa: PLR2004  # WebP: its first chunk
        return _webp(file)
    return _jpeg(file) if file.startswith(b"\xff\xd8") else None


def _webp(file: bytes) -> tuple[int, int] | None:
    if file[12:16] == b"VP8X":
        return _little(file[24:27]) + 1, _little(file[27:30]) + 1
    if file[12:16] == b"VP8L":
        bits = _little(file[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return (_little(file[26:28]) & 0x3FFF, _little(file[28:30]) & 0x3FFF) if file[12:16] == b"VP8 " else None


def _jpeg(file: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(file) and file[at] == 0xFF:  # noqa: PLR2004  # JPEG: every segment begins with this byte
        if file[at + 1] in _JPEG_SIZES:
            return _big(file[at + 7 : at + 9]), _big(file[at + 5 : at + 7])
        at += 2 + _big(file[at + 2 : at + 4])
    return None


def _big(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


def _little(octets: bytes) -> int:
    return int.from_bytes(octets, "little")
