"""OpenAI's `/v1/moderations`: free, so it stands on no bill. Nothing is ever flagged."""

import msgspec

from .desk import Desk, admit
from .openai_chat import OpenAIChat
from .openai_dialect import missing
from .reading import decode
from .replies import Reply
from .wire import Request

MODEL_DEFAULT = "omni-moderation-latest"
MODELS = frozenset({MODEL_DEFAULT, "omni-moderation-2024-09-26", "text-moderation-latest", "text-moderation-stable"})
_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_RESULT = {
    "flagged": False,
    "categories": dict.fromkeys(_CATEGORIES, False),
    "category_scores": dict.fromkeys(_CATEGORIES, 0.0),
    "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
}
_CHAT = OpenAIChat()


class _Body(msgspec.Struct):
    model: str | None = None
    input: str | list[msgspec.Raw] | None = None


_body = msgspec.json.Decoder(_Body)


def moderate(desk: Desk, request: Request) -> Reply:
    """A result for each text; one for parts of one message."""
    admit(_CHAT, request)
    asked = decode(_body, request.body)
    if asked.input is None:
        raise missing("input")
    model = asked.model or MODEL_DEFAULT
    if model not in MODELS:
        raise _CHAT.unknown_model(model)
    texts = len(asked.input) if isinstance(asked.input, list) and bytes(asked.input[0] if asked.input else b"").startswith(b'"') else 1
    return desk.answer(_CHAT, request, msgspec.json.encode({"id": "modr-sim", "model": model, "results": [_RESULT] * texts}))
