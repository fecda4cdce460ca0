"""docs/proof.md names a test for everything that it says is shown: each of them exists, where it says."""

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| .+ \| `(?P<test>test_\w+)` \| `(?P<file>tests/[\w/]+\.py)` \|$", re.MULTILINE)


def test_every_test_that_the_page_names_exists() -> None:
    """In the file beside it."""
    text = (_ROOT / "docs" / "proof.md").read_text("utf-8")
    rows = list(_ROW.finditer(text))
    assert len(rows) == text.count("`test_")
    for row in rows:
        assert re.search(rf"def {row['test']}\(", (_ROOT / row["file"]).read_text("utf-8")), f"{row['file']} has no {row['test']}"


def test_every_drill_is_on_the_page() -> None:
    """Whoever adds one, tells of it."""
    text = (_ROOT / "docs" / "proof.md").read_text("utf-8")
    drills = [path for path in Path(__file__).parent.glob("test_*.py") if path.name not in (Path(__file__).name, "test_books.py")]
    names = [name for path in drills for name in re.findall(r"^async def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE)]
    assert len(names) > 15
    assert [name for name in names if f"`{name}`" not in text] == []
