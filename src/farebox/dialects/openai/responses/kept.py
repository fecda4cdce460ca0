"""What a provider keeps of a response: its items, each with the most input that it can be when a later request names it (providers.md §1.2).

What was written is at most the tokens that were written, and at most a token for each byte that it shows. What was thought is not shown. What was
found by a search is not in the item either. Of anything else nothing is known but its id. Owns these bounds; whose the items are, is decided elsewhere.
"""

from typing import Any

from farebox import limits
from farebox.dialects.base import Made
from farebox.dialects.meter import as_text, size

ITEM = "item"
"""The kind of object that an item of a response is."""
ID_CHARS_MAX = 256
_MESSAGE = "message"
_SHOWN = frozenset(("function_call", "custom_tool_call", "local_shell_call", "apply_patch_call", "mcp_approval_request"))
"""All of them can be read in the answer."""
_THOUGHT = frozenset(("reasoning",))
_SEARCHED = frozenset(("web_search_call",))


def made_of(output: Any, written: int | None) -> tuple[Made, ...]:
    """The items of an answer's `output`. `written`: all its output tokens; None where the usage is not known."""
    items = output if type(output) is list else []
    found = [made for item in items[: limits.response_items_max] if type(item) is dict and (made := _made(item, written)) is not None]
    return tuple(found)


def begun(item: dict[str, Any]) -> Made | None:
    """An item whose end may not be seen."""
    name = _name(item)
    return Made(ITEM, name) if name else None


def is_id(value: str) -> bool:
    """Whether it can be the id of an object."""
    return 0 < len(value) <= ID_CHARS_MAX and value.isascii() and value.isprintable()


def _made(item: dict[str, Any], written: int | None) -> Made | None:
    name, kind = _name(item), as_text(item.get("type"))
    if not name:
        return None
    shown = _bytes(item, kind)
    if shown is None:
        return Made(ITEM, name, written if kind in _THOUGHT else None)
    return Made(ITEM, name, shown if written is None or kind in _SEARCHED else min(shown, written), shown)


def _bytes(item: dict[str, Any], kind: str) -> int | None:
    """The most that an item can be for any model, by its bytes; None where they do not say."""
    if kind in _SEARCHED:
        return limits.search_tokens_max + size(item)
    if kind in _SHOWN:
        return size(item)
    content = item.get("content")
    if kind != _MESSAGE or type(content) is not list:
        return None
    parts = [part for part in content if type(part) is dict and part.get("type") in ("output_text", "refusal")]
    return sum(size(part.get("text")) + size(part.get("refusal")) for part in parts) if len(parts) == len(content) else None


def _name(item: dict[str, Any]) -> str:
    name = as_text(item.get("id"))
    return name if is_id(name) else ""
