"""The writer's statements on PostgreSQL. What a batch writes goes to the server in one message: the statements become parts of one, which all
see what was there before it. Owns what the writer remembers of the database: which windows exist.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from farebox.ledger.model import WindowRef
from farebox.store.database import Written
from farebox.store.postgres_connection import PostgresDatabase
from farebox.store.rows import text
from farebox.store.statements import statements

_LIST = re.compile(r"\$\d+::(\w+)\[\]")
_LISTS = re.compile(r"unnest\(([^()]*)\)(\s+WITH ORDINALITY)?(\s+AS\s)?")
_COLUMNS = {"text": "given ->> {}", "bigint": "(given ->> {})::bigint", "bytea": "decode(given ->> {}, 'base64')"}
"""A value of a row that is a JSON array, as each type of column takes it."""
_ONCE = ("hand_over_hold", "close_hold", "revise_charge")
"""Statements that change a row only from one state, and of which every one must."""
_REPLAYS = ("open_replay", "close_replay", "free_replay")


class NotOnce(Exception):
    """A row was not in the state that the decision was made on: somebody wrote past the locks."""


class Writer(PostgresDatabase):
    """Named statements; `together`, those that write are kept until the end and run as one."""

    windows: set[WindowRef]

    def __init__(self, connection: Any, run: Any, windows: set[WindowRef]) -> None:
        super().__init__(connection, run)
        self.windows = windows
        """Those that are known to exist: they are not made again."""
        self._kept: list[Written] | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written within goes to the server at the end, in one message, unless one part of it is about what another writes."""
        self._kept = []
        try:
            yield
            kept, self._kept = self._kept, None
            self._run_all(kept)
        finally:
            self._kept = None

    def many(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs a statement for all rows of values at once."""
        gathered = list(rows)
        if name == "make_window":
            gathered = [ref for ref in gathered if tuple(ref) not in self.windows]
        if not gathered:
            return
        if self._kept is not None:
            self._kept.append((name, gathered))
        else:
            self._check(name, gathered, self.run_many(name, gathered))

    def _run_all(self, kept: list[Written]) -> None:
        if not _independent(kept):
            for name, rows in kept:
                self._check(name, rows, self.run_many(name, rows))
        elif kept:
            names = tuple([name for name, _ in kept])
            (counts,) = self.fetch(_composed(names), *[text(rows) for _, rows in kept])
            for (name, rows), count in zip([one for one in kept if one[0] in _ONCE], counts, strict=False):
                self._check(name, rows, count)

    def _check(self, name: str, rows: list[Sequence[Any]], written: int) -> None:
        if name in _ONCE and written != len(rows):
            raise NotOnce(f"{name} found {written} of {len(rows)} rows as they were read")


def _independent(kept: list[Written]) -> bool:
    """Whether no part is about a row that another part writes: within one statement it would not see it."""
    rows = dict(kept)
    opened, closed, handed = ({row[0] for row in rows.get(name, ())} for name in ("open_hold", "close_hold", "hand_over_hold"))
    return (
        len(rows) == len(kept)
        and "make_window" not in rows
        and sum(name in rows for name in _REPLAYS) <= 1
        and opened.isdisjoint(closed)
        and handed.isdisjoint(opened | closed)
        and not ("write_charge" in rows and "revise_charge" in rows)
    )


@lru_cache(maxsize=256)
def _composed(names: tuple[str, ...]) -> str:
    """Named statements as one. Its parameters are the rows of each, as JSON; it answers how many of those that are counted were written."""
    sql = statements("postgres")
    counted = [number for number, name in enumerate(names) if name in _ONCE]
    returns = [" RETURNING 1" if number in counted else "" for number in range(len(names))]
    parts = ", ".join([f"w{number} AS ({_listed(sql[name], number + 1)}{returns[number]})" for number, name in enumerate(names)])
    counts = [f"(SELECT count(*) FROM w{number})" for number in counted]  # noqa: S608 - of numbers
    return f"WITH {parts} SELECT {', '.join(counts) or '0'}"


def _listed(sql: str, place: int) -> str:
    """A statement that takes a list for each of its columns, taking them as one JSON array of rows instead.

    PostgreSQL makes a table of its own of each list, which costs more than what is done with the few rows of a batch, and writing the lists
    costs more than writing JSON. Of a function it expects a hundred rows, and might walk a whole index to join them; of a condition on its
    rows few.
    """

    def rows(lists: re.Match[str]) -> str:
        columns = [_COLUMNS[kind].format(number) for number, kind in enumerate(_LIST.findall(lists[1]))]
        source = f"jsonb_array_elements(${place}::text::jsonb) WITH ORDINALITY AS listed (given, number)"
        if lists[2]:
            columns.append("number")
        selected = f"SELECT {', '.join(columns)} FROM {source} WHERE jsonb_typeof(given) = 'array'"  # noqa: S608 - of our own statements
        return f"({selected}){lists[3] or ' AS listed'}"

    return _LISTS.sub(rows, sql)
