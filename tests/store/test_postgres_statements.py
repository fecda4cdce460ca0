"""What PostgreSQL's statements do beyond SQLite's: many rows at once, locks in order, leases, and a clock that is the database's."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest

from farebox.clock import US_PER_S, wall_clock
from farebox.store.rollups import rounded
from farebox.store.statements import statements
from support.postgres import give_back, migrated_database

SQL = statements("postgres")
LATE, SOON = 0, 2**62


class Desk:
    """A connection that knows the statements by name."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def rows(self, name: str, *values: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.connection.fetch(SQL[name], *values)]

    async def many(self, name: str, *rows: Sequence[Any]) -> None:
        await self.connection.execute(SQL[name], *(list(column) for column in zip(*rows, strict=True)))

    async def value(self, sql: str) -> Any:
        return await self.connection.fetchval(sql)

    async def hold(self, name: str, owner: str, deadline: int = SOON, *, wallet: str = "w", windows: str = "[]") -> None:
        row = (name, "req", 1, "key", "acc", "root", wallet, 0, 0, 0, 0, 0, "[]", windows, 1, 0, 0, "p", "m", "r", owner, 1, deadline)
        await self.many("open_hold", (*row, "", "", "", "", "open", None))

    async def account(self, name: str, wallet: str, parent: str | None) -> None:
        await self.many("write_account", (name, name, wallet, 1, parent, "", "customer", None, "active", "", 0, None, None, "{}", 1))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """At a PostgreSQL with the schema and no rows."""
    url = migrated_database()
    connection = await asyncpg.connect(url)
    yield Desk(connection)
    await connection.close()
    give_back(url)


async def test_a_hold_named_several_times_is_counted_in_all_of_them(desk: Desk) -> None:
    """In their order, and as the compact JSON that it was written as."""
    await desk.hold("one", "proc_a", windows='[["x",1]]')
    await desk.hold("two", "proc_a")
    await desk.many("count_hold", ("one", 'b"é', 5), ("two", "c", 6), ("one", "a", 4))
    found = {row[0]: row[13] for row in await desk.rows("read_holds", '["one","two","three"]')}
    assert found == {"one": '[["x",1],["b\\"é",5],["a",4]]', "two": '[["c",6]]'}


async def test_the_last_of_several_rows_of_an_upsert_stays(desk: Desk) -> None:
    """PostgreSQL would refuse to touch a row twice in one statement."""
    await desk.many("open_replay", ("key", "n", "f", "req", 1, "running", None), ("key", "n", "f", "req", 1, "done", b"x"))
    await desk.many("write_budgets", ("key", "[1]"), ("other", "[]"), ("key", "[2]"))
    assert await desk.rows("read_replay", "key", "n") == [("key", "n", "f", "req", 1, "done", b"x")]
    assert await desk.rows("read_budgets", "key") == [("[2]",)]


async def test_only_holds_of_processes_not_heard_of_are_orphans(desk: Desk) -> None:
    """A heartbeat counts for so long (here 30 s) of the database's time, whatever time the process said it was."""
    for owner in ("proc_me", "proc_alive", "proc_silent", "proc_unknown", "api"):
        await desk.hold(f"hold of {owner}", owner)
    await desk.many("beat_process", ("proc_alive", 1), ("proc_silent", SOON))
    await desk.connection.execute("UPDATE processes SET heartbeat_at = heartbeat_at - 31000000 WHERE id = 'proc_silent'")
    assert await desk.rows("orphaned_holds", "proc_me", 10, 30 * US_PER_S) == [("hold of proc_silent",), ("hold of proc_unknown",)]
    await desk.many("beat_process", ("proc_silent", 1))
    assert await desk.rows("orphaned_holds", "proc_me", 10, 30 * US_PER_S) == [("hold of proc_unknown",)]


async def test_holds_past_their_deadline_are_found_whoever_owns_them(desk: Desk) -> None:
    """By the database's time: what the one who asks takes the time to be is not looked at."""
    for owner in ("proc_me", "proc_other", "api"):
        await desk.hold(f"late {owner}", owner, LATE)
        await desk.hold(f"soon {owner}", owner)
    assert await desk.rows("overdue_holds", "proc_me", SOON, 10) == [("late api",), ("late proc_me",), ("late proc_other",)]


async def test_a_lease_is_one_owner_s_until_it_is_over(desk: Desk) -> None:
    """Renewed by whoever has it, taken by another once it is over or given up."""
    minute = 60 * US_PER_S
    assert await desk.rows("take_lease", "sweep", "a", minute)
    assert not await desk.rows("take_lease", "sweep", "b", minute)
    assert await desk.rows("take_lease", "sweep", "a", minute)
    assert await desk.rows("take_lease", "sweep", "a", 0)
    assert await desk.rows("take_lease", "sweep", "b", 0)
    assert await desk.rows("take_lease", "sweep", "a", minute)


async def test_wallets_are_locked_in_order_by_name_and_by_hold(desk: Desk) -> None:
    """Text sorts by its bytes, as in SQLite and in Python."""
    for name in ("b", "B", "é", "_", "a"):
        await desk.account(name, name, None)
    await desk.hold("hold", "proc_a", wallet="é")
    assert await desk.rows("lock_wallets", '["b","B","_","none"]', '["hold","none"]') == [("B",), ("_",), ("b",), ("é",)]


async def test_the_wallets_of_a_scope_are_those_of_all_below_it(desk: Desk) -> None:
    """Of a key it is the one wallet that its account draws on."""
    for name, wallet, parent in (("root", "root", None), ("team", "root", "root"), ("shop", "shop", "team"), ("other", "other", None)):
        await desk.account(name, wallet, parent)
    key = ("key", "team", "root", "hash", "", 1, "", "active", "", 0, None, "[]", "never", None, "", None, None, None, "{}", "{}")
    await desk.many("write_key", (*key, None, None, None, 1))
    found = {scope: [row[0] for row in await desk.rows("wallets_below", scope)] for scope in ("root", "shop", "key", "none")}
    assert found == {"root": ["root", "shop"], "shop": ["shop"], "key": ["root"], "none": []}


async def test_the_moment_is_the_database_s(desk: Desk) -> None:
    """With the version of the price book that counts at it."""
    await desk.many("publish_book", (1, 1, ""), (2, 1, ""))
    ((before, version),) = await desk.rows("read_moment")
    ((after,),) = await desk.rows("read_clock")
    assert version == 2
    assert before < after
    assert abs(after - wall_clock()) < 3600 * US_PER_S


async def test_windows_are_found_by_their_index_among_many(desk: Desk) -> None:
    """Both to lock them and to read them."""
    await desk.connection.execute(
        "INSERT INTO windows (counter, start) SELECT 'c' || n / 100, n % 100 FROM generate_series(1, 100000) AS n"
    )
    await desk.connection.execute("ANALYZE windows")
    for name, asked in {"lock_windows": (["c7", "c500"], [8, 1]), "read_windows": ('[["c7",8],["c500",1]]',)}.items():
        plan = "\n".join(row[0] for row in await desk.connection.fetch(f"EXPLAIN {SQL[name]}", *asked))
        assert "Index Scan using windows_pkey" in plan, plan
        assert [row[:2] for row in await desk.rows(name, *asked)] == [("c500", 1), ("c7", 8)]


@pytest.mark.parametrize("measured", ["TRUNCATE windows, grants", "ANALYZE"])
async def test_a_batch_is_opened_through_indexes_though_it_was_planned_while_tables_were_empty(desk: Desk, measured: str) -> None:
    """It reads the few rows that it asks for, and none of the others; whether PostgreSQL knew that they were empty or not."""
    await desk.connection.execute(measured)
    await desk.account("w", "w", None)
    await desk.hold("old", "proc_a", wallet="w", windows='[["c7",8]]')
    asked = (["w"], ["old"], ["c500", "c9"], [1, 5], ["w", "key"])
    await desk.rows("open_batch", *asked)
    await desk.connection.execute(
        "INSERT INTO windows (counter, start) SELECT 'c' || n / 100, n % 100 FROM generate_series(1, 100000) AS n"
    )
    await desk.many("open_grant", *[(f"g{n:05}", f"w{n:05}", "purchase", 1, 100, 0, 0, None, 0, 0, 0) for n in range(5000)])
    read = "SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot(), sum(seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables"
    await desk.value(read)
    before = await desk.connection.fetchval(read, column=2)
    (found,) = await desk.rows("open_batch", *asked)
    await desk.value(read)
    assert await desk.connection.fetchval(read, column=2) - before < 50
    assert found[0] == '[["w"]]'
    assert [window[:2] for window in json.loads(found[1])] == [["c500", 1], ["c7", 8], ["c9", 5]]
    assert [hold[0] for hold in json.loads(found[4])] == ["old"]
    assert found[5:] == (None, '[["w", 1]]', None)


async def test_numbers_that_every_call_changes_touch_no_index(desk: Desk) -> None:
    """Updated in place, beside the old version: that is what the room left on each page is for."""
    await desk.many("make_window", ("a", 0))
    await desk.many("open_grant", ("g", "w", "purchase", 1, 100, 0, 0, None, 0, 0, 0))
    for _ in range(20):
        await desk.many("change_window", ("a", 0, *[1] * 8))
        await desk.many("change_grant", ("g", 0, 1, 0, 0))
    await desk.value("SELECT pg_stat_force_next_flush()")
    found = await desk.connection.fetch("SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE n_tup_upd > 0")
    assert {row[0]: row[1] - row[2] for row in found if row[0] in {"windows", "grants"}} == {"windows": 0, "grants": 0}


@pytest.mark.parametrize("us", [1, 99, 100, 101, 199, 1234, 4_999, 5_000, 123_456, 987_654_321])
async def test_times_are_rounded_as_the_writer_rounds_them(desk: Desk, us: int) -> None:
    """The view that verify compares with says a second time what a charge adds to its hour."""
    await desk.hold("hold", "proc_a")
    sums = (
        "hold",
        "req",
        "key",
        "acc",
        "root",
        "w",
        1,
        "success",
        "exact",
        0,
        0,
        0,
        0,
        0,
        0,
        "[]",
        "p",
        "m",
        "m",
        "r",
        '{"units":{}}',
        "[]",
    )
    await desk.many("write_charge", (*sums, f'{{"first_byte_us":{us},"last_byte_us":0}}', "", 200, "", 0, 0))
    (row,) = await desk.connection.fetch("SELECT first_byte_us, total_us FROM charge_usage")
    assert tuple(row) == (rounded(us), None)
