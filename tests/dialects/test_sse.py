"""Framing of server-sent events."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects.sse import EventSplitter, Oversized, ended, payload

FRAGMENTS = st.sampled_from(
    [b"data: x", b"data:y", b"event: e", b": comment", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\r", b"data", b"\xef\xbb\xbf", b"z"]
)
STREAMS = st.lists(FRAGMENTS | st.binary(max_size=4), max_size=20).map(b"".join)

LINES = st.sampled_from([b"x", b"data: y", b"event: e", b"event:", b"da", b"", b'{"a": 1}'])
ONE_LINE = st.builds(
    b"%b%b%b".__mod__,
    st.tuples(
        st.sampled_from([b"", b"event: e\n", b"event:\n", b"id: 1\n", b"data: 0\n"]),
        LINES.map(b"data: ".__add__),
        st.sampled_from([b"\n\n", b"\n", b"\r\n\r\n", b"\n\n\n"]),
    ),
)


def split_at(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data in pieces."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def run(pieces: list[bytes], event_bytes_max: int | None = None) -> tuple[list[bytes], bytes]:
    """Events and rest."""
    splitter = EventSplitter(event_bytes_max)
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events, splitter.close()


@given(STREAMS, st.lists(st.integers(min_value=0), max_size=8))
def test_splits_do_not_change_the_events(data: bytes, cuts: list[int]) -> None:
    """Whatever the network does, the same events come out, and together they are the bytes that went in."""
    whole = run([data])
    assert run(split_at(data, cuts)) == whole
    assert run([data[at : at + 1] for at in range(len(data))]) == whole
    assert b"".join(whole[0]) + whole[1] == data


@given(STREAMS, st.lists(st.integers(min_value=0), max_size=8), st.integers(min_value=4, max_value=12))
def test_an_oversized_event_loses_no_byte(data: bytes, cuts: list[int], event_bytes_max: int) -> None:
    """It comes in pieces that are marked; what is kept stays bounded, but for one event whose last line feed may still come."""
    events, rest = run(split_at(data, cuts), event_bytes_max)
    assert b"".join(events) + rest == data
    assert len(rest) <= event_bytes_max or rest.endswith(b"\r")
    assert all(len(event) <= event_bytes_max + 1 for event in events if type(event) is not Oversized)


def test_after_an_oversized_event_the_next_is_read_again() -> None:
    """The limit is per event."""
    events, rest = run([b"data: " + b"x" * 50, b"y\n", b"\ndata: 1\n\n"], 20)
    assert [type(event) for event in events] == [Oversized, Oversized, Oversized, bytes]
    assert events[-1] == b"data: 1\n\n"
    assert rest == b""


def test_many_small_pieces_of_one_event_are_joined_once() -> None:
    """A hundred thousand pieces without a blank line take linear time (the suite's timeout would show otherwise)."""
    splitter = EventSplitter()
    for _ in range(100_000):
        assert splitter.feed(b"x" * 50) == []
    (event,) = splitter.feed(b"\n\n")
    assert len(event) == 5_000_002


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: x\n\n", b"x"),
        (b"data:x\n\n", b"x"),
        (b"data:  x\n\n", b" x"),
        (b"data: x\r\n\r\n", b"x"),
        (b"data: x\r\r", b"x"),
        (b"event: e\ndata: x\nid: 1\n\n", b"x"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b": c\n\ndata: x\n\n"[5:], b"x"),
        (b"\xef\xbb\xbfdata: x\n\n", b"x"),
        (b"data\n\n", b""),
        (b": comment\n\n", None),
        (b"\n\n", None),
        (b"event: data: x\n\n", None),
    ],
)
def test_payload_follows_the_standard(event: bytes, data: bytes | None) -> None:
    """One optional space, several lines joined, comments and other fields apart."""
    assert payload(event) == data


@pytest.mark.parametrize("event", [b"data: x", b"data: x\n", b"data: x\r\n", b"data: x\n\n", b"data: x\r\n\r\n"])
def test_ended_ends_an_event_once(event: bytes) -> None:
    """A reader sees exactly one event."""
    events, rest = run([ended(event) + b"data: y\n\n"])
    assert [payload(one) for one in events] == [b"x", b"y"]
    assert rest == b""


@given(STREAMS | ONE_LINE)
def test_an_event_that_comes_alone_is_read_as_by_feeding_it(data: bytes) -> None:
    """Looking once at what nearly always comes says what splitting it and reading its lines say; where it says nothing, that is done."""
    said = EventSplitter().sole(data)
    if said is not None:
        assert run([data]) == ([data], b"")
        lines = data.removeprefix(b"\xef\xbb\xbf").splitlines()
        assert [said] == [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:") or line == b"data"]


def test_what_is_waiting_is_never_passed_by() -> None:
    """An event that would be whole is not, where the beginning of another is kept, or the end of one that was too large is awaited."""
    kept = EventSplitter()
    assert kept.feed(b"event: x\n") == []
    assert kept.sole(b"data: 1\n\n") is None
    large = EventSplitter(4)
    assert large.feed(b"data: 12") == [b"data: 12"]
    assert large.sole(b"data: 1\n\n") is None
    assert EventSplitter(4).sole(b"data: 1\n\n") is None
