"""AWS event-stream frames, as Bedrock streams them: a prelude with its checksum, headers, a payload, a checksum of it all. Pure; writes only.

A frame: total length and length of the headers (4 bytes each, big-endian), CRC-32 of those eight bytes, headers, payload, CRC-32 of all before it.
A header: one byte of name length, the name, the type 7 (a string), two bytes of value length, the value.
"""

import struct
from zlib import crc32

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
_PRELUDE = struct.Struct(">II")
_CHECKSUM = struct.Struct(">I")
_OVERHEAD = _PRELUDE.size + 2 * _CHECKSUM.size
_STRING = 7


def event_frame(kind: bytes, payload: bytes) -> bytes:
    """One event of a stream, its payload JSON."""
    return _frame(_headers((b":event-type", kind), (b":content-type", b"application/json"), (b":message-type", b"event")), payload)


def exception_frame(kind: bytes, payload: bytes) -> bytes:
    """The exception that ends a stream."""
    return _frame(_headers((b":exception-type", kind), (b":content-type", b"application/json"), (b":message-type", b"exception")), payload)


def _headers(*pairs: tuple[bytes, bytes]) -> bytes:
    return b"".join([b"%c%b%c%b%b" % (len(name), name, _STRING, len(value).to_bytes(2, "big"), value) for name, value in pairs])


def _frame(headers: bytes, payload: bytes) -> bytes:
    prelude = _PRELUDE.pack(_OVERHEAD + len(headers) + len(payload), len(headers))
    checked = prelude + _CHECKSUM.pack(crc32(prelude)) + headers + payload
    return checked + _CHECKSUM.pack(crc32(checked))
