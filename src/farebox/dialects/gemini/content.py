"""The contents of a request to Gemini: their parts, and the media in them.

Owns which kinds of parts can be bounded, and by how much. What the provider would fetch, or keeps, is refused.
"""

from typing import Any

from farebox import limits
from farebox.dialects import fields
from farebox.dialects.extras import BySetting
from farebox.dialects.gemini import spelling
from farebox.dialects.gemini.spelling import Extras
from farebox.dialects.media.audio import audio_tokens_max
from farebox.dialects.media.families import family_of
from farebox.dialects.media.image import image_tokens_max
from farebox.dialects.media.pdf import pdf_tokens_max
from farebox.dialects.strict import Members
from farebox.usage import IN_AUDIO, IN_CACHE_READ_AUDIO, IN_CACHE_READ_IMAGE, IN_IMAGE, IN_VIDEO

_FETCHED = BySetting("it is fetched by the provider, or kept there for whoever stored it: send the bytes as inlineData.")
_UNKNOWN = BySetting("how many tokens it is, is not known here.")
_CONTENT = spelling.shape(("parts", "role"))
_PART = spelling.shape(
    ("text", "inlineData", "functionResponse", "mediaResolution"),
    (
        *("thought", "thoughtSignature", "functionCall", "executableCode", "codeExecutionResult", "toolCall", "toolResponse"),
        *("videoMetadata", "partMetadata", "audioTranscription", "speechMetadata", "documentMetadata", "spreadsheetMetadata"),
        "audioMetadata",
    ),
    {"fileData": _FETCHED, "mediaProcessing": "what it does to the number of tokens is not known."},
)
_FUNCTION_RESPONSE = spelling.shape(("parts",), ("id", "name", "response", "willContinue", "scheduling"))
_BLOB = spelling.shape(("mimeType", "data"), ("displayName",))
_RESOLUTION = spelling.shape(("level",), (), {"numTokens": "it sets how many tokens a medium is, in a way that is not priced."})
_TEXT_TYPES = frozenset(
    f"application/{name}" for name in ("json", "xml", "javascript", "x-javascript", "typescript", "x-typescript", "x-python-code", "rtf")
)
_IMAGE_UNITS = (IN_IMAGE, IN_CACHE_READ_IMAGE)
_AUDIO_UNITS = (IN_AUDIO, IN_CACHE_READ_AUDIO)
_ANY_UNITS = (IN_VIDEO, *_IMAGE_UNITS, *_AUDIO_UNITS)
_DEFAULT_FAMILY = "gemini_any"


class Contents:
    """What one walk over contents finds."""

    __slots__ = ("_detail", "_extras", "_family", "_free", "media_chars", "media_tokens", "messages", "units")

    def __init__(self, model: str, extras: Extras, *, detail: str = "", free: bool = False) -> None:
        """`detail`: the resolution of media that do not name one. `free`: nothing is billed, so that nothing has to be bounded."""
        family = family_of(model)
        self._family = family if family.startswith("gemini") else _DEFAULT_FAMILY
        self._extras = extras
        self._detail = detail
        self._free = free
        self.messages = 0
        self.media_chars = 0
        """Characters of the body that stand for media which are counted as such."""
        self.media_tokens = 0
        self.units: set[str] = set()

    def read(self, contents: Any, where: str) -> None:
        """Walks contents, or a single one."""
        for index, content in enumerate(spelling.objects(contents, where)):
            self.messages += 1
            path = f"{where}[{index}]."
            members, _ = spelling.read(content, _CONTENT, path)
            self._parts(members.get("parts"), path + "parts")

    def _parts(self, parts: Any, where: str) -> None:
        for index, part in enumerate(spelling.objects(parts, where)):
            if len(part) == 1 and "text" in part:
                continue
            path = f"{where}[{index}]."
            members, unknown = spelling.read(part, _PART, path, self._extras)
            for name in () if self._free else unknown:
                self._extras.take(path + name, _UNKNOWN, holds=part.get(name))
            if "fileData" in members:
                self.units.update(_ANY_UNITS)
            response = fields.inner(members, "functionResponse", path)
            if response is not None:
                response, _ = spelling.read(response, _FUNCTION_RESPONSE, path + "functionResponse.")
                self._parts(response.get("parts"), path + "functionResponse.parts")
            detail = self._resolution(members, path)
            blob = fields.inner(members, "inlineData", path)
            if blob is not None and not self._free:
                self._blob(blob, detail, path + "inlineData.")

    def _resolution(self, part: Members, path: str) -> str:
        told = fields.inner(part, "mediaResolution", path)
        if told is None:
            return self._detail
        told, _ = spelling.read(told, _RESOLUTION, path + "mediaResolution.")
        return fields.word(told, "level", path + "mediaResolution.") or self._detail

    def _blob(self, blob: Members, detail: str, path: str) -> None:
        blob, _ = spelling.read(blob, _BLOB, path)
        declared, data = fields.word(blob, "mimeType", path), fields.word(blob, "data", path)
        if not declared or data is None:
            raise fields.invalid(path + "mimeType", "and data are required")
        media_type = declared.partition(";")[0].strip().lower()
        kind = media_type.partition("/")[0]
        if kind == "text" or media_type in _TEXT_TYPES:
            self.units.update(_IMAGE_UNITS)  # reported as a document; its base64 is longer than its text, and stays in the count
            return
        self.media_chars += len(data)
        if kind == "image":
            self._add(image_tokens_max(self._family, media_type, data, detail=detail), _IMAGE_UNITS)
        elif kind == "audio":
            self._add(audio_tokens_max(self._family, data), _AUDIO_UNITS)
        elif kind == "video":
            self._add(None, _ANY_UNITS)
        elif media_type == "application/pdf":
            self._add(pdf_tokens_max(self._family, data), _IMAGE_UNITS)
        else:
            why = BySetting(f"how many tokens {media_type[:64]!r} is, is not known before the call.")
            self._extras.take(path + "mimeType", why, name=path.removesuffix("."))
            self.units.update(_ANY_UNITS)

    def _add(self, tokens: int | None, units: tuple[str, ...]) -> None:
        """Tokens of one medium; None where only the context window bounds them."""
        self.media_tokens += limits.context_tokens_unknown_max if tokens is None else tokens
        self.units.update(units)
