"""Bodies that two readers could understand differently, or that would cost more to read than they may, are refused."""

import json

import pytest

from farebox import limits
from farebox.dialects.strict import read_object
from farebox.errors import AmbiguousBody, InvalidRequest, TooLarge


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"text"',
        b"null",
        b"{",
        b'{"a":1}x',
        b'{"a":1,}',
        b"{'a':1}",
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":"\n"}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' * 20_000,
        '{"a":1}'.encode("utf-16"),
    ],
)
def test_what_is_not_one_plain_json_object_is_invalid(body: bytes) -> None:
    """BOM, other encodings, NaN, trailing text, huge numbers: each is understood by some readers only."""
    with pytest.raises(InvalidRequest):
        read_object(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"max_tokens":1,"max_tokens":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":[{"b":1,"c":2,"b":3}]}',
        b'{"max_tokens":1,"max\\u005ftokens":2}',
        b'{"":1,"":2}',
    ],
)
def test_a_name_twice_in_any_object_is_ambiguous(body: bytes) -> None:
    """Also nested, and also when one of them is spelled with an escape."""
    with pytest.raises(AmbiguousBody):
        read_object(body)


def test_the_same_name_in_two_objects_is_fine() -> None:
    """Only within one object a name must be unique."""
    assert read_object(b'{"a":{"b":1},"b":[{"b":2},{"b":3}]}') == {"a": {"b": 1}, "b": [{"b": 2}, {"b": 3}]}


def test_lone_surrogate_escapes_are_read() -> None:
    """Clients cut strings in the middle of an emoji; no provider refuses that."""
    assert read_object(b'{"a":"\\ud83d"}') == {"a": "\ud83d"}


def nested(depth: int) -> bytes:
    """An object whose deepest value lies in `depth` containers."""
    return b'{"a":' + b"[" * (depth - 1) + b"1" + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize("padding", [0, 40_000])
def test_depth_is_bounded_exactly(padding: int) -> None:
    """The limit holds for small bodies and for large ones, which are measured another way."""
    deepest = limits.request_json_depth_max
    pad = b" " * padding
    assert read_object(nested(deepest) + pad)
    with pytest.raises(InvalidRequest, match="deeper"):
        read_object(nested(deepest + 1) + pad)


def test_many_brackets_in_text_are_not_depth() -> None:
    """Code in a message is text, however many brackets it has."""
    assert read_object(json.dumps({"a": "[{" * 5000}).encode())


def test_millions_of_tiny_values_are_too_large() -> None:
    """They would take many times their size in memory."""
    many = limits.request_json_values_max + 10
    with pytest.raises(TooLarge):
        read_object(b'{"a":[' + b"[]," * many + b"[]]}")
    assert read_object(json.dumps({"a": ",[{" * many}).encode())


def test_a_body_above_the_limit_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit counts bytes."""
    monkeypatch.setattr(limits, "request_body_bytes_max", 10)
    assert read_object(b'{"a":1234}')
    with pytest.raises(TooLarge):
        read_object(b'{"a":12345}')
