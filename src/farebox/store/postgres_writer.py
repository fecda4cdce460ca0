"""The writer's statements on PostgreSQL. What a batch writes goes to the server in one message: the statements become parts of one, which all
see what was there before it. Owns what the writer remembers of the database: which windows exist.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from farebox.ledger.model import WindowRef
from farebox.store.database import Written
from farebox.store.postgres_connection import PostgresDatabase
from farebox.store.statements import statements

_LIST = re.compile(r"\$(\d+)::(\w+)\[\]")
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
            sql, kinds = _composed(tuple(name for name, _ in kept))
            columns = [column for _, rows in kept for column in zip(*rows, strict=True)]
            (counts,) = self.fetch(sql, *[_LITERALS.get(kind, list)(column) for kind, column in zip(kinds, columns, strict=True)])
            for (name, rows), count in zip(kept, counts, strict=True):
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
def _composed(names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Named statements as one, their parameters numbered through, that answers how many rows each of them wrote; and the kinds of these.

    Lists are taken as text: writing it here and reading it there costs a fifth of what asyncpg takes to encode them value by value.
    """
    sql, parts, kinds = statements("postgres"), [], list[str]()
    for number, name in enumerate(names):
        found = {int(place): kind for place, kind in _LIST.findall(sql[name])}
        first = len(kinds)

        def renumbered(place: re.Match[str], first: int = first) -> str:
            through = "" if place[2] not in _LITERALS else "::text"
            return f"${int(place[1]) + first}{through}::{place[2]}[]"

        parts.append(f"w{number} AS ({_LIST.sub(renumbered, sql[name])} RETURNING 1)")
        kinds += [found[place] for place in sorted(found)]
    counts = ", ".join(f"(SELECT count(*) FROM w{number})" for number in range(len(names)))  # noqa: S608 - of numbers
    return f"WITH {', '.join(parts)} SELECT {counts}", tuple(kinds)


def _texts(values: Iterable[str | None]) -> str:
    """A list of texts as PostgreSQL writes one."""
    quoted = ["NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values]
    return "{" + ",".join(quoted) + "}"


def _numbers(values: Iterable[int | None]) -> str:
    """A list of whole numbers as PostgreSQL writes one."""
    return "{" + ",".join(["NULL" if value is None else f"{value:d}" for value in values]) + "}"


_LITERALS: dict[str, Callable[[Iterable[Any]], Any]] = {"text": _texts, "bigint": _numbers}
