"""One model's prices at one moment, compiled for lookups: a card per set of conditions or hours of the day, a level per prompt-size tier.

Owns what a unit costs when the book does not say so outright: the same as a more general unit, its dearer parent's price, or the
dearest conditions that are listed. Does not own the book, nor sums.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable

import msgspec

from farebox.pricing.hours import Span, Window, is_named, window_of
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.usage import (
    IN_AUDIO,
    IN_CACHE_READ,
    IN_CACHE_READ_AUDIO,
    IN_CACHE_READ_IMAGE,
    IN_CACHE_WRITE_1H,
    IN_CACHE_WRITE_5M,
    IN_CACHE_WRITE_12H,
    IN_CACHE_WRITE_30M,
    IN_IMAGE,
    IN_TEXT,
    IN_VIDEO,
    OUT_AUDIO,
    OUT_CITATION,
    OUT_IMAGE,
    OUT_REASONING,
    OUT_TEXT,
    OUT_VIDEO,
    PLAIN,
    REQUESTS,
    TOKEN_UNITS,
    TOOL_GROUNDING,
    TOOL_WEB_SEARCH,
    Conditions,
)

_WRITES = (IN_CACHE_WRITE_5M, IN_CACHE_WRITE_30M, IN_CACHE_WRITE_1H, IN_CACHE_WRITE_12H)

SAME_AS = {
    IN_IMAGE: IN_TEXT,
    IN_VIDEO: IN_IMAGE,
    OUT_IMAGE: OUT_TEXT,
    OUT_REASONING: OUT_TEXT,
    OUT_CITATION: OUT_TEXT,
}
"""Units that price lists leave out because they cost what the more general one does. In the order they are filled."""

PARENTS: dict[str, tuple[str, ...]] = {
    IN_CACHE_READ: (IN_TEXT,),
    IN_AUDIO: (IN_TEXT, IN_IMAGE),
    IN_CACHE_READ_AUDIO: (IN_AUDIO,),
    IN_CACHE_READ_IMAGE: (IN_IMAGE,),
    **dict.fromkeys(_WRITES, (IN_TEXT, *_WRITES)),
    OUT_AUDIO: (OUT_TEXT, OUT_IMAGE),
    OUT_VIDEO: (OUT_TEXT, OUT_IMAGE),
    TOOL_WEB_SEARCH: (TOOL_GROUNDING,),
    TOOL_GROUNDING: (TOOL_WEB_SEARCH,),
}
"""What a unit without a price of its own is charged as: the dearest of these that has one. In the order they are filled."""

QUOTABLE_AS_PARENT = frozenset((IN_CACHE_READ, IN_CACHE_READ_AUDIO, IN_CACHE_READ_IMAGE, *_WRITES))
"""Units whose parent is certainly dearer (a discount, or a surcharge known to be none where none is listed): these may be held at
the parent's price. For any other the price may be anything, so a quote refuses."""

_FIELDS = ("service_tier", "speed", "geo", "batch")
_CARDS_KEPT_MAX = 64
Rates = tuple[tuple[int, int, int], ...]
"""Under each of several conditions: pico-dollars of an input token, of an output token, and of a request."""


class Level(msgspec.Struct, frozen=True):
    """The prices of one tier: every unit that has one, its own or a stand-in's."""

    prices: dict[str, int]
    stand_ins: frozenset[str]
    """Units here that are charged as a dearer parent."""
    per_request: int

    def quotable(self, unit: str) -> int | None:
        """Pico-dollars of a unit if a worst case can be built on it."""
        if unit not in self.stand_ins:
            return self.prices.get(unit)
        if unit not in QUOTABLE_AS_PARENT or (unit == IN_CACHE_READ_AUDIO and IN_AUDIO in self.stand_ins):
            return None
        return self.prices[unit]

    def dearest_token(self) -> int | None:
        """The dearest price of any token unit."""
        return max((pico for unit, pico in self.prices.items() if unit in TOKEN_UNITS), default=None)


class Card(msgspec.Struct, frozen=True):
    """The levels of one set of conditions. A tier is a cliff: one token above it moves the whole request."""

    above: tuple[int, ...]
    levels: tuple[Level, ...]
    """One more than `above`: the first is the base."""

    def at(self, prompt_tokens: int) -> Level:
        """The level that a request with so many prompt tokens is billed at."""
        return self.levels[bisect_left(self.above, prompt_tokens)] if self.above else self.levels[0]

    def reachable(self, prompt_tokens_max: int) -> tuple[Level, ...]:
        """Every level that a request with at most so many prompt tokens may be billed at."""
        return self.levels[: bisect_left(self.above, prompt_tokens_max) + 1]


class ModelPrice:
    """One model's compiled prices at one moment. Cards are compiled when they are first asked for."""

    __slots__ = (
        "_cards",
        "_fee_dearest",
        "_listed",
        "_other_hours",
        "context_tokens_max",
        "dearest",
        "hours",
        "kind",
        "model",
        "output_tokens_max",
        "provider",
        "valid_from_us",
        "valid_to_us",
    )

    def __init__(
        self,
        row: ModelRow,
        prices: Iterable[PriceRow],
        *,
        valid_from_us: int = 0,
        valid_to_us: int | None = None,
        fee_dearest: Callable[[str], int | None] = lambda _unit: None,
    ) -> None:
        """`prices` are the rows that hold throughout [valid_from_us, valid_to_us), one per unit, tier and conditions."""
        self.provider = row.provider
        self.model = row.model
        self.kind = row.kind
        self.context_tokens_max = row.context_tokens_max
        self.output_tokens_max = row.output_tokens_max
        self.valid_from_us = valid_from_us
        self.valid_to_us = valid_to_us
        self._fee_dearest = fee_dearest
        self._listed: dict[Conditions, list[PriceRow]] = {}
        self._cards: dict[Conditions, Card] = {}
        self.dearest: dict[object, tuple[tuple[int, ...], dict[int, Rates]]] = {}
        """What quotes worked out before for demands of the same kind: where its tiers begin, and the rates up to each (quote.py, which bounds it)."""
        hourly: dict[Window, list[PriceRow]] = {}
        for price in prices:
            if not is_named(price.service_tier):
                conditions = price.conditions
                self._listed.setdefault(PLAIN if conditions == PLAIN else conditions, []).append(price)  # what is the same is found fastest
            elif (window := window_of(price.conditions)) is not None:  # nobody asks for an hour: it is not among the listed conditions
                hourly.setdefault(window, []).append(price)
        self.hours: tuple[tuple[Window, Card], ...] = ()
        """Windows of the day with other prices under plain conditions. Where there are any, the plain card is the dearest hour's."""
        self._other_hours: Card | None = None
        if hourly:
            plain = _tiers(self._listed.setdefault(PLAIN, []))
            self._other_hours = _card(plain)
            self.hours = tuple((window, _card(plain | _tiers(rows))) for window, rows in hourly.items())

    def holds_at(self, at_us: int) -> bool:
        """Whether these are the prices of that moment."""
        return self.valid_from_us <= at_us and (self.valid_to_us is None or at_us < self.valid_to_us)

    def listed(self, conditions: Conditions) -> bool:
        """Whether the book has prices for exactly these conditions."""
        return conditions in self._listed

    def lists(self, field: str, value: str | bool) -> bool:
        """Whether any listed conditions have this value of `service_tier`, `speed`, `geo` or `batch`."""
        return any(getattr(conditions, field) == value for conditions in self._listed)

    def card(self, conditions: Conditions) -> Card:
        """The card of these conditions; where the book has none, the dearest of those that agree with it as far as the book goes."""
        card = self._cards.get(conditions)
        if card is None:
            card = self._compile(conditions) if conditions in self._listed else _dearest_card(map(self.card, self._nearest(conditions)))
            if len(self._cards) < _CARDS_KEPT_MAX:
                self._cards[conditions] = card
        return card

    def card_within(self, span: Span) -> Card:
        """The card of plain conditions at the hours in which a call was on its way: those of the one window that all of it lies in, or
        what holds at all other hours. A call over a window's edge costs what the dearest hour does.
        """
        touched = [(window, card) for window, card in self.hours if window.touches(span)]
        if not touched:
            return self._other_hours or self.card(PLAIN)
        window, card = touched[0]
        return card if len(touched) == 1 and window.holds(span) else self.card(PLAIN)

    def last_resort(self, unit: str, level: Level) -> int | None:
        """Pico-dollars of a unit that has neither price nor parent here: the dearest token of the card, or the dearest fee in the book."""
        return level.dearest_token() if unit in TOKEN_UNITS else self._fee_dearest(unit)

    def _nearest(self, wanted: Conditions) -> list[Conditions]:
        known = [field for field in _FIELDS if self.lists(field, getattr(wanted, field))]
        agreeing = [listed for listed in self._listed if all(getattr(listed, field) == getattr(wanted, field) for field in known)]
        return agreeing or list(self._listed)

    def _compile(self, conditions: Conditions) -> Card:
        tiers = _tiers(self._listed[conditions])
        for unit, plain in _tiers(self._listed.get(PLAIN, ())).items():
            if unit not in TOKEN_UNITS:  # fees do not move with conditions unless the book says so
                tiers.setdefault(unit, plain)
        card = _card(tiers)
        return _dearest_card([card, *(hour for _, hour in self.hours)]) if self.hours and conditions == PLAIN else card


def _card(tiers: dict[str, dict[int, int]]) -> Card:
    above = tuple(sorted({start for steps in tiers.values() for start in steps if start}))
    return Card(above=above, levels=tuple(_level(tiers, start) for start in (0, *above)))


def _tiers(rows: Iterable[PriceRow]) -> dict[str, dict[int, int]]:
    tiers: dict[str, dict[int, int]] = {}
    for row in rows:
        tiers.setdefault(row.unit, {})[row.tier_above] = row.pico
    return tiers


def _level(tiers: dict[str, dict[int, int]], start: int) -> Level:
    own = {unit: steps[max(below)] for unit, steps in tiers.items() if (below := [step for step in steps if step <= start])}
    own.setdefault(REQUESTS, 0)  # a list that names no fee per request charges none
    prices, stand_ins = _filled(own)
    return Level(prices=prices, stand_ins=stand_ins, per_request=own[REQUESTS])


def _filled(own: dict[str, int]) -> tuple[dict[str, int], frozenset[str]]:
    prices = dict(own)
    if IN_IMAGE not in own and IN_CACHE_READ in own:  # images cost what text does, so cached ones do too
        prices.setdefault(IN_CACHE_READ_IMAGE, own[IN_CACHE_READ])
    for unit, general in SAME_AS.items():
        if general in prices:
            prices.setdefault(unit, prices[general])
    stand_ins: dict[str, int] = {}
    for unit, parents in PARENTS.items():
        if unit not in prices:
            candidates = [pico for parent in parents if (pico := prices.get(parent, stand_ins.get(parent))) is not None]
            if candidates:
                stand_ins[unit] = max(candidates)
    return prices | stand_ins, frozenset(stand_ins)


def _dearest_card(cards: Iterable[Card]) -> Card:
    several = tuple(cards)
    if len(several) == 1:
        return several[0]
    above = tuple(sorted({start for card in several for start in card.above}))
    return Card(above=above, levels=tuple(_dearest_level([card.at(start + 1) for card in several]) for start in (0, *above)))


def _dearest_level(levels: list[Level]) -> Level:
    units = {unit for level in levels for unit in level.prices}
    prices = {unit: max(level.prices[unit] for level in levels if unit in level.prices) for unit in units}
    stand_ins = {unit for level in levels for unit in level.stand_ins}
    return Level(prices=prices, stand_ins=frozenset(stand_ins), per_request=max(level.per_request for level in levels))
