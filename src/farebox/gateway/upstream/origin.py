"""Where a request goes: scheme, host, port, and the way there. Owns reading such URLs; opens nothing."""

import base64
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(msgspec.Struct, frozen=True, cache_hash=True, repr_omit_defaults=True):
    """One upstream address. Connections are pooled by the whole of it, so two origins that differ in proxy or CA never share one."""

    scheme: str
    host: str
    port: int
    proxy: str | None = None
    ca_file: str | None = None

    @classmethod
    def from_url(cls, url: str, *, proxy: str | None = None, ca_file: str | None = None) -> tuple[Self, str]:
        """The origin and base path (no slash at its end) of a base URL such as `https://api.openai.com/v1`. ValueError if it is not one."""
        parts = _split(url)
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment or "?" in url or "#" in url:
            raise ValueError("a base URL has no user, query or fragment")
        if not all("!" <= letter <= "~" for letter in parts.path):
            raise ValueError("the path of a base URL is plain ASCII without spaces: percent-encode the rest")
        if proxy is not None:
            Proxy.from_url(proxy)
        port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        return cls(parts.scheme, _host(parts), port, proxy, ca_file), parts.path.rstrip("/")

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """`host:port`, always with the port, an IPv6 address in brackets."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def host_header(self) -> str:
        """What `Host` says: without the port where it is the scheme's own."""
        return _bracketed(self.host) if self.port == _DEFAULT_PORTS.get(self.scheme) else self.authority

    def __repr__(self) -> str:
        """Without the proxy, whose URL may hold a password."""
        return f"Origin({self.scheme}://{self.authority})"


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy on the way: its address, and the credential it wants."""

    host: str
    port: int
    authorization: bytes | None

    @classmethod
    def from_url(cls, url: str) -> Self:
        """`http://[user:password@]host:port`. ValueError if it is not one; the message never holds the URL, whose password is a secret."""
        parts = _split(url)
        if parts.scheme != "http" or parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise ValueError("an outbound proxy is http://[user:password@]host:port")
        authorization = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = b"Basic " + base64.b64encode(pair.encode())
        return cls(_host(parts), _DEFAULT_PORTS["http"] if parts.port is None else parts.port, authorization)


def _split(url: str) -> SplitResult:
    if any(letter <= " " or letter == "\x7f" for letter in url):
        raise ValueError("a URL has no spaces or control characters")
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("a URL here starts with http:// or https://")
    if parts.port == 0:
        raise ValueError("port 0 cannot be connected to")
    return parts


def _host(parts: SplitResult) -> str:
    host = parts.hostname
    if not host:
        raise ValueError("a URL names a host")
    if ":" not in host:
        host = host.encode("idna").decode("ascii")
    if not all(letter.isalnum() or letter in "-._:" for letter in host):
        raise ValueError("the host of a URL is a name or an address")
    return host


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
