"""AWS event-stream frames: where one ends, what its headers say, and one of our own.

A frame: its length and that of its headers (4 bytes each), their CRC-32, headers, payload, CRC-32 of all before it. A header: one byte of
name length, the name, one byte of type, the value. The frames it gives, joined, are the bytes that it was fed.
"""

import struct
from collections.abc import Iterable
from zlib import crc32

import msgspec

from farebox import limits
from farebox.dialects.sse import Oversized

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
HEADERS_BYTES_MAX = 128 * limits.KIB
_PRELUDE = struct.Struct(">III")
_PAIR = struct.Struct(">II")
_CHECKSUM = struct.Struct(">I")
_OVERHEAD = _PRELUDE.size + _CHECKSUM.size
_STRING = 7
_WIDTHS = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value, by its type; the types 6 and 7 say how many."""
_COUNTED = (6, _STRING)


class Broken(ValueError):
    """These bytes are no frames: nothing after them can be read."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame, read."""

    headers: dict[bytes, bytes]
    """Those whose values are text."""
    payload: bytes


class FrameSplitter:
    """Cuts a stream of bytes into frames. What it keeps is bounded: a larger frame passes unread, in pieces."""

    __slots__ = ("_kept", "_most", "_passing")

    def __init__(self, frame_bytes_max: int | None = None) -> None:
        self._most = limits.stream_event_bytes_max if frame_bytes_max is None else frame_bytes_max
        self._kept = bytearray()
        self._passing = 0
        """Bytes of an oversized frame that are still to come."""

    def feed(self, data: bytes) -> tuple[list[bytes], bool]:
        """The frames that are complete now, and whether what follows them is broken."""
        self._kept += data
        frames: list[bytes] = []
        at, end = 0, len(self._kept)
        sound = True
        while sound and at < end:
            if self._passing:
                piece = min(self._passing, end - at)
                frames.append(Oversized(self._kept[at : at + piece]))
                self._passing -= piece
                at += piece
                continue
            size = self._size(at)
            if size is None or (size <= self._most and end - at < size):
                break
            sound = size > 0
            if size > self._most:
                self._passing = size
            elif size:
                frames.append(bytes(self._kept[at : at + size]))
                at += size
        del self._kept[:at]
        if not sound:
            self._kept.clear()
        return frames, not sound

    def close(self) -> bytes:
        """What is left when the stream ends: a part of a frame, or nothing."""
        rest = bytes(self._kept)
        self._kept.clear()
        return rest

    def _size(self, at: int) -> int | None:
        """The length of the frame that begins here; None while that is not known, 0 where it cannot be a frame."""
        if len(self._kept) - at < _PRELUDE.size:
            return None
        size, headers, checksum = _PRELUDE.unpack_from(self._kept, at)
        if crc32(self._kept[at : at + _PAIR.size]) != checksum or headers > min(HEADERS_BYTES_MAX, size - _OVERHEAD):
            return 0
        return int(size)


def read(frame: bytes) -> Frame:
    """One whole frame. Raises Broken where a checksum is wrong, or a header cannot be read."""
    size, headers_size, _ = _PRELUDE.unpack_from(frame)
    if crc32(frame[: size - _CHECKSUM.size]) != _CHECKSUM.unpack_from(frame, size - _CHECKSUM.size)[0]:
        raise Broken
    begin = _PRELUDE.size
    try:
        headers = dict(_headers(frame[begin : begin + headers_size]))
    except (IndexError, KeyError):
        raise Broken from None
    return Frame(headers, frame[begin + headers_size : size - _CHECKSUM.size])


def _headers(data: bytes) -> Iterable[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        name, kind = data[at + 1 : name_end], data[name_end]
        at = name_end + 1
        if kind in _COUNTED:
            width = data[at] << 8 | data[at + 1]
            at += 2
        else:
            width = _WIDTHS[kind]
        if at + width > len(data):
            raise Broken
        if kind == _STRING:
            yield name, data[at : at + width]
        at += width


def exception(kind: str, payload: bytes) -> bytes:
    """The exception that ends a stream, on which the SDKs raise."""
    told = ((b":exception-type", kind.encode()), (b":content-type", b"application/json"), (b":message-type", b"exception"))
    headers = b"".join([b"%c%b%c%b%b" % (len(name), name, _STRING, len(value).to_bytes(2, "big"), value) for name, value in told])
    pair = _PAIR.pack(_OVERHEAD + len(headers) + len(payload), len(headers))
    checked = pair + _CHECKSUM.pack(crc32(pair)) + headers + payload
    return checked + _CHECKSUM.pack(crc32(checked))
