"""Items of responses: which of them a request names or brings back, and the most that each of an answer can be later."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox import limits
from farebox.dialects import OpenAI
from farebox.dialects.base import Ask, Made, Report
from farebox.dialects.extras import Bounds
from farebox.dialects.openai.hosts import HOSTS
from farebox.dialects.openai.responses import kept
from farebox.dialects.routes import match
from farebox.errors import AmbiguousBody, CostUnbounded, InvalidRequest
from farebox.usage import Extra

RESPONSES = match("POST", "/openai/v1/responses", [])
COUNTED = match("POST", "/openai/v1/responses/input_tokens", [])
OPENAI = OpenAI()
SAID = {"role": "user", "content": "go on"}


def asked(*items: Any, speaks: OpenAI = OPENAI, **more: Any) -> Ask:
    return speaks.ask(RESPONSES, json.dumps({"model": "gpt-5", "input": list(items), **more}).encode(), {})


def answered(*output: Any, ask: Ask | None = None, **more: Any) -> Report:
    usage = {"input_tokens": 10, "output_tokens": 70, "total_tokens": 80}
    body = {"id": "resp_1", "status": "completed", "model": "gpt-5", "output": list(output), "usage": usage, **more}
    return OPENAI.read_answer(ask or asked(SAID), json.dumps(body).encode(), {})


def message(text: str, name: str = "msg_1") -> dict[str, Any]:
    return {"type": "message", "id": name, "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}


# --- the request -------------------------------------------------------------------------------------------------------------------------

NAMED: list[tuple[dict[str, Any], str | None]] = [
    ({"type": "item_reference", "id": "x_1"}, "item"),
    ({"type": None, "id": "x_1"}, "item"),
    ({"id": "x_1"}, "item"),
    ({"type": "reasoning", "id": "x_1", "summary": []}, "item"),
    ({"type": "reasoning", "id": "x_1", "summary": [], "content": None, "encrypted_content": ""}, "item"),
    ({"type": "reasoning", "id": "x_1", "content": [{"type": "reasoning_text", "text": "hm"}]}, "recalled_item"),
    ({"type": "web_search_call", "id": "x_1", "action": {"type": "search"}}, "recalled_item"),
    ({"type": "reasoning", "id": "x_1", "encrypted_content": ["abc"]}, "item"),
    ({"type": "reasoning", "id": "x_1", "encrypted_content": "abc"}, "sealed_item"),
    ({"type": "web_search_call", "id": "x_1", "encrypted_content": "abc"}, "recalled_item"),
    ({"id": "x_1", "role": None}, "item"),
    ({"id": "x_1", "role": 7, "content": "hello"}, "item"),
    ({"type": None, "id": "x_1", "role": "user"}, "item"),
    ({"id": "x_1", "role": "user", "content": None}, "item"),
    ({"type": "message", "id": "x_1"}, "item"),
    ({"type": "message", "id": "x_1", "role": "assistant", "content": []}, "recalled_item"),
    ({"role": "assistant", "id": "x_1", "content": ""}, "recalled_item"),
    ({"type": "function_call", "id": "x_1", "call_id": "c", "name": "f", "arguments": ""}, "recalled_item"),
    ({"type": "function_call", "id": "x_1", "call_id": "c", "name": "f"}, "item"),
    ({"type": "function_call_output", "id": "x_1", "call_id": "c"}, "item"),
    ({"type": "custom_tool_call", "id": "x_1", "call_id": "c", "name": "f"}, "item"),
    ({"type": "shell_call", "id": "x_1", "call_id": "c"}, "item"),
    ({"type": "local_shell_call_output", "id": "x_1"}, "item"),
    ({"type": "function_call_output", "id": "x_1", "call_id": "c", "output": ""}, None),
    ({"type": "shell_call", "id": "x_1", "call_id": "c", "action": {"commands": ["ls"]}, "environment": {"type": "local"}}, None),
    ({"role": "user"}, None),
    ({"type": "reasoning", "summary": []}, None),
    ({"type": "message", "id": "x_1", "role": "assistant", "content": "hello"}, None),
    ({"role": "assistant", "id": "x_1", "content": "hello"}, None),
    ({"type": "function_call", "id": "x_1", "call_id": "c", "name": "f", "arguments": "{}"}, None),
]


@pytest.mark.parametrize(("item", "kind"), NAMED)
def test_what_the_provider_adds_is_named_and_bounded_by_its_window(item: dict[str, Any], kind: str | None) -> None:
    """Until it is known what that was: then by the body and that. What is in the request by itself, is not looked up."""
    ask = asked(item, SAID)
    assert ask.uses == (((kind, "x_1"),) if kind else ())
    adds = kind in ("item", "recalled_item")
    assert (ask.demand.input_tokens_max > 10**9) == adds
    assert (ask.own_input_max is not None) == adds
    body = json.dumps({"model": "gpt-5", "input": [item, SAID]}).encode()
    assert OPENAI.ask(COUNTED, body, {}).uses == ask.uses


def test_every_time_that_an_item_is_named_it_counts() -> None:
    """Nobody knows whether the provider adds it once."""
    ask = asked(*[{"type": "item_reference", "id": "x_1"}] * 3)
    assert ask.uses == (("item", "x_1"),) * 3


def test_what_stands_beside_a_reference_is_bounded_as_anywhere() -> None:
    """A lenient provider might read it: a picture costs what a picture costs."""
    picture = {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "high"}
    plain, more = [asked({"type": "item_reference", "id": "x_1", **extra}) for extra in ({}, {"content": [picture]})]
    assert plain.own_input_max is not None
    assert more.own_input_max is not None
    assert more.own_input_max > plain.own_input_max + 700


@pytest.mark.parametrize("name", [None, "", 7, ["x"], "x" * 300, "a\nb", "ü"])
@pytest.mark.parametrize("kind", ["item_reference", "reasoning"])
def test_what_cannot_be_an_id_is_refused(name: Any, kind: str) -> None:
    """A reference without one too."""
    if kind == "reasoning" and not name:
        return
    with pytest.raises(InvalidRequest, match="input"):
        asked({"type": kind, "id": name})


def test_another_spelling_of_the_id_is_refused() -> None:
    """A lenient provider might look that one up."""
    with pytest.raises(AmbiguousBody):
        asked({"type": "item_reference", "id": "x_1", "ID": "x_2"})


def test_a_request_names_a_limited_number_of_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is looked up."""
    monkeypatch.setattr(limits, "request_items_max", 3)
    assert len(asked(*[{"id": f"x_{number}"} for number in range(3)]).uses) == 3
    with pytest.raises(InvalidRequest, match="more than 3"):
        asked(*[{"id": f"x_{number}"} for number in range(4)])


def count(**named: Any) -> Ask:
    return OPENAI.ask(COUNTED, json.dumps({"model": "gpt-5", **named}).encode(), {})


def test_what_costs_nothing_names_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be asked without money, again and again: items, files, both; and no more of them is read than may be."""
    monkeypatch.setattr(limits, "request_items_max", 3)
    monkeypatch.setattr(limits, "request_objects_max", 5)
    items = [{"id": f"x_{number}"} for number in range(3)]
    files = [{"type": "input_image", "file_id": "file_1"}] * 2
    shown = {"role": "user", "content": files}
    assert len(count(input=[*items, shown]).uses) == 5
    with pytest.raises(InvalidRequest, match="more than 3 items"):
        count(input=[*items, {"id": "x_4"}, {"id": {}}])
    for more in ({"input": [*items, shown], "conversation": "conv_1"}, {"tools": [{"vector_store_ids": ["vs_1"] * 6}]}):
        with pytest.raises(InvalidRequest, match="more than 5 objects"):
            count(**more)


@pytest.mark.parametrize("kind", ["image_generation_call", "mcp_list_tools", "compaction"])
def test_what_a_setting_admits_is_looked_up_by_its_id(kind: str) -> None:
    """Whatever it says to be encrypted: only compactions are."""
    speaks = OpenAI(bounds=Bounds("openai", {f"input.{kind}": Extra(input_tokens=900)}))
    plain, sealed = [asked({"type": kind, "id": "x_1", **more}, SAID, speaks=speaks) for more in ({}, {"encrypted_content": "abc"})]
    assert plain.uses == (("recalled_item", "x_1"),)
    assert sealed.uses == (("sealed_item" if kind == "compaction" else "recalled_item", "x_1"),)


@pytest.mark.parametrize("host", sorted(HOSTS.keys() - {"azure"}))
def test_where_ids_of_items_mean_nothing_none_is_named(host: str) -> None:
    """Another host may number them: what it recalls is bounded by its context window, and what is not in the request is refused."""
    speaks = OpenAI(host=HOSTS[host])
    for item in ({"type": "item_reference", "id": "x_1"}, {"id": "x_1"}):
        with pytest.raises(CostUnbounded, match="send the item itself"):
            asked(item, speaks=speaks)
    ask = asked({"type": "reasoning", "id": "x_1", "summary": []}, SAID, speaks=speaks)
    assert (ask.uses, ask.own_input_max, ask.stores) == ((), None, ("response",))
    assert ask.demand.input_tokens_max > 10**9


def test_tools_of_the_provider_run_over_what_is_named_again_and_again() -> None:
    """And over what they found, and what was written: where that has no bound, what is recorded of the item is none."""
    tools: dict[str, Any] = {"tools": [{"type": "web_search"}], "max_tool_calls": 3}
    ask, plain = asked({"id": "x_1"}, **tools, max_output_tokens=100), asked({"id": "x_1"})
    assert (ask.uses, ask.own_runs, plain.own_runs) == ((("item", "x_1"),), 4, 1)
    assert ask.own_input_max is not None
    assert plain.own_input_max is not None
    assert 0 < ask.own_input_max - plain.own_input_max - 3 * limits.search_tokens_max - 100 < 300
    assert asked({"id": "x_1"}, **tools).own_input_max is None


# --- its answer --------------------------------------------------------------------------------------------------------------------------

CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
SEARCHED = {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "fares"}}


def size(item: Any) -> int:
    return len(json.dumps(item, separators=(",", ":"), ensure_ascii=False).encode())


@pytest.mark.parametrize(
    ("item", "tokens", "anywhere"),
    [
        (message("hello"), 5, 5),
        (message("é" * 100), 70, 200),
        ({"type": "message", "id": "msg_1", "content": [{"type": "refusal", "refusal": "no"}]}, 2, 2),
        (CALL, 70, size(CALL)),
        ({"type": "reasoning", "id": "rs_1", "summary": []}, 70, None),
        (SEARCHED, limits.search_tokens_max + size(SEARCHED), limits.search_tokens_max + size(SEARCHED)),
        ({"type": "message", "id": "msg_1", "content": [{"type": "output_audio", "data": "a"}]}, None, None),
        ({"type": "message", "id": "msg_1", "content": "hello"}, None, None),
        ({"type": "code_interpreter_call", "id": "ci_1", "code": "1"}, None, None),
        ({"type": "image_generation_call", "id": "ig_1", "result": "aaaa"}, None, None),
        ({"type": ["message"], "id": "x_1"}, None, None),
    ],
)
def test_an_item_is_at_most_what_was_written_or_what_it_shows(item: dict[str, Any], tokens: int | None, anywhere: int | None) -> None:
    """Thoughts are not shown; what tools of the provider found is not in the item; of other kinds only the id is known."""
    assert answered(item).made == (Made("item", item["id"], tokens, anywhere),)


def test_without_usage_only_bytes_bound_what_was_written() -> None:
    """And thoughts not at all."""
    made = answered(message("hello"), {"type": "reasoning", "id": "rs_1"}, usage=None).made
    assert made == (Made("item", "msg_1", 5, 5), Made("item", "rs_1"))


def test_where_nothing_was_written_by_its_usage_that_is_not_known() -> None:
    """An item that is there was written for something: zeros are no figures."""
    made = answered(message("hello"), {"type": "reasoning", "id": "rs_1"}, usage={"input_tokens": 0, "output_tokens": 0}).made
    assert made == (Made("item", "msg_1", 5, 5), Made("item", "rs_1"))


def test_normalising_may_make_more_of_what_is_read() -> None:
    """One character of three bytes is eighteen others, in a message as in what a tool is called with."""
    ligature = "\ufdfa"
    grown = len(unicodedata.normalize("NFKC", ligature).encode())
    assert answered(message(ligature)).made == (Made("item", "msg_1", grown, grown),)
    call = {**CALL, "arguments": ligature}
    (made,) = answered(call).made
    assert made.tokens_anywhere_max == size(call) + grown - len(ligature.encode())


def test_what_the_provider_added_to_a_message_counts_by_its_bytes() -> None:
    """However few tokens were written."""
    cited = [{"type": "url_citation", "url": "https://example.com/", "title": "\ufdfa"}]
    said = message("hello")
    said["content"][0]["annotations"] = cited
    bytes_max = 5 + len(unicodedata.normalize("NFKC", json.dumps(cited, separators=(",", ":"), ensure_ascii=False)).encode())
    assert bytes_max > 70
    assert answered(said).made == (Made("item", "msg_1", bytes_max, bytes_max),)


def test_what_is_nested_too_deep_to_be_measured_is_not_known() -> None:
    """Whose it is, is."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    said = message("hello")
    said["content"][0]["annotations"] = deep
    assert kept.made_of([said, {**CALL, "arguments": deep}], 5) == (Made("item", "msg_1"), Made("item", "fc_1"))


def test_what_is_not_kept_or_not_known_leaves_no_items() -> None:
    """`store` is false; the host is another; no id, or none that can be one; and of a very long output the first ones only."""
    assert answered(message("a"), ask=asked(SAID, store=False)).made == ()
    assert answered(message("a"), ask=asked(SAID, speaks=OpenAI(host=HOSTS["vllm"]))).made == ()
    for name in (None, 7, "", "x" * 300, "a\0b", "\ud800"):
        assert answered({"type": "message", "id": name, "content": []}).made == ()
    assert answered("text", 7, None, output="nothing").made == ()
    many = [message("a", f"msg_{number}") for number in range(limits.response_items_max + 5)]
    assert [made.id for made in answered(*many).made] == [one["id"] for one in many[: limits.response_items_max]]


def test_a_stream_tells_its_items_at_its_end_and_their_ids_before() -> None:
    """Where it breaks off, whose they are is still known."""
    meter = OPENAI.stream(asked(SAID, stream=True), {})

    def feed(**event: Any) -> None:
        meter.feed(b"data: " + json.dumps(event).encode() + b"\n\n")

    feed(type="response.created", response={"id": "resp_1", "status": "in_progress"})
    feed(type="response.output_item.added", item={**message(""), "content": []})
    feed(type="response.output_item.added", item={"type": "message", "id": 7})
    assert meter.report().made == (Made("item", "msg_1"),)
    ended = {"id": "resp_1", "status": "completed", "output": [message("hello")], "usage": {"input_tokens": 1, "output_tokens": 3}}
    feed(type="response.completed", response=ended)
    assert meter.report().made == (Made("item", "msg_1", 3, 5),)


@pytest.mark.parametrize(
    "end",
    [
        {"type": "response.failed", "response": {"id": "resp_1", "status": "failed", "output": [], "usage": None}},
        {"type": "response.incomplete", "response": {"id": "resp_1", "status": "incomplete", "output": [CALL], "usage": None}},
        {"type": "response.completed", "response": "nothing"},
        {"type": "response.completed"},
    ],
)
def test_an_end_that_tells_no_items_takes_none_back(end: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The client has seen those that were begun: they are still whose they were, up to as many as are remembered, each once."""
    monkeypatch.setattr(limits, "response_items_max", 2)
    meter = OPENAI.stream(asked(SAID, stream=True), {})
    for event in ({"type": "response.output_item.added", "item": one} for one in (message(""), CALL, message("", "msg_2"))):
        meter.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    meter.feed(b"data: " + json.dumps(end).encode() + b"\n\n")
    for _ in range(2):
        made = meter.report().made
        assert sorted(one.id for one in made) == ["fc_1", "msg_1"]
        assert Made("item", "msg_1") in made


def test_one_that_goes_on_in_the_background_has_no_items_yet() -> None:
    """They are told with its end."""
    report = answered(status="queued", usage=None, ask=asked(SAID, background=True))
    assert (report.poll_target, report.made) == ("/responses/resp_1", ())


@given(st.text(max_size=60), st.integers(min_value=0, max_value=100))
def test_no_message_is_bounded_below_its_own_tokens(text: str, written: int) -> None:
    """No token covers less than a byte, and no more tokens come back than were written."""
    (made,) = kept.made_of([message(text)], written)
    read = text, unicodedata.normalize("NFKC", text)
    assert made.tokens_anywhere_max == max(len(one.encode("utf-8", "surrogatepass")) for one in read)
    assert made.tokens_max == min(written or made.tokens_anywhere_max, made.tokens_anywhere_max)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_no_output_makes_it_fail(output: Any) -> None:
    """Whatever a provider says."""
    for told in (
        output,
        [output],
        [{"type": output, "id": "x_1", "content": output}],
        [{"type": "message", "id": output, "content": [output]}],
    ):
        for made in kept.made_of(told, 5):
            assert made.id.isprintable()


def test_what_a_program_prints_is_bounded_by_nothing() -> None:
    """A search finds so much and no more; of what runs in a container only the context window is known, for each time that it is read."""
    loop: dict[str, Any] = {"previous_response_id": "resp_1", "max_output_tokens": 100, "max_tool_calls": 2}
    found = asked(SAID, tools=[{"type": "web_search"}], **loop)
    ran = asked(SAID, tools=[{"type": "code_interpreter", "container": {"type": "auto"}}], **loop)
    assert found.own_input_max is not None
    assert ran.own_input_max is None
    assert ran.demand.prompts == 3


def test_how_often_a_request_is_read_is_known() -> None:
    """A mode of thinking that may read it several times is refused."""
    assert asked(SAID, reasoning={"mode": "standard", "effort": "low"}).model == "gpt-5"
    with pytest.raises(CostUnbounded, match=r"reasoning\.mode"):
        asked(SAID, reasoning={"mode": "pro"})
