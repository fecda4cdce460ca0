"""Usage by any mix of dimensions: whole hours from what was added up with the charges, the rest from charges. Amounts equal those of windows.

A question about whole hours costs the same for a million calls as for ten. Tags, runs and statuses are not kept by the hour.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from farebox.clock import US_PER_HOUR
from farebox.errors import CommandRefused
from farebox.store.reports import Reports, span
from farebox.store.rollups import FIRST_BYTE, TOTAL, UNIT

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
ROLLED = DIMENSIONS.keys() - {"status", "run"}
"""What is kept by the hour."""
_TAG = "tag:"
_TAG_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_BOUND = re.compile(r"(?<!:):(begins|ends|first|last)\b")


class Times(msgspec.Struct, frozen=True):
    """Half of the calls, and 95 % of them, took at most so long, in microseconds, to 5 %. None: no call had such a moment."""

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
    known, pieces = reports.sql, _pieces(question)
    found, values = _found(known, question, pieces)
    dimensions, tags = _dimensions(known, question.by)
    values |= tags | {"rows": count, "offset": offset}
    width = max(len(question.by), 1)
    counted: dict[tuple[Any, ...], dict[str, int]] = {}
    with reports.snapshot():
        sums = reports.select(_filled(known["usage_sums"], found, dimensions), values)
        for row in reports.select(_filled(known["usage_counts"], found, dimensions), values) if sums else ():
            counted.setdefault(tuple(row[:width]), {})[row[width]] = int(row[width + 1])
    return [_group(row, width, question.by, counted.get(tuple(row[:width]), {})) for row in sums]


def _group(row: Sequence[Any], width: int, by: tuple[str, ...], counts: dict[str, int]) -> Group:
    shown = tuple(row[:width]) if by else ()
    calls, released, price, paid, written_off, cost, list_cost, refunded, tokens = (int(number) for number in row[width:])
    first, total = _times(counts, FIRST_BYTE), _times(counts, TOTAL)
    units = {name.removeprefix(UNIT): quantity for name, quantity in counts.items() if name.startswith(UNIT)}
    return Group(shown, calls, released, price, paid, written_off, cost, list_cost, refunded, tokens, first, total, units)


def _times(counts: dict[str, int], kind: str) -> Times:
    """From how many calls took how long."""
    lengths = sorted((int(name.removeprefix(kind)), calls) for name, calls in counts.items() if name.startswith(kind))
    return Times(_percentile(lengths, 50), _percentile(lengths, 95))


def _percentile(lengths: list[tuple[int, int]], percent: int) -> int | None:
    """The shortest time that so many percent of the calls did not exceed."""
    left = sum(calls for _, calls in lengths) * percent
    for us, calls in lengths:
        left -= calls * 100
        if left <= 0:
            return us
    return None


# --- which rows --------------------------------------------------------------------------------------------------------------------

Piece = tuple[str, int, int]
"""A statement that finds rows, and the time it is asked for."""


def _pieces(question: Question) -> list[Piece]:
    """Whole hours are answered from what was added up, the ends of the time asked for from charges; so is all that hours do not tell apart."""
    begins, ends = question.begins, question.ends
    since, until = -(-begins // US_PER_HOUR) * US_PER_HOUR, ends // US_PER_HOUR * US_PER_HOUR
    if since >= until or not all(name in ROLLED for name in question.by):
        return [("usage_scanned", begins, ends)]
    pieces = [("usage_scanned", begins, since), ("usage_rolled", since, until), ("usage_scanned", until, ends)]
    return [piece for piece in pieces if piece[1] < piece[2]]


def _found(sql: Mapping[str, str], question: Question, pieces: list[Piece]) -> tuple[str, dict[str, Any]]:
    """The rows of all pieces as one table expression, and its parameters."""
    chosen = {name: getattr(question, name) for name in ("key", "account", "scope") if getattr(question, name) is not None}
    of = " ".join(sql[f"usage_of_{name}"] for name in chosen)
    values: dict[str, Any] = dict(chosen)
    parts = []
    for number, (name, begins, ends) in enumerate(pieces):
        bounds = span(begins, ends)
        parts.append(_BOUND.sub(rf":\g<1>{number}", sql[name]).replace("{of}", of))
        values |= {f"{bound}{number}": bounds[bound] for bound in set(_BOUND.findall(sql[name]))}
    return " UNION ALL ".join(parts), values


def _dimensions(sql: Mapping[str, str], by: tuple[str, ...]) -> tuple[list[str], dict[str, Any]]:
    """What groups are told apart by, each as an expression, and the tags in them."""
    fragments, tags = [], {}
    for number, dimension in enumerate(by):
        if not is_dimension(dimension):
            known = ", ".join([*DIMENSIONS, "tag:NAME"])
            raise CommandRefused("unknown_dimension", f"Usage cannot be grouped by {dimension!r}: there are {known}.")
        if dimension.startswith(_TAG):
            tags[f"tag{number}"] = dimension.removeprefix(_TAG)
            fragments.append(sql["usage_by_tag"].replace(":tag", f":tag{number}"))
        else:
            fragments.append(sql[DIMENSIONS[dimension]])
    return fragments or [sql["usage_by_nothing"]], tags


def _filled(text: str, found: str, dimensions: list[str]) -> str:
    """A statement with its rows and groups filled in."""
    names = [f"g{number}" for number in range(len(dimensions))]
    named = ", ".join(f"{fragment} AS {name}" for fragment, name in zip(dimensions, names, strict=True))
    return text.replace("{found}", found).replace("{dimensions}", named).replace("{groups}", ", ".join(names))
