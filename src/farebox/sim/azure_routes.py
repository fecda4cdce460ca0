"""Azure OpenAI's routes: `/openai/deployments/{deployment}/…?api-version=` and `/openai/v1/…`, where the body's `model` is the deployment."""

from collections.abc import Callable

from . import openai_routes
from .azure import Azure, model_of, named
from .desk import Desk, admit
from .openai_responses import Responses
from .refusals import RefusedError
from .replies import Reply
from .routes import Route
from .wire import Request

CHAT = Azure(openai_routes.CHAT, filters=True)
_Found = Callable[[Desk], Azure]
_OPERATIONS = {
    "chat/completions": CHAT,
    "completions": Azure(openai_routes.COMPLETIONS),
    "embeddings": Azure(openai_routes.EMBEDDINGS),
    "images/generations": Azure(openai_routes.GENERATIONS),
    "images/edits": Azure(openai_routes.EDITS),
    "audio/speech": Azure(openai_routes.SPEECH),
    "audio/transcriptions": Azure(openai_routes.TRANSCRIPTIONS),
    "audio/translations": Azure(openai_routes.TRANSLATIONS),
}


def _by_path(operation: str, dialect: Azure) -> Route:
    def handle(desk: Desk, request: Request) -> Reply:
        if not request.query().get("api-version"):
            raise RefusedError(404, "Resource not found", code="404")
        request.arguments = {"model": model_of(request.arguments["deployment"], desk.options.deployments)}
        return desk.generate(dialect, request)

    return Route("POST", f"/openai/deployments/{{deployment}}/{operation}", handle, dialect)


def _by_body(operation: str, found: _Found) -> Route:
    def handle(desk: Desk, request: Request) -> Reply:
        dialect = found(desk)
        admit(dialect, request)
        request.arguments = {"model": model_of(named(request), desk.options.deployments)}
        return desk.generate(dialect, request)

    return Route("POST", f"/openai/v1/{operation}", handle, CHAT)


def _always(dialect: Azure) -> _Found:
    return lambda _desk: dialect


ROUTES = (
    *[_by_path(operation, dialect) for operation, dialect in _OPERATIONS.items()],
    *[_by_body(operation, _always(dialect)) for operation, dialect in _OPERATIONS.items()],
    _by_body("responses", lambda desk: Azure(Responses(desk.kept))),
)
