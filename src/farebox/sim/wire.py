"""HTTP/1.1 as bytes: what a request came to, and heads and chunks of answers. Pure."""

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import parse_qsl

import msgspec

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 64 * 1024 * 1024
JSON = b"application/json"
SSE = b"text/event-stream; charset=utf-8"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
UNREADABLE = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus} | {529: b"Site Overloaded"}


class Request(msgspec.Struct, gc=False):
    """One request, whole."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    """Only those that the site reads, names in lower case."""
    body: bytes
    keep_alive: bool
    takes_chunks: bool
    """HTTP/1.1 and later."""
    too_large: bool
    """The body was, and has been thrown away."""
    arguments: Mapping[str, str] = MappingProxyType({})
    """The values in the path, once its route is found."""

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.target.partition(b"?")[0]

    def query(self) -> dict[str, str]:
        """The query's fields."""
        return dict(parse_qsl(self.target.partition(b"?")[2].decode("latin-1"), keep_blank_values=True))


def head(status: int, content_type: bytes, headers: bytes, length: int | None, request: Request) -> bytes:
    """The head of an answer. No length: it is chunked, or ends with the connection where the caller does not take chunks."""
    if length is not None:
        framing = b"content-length: %d\r\n" % length
    else:
        framing = b"transfer-encoding: chunked\r\n" if request.takes_chunks else b""
    return b"HTTP/1.1 %d %b\r\ndate: %b\r\ncontent-type: %b\r\n%b%b%b\r\n" % (
        status,
        _PHRASES.get(status, b"Unknown"),
        _date(int(time.time())),
        content_type,
        headers,
        framing,
        b"" if stays_open(request, length) else b"connection: close\r\n",
    )


def stays_open(request: Request, length: int | None) -> bool:
    """Whether the connection can carry another answer after this one."""
    return request.keep_alive and (length is not None or request.takes_chunks)


def chunk(data: bytes, request: Request) -> bytes:
    """One piece of a body without a length."""
    return b"%x\r\n%b\r\n" % (len(data), data) if request.takes_chunks else data


@lru_cache(maxsize=2)
def _date(now_s: int) -> bytes:
    return formatdate(now_s, usegmt=True).encode()
