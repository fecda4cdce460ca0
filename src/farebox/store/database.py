"""What the rooms above need of a database: named statements, one row or many, and a view of one commit. Says nothing of which one it is.

Statements have the same names, parameters and columns in every dialect (`sql/<dialect>/`). Each connection serves one thread at a time.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from farebox.clock import Clock
from farebox.errors import FareboxError
from farebox.ledger.commands import Command, Outcome, PublishBook

Row = Sequence[Any]
Place = Path | str
"""Where a store is: the path of a SQLite file, or the URL of a PostgreSQL database."""
_PASSWORD = re.compile(r"(?<=[?&])(?:ssl)?password=[^&]*&?")
Entry = tuple[Command, ...]
Answer = tuple[Outcome, ...] | FareboxError
Alarm = Callable[..., None]
Written = tuple[str, list[Sequence[Any]]]
"""A statement's name, and the rows of values that it is run for."""
PUBLISHING = "prices"
"""The lease of whoever publishes a price book."""


def shown(place: Place) -> str:
    """A place as it may be printed: without a password."""
    if isinstance(place, Path):
        return str(place)
    head, at, rest = place.rpartition("@")
    scheme, slashes, user = head.partition("://")
    return _PASSWORD.sub("", f"{scheme}{slashes}{user.partition(':')[0]}{at}{rest}")


class TookTooLongError(Exception):
    """What was read within a snapshot took longer than it may."""


class Database(Protocol):
    """One connection. Reading connections raise LedgerUnavailable when the database cannot be reached; a writer's raise its own errors."""

    @property
    def sql(self) -> Mapping[str, str]:
        """The statements, by name."""
        ...

    def now(self, wall: Clock) -> int:
        """The moment that the ledger would decide at. Where the database has a clock of its own, `wall` decides nothing."""
        ...

    def rows(self, name: str, *arguments: Any) -> Sequence[Row]:
        """All rows of a statement: positional parameters, or one dict of named ones."""
        ...

    def one(self, name: str, *arguments: Any) -> Any:
        """Its first row; None if there is none."""
        ...

    def many(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs a statement once for each row of values."""
        ...

    def select(self, sql: str, values: dict[str, Any]) -> Sequence[Row]:
        """Rows of a statement that was put together from named ones."""
        ...

    def snapshot(self, seconds_max: int | None = None) -> AbstractContextManager[None]:
        """All that is read within is of one commit. Raises TookTooLongError after so many seconds."""
        ...

    def close(self) -> None: ...


class Store(Protocol):
    """What the batcher needs of a store. All of it is called from the batcher's thread."""

    def decide(self, entries: Sequence[Entry]) -> list[Answer]:
        """Decides entries in order and answers each, once it is durable."""
        ...

    def write(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs one named statement for each row, in one transaction. Never money. Raises LedgerUnavailable."""
        ...

    def publish(self, owner: str, writes: Sequence[Written], command: PublishBook) -> Outcome:
        """Writes rows of the price book and decides the command that makes them count, in one transaction, for whoever has the lease.

        Raises CommandRefused, having changed nothing, and LedgerUnavailable.
        """
        ...

    def lease(self, name: str, owner: str, seconds: int) -> bool:
        """Whether this piece of background work is the owner's for so long: taken, or renewed. Raises LedgerUnavailable."""
        ...

    def claim(self, name: str, *arguments: Any) -> Sequence[Row]:
        """Runs one named statement that takes rows for whoever asks, and gives them once nobody else can. Raises LedgerUnavailable."""
        ...

    def tidy(self, *, idle: bool) -> None:
        """Upkeep after a batch; `idle`: nobody waits."""
        ...

    def close(self) -> None: ...
