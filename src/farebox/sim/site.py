"""The simulator's routes: which dialect or which page of the bill answers a request. Owns the one table of them; does no I/O.

To add a dialect's routes: write a module with `ROUTES`, and name it in `_TABLE`; with a prefix of its own, name it in `_SPEAKERS` too.
"""

import time
from collections.abc import Callable

from . import anthropic_routes, azure_routes, bedrock_routes, bill_routes, elevenlabs_routes, gemini_routes, host_routes, openai_routes
from .bill import Bill
from .desk import Desk, refuse
from .dialect import Dialect
from .options import PLAIN_OPTIONS, Options
from .refusals import RefusedError
from .replies import Reply
from .routes import Table
from .wire import Request

READ_HEADERS = frozenset(
    {
        b"accept",
        b"amz-sdk-invocation-id",
        b"amz-sdk-request",
        b"anthropic-beta",
        b"anthropic-version",
        b"api-key",
        b"authorization",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"x-amz-content-sha256",
        b"x-amz-date",
        b"x-amz-security-token",
        b"x-api-key",
        b"x-goog-api-key",
        b"xi-api-key",
    }
)
"""The request headers that anything here looks at; a signature over any other one is taken for wrong."""
_TABLE = Table(
    (
        *openai_routes.ROUTES,
        *anthropic_routes.ROUTES,
        *gemini_routes.ROUTES,
        *host_routes.ROUTES,
        *azure_routes.ROUTES,
        *bedrock_routes.ROUTES,
        *elevenlabs_routes.ROUTES,
        *bill_routes.ROUTES,
    )
)
_SPEAKERS: tuple[tuple[bytes, Dialect], ...] = (
    (b"/v1/messages", anthropic_routes.MESSAGES),
    (b"/openai/", azure_routes.CHAT),
    (b"/model/", bedrock_routes.SPEAKER),
    (b"/v1/text-to-speech/", elevenlabs_routes.SPEAKER),
    *host_routes.SPEAKERS,
    (b"/v1beta/", gemini_routes.SPEAKER),
)
"""Who says that there is no such route, by the path's beginning; else whoever the headers name, else OpenAI."""


class Site:
    """Everything that answers requests: state is the desk's, nothing else."""

    def __init__(self, bill: Bill, clock: Callable[[], float] = time.time, options: Options = PLAIN_OPTIONS) -> None:
        self._desk = Desk(bill, clock, options)

    def answer(self, request: Request) -> Reply:
        """The reply to any request."""
        dialect: Dialect | None = None
        try:
            route, request.arguments = _TABLE.find(request.method, request.path)
            dialect = route.dialect
            if self._desk.refused_keys:
                self._desk.check_key(request)
            return route.handle(self._desk, request)
        except RefusedError as refused:
            return refuse(dialect or _speaker(request), refused, request, self._desk.bill.loose_id())


def _speaker(request: Request) -> Dialect:
    for prefix, dialect in _SPEAKERS:
        if request.path.startswith(prefix):
            return dialect
    if gemini_routes.is_meant(request):
        return gemini_routes.SPEAKER
    if elevenlabs_routes.is_meant(request):
        return elevenlabs_routes.SPEAKER
    return anthropic_routes.MESSAGES if anthropic_routes.is_meant(request) else openai_routes.CHAT
