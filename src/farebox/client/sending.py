"""What both clients do alike: where the gateway is, how a request is put on the wire, what is tried again, what an answer is."""

import os
from typing import TypeVar

import httpx

from farebox.client.asks import Ask
from farebox.client.errors import Unreachable, refused

T = TypeVar("T")
URL = "http://127.0.0.1:8080"
ATTEMPTS_MAX = 4
TIMEOUT_S = 30.0
_PAUSE_S = 0.2
_REFUSED_FROM = 400
_UNAVAILABLE = 503


def place(url: str | None, key: str | None) -> tuple[str, dict[str, str]]:
    """The API's base URL and the headers of every request. Raises ValueError when there is no key."""
    secret = key or os.environ.get("FAREBOX_ADMIN_KEY")
    if not secret:
        raise ValueError("a key is needed: pass `key`, or set FAREBOX_ADMIN_KEY")
    base = (url or os.environ.get("FAREBOX_URL") or URL).rstrip("/")
    return f"{base}/api/v1", {"authorization": f"Bearer {secret}"}


def headers(ask: Ask[T]) -> dict[str, str]:
    """Of one request."""
    made = {} if ask.content is None else {"content-type": "application/json"}
    return made | {"idempotency-key": ask.once} if ask.once else made


def tried_again(answer: httpx.Response | None, attempt: int) -> bool:
    """Whether an attempt is followed by another: nobody answered, or the gateway cannot now. Every request is safe to repeat."""
    return attempt < ATTEMPTS_MAX and (answer is None or answer.status_code == _UNAVAILABLE)


def pause_s(attempt: int) -> float:
    """How long to wait before the next one."""
    return _PAUSE_S * (1 << (attempt - 1))


def result(ask: Ask[T], answer: httpx.Response | None, problem: Exception | None) -> T:
    """What was answered. Raises Refused, or Unreachable."""
    if answer is None:
        raise Unreachable(f"{ask.method} {ask.path}: {problem!r}") from problem
    if answer.status_code >= _REFUSED_FROM:
        raise refused(answer.status_code, answer.content)
    return ask.read(answer.content)
