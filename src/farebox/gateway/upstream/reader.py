"""From the bytes of a connection to responses. Owns what counts as a readable response; does no I/O and keeps no time.

`feed` takes what came and gives the body bytes in it. What it learned is in the public attributes. A response is refused
(`problem`) when two readers could disagree about where it ends, or when it goes beyond a limit.
"""

import re

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"keep-alive"})
_KEEP_ALIVE_TIMEOUT = re.compile(rb"(?:^|[ ,;])timeout=([0-9]{1,6})(?:$|[ ,;])", re.IGNORECASE)
_KEEP_ALIVE_BYTES_MAX = 64
_LENGTH_DIGITS_MAX = 18
_VERSIONS = frozenset({"1.0", "1.1"})
_USUAL = b"HTTP/1.1 "
"""How a response begins whose version need not be asked for: httptools writes it out anew each time."""
_FINAL = 200
_SWITCHING = 101
_LOWEST = 100
_NO_BODY = frozenset({204, 304})


class _Refused(Exception):
    """This response is not read further."""


class Reader:
    """Reads one response after the other from one connection. `expect` before each."""

    __slots__ = (
        "_bodiless",
        "_chunked",
        "_head_bytes_max",
        "_headers_max",
        "_length",
        "_parser",
        "_parser_done",
        "_pieces",
        "_quiet_bytes",
        "_until_close",
        "_usual",
        "_version",
        "complete",
        "headers",
        "keep_alive_s",
        "named",
        "problem",
        "reusable",
        "status",
    )

    def __init__(self, head_bytes_max: int, headers_max: int) -> None:
        self._head_bytes_max = head_bytes_max
        self._headers_max = headers_max
        self._parser = HttpResponseParser(self)
        self._parser_done = True
        self._pieces: list[bytes] = []
        self.named: dict[bytes, bytes] = {}
        """The last value of each header of a response whose status is known."""
        self.expect(bodiless=False)

    def expect(self, *, bodiless: bool) -> None:
        """Ready for the next response; `bodiless` if it answers a HEAD."""
        if not self._parser_done:  # it still waits for the body that the answer to a HEAD only announces
            self._parser = HttpResponseParser(self)
        self._parser_done = False
        self._bodiless = bodiless
        self._chunked = self._until_close = False
        self._length = -1
        self._version = ""
        self._usual: bool | None = None
        self._quiet_bytes = 0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = self.reusable = False
        self.keep_alive_s: int | None = None
        self.problem: str | None = None

    def feed(self, data: bytes) -> bytes:
        """The body bytes in what came, in one piece; b"" if none. Look at `status`, `complete` and `problem` afterwards."""
        self._quiet_bytes += len(data)
        if self._usual is None:
            self._usual = data[: len(_USUAL)] == _USUAL
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.reusable = False
            if not self.complete and self.problem is None:
                self.problem = f"unreadable response: {error}"
        pieces = self._pieces
        if not pieces:
            if self._quiet_bytes > self._head_bytes_max and not self.complete and self.problem is None:
                self.problem = "the response head or the framing between its pieces is too large"
            return b""
        self._quiet_bytes = 0
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body

    def end_of_input(self) -> bool:
        """The other side will send no more: whether that is this response's proper end."""
        if self.status and self._until_close and self.problem is None:
            self.complete = True
        return self.complete

    # --- called by the parser -------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            raise _Refused  # bytes after the end: the answer stands, the connection does not

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:
            return  # a trailer
        name = name.lower()
        value = value.rstrip(b" \t")
        if name in _FRAMING:
            self._note(name, value)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < _FINAL:
            self._interim(status)
            return
        if len(self.headers) > self._headers_max:
            self._refuse("the response has too many headers")
        self._version = "1.1" if self._usual else self._parser.get_http_version()
        if self._version not in _VERSIONS:
            self._refuse("the response is not HTTP/1")
        # Only when more than the limit has come at all can the head be larger than it.
        if self._quiet_bytes > self._head_bytes_max < sum(len(name) + len(value) for name, value in self.headers):
            self._refuse("the response head is too large")
        self.status, self.named = status, dict(self.headers)
        self._quiet_bytes = 0
        if self._bodiless or status in _NO_BODY:
            self._end()
        elif self._length < 0 and not self._chunked:
            self._until_close = True

    def on_body(self, body: bytes) -> None:
        if self.complete:
            self.reusable = False
        else:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self.status:  # else an interim response
            self._parser_done = True
            if not self.complete:
                self._end()

    # --- rules ----------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        self.complete = True
        self.reusable = self._parser.should_keep_alive() and not (self._chunked and self._version == "1.0")

    def _interim(self, status: int) -> None:
        if status < _LOWEST:
            self._refuse("the response has no valid status")
        if status == _SWITCHING:
            self._refuse("the response changes the protocol, which was not asked for")
        if self._length >= 0 or self._chunked:
            self._refuse("an interim response announces a body")
        self._usual = False  # that was this one: the version of the next is another question
        self.headers = []
        self.keep_alive_s = None

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            # One length or one transfer coding, once: a second opinion on where a body ends is how responses are smuggled.
            if self._length >= 0 or self._chunked or not value.isdigit() or len(value) > _LENGTH_DIGITS_MAX:
                self._refuse("the response's Content-Length is invalid or contradicted")
            self._length = int(value)
        elif name == b"transfer-encoding":
            if self._length >= 0 or self._chunked or value.lower() != b"chunked":
                self._refuse("the response's Transfer-Encoding is not understood or contradicted")
            self._chunked = True
        elif len(value) <= _KEEP_ALIVE_BYTES_MAX and (found := _KEEP_ALIVE_TIMEOUT.search(value)):
            self.keep_alive_s = int(found[1])

    def _refuse(self, problem: str) -> None:
        self.problem = problem
        raise _Refused
