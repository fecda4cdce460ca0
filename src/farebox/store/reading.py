"""Reads for the way of a request: who a key is and what is laid down for it, and the price book. Through a connection of its own."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from farebox.errors import LedgerDown, LedgerUnavailable
from farebox.ledger.plan import Policy
from farebox.pricing.book import PriceBook
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.store import rows
from farebox.store.apart import Apart
from farebox.store.database import Place
from farebox.store.loading import Loader
from farebox.store.opening import connect

T = TypeVar("T")
_RETRY_AFTER_S = 5
_names = msgspec.json.Decoder(tuple[str, ...]).decode


class Books(msgspec.Struct, frozen=True):
    """The price book of one version: list prices, and the own prices of accounts and keys by their id."""

    version: int
    listed: PriceBook
    own: dict[str, PriceBook]


class Reader:
    """One connection, for one thread. Never waits for the writer."""

    def __init__(self, place: Place) -> None:
        self._db = connect(place)
        self._load = Loader(self._db)

    def close(self) -> None:
        self._db.close()

    def policy_by_hash(self, key_hash: str) -> Policy | None:
        """All that is laid down for the key with this hash, in one snapshot; None if there is no such key."""
        policy: Policy | None = None
        with self._db.snapshot():
            for row in self._db.rows("read_key_by_hash", key_hash):
                policy = self._load.policy(rows.key_of(row))
        return policy

    def book_version(self) -> int:
        """The version of the price book that counts."""
        return int(self._db.one("read_book_version")[0])

    def books(self, version: int | None = None) -> Books:
        """The price book that counts, or that of an earlier version, compiled for look-ups."""
        with self._db.snapshot():
            version = self.book_version() if version is None else version
            models = [ModelRow(row[0], row[1], _names(row[2]), *row[3:]) for row in self._db.rows("read_models_of_version", version)]
            by_scope: dict[str, list[PriceRow]] = {}
            for scope, *fields in self._db.rows("read_prices_of_version", version):
                by_scope.setdefault(scope, []).append(PriceRow(*fields))
        listed = PriceBook(version, models, by_scope.pop("", []))
        return Books(version, listed, {scope: PriceBook(version, models, prices) for scope, prices in by_scope.items()})


class Lookup:
    """The same for an event loop.

    Raises LedgerDown, a refusal, when the database cannot be reached.
    """

    def __init__(self, place: Place) -> None:
        self._reader = Reader(place)
        self._apart = Apart(place, "farebox-lookup")

    async def policy_by_hash(self, key_hash: str) -> Policy | None:
        """All that is laid down for the key with this hash; None if there is no such key."""
        return await self._do(lambda: self._reader.policy_by_hash(key_hash))

    async def books_since(self, known: Books | None) -> Books:
        """The price book that counts; what is known already, if that is still it."""
        return await self._do(lambda: known if known is not None and self._reader.book_version() == known.version else self._reader.books())

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await self._apart.read(work)
        except LedgerUnavailable:
            raise LedgerDown(retry_after_s=_RETRY_AFTER_S) from None

    def close(self) -> None:
        self._apart.close()
        self._reader.close()
