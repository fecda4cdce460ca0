"""Publishing a new version of the price book. A row belongs to every version from `since` until (not including) `until`: versions cost
only what changed. Rows are written first and seen by nobody; the version counts from the one command that publishes it.
"""

from collections.abc import Iterable

import msgspec

from farebox.errors import CommandRefused
from farebox.ids import new_id
from farebox.ledger.commands import Done, PublishBook
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.store.batcher import Batcher
from farebox.store.reading import Books
from farebox.store.rows import text


async def publish(
    batcher: Batcher,
    books: Books,
    models: Iterable[ModelRow],
    prices: Iterable[PriceRow],
    *,
    scope: str = "",
    note: str = "",
    command: str = "",
) -> int:
    """Makes these models and prices the whole of a scope's rows (`""`: the list) in a new version; returns its number.

    Only one process publishes at a time (the control plane's lock); rows of a version that was never published are cleared first.
    """
    version = books.version + 1
    book = books.own.get(scope) if scope else books.listed
    new_models = list(models)
    new_prices = {_content(row): row for row in prices}
    old_prices = {_content(row): row for row in (book.prices() if book is not None else ())}
    await batcher.write("clear_unpublished_models", [(version,)])
    await batcher.write("reopen_models", [(version,)])
    await batcher.write("clear_unpublished_prices", [(version,)])
    await batcher.write("reopen_prices", [(version,)])
    if not scope:
        old_models = {(row.provider, row.model): row for row in books.listed.rows()}
        changed = [row for row in new_models if old_models.get((row.provider, row.model)) != row]
        gone = old_models.keys() - {(row.provider, row.model) for row in new_models}
        replaced = {(row.provider, row.model) for row in changed} & old_models.keys()
        await batcher.write("end_model", [(version, *key) for key in sorted(gone | replaced)])
        await batcher.write("add_model", [_model(row, version) for row in changed])
    await batcher.write(
        "end_price", [(version, scope, *_identity(old_prices[content])) for content in old_prices.keys() - new_prices.keys()]
    )
    added = sorted((new_prices[content] for content in new_prices.keys() - old_prices.keys()), key=_identity)
    await batcher.write("add_price", [(scope, version, *msgspec.structs.astuple(row)) for row in added])
    checked_at = max((row.checked_at_us for row in new_prices.values()), default=0)
    await batcher.write("recheck_prices", [(scope, checked_at)])
    outcome = await batcher.one(PublishBook(command or new_id("cmd"), version, note))
    if not isinstance(outcome, Done):
        raise CommandRefused("not_published", f"version {version} of the price book could not be published: {outcome}")
    return version


def _content(row: PriceRow) -> tuple[object, ...]:
    """What makes a row another row: not when it was last checked, nor who said so."""
    return (*_identity(row), row.valid_to_us)


def _identity(row: PriceRow) -> tuple[str | int, ...]:
    return (row.provider, row.model, row.unit, row.tier_above, row.service_tier, row.speed, row.geo, row.batch, row.valid_from_us, row.pico)


def _model(row: ModelRow, version: int) -> tuple[object, ...]:
    return (row.provider, row.model, version, None, text(row.names), row.context_tokens_max, row.output_tokens_max, row.kind)
