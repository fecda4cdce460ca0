"""What providers keep, and for whom. An object belongs to the account that made it; that account and those above it may use it.

To anybody else it does not exist. Owns the look-up, and what is written outside of a charge; objects of a call are written with its charge.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from farebox.clock import Clock
from farebox.errors import LedgerDown, LedgerUnavailable
from farebox.store.apart import Apart
from farebox.store.batcher import Batcher
from farebox.store.database import Place
from farebox.store.opening import connect

_RETRY_AFTER_S = 5


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of an object. More may be known of it in another version of farebox."""

    model: str = ""
    total_tokens: int | None = None
    """The most that it brings into another request to the same model; of a response all that went in and came out. None: not known exactly."""
    tokens_anywhere: int | None = None
    """The same at any model."""

    def brings(self, model: str) -> int | None:
        """The most tokens that it brings into a request to a model; None where that is not known."""
        return self.total_tokens if self.model == model and self.total_tokens is not None else self.tokens_anywhere


class Object(msgspec.Struct, frozen=True):
    """One thing that a provider keeps."""

    provider: str
    kind: str
    id: str
    account: str
    key: str
    made_at: int
    facts: Facts


class Named(msgspec.Struct, frozen=True):
    """An object that somebody names, and whether it may be used."""

    object: Object
    own: bool


_facts = msgspec.json.Decoder(Facts).decode
encode_facts = _encode = msgspec.json.Encoder().encode


class Objects:
    """For an event loop. Raises LedgerDown, a refusal, when the database cannot be reached."""

    def __init__(self, place: Place, batcher: Batcher, clock: Clock) -> None:
        self._db = connect(place)
        self._apart = Apart(place, "farebox-objects")
        self._batcher = batcher
        self._clock = clock

    async def find(self, kind: str, identifier: str, account: str) -> list[Object]:
        """The object of this id, as far as the account may use it: at more than one provider if these made up the same id."""
        try:
            found = await self._apart.read(lambda: self._db.rows("read_object", kind, identifier, account, self._clock()))
        except LedgerUnavailable:
            raise LedgerDown(retry_after_s=_RETRY_AFTER_S) from None
        return [_object(row) for row in found]

    async def find_all(self, kind: str, identifiers: Sequence[str], account: str) -> list[Named]:
        """What is stored under these ids, whoever has it; whether the account may use it."""
        asked = _encode(identifiers).decode()
        try:
            found = await self._apart.read(lambda: self._db.rows("read_objects", kind, asked, account, self._clock()))
        except LedgerUnavailable:
            raise LedgerDown(retry_after_s=_RETRY_AFTER_S) from None
        return [Named(_object(row[:-1]), bool(row[-1])) for row in found]

    async def keep(self, made: Object, request_id: str, lasts: int) -> None:
        """Says whose an object is that was made without a charge. Durable when this returns."""
        try:
            now = await self._apart.read(lambda: self._db.now(self._clock))
            facts = encode_facts(made.facts).decode()
            row = (made.provider, made.id, made.kind, made.account, made.key, request_id, now, now + lasts, facts)
            await self._batcher.write("store_object", [row])
        except LedgerUnavailable:
            raise LedgerDown(retry_after_s=_RETRY_AFTER_S) from None

    async def drop(self, provider: str, identifier: str) -> None:
        """The provider keeps it no longer."""
        try:
            await self._batcher.write("drop_object", [(provider, identifier)])
        except LedgerUnavailable:
            raise LedgerDown(retry_after_s=_RETRY_AFTER_S) from None

    def close(self) -> None:
        self._apart.close()
        self._db.close()


def _object(row: Sequence[Any]) -> Object:
    provider, kind, identifier, account, key, made_at, facts = row
    return Object(provider, kind, identifier, account, key, made_at, _facts(facts))
