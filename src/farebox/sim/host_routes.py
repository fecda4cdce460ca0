"""Routes of the hosts of OpenAI-compatible chat: `/{host}/v1/...` for each, and what some have of their own."""

from typing import Final

import msgspec

from .cohere import CohereChat
from .desk import Desk, admit
from .dialect import Dialect
from .fees import SELF_HOSTED
from .hosts import HOSTS, HostChat
from .prices import list_models
from .refusals import RefusedError
from .replies import Reply
from .routes import Handler, Route, generating
from .wire import Request

_CHATS: Final = {name: HostChat(host) for name, host in HOSTS.items()}
_COHERE: Final = CohereChat()
_OPENROUTER: Final = _CHATS["openrouter"]
_GEMINI: Final = _CHATS["gemini-openai"]


def _models(chat: HostChat) -> Handler:
    """The list of a host's models. A server that its owner runs tells none: it answers to every name."""

    def answer(desk: Desk, request: Request) -> Reply:
        admit(chat, request)
        entries = () if chat.provider in SELF_HOSTED else list_models(chat.provider)
        listed = [{"id": entry.id, "object": "model", "created": 0, "owned_by": chat.name} for entry in entries]
        return desk.answer(chat, request, msgspec.json.encode({"object": "list", "data": listed}))

    return answer


def _generation(desk: Desk, request: Request) -> Reply:
    """What OpenRouter tells afterwards of one call, cancelled ones too: native tokens and what was charged."""
    admit(_OPENROUTER, request)
    row = desk.bill.row(request.query().get("id", ""))
    if row is None or row["dialect"] != _OPENROUTER.name or row["open"] or row["status"] != 200:  # noqa: PLR2004  # HTTP's own number
        raise RefusedError(404, "Generation not found")
    units = msgspec.convert(row["tokens"], dict[str, int])
    told = {
        "id": row["id"],
        "model": row["model"],
        "streamed": row["streamed"],
        "cancelled": row["aborted"],
        "total_cost": msgspec.Raw(str(row["usd"]).encode()),
        "usage": msgspec.Raw(str(row["usd"]).encode()),
        "is_byok": False,
        "native_tokens_prompt": units["input"],
        "native_tokens_completion": units["output"],
        "native_tokens_reasoning": units["reasoning"],
        "native_tokens_cached": units["cached"],
    }
    return desk.answer(_OPENROUTER, request, msgspec.json.encode({"data": told}))


ROUTES = (
    *(generating("POST", f"/{name}/v1/chat/completions", chat) for name, chat in _CHATS.items()),
    *(Route("GET", f"/{name}/v1/models", _models(chat), chat) for name, chat in _CHATS.items()),
    generating("POST", "/cohere/v2/chat", _COHERE),
    generating("POST", "/v1beta/openai/chat/completions", _GEMINI),
    Route("GET", "/openrouter/v1/generation", _generation, _OPENROUTER),
)
SPEAKERS: tuple[tuple[bytes, Dialect], ...] = (
    *((f"/{name}/".encode(), chat) for name, chat in _CHATS.items()),
    (b"/v1beta/openai/", _GEMINI),
)
"""Who says that there is no such route, by the path's beginning."""
