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
_names: dict[bytes, bool] = dict.fromkeys(_OURS, False)
"""Header names seen: whether a caller's is passed on. Bounded, because names may come from callers."""
_NAMES_MAX = 1024


class RequestForm:
    """What all requests to one origin have in common, made once."""

    __slots__ = ("_after_target", "_before_target")

    def __init__(self, origin: Origin) -> None:
        absolute, credential = "", b""
        if origin.proxy is not None and not origin.secure:
            absolute = f"http://{origin.host_header}"
            authorization = Proxy.from_url(origin.proxy).authorization
            credential = b"proxy-authorization: " + authorization + b"\r\n" if authorization else b""
        self._before_target = b" " + absolute.encode("ascii")
        self._after_target = b" HTTP/1.1\r\nhost: " + origin.host_header.encode("ascii") + b"\r\naccept-encoding: identity\r\n" + credential

    def head(self, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body_bytes: int) -> bytes:
        """The whole head. Headers that belong to the connection (`_OURS`) are set here; a caller's are left out. ValueError as above."""
        if method not in _METHODS:
            raise ValueError("this method is not sent upstream")
        if target[:1] != b"/" or target.translate(None, _TARGET_BYTES):
            raise ValueError("a request target starts with / and has no space, control character, fragment or byte beyond ASCII")
        parts = [method, self._before_target, target, self._after_target]
        for name, value in headers:
            if _names.get(name) or _judge(name):
                parts += (name, b": ", value, b"\r\n")
        values = b"".join([value for _, value in headers])
        if b"\n" in values or b"\r" in values or b"\0" in values:
            raise ValueError("a header value has CR, LF or NUL in it")
        has_body = body_bytes or method not in _WITHOUT_BODY
        parts.append(b"content-length: %d\r\n\r\n" % body_bytes if has_body else b"\r\n")
        return b"".join(parts)


def _judge(name: bytes) -> bool:
    """Whether a name is passed on: slower, for those not known to be. ValueError when it is not a header name."""
    if not name or name.translate(None, _NAME_BYTES):
        raise ValueError("a header name has a character that it must not have")
    passes = name.lower() not in _OURS
    if len(_names) < _NAMES_MAX:
        _names[name] = passes
    return passes
