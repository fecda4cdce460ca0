"""SQL is a language here: every statement has a name, a reason to exist, and somebody who uses it."""

import re
from collections.abc import AsyncIterator, Mapping
from importlib import resources
from pathlib import Path

import apsw
import apsw.ext
import asyncpg
import msgspec
import pytest

import farebox
from farebox.clock import US_PER_HOUR
from farebox.ledger.model import Charge, Hold
from farebox.store.migrate import migrate
from farebox.store.postgres_connection import numbered
from farebox.store.statements import _terse, statements
from farebox.store.usage_reports import DIMENSIONS, Question, _dimensions, _filled, _found, _pieces
from support.postgres import give_back, migrated_database

DIALECTS = ("sqlite", "postgres")
ONLY_POSTGRES = {"lock_wallets", "lock_counters", "lock_windows", "read_moment", "open_batch", "wallets_below", "take_lease", "keep_lease"}
"""What several processes at once need."""
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
SOURCE = Path(next(iter(farebox.__path__)))


def files_of(dialect: str) -> list[Path]:
    return sorted(Path(str(resources.files("farebox.store").joinpath("sql", dialect))).iterdir())


def names_of(file: Path) -> list[str]:
    return re.findall(r"^-- name: (\w+)$", file.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_file_is_nothing_but_named_and_explained_statements(dialect: str) -> None:
    """A name, a line that says why, then SQL that ends in a semicolon. What the reader would skip, it must not contain."""
    for file in files_of(dialect):
        text, names = file.read_text("utf-8"), names_of(file)
        assert text.startswith("-- name: "), file.name
        assert text.count("-- name") == len(names) == len(re.findall(r"^-- name: \w+\n-- \S[^\n]*\.\n", text, re.MULTILINE)), file.name
        assert all(part.strip().endswith(";") for part in re.split(r"^-- name: ", text, flags=re.MULTILINE)[1:]), file.name
        assert set(names) <= set(statements(dialect))


def test_every_database_has_the_same_statements() -> None:
    """In the same files, in the same order; PostgreSQL has a few more."""
    found = {dialect: {file.name: names_of(file) for file in files_of(dialect)} for dialect in DIALECTS}
    names = {dialect: [(file, name) for file, those in found[dialect].items() for name in those] for dialect in DIALECTS}
    assert [(file, name) for file, name in names["postgres"] if name not in ONLY_POSTGRES] == [
        (file, name) for file, name in names["sqlite"] if name not in ONLY_POSTGRES
    ]


@pytest.mark.parametrize(("table", "kind"), [("holds", Hold), ("charges", Charge)])
def test_columns_stand_in_the_order_of_the_fields(table: str, kind: type[msgspec.Struct]) -> None:
    """Rows are written without naming their columns: what each is, its place says. A column more, and SQLite refuses the statement."""
    connection = apsw.Connection(":memory:")
    migrate(connection, "sqlite", lambda: 0)
    columns = [str(name) for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    assert columns == [field.name for field in msgspec.structs.fields(kind)]
    assert statements("sqlite")[{"holds": "open_hold", "charges": "write_charge"}[table]].startswith(f"INSERT INTO {table} VALUES(?")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_statement_is_used(dialect: str) -> None:
    """By its name, as text, or by a name that is put together, somewhere in the source."""
    source = "\n".join(file.read_text("utf-8") for file in SOURCE.rglob("*.py"))
    unused = [name for name in statements(dialect) if f'"{name}"' not in source and f'"{name.rpartition("_")[0]}_{{' not in source]
    assert not unused


@pytest.mark.parametrize("comment", ["-- not the others\n", "/* not the others */ "])
def test_a_comment_within_a_statement_is_refused(comment: str) -> None:
    """Its lines are joined: what stands behind a comment would be lost, without an error."""
    with pytest.raises(ValueError, match="would be lost"):
        _terse(f"UPDATE t SET a = 2 {comment}WHERE a = 5")
    assert (
        _terse("UPDATE t  SET a = '-- no  /* comment', b = ?2\n WHERE a - -1 = 5")
        == "UPDATE t SET a='-- no  /* comment',b=?2 WHERE a - -1=5"
    )


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


def whole(sql: Mapping[str, str]) -> dict[str, str]:
    """Every statement that can be run, and those put together for every dimension that usage can be grouped by."""
    found = {name: text for name, text in sql.items() if is_whole(text)}
    for by in [(), *((dimension,) for dimension in DIMENSIONS), ("tag:team",), (*DIMENSIONS, "tag:team", "tag:user")]:
        for name in ("usage_sums", "usage_counts"):
            question = Question(1, 3 * US_PER_HOUR + 1, by, "acc", "acc", "key")
            rows, _ = _found(sql, question, _pieces(question))
            found[f"{name} by {', '.join(by)}"] = _filled(sql[name], rows, _dimensions(sql, by)[0])
    return found


@pytest.fixture
async def connection() -> AsyncIterator[asyncpg.Connection]:
    """To a PostgreSQL with the schema and no rows."""
    url = migrated_database()
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()
    give_back(url)


async def test_every_statement_means_the_same_in_both_databases(connection: asyncpg.Connection) -> None:
    """Each is compiled by the database itself: as many parameters (or the same names), as many columns, and only types that both know."""
    sqlite = apsw.Connection(":memory:")
    migrate(sqlite, "sqlite", lambda: 0)
    known = whole(statements("sqlite"))
    for name, text in whole(statements("postgres")).items():
        positional, names = numbered(text)
        try:
            prepared = await connection.prepare(positional)
        except asyncpg.PostgresError as problem:
            pytest.fail(f"{name}: {problem}")
        columns, parameters = prepared.get_attributes(), prepared.get_parameters()
        assert {column.type.name for column in columns} <= {"text", "int8", "bytea"}, name
        assert {parameter.name.removesuffix("[]") for parameter in parameters} <= {"text", "int8", "bytea"}, name
        if name not in known:
            assert name in ONLY_POSTGRES
            continue
        asked = apsw.ext.query_info(sqlite, known[name])
        assert len(parameters) == asked.bindings_count, name
        assert set(names) == {binding for binding in asked.bindings_names if binding is not None and not binding.isdigit()}, name
        if asked.description:
            assert len(columns) == len(asked.description), name


async def test_the_schema_is_the_same_in_both_databases(connection: asyncpg.Connection) -> None:
    """The same tables and columns, in the same order, of the matching types; what may be empty in one may be in the other."""
    sqlite = apsw.Connection(":memory:")
    migrate(sqlite, "sqlite", lambda: 0)
    types = {"TEXT": "text", "INTEGER": "bigint", "BLOB": "bytea"}
    listed = "SELECT table_name, column_name, data_type, is_nullable = 'NO', collation_name FROM information_schema.columns"
    found: dict[str, list[tuple[object, ...]]] = {}
    for table, column, kind, required, collation in await connection.fetch(
        f"{listed} WHERE table_schema = 'public' ORDER BY ordinal_position"
    ):
        assert collation == ("C" if kind == "text" else None) or table == "migrations"
        found.setdefault(table, []).append((column, kind, required))
    tables = dict(sqlite.execute("SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view')"))
    assert set(found) - {"leases"} == set(tables) - {"leases"}
    for table, what in tables.items():
        columns = list(sqlite.execute('SELECT name, type, "notnull" OR pk > 0 FROM pragma_table_info(?)', (table,)))
        assert [column for column, _, _ in found[table]] == [name for name, _, _ in columns], table
        if what == "table":
            assert found[table] == [(name, types[str(kind)], bool(required)) for name, kind, required in columns], table


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
