"""An operator's own prices as CSV: read with errors that name their line, written so that reading gives the same rows.

Columns, in any order, the first five required:

- `provider`, `model`: as in the book; `model` is the exact name that requests ask for.
- `unit`: one of farebox.usage's units (`in_text_uncached`, `out_text`, `in_cache_read`, `tool_web_search`, …). An own meter has the
  provider `own`, its name as model, and the unit `millionths`: 0.02 for 1000000 of them is 0.02 dollars for one.
- `usd`, `per`: so many dollars for so many units, e.g. 2.50 and 1000000. Exact to the pico-dollar each, but for units of time (`audio_in_ms`),
  whose prices are rounded up: 0.111 for 3600000 is 0.000000030834 each.
- `tier_above`: applies to requests with more prompt tokens than this. Empty: 0.
- `service_tier`, `speed`, `geo`: empty: `default`, `standard`, `global`. `batch`: 1 or 0. Empty: 0. The tier `hours 16:30-00:30` is a
  window of every day, UTC, in which the price is another one than at the other hours; none of the others goes with it.
- `valid_from`, `valid_to`: RFC 3339 with a zone. Empty: always, and until further notice.
- `source`: where the price is from. `checked_at`: when it was last looked at. Empty: when it is read.
"""

import csv
import io
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from farebox.clock import from_rfc3339, to_rfc3339
from farebox.money import PICO_PER_USD
from farebox.pricing.hours import is_named, window_of
from farebox.pricing.importer.exact import pico_of
from farebox.pricing.rows import PriceRow
from farebox.usage import ALL_UNITS, BY_THE_MILLION

REQUIRED = ("provider", "model", "unit", "usd", "per")
OPTIONAL = ("tier_above", "service_tier", "speed", "geo", "batch", "valid_from", "valid_to", "source", "checked_at")
COLUMNS = REQUIRED + OPTIONAL
_PROBLEMS_SHOWN_MAX = 20
_PER_TOKENS = 1_000_000


class PriceCsvError(ValueError):
    """A price file that cannot be read. `problems` are its lines' problems; nothing of the file was taken."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        more = [f"and {len(problems) - _PROBLEMS_SHOWN_MAX} more"] if len(problems) > _PROBLEMS_SHOWN_MAX else []
        super().__init__("\n".join(problems[:_PROBLEMS_SHOWN_MAX] + more))


class _LineError(ValueError):
    """What is wrong with a line."""


def read_price_csv(text: str, now_us: int = 0) -> list[PriceRow]:
    """The rows of a price file. Raises PriceCsvError with every line that is wrong, all or nothing."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    rows: list[PriceRow] = []
    problems: list[str] = []
    first: dict[tuple[object, ...], int] = {}
    try:
        _check_header(reader.fieldnames)
        for cells in reader:
            try:
                row = _row(cells, now_us)
                earlier = first.setdefault(_slot(row), reader.line_num)
                if earlier != reader.line_num:
                    raise _LineError(f"says again what line {earlier} says")
                rows.append(row)
            except ValueError as problem:
                problems.append(f"line {reader.line_num}: {problem}")
    except (csv.Error, _LineError) as problem:
        problems.append(f"line {reader.line_num}: {problem}")
    if problems:
        raise PriceCsvError(problems)
    return rows


def write_price_csv(rows: Iterable[PriceRow]) -> str:
    """A price file that reads back as these rows."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        per = _PER_TOKENS if row.unit in BY_THE_MILLION else 1
        writer.writerow(
            (
                row.provider,
                row.model,
                row.unit,
                _dollars(row.pico * per),
                per,
                row.tier_above or "",
                row.service_tier,
                row.speed,
                row.geo,
                row.batch,
                to_rfc3339(row.valid_from_us) if row.valid_from_us else "",
                "" if row.valid_to_us is None else to_rfc3339(row.valid_to_us),
                row.source,
                to_rfc3339(row.checked_at_us),
            )
        )
    return out.getvalue()


def _check_header(names: Iterable[str] | None) -> None:
    given = list(names or ())
    missing = [name for name in REQUIRED if name not in given]
    if missing:
        raise _LineError(f"the header lacks {', '.join(missing)}")
    unknown = [name for name in given if name not in COLUMNS]
    if unknown:
        raise _LineError(f"unknown column {unknown[0]!r}; there are {', '.join(COLUMNS)}")
    if len(set(given)) != len(given):
        raise _LineError("a column is there twice")


def _row(cells: dict[str, str | None], now_us: int) -> PriceRow:
    if None in cells or None in cells.values():
        raise _LineError("has not as many cells as the header")
    text = {name: (value or "").strip() for name, value in cells.items()}
    for name in REQUIRED:
        if not text[name]:
            raise _LineError(f"`{name}` is empty")
    unit = text["unit"]
    if unit not in ALL_UNITS:
        raise _LineError(f"unknown unit {unit!r}; there are {', '.join(sorted(ALL_UNITS))}")
    row = PriceRow(
        provider=text["provider"],
        model=text["model"],
        unit=unit,
        pico=pico_of(_decimal(text["usd"]), _integer(text, "per", least=1), unit),
        source=text.get("source") or "own price",
        checked_at_us=_moment(text, "checked_at", now_us),
        tier_above=_integer(text, "tier_above"),
        service_tier=text.get("service_tier") or "default",
        speed=text.get("speed") or "standard",
        geo=text.get("geo") or "global",
        batch=_integer(text, "batch", most=1),
        valid_from_us=_moment(text, "valid_from", 0),
        valid_to_us=_moment(text, "valid_to", 0) or None,
    )
    if row.valid_to_us is not None and row.valid_to_us <= row.valid_from_us:
        raise _LineError("`valid_to` is not after `valid_from`")
    if is_named(row.service_tier) and window_of(row.conditions) is None:
        raise _LineError(f"`service_tier` {row.service_tier!r} is not a window of the day such as hours 16:30-00:30, alone")
    return row


def _slot(row: PriceRow) -> tuple[object, ...]:
    return row.provider, row.model, row.unit, row.tier_above, row.conditions, row.valid_from_us


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text.removeprefix("$"))
    except InvalidOperation:
        raise _LineError(f"`usd` {text!r} is not an amount in dollars, such as 2.50") from None


def _integer(text: dict[str, str], name: str, *, least: int = 0, most: int = 10**12) -> int:
    value = text.get(name, "")
    if not value:
        return least
    if not (value.isascii() and value.isdigit()) or not least <= int(value) <= most:
        raise _LineError(f"`{name}` {value!r} is not a whole number from {least} to {most}")
    return int(value)


def _moment(text: dict[str, str], name: str, otherwise: int) -> int:
    value = text.get(name, "")
    if not value:
        return otherwise
    try:
        moment = from_rfc3339(value)
    except ValueError:
        raise _LineError(f"`{name}` {value!r} is not a time such as 2026-11-21T00:00:00Z") from None
    if moment < 0:
        raise _LineError(f"`{name}` {value!r} is before 1970")
    return moment


def _dollars(pico: int) -> str:
    whole, rest = divmod(pico, PICO_PER_USD)
    return f"{whole}.{rest:012d}".rstrip("0").removesuffix(".")
