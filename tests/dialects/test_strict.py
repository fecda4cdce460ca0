"""Bodies that two readers could understand differently, or that would cost more to read than they may, are refused."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from farebox import limits
from farebox.dialects import strict
from farebox.dialects.strict import read_object
from farebox.errors import AmbiguousBody, InvalidRequest, Refusal, TooLarge


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


_NAMES = st.sampled_from(
    ['"a"', '"\\u0061"', '"b"', '"a:"', '"a\\u003a"', '"a\\u003A"', '"\\\\u003a"', '"\\""', '""', '"é"', ' "b" ', '"\\ud83d"']
)
_LEAVES = st.one_of(
    _NAMES,
    st.integers().map(str),
    st.floats(allow_nan=True).map(json.dumps),
    st.text(max_size=9).map(json.dumps),
    st.text(max_size=9).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(
        ["-0", "1e999", "-1E-999", "01", "1.", ".5", "9" * 4301, "true", "null", "nul", "\ufeff", '"\t"', '"\\x"', "'a'", '"\ud83d"']
    ),
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda values: f"[{', '.join(values)}]"),
        st.lists(st.tuples(_NAMES, inner), max_size=4).map(lambda members: f"{{{','.join(f'{name}:{value}' for name, value in members)}}}"),
    ),
    max_leaves=12,
)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Something like JSON: whole, or with a byte put in or left out somewhere."""
    body = bytearray(draw(_VALUES).encode("utf-8", "surrogatepass"))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b" ", b"{", b"]", b":", b"\\", b'"', b"\xff", b"\x00", b"\xa0"])
        )
    return bytes(body)


def said_of(body: bytes) -> str:
    """What is read, to the type and the order of members, or what is said against it."""
    try:
        return repr(read_object(body))
    except Refusal as refusal:
        return f"{type(refusal).__name__} {refusal.facts}"


@given(texts() | st.tuples(texts(), texts()).map(lambda two: b'{"a":%b,"b":%b}' % two))
@example(nested(limits.request_json_depth_max))
@example(nested(limits.request_json_depth_max + 1))
@example(b'{"a":' * 20_000)
@example(b'{"a":1,"\\u0061":"\\u003a"}')
@example(b'{"a":1,"a":2,"b":"\\u003A"}')
def test_the_fast_reader_says_what_the_slow_one_does(body: bytes) -> None:
    """Values, their types and order, what is refused and in which words: nobody can tell which of the two has read."""
    fast = said_of(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict, "_surely", lambda _body: None)
        assert said_of(body) == fast


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=6))
def test_what_the_fast_reader_is_sure_of_has_no_name_twice(members: list[tuple[str, str]]) -> None:
    """Whatever it takes is what the slow one takes: it refuses every name that is there twice."""
    body = ("{" + ", ".join(f"{name}: {value}" for name, value in members) + "}").encode("utf-8", "surrogatepass")
    if strict._surely(body) is not None:
        assert repr(strict._surely(body)) == repr(strict._carefully(body))
