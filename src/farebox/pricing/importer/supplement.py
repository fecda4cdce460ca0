"""What the imported price data lacks: limits (limits.csv), prices (supplement.csv), exact names (names.csv), and models that one provider
sells at another's prices (resold.csv). Each price says where it is from and when that was read.

A supplement fills gaps; it never overrides what the list itself states. The limits are facts compiled from a public, MIT-licensed model
table (November 2026).
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from farebox.pricing.book import undated
from farebox.pricing.importer.exact import ROUNDED_UP, Rejected, is_rounded, pico_of
from farebox.pricing.importer.names import named
from farebox.pricing.importer.tables import lines
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.usage import PLAIN, TOKEN_UNITS, Conditions

_PERCENT = 100
_RESOLD_FROM: Final = {"azure": "openai"}
"""Whose prices those are that a provider sells another one's models at. The maker stands before it in supplement.csv."""
_Key = tuple[str, str]


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
    """One model, or a beginning and `*`: every model listed by that beginning. The first line that fits decides."""
    unit: str
    """`*`: every token unit, for another `geo` or `service_tier`."""
    usd: str
    per: str
    of_unit: str
    percent: str
    service_tier: str
    """Given: what the plain price becomes in that tier."""
    geo: str
    where: str
    """Only models that have a price for this unit. Empty: all."""
    kind: str
    """Given for a model that the list does not know: what it is."""
    checked: str
    """The day on which the source was read."""
    source: str

    def names(self, model: str) -> bool:
        """Whether the line is about this model."""
        return model.startswith(self.model[:-1]) if self.model.endswith("*") else model == self.model

    def moved(self, row: PriceRow) -> Conditions | None:
        """The conditions that a price of this line holds under when it is derived from a row. None: not from this row."""
        if not self.service_tier:
            return msgspec.structs.replace(row.conditions, geo=self.geo) if row.geo == PLAIN.geo else None
        return Conditions(service_tier=self.service_tier, geo=self.geo) if row.conditions == PLAIN else None


def completed(listed: Imported, now_us: int) -> Imported:
    """The rows of a list with names, limits and missing prices added."""
    models = {(row.provider, row.model): row for row in listed.models}
    prices: dict[_Key, list[PriceRow]] = {}
    for row in listed.prices:
        prices.setdefault((row.provider, row.model), []).append(row)
    rejected = list(listed.rejected)
    extras = _extras()
    for provider in dict.fromkeys(extra.provider for extra in extras):
        for line in lines("resold.csv") if provider in _RESOLD_FROM else ():
            _resell(line["provider"], line["model"], models, prices)
        _complete(provider, [extra for extra in extras if extra.provider == provider], models, prices, rejected, now_us)
    return Imported(_limited(named(models.values())), [row for rows in prices.values() for row in rows], rejected)


def _complete(
    provider: str,
    extras: list[_Extra],
    models: dict[_Key, ModelRow],
    prices: dict[_Key, list[PriceRow]],
    rejected: list[Rejected],
    now_us: int,
) -> None:
    """Adds what the supplement has for a provider, line by line."""
    keys = {key: None for key in models if key[0] == provider}
    for extra in extras:
        if not extra.model.endswith("*") and (provider, extra.model) not in keys:
            models[provider, extra.model] = ModelRow(provider, extra.model, (extra.model,), kind=extra.kind or "chat")
            keys[provider, extra.model] = None
        for key in [key for key in keys if extra.names(key[1])]:
            rows = prices.setdefault(key, [])
            if not extra.where or any(row.unit == extra.where for row in rows):
                rows += _stated(extra, key[1], rows, now_us) if extra.usd else _derived(extra, rows, rejected)


def _stated(extra: _Extra, model: str, rows: list[PriceRow], now_us: int) -> list[PriceRow]:
    """The rows of a price in dollars: none where the list has its own. A token's holds under all conditions that the list names."""
    dollars, per = Decimal(extra.usd), int(extra.per)
    notes = [ROUNDED_UP] if is_rounded(dollars, per) else []
    present = {row.conditions for row in rows if row.unit == extra.unit}
    return [
        PriceRow(
            provider=extra.provider,
            model=model,
            unit=extra.unit,
            tier_above=0,
            service_tier=conditions.service_tier,
            speed=conditions.speed,
            geo=conditions.geo,
            batch=int(conditions.batch),
            pico=pico_of(dollars, per, extra.unit),
            valid_from_us=from_us,
            valid_to_us=None,
            source="; ".join([f"{extra.source} ({extra.checked})", *notes]),
            checked_at_us=now_us,
        )
        for conditions, from_us in _holding(extra, rows).items()
        if not present or (extra.service_tier and conditions not in present)
    ]


def _holding(extra: _Extra, rows: list[PriceRow]) -> dict[Conditions, int]:
    """The conditions that a price in dollars holds under, and since when."""
    own = Conditions(service_tier=extra.service_tier or PLAIN.service_tier, geo=extra.geo)
    since = {own: 0}
    if own == PLAIN and extra.unit in TOKEN_UNITS:
        for row in rows:
            since[row.conditions] = min(row.valid_from_us, since.get(row.conditions, row.valid_from_us))
    return since


def _derived(extra: _Extra, rows: list[PriceRow], rejected: list[Rejected]) -> list[PriceRow]:
    """The rows of a share of another price: for each unit that has none of its own under those conditions."""
    present = {(row.unit, row.conditions) for row in rows}
    added: list[PriceRow] = []
    for row in rows:
        if row.unit != extra.of_unit and not (extra.of_unit == "*" and row.unit in TOKEN_UNITS):
            continue
        unit = row.unit if extra.unit == "*" else extra.unit
        conditions = extra.moved(row)
        if conditions is None or (unit, conditions) in present:
            continue
        pico, rest = divmod(row.pico * int(extra.percent), _PERCENT)
        if rest:
            rejected.append(Rejected(row.provider, row.model, unit, f"{extra.percent} % of {row.pico} pico-dollars is not a whole number"))
            continue
        source = f"{extra.source} ({extra.checked}); from {row.source}"
        added.append(
            msgspec.structs.replace(row, unit=unit, pico=pico, service_tier=conditions.service_tier, geo=conditions.geo, source=source)
        )
    return added


def _resell(provider: str, model: str, models: dict[_Key, ModelRow], prices: dict[_Key, list[PriceRow]]) -> None:
    """Gives a provider another one's model at the same prices; not the fees of tools, which are whose tools they are."""
    maker = _RESOLD_FROM[provider]
    original = models.get((maker, model))
    taken = {name for row in models.values() if row.provider == provider for name in row.names}
    if original is None or not taken.isdisjoint(original.names):
        return
    models[provider, model] = msgspec.structs.replace(original, provider=provider)
    prices[provider, model] = [
        msgspec.structs.replace(row, provider=provider, source=f"as {maker} charges it; {row.source}")
        for row in prices[maker, model]
        if row.geo == PLAIN.geo and not row.unit.startswith("tool_")
    ] + prices.pop((provider, model), [])


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
        for row in lines("limits.csv")
    }


def _extras() -> list[_Extra]:
    return [_Extra(**row) for row in lines("supplement.csv")]
