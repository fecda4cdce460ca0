"""The input of a response: its items and their parts.

Owns which kinds can be bounded from their bytes, and which items the provider adds from what it keeps. Kinds that cannot be bounded, and kinds that
are not known, are refused.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from farebox import limits
from farebox.dialects import fields
from farebox.dialects.extras import BySetting, Extras
from farebox.dialects.media.asked import Media
from farebox.dialects.openai import parts
from farebox.dialects.openai import request as chat
from farebox.dialects.openai.responses.kept import ITEM, is_id
from farebox.dialects.strict import Members

_OTHER_PART = "it belongs to another type of part, and a lenient host might read it."
_ITEM = fields.names(
    ("type", "content", "output", "role", "id"),
    (
        *("status", "name", "arguments", "call_id", "input", "summary", "encrypted_content", "action", "actions", "phase"),
        *("queries", "results", "code", "outputs", "container_id", "caller", "namespace", "acknowledged_safety_checks"),
        *("pending_safety_checks", "operation", "max_output_length"),
    ),
)
_PART_READ = ("type", "text", "refusal", "prompt_cache_breakpoint")
_MEDIA_READ = ("image_url", "file_id", "file_data", "file_url", "input_audio")
_PART = fields.names(_PART_READ, ("annotations", "logprobs"), dict.fromkeys(_MEDIA_READ, _OTHER_PART))
_MEDIA_PARTS = {
    kind: fields.names((*_PART_READ, *read, "detail"), ("filename",), {name: _OTHER_PART for name in _MEDIA_READ if name not in read})
    for kind, read in (("input_image", ("image_url", "file_id")), ("input_file", ("file_data", "file_id", "file_url")))
}
_TEXT_PARTS = frozenset(("input_text", "output_text", "refusal", "text", "summary_text", "reasoning_text"))
_TEXT_ITEMS = frozenset(
    (
        *("message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning"),
        *("web_search_call", "local_shell_call", "local_shell_call_output", "apply_patch_call", "apply_patch_call_output"),
    )
)


_REFERENCE = "item_reference"
_KEPT_THERE = (
    "it adds input that is kept by the provider and is not in the request, and what this provider keeps is not known here: send the item itself "
    "(SDKs that send references do so with `store` set to false), or go on from `previous_response_id`."
)
RECALLED = "recalled_item"
"""An item that is in the request, of which the provider may know more by its id. It may be one that nobody keeps, but not somebody else's."""
_SHELL_ITEMS = frozenset(("shell_call", "shell_call_output"))
"""Text in other members than all the others: commands, and what they printed."""
_PRINTED = fields.names(("stdout", "stderr"), ("outcome",), dict.fromkeys(("type", *_MEDIA_READ), _OTHER_PART))

SEALED = "sealed_item"
"""An item that says all that it is, in its encryption. It may be one that nobody keeps, but not somebody else's."""
KINDS = frozenset((ITEM, RECALLED, SEALED))
"""Of what is named in the input: what its items are."""
_SEALABLE = frozenset(("reasoning", "compaction"))
"""Elsewhere a member of that name says nothing."""
_SAID_BY = {
    "message": "content",
    "function_call": "arguments",
    "function_call_output": "output",
    "custom_tool_call": "input",
    "custom_tool_call_output": "output",
    "local_shell_call": "action",
    "local_shell_call_output": "output",
    "apply_patch_call": "operation",
    "apply_patch_call_output": "call_id",
    "shell_call": "action",
    "shell_call_output": "output",
}
"""The member that says what an item is. Without it an item with an id is one that the provider has to know."""


_WRITTEN = frozenset(("message", "function_call", "custom_tool_call", "local_shell_call", "apply_patch_call", "shell_call"))
"""What a model writes: one that says nothing may be more there."""


class Input(msgspec.Struct, frozen=True):
    """What one walk over the input finds."""

    count: int = 1
    uses: tuple[tuple[str, str], ...] = ()
    recalls: bool = False
    """Something in it is, or may be, more than it says: the provider adds what it keeps of that item."""


def read_input(value: Any, write_units: set[str], media: Media, extras: Extras, *, keeps_items: bool) -> Input:
    """Walks the input. A string is one message; none at all is a request that goes on from what the provider keeps. `keeps_items`: whether the
    ids of items mean something there.
    """
    if value is None or type(value) is str:
        return Input()
    uses: list[tuple[str, str]] = []
    recalls, named = False, 0
    found = fields.objects(value, "input")
    for index, item in enumerate(found):
        path = f"input[{index}]."
        fields.examine(item, _ITEM, path)
        kind = _kind(item, path)
        if kind == _REFERENCE and not keeps_items:
            fields.refuse_cost(path + "type", _KEPT_THERE)
        kept = _kept(item, kind)
        if keeps_items and kept is not None:
            named = _one_more(named)
            uses.append((kept, _id(item, path)))
        if kind in _SHELL_ITEMS and not _is_elsewhere(item):
            _printed(item, path)
            continue
        if kind != _REFERENCE and kind not in _TEXT_ITEMS:
            why = BySetting(f"of items of type {kind[:64]!r} the tokens are not counted before the call.")
            extras.take(path + "type", why, name=path + kind, holds=item)
            continue
        recalls = recalls or kept in (ITEM, RECALLED)
        for name in ("content", "output"):
            _parts(item, name, path, write_units, media, uses, extras)
    return Input(len(found), tuple(uses), recalls)


def items_named(members: Members) -> Iterator[tuple[str, str]]:
    """The items that a request names and that are not in it, or that the provider may know more of. What is no input is none."""
    found = members.get("input")
    named = 0
    for index, item in enumerate(found if type(found) is list else ()):
        if type(item) is dict:
            path = f"input[{index}]."
            kept = _kept(item, _kind(item, path))
            if kept is not None:
                named = _one_more(named)
                yield kept, _id(item, path)


def _kind(item: Members, path: str) -> str:
    """What an item is. One that does not say so by its type, or has an id in place of what it was, refers to what the provider keeps."""
    kind = fields.word(item, "type", path) or ("message" if type(item.get("role")) is str else _REFERENCE)
    said = _SAID_BY.get(kind)
    return _REFERENCE if said is not None and item.get("id") and item.get(said) is None else kind


def _kept(item: Members, kind: str) -> str | None:
    """As what an item is looked up, where the provider may know more of it than it says; None where nothing is added by its id."""
    if kind == _REFERENCE:
        return ITEM
    if not item.get("id"):
        return None
    if kind in _WRITTEN and not item.get(_SAID_BY[kind]):
        return RECALLED
    if kind in _SEALABLE and type(sealed := item.get("encrypted_content")) is str and sealed:
        return SEALED
    if kind == "reasoning":
        return RECALLED if item.get("content") else ITEM
    if kind in _SHELL_ITEMS:
        return RECALLED if _is_elsewhere(item) else None
    return None if kind in _TEXT_ITEMS and kind != "web_search_call" else RECALLED


def _one_more(named: int) -> int:
    """Each is looked up."""
    if named >= limits.request_items_max:
        raise fields.invalid("input", f"refers to more than {limits.request_items_max} items that the provider keeps")
    return named + 1


def _id(item: Members, path: str) -> str:
    name = fields.word(item, "id", path) or ""
    if not is_id(name):
        raise fields.invalid(path + "id", "cannot be an id")
    return name


def _printed(item: Members, path: str) -> None:
    """What a shell printed: text, and nothing that a lenient host might read as another kind of part."""
    if item.get("content") is not None:
        fields.refuse_cost(path + "content", _OTHER_PART)
    printed = item.get("output")
    for index, part in enumerate([] if printed is None else fields.objects(printed, path + "output")):
        fields.examine(part, _PRINTED, f"{path}output[{index}].")


def _is_elsewhere(item: Members) -> bool:
    """Whether a shell's call was not one on the caller's machine."""
    environment = item.get("environment")
    return environment is not None and (type(environment) is not dict or environment.get("type") != "local")


def _parts(item: Members, name: str, path: str, write_units: set[str], media: Media, uses: parts.Uses, extras: Extras) -> None:
    content = item.get(name)
    if content is None or type(content) is str:
        return
    for index, part in enumerate(fields.objects(content, path + name)):
        where = f"{path}{name}[{index}]."
        kind = fields.word(part, "type", where) or ""
        known = kind in _MEDIA_PARTS or kind in _TEXT_PARTS
        if known or not kind:
            fields.examine(part, _MEDIA_PARTS.get(kind, _PART), where)
        if not known:
            why = BySetting(f"of parts of type {kind[:64]!r} the tokens are not counted before the call.")
            extras.take(where + "type", why, name=where + kind, holds=part)
        if kind == "input_image":
            parts.input_image(part, media, uses, where)
        elif kind == "input_file":
            parts.file(part, media, where, extras, name=where + kind)
        chat.cache_unit(part, "prompt_cache_breakpoint", where, write_units)
