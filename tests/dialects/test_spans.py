"""One value of a body changes; every other byte stays."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects import spans

SPACE = st.text(" \t\n\r", max_size=3)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12)
NAMES = st.sampled_from(["model", "max_tokens", "stream", "größe", 'quo"te', "a", "b"]) | st.text()


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """An object, written with any white space and either kind of escapes."""
    members = draw(st.dictionaries(NAMES, VALUES, max_size=6))
    parts = []
    for name, value in members.items():
        ascii_only = draw(st.booleans())
        key, text = json.dumps(name, ensure_ascii=ascii_only), json.dumps(value, ensure_ascii=ascii_only)
        parts.append(f"{draw(SPACE)}{key}{draw(SPACE)}:{draw(SPACE)}{text}{draw(SPACE)}")
    text = f"{draw(SPACE)}{{{','.join(parts) or draw(SPACE)}}}{draw(SPACE)}"
    return text.encode("utf-8", "replace"), json.loads(text.encode("utf-8", "replace"))


@given(bodies(), st.data())
def test_a_replaced_value_leaves_all_other_bytes(body: tuple[bytes, dict[str, Any]], data: st.DataObject) -> None:
    """The rewritten body decodes to the original plus the one change."""
    raw, members = body
    if not members:
        return
    name = data.draw(st.sampled_from(sorted(members)))
    span = spans.member(raw, name)
    if name.isascii():
        assert span is not None
        changed = spans.replaced(raw, span, b"4711")
        assert json.loads(changed) == {**members, name: 4711}
        assert changed.startswith(raw[: span.value_start])
        assert changed.endswith(raw[span.value_end :])
        assert json.loads(raw[span.value_start : span.value_end]) == members[name]


@given(bodies())
def test_an_inserted_member_leaves_all_other_bytes(body: tuple[bytes, dict[str, Any]]) -> None:
    """What is inserted is one run of bytes."""
    raw, members = body
    if "new_member" in members:
        return
    changed = spans.inserted(raw, "new_member", b'{"x":true}')
    assert json.loads(changed) == {**members, "new_member": {"x": True}}
    brace = raw.index(b"{") + 1
    assert changed.startswith(raw[:brace])
    assert changed.endswith(raw[brace:])


@given(bodies(), st.data())
def test_a_removed_member_leaves_the_others(body: tuple[bytes, dict[str, Any]], data: st.DataObject) -> None:
    """First, middle, last or only."""
    raw, members = body
    names = sorted(name for name in members if name.isascii())
    if not names:
        return
    name = data.draw(st.sampled_from(names))
    span = spans.member(raw, name)
    assert span is not None
    expected = dict(members)
    del expected[name]
    assert json.loads(spans.removed(raw, span)) == expected


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"x":{"model":1},"model":2}', b"2"),
        (b'{"x":"\\"model\\":1","model":2}', b"2"),
        (b'{"x":["model",{"model":1}],"m\\u006fdel":2}', b"2"),
    ],
)
def test_only_the_top_level_member_is_found(raw: bytes, value: bytes) -> None:
    """Nested members of that name, text that looks like it, and escaped spellings."""
    span = spans.member(raw, "model")
    assert span is not None
    assert raw[span.value_start : span.value_end] == value


def test_a_member_of_an_inner_object_is_found_from_its_start() -> None:
    """The walk may begin at any object."""
    raw = b'{"stream_options": {"include_usage" : false}, "include_usage": 1}'
    outer = spans.member(raw, "stream_options")
    assert outer is not None
    span = spans.member(raw, "include_usage", outer.value_start)
    assert span is not None
    assert raw[span.value_start : span.value_end] == b"false"
    assert spans.member(raw, "absent") is None
