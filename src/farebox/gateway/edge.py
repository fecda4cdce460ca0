"""The data plane as one callable: which route, whose words, and what is said when something is refused or breaks."""

import structlog

from farebox import metrics
from farebox.dialects import DIALECTS, routes
from farebox.dialects.bedrock import error_type
from farebox.errors import (
    Busy,
    Draining,
    FareboxError,
    Internal,
    InvalidKey,
    LedgerDown,
    LedgerUnavailable,
    MethodNotAllowed,
    Refusal,
    TooLarge,
    UnsupportedEncoding,
)
from farebox.exchange import Exchange, Headers
from farebox.gateway.attempt import Call
from farebox.gateway.call import Calls
from farebox.gateway.free import Free
from farebox.gateway.upstream import UpstreamFailed
from farebox.ids import new_id

_log = structlog.get_logger()
_ID_HEADERS = {"anthropic": b"request-id", "elevenlabs": b"request-id", "bedrock": b"x-amzn-requestid"}
"""Under which name an API tells the id of a request, where that is not the plain one."""
_CLOSING = (TooLarge, UnsupportedEncoding, Busy, Draining)
"""After these the connection is not used again: a body is on its way that nobody wants, or the caller does better elsewhere."""


class Gateway:
    """Serves everything that gateway keys are for."""

    def __init__(self, calls: Calls, free: Free) -> None:
        self._calls = calls
        self._free = free

    async def __call__(self, exchange: Exchange) -> None:
        known: list[Call] = []
        dialect, name = "", "unknown"
        try:
            route = routes.match(exchange.method, exchange.path, exchange.headers, exchange.query)
            dialect, name = route.dialect, route.name
            if route.kind == "metered":
                await self._calls.serve(exchange, route, known)
            else:
                await self._free.serve(exchange, route)
            metrics.requests.add((dialect, name, "ok"))
        except Exception as problem:  # noqa: BLE001 - the gateway's top edge: whatever broke, the caller gets an answer in its words
            dialect = dialect or routes.spoken(exchange.path, exchange.headers)
            refusal = _refusal(problem)
            metrics.refusals.labels(refusal.reason).inc()
            metrics.requests.add((dialect, name, str(refusal.status)))
            await _refuse(exchange, dialect, refusal, known[0].request_id if known else new_id("req"))


def _refusal(problem: Exception) -> Refusal:
    if isinstance(problem, Refusal):
        return problem
    if isinstance(problem, LedgerUnavailable):
        return LedgerDown(retry_after_s=5)
    incident = new_id("inc")
    _log.error("internal_error", incident=incident, problem=repr(problem), exc_info=not isinstance(problem, FareboxError | UpstreamFailed))
    return Internal(incident=incident, may_have_charged=True, charged="If the call was made, it is charged.")


async def _refuse(exchange: Exchange, dialect: str, refusal: Refusal, request_id: str) -> None:
    """Says no: as a status before the answer began, as a frame after."""
    speaker = DIALECTS[dialect]
    if exchange.began:
        if not exchange.gone:
            await exchange.end(speaker.error_frame(refusal, request_id))
        return
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"x-farebox-reason", refusal.reason.encode()),
        (b"x-farebox-request-id", request_id.encode()),
        (_ID_HEADERS.get(dialect, b"x-request-id"), request_id.encode()),
    ]
    if dialect == "bedrock":
        headers.append((b"x-amzn-errortype", error_type(refusal)))
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    if refusal.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if refusal.should_retry else b"false"))
    if isinstance(refusal, MethodNotAllowed):
        headers.append((b"allow", str(refusal.facts["allowed"]).encode()))
    if isinstance(refusal, InvalidKey):
        headers.append((b"www-authenticate", b"Bearer"))
    if exchange.half_read or isinstance(refusal, _CLOSING):
        exchange.last = True
    await exchange.answer(refusal.status, headers, speaker.refusal(refusal, request_id))
