import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.gateway.upstream import Origin, request
from farebox.gateway.upstream.request import RequestForm

FORM = RequestForm(Origin("https", "api.example", 443))


class Seen:
    """What a server's parser makes of a head."""

    def __init__(self, head: bytes) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.heads = 0
        httptools.HttpRequestParser(self).feed_data(head)

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.heads += 1


def test_head_is_byte_exact() -> None:
    """Host, identity encoding and length are ours; the caller's headers follow as given."""
    assert FORM.head(b"POST", b"/v1/x?y=1", [(b"Authorization", b"Bearer k"), (b"x-a", b"")], 7) == (
        b"POST /v1/x?y=1 HTTP/1.1\r\nhost: api.example\r\naccept-encoding: identity\r\n"
        b"Authorization: Bearer k\r\nx-a: \r\ncontent-length: 7\r\n\r\n"
    )


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"OPTIONS"])
def test_request_without_body_names_no_length(method: bytes) -> None:
    """A GET has no Content-Length, a POST has one even when it is empty."""
    assert b"content-length" not in FORM.head(method, b"/", [], 0)
    assert b"content-length: 3\r\n" in FORM.head(method, b"/", [], 3)
    assert b"content-length: 0\r\n" in FORM.head(b"POST", b"/", [], 0)


@pytest.mark.parametrize(
    "name", [b"Host", b"content-LENGTH", b"Transfer-Encoding", b"Accept-Encoding", b"Connection", b"Expect", b"Upgrade", b"TE"]
)
def test_headers_of_the_connection_are_ours(name: bytes) -> None:
    """A caller's Host, length or encoding is left out, in whatever case it is written."""
    assert FORM.head(b"GET", b"/", [(name, b"gzip")], 0) == FORM.head(b"GET", b"/", [], 0)


@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\0", b"\r\n", b"\r\nx-smuggled: 1"])
@pytest.mark.parametrize("where", [b"%b", b"a%b", b"%ba", b"a%bb"])
def test_line_ends_and_nul_are_refused_everywhere(byte: bytes, where: bytes) -> None:
    """CR, LF or NUL in a name, a value or the target is a ValueError: no head is made of it."""
    bad = where % byte
    for method, target, headers in [
        (b"GET", b"/", [(b"x-a", bad)]),
        (b"GET", b"/", [(bad, b"a")]),
        (b"GET", b"/", [(b"host", bad)]),
        (b"GET", b"/" + bad, []),
        (b"GET" + bad, b"/", []),
    ]:
        with pytest.raises(ValueError, match=r".+"):
            FORM.head(method, target, headers, 0)


@pytest.mark.parametrize("target", [b"", b"v1", b"http://other/", b"/a b", b"/a#b", b"/\xc3\xa4", b"/\x7f", b"/\t", b"*"])
def test_target_is_a_path_on_this_origin(target: bytes) -> None:
    """A target that is not a plain path and query is refused: it could name another host, or end the request line."""
    with pytest.raises(ValueError, match="target"):
        FORM.head(b"GET", target, [], 0)


@pytest.mark.parametrize("method", [b"", b"get", b"CONNECT", b"TRACE", b"GET ", b"BREW"])
def test_methods_that_are_not_sent_are_refused(method: bytes) -> None:
    """Only methods of the APIs; above all no CONNECT."""
    with pytest.raises(ValueError, match="method"):
        FORM.head(method, b"/", [], 0)


@given(
    target=st.binary(max_size=20),
    headers=st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=12)), max_size=4),
)
def test_any_head_is_refused_or_read_by_a_server_as_it_was_meant(target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """No bytes given to a head can make a second head, another target, or a header that was not in the list."""
    ours = {b"host", b"accept-encoding", b"content-length", b"te", b"upgrade", b"trailer", b"expect", b"connection"}
    try:
        head = FORM.head(b"GET", b"/" + target, headers, 0)
    except ValueError:
        return
    try:
        seen = Seen(head)
    except httptools.HttpParserError:  # control characters in a value: a strict server refuses what a line end cannot be made of
        assert any(byte < 0x20 or byte == 0x7F for _, value in headers for byte in value)
        return
    assert seen.heads == 1
    assert seen.target == b"/" + target
    passed = [(name, value.strip(b" \t")) for name, value in headers if name.lower() not in ours]
    assert [(name, value.strip(b" \t")) for name, value in seen.headers[2:]] == passed


def test_plain_http_through_a_proxy_is_in_absolute_form() -> None:
    """RFC 9112 3.2.2: the proxy is told the whole URL and gets its credential; Host stays the origin's."""
    form = RequestForm(Origin("http", "api.example", 8000, proxy="http://u:p@proxy:3128"))
    assert form.head(b"GET", b"/x", [], 0) == (
        b"GET http://api.example:8000/x HTTP/1.1\r\nhost: api.example:8000\r\naccept-encoding: identity\r\n"
        b"proxy-authorization: Basic dTpw\r\n\r\n"
    )


def test_tls_through_a_proxy_shows_the_provider_no_proxy_credential() -> None:
    """Inside the tunnel the request is as without a proxy."""
    tunnelled = RequestForm(Origin("https", "api.example", 443, proxy="http://u:p@proxy:3128"))
    assert tunnelled.head(b"GET", b"/x", [], 0) == FORM.head(b"GET", b"/x", [], 0)


def test_what_is_remembered_is_bounded_and_says_the_same() -> None:
    """A head made the second time is the first one; other values and targets, or long ones, take no more memory for ever."""
    form = RequestForm(Origin("https", "api.example", 443))
    for number in range(3000):
        pairs = [(b"x-a", b"%d" % number), (b"x-b", b"y" * 1000)]
        target = b"/v1/%d" % number
        assert form.head(b"POST", target, pairs, 1) == form.head(b"POST", target, pairs, 1)
    kept = [*form._openings.values(), *request._lines.values()]
    assert len(kept) <= 2 * 1024
    assert max(map(len, kept)) <= 512
