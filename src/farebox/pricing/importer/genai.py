"""Reading genai-prices: its models, dated prices, tiers and variants as rows. The only module that imports it.

What a request cannot be told to be (a route inside an aggregator) is priced at its dearest, and its source says so; so is the hour of the
day, with what is cheaper at other hours beside it (pricing/hours.py).
A price that cannot be kept exactly rejects its model, unless a dearer price of the same model stands in for it.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from typing import NamedTuple

from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ConditionalPrice,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from farebox import usage
from farebox.clock import US_PER_DAY
from farebox.pricing.hours import conditions_of
from farebox.pricing.importer.daily import parts_of_day
from farebox.pricing.importer.exact import ROUNDED_UP, InexactPriceError, Rejected, is_rounded, pico_of
from farebox.pricing.importer.supplement import Imported
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.usage import PLAIN, Conditions

_M = 1_000_000
_K = 1_000
_HOUR_MS = 3_600_000

_UNITS: dict[str, tuple[int, tuple[str, ...]]] = {
    "input_mtok": (_M, (usage.IN_TEXT,)),
    "output_mtok": (_M, (usage.OUT_TEXT,)),
    "cache_read_mtok": (_M, (usage.IN_CACHE_READ,)),
    # The plain write: five minutes in Anthropic's words, thirty in OpenAI's. A list that names one price means whichever it has.
    "cache_write_mtok": (_M, (usage.IN_CACHE_WRITE_5M, usage.IN_CACHE_WRITE_30M)),
    "cache_write_5m_mtok": (_M, (usage.IN_CACHE_WRITE_5M,)),
    "cache_write_1h_mtok": (_M, (usage.IN_CACHE_WRITE_1H,)),
    "input_audio_mtok": (_M, (usage.IN_AUDIO,)),
    "cache_audio_read_mtok": (_M, (usage.IN_CACHE_READ_AUDIO,)),
    "output_audio_mtok": (_M, (usage.OUT_AUDIO,)),
    "input_image_mtok": (_M, (usage.IN_IMAGE,)),
    "cache_image_read_mtok": (_M, (usage.IN_CACHE_READ_IMAGE,)),
    "output_image_mtok": (_M, (usage.OUT_IMAGE,)),
    "input_video_mtok": (_M, (usage.IN_VIDEO,)),
    "output_video_mtok": (_M, (usage.OUT_VIDEO,)),
    # Reasoning and citations are counted in the answer by some who sell the model, beside it by others: the answer costs the dearest.
    "output_reasoning_mtok": (_M, (usage.OUT_TEXT, usage.OUT_REASONING)),
    "output_citation_mtok": (_M, (usage.OUT_TEXT, usage.OUT_CITATION)),
    "input_mchars": (_M, (usage.CHARS,)),
    "audio_hours": (_HOUR_MS, (usage.AUDIO_IN_MS,)),
    "input_audio_hours": (_HOUR_MS, (usage.AUDIO_IN_MS,)),
    "output_audio_hours": (_HOUR_MS, (usage.AUDIO_OUT_MS,)),
    "input_document_kpages": (_K, (usage.PAGES,)),
    "input_annotated_document_kpages": (_K, (usage.PAGES,)),
    "web_searches_kcount": (_K, (usage.TOOL_WEB_SEARCH,)),
    "storage_searches_kcount": (_K, (usage.TOOL_FILE_SEARCH,)),
    "requests_kcount": (_K, (usage.REQUESTS,)),
}
"""Which of our units a price key prices, and how many of them its dollars are for."""

_LUMPED = frozenset(("output_reasoning_mtok", "output_citation_mtok", "input_annotated_document_kpages"))
_REPLACEABLE = frozenset(("cache_read_mtok", "cache_write_mtok", "cache_audio_read_mtok", "cache_image_read_mtok"))
_WHEN = {"service_tier", "speed", "processing"}
_DEAREST_HOUR = "dearest hour of the day"
_DEAREST_VARIANT = "dearest of its variants"
_EPOCH = date(1970, 1, 1)

_Steps = dict[int, int]
"""Pico-dollars by the number of prompt tokens above which they apply."""
_Prices = dict[str, Decimal | TieredPrices]


class _Card(NamedTuple):
    steps: dict[str, _Steps]
    rejected: dict[str, str]
    notes: frozenset[str]


class _ModelRejectedError(ValueError):
    """This model cannot be priced without risking to sell below cost."""


class _Span(NamedTuple):
    from_us: int
    to_us: int | None
    pico: int
    notes: frozenset[str]


def listed(now_us: int) -> Imported:
    """Every model and price of the installed genai-prices, as rows."""
    models: list[ModelRow] = []
    prices: list[PriceRow] = []
    rejected: list[Rejected] = []
    source = f"genai-prices {version('genai-prices')}"
    for provider in providers:
        names = _names(provider)
        for model in provider.models:
            try:
                rows, refused = _price_rows(provider, model, source, now_us)
            except _ModelRejectedError as problem:
                rejected.append(Rejected(provider.id, model.id, "", str(problem)))
                continue
            models.append(ModelRow(provider.id, model.id, names[model.id], model.context_window, None, _kind(rows)))
            prices += rows
            rejected += refused
    return Imported(models, prices, rejected)


def _names(provider: Provider) -> dict[str, tuple[str, ...]]:
    """The exact names of each model. A name that several claim belongs to the first, as it does in genai-prices."""
    taken: dict[str, str] = {model.id: model.id for model in provider.models}
    for model in provider.models:
        for name in _equal_names(model.match):
            taken.setdefault(name, model.id)
    names: dict[str, list[str]] = {model.id: [] for model in provider.models}
    for name, owner in taken.items():
        names[owner].append(name)
    return {owner: tuple(owned) for owner, owned in names.items()}


def _equal_names(clause: MatchLogic) -> Iterator[str]:
    """Only what a clause matches outright: a pattern names no model."""
    if isinstance(clause, ClauseEquals):
        yield clause.equals
    elif isinstance(clause, ClauseOr):
        for part in clause.or_:
            yield from _equal_names(part)


def _kind(rows: Iterable[PriceRow]) -> str:
    units = {row.unit for row in rows}
    for unit, kind in ((usage.OUT_TEXT, "chat"), (usage.CHARS, "speech"), (usage.AUDIO_IN_MS, "transcription"), (usage.PAGES, "ocr")):
        if unit in units:
            return kind
    return "embedding"


# --- one model -----------------------------------------------------------------------------------------------------------------


def _price_rows(provider: Provider, model: ModelInfo, source: str, now_us: int) -> tuple[list[PriceRow], list[Rejected]]:
    standard = [ConditionalPrice(prices=model.prices)] if isinstance(model.prices, ModelPrice) else model.prices
    variants = model.price_variants or []
    starts = _starts(standard, variants)
    spans: dict[tuple[Conditions, str, int], list[_Span]] = {}
    refused: dict[str, str] = {}
    for at_us, until_us in zip(starts, [*starts[1:], None], strict=True):
        cards = _cards(provider.id, model.id, standard, variants, at_us)
        for conditions, card in (cards | _cheaper_hours(provider.id, model, cards[PLAIN], at_us)).items():
            refused |= card.rejected
            for unit, steps in card.steps.items():
                for above, pico in steps.items():
                    _extend(spans.setdefault((conditions, unit, above), []), _Span(at_us, until_us, pico, card.notes))
    rows = [
        PriceRow(
            provider=provider.id,
            model=model.id,
            unit=unit,
            pico=span.pico,
            source="; ".join([source, *sorted(span.notes)]),
            checked_at_us=now_us,
            tier_above=above,
            service_tier=conditions.service_tier,
            speed=conditions.speed,
            geo=conditions.geo,
            batch=int(conditions.batch),
            valid_from_us=span.from_us,
            valid_to_us=span.to_us,
        )
        for (conditions, unit, above), several in spans.items()
        for span in several
    ]
    return rows, [Rejected(provider.id, model.id, key, reason) for key, reason in refused.items()]


def _extend(spans: list[_Span], span: _Span) -> None:
    """Adds a span, as one with the span before it when nothing changed between them."""
    if spans and spans[-1].to_us == span.from_us and spans[-1][2:] == span[2:]:
        span = span._replace(from_us=spans.pop().from_us)
    spans.append(span)


def _starts(standard: Iterable[ConditionalPrice], variants: Iterable[PriceVariant]) -> list[int]:
    dated = [part.constraint for part in standard] + [variant.constraint for variant in variants]
    return sorted({0} | {_midnight(part.start_date) for part in dated if isinstance(part, StartDateConstraint)})


def _midnight(day: date) -> int:
    return (day - _EPOCH).days * US_PER_DAY


def _cards(
    provider: str, model: str, standard: list[ConditionalPrice], variants: list[PriceVariant], at_us: int
) -> dict[Conditions, _Card]:
    """What holds from a moment until the next date: the prices of each set of conditions, in our units."""
    bases = [dict(_stated(prices)) for prices in _standing(standard, at_us)]
    active = [variant for variant in variants if _started(variant.constraint, at_us)]
    plain = [_card(provider, model, base) for base in bases]
    notes = {_DEAREST_HOUR} if len(bases) > 1 else set()
    cards: dict[Conditions, _Card] = {}
    for when in _distinct(variant.when for variant in active):
        overrides = _overrides(variant for variant in active if variant.when == when)
        several = [_card(provider, model, base | overrides) for base in bases]
        if not set(when) <= _WHEN:
            plain += several  # nobody can tell at the quote which one it will be
            notes.add(_DEAREST_VARIANT)
        elif overrides and (conditions := _conditions(when)) != PLAIN:
            cards[conditions] = _tokens_only(_dearest(several, notes), overrides)
    return {PLAIN: _dearest(plain, notes), **cards}


def _cheaper_hours(provider: str, model: ModelInfo, plain: _Card, midnight_us: int) -> dict[Conditions, _Card]:
    """What holds in each part of the day that is not the dearest, where every part states the same units."""
    if _DEAREST_HOUR not in plain.notes or _DEAREST_VARIANT in plain.notes:
        return {}
    parts = list(parts_of_day(model, midnight_us, lambda prices: _card(provider, model.id, dict(_stated(prices)))))
    if any(card.steps.keys() != plain.steps.keys() for _, _, card in parts):
        return {}
    return {conditions_of(begins, ends): card for begins, ends, card in parts if card.steps != plain.steps}


def _standing(standard: list[ConditionalPrice], at_us: int) -> list[ModelPrice]:
    """The prices that may hold at a date: the last one started, and those of an hour of the day that go before it."""
    standing: list[ModelPrice] = []
    for part in reversed(standard):
        if isinstance(part.constraint, TimeOfDateConstraint):
            standing.append(part.prices)
        elif _started(part.constraint, at_us):
            return [*standing, part.prices]
    return [*standing, standard[0].prices]


def _started(constraint: StartDateConstraint | TimeOfDateConstraint | None, at_us: int) -> bool:
    return not isinstance(constraint, StartDateConstraint) or _midnight(constraint.start_date) <= at_us


def _stated(prices: ModelPrice) -> Iterator[tuple[str, Decimal | TieredPrices]]:
    for key, value in vars(prices).items():
        if isinstance(value, Decimal | TieredPrices):
            yield key, value


def _distinct(whens: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    return [dict(items) for items in dict.fromkeys(tuple(when.items()) for when in whens)]


def _overrides(variants: Iterable[PriceVariant]) -> _Prices:
    """The first variant that states a price key decides it."""
    overrides: _Prices = {}
    for variant in variants:
        for key, value in _stated(variant.prices):
            overrides.setdefault(key, value)
    return overrides


def _conditions(when: dict[str, str]) -> Conditions:
    batch = when.get("processing") == "batch"
    return Conditions(service_tier=when.get("service_tier", "default"), speed=when.get("speed", "standard"), batch=batch)


def _tokens_only(card: _Card, overrides: _Prices) -> _Card:
    """A variant's card names every token, and of the fees only those that it moves: the plain card's stand for the others."""
    moved = {unit for key in overrides for unit in _UNITS[key][1]}
    return card._replace(steps={unit: steps for unit, steps in card.steps.items() if unit in usage.TOKEN_UNITS or unit in moved})


# --- one set of prices -----------------------------------------------------------------------------------------------------------


def _card(provider: str, model: str, prices: _Prices) -> _Card:
    steps: dict[str, _Steps] = {}
    rejected: dict[str, str] = {}
    if not prices:
        if not model.endswith(":free"):
            raise _ModelRejectedError("no price is listed, which is not the same as a price of zero")
        return _Card({usage.IN_TEXT: {0: 0}, usage.OUT_TEXT: {0: 0}}, rejected, frozenset(("free by its name",)))
    if "audio_hours" in prices and "input_audio_hours" not in prices:
        raise _ModelRejectedError("audio_hours: billed by the time a session is connected, which no unit counts")
    for key, value in prices.items():
        if key not in _UNITS:
            raise _ModelRejectedError(f"{key}: no unit counts what this prices")
        try:
            _add(steps, key, value, grounded=provider == "google" and not model.startswith("claude-"))
        except InexactPriceError as problem:
            if key not in _REPLACEABLE or not _covered(value, prices):
                raise _ModelRejectedError(f"{key}: {problem}") from None
            rejected[key] = f"{problem}; a dearer unit stands in for it"
    notes = {f"includes {key}, at the dearest" for key in prices if key in _LUMPED}
    if any(_rounded(key, value) for key, value in prices.items()):
        notes.add(ROUNDED_UP)
    return _Card(steps, rejected, frozenset(notes))


def _add(steps: dict[str, _Steps], key: str, value: Decimal | TieredPrices, *, grounded: bool) -> None:
    """Adds a price. `grounded`: what the list calls web searches are grounding queries."""
    per, units = _UNITS[key]
    if grounded and key == "web_searches_kcount":
        units = (usage.TOOL_GROUNDING,)
    for unit in units:
        stated = {above: pico_of(dollars, per, unit) for above, dollars in _tiers(value)}
        steps[unit] = _merged([steps[unit], stated]) if unit in steps else stated


def _rounded(key: str, value: Decimal | TieredPrices) -> bool:
    return key.endswith("_hours") and any(is_rounded(dollars, _UNITS[key][0]) for _, dollars in _tiers(value))


def _tiers(value: Decimal | TieredPrices) -> list[tuple[int, Decimal]]:
    if isinstance(value, Decimal):
        return [(0, value)]
    return [(0, value.base), *((tier.start, tier.price) for tier in value.tiers)]


def _covered(value: Decimal | TieredPrices, prices: _Prices) -> bool:
    """Whether the plain input price, which is what stands in, is at least as dear."""
    text = prices.get("input_mtok")
    if text is None:
        return False
    dearest = max((dollars for _, dollars in _tiers(value)), key=lambda dollars: Decimal("Infinity") if dollars.is_nan() else dollars)
    return dearest.is_finite() and dearest <= min(dollars for _, dollars in _tiers(text))


def _merged(several: list[_Steps]) -> _Steps:
    """The dearest of several at every tier that any of them has."""
    starts = sorted({start for steps in several for start in steps})
    return {start: max(steps[max(below)] for steps in several if (below := [step for step in steps if step <= start])) for start in starts}


def _dearest(cards: list[_Card], notes: Iterable[str]) -> _Card:
    units = {unit: None for card in cards for unit in card.steps}
    steps = {unit: _merged([card.steps[unit] for card in cards if unit in card.steps]) for unit in units}
    rejected = {key: reason for card in cards for key, reason in card.rejected.items()}
    return _Card(steps, rejected, frozenset().union(notes, *(card.notes for card in cards)))
