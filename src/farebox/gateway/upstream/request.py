"""The bytes of a request head. Owns what may be in one; sends nothing.

A head is refused (ValueError) before any I/O when a byte in it could be read as the end of a line, because the reader behind it
would then see headers, or a second request, that were never checked or paid for.
"""

from farebox.gateway.upstream.origin import Origin, Proxy

_METHODS = frozenset({b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS"})
_WITHOUT_BODY = frozenset({b"GET", b"DELETE", b"HEAD", b"OPTIONS"})
_TARGET_BYTES = bytes(byte for byte in range(0x21, 0x7F) if byte != ord("#"))
_NAME_BYTES = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OURS = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"accept-encoding",
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authorization",
        b"expect",
        b"upgrade",
        b"te",
        b"trailer",
    }
)
_KEPT_MAX = 1024
_KEPT_BYTES_MAX = 512
"""Of what is checked once and then remembered: how much of it, and how long. Bounded, because names, values and targets may come from callers."""
_lines: dict[tuple[bytes, bytes], bytes] = {}
"""Headers checked before, as they are written."""


class RequestForm:
    """What all requests to one origin have in common, made once."""

    __slots__ = ("_after_target", "_before_target", "_openings")

    def __init__(self, origin: Origin) -> None:
        absolute, credential = "", b""
        if origin.proxy is not None and not origin.secure:
            absolute = f"http://{origin.host_header}"
            authorization = Proxy.from_url(origin.proxy).authorization
            credential = b"proxy-authorization: " + authorization + b"\r\n" if authorization else b""
        self._before_target = b" " + absolute.encode("ascii")
        self._after_target = b" HTTP/1.1\r\nhost: " + origin.host_header.encode("ascii") + b"\r\naccept-encoding: identity\r\n" + credential
        self._openings: dict[tuple[bytes, bytes], bytes] = {}
        """How requests begin, by their method and target: the same few come again and again."""

    def head(self, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body_bytes: int) -> bytes:
        """The whole head. Headers that belong to the connection (`_OURS`) are set here; a caller's are left out. ValueError as above."""
        opening = self._openings.get((method, target)) or self._opening(method, target)
        lines = [_lines.get(pair) or _line(*pair) for pair in headers]
        has_body = body_bytes or method not in _WITHOUT_BODY
        return b"".join((opening, *lines, b"content-length: %d\r\n\r\n" % body_bytes if has_body else b"\r\n"))

    def _opening(self, method: bytes, target: bytes) -> bytes:
        """The request line, and the headers that are the same in every request."""
        if method not in _METHODS:
            raise ValueError("this method is not sent upstream")
        if target[:1] != b"/" or target.translate(None, _TARGET_BYTES):
            raise ValueError("a request target starts with / and has no space, control character, fragment or byte beyond ASCII")
        opening = method + self._before_target + target + self._after_target
        _keep(self._openings, (method, target), opening)
        return opening


def _line(name: bytes, value: bytes) -> bytes:
    """A header as it is written; nothing of one that is ours to set. ValueError when it must not be written."""
    if not name or name.translate(None, _NAME_BYTES):
        raise ValueError("a header name has a character that it must not have")
    if b"\n" in value or b"\r" in value or b"\0" in value:
        raise ValueError("a header value has CR, LF or NUL in it")
    if name.lower() in _OURS:
        return b""
    line = name + b": " + value + b"\r\n"
    _keep(_lines, (name, value), line)
    return line


def _keep(kept: dict[tuple[bytes, bytes], bytes], of: tuple[bytes, bytes], checked: bytes) -> None:
    """Remembers what was checked; begins anew when that is too much, because what comes every time is soon there again."""
    if len(checked) > _KEPT_BYTES_MAX:
        return
    if len(kept) >= _KEPT_MAX:
        kept.clear()
    kept[of] = checked
