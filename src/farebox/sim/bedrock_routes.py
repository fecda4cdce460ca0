"""Bedrock's routes: `/model/{id}/converse`, `/converse-stream` and `/count-tokens`. Signatures are checked here, for that takes keys and a clock.

A model is named by its id, with or without an inference profile's prefix, or by the ARN of either.
"""

from collections.abc import Callable

import msgspec

from . import bedrock_asked, sigv4
from .bedrock import Converse
from .desk import Desk, admit, check_model
from .replies import Reply
from .routes import Route
from .wire import Request

SPEAKER = Converse()
_STREAM = Converse(streamed=True)


def _signed(handle: Callable[[Desk, Request], Reply]) -> Callable[[Desk, Request], Reply]:
    """A handler that is reached with a bearer key or a right signature only. What is turned away here stands on no bill."""

    def check(desk: Desk, request: Request) -> Reply:
        if request.headers.get(b"authorization", b"").startswith(sigv4.ALGORITHM) and not request.too_large:
            path, _, query = request.target.decode("latin-1").partition("?")
            signed = sigv4.Signed(request.method.decode(), path, query, request.headers, request.body)
            sigv4.check(signed, desk.options.aws_keys, int(desk.clock()))
        request.arguments = {"model": request.arguments["model"].rpartition("/")[2]}
        return handle(desk, request)

    return check


def _count(desk: Desk, request: Request) -> Reply:
    admit(SPEAKER, request)
    check_model(SPEAKER, request.arguments["model"])
    return desk.answer(SPEAKER, request, msgspec.json.encode({"inputTokens": bedrock_asked.count(request.body)}))


ROUTES = (
    Route("POST", "/model/{model}/converse", _signed(lambda desk, request: desk.generate(SPEAKER, request)), SPEAKER),
    Route("POST", "/model/{model}/converse-stream", _signed(lambda desk, request: desk.generate(_STREAM, request)), _STREAM),
    Route("POST", "/model/{model}/count-tokens", _signed(_count), SPEAKER),
)
