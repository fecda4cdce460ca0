"""Routes that cost nothing: passed on under a key that may use their model, and nothing of them is metered."""

import json

import pytest

from farebox.dialects import OpenAI
from farebox.dialects.routes import match
from farebox.errors import AmbiguousBody, InvalidRequest

OPENAI = OpenAI()
MODERATIONS = match("POST", "/v1/moderations", [])


@pytest.mark.parametrize("path", ["/v1/moderations", "/openai/v1/moderations", "/v1/responses/input_tokens"])
def test_the_routes_are_free(path: str) -> None:
    """They hold nothing."""
    assert match("POST", path, []).kind == "free"


def test_a_moderation_without_a_model_is_nobodys() -> None:
    """The provider chooses one; where one is named it is the one that is asked about."""
    assert OPENAI.ask(MODERATIONS, b'{"input":"x"}', {}).model == ""
    body = b'{"model":"openai/omni-moderation-latest","input":["x"]}'
    read = OPENAI.ask(MODERATIONS, body, {})
    assert read.model == "openai/omni-moderation-latest"
    assert OPENAI.rewrite(read, body, model="omni-moderation-latest", output_cap=None) == body.replace(b"openai/", b"")
    assert OPENAI.rewrite(read, body, model=None, output_cap=None) is body


def test_no_model_is_put_into_a_request_without_one() -> None:
    """A name that is empty is none."""
    body = b'{"input":"x"}'
    assert OPENAI.rewrite(OPENAI.ask(MODERATIONS, body, {}), body, model="", output_cap=None) is body


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model":5}', b'{"model":""}', b'{"model":"a\\u0000"}', b"\xff"])
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    """As on every route."""
    with pytest.raises(InvalidRequest):
        OPENAI.ask(MODERATIONS, body, {})


def test_another_spelling_of_the_model_is_refused() -> None:
    """A lenient host might take it for the model that the key may not use."""
    with pytest.raises(AmbiguousBody):
        OPENAI.ask(MODERATIONS, b'{"model":"a","Model":"b"}', {})


def test_objects_that_are_counted_must_be_the_accounts_own() -> None:
    """Else the count would tell of another customer's data."""
    route = match("POST", "/v1/responses/input_tokens", [])
    body = {"model": "gpt-6-sol", "previous_response_id": "resp_1", "conversation": {"id": "conv_1"}}
    assert OPENAI.ask(route, json.dumps(body).encode(), {}).uses == (("response", "resp_1"), ("conversation", "conv_1"))
    assert OPENAI.ask(route, json.dumps({**body, "conversation": "conv_2", "previous_response_id": None}).encode(), {}).uses == (
        ("conversation", "conv_2"),
    )


def test_files_within_what_is_counted_must_be_the_accounts_own() -> None:
    """In a part, in a tool's answer, in a tool: an id is an id wherever it stands."""
    route = match("POST", "/v1/responses/input_tokens", [])
    body = {
        "model": "gpt-6-sol",
        "input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}, {"type": "input_file", "file_id": "file-2"}]}],
        "tools": [
            {"type": "file_search", "vector_store_ids": ["vs_1"]},
            {"type": "code_interpreter", "container": {"file_ids": ["file-3"]}},
        ],
    }
    uses = OPENAI.ask(route, json.dumps(body).encode(), {}).uses
    assert sorted(uses) == [("file", "file-1"), ("file", "file-2"), ("file", "file-3"), ("vector_store", "vs_1")]


def test_every_answer_is_an_answer() -> None:
    """Nothing of it is read, whole or in pieces."""
    read = OPENAI.ask(MODERATIONS, b'{"input":"x"}', {})
    assert OPENAI.read_answer(read, b"\xff", {}).finished
    meter = OPENAI.stream(read, {})
    meter.feed(b"\xff")
    meter.close()
    assert (meter.held_back, meter.finished) == (b"\xff", True)
