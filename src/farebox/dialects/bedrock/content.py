"""The content of a Converse request: its blocks, tools and cache points.

Owns which kinds of blocks and tools can be bounded, and by how much. What the provider would fetch, and kinds not known, are refused.
"""

from typing import Any

from farebox import limits
from farebox.dialects import fields
from farebox.dialects.extras import ByFee, BySetting, Extras
from farebox.dialects.media.families import family_of
from farebox.dialects.media.image import image_tokens_max
from farebox.dialects.media.pdf import pdf_tokens_max
from farebox.dialects.strict import Members
from farebox.usage import IN_CACHE_WRITE_1H, IN_CACHE_WRITE_5M

_WRITE_UNITS = {"5m": IN_CACHE_WRITE_5M, "1h": IN_CACHE_WRITE_1H}
_GUARDED = ByFee("what a guardrail costs is charged beside the model, and has no price here.")
_SIZED = BySetting("how many tokens it is, is not known before the call.")
_STORED = "it reads a bucket of the operator's account, and its size is not known before the call."
_TOOLBOX = "it refers to tools that are kept elsewhere."
_MESSAGE = fields.names(("content",), ("role",))
_BLOCK = fields.names(
    ("text", "image", "document", "toolUse", "toolResult", "cachePoint", "searchResult"),
    ("reasoningContent", "citationsContent"),
    {"guardContent": _GUARDED, "video": _SIZED, "audio": _SIZED, "toolAddition": _TOOLBOX, "toolRemoval": _TOOLBOX},
)
_RESULT = fields.names(("json", "text", "image", "document", "searchResult"), (), {"video": _SIZED})
_TOOL_USE = fields.names(("type",), ("toolUseId", "name", "input"))
_TOOL_RESULT = fields.names(("content",), ("toolUseId", "status", "type"))
_IMAGE = fields.names(("format", "source"))
_DOCUMENT = fields.names(("format", "source"), ("name", "context", "citations"))
_SOURCE = fields.names(("bytes", "text", "content"), (), {"s3Location": _STORED})
_CACHE_POINT = fields.names(("ttl",), ("type",))
_TOOLS = fields.names(("tools",), ("toolChoice",))
_TOOL = fields.names(("toolSpec", "cachePoint"), (), {"systemTool": ByFee("what a tool of the provider's own costs is not known here.")})
_TOOL_SPEC = fields.names((), ("name", "description", "inputSchema", "strict"))
_TEXT_FORMATS = frozenset(("txt", "md", "csv", "html"))


class Content:
    """What one walk over a request finds."""

    __slots__ = ("_extras", "_family", "media_chars", "media_tokens", "messages", "tools", "write_units")

    def __init__(self, model: str, extras: Extras) -> None:
        self._extras = extras
        self._family = family_of(model)
        self.messages = 0
        self.tools = 0
        self.media_chars = 0
        """Characters of the body that stand for media which are counted as such."""
        self.media_tokens = 0
        self.write_units: set[str] = set()

    def read(self, members: Members) -> None:
        """Walks a whole request."""
        messages = fields.objects(members.get("messages"), "messages")
        if not messages:
            raise fields.invalid("messages", "must not be empty")
        self.messages = len(messages)
        for index, message in enumerate(messages):
            where = f"messages[{index}]."
            _only(message, _MESSAGE, where)
            self._blocks(message.get("content"), where + "content", _BLOCK)
        if members.get("system") is not None:
            self._blocks(members["system"], "system", _BLOCK)
        self._read_tools(members)

    def _blocks(self, blocks: Any, where: str, allowed: fields.Names) -> None:
        for index, block in enumerate(fields.objects(blocks, where)):
            if len(block) == 1 and "text" in block:
                continue
            path = f"{where}[{index}]."
            _only(block, allowed, path, self._extras)
            self._block(block, path)

    def _block(self, block: Members, path: str) -> None:
        point = fields.inner(block, "cachePoint", path)
        if point is not None:
            self._cache(point, path + "cachePoint.")
        for name, read in (("image", self._image), ("document", self._document), ("toolResult", self._result)):
            part = fields.inner(block, name, path)
            if part is not None:
                read(part, f"{path}{name}.")
        used = fields.inner(block, "toolUse", path)
        if used is not None:
            _only(used, _TOOL_USE, path + "toolUse.")

    def _result(self, result: Members, path: str) -> None:
        _only(result, _TOOL_RESULT, path)
        self._blocks(result.get("content"), path + "content", _RESULT)

    def _cache(self, point: Members, path: str) -> None:
        _only(point, _CACHE_POINT, path)
        ttl = fields.word(point, "ttl", path) or "5m"
        if ttl not in _WRITE_UNITS:
            fields.refuse_cost(path + "ttl", f"what a cache entry of {ttl[:64]!r} costs is not known.")
        self.write_units.add(_WRITE_UNITS[ttl])

    def _image(self, image: Members, path: str) -> None:
        _only(image, _IMAGE, path)
        data = fields.word(_source(image, path), "bytes", path + "source.")
        if data is None:
            raise fields.invalid(path + "source.bytes", "is required")
        self._add(data, image_tokens_max(self._family, f"image/{fields.word(image, 'format', path)}", data))

    def _document(self, document: Members, path: str) -> None:
        _only(document, _DOCUMENT, path)
        source = _source(document, path)
        nested = source.get("content")
        if nested is not None:
            self._blocks(nested, path + "source.content", _RESULT)
        data = fields.word(source, "bytes", path + "source.")
        form = fields.word(document, "format", path)
        if data is None or form in _TEXT_FORMATS:  # its base64 is longer than its text, and stays in the count
            return
        if form != "pdf":
            self._extras.take(path + "format", _SIZED, name=path.removesuffix("."))
            self.media_chars += len(data)
            return
        self._add(data, pdf_tokens_max(self._family, data))

    def _add(self, data: str, tokens: int | None) -> None:
        """One medium; None where only the context window bounds it."""
        self.media_chars += len(data)
        self.media_tokens += limits.context_tokens_unknown_max if tokens is None else tokens

    def _read_tools(self, members: Members) -> None:
        config = fields.inner(members, "toolConfig")
        if config is None:
            return
        _only(config, _TOOLS, "toolConfig.")
        tools = fields.objects(config.get("tools") or [], "toolConfig.tools")
        for index, tool in enumerate(tools):
            path = f"toolConfig.tools[{index}]."
            _only(tool, _TOOL, path, self._extras)
            point, spec = fields.inner(tool, "cachePoint", path), fields.inner(tool, "toolSpec", path)
            if point is not None:
                self._cache(point, path + "cachePoint.")
            if spec is not None:
                _only(spec, _TOOL_SPEC, path + "toolSpec.")
                self.tools += 1


def _source(part: Members, path: str) -> Members:
    source = fields.inner(part, "source", path)
    if source is None:
        raise fields.invalid(path + "source", "is required")
    _only(source, _SOURCE, path + "source.")
    return source


def _only(members: Members, allowed: fields.Names, path: str, extras: Extras | None = None) -> None:
    """Refuses every name that is not known: nobody knows what it costs."""
    unknown = fields.examine(members, allowed, path, extras)
    if unknown:
        fields.refuse_cost(path + unknown[0], "it is not known here, nor what it costs.")
