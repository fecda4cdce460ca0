"""How media arrive in a body: base64 text, alone or in a data URL. Decodes no more of it than is asked for.

Read as strictly as possible: a decoder that skips what is no base64 reads other bytes than one that stops there, and a header that two
readers understand differently is no header.
"""

import binascii

PDF_BYTES_MAX = 8 * 1024 * 1024
"""The largest document that is read; what is larger is bounded unread."""
_URL_SAFE = str.maketrans("-_", "+/")


def split_data_url(url: str) -> tuple[str, str] | None:
    """The declared media type and the base64 text of a data URL; None for every other address, and for data that is not base64."""
    if url[:5].lower() != "data:":
        return None
    head, comma, text = url.partition(",")
    media_type, *parameters = head[5:].split(";")
    if not comma or not parameters or parameters[-1].strip().lower() != "base64":
        return None
    return media_type.strip().lower(), text


def bytes_max(base64_text: str) -> int:
    """More bytes than a text can stand for, whoever decodes it."""
    return len(base64_text) * 3 // 4 + 3


def prefix(base64_text: str, size: int, *, url_safe: bool = False) -> bytes | None:
    """The first bytes, about `size` of them; None where the text does not begin as base64. `url_safe` takes the other alphabet too."""
    text = base64_text[: (size + 2) // 3 * 4]
    if url_safe and ("-" in text or "_" in text):
        if "+" in text or "/" in text:
            return None
        text = text.translate(_URL_SAFE)
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error is one; a character beyond ASCII raises it bare
        return None


def whole(base64_text: str, size_max: int, *, url_safe: bool = False) -> bytes | None:
    """All bytes; None where they are more than `size_max` or no base64."""
    if bytes_max(base64_text) > size_max + 6:
        return None
    return prefix(base64_text, size_max + 6, url_safe=url_safe)
