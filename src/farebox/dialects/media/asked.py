"""The media of one request: what they count at most, at whichever model it goes to.

Filled while a dialect walks the request. What is kept of a medium is what its bound needs and never its bytes, so that the same request can
be bounded again for another model: an alias may hide one that counts the same picture forty times. Owns no API's fields.
"""

from typing import Literal

import msgspec

from farebox import limits
from farebox.dialects.fields import invalid
from farebox.dialects.media import audio, image, payload, pdf, pixels
from farebox.dialects.media.families import DEAREST, FAMILIES, family_of
from farebox.usage import IN_AUDIO, IN_CACHE_READ, IN_IMAGE, IN_TEXT

WHATEVER_FITS = 2**40
"""Tokens of what nothing bounds: the quote cuts it to the model's context window."""
Rules = Literal["openai", "claude", "gemini", ""]
"""Who counts: so that its rules are known. Empty: nobody that told."""
_DEFAULT = {"openai": DEAREST, "gemini": "gemini_any"}


class Picture(msgspec.Struct, frozen=True):
    """Its size in pixels, 0 where it cannot be known; and the resolution that is asked for."""

    width: int
    height: int
    detail: str = ""


class Media(msgspec.Struct):
    """What was found."""

    rules: Rules
    pictures: list[Picture] = []
    pages: list[int] = []
    """Of each document by its provider's own limit, where it has one."""
    tokens: int = 0
    """Of what is the same at every model."""
    chars: int = 0
    """Of the body: base64 that stands for media, and is no text."""
    hears: bool = False
    count: int = 0

    def add_picture(self, media_type: str, base64_text: str, where: str, *, detail: str = "") -> None:
        """One whose bytes are in the request."""
        self._count(where)
        self.chars += _chars(base64_text, where)
        size = pixels.size_of(base64_text, media_type.lower()) or (0, 0)
        self.pictures.append(Picture(*size, detail))

    def add_picture_elsewhere(self, where: str, *, detail: str = "") -> None:
        """One at an address, or kept by the provider: the largest there is."""
        self._count(where)
        self.pictures.append(Picture(0, 0, detail))

    def add_document(self, base64_text: str, where: str) -> None:
        """A document that its provider reads as pages."""
        self._count(where)
        self.chars += _chars(base64_text, where)
        if self.rules == "claude":
            self.pages.append(pdf.pages_claude_max(base64_text))
        else:
            self.tokens += WHATEVER_FITS  # and the text of each page, which may be packed a thousandfold

    def add_recording(self, kind: str, base64_text: str, where: str) -> None:
        """A recording of a declared format."""
        self._count(where)
        self.chars += _chars(base64_text, where)
        self.hears = True
        bound = audio.audio_tokens_max(self.rules, base64_text, kind=kind) if self.rules else None
        self.tokens += WHATEVER_FITS if bound is None else bound

    def units(self, others: set[str]) -> tuple[str, ...]:
        """Every unit that the input may be billed as: text and media, and what else may be. What an estimate charges comes first."""
        media = ((IN_AUDIO,) if self.hears else (), (IN_IMAGE,) if self.pictures else ())
        return (*media[0], IN_TEXT, IN_CACHE_READ, *media[1], *sorted(others))

    def tokens_max(self, *models: str) -> int:
        """The most that all of them count, at the dearest of these models."""
        if not (self.pictures or self.pages):
            return self.tokens
        return self.tokens + max(self._seen(self._family(model)) for model in models)

    def _family(self, model: str) -> str:
        family = family_of(model)
        if self.rules and family.startswith(self.rules):
            return family
        return _DEFAULT.get(self.rules, "")

    def _seen(self, family: str) -> int:
        if not family:
            return WHATEVER_FITS
        rules = FAMILIES[family]
        pictures = sum(
            image.MARKERS + max(rule.tokens(one.width, one.height, one.detail) if one.width else rule.full(one.detail) for rule in rules)
            for one in self.pictures
        )
        return pictures + (sum(self.pages) * pdf.per_page_claude(family) if self.pages else 0)

    def _count(self, where: str) -> None:
        self.count += 1
        if self.count > limits.request_media_max:
            raise invalid(where, f"is one medium too many: a request may have {limits.request_media_max}")


def _chars(base64_text: str, where: str) -> int:
    """How much of the body it is: what is no base64 would be text, and is no medium."""
    if not base64_text:
        raise invalid(where, "is empty")
    if not base64_text.isascii() or payload.prefix(base64_text, 3) is None:
        raise invalid(where, "is not base64")
    return len(base64_text)
