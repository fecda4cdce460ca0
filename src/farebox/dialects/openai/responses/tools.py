"""The tools of a response: those the caller runs, and the provider's own, which have fees and run the model again (providers.md §1.3)."""

import re

import msgspec

from farebox import limits
from farebox.dialects import fields
from farebox.dialects.extras import BySetting, Extras
from farebox.dialects.strict import Members
from farebox.usage import TOOL_CONTAINER_SESSIONS, TOOL_WEB_SEARCH, TOOL_WEB_SEARCH_PREVIEW

_OF_THE_CALLER = frozenset(("function", "custom", "local_shell", "apply_patch"))
_SEARCH = re.compile(r"web_search(_preview)?(_\d{4}_\d{2}_\d{2})?")
_CONTAINER = "code_interpreter"
_SHELL = "shell"
_NAMESPACE = "namespace"
_IMAGES = "image_generation"
_TOOL = fields.names(
    ("type", "container", "environment", "tools"),
    (
        *("name", "description", "parameters", "strict", "format", "filters", "user_location", "search_context_size", "defer_loading"),
        "external_web_access",
    ),
)
_AUTO = fields.names(("type", "memory_limit", "file_ids"), ("network_policy",), {"skills": "they may be kept by the provider."})
_SIZES_GB = {"1g": 1, "4g": 4, "16g": 16, "64g": 64}
SESSION_S = 20 * 60
SESSIONS_MAX = 1 + limits.request_s_max // SESSION_S
"""Begun sessions count; and no call is longer than the longest request."""


class Tools(msgspec.Struct, frozen=True):
    """What the tools of a request may cost."""

    count: int = 0
    calls: int = 0
    """How often the provider's own tools may be called in all."""
    calls_set: int | None = None
    """The same where the caller did not say: it is set."""
    search_unit: str = ""
    container_gb: int = 0
    fees: dict[str, int] = {}


def read_tools(members: Members, items: int, extras: Extras) -> Tools:
    """Reads the tools. `items` of the input can be outputs of tools, and are counted there."""
    del items
    tools = fields.objects(members.get("tools") or [], "tools")
    named = fields.integer(members, "max_tool_calls", least=1, most=limits.tool_calls_max)
    search, gigabytes, count = "", 0, len(tools)
    for index, tool in enumerate(tools):
        path = f"tools[{index}]."
        fields.examine(tool, _TOOL, path)
        kind = fields.word(tool, "type", path) or ""
        if kind in _OF_THE_CALLER or (kind == _SHELL and _is_at(tool, "local")):
            continue
        if (found := _SEARCH.fullmatch(kind)) is not None:
            unit = TOOL_WEB_SEARCH_PREVIEW if found[1] else TOOL_WEB_SEARCH
            if search not in ("", unit):
                raise fields.invalid(path + "type", "is a second kind of web search: their fees differ, and are not reported apart")
            search = unit
        elif kind == _NAMESPACE:
            count += _within(tool, path)
        elif kind == _CONTAINER:
            gigabytes = max(gigabytes, _container_gb(tool, "container", path))
        elif kind == _SHELL and _is_at(tool, "container_auto", "container_reference"):
            gigabytes = max(gigabytes, _container_gb(tool, "environment", path))
        elif kind == _IMAGES:
            fields.refuse_cost(path + "type", "its pictures are billed at another model, and the answer does not say at which.")
        else:
            why = BySetting(f"what a tool of type {kind[:64]!r} costs is not bounded.")
            extras.take(path + "type", why, name=path + kind, holds=tool)
    if not search and not gigabytes:
        return Tools(count)
    calls = named or limits.tool_calls_default
    fees = {search: calls} if search else {}
    if gigabytes:
        fees[TOOL_CONTAINER_SESSIONS] = gigabytes * SESSIONS_MAX
    return Tools(count, calls, None if named else calls, search, gigabytes, fees)


def _is_at(tool: Members, *places: str) -> bool:
    """Whether a shell is at one of these places. One that does not say where is at whichever the provider takes."""
    environment = tool.get("environment")
    return type(environment) is dict and environment.get("type") in places


def _within(tool: Members, path: str) -> int:
    """How many tools a namespace has. They are the caller's own: the provider's have no place in one."""
    tools = fields.objects(tool.get("tools"), path + "tools")
    for index, inner in enumerate(tools):
        where = f"{path}tools[{index}]."
        fields.examine(inner, _TOOL, where)
        kind = fields.word(inner, "type", where) or ""
        if kind not in _OF_THE_CALLER:
            fields.refuse_cost(where + "type", f"what a tool of type {kind[:64]!r} in a namespace costs is not bounded.")
    return len(tools)


def _container_gb(tool: Members, name: str, path: str) -> int:
    container = tool.get(name)
    if type(container) is not dict or container.get("type") == "container_reference":
        fields.refuse_cost(path + name, "it names a container that is kept by the provider.")
    where = f"{path}{name}."
    fields.examine(container, _AUTO, where)
    if container.get("file_ids"):
        fields.refuse_cost(where + "file_ids", "they refer to files that are kept by the provider.")
    size = fields.word(container, "memory_limit", where) or "1g"
    if size not in _SIZES_GB:
        fields.refuse_cost(where + "memory_limit", f"what a container of {size[:64]!r} costs is not known.")
    return _SIZES_GB[size]
