"""One key in a request, wherever it stands."""

import pytest

from farebox import limits
from farebox.dialects.base import Headers, Route
from farebox.dialects.credentials import find_key
from farebox.errors import InvalidKey

OPENAI = Route("openai", "chat_completions", "POST")
GEMINI = Route("gemini", "generate_content", "POST")


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer fb_1")],
        [(b"authorization", b"bearer   fb_1 ")],
        *([(name, b"fb_1")] for name in (b"x-api-key", b"x-goog-api-key", b"api-key", b"xi-api-key")),
        [(b"authorization", b"Bearer fb_1"), (b"x-api-key", b"fb_1")],
        [(b"x-api-key", b"fb_1"), (b"x-api-key", b"fb_1")],
        [(b"x-api-key", b""), (b"authorization", b"Bearer fb_1")],
        [(b"authorization", b""), (b"api-key", b"fb_1")],
    ],
)
def test_the_key_is_found(headers: Headers) -> None:
    """In every place an SDK puts it; the same key twice is one key; an empty header is none."""
    assert find_key(headers, b"", OPENAI) == "fb_1"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-api-key", b"")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Basic fb_1")],
        [(b"authorization", b"fb_1")],
        [(b"authorization", b"Bearer fb_1"), (b"x-api-key", b"fb_2")],
        [(b"x-api-key", b"fb_1"), (b"x-api-key", b"fb_2")],
        [(b"authorization", b"Bearer fb_1"), (b"authorization", b"Bearer fb_2")],
        [(b"x-api-key", b"fb 1")],
        [(b"x-api-key", b"fb_\x001")],
        [(b"x-api-key", b"fb_\xff")],
        [(b"x-api-key", b"x" * (limits.key_length_max + 1))],
    ],
)
def test_no_key_two_keys_and_impossible_keys_are_invalid(headers: Headers) -> None:
    """And the message does not repeat what was sent."""
    with pytest.raises(InvalidKey) as refused:
        find_key(headers, b"key=fb_1", OPENAI)
    assert "fb_" not in refused.value.message


def test_a_key_in_the_query_counts_on_gemini_routes_only() -> None:
    """There it must agree with the headers too."""
    assert find_key([], b"alt=sse&key=fb_1", GEMINI) == "fb_1"
    assert find_key([(b"x-goog-api-key", b"fb_1")], b"key=fb_1", GEMINI) == "fb_1"
    for query in (b"key=fb_2", b"key=fb_1&key=fb_2", b"&".join([b"a=1"] * 100)):
        with pytest.raises(InvalidKey):
            find_key([(b"x-goog-api-key", b"fb_1")], query, GEMINI)
