"""What Gemini's requests are made of: their JSON, contents and media, and how many tokens these are. Pure.

Field names are taken in camelCase and in snake_case, as the API takes them. **Its token rule** is that of `generation.py` over `contents`,
`systemInstruction` and `tools`, field names in camelCase, without the base64 of media, which counts instead:

- an image or a document: 258 tokens;
- sound: 32 tokens for each second begun, at 32,000 bytes a second (16 kHz, 16 bits, mono); moving pictures: 258 tokens for each.

`sim:image_in` and `sim:audio_in` say instead how many tokens each picture or sound is.
"""

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from .generation import prompt_tokens
from .reading import NOTHING
from .refusals import invalid
from .words import BadWordError, Words, read_words

T = TypeVar("T")
_IMAGE_TOKENS = 258
_AUDIO_TOKENS_PER_S = 32
_BYTES_PER_S = 32_000
_MODALITIES = {"image": "IMAGE", "audio": "AUDIO", "video": "VIDEO", "application": "DOCUMENT", "text": "DOCUMENT"}
# What genai-prices calls them; it counts documents with the images.
_UNITS = {"AUDIO": "audio", "IMAGE": "image", "DOCUMENT": "image", "VIDEO": "video"}
_CAMEL = {
    name: re.sub(r"_(\w)", lambda found: found[1].upper(), name)
    for name in (
        "system_instruction",
        "generation_config",
        "max_output_tokens",
        "candidate_count",
        "inline_data",
        "file_data",
        "mime_type",
        "service_tier",
        "function_declarations",
        "generate_content_request",
        "output_dimensionality",
        "embed_content_config",
        "response_modalities",
    )
}
# A key: inside a string of JSON the quote after it would have a backslash before it.
_SNAKE = re.compile(rb'"(%b)"(?=\s*:)' % "|".join(_CAMEL).encode())


class _Blob(msgspec.Struct, rename="camel"):
    mime_type: str = ""
    data: str = ""


class _Part(msgspec.Struct, rename="camel"):
    text: str = ""
    inline_data: _Blob | None = None
    file_data: _Blob | None = None


class Content(msgspec.Struct):
    role: str = "user"
    parts: list[_Part] = []


_content = msgspec.json.Decoder(Content, strict=False)  # numbers may be written as strings, as in all JSON of protocol buffers

Counts = tuple[tuple[str, int], ...]
"""Tokens by modality, text first."""


class Told(msgspec.Struct, frozen=True, gc=False):
    """What an answer tells of its request, besides what every ask has."""

    prompt: int
    """Input tokens of the request; those of the provider's own tools are beside it."""
    modalities: Counts
    """The same by modality."""
    image: int = 0
    """Output tokens of an image in each candidate."""
    cut: bool = False
    """An image, or text beside it, was asked for and did not fit below the cap."""
    embeddings: int = 0
    dimensions: int = 0


def decode(decoder: msgspec.json.Decoder[T], written: bytes | msgspec.Raw) -> T:
    """The typed value of a body in camelCase, or of a part of one. A refusal that says what is wrong otherwise."""
    try:
        return decoder.decode(written)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise invalid(f"Invalid JSON payload received. {problem}") from None


def camel(body: bytes) -> bytes:
    """A body with its field names in camelCase."""
    return _SNAKE.sub(_in_camel, body) if b"_" in body else body


def _in_camel(found: re.Match[bytes]) -> bytes:
    return b'"%b"' % _CAMEL[found[1].decode()].encode()


def contents_of(written: Sequence[msgspec.Raw]) -> list[Content]:
    """The contents of a request."""
    return [decode(_content, each) for each in written]


def words_of(contents: Sequence[Content]) -> Words:
    """The words in the last content of the user. Whoever is blocked does not think."""
    said = next((content for content in reversed(contents) if content.role == "user"), None)
    words = _obey("\n".join([part.text for part in said.parts]) if said else "")
    return msgspec.structs.replace(words, reasoning=0) if words.block else words


def count(
    written: Sequence[msgspec.Raw],
    contents: Sequence[Content],
    words: Words,
    *,
    tools: Sequence[msgspec.Raw] = (),
    system: msgspec.Raw = NOTHING,
) -> Counts:
    """Input tokens by modality."""
    media: dict[str, int] = {}
    unread = 0
    for blob in [blob for content in contents for part in content.parts for blob in (part.inline_data, part.file_data) if blob]:
        modality = _MODALITIES.get(blob.mime_type.partition("/")[0], "DOCUMENT")
        said = {"IMAGE": words.image_in, "AUDIO": words.audio_in}.get(modality)
        media[modality] = media.get(modality, 0) + (_media_tokens(modality, len(blob.data) * 3 // 4) if said is None else said)
        unread += len(blob.data)
    return (("TEXT", prompt_tokens(written, tools, system, without=unread)), *media.items())


def total(counts: Counts) -> int:
    """All of them."""
    return sum(tokens for _, tokens in counts)


def spread(tokens: int, over: Counts) -> Counts:
    """So many of the tokens counted by modality, taken in their order."""
    found = []
    for modality, most in over:
        taken = min(tokens, most)
        tokens -= taken
        if taken:
            found.append((modality, taken))
    return tuple(found)


def media_units(modalities: Counts, cached: int = 0) -> dict[str, int]:
    """The input that is not text, by the names of genai-prices' `Usage`; and how much of it came from the cache, after the text."""
    units: dict[str, int] = {}
    from_cache = dict(spread(cached, modalities))
    for modality, tokens in modalities[1:]:
        kind = _UNITS[modality]
        units[f"input_{kind}_tokens"] = units.get(f"input_{kind}_tokens", 0) + tokens
        if cached:
            name = f"cache_{kind}_read_tokens"
            units[name] = units.get(name, 0) + from_cache.get(modality, 0)
    return units


def _media_tokens(modality: str, size: int) -> int:
    seconds = -(-size // _BYTES_PER_S) or 1
    if modality == "AUDIO":
        return _AUDIO_TOKENS_PER_S * seconds
    return _IMAGE_TOKENS * (seconds if modality == "VIDEO" else 1)


def _obey(text: str) -> Words:
    try:
        return read_words(text)
    except BadWordError as problem:
        raise invalid(str(problem)) from None
