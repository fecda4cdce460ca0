"""Where the bytes of a picture or a document of a messages request stand (providers.md §2.1, §5.4).

Owns which sources are refused: a picture elsewhere is bounded by the largest that a model takes, a document elsewhere by nothing.
"""

from typing import Any

from farebox.dialects import fields
from farebox.dialects.extras import BySetting, Extras
from farebox.dialects.media.asked import Media
from farebox.dialects.strict import Members

FILE = "file"
"""The kind of object that a file kept by the provider is."""
_ID_CHARS_MAX = 256
_ELSEWHERE = BySetting("how many pages it has is not known before the call: send its bytes in the request, as a source of type `base64`.")
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_PDF = "application/pdf"
_SHAPES = {
    "base64": fields.names(("type", "data", "media_type")),
    "url": fields.names(("type", "url")),
    "file": fields.names(("type", "file_id")),
    "text": fields.names(("type", "data"), ("media_type",), {"url": _ELSEWHERE, "file_id": _ELSEWHERE}),
    "content": fields.names(("type", "content"), (), {"url": _ELSEWHERE, "file_id": _ELSEWHERE}),
}


def image(source: Members, media: Media, uses: list[tuple[str, str]], where: str) -> None:
    """The source of a picture."""
    kind = _kind(source, where)
    if kind == "base64":
        media_type = fields.word(source, "media_type", where) or ""
        if media_type not in _PICTURES:
            raise fields.invalid(where + "media_type", f"must be one of {', '.join(_PICTURES)}")
        media.add_picture(media_type, fields.word(source, "data", where) or "", where + "data")
    elif kind == "url":
        if not (fields.word(source, "url", where) or "")[:8].lower().startswith(("http://", "https://")):
            raise fields.invalid(where + "url", "must be an http(s) address")
        media.add_picture_elsewhere(where + "url")
    elif kind == "file":
        uses.append((FILE, fields.text(source, "file_id", length_max=_ID_CHARS_MAX)))
        media.add_picture_elsewhere(where + "file_id")
    else:
        raise fields.invalid(where + "type", "must be base64, url or file")


def document(source: Members, media: Media, uses: list[tuple[str, str]], where: str, extras: Extras, *, free: bool) -> Any:
    """The source of a document; gives the blocks that it is made of, where it is. `free`: nothing is billed, and nothing has to be bounded."""
    kind = _kind(source, where)
    if kind == "base64":
        if fields.word(source, "media_type", where) != _PDF:
            raise fields.invalid(where + "media_type", f"must be {_PDF}: a document of plain text is a source of type `text`")
        media.add_document(fields.word(source, "data", where) or "", where + "data")
    elif kind == "content":
        nested = source.get("content")
        return None if type(nested) is str else nested
    elif kind in ("file", "url") and not free:
        extras.take(where + "type", _ELSEWHERE, name=where.removesuffix("source.") + "document", holds=source)
    elif kind == "file":
        uses.append((FILE, fields.text(source, "file_id", length_max=_ID_CHARS_MAX)))
    elif kind == "text":
        fields.word(source, "data", where)
    return None


def _kind(source: Members, where: str) -> str:
    kind = fields.word(source, "type", where) or ""
    shape = _SHAPES.get(kind)
    if shape is None:
        fields.refuse_cost(where + "type", f"how many tokens a source of type {kind[:64]!r} is, is not known before the call.")
    fields.examine(source, shape, where)
    return kind
