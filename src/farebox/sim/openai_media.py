"""Pictures, sounds and files in OpenAI's requests: how many tokens they are, and how many bytes of the body are not text. Pure.

**The rule.** The base64 of a picture, a sound or a document is not counted as text. Instead of it:

- a picture is what its model counts (`openai_pictures.py`); in a request for another picture, one token for each patch of 32 x 32 pixels, begun ones
  too, where it is a PNG, else 85;
- a sound is one token for each tenth of a second begun, by the bytes a second that a WAV tells; anything else has 48,000 (16-bit mono at 24 kHz);
- a PDF is 2,000 tokens for each page that stands readable in it, at least one; any other file is a quarter of its bytes, as text.

`sim:image_in` and `sim:audio_in` say instead how many tokens each picture or sound is.
"""

from collections.abc import Iterator, Sequence

import msgspec

from .generation import NO_UNITS
from .openai_pictures import picture_tokens as tokens_of
from .pictures import decoded, document_tokens
from .reading import decode
from .words import Words

_PATCH_PIXELS = 32
_PLAIN_PICTURE_TOKENS = 85
_SOUND_BYTES_PER_TOKEN = 4800
_WAV_HEAD_BASE64 = 48
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD = 24


class _Url(msgspec.Struct):
    url: str = ""
    detail: str | None = None


class _File(msgspec.Struct):
    file_data: str = ""


class _Sound(msgspec.Struct):
    data: str = ""


class _Part(msgspec.Struct):
    type: str = ""
    image_url: str | _Url | None = None
    input_audio: _Sound | None = None
    file: _File | None = None
    file_data: str = ""
    detail: str | None = None


class _Message(msgspec.Struct):
    content: str | list[msgspec.Raw] | None = None
    output: str | list[msgspec.Raw] | dict[str, msgspec.Raw] | None = None


class Media(msgspec.Struct, frozen=True):
    """What is in a request besides text."""

    image_tokens: int = 0
    audio_tokens: int = 0
    page_tokens: int = 0
    bytes: int = 0
    """Of the entries as they are written: data of the pictures and the sounds."""

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.image_tokens + self.audio_tokens + self.page_tokens

    @property
    def units(self) -> dict[str, int]:
        """Parts of the input, by the names of genai-prices' `Usage`."""
        found = {"input_image_tokens": self.image_tokens, "input_audio_tokens": self.audio_tokens}
        return {name: tokens for name, tokens in found.items() if tokens} or dict(NO_UNITS)


NONE = Media()
_NAMES = (b'"image_url"', b'"input_image"', b'"input_audio"', b'"file_data"')
_PICTURES = frozenset(("image_url", "input_image"))
_PDF = "data:application/pdf;base64,"
_message = msgspec.json.Decoder(_Message)
_part = msgspec.json.Decoder(_Part)


def media_of(body: bytes, messages: Sequence[msgspec.Raw], words: Words, model: str) -> Media:
    """The media of a request. A body without any is not looked at twice."""
    if not any(name in body for name in _NAMES):
        return NONE
    images = sounds = pages = skipped = 0
    for part in _parts(messages):
        if part.type in _PICTURES:
            url, detail = _shown(part)
            images += tokens_of(model, _base64(url), detail) if words.image_in is None else words.image_in
            skipped += len(url) if url.startswith("data:") else 0
        elif _data(part).startswith(_PDF):
            pages += document_tokens(_base64(_data(part)))
            skipped += len(_data(part))
        elif part.input_audio is not None:
            data = part.input_audio.data
            sounds += _sound(data) if words.audio_in is None else words.audio_in
            skipped += len(data)
    return Media(image_tokens=images, audio_tokens=sounds, page_tokens=pages, bytes=skipped)


def sound_tokens(size: int, per_token: int = _SOUND_BYTES_PER_TOKEN) -> int:
    """Tokens of so many bytes of sound."""
    return -(-size // per_token)


def _sound(data: str) -> int:
    size, head = len(data) * 3 // 4, decoded(data[:_WAV_HEAD_BASE64])
    if head.startswith(b"RIFF") and head[8:16] == b"WAVEfmt ":
        return sound_tokens(size, max(1, int.from_bytes(head[28:32], "little") // 10))
    return sound_tokens(size)


def picture_tokens(head: bytes) -> int:
    """Tokens of a picture by its first bytes."""
    if not head.startswith(_PNG) or len(head) < _PNG_HEAD:
        return _PLAIN_PICTURE_TOKENS
    width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    return -(-width // _PATCH_PIXELS) * -(-height // _PATCH_PIXELS)


def _shown(part: _Part) -> tuple[str, str]:
    """Where a picture is, and the detail it is asked for with."""
    if isinstance(part.image_url, _Url):
        return part.image_url.url, part.image_url.detail or ""
    return part.image_url or "", part.detail or ""


def _data(part: _Part) -> str:
    return part.file_data if part.file is None else part.file.file_data


def _base64(url: str) -> str:
    return url.partition(",")[2] if url.startswith("data:") else ""


def _parts(messages: Sequence[msgspec.Raw]) -> Iterator[_Part]:
    for written in messages:
        message = decode(_message, written)
        for content in (message.content, message.output):
            for part in content if isinstance(content, list) else ():
                yield decode(_part, part)
