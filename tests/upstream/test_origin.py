import pytest

from farebox.gateway.upstream import Origin
from farebox.gateway.upstream.origin import Proxy


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("https://api.openai.com/v1", Origin("https", "api.openai.com", 443), "/v1"),
        ("https://api.openai.com/v1/", Origin("https", "api.openai.com", 443), "/v1"),
        ("http://127.0.0.1:8080", Origin("http", "127.0.0.1", 8080), ""),
        ("HTTPS://API.Example.COM/", Origin("https", "api.example.com", 443), ""),
        ("http://[::1]:99/a/b", Origin("http", "::1", 99), "/a/b"),
        ("https://bücher.example/v1", Origin("https", "xn--bcher-kva.example", 443), "/v1"),
    ],
)
def test_base_url_is_read_into_origin_and_path(url: str, origin: Origin, path: str) -> None:
    """Ports default by scheme, names are lower case and in their wire form, the path has no slash at its end."""
    assert Origin.from_url(url) == (origin, path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com",
        "ftp://a",
        "https://",
        "https:///v1",
        "https://user@a",
        "https://a/?",
        "https://a/?q=1",
        "https://a/#f",
        "https://a:0",
        "https://a:99999",
        "https://a:b",
        "https://a b",
        "https://a/\r\nx: y",
        "https://a\n.com",
        "https://a/ä",
        "https://a%00b",
        "https://a/\x7f",
        "https://" + "a" * 70 + ".com",
    ],
)
def test_what_is_not_a_base_url_is_refused(url: str) -> None:
    """Anything but scheme, host, port and a plain path is a ValueError, not a guess."""
    with pytest.raises(ValueError, match=r".+"):
        Origin.from_url(url)


def test_host_header_leaves_out_only_the_schemes_own_port() -> None:
    """RFC 9110 7.2: the port is part of Host unless it is the default one; an IPv6 address stands in brackets."""
    assert Origin("https", "a", 443).host_header == "a"
    assert Origin("https", "a", 80).host_header == "a:80"
    assert Origin("http", "::1", 81).host_header == "[::1]:81"
    assert Origin("http", "::1", 80).authority == "[::1]:80"


def test_proxy_is_read_with_its_credential() -> None:
    """User and password are percent-decoded, then sent as Basic."""
    assert Proxy.from_url("http://us%40er:p%3Aw@proxy:3128") == Proxy("proxy", 3128, b"Basic dXNAZXI6cDp3")
    assert Proxy.from_url("http://proxy") == Proxy("proxy", 80, None)


@pytest.mark.parametrize("url", ["https://proxy", "socks5://proxy", "http://proxy/path", "http://", "http://proxy?x=1"])
def test_what_is_not_a_proxy_is_refused_when_the_origin_is_read(url: str) -> None:
    """A proxy that cannot be used is found at start-up, and the message does not repeat its URL."""
    with pytest.raises(ValueError, match=r".+") as refused:
        Origin.from_url("https://a", proxy=url)
    assert url not in str(refused.value)


def test_origin_does_not_show_the_proxys_password() -> None:
    """What ends up in a log line holds no secret."""
    origin, _ = Origin.from_url("https://a", proxy="http://me:hunter2@proxy:1")
    assert "hunter2" not in repr(origin)
    assert "hunter2" not in str(origin)
