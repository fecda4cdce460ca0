"""Anthropic's routes."""

from . import catalogue
from .anthropic_messages import AnthropicMessages
from .desk import Desk, admit, check_model
from .replies import Reply
from .routes import Route, generating
from .wire import Request

MESSAGES = AnthropicMessages()


def is_meant(request: Request) -> bool:
    """Whether the headers speak to Anthropic where the path does not tell."""
    return b"anthropic-version" in request.headers or b"x-api-key" in request.headers


def models(desk: Desk, request: Request) -> Reply:
    """A page of models."""
    admit(MESSAGES, request)
    return desk.answer(MESSAGES, request, catalogue.anthropic_models(request.query()))


def model(desk: Desk, request: Request) -> Reply:
    """One model."""
    admit(MESSAGES, request)
    return desk.answer(MESSAGES, request, catalogue.anthropic_model(request.arguments["model"]))


def _count(desk: Desk, request: Request) -> Reply:
    admit(MESSAGES, request)
    name, body = MESSAGES.count(request)
    check_model(MESSAGES, name)
    return desk.answer(MESSAGES, request, body)


ROUTES = (
    generating("POST", "/v1/messages", MESSAGES),
    Route("POST", "/v1/messages/count_tokens", _count, MESSAGES),
)
