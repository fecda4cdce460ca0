"""SQL is a language here: every statement has a name, a reason to exist, and somebody who uses it."""

import re
from importlib import resources
from pathlib import Path

import apsw
import pytest

import farebox
from farebox.store.migrate import migrate
from farebox.store.statements import statements

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
SOURCE = Path(next(iter(farebox.__path__)))
FILES = sorted(Path(str(resources.files("farebox.store").joinpath("sql", "sqlite"))).iterdir())


def test_every_file_is_nothing_but_named_and_explained_statements() -> None:
    """A name, a line that says why, then SQL that ends in a semicolon. What the reader would skip, it must not contain."""
    for file in FILES:
        text = file.read_text("utf-8")
        names = re.findall(r"^-- name: (\w+)$", text, re.MULTILINE)
        assert text.startswith("-- name: "), file.name
        assert text.count("-- name") == len(names) == len(re.findall(r"^-- name: \w+\n-- \S[^\n]*\.\n", text, re.MULTILINE)), file.name
        assert all(part.strip().endswith(";") for part in re.split(r"^-- name: ", text, flags=re.MULTILINE)[1:]), file.name
        assert set(names) <= set(statements("sqlite"))


def test_every_statement_is_used() -> None:
    """By its name, as text, somewhere in the source."""
    source = "\n".join(file.read_text("utf-8") for file in SOURCE.rglob("*.py"))
    unused = [name for name in statements("sqlite") if f'"{name}"' not in source]
    assert not unused


def is_whole(text: str) -> bool:
    """Not a part of others, and without a place that they fill."""
    return text.startswith(VERBS) and "{" not in text


def test_every_statement_fits_the_schema() -> None:
    """SQLite itself compiles each of them against a store as it is made."""
    connection = apsw.Connection(":memory:")
    migrate(connection, "sqlite", lambda: 0)
    whole = {name: text for name, text in statements("sqlite").items() if is_whole(text)}
    assert len(whole) > len(statements("sqlite")) * 3 // 4
    for name, text in whole.items():
        try:
            connection.execute(f"EXPLAIN {text}", None, can_cache=False)
        except apsw.BindingsError:
            continue  # it compiled: only its values are missing
        except apsw.SQLError as problem:
            pytest.fail(f"{name}: {problem}")


def test_a_name_is_given_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two statements of one name are refused when they are read."""
    folder = tmp_path / "sql" / "sqlite"
    folder.mkdir(parents=True)
    (folder / "a.sql").write_text("-- name: same\n-- Why.\nSELECT 1;\n\n-- name: same\n-- Why.\nSELECT 2;\n")
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    statements.cache_clear()
    try:
        with pytest.raises(ValueError, match="written twice"):
            statements("sqlite")
    finally:
        monkeypatch.undo()
        statements.cache_clear()
