"""Sends an attempt to its provider: which headers go along, and what its failure says about the bill."""

import asyncio
import zlib
from collections.abc import Awaitable
from functools import lru_cache, partial

from farebox import errors, limits
from farebox.clock import wall_clock
from farebox.dialects.base import Dialect, Route
from farebox.errors import Refusal
from farebox.exchange import Exchange, Headers
from farebox.gateway.attempt import Attempt
from farebox.gateway.turns import NotAsked, Turns
from farebox.gateway.upstream import Answer, FirstByteTimeout, IdleTimeout, Origin, Upstream, UpstreamFailed
from farebox.providers.catalogue import Catalogue, Provider
from farebox.providers.health import Turn
from farebox.providers.sigv4 import Request, sign

_REQUEST_HEADERS = frozenset((b"accept", b"user-agent"))
_TYPE = b"content-type"
_FORM = b"multipart/"
_JSON = b"application/json"
"""What every body is read as that is no form, whatever the caller calls it: another charset, or another kind of form, could be read otherwise."""
_AS_JSON = (_TYPE, _JSON)
_REQUEST_IDS = (b"x-request-id", b"request-id", b"x-generation-id", b"x-amzn-requestid")
"""Under which names providers tell the id that they know a call by."""
_ZLIB_OR_GZIP = 47
_TROUBLE_FROM = 500
_ANSWER_HEADERS = frozenset(
    (
        b"content-type",
        b"cache-control",
        b"request-id",
        b"x-request-id",
        b"retry-after",
        b"retry-after-ms",
        b"x-should-retry",
    )
)
"""What of a provider's answer is the caller's business. The rest describes the operator's account, or the connection."""
_TRY_AGAIN = (b"x-should-retry", b"true")
"""Not passed on: whether an attempt is worth another hold is for the client's own rules (providers.md §1.7)."""


class Forwarder:
    """Knows where each provider is."""

    def __init__(self, upstream: Upstream, catalogue: Catalogue) -> None:
        self._upstream = upstream
        self.turns = Turns(catalogue)
        self._places: dict[str, tuple[Origin, str]] = {}
        for provider in catalogue.providers.values():
            self._places[provider.name] = Origin.from_url(provider.base_url, proxy=provider.proxy, ca_file=provider.ca_file)

    def send(
        self,
        provider: Provider,
        dialect: Dialect,
        route: Route,
        target: str,
        exchange: Exchange,
        body: bytes,
        turn: Turn | None = None,
        *,
        first_byte_s: float | None = None,
    ) -> Awaitable[Answer]:
        """The provider's answer, once its head is there; `target` is the path behind its base URL, `turn` what was taken for it before.
        Raises UpstreamFailed; after `first_byte_s` without a head, if that is given.
        """
        turn = turn or self.turns.take(provider)
        headers = request_headers(exchange, turn, dialect)
        return self._send(turn, route.method.encode(), target, headers, body, first_byte_s)

    def ask(self, turn: Turn, target: str, *, first_byte_s: float) -> Awaitable[Answer]:
        """The provider's answer to a question of the gateway's own. Raises UpstreamFailed."""
        headers = [(b"accept", b"application/json"), *turn.credential]
        return self._send(turn, b"GET", target, headers, b"", first_byte_s)

    async def _send(self, turn: Turn, method: bytes, target: str, headers: Headers, body: bytes, first_byte_s: float | None) -> Answer:
        """Sends, and tells the provider's health what came of it."""
        provider, turns = turn.provider, self.turns
        origin, base = self._places[provider.name]
        path = (base + target).encode()
        if provider.aws is not None:
            host = (b"host", origin.host_header.encode())
            headers += sign(provider.aws, Request(method, path, [host, *headers], body), wall_clock())
        steady = turn is turns.health[provider.name].steady
        reached = None if steady else partial(turns.reached, turn)
        try:
            answer = await self._upstream.send(origin, method, path, headers, body, first_byte_s=first_byte_s, reached=reached)
        except UpstreamFailed as failure:
            turns.failed(turn, failure)
            raise
        except asyncio.CancelledError:
            turns.left(turn)
            raise
        if answer.status >= _TROUBLE_FROM or turn is not turns.health[provider.name].steady:
            turns.answered(turn, answer.status)
        return answer


def request_headers(exchange: Exchange, turn: Turn, dialect: Dialect) -> Headers:
    """What of the caller's headers goes along, and the provider's credential."""
    forwards, given = dialect.forwards, exchange.headers
    if forwards:
        headers = [pair for pair in given if pair[0] in _REQUEST_HEADERS or pair[0].startswith(forwards)]
    else:
        headers = [pair for pair in given if pair[0] in _REQUEST_HEADERS]
    said = exchange.named.get(_TYPE)
    if said is not None:
        headers.append(_AS_JSON if said == _JSON or said[:10].lower() != _FORM else (_TYPE, said))
    headers += turn.credential
    return headers


def answer_headers(answer: Answer, dialect: Dialect, upstream_id: bytes, answer_type: str = "") -> Headers:
    """What of the provider's headers the caller gets, its request id also under a name of ours. `answer_type`: in place of its own."""
    wanted = _wanted(dialect.returns)
    headers = [pair for pair in answer.headers if pair[0] in wanted]
    if _TRY_AGAIN in headers:
        headers = [pair for pair in headers if pair != _TRY_AGAIN]
    if answer_type:
        headers = [pair for pair in headers if pair[0] != b"content-type"] + [(b"content-type", answer_type.encode())]
    if upstream_id:
        headers.append((b"x-upstream-request-id", upstream_id))
    return headers


@lru_cache(maxsize=16)
def _wanted(returns: frozenset[bytes]) -> frozenset[bytes]:
    """What callers of a dialect get."""
    return _ANSWER_HEADERS | returns


def readable(answer: Answer, body: bytes) -> bytes | None:
    """An error body as text: a host may compress it though identity was asked for. None where it cannot be read, or is too large."""
    encoding = (answer.header(b"content-encoding") or b"identity").strip().lower()
    if encoding == b"identity":
        return body
    if encoding not in (b"gzip", b"deflate"):
        return None
    reader = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        text = reader.decompress(body, limits.error_body_bytes_max)
    except zlib.error:
        return None
    return text if reader.eof else None


def upstream_request_id(answer: Answer) -> bytes:
    """The id that the provider knows the call by, cut to what is kept of it; empty where it tells none."""
    for name in _REQUEST_IDS:
        told = answer.header(name)
        if told:
            return told[: limits.upstream_request_id_bytes_max]
    return b""


def note(failure: UpstreamFailed, attempt: Attempt) -> None:
    """Tells the attempt what a failure says about its bill: nothing, if no byte of the request can have been seen."""
    attempt.failure = name_of(failure)
    if not failure.may_have_billed:
        attempt.outcome = "not_billed"


def name_of(failure: UpstreamFailed) -> str:
    """The failure's name in charges and logs."""
    return _NAMES.get(type(failure).__name__, "upstream_failed")


def refusal_of(failure: UpstreamFailed, provider: str, *, costs: bool = True) -> Refusal:
    """What the caller is told of a failed attempt, on a route that costs something or on one that does not."""
    if isinstance(failure, NotAsked) and failure.account:
        return errors.UpstreamAccount(provider=provider, retry_after_s=failure.retry_after_s)
    billed = costs and failure.may_have_billed
    facts: dict[str, errors.Fact] = {
        "provider": provider,
        "problem": failure.problem,
        "may_have_charged": billed,
        "charged": "The call may have been billed and was charged." if billed else "Nothing was charged.",
    }
    if isinstance(failure, NotAsked):
        facts["retry_after_s"] = failure.retry_after_s
    if isinstance(failure, FirstByteTimeout | IdleTimeout):
        return errors.UpstreamTimeout(**facts)
    return errors.UpstreamBadResponse(**facts) if failure.answered or failure.may_have_billed else errors.UpstreamUnreachable(**facts)


_NAMES = {
    "NotAsked": "not_asked",
    "PoolExhausted": "pool_exhausted",
    "ConnectFailed": "connect_failed",
    "NotAnswered": "not_answered",
    "FirstByteTimeout": "first_byte_timeout",
    "BadAnswer": "bad_answer",
    "IdleTimeout": "idle_timeout",
    "CutShort": "cut_short",
}
