"""SQL is a language: statements live in `.sql` files, named and commented, with the same names for every database. This reads them."""

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\n-- (\S.*)\n", re.MULTILINE)
_SPACED = re.compile(r"""('[^']*'|"[^"]*")|(--|/\*)|\s*([,()=+])\s*|\s+""")


@cache
def statements(database: str) -> dict[str, str]:
    """Every named statement of one database (`sqlite`), by name. Refuses a name used twice."""
    found: dict[str, str] = {}
    for file in sorted(resources.files(__package__).joinpath("sql", database).iterdir(), key=lambda entry: entry.name):
        parts = _NAME.split(file.read_text("utf-8"))
        for name, _, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            if name in found:
                raise ValueError(f"the statement {name} is written twice")
            found[name] = _terse(text.strip().removesuffix(";")) if database == "sqlite" else _unindented(text.strip().removesuffix(";"))
    return found


def _unindented(text: str) -> str:
    return "\n".join(line.strip() for line in text.split("\n"))


def _terse(text: str) -> str:
    """The same statement without the blanks that only people need: its driver finds what it compiled by reading all of it, every time."""
    return _SPACED.sub(_shorter, text)


def _shorter(found: re.Match[str]) -> str:
    if found[2]:
        raise ValueError(f"what stands behind {found[2]} in {found.string!r} would be lost: a statement is explained in the line before it")
    return found[1] or found[3] or " "


def migrations(database: str) -> list[tuple[int, str, str]]:
    """The numbered schema changes of one database, in order: (number, name, SQL)."""
    files = resources.files(__package__).joinpath("migrations", database).iterdir()
    return sorted((int(file.name[:4]), file.name, file.read_text("utf-8")) for file in files if file.name.endswith(".sql"))
