"""Answers of every route, whole and streamed, whatever their bytes: metered without failing, the same however they are cut, in bounded memory."""

import inspect
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox import limits
from fuzz import rules
from fuzz.mutations import CUTS, NOISE, Piece, damaged, frame, miswritten, pieces_in, spread, wrong_texts
from fuzz.profile import SOAK, drawn, is_drawn
from fuzz.recorded import Recorded, answers
from fuzz.spoken import SPOKEN, Spoken

NAMES = [name for name in SPOKEN if not name.endswith("@deployment") and is_drawn(name)]
_OK = 200
_DEEP = (2, 100, 3_000)
_MEMBERS = (
    *("content", "delta", "text", "usage", "usageMetadata", "arguments", "type", "args", "input", "error", "segments", "service_tier"),
    *("search_context_size", "status", "id", "tool_usage", "container_id", "finish_reason", "audio", "embedding", "data"),
)
_EVENT_BYTES = 2**14
_NO_END = (b"x", b"data: x", b'data: {"a":"', b"\n:", b"\r", b'[{"a":"', b"[", b'"\\', b"--xyz", b"\x00")
_HEAD = b"\x0b:event-type\x07\x00\x11contentBlockDelta\x0d:message-type\x07\x00\x05event"


def recorded(name: str) -> list[Recorded]:
    return [one for one in answers().get(name, ()) if one.status == _OK] or [_silent(SPOKEN[name])]


def _silent(one: Spoken) -> Recorded:
    """An answer to what the simulator is not asked: nobody reads it, but it is read all the same."""
    return Recorded(one.examples[0], _OK, {b"content-type": b"application/json"}, b'{"id":"resp_1","object":"response"}')


def check(one: Spoken, answer: Recorded, body: bytes, cuts: list[int]) -> None:
    """As a whole answer and as a stream: the gateway's two ways do not ask which of them the bytes are meant for."""
    rules.check_answer(one, one.ask(answer.example), answer.headers, body)
    rules.check_stream(one, answer.example, answer.headers, rules.pieces_of(body, cuts))


@pytest.mark.parametrize("name", NAMES)
def test_true_answers_are_metered_however_they_are_cut(name: str) -> None:
    """Byte by byte, in halves at every place, and all at once."""
    one = SPOKEN[name]
    for answer in recorded(name):
        body = answer.body
        rules.check_stream(one, answer.example, answer.headers, [body[at : at + 1] for at in range(len(body))])
        for at in range(0, len(body), 1 if SOAK else max(1, len(body) // 60)):
            rules.check_stream(one, answer.example, answer.headers, [body[:at], body[at:]])


@pytest.mark.parametrize("name", NAMES)
def test_wrong_values_at_every_place_are_metered(name: str) -> None:
    """Every type at every place of every kind of event: nothing fails, nothing is counted below zero."""
    one = SPOKEN[name]
    seen: set[bytes] = set()
    for answer in recorded(name):
        for piece in [piece for piece in texts_in(answer) if piece.text not in seen]:
            seen.add(piece.text)
            texts = list(wrong_texts(piece.text))
            for number, text in enumerate(texts if SOAK else spread(texts, 100)):
                body = piece.rebuilt(text)
                rules.check_answer(one, one.ask(answer.example), answer.headers, body)
                if SOAK or len(body) < 4000 or number % 5 == 0:
                    rules.check_stream(one, answer.example, answer.headers, rules.pieces_of(body, [number * 7919]))


@pytest.mark.parametrize("name", NAMES)
@drawn(40)
@given(data=st.data())
def test_damaged_answers_are_metered(name: str, data: st.DataObject) -> None:
    """Bits, cuts, pieces that stand elsewhere, noise, and JSON with anything at any place."""
    one, answer = SPOKEN[name], data.draw(st.sampled_from(recorded(name)))
    ways = [damaged(answer.body), NOISE]
    pieces = texts_in(answer)
    if pieces:
        piece = data.draw(st.sampled_from(pieces))
        ways.append(miswritten(piece.text).map(piece.rebuilt))
    check(one, answer, data.draw(st.one_of(ways)), data.draw(CUTS))


@pytest.mark.parametrize("name", NAMES)
@drawn(10)
@given(headers=st.dictionaries(st.sampled_from([b"content-type", b"character-cost"]), st.binary(max_size=30)), data=st.data())
def test_heads_of_answers_are_read(name: str, headers: dict[bytes, bytes], data: st.DataObject) -> None:
    """What is charged by a head is charged by one that makes sense."""
    answer = data.draw(st.sampled_from(recorded(name)))
    check(SPOKEN[name], Recorded(answer.example, _OK, headers, answer.body), answer.body, [])


@pytest.mark.parametrize("name", [name for name in NAMES if name.partition("@")[2] in ("", "perplexity")])
def test_deep_answers_are_metered(name: str) -> None:
    """As deep as the reader goes with the stack that is left, and deeper: what could be read can also be measured."""
    one = SPOKEN[name]
    left = sys.getrecursionlimit() - len(inspect.stack(0))
    for answer in recorded(name) if SOAK else spread(recorded(name), 4):
        for piece in texts_in(answer):
            for depth in (*_DEEP, *range(left - 30, left + 1, 1 if SOAK else 6)):
                for deep in (b"[" * depth + b"]" * depth, b'{"text":' * depth + b"1" + b"}" * depth):
                    for body in piece.with_members(_MEMBERS, deep):
                        check(one, answer, body, [])


def texts_in(answer: Recorded) -> list[Piece]:
    """The JSON texts of an answer; none of sound."""
    content_type = answer.headers.get(b"content-type", b"")
    return [] if b"audio/" in content_type else pieces_in(answer.body, content_type)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("noise", _NO_END, ids=ascii)
def test_streams_without_an_end_are_bounded(name: str, noise: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever never ends is let go of: what a meter keeps does not grow with what it is fed."""
    monkeypatch.setattr(limits, "stream_event_bytes_max", _EVENT_BYTES)
    monkeypatch.setattr(limits, "answer_body_bytes_max", _EVENT_BYTES)
    one = SPOKEN[name]
    answer = recorded(name)[-1]
    meter = one.dialect.stream(one.ask(answer.example), answer.headers)
    meter.feed(answer.body[: len(answer.body) // 2])
    most = 0
    for number in range(100):
        meter.feed(noise * (_EVENT_BYTES // 50 // len(noise)) if number else noise)
        most = max(most, rules.kept_bytes(meter))
    meter.close()
    assert most <= 3 * _EVENT_BYTES + 2**13, most
    rules.check_report(meter.report(), 2 * len(answer.body) + 8 * _EVENT_BYTES)


@pytest.mark.parametrize("name", NAMES)
def test_large_events_in_small_pieces_take_time_by_their_length(name: str) -> None:
    """Most of a megabyte that comes in pieces of sixteen bytes and never ends. Where each piece were looked at with all before it, this
    would take so long that the test's own limit ends it.
    """
    one = SPOKEN[name]
    answer = recorded(name)[-1]
    for opening in (b'data: {"a":"', b'[{"a":"'):
        meter = one.dialect.stream(one.ask(answer.example), answer.headers)
        meter.feed(opening)
        for _ in range(50_000):
            meter.feed(b"0123456789abcdef")
        meter.close()
        assert rules.kept_bytes(meter) <= 2**22


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("bedrock.") or "stream" in name])
@drawn(60)
@given(heads=st.lists(st.binary(max_size=80) | st.just(_HEAD), max_size=4), payload=NOISE, cuts=CUTS)
def test_frames_with_true_checksums_are_read(name: str, heads: list[bytes], payload: bytes, cuts: list[int]) -> None:
    """Whatever their headers are, and whatever they carry."""
    one, answer = SPOKEN[name], recorded(name)[0]
    check(one, answer, b"".join([frame(head, payload) for head in heads]), cuts)
