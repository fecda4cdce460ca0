"""The most pages that a PDF can have, from its bytes, and what they can cost.

A document says how many pages it has, and may lie. What no reader can get round: pages hang on arrays named `Kids`. Where every such array
stands in the open and no object hangs on two of them, there are no more pages than references in them. Where objects may be packed into
compressed streams (`ObjStm`), a program makes the pages (`XFA`), or an array hides behind a reference, nothing is known, and only a limit
of the provider's own bounds it.
"""

import re

from farebox.dialects.media import payload
from farebox.dialects.media.families import FAMILIES
from farebox.dialects.media.image import image_tokens_full

PAGES_CLAUDE_MAX = 600
"""The most that its provider takes; 100 where the context window is 200,000 tokens, which is the tighter bound there."""
TEXT_TOKENS_CLAUDE = 3_000
TOKENS_PER_PAGE_GEMINI = {"gemini2": 258, "gemini3": 1_120, "gemini_any": 1_120}

_SLASHES_MAX = 1_000_000
_NAMES_MAX = 50_000
_HANGING_MAX = 20_000
"""More than that of anything is no document, and not worth the time."""


def _name(plain: str) -> str:
    """A name as it may be spelled: any of its letters may be written as `#` and its code."""
    return "".join(f"(?:{letter}|#(?i:{ord(letter):02x}))" for letter in plain)


_SPACE = rb"[\x00\t\n\x0c\r ]"
_TOKENS = re.compile(
    f"/(?:({_name('Kids')})|({_name('Count')})|({_name('ObjStm')}|{_name('XRef')}|{_name('XFA')})|({_name('W')}))".encode()
)
_KIDS = re.compile(rb"%b*+\[((?:%b*+\d{1,10}%b++\d{1,5}%b++R){0,20000}+)%b*+\]" % ((_SPACE,) * 5))
_KID = re.compile(rb"(\d+)%b++\d+%b++R" % (_SPACE, _SPACE))
_COUNT = re.compile(rb"%b*+(-?\d{1,10}+)(?=[/>]|%b)%b*+(?![\d%%])" % ((_SPACE,) * 3))
_WIDTHS = re.compile(rb"%b*+\[%b*+\d{1,10}%b*+\[" % ((_SPACE,) * 3))
"""The widths of a font's characters. Every other array of that name may be the key to a compressed table of objects."""
_WIDTHS_BEGIN = b"\x00\t\n\x0c\r [%"


def pages_max(document: bytes) -> int | None:
    """No reader finds more pages than this; None where that cannot be known."""
    if not document.startswith(b"%PDF-") or document.count(b"/") > _SLASHES_MAX:
        return None
    hanging: set[bytes] = set()
    most = 0
    for number, token in enumerate(_TOKENS.finditer(document)):
        if number > _NAMES_MAX or len(hanging) > _HANGING_MAX:
            return None
        kids, count, packed, widths = token.groups()
        if packed is not None or (widths is not None and _hides(document, token.end())):
            return None
        if kids is not None and not _hang(document, token.end(), hanging):
            return None
        if count is not None:
            told = _COUNT.match(document, token.end())
            if told is None:
                return None
            most = max(most, int(told[1]))
    return max(most, len(hanging)) if hanging else None


def _hang(document: bytes, at: int, hanging: set[bytes]) -> bool:
    """Whether everything on this array hangs on no other one; adds it."""
    kids = _KIDS.match(document, at)
    if kids is None:
        return False
    numbers = [kid.lstrip(b"0") for kid in _KID.findall(kids[1])]
    before = len(hanging)
    hanging.update(numbers)
    return len(hanging) == before + len(numbers)


def _hides(document: bytes, at: int) -> bool:
    """Whether what is named W may be anything but widths. Within packed pictures the letter turns up by chance."""
    return document[at : at + 1] in (b"", *(bytes((byte,)) for byte in _WIDTHS_BEGIN)) and _WIDTHS.match(document, at) is None


def pdf_tokens_max(family: str, base64_text: str) -> int | None:
    """Of a document whose bytes are in the request. None: no less than the context window."""
    if family.startswith("claude"):
        return pages_claude_max(base64_text) * per_page_claude(family)
    per_page = TOKENS_PER_PAGE_GEMINI.get(family)
    if per_page is None:  # OpenAI adds the text of each page, and how much that is nobody knows before it is unpacked
        return None
    pages = _pages(base64_text, url_safe=True)
    return None if pages is None else pages * per_page


def pdf_tokens_full(family: str) -> int | None:
    """Of a document that is not in the request. None: no less than the context window."""
    return PAGES_CLAUDE_MAX * per_page_claude(family) if family.startswith("claude") and family in FAMILIES else None


def pages_claude_max(base64_text: str) -> int:
    """The pages that Claude's provider reads of a document; as many as it takes where that cannot be known."""
    pages = _pages(base64_text)
    return PAGES_CLAUDE_MAX if pages is None else min(pages, PAGES_CLAUDE_MAX)


def per_page_claude(family: str) -> int:
    """Tokens of one page: its text, and a picture of it."""
    return TEXT_TOKENS_CLAUDE + image_tokens_full(family)


def _pages(base64_text: str, *, url_safe: bool = False) -> int | None:
    document = payload.whole(base64_text, payload.PDF_BYTES_MAX, url_safe=url_safe)
    return None if document is None else pages_max(document)
