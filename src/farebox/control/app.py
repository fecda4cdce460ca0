"""The control API as one ASGI callable: its routes, what is said when something is refused or breaks, its own description.

Runs on an event loop of its own; meets the data plane only in the ledger and its store.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from farebox import __version__
from farebox.control import openapi
from farebox.control.body import UnreadableBody, bounded
from farebox.control.context import Context
from farebox.control.office import Office
from farebox.control.problems import Problem, by_status
from farebox.control.routes import accounts, budgets, charges, health, keys, money, own, prices, quotes, usage
from farebox.control.wire import Json
from farebox.errors import Busy, CommandRefused, FareboxError, LedgerUnavailable, Refusal
from farebox.ids import new_id
from farebox.serving import Asgi, Message, Receive, Scope, Send

PREFIX = "/api/v1"
OWN = frozenset((f"{PREFIX}/key", f"{PREFIX}/credits", f"{PREFIX}/generation", "/healthz", "/readyz"))
"""What is served on an address that only callers use."""
_log = structlog.get_logger()
_ROUTERS = (accounts, money, budgets, keys, own, usage, charges, prices, quotes, health)
_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


class Control:
    """The control plane. Every answer comes through here."""

    def __init__(self, context: Context) -> None:
        self.office = Office(context)
        self.api = _api(self.office)
        self._inner = bounded(self.api)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.api(scope, receive, send)
        answered = False

        async def send_on(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        try:
            await self._inner(scope, receive, send_on)
        except Exception as problem:  # noqa: BLE001 - the control plane's top edge: the framework raises again what it has answered
            if not answered:
                await _internal(problem)(scope, receive, send_on)

    def close(self) -> None:
        """Closes its connections. After the last request."""
        self.office.close()


def create(context: Context) -> Control:
    """The control API over a ledger."""
    return Control(context)


def self_service(app: Asgi) -> Asgi:
    """Only what keys may ask about themselves: for an address of callers, where the control API has one of its own."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in OWN:
            return await app(scope, receive, send)
        problem = by_status(404, "The control API is served at an address of its own.")
        return await problem.response()(scope, receive, send)

    return served


def _api(office: Office) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        office.close()

    app = FastAPI(
        title="Farebox",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,
        lifespan=lifespan,
    )
    app.state.office = office
    for room in _ROUTERS:
        app.include_router(room.ROUTER, prefix=PREFIX)
    app.include_router(health.OUTSIDE)
    _describe(app)
    handlers: Iterable[tuple[Any, Callable[[Request, Any], Any]]] = (
        (Problem, lambda _request, problem: problem.response()),
        (RequestValidationError, lambda request, problem: _invalid(request, problem.errors())),
        (ValidationError, lambda request, problem: _invalid(request, problem.errors())),
        (HTTPException, _http),
        (FareboxError, lambda _request, problem: _farebox(problem)),
        (Exception, lambda _request, problem: _internal(problem)),
    )
    for kind, handler in handlers:
        app.add_exception_handler(kind, _async(handler))
    return app


def _async(handler: Callable[[Request, Any], Any]) -> Callable[[Request, Exception], Any]:
    """A handler that runs on the event loop, not on a thread."""

    async def run(request: Request, problem: Exception) -> Response:
        response: Response = handler(request, problem)
        return response

    return run


def _describe(app: FastAPI) -> None:
    @app.get(f"{PREFIX}/openapi.json", include_in_schema=False)
    async def openapi_document() -> Response:
        return Json(openapi.document(app))

    @app.get(f"{PREFIX}/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(openapi.page(openapi.document(app)), headers={"content-security-policy": _PAGE_POLICY})


# --- refusals ------------------------------------------------------------------------------------------------------------------------


def _invalid(request: Request, errors: Iterable[Any]) -> Response:
    """What validation found, field by field."""
    found = [dict(error) for error in errors]
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if any(tuple(error["loc"]) == ("body",) for error in found) and not kind.endswith("json"):
        return Problem("unsupported_media_type", "Send application/json.").response()
    named = [{"field": _field(error), "problem": _words(error)} for error in found]
    detail = "; ".join(f"{one['field']}: {one['problem']}" for one in named[:5])
    return Problem("invalid_request", detail, errors=named).response()


def _field(error: dict[str, Any]) -> str:
    """`limits.0.window` for a body's field; the others with where they stand (`query.limit`)."""
    parts = [str(part)[:64] for part in error["loc"]]
    if parts[:1] == ["body"]:
        parts = parts[1:]
    if error["type"] == "unknown_field":
        parts.append(str(error["ctx"]["name"]))
    return ".".join(parts) or "body"


def _words(error: dict[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:] if message[1:2].islower() else message


def _http(request: Request, problem: HTTPException) -> Response:
    """What the web framework refuses by itself: no such route, not with this method, an unreadable body."""
    if isinstance(problem, UnreadableBody):
        return problem.problem.response()
    path = request.url.path[:200]
    if problem.status_code == 404:  # noqa: PLR2004 - HTTP's own number
        return by_status(404, f"There is no route {path}.").response()
    if problem.status_code == 405:  # noqa: PLR2004 - HTTP's own number
        allowed = ", ".join(_methods(request))
        return by_status(405, f"{path} takes {allowed}.", {"allow": allowed}).response()
    return by_status(problem.status_code, str(problem.detail), problem.headers).response()


def _methods(request: Request) -> list[str]:
    """Every method that this path takes."""
    asked = request.url.path.removeprefix(PREFIX).split("/")
    found: set[str] = set()
    for route in (route for room in _ROUTERS for route in room.ROUTER.routes if isinstance(route, APIRoute)):
        parts = route.path.split("/")
        if len(parts) == len(asked) and all(part == given or part.startswith("{") for part, given in zip(parts, asked, strict=True)):
            found |= route.methods or set()
    return sorted(found) or ["GET"]


def _farebox(problem: FareboxError) -> Response:
    """What the ledger and the way of a quote refuse."""
    if isinstance(problem, Refusal):
        headers = {} if problem.retry_after_s is None else {"retry-after": str(problem.retry_after_s)}
        facts = {name: value for name, value in problem.facts.items() if name not in ("status", "detail", "type", "title", "code")}
        code = "busy" if isinstance(problem, Busy) else problem.reason
        return Problem(code, " ".join(problem.message.split()), status=problem.status, headers=headers, **facts).response()
    if isinstance(problem, CommandRefused):
        return Problem(problem.refused_code, problem.message).response()
    if isinstance(problem, LedgerUnavailable):
        words = "The ledger cannot be reached now. Send the request again with the same Idempotency-Key: it is carried out at most once."
        return Problem("ledger_unavailable", words, headers={"retry-after": "5"}).response()
    return _internal(problem)


def _internal(problem: Exception) -> Response:
    """Something broke here: what exactly is in the log, under the incident's name."""
    incident = new_id("inc")
    _log.error("control_failed", incident=incident, problem=repr(problem), exc_info=problem)
    return Problem("internal", f"The gateway failed on its own account ({incident}).", incident=incident).response()
