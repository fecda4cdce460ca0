"""Paths, queries, credentials and errors, whatever their bytes: each is a route or none, each error is somebody's, each refusal can be said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox import errors
from farebox.dialects import DIALECTS
from farebox.dialects.base import Route
from farebox.dialects.credentials import find_key
from farebox.dialects.openai import azure
from farebox.dialects.routes import PATHS, match, spoken
from farebox.errors import InvalidKey, MethodNotAllowed, Refusal, RouteNotFound
from fuzz import rules
from fuzz.mutations import NOISE, damaged, miswritten
from fuzz.profile import drawn
from fuzz.recorded import answers
from fuzz.spoken import SPOKEN

_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [b"x-api-key", b"x-goog-api-key", b"xi-api-key", b"api-key", b"authorization", b"anthropic-version", b"content-type"]
        ),
        st.binary(max_size=300) | st.sampled_from([b"Bearer fbx_x", b"AWS4-HMAC-SHA256 x", b"fbx_x"]),
    ),
    max_size=4,
)
_QUERY = st.binary(max_size=80) | st.lists(
    st.sampled_from([b"alt=sse", b"key=", b"%6bey=x", b"&", b"$alt=json", b"=", b"\xff", b"output_format=mp3"])
).map(b"".join)
_KNOWN_PATHS = sorted({path for paths in PATHS.values() for _, path in paths.EXACT} | {"/v1/models/gemini-2.5-flash:generateContent"})
_ODD = (
    "/",
    "//",
    "..",
    ".",
    "%2f",
    "%3A",
    ":",
    "\x00",
    "é",
    "\ud800",
    "?",
    "#",
    "models",
    "v1",
    "openai",
    "deployments",
    "x" * 300,
    "@",
    "+",
    " ",
)
_PATHS = st.one_of(
    st.text(max_size=60),
    st.tuples(st.sampled_from(_KNOWN_PATHS), st.lists(st.sampled_from(_ODD), max_size=3).map("".join)).map("".join),
    st.lists(st.sampled_from((*_KNOWN_PATHS, *_ODD)), max_size=5).map("".join),
)
_ERRORS = (b'{"error":', b'{"detail":', b'{"message":', b'{"type":"error","error":', b'[{"error":')
_REFUSALS = sorted(
    (one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Refusal)), key=lambda one: one.__name__
)


@drawn(300)
@given(method=st.sampled_from(["GET", "POST", "HEAD", "DELETE", "PUT", "\x00"]), path=_PATHS, headers=_HEADERS, query=_QUERY)
def test_any_path_is_a_route_or_none(method: str, path: str, headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    """And who refuses it is known. What is forwarded is a path of visible ASCII."""
    try:
        route = match(method, path, headers, query)
    except (RouteNotFound, MethodNotAllowed) as refusal:
        DIALECTS[spoken(path, headers)].refusal(refusal, "req_1")
        return
    assert route.method == method
    assert route.upstream_path.isascii()
    assert route.upstream_path.isprintable()
    assert ".." not in route.upstream_path
    _find_key(headers, query, route)


def _find_key(headers: list[tuple[bytes, bytes]], query: bytes, route: Route) -> None:
    try:
        key = find_key(headers, query, route)
    except InvalidKey:
        return
    assert key.isascii()
    assert key.isprintable()


@pytest.mark.parametrize("name", SPOKEN)
@drawn(60)
@given(query=_QUERY, model=st.text(max_size=30))
def test_any_query_leaves_the_path_a_path(name: str, query: bytes, model: str) -> None:
    """Whatever the client's query is, what goes upstream is one request line, with the same path and without the caller's key."""
    one = SPOKEN[name]
    ask = one.ask(one.examples[0])
    try:
        target = one.dialect.target(ask, one.route, ask.model, query)
    except Refusal as refusal:
        rules.check_refusal(one, refusal)
        return
    assert target.startswith("/")
    assert target.isascii()
    assert target.isprintable()
    assert " " not in target
    assert "#" not in target
    assert target.partition("?")[0] == one.dialect.target(ask, one.route, ask.model, b"").partition("?")[0]
    assert "key=" not in target.partition("?")[2]


@pytest.mark.parametrize("name", [name for name in SPOKEN if "@" not in name])
@drawn(40)
@given(status=st.integers(300, 599), data=st.data())
def test_any_error_is_somebodys(name: str, status: int, data: st.DataObject) -> None:
    """Whatever a provider says with it."""
    one = SPOKEN[name]
    body = data.draw(st.one_of(NOISE, st.tuples(st.sampled_from(_ERRORS), NOISE).map(b"".join), *_true_errors(name)))
    rules.check_fault(one, status, body)


def _true_errors(name: str) -> list[st.SearchStrategy[bytes]]:
    bodies = [one.body for one in answers().get(name, ()) if one.body.lstrip().startswith(b"{")][:3]
    bodies.append(
        b'{"error":{"message":"m","type":"t","code":"c","status":"S","details":[{"reason":"r"}]},"detail":{"status":"s"},"message":"m"}'
    )
    return [way for body in bodies for way in (miswritten(body), damaged(body))]


@pytest.mark.parametrize("name", SPOKEN)
def test_every_refusal_can_be_said(name: str) -> None:
    """In the words of every dialect, with facts and without, whole and as the end of each kind of stream."""
    one = SPOKEN[name]
    facts: dict[str, errors.Fact] = {"problem": "é\x00", "field": "a.b", "retry_after_s": 2, "limit": "x" * 999, "model": '"\n'}
    for refusal in _REFUSALS:
        rules.check_refusal(one, refusal())
        for example in one.examples:
            rules.check_refusal(one, refusal(**facts), one.ask(example))


@drawn(200)
@given(body=NOISE | st.binary(max_size=80), argument=st.sampled_from(["", "gpt"]))
def test_a_body_without_a_model_gets_one_only_where_it_can_be_read(body: bytes, argument: str) -> None:
    """Behind a deployment: whatever else it is, it stays so."""
    route = Route("openai", "chat_completions", "POST", argument=argument, provider="azure")
    whole = azure.whole(route, body)
    assert whole == body or (argument and b'"model":"gpt"' in whole and len(whole) > len(body))
    assert isinstance(azure.model_in(body), str)
