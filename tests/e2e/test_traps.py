"""docs/traps.md names a test for each trap that others fell into: every one of them exists, where it says."""

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| (?P<what>.*?) ?\| (?:`(?P<test>test_\w+)` ?)?\| `(?P<file>tests/[\w/]+\.py)` \|$", re.MULTILINE)


def test_every_test_that_the_traps_name_exists() -> None:
    """In the file beside it; a row without a test of its own names one more file of the test above."""
    rows = list(_ROW.finditer((_ROOT / "docs" / "traps.md").read_text("utf-8")))
    assert len(rows) > 150
    test = ""
    for row in rows:
        test = row["test"] or test
        source = (_ROOT / row["file"]).read_text("utf-8")
        assert re.search(rf"def {test}\(", source), f"{row['file']} has no {test}"


def test_every_trap_has_a_test() -> None:
    """No row of the tables is without one."""
    text = (_ROOT / "docs" / "traps.md").read_text("utf-8")
    table = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| what broke", "| ---"))]
    assert [line for line in table if not _ROW.fullmatch(line)] == []


def test_the_checklist_is_whole() -> None:
    """Each of its twenty points, in their order."""
    text = (_ROOT / "docs" / "traps.md").read_text("utf-8").partition("## The checklist")[2]
    assert [int(number) for number in re.findall(r"^\| (\d+)\. ", text, re.MULTILINE)] == list(range(1, 21))
