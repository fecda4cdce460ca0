"""What an import would change, and which of its changes a person has to accept. Compares effective prices over time, not rows.

Two sets of rows that mean the same prices at every moment have no difference, however their spans are cut.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Literal, NamedTuple

import msgspec

from farebox.pricing.rows import PriceRow
from farebox.usage import PLAIN, Conditions

Kind = Literal["added", "removed", "changed"]
FACTOR_MAX = 3
"""A price that moves further than this either way is more often a slip than news."""


class Change(msgspec.Struct, frozen=True):
    """One price that differs, from one moment until another."""

    kind: Kind
    provider: str
    model: str
    unit: str
    tier_above: int
    conditions: Conditions
    from_us: int
    to_us: int | None
    old_pico: int | None
    new_pico: int | None
    factor: Fraction | None
    """New over old. For an added price of a known model: over what its plain base price of that unit was. None: nothing to compare with."""
    model_added: bool = False
    model_removed: bool = False


class _Key(NamedTuple):
    provider: str
    model: str
    unit: str
    tier_above: int
    conditions: Conditions


_Timelines = dict[_Key, list[PriceRow]]


def diff(old_rows: Iterable[PriceRow], new_rows: Iterable[PriceRow]) -> list[Change]:
    """Every price that is not the same before and after, ordered by provider, model, unit, tier, conditions and time."""
    old, new = _timelines(old_rows), _timelines(new_rows)
    known = {key[:2] for key in old}
    kept = {key[:2] for key in new}
    changes: list[Change] = []
    for key in sorted(old.keys() | new.keys(), key=_order):
        for from_us, to_us, before, after in _differences(old.get(key, []), new.get(key, [])):
            base = before if before is not None else _base(old, key, from_us)
            changes.append(
                Change(
                    kind="added" if before is None else "removed" if after is None else "changed",
                    provider=key.provider,
                    model=key.model,
                    unit=key.unit,
                    tier_above=key.tier_above,
                    conditions=key.conditions,
                    from_us=from_us,
                    to_us=to_us,
                    old_pico=before,
                    new_pico=after,
                    factor=Fraction(after, base) if after is not None and base else None,
                    model_added=key[:2] not in known,
                    model_removed=key[:2] not in kept,
                )
            )
    return changes


def check(changes: Iterable[Change], factor_max: int = FACTOR_MAX) -> list[Change]:
    """The changes that need `--accept`: a jump beyond a factor either way, a price that becomes zero or stops being zero, and
    whatever is removed: a price that is gone makes its tokens cost what another one says.
    """
    return [change for change in changes if _needs_acceptance(change, factor_max)]


def _needs_acceptance(change: Change, factor_max: int) -> bool:
    if change.kind == "removed":
        return True
    if change.factor is None:  # it was zero, or nothing of it was listed
        return change.kind == "changed" or (change.new_pico == 0 and not change.model_added)
    return change.factor > factor_max or change.factor * factor_max < 1


def _timelines(rows: Iterable[PriceRow]) -> _Timelines:
    timelines: _Timelines = {}
    for row in rows:
        timelines.setdefault(_Key(row.provider, row.model, row.unit, row.tier_above, row.conditions), []).append(row)
    return timelines


def _order(key: _Key) -> tuple[str | int | bool, ...]:
    return (*key[:4], *msgspec.structs.astuple(key.conditions))


def _effective(rows: list[PriceRow], at_us: int) -> int | None:
    """The price that holds at a moment: the later word, then the dearer."""
    holding = [(row.valid_from_us, row.pico) for row in rows if row.holds_at(at_us)]
    return max(holding)[1] if holding else None


def _base(old: _Timelines, key: _Key, at_us: int) -> int | None:
    return _effective(old.get(key._replace(tier_above=0, conditions=PLAIN), []), at_us)


def _differences(old: list[PriceRow], new: list[PriceRow]) -> Iterator[tuple[int, int | None, int | None, int | None]]:
    """The spans in which two timelines differ: from, to, before, after."""
    if len(old) == len(new) and all(
        a.pico == b.pico and a.valid_from_us == b.valid_from_us and a.valid_to_us == b.valid_to_us for a, b in zip(old, new, strict=True)
    ):
        return
    turns = sorted({row.valid_from_us for row in (*old, *new)} | {row.valid_to_us for row in (*old, *new) if row.valid_to_us is not None})
    open_span: tuple[int, int | None, int | None] | None = None
    for at_us in turns:
        before, after = _effective(old, at_us), _effective(new, at_us)
        if open_span is not None and open_span[1:] == (before, after):
            continue
        if open_span is not None:
            yield open_span[0], at_us, open_span[1], open_span[2]
        open_span = (at_us, before, after) if before != after else None
    if open_span is not None:
        yield open_span[0], None, open_span[1], open_span[2]
