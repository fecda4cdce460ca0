"""What a provider keeps of a response: its items, each with the most input that it can be when a later request names it (providers.md §1.2).

What was written is at most the tokens that were written, and at most a token for each byte that it shows. What was thought is not shown. What was
found by a search is not in the item either. The provider adds annotations to a message: these count by their bytes, whatever was written. Of anything
else nothing is known but its id. Owns these bounds; whose the items are, is decided elsewhere.
"""

from typing import Any

import msgspec

from farebox import limits
from farebox.dialects import bounds
from farebox.dialects.base import Made
from farebox.dialects.meter import as_text, size

ITEM = "item"
"""The kind of object that an item of a response is."""
_MESSAGE = "message"
_SHOWN = frozenset(("function_call", "custom_tool_call", "local_shell_call", "apply_patch_call", "mcp_approval_request"))
"""All of them can be read in the answer."""
_THOUGHT = frozenset(("reasoning",))
_SEARCHED = frozenset(("web_search_call",))


def made_of(output: Any, written: int | None) -> tuple[Made, ...]:
    """The items of an answer's `output`. `written`: all its output tokens; None where the usage is not known. None at all is as good as that: there
    is no item that nothing was written for.
    """
    items = output if type(output) is list else []
    found = (_made(item, written or None) for item in items[: limits.response_items_max] if type(item) is dict)
    return tuple(made for made in found if made is not None)


def with_begun(made: tuple[Made, ...], begun: list[Made]) -> tuple[Made, ...]:
    """The items that an answer tells at its end, and those that were begun and are not among them: an answer that fails may tell none."""
    told = {one.id for one in made}
    return (*made, *(one for one in begun if one.id not in told))[: limits.response_items_max]


def begun(item: dict[str, Any]) -> Made | None:
    """An item whose end may not be seen."""
    name = _name(item)
    return Made(ITEM, name) if name else None


def is_id(value: str) -> bool:
    """Whether it can be the id of an object."""
    return 0 < len(value) <= limits.object_id_chars_max and value.isascii() and value.isprintable()


def _made(item: dict[str, Any], written: int | None) -> Made | None:
    name, kind = _name(item), as_text(item.get("type"))
    if not name:
        return None
    parts = _parts(item) if kind == _MESSAGE else None
    try:
        shown = _shown(item, kind, parts)
    except RecursionError:  # nested as deep as could be read, which is too deep to be written
        shown = None
    if shown is None:
        return Made(ITEM, name, written if kind in _THOUGHT else None)
    added = kind in _SEARCHED or any(part.get("annotations") for part in parts or ())
    return Made(ITEM, name, shown if written is None or added else min(shown, written), shown)


def _shown(item: dict[str, Any], kind: str, parts: list[dict[str, Any]] | None) -> int | None:
    """The most that an item can be for any model, by its bytes; None where they do not say."""
    if kind in _SEARCHED:
        return limits.search_tokens_max + _bytes(item)
    if kind in _SHOWN:
        return _bytes(item)
    return None if parts is None else sum(_bytes(part.get(name)) for part in parts for name in ("text", "refusal", "annotations"))


def _parts(item: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The parts of a message; None where one of them is not text."""
    content = item.get("content")
    if type(content) is not list:
        return None
    parts = [part for part in content if type(part) is dict and part.get("type") in ("output_text", "refusal")]
    return parts if len(parts) == len(content) else None


def _bytes(value: Any) -> int:
    """Of a text, or of the JSON of anything else: as it stands, or normalised, whichever is more (`bounds.text_tokens_max`)."""
    if value is None or value == []:
        return 0
    text = value if type(value) is str else msgspec.json.encode(value).decode()
    return max(size(text), bounds.normalised_bytes(text))


def _name(item: dict[str, Any]) -> str:
    name = as_text(item.get("id"))
    return name if is_id(name) else ""
