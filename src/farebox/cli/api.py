"""The control API as commands ask it: a request, its document, or a refusal in one line. Owns no way of getting there (`wires`)."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec

from farebox.cli.failing import from_problem

_PREFIX = "/api/v1"
_PAGE = 1000
_REFUSED_FROM = 400
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Found(msgspec.Struct, frozen=True):
    """A gateway that runs: where calls go, where the control API is, and (when it is this machine's) its process."""

    url: str
    admin_url: str
    pid: int | None = None


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def document(self) -> Any:
        """What it says, whatever that is; an empty document where there is none. Numbers are exact."""
        try:
            return _decode(self.content) if self.content else {}
        except msgspec.DecodeError:
            return {}

    def good(self) -> Any:
        """Its document. Raises Failed for a refusal."""
        document = self.document()
        if self.status >= _REFUSED_FROM:
            raise from_problem(self.status, document)
        return document


Wire = Callable[[str, str, Mapping[str, str], bytes], Answer]
"""Carries one request: method, path with its query, headers, body. Raises Failed when there is nobody."""


class Api:
    """The control API. `gateway` is the one that answers, None where that is this process."""

    def __init__(self, wire: Wire, key: str, gateway: Found | None) -> None:
        self._wire = wire
        self._key = key
        self.gateway = gateway

    def get(self, path: str, **query: Any) -> Any:
        return self.ask("GET", path, query=query).good()

    def post(self, path: str, body: Any = None, *, once: str | None = None) -> Any:
        """`once` is the Idempotency-Key: asked again with it, nothing more happens and the answer is the same."""
        return self.ask("POST", path, {} if body is None else body, once=once).good()

    def put(self, path: str, body: Any) -> Any:
        return self.ask("PUT", path, body).good()

    def delete(self, path: str) -> Any:
        return self.ask("DELETE", path).good()

    def ask(self, method: str, path: str, body: Any = None, *, once: str | None = None, query: Mapping[str, Any] | None = None) -> Answer:
        """One request, and its answer whatever that says."""
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        if once:
            headers["idempotency-key"] = once
        asked = {name: str(value) for name, value in (query or {}).items() if value is not None}
        target = f"{_PREFIX}{path}?{urlencode(asked)}" if asked else f"{_PREFIX}{path}"
        return self._wire(method, target, headers, b"" if body is None else _encode(body))

    def every(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """All rows of a list, page by page."""
        cursor = None
        while True:
            page = self.get(path, cursor=cursor, limit=_PAGE, **query)
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return
