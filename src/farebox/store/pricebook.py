"""Publishing a new version of the price book. A row belongs to every version from `since` until (not including) `until`: versions cost
only what changed, and count from the one command that publishes it, in the same commit.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import msgspec

from farebox.clock import US_PER_MS, seconds
from farebox.errors import CommandRefused
from farebox.ids import new_id
from farebox.ledger.commands import PublishBook
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.store.batcher import Batcher
from farebox.store.database import PUBLISHING, Written
from farebox.store.reading import Books
from farebox.store.rows import text

_LEFT_BEHIND = ("clear_unpublished_models", "reopen_models", "clear_unpublished_prices", "reopen_prices")
"""Undo what a version that was never published left: its rows were once written one commit after the other."""
_LEASE_S = 60
_LEASE_WAIT_S = 20
_LEASE_POLL_MS = 100


@asynccontextmanager
async def publishing(batcher: Batcher) -> AsyncIterator[str]:
    """What is read of the price book within stays so: no other process publishes meanwhile. Gives the name that `publish` goes under.

    Raises CommandRefused when another one does for long.
    """
    owner = new_id("cmd")
    give_up = asyncio.get_running_loop().time() + _LEASE_WAIT_S
    while not await batcher.lease(PUBLISHING, owner, _LEASE_S):
        if asyncio.get_running_loop().time() > give_up:
            raise CommandRefused("publishing", "Another process is publishing prices: try again in a minute.")
        await asyncio.sleep(seconds(_LEASE_POLL_MS * US_PER_MS))
    try:
        yield owner
    finally:
        await batcher.lease(PUBLISHING, owner, 0)


async def publish(
    batcher: Batcher,
    owner: str,
    books: Books,
    models: Iterable[ModelRow],
    prices: Iterable[PriceRow],
    *,
    scope: str = "",
    note: str = "",
    command: str = "",
) -> int:
    """Makes these models and prices the whole of a scope's rows (`""`: the list) in a new version; returns its number.

    For whoever is `publishing` under this name: `books` was read since. Raises CommandRefused, having changed nothing.
    """
    version = books.version + 1
    book = books.own.get(scope) if scope else books.listed
    new_models = list(models)
    new_prices = {_content(row): row for row in prices}
    old_prices = {_content(row): row for row in (book.prices() if book is not None else ())}
    writes: list[Written] = [(name, [(version,)]) for name in _LEFT_BEHIND]
    if not scope:
        old_models = {(row.provider, row.model): row for row in books.listed.rows()}
        changed = [row for row in new_models if old_models.get((row.provider, row.model)) != row]
        gone = old_models.keys() - {(row.provider, row.model) for row in new_models}
        replaced = {(row.provider, row.model) for row in changed} & old_models.keys()
        writes.append(("end_model", [(version, *key) for key in sorted(gone | replaced)]))
        writes.append(("add_model", [_model(row, version) for row in changed]))
    ended = sorted(_identity(old_prices[content]) for content in old_prices.keys() - new_prices.keys())
    writes.append(("end_price", [(version, scope, *identity) for identity in ended]))
    added = sorted((new_prices[content] for content in new_prices.keys() - old_prices.keys()), key=_identity)
    writes.append(("add_price", [(scope, version, *msgspec.structs.astuple(row)) for row in added]))
    checked_at = max((row.checked_at_us for row in new_prices.values()), default=0)
    writes.append(("recheck_prices", [(scope, checked_at)]))
    await batcher.publish(owner, writes, PublishBook(command or new_id("cmd"), version, note))
    return version


def _content(row: PriceRow) -> tuple[object, ...]:
    """What makes a row another row: not when it was last checked, nor who said so."""
    return (*_identity(row), row.valid_to_us)


def _identity(row: PriceRow) -> tuple[str | int, ...]:
    return (row.provider, row.model, row.unit, row.tier_above, row.service_tier, row.speed, row.geo, row.batch, row.valid_from_us, row.pico)


def _model(row: ModelRow, version: int) -> tuple[object, ...]:
    return (row.provider, row.model, version, None, text(row.names), row.context_tokens_max, row.output_tokens_max, row.kind)
