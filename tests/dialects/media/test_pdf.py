"""No reader finds more pages in a document than its bound says; where that cannot be known, nothing is said."""

import base64
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects.media import payload
from farebox.dialects.media.image import image_tokens_full
from farebox.dialects.media.pdf import pages_max, pdf_tokens_full, pdf_tokens_max


def objects(*bodies: str) -> bytes:
    """A document of numbered objects, as the older writers make it."""
    written = "".join(f"{number} 0 obj\n{body}\nendobj\n" for number, body in enumerate(bodies, 1))
    return f"%PDF-1.4\n{written}trailer << /Root 1 0 R /Size {len(bodies) + 1} >>\n%%EOF".encode()


def document(pages: int, *more: str, kids: str = "/Kids", count: str | None = None) -> bytes:
    """A flat tree of pages, and whatever else."""
    refs = " ".join(f"{number} 0 R" for number in range(3, 3 + pages))
    tree = f"<< /Type /Pages {kids} [{refs}] /Count {pages if count is None else count} >>"
    return objects("<< /Type /Catalog /Pages 2 0 R >>", tree, *["<< /Type /Page /Parent 2 0 R >>"] * pages, *more)


def text(data: bytes) -> str:
    """As it stands in a body."""
    return base64.b64encode(data).decode()


FONT = "<< /Type /Font /Subtype /CIDFontType2 /W [ 3 [500 600] 7 9 550 ] >>"


@pytest.mark.parametrize("pages", [1, 7, 1000])
def test_pages_in_the_open_are_counted(pages: int) -> None:
    """With fonts, outlines and packed contents beside them."""
    packed = f"<< /Length 50 /Filter /FlateDecode >>\nstream\n{zlib.compress(b'x' * 9).hex()}\nendstream"
    assert pages_max(document(pages, FONT, packed, "<< /Type /Outlines /First 9 0 R /Count -3 >>")) == pages


def test_trees_of_pages_are_counted_with_their_branches() -> None:
    """What hangs in two arrays is no more than both of them."""
    tree = objects("<< /Kids [2 0 R 3 0 R] >>", "<< /Kids [4 0 R 5 0 R] >>", "<<\n/Kids[6  0\nR]/Count 1>>", "<<>>", "<<>>", "<<>>")
    assert pages_max(tree) == 5


def test_a_document_that_claims_more_pages_has_them() -> None:
    """There are readers that believe it."""
    assert pages_max(document(1, count="500")) == 500
    assert pages_max(document(3, count="1")) == 3
    assert pages_max(document(3, "<< /Count 77 >>")) == 77
    assert pages_max(document(3, count="-9")) == 3


HOSTILE = {
    "a branch that hangs twice": objects(
        "<< /Kids [2 0 R 2 0 R] /Count 1 >>", "<< /Kids [3 0 R 3 0 R] >>", "<< /Kids [4 0 R 4 0 R] >>", "<<>>"
    ),
    "a branch that hangs on two": objects("<< /Kids [2 0 R 3 0 R] >>", "<< /Kids [3 0 R] >>", "<<>>"),
    "the same number spelled otherwise": objects("<< /Kids [2 0 R 002 0 R] >>", "<< /Kids [3 0 R] >>", "<<>>"),
    "kids elsewhere": document(1, kids="/Kids 9 0 R /Other"),
    "kids behind a comment": document(1, kids="/Kids % [3 0 R]\n"),
    "a comment between kids": objects("<< /Kids [2 0 R %]\n 3 0 R] >>", "<<>>"),
    "kids in the array itself": objects("<< /Kids [2 0 R << /Type /Page >>] >>", "<<>>"),
    "kids spelled otherwise": document(1, "<< /#4bi#64s 7 0 R >>"),
    "a count elsewhere": document(1, count="9 0 R"),
    "a count behind a comment": document(1, count="%\n900"),
    "a count in two lines": document(1, count="1 %\n 0 R"),
    "a count that is no whole number": document(1, count="9e9"),
    "packed objects": document(1, "<< /Type /ObjStm /N 9 /First 10 >>"),
    "pages that a program makes": document(1, "<< /XFA 9 0 R >>"),
    "packed objects spelled otherwise": document(1, "<< /Type /Ob#6AStm /N 9 >>"),
    "a packed table": document(1, "<< /Type /XRef /W [1 2 1] >>"),
    "a packed table beside a plain one": document(1).replace(b"/Root", b"/XRefStm 99 /Root"),
    "a packed table without a type": document(1, "<< /W [1 2 1] /Size 9 >>"),
    "a packed table's widths elsewhere": document(1, "<< /W 9 0 R >>"),
    "a packed table's widths spelled otherwise": document(1, "<< /#57[1 2 1] >>"),
    "a packed table's widths behind a comment": document(1, "<< /W% [ 3 [\n[1 2 1] >>"),
    "more names than are read": document(1, "/Count 1 " * 60_000),
    "more slashes than are read": document(1, "/" * 1_100_000),
    "more pages than are read": document(21_000, "<< /Count 1 >>"),
    "no tree": objects("<< /Type /Page >>"),
    "not from the first byte": b"\n" + document(1),
    "nothing": b"",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_may_hide_pages_has_no_bound(case: str) -> None:
    """The context window is held then, or what the provider takes at most."""
    assert pages_max(HOSTILE[case]) is None
    assert pdf_tokens_max("gemini3", text(HOSTILE[case])) is None
    assert pdf_tokens_max("claude_new", text(HOSTILE[case])) == pdf_tokens_full("claude_new")


def walked(data: bytes) -> int:
    """Pages as the most believing reader finds them: each branch as often as it hangs, each object as it was last written."""
    kids = {}
    for number, body in re.findall(rb"(\d+) 0 obj(.*?)endobj", data, re.DOTALL):
        array = re.search(rb"/Kids\s*\[([^\]]*)\]", body)
        kids[int(number)] = [int(kid) for kid in re.findall(rb"(\d+)\s+\d+\s+R", array[1])] if array else None

    def below(number: int, depth: int) -> int:
        inner = kids.get(number)
        return 1 if inner is None or not depth else sum(below(kid, depth - 1) for kid in inner)

    return below(1, 6)


@given(st.lists(st.lists(st.integers(2, 9), max_size=3) | st.none(), min_size=1, max_size=8))
def test_no_tree_has_more_pages_than_its_bound(trees: list[list[int] | None]) -> None:
    """Whatever hangs on whatever: a bound that is told holds for a reader that does not notice rings and repetitions."""
    data = objects(*["<< >>" if kids is None else f"<< /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] >>" for kids in trees])
    bound = pages_max(data)
    if bound is not None and not rings(trees):
        assert walked(data) <= bound


def rings(trees: list[list[int] | None]) -> bool:
    """Whether the walk from the root never ends: no reader that follows it finds any page."""
    seen, at = set(), [1]
    while at:
        number = at.pop()
        if number in seen:
            return True
        seen.add(number)
        at += (trees[number - 1] if number <= len(trees) else None) or []
    return False


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_survived(noise: bytes) -> None:
    """In place of a document, and within one."""
    pages_max(noise)
    pages_max(b"%PDF-" + noise)
    bound = pages_max(document(4, noise.decode("latin-1").replace("/", " ")).replace(b"%%EOF", noise))
    assert bound is None or bound >= 4


def test_what_pages_cost_is_their_familys() -> None:
    """Text and a picture each with Claude, a picture with Gemini; what OpenAI adds for their text has no bound."""
    ten = text(document(10))
    assert pdf_tokens_max("claude_new", ten) == 10 * (3_000 + image_tokens_full("claude_new"))
    assert pdf_tokens_max("gemini2", ten) == 10 * 258
    assert pdf_tokens_max("gemini3", ten) == pdf_tokens_max("gemini_any", ten) == 10 * 1_120
    assert pdf_tokens_max("openai_tiles", ten) is None
    assert pdf_tokens_max("dearest", ten) is None


def test_a_document_elsewhere_costs_what_is_taken_at_most() -> None:
    """By address or by id; so does one that is too large to read, and one that is no base64."""
    most = 600 * (3_000 + image_tokens_full("claude_new"))
    assert pdf_tokens_full("claude_new") == most
    assert pdf_tokens_full("gemini3") is None
    assert pdf_tokens_max("claude_new", "no base64!") == most
    assert pdf_tokens_max("claude_new", text(document(1) + b" " * payload.PDF_BYTES_MAX)) == most
    assert pdf_tokens_max("claude_new", text(document(900))) == most
