"""Every way of answering wrongly on purpose: usage that is missing or absurd, and answers that are no answers. Pure."""

import gzip
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"


class Spoilt(NamedTuple):
    """A body that is not what was asked for."""

    body: bytes
    content_type: bytes
    headers: bytes = b""
    missing: int = 0
    """Bytes that the head promises and the body does not have."""


def spoil_usage(usage: bytes, how: str, kept: str) -> bytes:
    """The JSON of a usage as it is reported: true, or as `sim:usage` asks. None at all is empty. `kept` is the one member that a partial one has."""
    if not how:
        return usage
    if how == "missing":
        return b""
    true = msgspec.json.decode(usage, type=dict[str, object])
    return msgspec.json.encode({kept: true[kept]} if how == "partial" else _times(true, 0 if how == "zero" else -1))


def _times(usage: Mapping[str, object], factor: int) -> dict[str, object]:
    return {name: _scaled(value, factor) for name, value in usage.items()}


def _scaled(value: object, factor: int) -> object:
    if isinstance(value, (int, float)):
        return value * factor
    if isinstance(value, list):
        return [_scaled(each, factor) for each in value]
    return _times(value, factor) if isinstance(value, dict) else value


def spoil_answer(frames: list[bytes], content_type: bytes, how: str) -> Spoilt:
    """The whole answer as `sim:garbage` asks: `html`, `gzip` although nobody accepts it, `badjson`, or `badlength`."""
    if how == "html":
        return Spoilt(HTML, b"text/html")
    if how == "gzip":
        return Spoilt(gzip.compress(b"".join(frames), 1), content_type, headers=b"content-encoding: gzip\r\n")
    if how == "badjson":
        return Spoilt(b"".join([frame[: len(frame) // 2] + b"\n\n" for frame in frames]), content_type)
    return Spoilt(b"".join(frames), content_type, missing=100)
