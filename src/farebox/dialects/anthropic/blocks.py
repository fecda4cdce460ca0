"""The content of a messages request: its blocks, tools and cache breakpoints.

Owns which kinds of blocks and tools can be bounded from their bytes. Kinds that cannot, and kinds not known, are refused. What a picture or
a document counts is `media`'s, and where its bytes stand `sources`'.
"""

import json
from typing import Any

from farebox.dialects import bounds, fields
from farebox.dialects.anthropic import sources
from farebox.dialects.anthropic.beside import Beside, runs_programs
from farebox.dialects.extras import BySetting, Extras
from farebox.dialects.media.asked import Media
from farebox.dialects.strict import Members
from farebox.usage import IN_CACHE_WRITE_1H, IN_CACHE_WRITE_5M

_WRITE_UNITS = {"5m": IN_CACHE_WRITE_5M, "1h": IN_CACHE_WRITE_1H}
_MESSAGE = fields.names(("content",), ("role", "clear_at", "output_config"))
_BLOCK = fields.names(
    ("type", "text", "content", "source", "cache_control"),
    (
        *("citations", "title", "context", "thinking", "signature", "data", "binding", "id", "name", "input", "tool_use_id", "is_error"),
        "transformations",
        *("toolset_name", "caller", "tool_name"),
    ),
)
_TOOL = fields.names(
    ("type", "cache_control"),
    (
        *("name", "description", "input_schema", "strict", "input_examples", "allowed_callers", "defer_loading"),
        "eager_input_streaming",
    ),
)
_CACHE_CONTROL = fields.names(("ttl",), ("type", "scope"))
_FOUND = frozenset(("web_search_tool_result", "web_fetch_tool_result"))
_BLOCKS = _FOUND | {
    *("text", "image", "thinking", "redacted_thinking", "tool_use", "tool_result", "search_result", "document", "server_tool_use"),
}
_PLAIN_TEXT_MEMBERS = 2
_REFERENCE = "tool_reference"
_PROGRAMS = BySetting('the model may run programs over what is found, as often as it likes: set it to ["direct"].')
_FETCHED_PAGE = fields.names(("type", "content"), ("url", "retrieved_at", "error_code"))


class Content:
    """What one walk over a request finds: how many messages and tools, and what cache entries it may write."""

    __slots__ = ("_extras", "_free", "_references", "beside", "found", "media", "messages", "referred", "tools", "uses", "write_units")

    def __init__(self, extras: Extras, *, free: bool) -> None:
        """`free`: nothing is billed (counting tokens), so documents and server tools pass whatever they cost; what others keep at the provider does not."""
        self._extras = extras
        self._free = free
        self.messages = 0
        self.tools = 0
        self.beside = Beside()
        self.found = 0
        """Results of the provider's own tools: encrypted, so that their bytes say nothing about their tokens."""
        self._references: list[tuple[Members, str]] = []
        self.referred = 0
        """The most tokens of definitions that stand in for references to them, beside those of the tools themselves."""
        self.write_units: set[str] = set()
        self.media = Media(rules="claude")
        self.uses: list[tuple[str, str]] = []

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
        tools = fields.objects(members.get("tools") or [], "tools")
        self._tools(tools)
        if self._references:
            self._refer(tools)

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
        if kind not in _BLOCKS:
            if kind == _REFERENCE:
                self._references.append((block, path))
            else:
                self._uncounted(block, kind, path)
            self._cache_control(block, path)
            return
        self._cache_control(block, path)
        if kind in ("document", "image") or type(block.get("source")) is dict:
            self._source(block, path)
        nested = block.get("content")
        if kind in _FOUND:
            self.found += 1
            self._fetched(nested, path + "content")
        elif nested is not None and type(nested) is not str:
            self._blocks(nested, path + "content")

    def _uncounted(self, block: Members, kind: str, path: str) -> None:
        why = BySetting(f"of blocks of type {kind[:64]!r} the tokens are not counted before the call.")
        self._extras.take(path + "type", why, name=path + kind, holds=block)

    def _refer(self, tools: list[Members]) -> None:
        """Each reference may bring its tool's definition once more. One to a tool that is not in the request may bring anything."""
        named = {name: tool for tool in tools if type(name := tool.get("name")) is str}
        sizes: dict[str, int] = {}
        for block, path in self._references:
            name = fields.word(block, "tool_name", path) or ""
            tool = named.get(name)
            if tool is None:
                self._uncounted(block, _REFERENCE, path)
                continue
            if name not in sizes:
                sizes[name] = bounds.text_tokens_max(json.dumps(tool).encode(), tool) + bounds.TOKENS_PER_TOOL
            self.referred += sizes[name]

    def _fetched(self, found: Any, where: str) -> None:
        """A page that was fetched is shown again as a document: it may be one of many pages, and the caller may have written it."""
        if type(found) is not dict:
            return
        fields.examine(found, _FETCHED_PAGE, where + ".")
        document = fields.inner(found, "content", where + ".")
        if document is not None:
            self._blocks([document], where + ".content")

    def _source(self, block: Members, path: str) -> None:
        source = fields.inner(block, "source", path)
        if source is None:
            raise fields.invalid(path + "source", "is required")
        where = path + "source."
        if block.get("type") == "image":
            sources.image(source, self.media, self.uses, where)
        else:
            nested = sources.document(source, self.media, self.uses, where, self._extras, free=self._free)
            if nested is not None:
                self._blocks(nested, where + "content")

    def _tools(self, tools: list[Members]) -> None:
        self.tools = len(tools)
        for index, tool in enumerate(tools):
            path = f"tools[{index}]."
            kind = tool.get("type")
            if self._free and kind not in (None, "custom"):
                continue
            if type(kind) is str and self.beside.read_tool(tool, kind, path):
                self._cache_control(tool, path)
                self._cache_control(tool, path, "caching")  # of an adviser's own prompt
                if runs_programs(tool, kind):
                    self._extras.take(path + "allowed_callers", _PROGRAMS, name=path + kind, holds=tool)
                continue
            fields.examine(tool, _TOOL, path)
            if kind not in (None, "custom"):
                why = BySetting(f"what a tool of type {str(kind)[:64]!r} costs is not bounded.")
                self._extras.take(path + "type", why, name=f"{path}{kind}", holds=tool)
            self._cache_control(tool, path)

    def _cache_control(self, members: Members, where: str, name: str = "cache_control") -> None:
        control = members.get(name)
        if control is None:
            return
        control = fields.inner(members, name, where) or {}
        path = f"{where}{name}."
        fields.examine(control, _CACHE_CONTROL, path)
        ttl = fields.word(control, "ttl", path) or "5m"
        if ttl not in _WRITE_UNITS:
            fields.refuse_cost(path + "ttl", f"what a cache entry of {ttl[:64]!r} costs is not known.")
        self.write_units.add(_WRITE_UNITS[ttl])
