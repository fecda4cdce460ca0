"""SQL is a language: statements live in `.sql` files, named and commented, with the same names for every database. This reads them."""

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\n-- (\S.*)\n", re.MULTILINE)


@cache
def statements(database: str) -> dict[str, str]:
    """Every named statement of one database (`sqlite`), by name. Refuses a name used twice."""
    found: dict[str, str] = {}
    for file in sorted(resources.files(__package__).joinpath("sql", database).iterdir(), key=lambda entry: entry.name):
        parts = _NAME.split(file.read_text("utf-8"))
        for name, _, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            if name in found:
                raise ValueError(f"the statement {name} is written twice")
            found[name] = "\n".join(line.strip() for line in text.strip().removesuffix(";").split("\n"))  # a driver's cache reads all of it
    return found


def migrations(database: str) -> list[tuple[int, str, str]]:
    """The numbered schema changes of one database, in order: (number, name, SQL)."""
    files = resources.files(__package__).joinpath("migrations", database).iterdir()
    return sorted((int(file.name[:4]), file.name, file.read_text("utf-8")) for file in files if file.name.endswith(".sql"))
