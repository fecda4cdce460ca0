"""What speech costs at ElevenLabs: by its text before the call, by the head of the answer after it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects import ElevenLabs
from farebox.dialects.base import Ask
from farebox.dialects.routes import match
from farebox.errors import CostUnbounded, Exhausted, InvalidRequest, RouteNotFound
from farebox.usage import CHARS, CREDITS

VOICE = "JBFqnCBsd6RMkjVDRZzb"
ELEVENLABS = ElevenLabs()
ROUTE = match("POST", f"/v1/text-to-speech/{VOICE}/stream", [])


def encoded(**members: Any) -> bytes:
    return json.dumps({"text": "hello", "model_id": "eleven_v3", **members}).encode()


def ask(route: Any = ROUTE, **members: Any) -> Ask:
    return ELEVENLABS.ask(route, encoded(**members), {})


@pytest.mark.parametrize(("text", "characters"), [("four", 4), ("hello", 6), ("é☃", 2), ("🚋", 2), ("🚋a", 4)])
def test_the_most_characters_are_held(text: str, characters: int) -> None:
    """Half a credit for the last one is a whole; what lies beyond the first plane may count twice."""
    assert ask(text=text).demand.fees_max == {CHARS: characters}


@pytest.mark.parametrize("rest", ["", "/stream", "/with-timestamps", "/stream/with-timestamps"])
def test_every_kind_goes_to_its_own_path(rest: str) -> None:
    """With the part of the query that says how the sound is to be made."""
    for base in ("", "/elevenlabs"):
        route = match("POST", f"{base}/v1/text-to-speech/{VOICE}{rest}", [])
        read = ask(route)
        assert read.binary is (rest != "/with-timestamps")
        target = ELEVENLABS.target(read, route, read.model, b"output_format=pcm_16000&xi-api-key=fbx&enable_logging=false")
        assert target == f"/v1/text-to-speech/{VOICE}{rest}?output_format=pcm_16000&enable_logging=false"


@pytest.mark.parametrize("rest", ["/", "/stream/", "/stream-input", "/../x", "%2f", "/with-timestamps/stream"])
def test_other_paths_do_not_exist(rest: str) -> None:
    """They are compared as they were sent."""
    with pytest.raises(RouteNotFound):
        match("POST", f"/v1/text-to-speech/{VOICE}{rest}", [(b"xi-api-key", b"x")])


def test_a_query_that_names_a_field_twice_is_refused() -> None:
    """Nobody knows which one counts."""
    with pytest.raises(InvalidRequest):
        ELEVENLABS.target(ask(), ROUTE, "eleven_v3", b"output_format=a&output_format=b")
    with pytest.raises(InvalidRequest):  # while it is read, and nothing is held
        ask(match("POST", f"/v1/text-to-speech/{VOICE}", [], b"output_format=a&output_format=b"))


def test_the_model_is_written_where_it_was_left_open() -> None:
    """Nothing else of the body changes."""
    body = b'{ "text": "hi" }'
    read = ELEVENLABS.ask(ROUTE, body, {})
    assert ELEVENLABS.rewrite(read, body, model=None, output_cap=None) == b'{"model_id":"eleven_multilingual_v2", "text": "hi" }'
    assert json.loads(ELEVENLABS.rewrite(ask(model_id=None), encoded(model_id=None), model=None, output_cap=None))["model_id"] == read.model
    named = encoded()
    assert ELEVENLABS.rewrite(ask(), named, model=None, output_cap=None) is named
    assert json.loads(ELEVENLABS.rewrite(ask(), named, model="eleven_v4", output_cap=None))["model_id"] == "eleven_v4"


@pytest.mark.parametrize("field", ["previous_request_ids", "next_request_ids", "pronunciation_dictionary_locators"])
def test_what_others_made_is_refused(field: str) -> None:
    """And what may make a text longer than it is."""
    with pytest.raises(CostUnbounded, match=field):
        ask(**{field: ["a"]})
    assert ask(**{field: []}).unknown_fields == ()


@pytest.mark.parametrize("text", ["", "  ", None, 5])
def test_a_text_is_needed(text: Any) -> None:
    """A string with something in it."""
    with pytest.raises(InvalidRequest):
        ask(text=text)


@pytest.mark.parametrize(
    ("head", "units", "flags"),
    [
        ({b"character-cost": b"3"}, {CREDITS: 3}, ()),
        ({b"character-cost": b" 0 "}, {CREDITS: 0}, ()),
        ({}, {CHARS: 6}, ("character_cost_missing",)),
        *(({b"character-cost": told}, None, ("absurd_usage",)) for told in (b"-3", b"1.5", b"", b"9" * 40, b"61", b"\xb2")),
    ],
)
def test_the_head_says_what_it_cost(head: dict[bytes, bytes], units: dict[str, int] | None, flags: tuple[str, ...]) -> None:
    """However the sound ends; a head that says nothing leaves the characters, one that cannot be believed the hold."""
    meter = ELEVENLABS.stream(ask(), head)
    before = meter.report()
    assert meter.feed(b"\xff\xfb") + meter.close() == b"\xff\xfb"
    for report in (before, meter.report()):
        assert (None if report.usage is None else report.usage.units, report.flags) == (units, flags)
    assert (before.finished, meter.report().finished, meter.held_back) == (False, True, b"")


def test_no_sound_is_no_answer() -> None:
    """Nor is one with timestamps that has none."""
    meter = ELEVENLABS.stream(ask(), {})
    assert (meter.close(), meter.report().finished) == (b"", False)
    timed = ask(match("POST", f"/v1/text-to-speech/{VOICE}/with-timestamps", []))
    assert [ELEVENLABS.read_answer(timed, body, {}).finished for body in (b'{"audio_base64":"aGk="}', b"{}", b"<html>")] == [
        True,
        False,
        False,
    ]


def test_refusals_are_details() -> None:
    """With the status that clients know as no money."""
    told = json.loads(ELEVENLABS.refusal(Exhausted(scope="key"), "req_1"))["detail"]
    assert (told["status"], told["farebox"]["reason"], told["farebox"]["request_id"]) == ("quota_exceeded", "exhausted", "req_1")


@pytest.mark.parametrize(
    ("status", "detail", "fault"),
    [
        (401, {"status": "quota_exceeded", "message": "x"}, "account"),
        (400, {"status": "quota_exceeded", "message": "x"}, "account"),
        (400, {"status": "max_character_limit_exceeded", "message": "x"}, "caller"),
        (422, [{"type": "missing", "loc": ["body", "text"], "msg": "Field required"}], "caller"),
        (429, {"status": "too_many_concurrent_requests"}, "busy"),
        (500, {}, "provider"),
        (400, None, "provider"),
    ],
)
def test_whose_trouble_an_error_is(status: int, detail: Any, fault: str) -> None:
    """Natively the operator's empty account is told as 400 or 401."""
    assert ELEVENLABS.fault(status, json.dumps({"detail": detail}).encode()) == fault


@given(st.binary(max_size=200))
def test_hostile_bytes_never_raise(data: bytes) -> None:
    """As sound, as an answer, as a head."""
    read = ask()
    ELEVENLABS.stream(read, {b"character-cost": data}).feed(data)
    ELEVENLABS.read_answer(read, data, {b"character-cost": data})
    ELEVENLABS.fault(400, data)
