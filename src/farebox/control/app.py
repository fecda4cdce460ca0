"""The control API as one ASGI callable: its routes, what is said when something is refused or breaks, its own description.

Runs on an event loop of its own; meets the data plane only in the ledger and its store.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from farebox import __version__
from farebox.control import openapi, refusing
from farebox.control.body import UnreadableBody, bounded
from farebox.control.context import Context
from farebox.control.office import Office
from farebox.control.problems import Problem, by_status
from farebox.control.routes import accounts, budgets, charges, health, keys, meters, money, own, prices, quotes, usage
from farebox.control.unproxied.app import Unproxied
from farebox.control.wire import Json
from farebox.errors import FareboxError
from farebox.exchange import AsgiExchange, Message, Receive, Scope, Send
from farebox.serving import Asgi

PREFIX = "/api/v1"
OWN = frozenset((f"{PREFIX}/key", f"{PREFIX}/credits", f"{PREFIX}/generation", "/healthz", "/readyz"))
"""What is served on an address that only callers use."""
_ROUTERS = (accounts, money, budgets, keys, own, usage, charges, prices, meters, quotes, health)
_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


class Control:
    """The control plane. Every answer comes through here."""

    def __init__(self, context: Context) -> None:
        self.office = Office(context)
        self.api = _api(self.office)
        self._inner = bounded(self.api)
        self._unproxied = Unproxied(self.office)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.api(scope, receive, send)
        if self._unproxied.serves(scope["method"], scope["path"]):
            return await self._unproxied(AsgiExchange(scope, receive, send))
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
                await refusing.internal(problem)(scope, receive, send_on)

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
        (RequestValidationError, lambda request, problem: refusing.invalid(request.headers.get("content-type"), problem.errors())),
        (ValidationError, lambda request, problem: refusing.invalid(request.headers.get("content-type"), problem.errors())),
        (HTTPException, _http),
        (FareboxError, lambda _request, problem: refusing.farebox(problem)),
        (Exception, lambda _request, problem: refusing.internal(problem)),
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
    found: set[str] = {"POST"} if Unproxied.serves("POST", request.scope["path"]) else set()
    for route in (route for room in _ROUTERS for route in room.ROUTER.routes if isinstance(route, APIRoute)):
        parts = route.path.split("/")
        if len(parts) == len(asked) and all(part == given or part.startswith("{") for part, given in zip(parts, asked, strict=True)):
            found |= route.methods or set()
    return sorted(found) or ["GET"]
