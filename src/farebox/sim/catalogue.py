"""The lists of models, `/v1/models`, in the shapes of OpenAI and of Anthropic. When a model appeared is not known here and told as 1970."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from .prices import ModelEntry, list_models
from .refusals import RefusedError, invalid

_PAGE_DEFAULT = 20
_PAGE_MAX = 1000
_INTEGER = re.compile(r"[0-9]{1,4}", re.ASCII)
_encode = msgspec.json.encode


def openai_models() -> bytes:
    """Every model, in one page."""
    return _encode({"object": "list", "data": [_openai_model(entry) for entry in list_models("openai")]})


def openai_model(name: str) -> bytes:
    """One model."""
    entry = _find("openai", name)
    if entry is None:
        raise RefusedError(404, f"The model '{name}' does not exist", code="model_not_found", param="model")
    return _encode(_openai_model(entry))


def anthropic_models(query: Mapping[str, str]) -> bytes:
    """A page of models: `limit` of them, those `after_id`."""
    entries = list_models("anthropic")
    limit = _limit(query.get("limit", str(_PAGE_DEFAULT)))
    start = _after([entry.id for entry in entries], query.get("after_id"))
    page = [_anthropic_model(entry) for entry in entries[start : start + limit]]
    return _encode(
        {
            "data": page,
            "has_more": start + limit < len(entries),
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
        }
    )


def anthropic_model(name: str) -> bytes:
    """One model."""
    entry = _find("anthropic", name)
    if entry is None:
        raise RefusedError(404, f"model: {name}")
    return _encode(_anthropic_model(entry))


def _find(provider: str, name: str) -> ModelEntry | None:
    return next((entry for entry in list_models(provider) if entry.id == name), None)


def _openai_model(entry: ModelEntry) -> dict[str, object]:
    return {"id": entry.id, "object": "model", "created": 0, "owned_by": "openai"}


def _anthropic_model(entry: ModelEntry) -> dict[str, object]:
    return {
        "id": entry.id,
        "type": "model",
        "display_name": entry.name,
        "created_at": "1970-01-01T00:00:00Z",
        "max_input_tokens": entry.context_window,
        "max_tokens": None,
        "lifecycle": "deprecated" if entry.deprecated else "active",
    }


def _limit(text: str) -> int:
    limit = int(text) if _INTEGER.fullmatch(text) else 0
    if not 1 <= limit <= _PAGE_MAX:
        raise invalid(f"limit: Input should be from 1 to {_PAGE_MAX}")
    return limit


def _after(ids: Sequence[str], after: str | None) -> int:
    if not after:
        return 0
    if after not in ids:
        raise invalid("after_id: unknown id")
    return ids.index(after) + 1
