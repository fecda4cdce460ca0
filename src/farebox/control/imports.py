"""Taking in prices: from the list that comes with Farebox, or an operator's own CSV, for everybody or for one account or key.

Owns what an import replaces, what a person has to accept, and that a repeat is answered as before. Does not own reading price lists
(`pricing.importer`), nor storing them (`store.pricebook`).
"""

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from farebox import limits
from farebox.control.office import Office, conflict
from farebox.control.problems import Problem
from farebox.control.wire import from_pico, moment
from farebox.ledger.commands import Done
from farebox.money import PICO_PER_USD
from farebox.pricing.book import PROVIDER_ALIASES, ModelPrice, PriceBook
from farebox.pricing.hours import is_named
from farebox.pricing.importer import Change, PriceCsvError, check, diff, from_genai_prices, read_price_csv
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.store.pricebook import publish, publishing
from farebox.store.reading import Books
from farebox.store.reports import Reports
from farebox.usage import BY_THE_MILLION, PLAIN, Conditions

_FACTOR_CHARS_MAX = 12
_PLAIN = msgspec.structs.asdict(Conditions())


class Import(msgspec.Struct, frozen=True):
    """What is to be taken in. `csv` None: the list that comes with Farebox. `replace`: what it does not name goes. `follows`: the prices begin
    where the ones before them end, which stay; one without a beginning begins now, or is the first and held always.
    """

    csv: str | None
    scope: str = ""
    accept: bool = False
    accept_loss: bool = False
    replace: bool = False
    dry_run: bool = False
    note: str = ""
    follows: bool = False


class Summary(msgspec.Struct, frozen=True):
    """What an import did, as it is noted with its version."""

    scope: str
    models: int
    prices: int
    rejected: int
    added: int
    changed: int
    removed: int
    needs_acceptance: int
    note: str
    content: str
    """A digest of what was asked, by which a repeat is recognised."""


class _Draft(msgspec.Struct, frozen=True):
    models: list[ModelRow]
    prices: list[PriceRow]
    changes: list[Change]
    summary: Summary
    to_accept: list[Change]


async def take_in(office: Office, command: str, asked: Import) -> tuple[dict[str, Any], bool]:
    """Imports prices and returns what that did, and whether it was done before by the same command. Raises a Problem."""
    async with office.importing, publishing(office.context.batcher) as owner:
        before = await office.read(lambda reports: reports.command(command))
        if isinstance(before, Done):
            return await _again(office, int(before.ids.get("version", 0)), asked), True
        if before is not None:
            raise conflict()
        books = await office.books()
        draft = await office.work(lambda: _draft(office, books, asked))
        if asked.dry_run:
            return _shown(draft.summary, None, None, draft.changes), False
        await _check(office, asked, draft)
        note = msgspec.json.encode(draft.summary).decode()
        prices = draft.prices
        batcher = office.context.batcher
        version = await publish(batcher, owner, books, draft.models, prices, scope=asked.scope, note=note, command=command)
        return await _again(office, version, asked), False


async def _again(office: Office, version: int, asked: Import) -> dict[str, Any]:
    """The answer of an import that was carried out: from what was noted with its version, now and for every repeat."""
    noted = await office.read(lambda reports: reports.book_note(version))
    try:
        summary = msgspec.json.decode(noted[1], type=Summary) if noted is not None else None
    except msgspec.DecodeError:
        summary = None
    if noted is None or summary is None or summary.content != _digest(asked):
        raise conflict()
    return _shown(summary, version, noted[0], [])


def _digest(asked: Import) -> str:
    content = msgspec.to_builtins(msgspec.structs.replace(asked, dry_run=False, accept=False, accept_loss=False))
    if not asked.follows:
        del content["follows"]  # as it was digested before there was such a thing
    return blake2b(msgspec.json.encode(content), digest_size=16).hexdigest()


def _draft(office: Office, books: Books, asked: Import) -> _Draft:
    """What the scope's rows would be, and what of that is different."""
    book = books.own.get(asked.scope) if asked.scope else books.listed
    models, prices, rejected = _read(asked, office.context.clock())
    named = {(row.provider, row.model) for row in prices}
    old_rows = list(book.prices()) if book is not None else []
    if asked.follows:
        prices = _following(old_rows, prices, office.context.clock())
    kept = [] if asked.replace else [row for row in old_rows if (row.provider, row.model) not in named]
    merged = [*kept, *prices]
    changes = diff(old_rows, merged)
    to_accept = check(changes, office.context.settings.pricing.jump_factor_max)
    kinds = Counter(change.kind for change in changes)
    summary = Summary(
        asked.scope,
        len(named),
        len(prices),
        rejected,
        kinds["added"],
        kinds["changed"],
        kinds["removed"],
        len(to_accept),
        asked.note,
        _digest(asked),
    )
    return _Draft(_models(books.listed, models, merged, replace=asked.replace), merged, changes, summary, to_accept)


def _read(asked: Import, now: int) -> tuple[list[ModelRow], list[PriceRow], int]:
    if asked.csv is None:
        imported = from_genai_prices(now)
        return list(imported.models), list(imported.prices), len(imported.rejected)
    try:
        prices = read_price_csv(asked.csv, now)
    except PriceCsvError as problem:
        errors = [{"field": "csv", "problem": one} for one in problem.problems[: limits.page_rows_default]]
        raise Problem("invalid_prices", str(problem), errors=errors) from None
    if not prices:
        raise Problem("invalid_prices", "There is no price in the file.")
    return [], [_canonical(row) for row in prices], 0


def _following(before: list[PriceRow], prices: list[PriceRow], now: int) -> list[PriceRow]:
    """New prices and those of the same models before them, which end where these begin."""
    made: list[PriceRow] = []
    for row in prices:
        earlier = [old for old in before if (old.provider, old.model, old.unit) == (row.provider, row.model, row.unit)]
        begins = row.valid_from_us or (now if earlier else 0)
        ended = [old for old in earlier if old.valid_from_us < begins]
        made += [msgspec.structs.replace(old, valid_to_us=min(old.valid_to_us or begins, begins)) for old in ended]
        made.append(msgspec.structs.replace(row, valid_from_us=begins))
    return made


def _canonical(row: PriceRow) -> PriceRow:
    """Providers by the name that look-ups use."""
    return msgspec.structs.replace(row, provider=PROVIDER_ALIASES.get(row.provider, row.provider))


def _models(listed: PriceBook, imported: list[ModelRow], prices: Iterable[PriceRow], *, replace: bool) -> list[ModelRow]:
    """The rows of models: those that came, and those that were there before (of a replaced list only where they are still priced)."""
    known = {(row.provider, row.model): row for row in listed.rows()}
    known |= {(row.provider, row.model): row for row in imported}
    if not replace:
        return list(known.values())
    priced = {(row.provider, row.model) for row in prices} | {(row.provider, row.model) for row in imported}
    return [row for key, row in known.items() if key in priced]


async def _check(office: Office, asked: Import, draft: _Draft) -> None:
    if draft.to_accept and not asked.accept:
        shown = [change_json(change) for change in draft.to_accept[: limits.price_changes_shown_max]]
        words = f"{len(draft.to_accept)} changes are unusual (a jump, a price that is gone, or nothing): look at them, and accept them."
        raise Problem("needs_acceptance", words, changes=shown, **_counts(draft.summary))
    if not asked.scope or asked.accept_loss:
        return
    books = await office.books()
    losing = below_cost(books.listed, draft.prices)
    if losing and not await office.read(lambda reports: _cost_is_capped(reports, asked.scope)):
        words = f"{len(losing)} prices are below the provider's ({', '.join(losing[:5])}): accept the loss, or cap it with a hard provider_cost budget."
        raise Problem("below_cost", words)


def below_cost(listed: PriceBook, own: Iterable[PriceRow]) -> list[str]:
    """Which own prices are below what the provider lists, by name: at every tier and under all conditions that the provider lists, as they
    would be charged there, at each moment at which either begins.
    """
    own = list(own)
    mine = PriceBook(0, (), own)
    models = {(row.provider, row.model) for row in own}
    turns = {row.valid_from_us for row in own}
    found: dict[str, None] = {}
    for cost in listed.prices():
        if (cost.provider, cost.model) not in models:
            continue
        for at_us in {cost.valid_from_us, *turns}:
            price = mine.find(cost.provider, cost.model, at_us) if cost.holds_at(at_us) else None
            if price is not None and _is_below(price, cost, listed, at_us):
                found[f"{cost.provider}/{cost.model} {cost.unit}"] = None
    return list(found)


def _is_below(mine: ModelPrice, cost: PriceRow, listed: PriceBook, at_us: int) -> bool:
    """Whether an own price is below a listed one where that holds: of prices by the hour, at any hour of the day."""
    prompt, unit = cost.tier_above + 1, cost.unit
    theirs = listed.find(cost.provider, cost.model, at_us)
    windows = [window for window, _ in (*mine.hours, *(theirs.hours if theirs is not None else ()))]
    if theirs is None or not windows or not (cost.conditions == PLAIN or is_named(cost.service_tier)):
        return mine.card(cost.conditions).at(prompt).prices.get(unit, cost.pico) < cost.pico
    for turn in {edge for window in windows for edge in (window.begins_us, window.begins_us + window.lasts_us)}:
        charged, billed = (price.card_within((turn, turn)).at(prompt).prices.get(unit) for price in (mine, theirs))
        if charged is not None and billed is not None and charged < billed:
            return True
    return False


def _cost_is_capped(reports: Reports, scope: str) -> bool:
    """Whether a hard budget in provider cost stands on the scope or above it, on everything it calls."""
    at: str | None = scope
    key = reports.key(scope)
    scopes = [] if key is None else [key.id]
    at = scope if key is None else key.account
    while at is not None:
        scopes.append(at)
        account = reports.account(at)
        at = account.parent if account is not None else None
    budgets = [budget for name in scopes for budget in reports.budgets(name)]
    return any(one.hard and one.measure == "provider_cost" and not one.counter.filter.text() for one in budgets)


def _counts(summary: Summary) -> dict[str, Any]:
    told = msgspec.structs.asdict(summary)
    told.pop("content")
    return told


def _shown(summary: Summary, version: int | None, published_at: int | None, changes: list[Change]) -> dict[str, Any]:
    return {
        "version": version,
        "published_at": moment(published_at),
        **_counts(summary),
        "changes": [change_json(change) for change in changes[: limits.price_changes_shown_max]],
    }


def change_json(change: Change) -> dict[str, Any]:
    """A change in dollars: per million tokens, per unit of an own meter, or per unit of anything else."""
    per = 1_000_000 if change.unit in BY_THE_MILLION else 1
    factor = change.factor
    return {
        "kind": change.kind,
        "provider": change.provider,
        "model": change.model,
        "unit": change.unit,
        "tier_above": change.tier_above,
        "conditions": conditions_json(change.conditions),
        "from": moment(change.from_us or None),
        "to": moment(change.to_us),
        "old_usd": None if change.old_pico is None else from_pico(change.old_pico * per),
        "new_usd": None if change.new_pico is None else from_pico(change.new_pico * per),
        "per": per,
        "factor": None if factor is None else from_pico(factor.numerator * PICO_PER_USD // factor.denominator)[:_FACTOR_CHARS_MAX],
    }


def conditions_json(conditions: Conditions) -> dict[str, Any]:
    """What is out of the ordinary."""
    return {name: value for name, value in msgspec.structs.asdict(conditions).items() if value != _PLAIN[name]}
