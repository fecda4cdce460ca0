"""Parts of a message that are no text: pictures, recordings, files, as chat completions and responses carry them (providers.md §1.1, §1.2, §5.4).

Owns where their bytes stand, and which of them are refused: a picture elsewhere is bounded by the largest that a model takes, a file
elsewhere by nothing. What a medium counts is `media`'s.
"""

from farebox.dialects import fields
from farebox.dialects.extras import ByFee, BySetting, Extras
from farebox.dialects.media import payload
from farebox.dialects.media.asked import Media
from farebox.dialects.strict import Members

FILE = "file"
"""The kind of object that a file kept by the provider is."""
_ID_CHARS_MAX = 256
_IMAGE = fields.names(("url", "detail"))
_AUDIO = fields.names(("data", "format"))
_FILE = fields.names(("file_data", "file_id"), ("filename",))
_FORMATS = ("wav", "mp3")
_ELSEWHERE = BySetting("how long it is, is not known before the call: send its bytes in the request, as `file_data`.")
_FEES = ByFee("what this provider charges for reading a file is not known.")
Uses = list[tuple[str, str]]


def image_url(part: Members, media: Media, path: str) -> None:
    """`image_url` of a chat message: an address and a resolution, or the address alone."""
    value = part.get("image_url")
    if type(value) is str:
        return image(value, "", media, path + "image_url")
    inner = fields.inner(part, "image_url", path)
    if inner is None:
        raise fields.invalid(path + "image_url", "is required")
    where = path + "image_url."
    fields.examine(inner, _IMAGE, where)
    return image(fields.word(inner, "url", where), fields.word(inner, "detail", where), media, where + "url")


def input_image(part: Members, media: Media, uses: Uses, path: str) -> None:
    """`input_image` of a response: an address, or the id of a file."""
    detail, kept = fields.word(part, "detail", path), fields.word(part, "file_id", path)
    if kept is None:
        return image(fields.word(part, "image_url", path), detail, media, path + "image_url")
    if part.get("image_url") is not None:
        raise fields.invalid(path + "file_id", "and `image_url` cannot both be set")
    uses.append((FILE, fields.text(part, "file_id", length_max=_ID_CHARS_MAX)))
    return media.add_picture_elsewhere(path + "file_id", detail=_detail(media, detail))


def image(url: str | None, detail: str | None, media: Media, where: str) -> None:
    """A picture by its address: its bytes, or where they are."""
    if not url:
        raise fields.invalid(where, "is required and must be a string")
    if url[:8].lower().startswith(("http://", "https://")):
        return media.add_picture_elsewhere(where, detail=_detail(media, detail))
    data = payload.split_data_url(url)
    if data is None or not data[0].startswith("image/"):
        raise fields.invalid(where, "must be the base64 of a picture in a data URL (`data:image/png;base64,…`), or an http(s) address")
    return media.add_picture(*data, where, detail=_detail(media, detail))


def input_audio(part: Members, media: Media, path: str) -> None:
    """`input_audio` of a chat message."""
    inner = fields.inner(part, "input_audio", path)
    if inner is None:
        raise fields.invalid(path + "input_audio", "is required")
    where = path + "input_audio."
    fields.examine(inner, _AUDIO, where)
    kind, data = fields.word(inner, "format", where), fields.word(inner, "data", where)
    if kind not in _FORMATS:
        raise fields.invalid(where + "format", f"must be one of {', '.join(_FORMATS)}")
    media.add_recording(kind, data or "", where + "data")


def chat_file(part: Members, media: Media, path: str, extras: Extras) -> None:
    """`file` of a chat message."""
    inner = fields.inner(part, "file", path)
    if inner is None:
        raise fields.invalid(path + "file", "is required")
    fields.examine(inner, _FILE, path + "file.")
    file(inner, media, path + "file.", extras, name=path + "file")


def file(members: Members, media: Media, where: str, extras: Extras, *, name: str) -> None:
    """A file by its bytes: base64, plain or in a data URL. `name`: of the setting that admits others."""
    if media.rules != "openai":
        return extras.take(where + "file_data", _FEES, name=name, holds=members)
    for elsewhere in ("file_id", "file_url"):
        if members.get(elsewhere) is not None:
            return extras.take(where + elsewhere, _ELSEWHERE, name=name, holds=members)
    data = fields.word(members, "file_data", where)
    if not data:
        raise fields.invalid(where + "file_data", "is required and must be a string")
    if data[:5].lower() == "data:":
        split = payload.split_data_url(data)
        if split is None:
            raise fields.invalid(where + "file_data", "must be base64 in a data URL (`data:application/pdf;base64,…`)")
        data = split[1]
    return media.add_document(data, where + "file_data")


def _detail(media: Media, detail: str | None) -> str:
    """The resolution, where it means what OpenAI means by it."""
    return (detail or "") if media.rules == "openai" else ""
