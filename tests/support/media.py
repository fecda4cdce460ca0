"""Pictures, documents and recordings for tests: true files of every kind that the APIs take, as small as their headers let them be."""

import base64
import struct
import zlib

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_MP3_FRAME = bytes((0xFF, 0xFB, 0x90, 0xC0)).ljust(417, b"\0")
"""MPEG-1 layer III, 128 kbit/s at 44,100: 1,152 samples."""


def picture(media_type: str, width: int, height: int) -> bytes:
    """A header of that size, and the beginning of the pixels."""
    return {"image/png": _png, "image/jpeg": _jpeg, "image/gif": _gif, "image/webp": _webp}[media_type](width, height)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(b"\0\0")) + _chunk(b"IEND", b"")


def _jpeg(width: int, height: int) -> bytes:
    app0 = b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    frame = b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\0"
    return b"\xff\xd8" + app0 + frame + b"\xff\xda\x00\x08\x01\x01\0\0\x3f\0" + bytes(20) + b"\xff\xd9"


def _gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\2L\1\0;"


def _webp(width: int, height: int) -> bytes:
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 4 + len(canvas)) + b"WEBP" + canvas


def pdf(pages: int) -> bytes:
    """A document of empty pages, all in the open."""
    refs = " ".join(f"{number} 0 R" for number in range(3, 3 + pages))
    bodies = ["<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{refs}] /Count {pages} >>"]
    bodies += ["<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] >>"] * pages
    written = "".join(f"{number} 0 obj\n{body}\nendobj\n" for number, body in enumerate(bodies, 1))
    return f"%PDF-1.4\n{written}trailer << /Root 1 0 R /Size {len(bodies) + 1} >>\n%%EOF".encode()


def wav(ms: int, *, rate: int = 24_000, channels: int = 1) -> bytes:
    """Silence in 16 bits."""
    samples = bytes(rate * channels * 2 * ms // 1000)
    shape = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + len(samples)) + b"WAVEfmt " + shape + b"data" + struct.pack("<I", len(samples)) + samples


def mp3(ms: int) -> bytes:
    """Silent frames."""
    return _MP3_FRAME * -(-ms * 441 // 11_520)


def text(data: bytes) -> str:
    """As base64."""
    return base64.b64encode(data).decode()


def data_url(media_type: str, data: bytes) -> str:
    """As an address."""
    return f"data:{media_type};base64,{text(data)}"
