"""The content of a messages request: its blocks, tools and cache breakpoints.

Owns which kinds of blocks and tools can be bounded from their bytes. Kinds that cannot, and kinds not known, are refused.
"""

from typing import Any

from farebox.dialects import fields
from farebox.dialects.strict import Members
from farebox.usage import IN_CACHE_WRITE_1H, IN_CACHE_WRITE_5M

_WRITE_UNITS = {"5m": IN_CACHE_WRITE_5M, "1h": IN_CACHE_WRITE_1H}
_MEDIA = "its tokens are not counted before the call yet."
_FETCHED = "it is fetched by the provider, and its size is not known before the call."
_MESSAGE = fields.names(("content",), ("role", "clear_at", "output_config"))
_BLOCK = fields.names(
    ("type", "text", "content", "source", "cache_control"),
    (
        *("citations", "title", "context", "thinking", "signature", "data", "binding", "id", "name", "input", "tool_use_id", "is_error"),
        *("toolset_name", "caller"),
    ),
)
_SOURCE = fields.names(("type", "content", "data"), ("media_type",), {"url": _FETCHED, "file_id": _FETCHED})
_TOOL = fields.names(
    ("type", "cache_control"),
    (
        *("name", "description", "input_schema", "strict", "input_examples", "allowed_callers", "defer_loading"),
        "eager_input_streaming",
    ),
)
_CACHE_CONTROL = fields.names(("ttl",), ("type", "scope"))
_TEXT_BLOCKS = frozenset(("text", "thinking", "redacted_thinking", "tool_use", "tool_result", "search_result", "document"))
_PLAIN_TEXT_MEMBERS = 2
_COUNTED_MEDIA = frozenset(("image",))
_TEXT_SOURCES = frozenset(("text", "content"))


class Content:
    """What one walk over a request finds: how many messages and tools, and what cache entries it may write."""

    __slots__ = ("_free", "messages", "tools", "write_units")

    def __init__(self, *, free: bool) -> None:
        """`free`: nothing is billed (counting tokens), so media and server tools pass; what is fetched or kept elsewhere does not."""
        self._free = free
        self.messages = 0
        self.tools = 0
        self.write_units: set[str] = set()

    def read_request(self, members: Members) -> None:
        """Walks a whole request."""
        self._cache_control(members, "")
        system = members.get("system")
        if system is not None and type(system) is not str:
            self._blocks(system, "system")
        messages = fields.objects(members.get("messages"), "messages")
        if not messages:
            raise fields.invalid("messages", "must not be empty")
        self.messages = len(messages)
        for index, message in enumerate(messages):
            if not message.keys() <= _MESSAGE.known:
                fields.examine(message, _MESSAGE, f"messages[{index}].")
            content = message.get("content")
            if content is not None and type(content) is not str:
                self._blocks(content, f"messages[{index}].content")
        self._tools(fields.objects(members.get("tools") or [], "tools"))

    def _blocks(self, blocks: Any, where: str) -> None:
        for index, block in enumerate(fields.objects(blocks, where)):
            if not block.keys() <= _BLOCK.known:
                fields.examine(block, _BLOCK, f"{where}[{index}].")
            kind = block.get("type")
            if kind == "text" and len(block) == _PLAIN_TEXT_MEMBERS:
                continue
            self._block(block, kind, f"{where}[{index}].")

    def _block(self, block: Members, kind: Any, path: str) -> None:
        if type(kind) is not str:
            raise fields.invalid(path + "type", "is required and must be a string")
        if kind not in _TEXT_BLOCKS and not (self._free and kind in _COUNTED_MEDIA):
            fields.refuse_cost(path + "type", f"of blocks of type {kind[:64]!r} the tokens are not counted before the call yet.")
        self._cache_control(block, path)
        if kind in ("document", "image") or type(block.get("source")) is dict:
            self._source(block, path)
        nested = block.get("content")
        if nested is not None and type(nested) is not str:
            self._blocks(nested, path + "content")

    def _source(self, block: Members, path: str) -> None:
        source = fields.inner(block, "source", path)
        if source is None:
            raise fields.invalid(path + "source", "is required")
        where = path + "source."
        fields.examine(source, _SOURCE, where)
        kind = fields.word(source, "type", where)
        if kind in _TEXT_SOURCES:
            nested = source.get("content")
            if nested is not None and type(nested) is not str:
                self._blocks(nested, where + "content")
        elif not (self._free and kind == "base64"):
            fields.refuse_cost(where + "type", _MEDIA if kind == "base64" else _FETCHED)

    def _tools(self, tools: list[Members]) -> None:
        self.tools = len(tools)
        for index, tool in enumerate(tools):
            path = f"tools[{index}]."
            kind = tool.get("type")
            if self._free and kind not in (None, "custom"):
                continue
            fields.examine(tool, _TOOL, path)
            if kind not in (None, "custom"):
                fields.refuse_cost(path + "type", f"what a tool of type {str(kind)[:64]!r} costs is not bounded yet.")
            self._cache_control(tool, path)

    def _cache_control(self, members: Members, where: str) -> None:
        control = members.get("cache_control")
        if control is None:
            return
        control = fields.inner(members, "cache_control", where) or {}
        path = where + "cache_control."
        fields.examine(control, _CACHE_CONTROL, path)
        ttl = fields.word(control, "ttl", path) or "5m"
        if ttl not in _WRITE_UNITS:
            fields.refuse_cost(path + "ttl", f"what a cache entry of {ttl!r} costs is not known.")
        self.write_units.add(_WRITE_UNITS[ttl])
