"""The price book: every model's rows under one version, and the way from a provider and a name at a moment to compiled prices.

Owns names, validity and the cache of compiled models. Does not own rules of pricing (cards.py) nor storage: rows come in, once.
"""

from collections.abc import Iterable, Iterator

from farebox.pricing.cards import ModelPrice
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.usage import PLAIN, TOKEN_UNITS

__all__ = ["PROVIDER_ALIASES", "ModelPrice", "ModelRow", "PriceBook", "PriceRow", "undated"]

PROVIDER_ALIASES = {"gemini": "google", "xai": "x-ai", "bedrock": "aws", "moonshot": "moonshotai"}
"""Other names that a provider is reached by: rows keep the name on the right, every lookup takes both."""

_YEARS = ("19", "20")
_MONTH_MAX = 12
_DAY_MAX = 31
_Key = tuple[str, str]
_PriceKey = tuple[str, int, str, str, str, int]


class PriceBook:
    """All prices under one version number. Models are compiled when they are first looked up, and kept until their next change."""

    __slots__ = ("_compiled", "_dearest", "_models", "_names", "_prices", "version")

    def __init__(self, version: int, models: Iterable[ModelRow], prices: Iterable[PriceRow]) -> None:
        """A model that has prices and no row of its own is known by its one name."""
        self.version = version
        self._models: dict[_Key, ModelRow] = {(row.provider, row.model): row for row in models}
        self._prices: dict[_Key, list[PriceRow]] = {}
        for price in prices:
            self._prices.setdefault((price.provider, price.model), []).append(price)
        for provider, model in self._prices:
            if (provider, model) not in self._models:
                self._models[provider, model] = ModelRow(provider=provider, model=model, names=(model,))
        self._names = _index(self._models.values())
        self._compiled: dict[_Key, ModelPrice] = {}
        self._dearest: dict[str, int] | None = None

    def find(self, provider: str, name: str, at_us: int) -> ModelPrice | None:
        """The prices of a model at a moment. The exact name, or the exact name with a date behind it; nothing looser.

        None: no such model, or no price that holds at that moment.
        """
        row = self.model(provider, name)
        if row is None:
            return None
        key = (row.provider, row.model)
        price = self._compiled.get(key)
        if price is None or not price.holds_at(at_us):
            price = self._compile(key, at_us)
            if price is not None:
                self._compiled[key] = price
        return price

    def model(self, provider: str, name: str) -> ModelRow | None:
        """The model that a name means at a provider, priced or not."""
        names = self._names.get(PROVIDER_ALIASES.get(provider, provider))
        if names is None:
            return None
        return names.get(name) or names.get(undated(name))

    def known(self, name: str) -> list[str]:
        """Every `provider/model` that a bare name may mean, for messages."""
        plain = undated(name)
        rows = (names.get(name) or names.get(plain) for names in self._names.values())
        return sorted(f"{row.provider}/{row.model}" for row in rows if row is not None)

    def models(self, at_us: int, provider: str | None = None) -> Iterator[ModelRow]:
        """The models that have a price at a moment, of all providers or of one."""
        wanted = PROVIDER_ALIASES.get(provider, provider) if provider is not None else None
        for key, rows in self._prices.items():
            if wanted in (None, key[0]) and any(row.holds_at(at_us) for row in rows):
                yield self._models[key]

    def rows(self) -> Iterator[ModelRow]:
        """Every model, priced or not."""
        return iter(self._models.values())

    def prices(self) -> Iterator[PriceRow]:
        """Every row, grouped by model."""
        for rows in self._prices.values():
            yield from rows

    def fee_dearest(self, unit: str) -> int | None:
        """The dearest price that any model ever had for a unit that is not a token. None: nobody has one."""
        if self._dearest is None:
            self._dearest = {}
            for row in self.prices():
                if row.unit not in TOKEN_UNITS and row.conditions == PLAIN:
                    self._dearest[row.unit] = max(row.pico, self._dearest.get(row.unit, 0))
        return self._dearest.get(unit)

    def _compile(self, key: _Key, at_us: int) -> ModelPrice | None:
        rows = self._prices.get(key, ())
        holding: dict[_PriceKey, PriceRow] = {}
        for row in rows:
            if row.holds_at(at_us):
                slot = (row.unit, row.tier_above, row.service_tier, row.speed, row.geo, row.batch)
                other = holding.get(slot)
                if other is None or (other.valid_from_us, other.pico) < (row.valid_from_us, row.pico):  # the later word, then the dearer
                    holding[slot] = row
        if not holding:
            return None
        turns = {row.valid_from_us for row in rows} | {row.valid_to_us for row in rows if row.valid_to_us is not None}
        return ModelPrice(
            self._models[key],
            holding.values(),
            valid_from_us=max(turn for turn in turns if turn <= at_us),
            valid_to_us=min((turn for turn in turns if turn > at_us), default=None),
            fee_dearest=self.fee_dearest,
        )


def _index(models: Iterable[ModelRow]) -> dict[str, dict[str, ModelRow]]:
    """Names by provider. A model's own name wins over another's alias."""
    names: dict[str, dict[str, ModelRow]] = {}
    rows = list(models)
    for row in rows:
        names.setdefault(row.provider, {})[row.model] = row
    for row in rows:
        for name in row.names:
            names[row.provider].setdefault(name, row)
    return names


def undated(name: str) -> str:
    """A name without the date behind it: `-2026-09-01`, `-20260901` or `@20260901`. Any other name as it is."""
    if name[-11:-10] == "-" and name[-6:-5] == name[-3:-2] == "-" and _is_date(name[-10:-6], name[-5:-3], name[-2:]):
        return name[:-11]
    if name[-9:-8] in ("-", "@") and _is_date(name[-8:-4], name[-4:-2], name[-2:]):
        return name[:-9]
    return name


def _is_date(year: str, month: str, day: str) -> bool:
    digits = year + month + day
    if not (digits.isascii() and digits.isdigit() and year.startswith(_YEARS)):
        return False
    return 1 <= int(month) <= _MONTH_MAX and 1 <= int(day) <= _DAY_MAX
