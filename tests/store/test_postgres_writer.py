"""What a batch writes goes to PostgreSQL as one statement, its rows as JSON: what is there then is what each statement by itself would write."""

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from farebox.store.postgres_connection import open_connection
from farebox.store.postgres_writer import NotOnce, Writer, _composed
from support.postgres import give_back, migrated_database

ODD = "quote ' \" back \\ {brace},[bracket] é ☃ 𝄞 \u2028 tab \t line \n NULL $1"
MOST = 2**63 - 1
TABLES = ("holds", "replays", "usage_hours", "usage_counts", "windows", "charges")


@pytest.fixture
def writer() -> Iterator[Writer]:
    """On a database with the schema and no rows."""
    url = migrated_database()
    loop = asyncio.new_event_loop()
    writer = Writer(loop.run_until_complete(open_connection(url)), loop.run_until_complete, set())
    yield writer
    writer.close()
    loop.close()
    give_back(url)


def hold(name: str, state: str = "open", closed_at: int | None = None) -> tuple[Any, ...]:
    first = (name, ODD, 1, "key", "acc", "root", "w", MOST, 0, 0, 0, 0, "[]", '[["a",1]]')
    return (*first, 1, 0, 0, "p", "m", "r", "proc", 1, MOST, "", ODD, "", "", state, closed_at)


def charge(name: str) -> tuple[Any, ...]:
    first = (name, "", "k", "a", "r", "w", 1, "success", "exact", 3, 2, 1, 0, 0, 0, "[]")
    return (*first, "p", "m", ODD, "r", "{}", "[]", "{}", "", 200, "", 0, 0)


BATCH: dict[str, list[tuple[Any, ...]]] = {
    "open_hold": [hold("new"), hold("over", "captured", 7)],
    "close_hold": [("old", "captured", MOST)],
    "write_charge": [charge("old"), charge("over")],
    "open_replay": [("k", ODD, "f", "r", 1, "running", None), ("k", ODD, "f", "r", 2, "done", b'\x00\xff"\\')],
    "change_window": [("a", 1, 5, 0, 0, 1, 0, 0, 0, 0)],
    "add_usage": [(1, b"\x00'", "a", "k", ODD, "p", "m", "r", *range(9))],
    "add_usage_counts": [(1, b"\x00'", "u", 1), (1, b"\x00'", ODD, MOST)],
}


def put(writer: Writer, *names: str) -> None:
    """Writes parts of the batch together."""
    with writer.together():
        for name in names:
            writer.many(name, BATCH[name])


def written(writer: Writer, *, together: bool) -> dict[str, list[str]]:
    """What is there once the batch was written; none of it stays."""
    writer.script("BEGIN")
    writer.run_many("open_hold", [hold("old")])
    writer.run_many("make_window", [("a", 1), ("b", 1)])
    if together:
        put(writer, *BATCH)
    else:
        for name, rows in BATCH.items():
            writer.run_many(name, rows)
    found = {table: [row[0] for row in writer.fetch(f"SELECT t::text FROM {table} AS t ORDER BY 1")] for table in TABLES}
    writer.script("ROLLBACK")
    return found


def test_rows_written_together_are_those_written_one_by_one(writer: Writer) -> None:
    """Texts of any signs, bytes, what is not there, and the largest numbers."""
    together = written(writer, together=True)
    assert together == written(writer, together=False)
    assert {table: len(rows) for table, rows in together.items()} == {
        "holds": 3,
        "replays": 1,
        "usage_hours": 1,
        "usage_counts": 2,
        "windows": 2,
        "charges": 2,
    }


def test_a_hold_that_is_closed_already_is_noticed_among_much_else(writer: Writer) -> None:
    """Somebody wrote past the locks: nothing of the batch may stay."""
    writer.script("BEGIN")
    with pytest.raises(NotOnce, match="close_hold found 0 of 1 rows"):
        put(writer, "close_hold", "add_usage_counts")
    writer.script("ROLLBACK")


@pytest.mark.parametrize("value", ["a\x00b", 2**63, 2**70])
def test_a_value_that_no_column_takes_is_a_fault_of_what_was_asked(writer: Writer, value: object) -> None:
    """And no outage: another try would not help."""
    row = ("k", value, "f", "r", 1, "running", None) if isinstance(value, str) else ("k", "n", "f", "r", value, "running", None)
    writer.script("BEGIN")
    with pytest.raises((asyncpg.DataError, OverflowError)), writer.together():
        writer.many("open_replay", [row])
    writer.script("ROLLBACK")


def test_rows_are_joined_through_an_index_whatever_the_planner_expects_of_lists(writer: Writer) -> None:
    """A plan is made while tables are small, and kept."""
    for name in ("close_hold", "change_window"):
        writer.script("BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan")
        writer.script(f"PREPARE planned AS {_composed((name,))}")
        plan = "\n".join(row[0] for row in writer.fetch("EXPLAIN EXECUTE planned ('[]')"))
        writer.script("DEALLOCATE planned; ROLLBACK")
        assert "Nested Loop" in plan, plan
        assert "Hash" not in plan, plan
