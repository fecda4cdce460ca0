"""What the imported price data lacks: limits (limits.csv) and prices (supplement.csv), each row of which says where it is from.

A supplement fills gaps; it never overrides what the list itself states. The limits are facts compiled from a public, MIT-licensed model
table (November 2026).
"""

import csv
from collections.abc import Iterable, Iterator
from decimal import Decimal
from importlib.resources import files
from typing import NamedTuple

import msgspec

from farebox.pricing.book import undated
from farebox.pricing.importer.exact import Rejected, pico_of
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.usage import PLAIN, TOKEN_UNITS

_PERCENT = 100


class Imported(NamedTuple):
    """What an import brings: rows for the book, and what was left out with the reason."""

    models: list[ModelRow]
    prices: list[PriceRow]
    rejected: list[Rejected]


class _Limit(NamedTuple):
    kind: str
    context: int
    output: int


class _Extra(msgspec.Struct, frozen=True):
    """A line of supplement.csv. Either `usd` per `per` units, or `percent` of what `of_unit` costs under the same conditions."""

    provider: str
    model: str
    """One model, or a beginning and `*`: every model listed by that beginning."""
    unit: str
    """`*`: every token unit, for another `geo`."""
    usd: str
    per: str
    of_unit: str
    percent: str
    geo: str
    where: str
    """Only models that have a price for this unit. Empty: all."""
    kind: str
    """Given for a model that the list does not know: what it is."""
    source: str


def completed(listed: Imported, now_us: int) -> Imported:
    """The rows of a list with limits and missing prices added."""
    models = {(row.provider, row.model): row for row in listed.models}
    prices: dict[tuple[str, str], list[PriceRow]] = {}
    for row in listed.prices:
        prices.setdefault((row.provider, row.model), []).append(row)
    rejected = list(listed.rejected)
    for extra in _extras():
        if not extra.model.endswith("*") and (extra.provider, extra.model) not in models:
            models[extra.provider, extra.model] = ModelRow(extra.provider, extra.model, (extra.model,), kind=extra.kind or "chat")
        for key in [key for key in models if key[0] == extra.provider and _named(extra.model, key[1])]:
            rows = prices.setdefault(key, [])
            rows += _lacking(extra, key[1], rows, now_us, rejected)
    return Imported(_limited(list(models.values())), [row for rows in prices.values() for row in rows], rejected)


def _named(pattern: str, model: str) -> bool:
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern


def _lacking(extra: _Extra, model: str, rows: list[PriceRow], now_us: int, rejected: list[Rejected]) -> list[PriceRow]:
    """The rows that a line of the supplement adds to a model: none where the list has its own."""
    if extra.where and not any(row.unit == extra.where for row in rows):
        return []
    if any(extra.unit in ("*", row.unit) and row.geo == extra.geo for row in rows):
        return []
    if extra.usd:
        pico = pico_of(Decimal(extra.usd), int(extra.per), extra.unit)
        return [
            PriceRow(
                provider=extra.provider,
                model=model,
                unit=extra.unit,
                tier_above=0,
                service_tier=PLAIN.service_tier,
                speed=PLAIN.speed,
                geo=extra.geo,
                batch=0,
                pico=pico,
                valid_from_us=0,
                valid_to_us=None,
                source=extra.source,
                checked_at_us=now_us,
            )
        ]
    return list(_derived(extra, rows, rejected))


def _derived(extra: _Extra, rows: Iterable[PriceRow], rejected: list[Rejected]) -> Iterator[PriceRow]:
    for row in rows:
        if row.unit != extra.of_unit and not (extra.of_unit == "*" and row.unit in TOKEN_UNITS):
            continue
        pico, rest = divmod(row.pico * int(extra.percent), _PERCENT)
        unit = row.unit if extra.unit == "*" else extra.unit
        if rest:
            rejected.append(Rejected(row.provider, row.model, unit, f"{extra.percent} % of {row.pico} pico-dollars is not a whole number"))
            continue
        geo = extra.geo if extra.unit == "*" else row.geo
        yield msgspec.structs.replace(row, unit=unit, pico=pico, geo=geo, source=f"{extra.source}; from {row.source}")


def _limited(models: list[ModelRow]) -> list[ModelRow]:
    """Models with their limits. Where two sources give a context window the larger counts: it caps what is held, so it errs upwards."""
    found: dict[tuple[str, str], list[tuple[str, _Limit]]] = {}
    owners = {(row.provider, name): row.model for row in models for name in row.names}
    for (provider, name), limit in _limits().items():
        owner = owners.get((provider, name)) or owners.get((provider, undated(name)))
        if owner is not None:
            found.setdefault((provider, owner), []).append((name, limit))
    return [_with_limits(row, found.get((row.provider, row.model), ())) for row in models]


def _with_limits(row: ModelRow, found: Iterable[tuple[str, _Limit]]) -> ModelRow:
    limits = dict(found)
    if not limits:
        return row
    own = limits.get(row.model)
    output = own.output if own is not None and own.output else max(limit.output for limit in limits.values())
    return msgspec.structs.replace(
        row,
        context_tokens_max=max(row.context_tokens_max or 0, *(limit.context for limit in limits.values())) or None,
        output_tokens_max=output or None,
        kind=(own or next(iter(limits.values()))).kind,
    )


def _limits() -> dict[tuple[str, str], _Limit]:
    return {
        (row["provider"], row["model"]): _Limit(row["kind"], int(row["context_tokens_max"] or 0), int(row["output_tokens_max"] or 0))
        for row in _lines("limits.csv")
    }


def _extras() -> list[_Extra]:
    return [_Extra(**row) for row in _lines("supplement.csv")]


def _lines(name: str) -> list[dict[str, str]]:
    text = files("farebox.pricing.importer").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
