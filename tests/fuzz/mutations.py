"""How bytes go wrong: other types at every place of a JSON text, names twice or misspelt, bits, cuts, and pieces that stand elsewhere.

Owns making them. What is systematic is listed whole; the rest is drawn.
"""

import json
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from zlib import crc32

from hypothesis import strategies as st

Path = tuple[str | int, ...]

WRONG: tuple[str, ...] = (
    *("null", "true", "0", "-1", "1.5", "1e400", "-0", "99999999999999999999999", "2147483648", "9223372036854775807"),
    *(
        '""',
        '"x"',
        '"\\ud800"',
        '"\\u0000"',
        '"' + "é" * 5000 + '"',
        "[]",
        "{}",
        "[null]",
        "[[]]",
        '[{"type":{}}]',
        '{"type":[]}',
        '{"":null}',
    ),
)
"""As they are written. What is no JSON at all is drawn with the bytes."""
_NO_JSON = ("NaN", "-Infinity", "01", "'x'", '{"a":1,"a":2}', "9" * 5000, '"\t"', '"\\ud800"', '"\\x"', "[" * 2000)
_FRAME_OVERHEAD = 16

# --- JSON texts -------------------------------------------------------------------------------------------------------------------------


def paths_of(value: Any, before: Path = ()) -> Iterator[Path]:
    """Every place in a value, its own first."""
    yield before
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths_of(inner, (*before, key))


def shape_of(value: Any) -> str:
    """The value with nothing but its names: what two events of a stream may have in common."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{shape_of(inner)}" for name, inner in value.items()) + "}"
    return "[" + ",".join(sorted({shape_of(inner) for inner in value})) + "]" if isinstance(value, list) else "."


def with_value(value: Any, path: Path, written: str) -> bytes:
    """The text of a value with another one at a place, as it is written."""
    marked = _replaced(value, path, _MARK)
    return json.dumps(marked).replace(json.dumps(_MARK), written).encode()


_MARK = "(here)"


def _replaced(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = _replaced(value[path[0]], path[1:], new)  # type: ignore[index]  # a path fits its value
    return copied


def wrong_texts(text: bytes) -> Iterator[bytes]:
    """A JSON text with every wrong value at every place, and with every name twice and in another spelling."""
    value = json.loads(text)
    for path in paths_of(value):
        for written in WRONG:
            yield with_value(value, path, written)
        inner = _at(value, path)
        if isinstance(inner, dict):
            for name in inner:
                members = json.dumps(inner)[1:-1]
                for twice in (name, name.upper(), name.replace("_", "-"), name + "\\u0000"):
                    yield with_value(value, path, f'{{{members},"{twice}":null}}')


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


# --- what a stream is made of -------------------------------------------------------------------------------------------------------------


class Piece:
    """One JSON text within an answer, and the answer with another in its place."""

    def __init__(self, text: bytes, rebuilt: Callable[[bytes], bytes]) -> None:
        self.text = text
        self.rebuilt = rebuilt

    def with_members(self, names: Sequence[str], written: bytes) -> Iterator[bytes]:
        """The answer with one of these members as it is written here, wherever one stands first in the text. It need not be readable."""
        view = self.text.decode("latin-1")
        for name in names:
            found = re.search(rf'"{name}": *', view)
            if found is not None:
                _, end = json.JSONDecoder().raw_decode(view, found.end())
                yield self.rebuilt(self.text[: found.end()] + written + self.text[end:])


def pieces_in(body: bytes, content_type: bytes) -> list[Piece]:
    """The JSON texts in an answer: the whole of it, or one of each shape that its events have."""
    if b"amazon.eventstream" in content_type:
        found = list(_frames(body))
    elif body.lstrip()[:1] in (b"{", b"["):
        found = [Piece(body, lambda text: text)]
    else:
        found = list(_lines(body))
    by_shape = {shape_of(json.loads(piece.text)): piece for piece in found}
    return list(by_shape.values())


def _lines(body: bytes) -> Iterator[Piece]:
    at = 0
    for line in body.splitlines(keepends=True):
        start, end = at + len(b"data: "), at + len(line.rstrip(b"\r\n"))
        at += len(line)
        if line.startswith(b"data: {"):
            yield Piece(body[start:end], _around(body, start, end))


def _around(body: bytes, start: int, end: int) -> Callable[[bytes], bytes]:
    return lambda text: body[:start] + text.replace(b"\n", b"") + body[end:]


def _frames(body: bytes) -> Iterator[Piece]:
    at = 0
    while at < len(body):
        size, headers = struct.unpack_from(">II", body, at)
        head = body[at + 12 : at + 12 + headers]
        yield Piece(body[at + 12 + headers : at + size - 4], _framed(body, at, at + size, head))
        at += size


def _framed(body: bytes, start: int, end: int, head: bytes) -> Callable[[bytes], bytes]:
    return lambda text: body[:start] + frame(head, text) + body[end:]


def frame(head: bytes, payload: bytes) -> bytes:
    """An event-stream frame with true checksums."""
    prelude = struct.pack(">II", len(head) + len(payload) + _FRAME_OVERHEAD, len(head))
    whole = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return whole + struct.pack(">I", crc32(whole))


# --- drawn --------------------------------------------------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.sampled_from([json.loads(written) for written in WRONG[:12]]),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4), max_leaves=12
)
WRITTEN = st.one_of(VALUES.map(json.dumps), st.sampled_from((*WRONG, *_NO_JSON)))
CUTS = st.lists(st.integers(0, 2**16), max_size=12)
NOISE = st.one_of(
    st.binary(max_size=300),
    st.lists(
        st.sampled_from(
            [
                *(
                    b"data: ",
                    b"\n\n",
                    b"\r\n\r\n",
                    b"\r",
                    b"\n",
                    b":",
                    b"event: error\n",
                    b"[DONE]",
                    b"{",
                    b"}",
                    b"[",
                    b"]",
                    b",",
                    b'"',
                    b"\\",
                ),
                *(b'"usage":', b'{"error":{}}', b"null", b"-1", b"\xff", b"\x00", b"\xef\xbb\xbf", b"--xyz\r\n", b"--xyz--", b"\xc3"),
            ]
        ),
        max_size=40,
    ).map(b"".join),
)


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Some bytes changed, taken out, put in, doubled, or all after a place lost."""
    for _ in range(draw(st.integers(1, 4))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 40))
        how = draw(st.sampled_from(("flip", "cut", "drop", "insert", "double", "swap")))
        if how == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]
        elif how == "cut":
            data = data[:at]
        elif how == "drop":
            data = data[:at] + data[at + length :]
        elif how == "insert":
            data = data[:at] + draw(NOISE) + data[at:]
        elif how == "double":
            data = data[: at + length] + data[at:]
        else:
            data = data[at:] + data[:at]
    return data


@st.composite
def miswritten(draw: st.DrawFn, text: bytes) -> bytes:
    """A JSON text with other values at some places."""
    value = json.loads(text)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(paths_of(value))))
        written = draw(WRITTEN)
        text = with_value(value, path, written)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def spread(items: Sequence[Any], number: int) -> Sequence[Any]:
    """So many of them, evenly from all over."""
    return items if len(items) <= number else [items[index * len(items) // number] for index in range(number)]
