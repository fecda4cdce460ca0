"""Requests of Bedrock's Converse API. Pure.

Tokens are counted by the rule of `generation.py`, over `messages`, `system` and the tools. Bytes of pictures and documents are not text: a picture is
one token for each patch of 28 by 28 pixels, at most 1,568, a document 2,000 for each page (`pictures.py`); in an S3 location, as many as a picture at
most, or ten pages.
"""

from collections.abc import Sequence

import msgspec

from .generation import BYTES_PER_TOKEN, PLAIN, Ask, Terms, prompt_tokens
from .pictures import PAGE_TOKENS, document_tokens, picture_tokens
from .reading import NOTHING, decode
from .refusals import invalid
from .schemas import said_by
from .words import NO_WORDS, BadWordError, Words, read_words

IMAGE_TOKENS_MAX = 1_568
UNSEEN_PAGES = 10
FIRST_TOOL = "1"
TIERS = ("default", "priority", "flex", "reserved")


class _Source(msgspec.Struct):
    data: str | None = msgspec.field(name="bytes", default=None)


class _Medium(msgspec.Struct):
    source: _Source = msgspec.field(default_factory=_Source)


class _Content(msgspec.Struct):
    text: str | None = None
    image: _Medium | None = None
    document: _Medium | None = None


class _Message(msgspec.Struct):
    role: str = ""
    content: list[_Content] = msgspec.field(default_factory=list)


class _Inference(msgspec.Struct):
    max_tokens: int | None = msgspec.field(name="maxTokens", default=None)


class _Tools(msgspec.Struct):
    tools: list[msgspec.Raw] = msgspec.field(default_factory=list)


class _Spec(msgspec.Struct):
    name: str = "tool"


class _Tool(msgspec.Struct):
    spec: _Spec | None = msgspec.field(name="toolSpec", default=None)


class _Schema(msgspec.Struct):
    schema: str = ""


class _Structure(msgspec.Struct):
    schema: _Schema = msgspec.field(name="jsonSchema", default_factory=_Schema)


class _TextFormat(msgspec.Struct):
    type: str = ""
    structure: _Structure = msgspec.field(default_factory=_Structure)


class _Output(msgspec.Struct):
    text: _TextFormat | None = msgspec.field(name="textFormat", default=None)


class _Typed(msgspec.Struct):
    type: str = "default"


class _Thinking(msgspec.Struct):
    thinking: _Typed | None = None


class Asked(msgspec.Struct):
    """The body."""

    messages: list[msgspec.Raw] = msgspec.field(default_factory=list)
    system: msgspec.Raw = NOTHING
    inference: _Inference | None = msgspec.field(name="inferenceConfig", default=None)
    tools: _Tools | None = msgspec.field(name="toolConfig", default=None)
    tier: _Typed | None = msgspec.field(name="serviceTier", default=None)
    output: _Output | None = msgspec.field(name="outputConfig", default=None)
    more: _Thinking | None = msgspec.field(name="additionalModelRequestFields", default=None)


class Detail(msgspec.Struct, frozen=True):
    """What the answer tells again."""

    tier: str
    thinks: bool


class _Invoked(msgspec.Struct):
    body: str = ""


class _Counted(msgspec.Struct):
    converse: Asked | None = None
    invoked: _Invoked | None = msgspec.field(name="invokeModel", default=None)


class _Count(msgspec.Struct):
    input: _Counted = msgspec.field(default_factory=_Counted)


_body = msgspec.json.Decoder(Asked)
_count = msgspec.json.Decoder(_Count)
_message = msgspec.json.Decoder(_Message)
_tool = msgspec.json.Decoder(_Tool)


def read(body: bytes, model: str, *, streamed: bool, content_type: bytes) -> Ask:
    """The request. What the provider would refuse is refused."""
    asked = decode(_body, body)
    messages = _messages(asked)
    words = _words(messages)
    cap = asked.inference.max_tokens if asked.inference else None
    if cap is not None and cap < 1:
        raise invalid(
            "1 validation error detected: Value at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must be at least 1"
        )
    tier = asked.tier.type if asked.tier else ""
    if tier and tier not in TIERS:
        raise invalid(f"1 validation error detected: Value '{tier[:80]}' at 'serviceTier.type' failed to satisfy constraint: {list(TIERS)}")
    thinking = asked.more.thinking if asked.more else None
    hour = bool(words.cache_write) and not words.cache_write_1h and b'"1h"' in body
    return Ask(
        model=model,
        prompt=_prompt(asked, messages),
        cap=cap,
        streamed=streamed,
        tool=_called(asked, words.tool) if words.tool else None,
        terms=Terms(cache_ttl="1h") if hour else PLAIN,
        words=words,
        said=_said(asked),
        content_type=content_type,
        detail=Detail(tier=tier, thinks=thinking is not None and thinking.type in {"enabled", "adaptive"}),
    )


def count(body: bytes) -> int:
    """The tokens that a call would be billed: those of a Converse request, or a quarter of the bytes of another."""
    counted = decode(_count, body).input
    if counted.converse is not None:
        return _prompt(counted.converse, _messages(counted.converse))
    if counted.invoked is None:
        raise invalid("1 validation error detected: input must be one of invokeModel, converse")
    return -(-len(counted.invoked.body) * 3 // 4 // BYTES_PER_TOKEN)


def _messages(asked: Asked) -> list[_Message]:
    if not asked.messages:
        raise invalid("The model returned the following errors: messages: at least one message is required")
    return [decode(_message, message) for message in asked.messages]


def _words(messages: Sequence[_Message]) -> Words:
    for message in reversed(messages):
        if message.role == "user":
            try:
                return read_words("\n".join([part.text for part in message.content if part.text is not None]))
            except BadWordError as problem:
                raise invalid(str(problem)) from None
    return NO_WORDS


def _said(asked: Asked) -> tuple[str, ...]:
    """The answer, where a format is asked for; its schema is JSON in a string."""
    form = asked.output.text if asked.output else None
    return said_by(form.structure.schema.schema.encode()) if form and form.type == "json_schema" else ()


def _prompt(asked: Asked, messages: Sequence[_Message]) -> int:
    written = prompt_tokens(asked.messages, asked.tools.tools if asked.tools else (), asked.system)
    return written + sum(_media_tokens(part) for message in messages for part in message.content)


def _media_tokens(part: _Content) -> int:
    medium = part.image or part.document
    if medium is None:
        return 0
    data = medium.source.data
    if data is None:
        return IMAGE_TOKENS_MAX if part.image else UNSEEN_PAGES * PAGE_TOKENS
    tokens = picture_tokens(data, IMAGE_TOKENS_MAX) if part.image else document_tokens(data)
    return tokens - len(data) // BYTES_PER_TOKEN


def _called(asked: Asked, wanted: str) -> str | None:
    """The tool of that name, or the first one."""
    specs = [decode(_tool, tool).spec for tool in asked.tools.tools] if asked.tools else []
    names = [spec.name for spec in specs if spec is not None]
    if wanted not in {FIRST_TOOL, *names}:
        raise invalid(f"sim:tool={wanted}: the request has no tool of this name")
    return (names[0] if names else None) if wanted == FIRST_TOOL else wanted
