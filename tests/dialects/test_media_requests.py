"""Media in requests: bounded before they are forwarded by no less than a provider counts, refused where nothing bounds them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox import limits
from farebox.dialects import Anthropic, OpenAI
from farebox.dialects.base import Ask
from farebox.dialects.media.asked import WHATEVER_FITS
from farebox.dialects.openai.hosts import HOSTS
from farebox.dialects.routes import match
from farebox.errors import CostUnbounded, InvalidRequest
from farebox.sim.anthropic_messages import AnthropicMessages
from farebox.sim.desk import Kept
from farebox.sim.openai_chat import OpenAIChat
from farebox.sim.openai_responses import Responses
from farebox.sim.wire import Request
from farebox.usage import IN_AUDIO, IN_CACHE_READ, IN_CACHE_READ_IMAGE, IN_IMAGE, IN_TEXT, OUT_TEXT
from support.media import PICTURES, data_url, mp3, pdf, picture, text, wav

CHAT = match("POST", "/openai/v1/chat/completions", [])
RESPONSES = match("POST", "/openai/v1/responses", [])
MESSAGES = match("POST", "/anthropic/v1/messages", [])
OPENAI, ANTHROPIC = OpenAI(), Anthropic()
AROUND = 3000
"""More than what is added to a short text, and less than any bound that would be wrong by a medium."""

OPENAI_MODELS = ("gpt-6-sol", "gpt-5.6", "gpt-5.4", "gpt-5.5-mini", "gpt-5-mini", "gpt-4.1-nano", "o4-mini", "gpt-4o", "gpt-4o-mini")
OTHER_OPENAI_MODELS = ("gpt-4.1", "gpt-5", "gpt-5.1-codex", "o1", "o3", "gpt-5.2", "gpt-7-unheard-of")
CLAUDE_MODELS = ("claude-opus-4-1", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-4-7", "claude-opus-5-5", "claude-haiku-5-5")


def chat(*parts: dict[str, Any], model: str = "gpt-4o", host: OpenAI = OPENAI) -> Ask:
    return host.ask(CHAT, chat_body(*parts, model=model), {})


def chat_body(*parts: dict[str, Any], model: str = "gpt-4o") -> bytes:
    content = [{"type": "text", "text": "what is this"}, *parts]
    return json.dumps({"model": model, "max_completion_tokens": 5, "messages": [{"role": "user", "content": content}]}).encode()


def response_body(*parts: dict[str, Any], model: str = "gpt-4o", **members: Any) -> bytes:
    return json.dumps({"model": model, "max_output_tokens": 16, "input": [{"role": "user", "content": parts}], **members}).encode()


def response(*parts: dict[str, Any], model: str = "gpt-4o", **members: Any) -> Ask:
    return OPENAI.ask(RESPONSES, response_body(*parts, model=model, **members), {})


def message_body(*blocks: dict[str, Any], model: str = "claude-opus-5-5", **members: Any) -> bytes:
    return json.dumps({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": blocks}], **members}).encode()


def message(*blocks: dict[str, Any], model: str = "claude-opus-5-5", **members: Any) -> Ask:
    return ANTHROPIC.ask(MESSAGES, message_body(*blocks, model=model, **members), {})


def request(body: bytes) -> Request:
    return Request(b"POST", b"/", {}, body, keep_alive=True, takes_chunks=True, too_large=False)


def image_url(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def block(data: bytes, media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": text(data)}}


def document(data: bytes) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": text(data)}}


def file(data: bytes) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url("application/pdf", data)}}


PNG = picture("image/png", 1024, 768)
SIZES = st.one_of(st.integers(1, 800), st.integers(1, 16_000))
DETAILS = st.sampled_from(["", "auto", "low", "high", "original"])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(OPENAI_MODELS + OTHER_OPENAI_MODELS), st.sampled_from(PICTURES), SIZES, SIZES, DETAILS, st.integers(1, 3))
def test_no_picture_counts_more_at_openai_than_its_bound(model: str, kind: str, width: int, height: int, detail: str, count: int) -> None:
    """By the provider's own way of counting, in both APIs, whatever the resolution that is asked for."""
    url = data_url(kind, picture(kind, width, height))
    body = chat_body(*[image_url(url, **({"detail": detail} if detail else {}))] * count, model=model)
    assert OPENAI.ask(CHAT, body, {}).demand.input_tokens_max >= OpenAIChat().read(request(body)).prompt
    body = response_body(*[{"type": "input_image", "image_url": url, "detail": detail}] * count, model=model)
    assert OPENAI.ask(RESPONSES, body, {}).demand.input_tokens_max >= Responses(Kept()).read(request(body)).prompt


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CLAUDE_MODELS), st.sampled_from(PICTURES), SIZES, SIZES, st.integers(1, 30))
def test_no_picture_and_no_page_counts_more_at_anthropic_than_its_bound(model: str, kind: str, width: int, height: int, pages: int) -> None:
    """Alone, inside the result of a tool, and beside a document."""
    shown = block(picture(kind, width, height), kind)
    result = {"type": "tool_result", "tool_use_id": "t", "content": [shown, {"type": "text", "text": "a"}]}
    inside = {"type": "document", "source": {"type": "content", "content": [shown]}}
    body = message_body(shown, result, inside, document(pdf(pages)), model=model)
    assert ANTHROPIC.ask(MESSAGES, body, {}).demand.input_tokens_max >= AnthropicMessages().read(request(body)).prompt


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 20_000), st.sampled_from([8000, 24_000, 44_100]), st.integers(1, 2), st.booleans())
def test_no_recording_counts_more_than_its_bound(ms: int, rate: int, channels: int, packed: bool) -> None:
    """A tenth of a second is a token."""
    sound = {"data": text(mp3(ms) if packed else wav(ms, rate=rate, channels=channels)), "format": "mp3" if packed else "wav"}
    body = chat_body({"type": "input_audio", "input_audio": sound}, model="gpt-audio")
    assert OPENAI.ask(CHAT, body, {}).demand.input_tokens_max >= OpenAIChat().read(request(body)).prompt


def test_the_bytes_of_media_are_not_counted_as_text() -> None:
    """A megabyte of pixels costs what its size says."""
    heavy = PNG + bytes(1_000_000)
    assert chat(image_url(data_url("image/png", heavy))).demand.input_tokens_max < 1445 + AROUND
    assert response({"type": "input_image", "image_url": data_url("image/png", heavy)}).demand.input_tokens_max < 1445 + AROUND
    assert message(block(heavy)).demand.input_tokens_max < 4784 + AROUND
    sound = {"type": "input_audio", "input_audio": {"data": text(wav(60_000)), "format": "wav"}}
    assert 600 < chat(sound, model="gpt-audio").demand.input_tokens_max < 700 + AROUND
    assert chat(image_url(data_url("image/png", heavy), detail="low")).demand.input_tokens_max < 85 + AROUND


def test_text_beside_media_is_still_counted() -> None:
    """Also where it has to be decoded to be bounded."""
    for written in ("x" * 50_000, "\ufdfa" * 10_000):
        for told in (json.dumps, lambda value: json.dumps(value, ensure_ascii=False)):
            content = [{"type": "text", "text": written}, image_url(data_url("image/png", PNG))]
            body = told({"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}).encode()
            bound = OPENAI.ask(CHAT, body, {}).demand.input_tokens_max
            assert bound >= len(written) if written.isascii() else bound >= 33 * len(written)


def test_media_are_priced_by_their_own_units() -> None:
    """Text may come beside them; what an estimate charges comes first, and is the dearest."""
    assert chat().demand.input_units[:2] == (IN_TEXT, IN_CACHE_READ)
    assert IN_IMAGE in chat(image_url(data_url("image/png", PNG))).demand.input_units
    sound = {"type": "input_audio", "input_audio": {"data": text(wav(100)), "format": "wav"}}
    assert chat(sound).demand.input_units[0] == IN_AUDIO
    assert IN_IMAGE in message(block(PNG)).demand.input_units
    assert not {IN_IMAGE, IN_AUDIO} & set(chat().demand.input_units)


def test_a_picture_elsewhere_is_as_large_as_they_come() -> None:
    """By the most that its model takes; one that the provider keeps must be the account's own."""
    address = "https://example.com/a.png"
    assert 1445 < chat(image_url(address)).demand.input_tokens_max < 1445 + AROUND
    assert 75_000 < chat(image_url(address), model="gpt-6-sol").demand.input_tokens_max < 75_000 + AROUND
    assert chat({"type": "image_url", "image_url": address}).demand.input_tokens_max > 1445
    assert 4784 < message({"type": "image", "source": {"type": "url", "url": address}}).demand.input_tokens_max < 4784 + AROUND
    kept = response({"type": "input_image", "file_id": "file_1", "detail": "low"})
    assert kept.uses == (("file", "file_1"),)
    assert kept.demand.input_tokens_max < 85 + AROUND
    mine = message({"type": "image", "source": {"type": "file", "file_id": "file_1"}})
    assert mine.uses == (("file", "file_1"),)
    assert mine.demand.input_tokens_max > 4784


def test_a_document_is_bounded_by_its_pages_or_by_the_context_window() -> None:
    """Anthropic publishes what a page counts at most; OpenAI adds its text, however much that is."""
    assert 3 * 7800 < message(document(pdf(3))).demand.input_tokens_max < 3 * 7800 + AROUND
    assert message(document(b"%PDF-1.7 truncated")).demand.input_tokens_max > 600 * 7784
    assert chat(file(pdf(3))).demand.input_tokens_max > WHATEVER_FITS
    inline = {"type": "input_file", "filename": "a.pdf", "file_data": data_url("application/pdf", pdf(3))}
    assert response(inline).demand.input_tokens_max > WHATEVER_FITS
    plain = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x" * 9000}}
    assert 9000 < message(plain).demand.input_tokens_max < 9000 + AROUND


def test_a_fetched_page_that_is_shown_again_counts_as_what_it_is() -> None:
    """The caller may have written it: a document of many pages in few bytes."""
    fetched = {"type": "web_fetch_result", "url": "https://example.com", "content": document(pdf(200))}
    again = message({"type": "web_fetch_tool_result", "tool_use_id": "s", "content": fetched})
    assert again.demand.input_tokens_max > 200 * 7784
    found = message({"type": "web_search_tool_result", "tool_use_id": "s", "content": []}).demand
    assert IN_IMAGE not in found.input_units
    assert found.input_tokens_max < limits.search_tokens_max + AROUND


@pytest.mark.parametrize("name", sorted(name for name, host in HOSTS.items() if not host.media))
def test_a_host_that_does_not_tell_how_it_counts_is_bounded_by_the_context_window(name: str) -> None:
    """And a file it may read for a fee is refused."""
    host = OpenAI(host=HOSTS[name])
    assert chat(image_url(data_url("image/png", PNG)), host=host).demand.input_tokens_max > WHATEVER_FITS
    sound = {"type": "input_audio", "input_audio": {"data": text(wav(100)), "format": "wav"}}
    assert chat(sound, host=host).demand.input_tokens_max > WHATEVER_FITS
    with pytest.raises(CostUnbounded):
        chat(file(pdf(1)), host=host)


def test_a_host_that_counts_as_another_is_bounded_as_that_one() -> None:
    """Gemini's own way, whatever the detail means there; and a model of no known maker at Anthropic's API has none."""
    host = OpenAI(host=HOSTS["gemini-openai"])
    bound = chat(image_url(data_url("image/png", PNG), detail="low"), model="gemini-3.5-flash", host=host).demand.input_tokens_max
    assert 2240 < bound < 2240 + AROUND
    assert message(block(PNG), model="deepseek-v4").demand.input_tokens_max > WHATEVER_FITS


def test_media_are_bounded_for_the_model_that_a_request_is_read_as() -> None:
    """The same picture is counted thirty times as high by a smaller model, whatever the request calls it; and every reading of it counts."""
    url = data_url("image/png", PNG)
    full, small = (chat(image_url(url), model=model).demand.input_tokens_max for model in ("gpt-4o", "gpt-4o-mini"))
    meant = OPENAI.ask_as(CHAT, chat_body(image_url(url), model="gpt-4o"), {}, "gpt-4o-mini").demand.input_tokens_max
    assert small - full > 20_000
    assert 0 <= small - meant + len("-mini") <= len("-mini")
    asked = response_body({"type": "input_image", "image_url": url}, tools=[{"type": "web_search"}], max_tool_calls=3)
    once, again = (OPENAI.ask_as(RESPONSES, asked, {}, model).demand.input_tokens_max for model in ("gpt-4o", "gpt-4o-mini"))
    assert again - once >= 4 * (small - full - len("-mini"))


@pytest.mark.parametrize(
    ("details", "units"),
    [
        ({"image_tokens": 70}, {IN_TEXT: 30, IN_IMAGE: 70}),
        ({"image_tokens": 70, "cached_tokens": 20}, {IN_TEXT: 10, IN_IMAGE: 70, IN_CACHE_READ: 20}),
        ({"image_tokens": 70, "cached_tokens": 90}, {IN_IMAGE: 10, IN_CACHE_READ: 30, IN_CACHE_READ_IMAGE: 60}),
        ({"image_tokens": 90, "audio_tokens": 20}, {IN_IMAGE: 80, IN_AUDIO: 20}),
    ],
)
def test_what_a_response_saw_is_told_apart_where_its_usage_does(details: dict[str, int], units: dict[str, int]) -> None:
    """Parts of the input, of which there is never more than the whole."""
    asked = response({"type": "input_image", "image_url": data_url("image/png", PNG)})
    usage = {"input_tokens": 100, "input_tokens_details": details, "output_tokens": 1, "total_tokens": 101}
    answer = {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-4o", "output": [], "usage": usage}
    report = OPENAI.read_answer(asked, json.dumps(answer).encode(), {})
    assert report.usage is not None
    assert {unit: count for unit, count in report.usage.units.items() if unit != OUT_TEXT} == units
    assert report.usage.prompt_total == 100


def test_models_that_read_the_same_media_beside_the_one_asked_are_counted_too() -> None:
    """A fallback may count a picture three times as high."""
    large = block(picture("image/png", 3000, 3000))
    alone = message(large, model="claude-opus-4-5").demand.input_tokens_max
    with_newer = message(large, model="claude-opus-4-5", fallbacks=[{"model": "claude-opus-5-5"}]).demand
    assert with_newer.input_tokens_max > alone + 3000
    assert with_newer.others[0].demand.input_tokens_max > alone + 3000


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "file", "file": {"file_id": "file_1"}}, "messages[0].content[1].file.file_id"),
        ({"type": "file", "file": {"file_url": "https://example.com/a.pdf"}}, "messages[0].content[1].file.file_url"),
        ({"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}, "messages[0].content[1].type"),
        ({"type": "text", "text": "a", "image_url": {"url": "https://example.com"}}, "messages[0].content[1].image_url"),
        ({**image_url("https://example.com"), "input_audio": {"data": "AAAA", "format": "wav"}}, "messages[0].content[1].input_audio"),
    ],
)
def test_what_nothing_bounds_is_refused_by_name(part: dict[str, Any], field: str) -> None:
    """With what to do instead, where something can be done."""
    with pytest.raises(CostUnbounded) as refused:
        chat(part)
    assert refused.value.facts["field"] == field
    assert ("file_" not in field) or "send its bytes" in refused.value.message


@pytest.mark.parametrize("source", [{"type": "url", "url": "https://example.com/a.pdf"}, {"type": "file", "file_id": "file_1"}])
def test_a_document_elsewhere_is_refused(source: dict[str, Any]) -> None:
    """Wherever it stands."""
    there = {"type": "document", "source": source}
    page = {"type": "web_fetch_result", "url": "https://example.com", "content": there}
    for one in (
        there,
        {"type": "tool_result", "tool_use_id": "t", "content": [there]},
        {"type": "web_fetch_tool_result", "tool_use_id": "s", "content": page},
    ):
        with pytest.raises(CostUnbounded, match="send its bytes"):
            message(one)
    for name in ("file_id", "file_url"):
        with pytest.raises(CostUnbounded, match="send its bytes"):
            response({"type": "input_file", name: "https://example.com/a.pdf"})


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url"},
        {"type": "image_url", "image_url": 5},
        image_url(""),
        image_url("ftp://example.com/a.png"),
        image_url("data:,"),
        image_url("data:image/png,AAAA"),
        image_url("data:text/plain;base64,AAAA"),
        image_url("data:image/png;base64,"),
        image_url("data:image/png;base64,%%%%"),
        image_url("data:image/png;base64,\u00e4\u00e4\u00e4\u00e4"),
        image_url("https://example.com", detail=5),
        {"type": "input_audio"},
        {"type": "input_audio", "input_audio": {"data": "AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "opus"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": 5, "format": "wav"}},
        {"type": "file"},
        {"type": "file", "file": {"filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": "data:application/pdf,AAAA"}},
        {"type": "file", "file": {"file_data": "<p>"}},
    ],
)
def test_what_is_no_medium_is_invalid(part: dict[str, Any]) -> None:
    """It would be refused by the provider, or read as something else."""
    with pytest.raises(InvalidRequest):
        chat(part)


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": "AAAA"}},
        {"type": "image", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "not base64"}},
        {"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}},
        {"type": "image", "source": {"type": "text", "data": "AAAA"}},
        {"type": "image", "source": {"type": "file"}},
        {"type": "document", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": ""}},
        {"type": "document", "source": {"type": "text", "data": 5}},
    ],
)
def test_a_wrong_source_is_invalid(wrong: dict[str, Any]) -> None:
    """By name, inside a result too."""
    for one in (wrong, {"type": "tool_result", "tool_use_id": "t", "content": [wrong]}):
        with pytest.raises(InvalidRequest):
            message(one)


HOSTILE = {
    "pixels without end": picture("image/png", 2**31 - 1, 2**31 - 1),
    "no pixels": picture("image/png", 0, 0),
    "truncated": PNG[:20],
    "another kind than declared": picture("image/gif", 3, 3),
    "a document": pdf(2),
    "noise": bytes(range(256)) * 40,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_picture_that_lies_costs_the_most_of_its_model(data: bytes) -> None:
    """Never less, and never an exception."""
    assert chat(image_url(data_url("image/png", data)), model="gpt-6-sol").demand.input_tokens_max > 75_000
    assert message(block(data)).demand.input_tokens_max > 4784
    assert message(block(data), model="claude-sonnet-4-5").demand.input_tokens_max > 1640


@pytest.mark.parametrize(
    "sound",
    [
        {"data": text(bytes(4000)), "format": "mp3"},
        {"data": text(wav(1000)), "format": "mp3"},
        {"data": text(mp3(1000)), "format": "wav"},
        {"data": text(wav(1000)[:20]), "format": "wav"},
    ],
    ids=["noise", "declared_mp3", "declared_wav", "truncated"],
)
def test_a_recording_that_lies_is_bounded_by_the_context_window(sound: dict[str, Any]) -> None:
    """A reader that is told what to look for may find hours of it behind a short header."""
    assert chat({"type": "input_audio", "input_audio": sound}).demand.input_tokens_max > WHATEVER_FITS


def test_media_are_counted() -> None:
    """More than any provider takes are not looked at."""
    small = {"type": "input_image", "image_url": data_url("image/png", picture("image/png", 1, 1))}
    assert IN_IMAGE in response(*[small] * 50).demand.input_units
    with pytest.raises(InvalidRequest, match="one medium too many"):
        response(*[small] * (limits.request_media_max + 1))
