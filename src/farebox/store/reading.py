"""Reads for the way of a request: who a key is and what is laid down for it, and the price book. Through a connection of its own."""

from pathlib import Path

import apsw
import msgspec

from farebox.ledger.plan import Policy
from farebox.pricing.book import PriceBook
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.store import rows
from farebox.store.loading import Loader
from farebox.store.sqlite import connect_reader
from farebox.store.statements import statements

_names = msgspec.json.Decoder(tuple[str, ...]).decode


class Books(msgspec.Struct, frozen=True):
    """The price book of one version: list prices, and the own prices of accounts and keys by their id."""

    version: int
    listed: PriceBook
    own: dict[str, PriceBook]


class Reader:
    """One connection, for one thread. Never waits for the writer."""

    def __init__(self, path: Path) -> None:
        self._db: apsw.Connection = connect_reader(path)
        self._sql = statements("sqlite")
        self._load = Loader(self._db, self._sql)

    def close(self) -> None:
        self._db.close()

    def policy_by_hash(self, key_hash: str) -> Policy | None:
        """All that is laid down for the key with this hash, in one snapshot; None if there is no such key."""
        policy: Policy | None = None
        with self._db:
            for row in self._db.execute(self._sql["read_key_by_hash"], (key_hash,)):
                policy = self._load.policy(rows.key_of(row))
        return policy

    def book_version(self) -> int:
        """The version of the price book that counts."""
        return int(next(iter(self._db.execute(self._sql["read_book_version"])))[0])

    def books(self) -> Books:
        """The price book that counts, compiled for look-ups."""
        with self._db:
            version = self.book_version()
            models = [
                ModelRow(row[0], row[1], _names(row[2]), *row[3:])
                for row in self._db.execute(self._sql["read_models_of_version"], (version,))
            ]
            by_scope: dict[str, list[PriceRow]] = {}
            for scope, *fields in self._db.execute(self._sql["read_prices_of_version"], (version,)):
                by_scope.setdefault(scope, []).append(PriceRow(*fields))
        listed = PriceBook(version, models, by_scope.pop("", []))
        return Books(version, listed, {scope: PriceBook(version, models, prices) for scope, prices in by_scope.items()})
