"""How many tokens Anthropic's images and documents are. Owns the rule; decodes no picture and no page. Pure.

**The rule.** The base64 of a picture or a document is not counted as text. Instead of it:

- a picture is one token for each patch of 28 by 28 pixels, begun ones too, at most 4,784 (1,568 with models before 4.7), which is also what one
  counts whose size cannot be read: one behind a URL, one in the provider's files, one that is not a PNG, JPEG, GIF or WebP;
- a document is 2,000 tokens for each page; pages are the `/Type /Page` of a PDF that stand readable in it, at least one; a document behind a URL
  or in the provider's files has ten pages.

A document that is text, or made of content blocks, is counted as the text it is; pictures inside tool results and documents count like any other.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from .generation import BYTES_PER_TOKEN
from .pictures import PAGE_TOKENS, document_tokens, picture_tokens

IMAGE_TOKENS_MAX = 4_784
OLD_IMAGE_TOKENS_MAX = 1_568
UNSEEN_PAGES = 10
_NEW = re.compile(r"claude-(?:opus-4[-.][78]|[a-z]+-(?:[5-9]|[1-9]\d)(?!\d)|[5-9])", re.ASCII)


class _Source(msgspec.Struct):
    type: str = ""
    data: str = ""
    content: msgspec.Raw = msgspec.Raw(b"")


class _Block(msgspec.Struct):
    type: str = ""
    source: _Source | None = None
    content: msgspec.Raw = msgspec.Raw(b"")


class _Message(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw(b"")


_message = msgspec.json.Decoder(_Message)
_blocks = msgspec.json.Decoder(list[_Block])


def media_tokens(messages: Sequence[msgspec.Raw], model: str) -> int:
    """What the pictures and documents of some messages add to their tokens: less than nothing where their base64 is longer than what they count."""
    tokens = hidden = 0
    for written in messages:
        if b'"source"' in bytes(written):
            for block in _media(_message.decode(written).content):
                source = block.source or _Source()
                tokens += _tokens(block.type, source, model)
                hidden += len(source.data) if source.type == "base64" else 0
    return tokens - hidden // BYTES_PER_TOKEN


def _media(content: msgspec.Raw) -> Iterator[_Block]:
    """Every picture and every document of a content, those inside other blocks too."""
    if not bytes(content).startswith(b"["):
        return
    try:
        blocks = _blocks.decode(content)
    except msgspec.ValidationError:
        return
    for block in blocks:
        if block.type in {"image", "document"}:
            yield block
            if block.source is not None:
                yield from _media(block.source.content)
        else:
            yield from _media(block.content)


def _tokens(kind: str, source: _Source, model: str) -> int:
    seen = source.type == "base64"
    if kind == "image":
        most = IMAGE_TOKENS_MAX if _NEW.match(model) else OLD_IMAGE_TOKENS_MAX
        return picture_tokens(source.data, most) if seen else most
    if source.type in {"text", "content"}:
        return 0
    return document_tokens(source.data) if seen else PAGE_TOKENS * UNSEEN_PAGES
