"""Two ways of reading the bodies of holds and captures: whatever the quick one takes, the careful one takes too, and as the same."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from farebox.control.body import exact_json
from farebox.control.caller import Admin, Own
from farebox.control.problems import Problem
from farebox.control.unproxied import plain
from farebox.control.unproxied.asked import CaptureIn, HoldIn, ToCapture, ToHold
from farebox.control.unproxied.holds import Asked, _idempotency
from farebox.ledger.commands import Idempotency
from farebox.ledger.model import Key

AMOUNTS = ["1", "0.002", "1000000", "1000000.000000001", "0", "-1", "", " 1 ", "$2", "1e3", "1e-9", "1e999999", "nan", "٣", "1" * 41]
QUANTITIES = ["2.5", "0", "0.0000001", "-0", "1e12", "1000000000000.1", "12.500000", "Infinity", "", "1_000"]
TEXTS = [
    "x",
    "key_1",
    "render minute",
    "",
    "a" * 100,
    "a" * 101,
    "a" * 200,
    "a" * 201,
    "é",
    "a\x7fb",
    'a"b',
    "a\\b",
    "a\nb",
    "\0",
    "\ud800",
]
LIVES: list[Any] = [1, 900, 604_800, 604_801, 0, -1, 60.0, 60.5, True, None, "60", 10**30]
TAGS: list[Any] = [{}, {"team": "a"}, {"team": "a", "feature": "b c"}, {"": "a"}, {"t": ""}, {"t": "a,b"}, {"t": 1}, {"t": "é"}, None, []]
TAGS += [{str(at): "a" for at in range(count)} for count in (16, 17)] + [{"t": "a" * 126}, {"t": "a" * 127}]
ODD: list[Any] = [None, 1, 1.5, 0, True, [], {}, 10**12, -0.0]


def fields(names: dict[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these fields, mostly with values of their kind."""
    values = {name: st.one_of(st.sampled_from(kind[:3]), st.sampled_from(kind), st.sampled_from(ODD)) for name, kind in names.items()}
    return st.fixed_dictionaries({}, optional=values)


HOLDS = fields(
    {
        "key": TEXTS,
        "account": TEXTS,
        "amount_usd": AMOUNTS,
        "meter": TEXTS,
        "quantity": QUANTITIES,
        "lifetime_s": LIVES,
        "user": TEXTS,
        "run": TEXTS,
        "tags": TAGS,
        "tag": TEXTS,
    }
)
LIKELY = st.one_of(
    HOLDS,
    HOLDS.map(lambda body: {**body, "key": "key_1", "amount_usd": "2"}),
    HOLDS.map(lambda body: {"amount_usd": "0.5", **body}),
    HOLDS.map(lambda body: {"meter": "m", "quantity": "2", **body}),
)
CAPTURES = fields({"amount_usd": AMOUNTS, "quantity": QUANTITIES, "amount": AMOUNTS})


@st.composite
def written(draw: st.DrawFn, bodies: st.SearchStrategy[dict[str, Any]]) -> bytes:
    """A body as somebody may write it: spaced, escaped, a name twice, cut off, in another encoding."""
    body = draw(bodies)
    text = json.dumps(
        body, ensure_ascii=draw(st.booleans()), separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\r\n", "\t: ")]))
    )
    if body and draw(st.integers(0, 4)) == 0:
        name = draw(st.sampled_from(sorted(body)))
        text = f"{text[:-1]}, {json.dumps(name)}: {json.dumps(draw(st.sampled_from([body[name], 'x', '1', None])))}}}"
    data = text.encode(draw(st.sampled_from(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-32-be"])), "surrogatepass")
    broken = draw(st.sampled_from([None] * 6 + [b"", b" ", b"}", b"\0", b"\xff", b"\\u0061", b'"', b","]))
    if broken is None:
        return data
    at = draw(st.integers(0, len(data)))
    return data[:at] + broken + data[at + draw(st.integers(0, 2)) :]


def carefully(kind: type[HoldIn | CaptureIn], body: bytes) -> ToHold | ToCapture | None:
    """What the careful reader makes of a body; None where it refuses it."""
    try:
        return kind.read(exact_json(body or b"{}"))
    except (Problem, ValidationError):
        return None


@given(written(LIKELY))
def test_a_hold_read_at_once_is_the_hold_read_carefully(body: bytes) -> None:
    """What is refused by the careful reader is never taken by the other."""
    read = plain.to_hold(body)
    assert read is None or read == carefully(HoldIn, body)


@given(written(CAPTURES))
def test_a_capture_read_at_once_is_the_capture_read_carefully(body: bytes) -> None:
    """The same for what the work came to."""
    read = plain.to_capture(body)
    assert read is None or read == carefully(CaptureIn, body)


@pytest.mark.parametrize(
    "said",
    [
        {"key": "key_1", "amount_usd": "0.002"},
        {"account": "acc_1", "meter": "render minute", "quantity": "12.5", "lifetime_s": 60},
        {"amount_usd": "1", "user": "u 1", "run": "r-1", "tags": {"team": "a", "feature": "b c"}},
        {"key": "key_1", "amount_usd": "2", "tags": {}},
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_a_plain_hold_is_read_at_once(said: dict[str, Any], separators: tuple[str, str]) -> None:
    """As clients write it, with or without spaces."""
    body = json.dumps(said, separators=separators).encode()
    assert plain.to_hold(body) == carefully(HoldIn, body) != None  # noqa: E711 - compared in one line


@pytest.mark.parametrize("said", [{"amount_usd": "0"}, {"amount_usd": "0.000000001"}, {"quantity": "0"}, {"quantity": "10.000001"}])
def test_a_plain_capture_is_read_at_once(said: dict[str, Any]) -> None:
    """Of an amount or a quantity; nothing is a result too."""
    body = json.dumps(said).encode()
    assert plain.to_capture(body) == carefully(CaptureIn, body) != None  # noqa: E711 - compared in one line


@pytest.mark.parametrize(
    "body", [b'{"amount_usd":"1","amount_usd":"1"}', b'{"amount_usd":"1","quantity":""}', b'{"amount_usd":"1","quantity":null}']
)
def test_a_name_that_is_there_twice_or_empty_is_left_to_the_careful_reader(body: bytes) -> None:
    """Which of both counts is not for the quick one to say."""
    assert plain.to_capture(body) is None
    assert plain.to_hold(b'{"key":"k",' + body[1:]) is None


@pytest.mark.parametrize(
    ("caller", "fingerprint"),
    [
        (Admin("adm_1", None, "n", "s"), "7f1b76724145772a9a2946a386aa3703c89316bc"),
        (Own(Key("key_1", "a", "a", "h", "l", 0)), "c4d930d9b7951901fac2aefc4262c3582738c9a8"),
    ],
)
def test_what_a_repeat_is_known_by_stays_as_it_was(caller: Admin | Own, fingerprint: str) -> None:
    """A hold that was asked for by an earlier version is the same hold when this one is asked again."""
    said = {"account": "acc_1", "meter": "render minute", "quantity": "12.5", "lifetime_s": 60, "user": "u", "run": "r"}
    body = plain.to_hold(json.dumps({**said, "tags": {"b": "2", "a": "1"}}).encode())
    assert body is not None
    assert _idempotency(Asked(caller, "x"), body) == Idempotency("/api/v1/holds x", fingerprint)
