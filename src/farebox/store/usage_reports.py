"""Usage by any mix of dimensions, added up over charges. The one function behind which roll-ups may come; amounts equal those of windows."""

import re
from typing import Any

import msgspec

from farebox.errors import CommandRefused
from farebox.store.reports import Reports, span
from farebox.store.statements import statements

DIMENSIONS = {
    "key": "usage_by_key",
    "account": "usage_by_account",
    "user": "usage_by_user",
    "model": "usage_by_model",
    "provider": "usage_by_provider",
    "route": "usage_by_route",
    "status": "usage_by_status",
    "run": "usage_by_run",
    "hour": "usage_by_hour",
    "day": "usage_by_day",
}
"""What usage can be grouped by, beside `tag:NAME`, and the fragment of SQL that says how."""
_TAG = "tag:"
_TAG_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SUMS = 13


class Times(msgspec.Struct, frozen=True):
    """Half of the calls, and 95 % of them, took at most so long, in microseconds. None: no call had such a moment."""

    p50: int | None
    p95: int | None


class Group(msgspec.Struct, frozen=True):
    """What was charged in one group; `by` holds the group's values in the order asked."""

    by: tuple[str | int, ...]
    calls: int
    released: int
    price: int
    paid: int
    written_off: int
    cost: int
    list_cost: int
    refunded: int
    tokens: int
    first_byte: Times
    total: Times
    units: dict[str, int]


class Question(msgspec.Struct, frozen=True):
    """Which charges (by when their money was set aside), grouped by what."""

    begins: int
    ends: int
    by: tuple[str, ...] = ()
    scope: str | None = None
    account: str | None = None
    """An account with all below it."""
    key: str | None = None


def is_dimension(name: str) -> bool:
    """Whether usage can be grouped by this."""
    return name in DIMENSIONS or (name.startswith(_TAG) and _TAG_NAME.fullmatch(name.removeprefix(_TAG)) is not None)


def usage(reports: Reports, question: Question, count: int, offset: int) -> list[Group]:
    """A page of groups, in the order of their values. Raises CommandRefused for a dimension that there is not."""
    sums, values = _compose("usage_sums", question)
    units_sql, _ = _compose("usage_units", question)
    values |= {"rows": count, "offset": offset}
    width = max(len(question.by), 1)
    with reports.snapshot():
        found = reports.select(sums, values)
        units: dict[tuple[Any, ...], dict[str, int]] = {}
        for row in reports.select(units_sql, values) if found else ():
            units.setdefault(tuple(row[:width]), {})[row[width]] = row[width + 1]
    if not question.by and found and found[0][width] is None:
        return []
    return [_group(row, width, question, units) for row in found]


def _group(row: tuple[Any, ...], width: int, question: Question, units: dict[tuple[Any, ...], dict[str, int]]) -> Group:
    by = tuple(row[:width])
    numbers = [None if value is None else int(value) for value in row[width : width + _SUMS]]
    first, total = Times(numbers[9], numbers[10]), Times(numbers[11], numbers[12])
    calls, released, price, paid, written_off, cost, list_cost, refunded, tokens = (number or 0 for number in numbers[:9])
    shown = by if question.by else ()
    return Group(shown, calls, released, price, paid, written_off, cost, list_cost, refunded, tokens, first, total, units.get(by, {}))


def _compose(name: str, question: Question) -> tuple[str, dict[str, Any]]:
    """A statement with its dimensions filled in, and its parameters."""
    sql = statements("sqlite")
    values: dict[str, Any] = span(question.begins, question.ends)
    values |= {"scope": question.scope, "account": question.account, "key": question.key}
    fragments = []
    for number, dimension in enumerate(question.by):
        if not is_dimension(dimension):
            known = ", ".join([*DIMENSIONS, "tag:NAME"])
            raise CommandRefused("unknown_dimension", f"Usage cannot be grouped by {dimension!r}: there are {known}.")
        if dimension.startswith(_TAG):
            values[f"tag{number}"] = dimension.removeprefix(_TAG)
            fragments.append(sql["usage_by_tag"].replace(":tag", f":tag{number}"))
        else:
            fragments.append(sql[DIMENSIONS[dimension]])
    if not fragments:
        fragments.append(sql["usage_by_nothing"])
    names = [f"g{number}" for number in range(len(fragments))]
    filled = {
        "{dimensions}": ", ".join(f"{fragment} AS {name}" for fragment, name in zip(fragments, names, strict=True)),
        "{rows}": sql["usage_rows"],
        "{groups}": ", ".join(names),
    }
    text = sql[name]
    for mark, part in filled.items():
        text = text.replace(mark, part)
    return text, values
