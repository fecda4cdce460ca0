"""The input of a response: its items and their parts.

Owns which kinds can be bounded from their bytes. Kinds that cannot, and kinds that are not known, are refused.
"""

from typing import Any

import msgspec

from farebox.dialects import fields
from farebox.dialects.extras import BySetting, Extras
from farebox.dialects.media.asked import Media
from farebox.dialects.openai import parts
from farebox.dialects.openai import request as chat
from farebox.dialects.strict import Members

_OTHER_PART = "it belongs to another type of part, and a lenient host might read it."
_ITEM = fields.names(
    ("type", "content", "output", "role"),
    (
        *("id", "status", "name", "arguments", "call_id", "input", "summary", "encrypted_content", "action", "actions", "phase"),
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


_REFERENCE = (
    "it adds input that is kept by the provider and is not in the request: send the item itself (SDKs that send references do so with "
    "`store` set to false), or go on from `previous_response_id`."
)
_SHELL_ITEMS = frozenset(("shell_call", "shell_call_output"))
"""Text in other members than all the others: commands, and what they printed."""
_PRINTED = fields.names(("stdout", "stderr"), ("outcome",), dict.fromkeys(("type", *_MEDIA_READ), _OTHER_PART))

_RECALLED = frozenset(("reasoning", "web_search_call"))
"""What was thought, or found, is not in these: their id is enough for a provider that has kept it. Unless it is there, in its encryption."""


class Input(msgspec.Struct, frozen=True):
    """What one walk over the input finds."""

    count: int = 1
    uses: tuple[tuple[str, str], ...] = ()
    recalls: bool = False
    """Something in it may be more than it says: the provider adds what it keeps of that item."""


def read_input(value: Any, write_units: set[str], media: Media, extras: Extras) -> Input:
    """Walks the input. A string is one message; none at all is a request that goes on from what the provider keeps."""
    if value is None or type(value) is str:
        return Input()
    uses: list[tuple[str, str]] = []
    recalls = False
    found = fields.objects(value, "input")
    for index, item in enumerate(found):
        path = f"input[{index}]."
        fields.examine(item, _ITEM, path)
        kind = fields.word(item, "type", path) or ("message" if "role" in item else "item_reference")
        if kind == "item_reference":
            fields.refuse_cost(path + "type", _REFERENCE)
        if kind in _SHELL_ITEMS and not _is_elsewhere(item):
            _printed(item, path)
            continue
        if kind not in _TEXT_ITEMS:
            why = BySetting(f"of items of type {kind[:64]!r} the tokens are not counted before the call.")
            extras.take(path + "type", why, name=path + kind, holds=item)
            continue
        recalls = recalls or (kind in _RECALLED and bool(item.get("id")) and not item.get("encrypted_content"))
        for name in ("content", "output"):
            _parts(item, name, path, write_units, media, uses, extras)
    return Input(len(found), tuple(uses), recalls)


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
