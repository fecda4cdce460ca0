"""Requests of every route, whatever their bytes: read to a bound or refused, and sent on as what was read."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects.routes import METERED
from fuzz import rules
from fuzz.examples import EXAMPLES
from fuzz.mutations import NOISE, damaged, miswritten, wrong_texts
from fuzz.profile import drawn, is_drawn
from fuzz.spoken import SPOKEN, routes

NAMES = [name for name in SPOKEN if is_drawn(name)]
_DEEP = (100, 127, 128, 129, 200, 960, 990, 1_000, 1_050, 5_000, 100_000)


def test_every_route_that_is_registered_is_fuzzed() -> None:
    """A new route has no examples, and fails here."""
    assert {f"{dialect}.{name}" for dialect, name in METERED} <= routes().keys()
    assert {name.partition("@")[0] for name in EXAMPLES} == routes().keys()
    assert all(SPOKEN[name].examples for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_read(name: str) -> None:
    """Mutations begin with requests that are taken."""
    for example in SPOKEN[name].examples:
        assert rules.check_request(SPOKEN[name], example) is not None


@pytest.mark.parametrize("name", NAMES)
def test_wrong_values_at_every_place_are_bounded_or_refused(name: str) -> None:
    """Every type at every place, every name twice and in another spelling."""
    one = SPOKEN[name]
    for example in one.examples:
        if example.content_type == b"application/json" and example.body:
            for body in wrong_texts(example.body):
                rules.check_request(one, msgspec.structs.replace(example, body=body))


@pytest.mark.parametrize("name", NAMES)
@drawn(40)
@given(data=st.data())
def test_damaged_requests_are_bounded_or_refused(name: str, data: st.DataObject) -> None:
    """Bits, cuts and pieces; and JSON with anything at any place."""
    one = SPOKEN[name]
    example = data.draw(st.sampled_from(one.examples))
    ways = [damaged(example.body), NOISE]
    if example.content_type == b"application/json" and example.body:
        ways += [miswritten(example.body)] * 2
    body = data.draw(st.one_of(ways))
    rules.check_request(one, msgspec.structs.replace(example, body=body))


@pytest.mark.parametrize("name", NAMES)
@drawn(20)
@given(
    content_type=st.binary(max_size=60) | st.sampled_from([b"multipart/form-data; boundary=", b"multipart/form-data; boundary=xyz, xyz"])
)
def test_no_content_type_breaks_a_reader(name: str, content_type: bytes) -> None:
    """Of a form it says where its parts begin; of JSON it says nothing."""
    example = SPOKEN[name].examples[0]
    changed = msgspec.structs.replace(example, content_type=content_type)
    if example.content_type == b"application/json":
        assert rules.check_request(SPOKEN[name], example) is not None
        SPOKEN[name].ask(msgspec.structs.replace(example, content_type=b"application/json; " + content_type[:5]))
        return
    rules.check_request(SPOKEN[name], changed)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"content":'])
def test_deep_requests_are_refused_or_bounded(name: str, opening: str) -> None:
    """However deep, in every member: no reader runs out of stack."""
    one = SPOKEN[name]
    closing = {"[": "]", '{"a":': "}", '[{"content":': "}]"}[opening]
    example = one.examples[0]
    if example.content_type != b"application/json" or not example.body:
        return
    members = json.loads(example.body)
    for member in (*members, "unheard"):
        for depth in _DEEP:
            nested = opening * depth + "1" + closing * depth
            rest = json.dumps({name: value for name, value in members.items() if name != member})
            body = f'{rest[:-1]}{"," if rest != "{}" else ""}"{member}":{nested}}}'
            rules.check_request(one, msgspec.structs.replace(example, body=body.encode()))
