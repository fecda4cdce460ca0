"""The equations that must hold at every commit, recomputed from rows in one read snapshot. Knows nothing of how the rows came about."""

from pathlib import Path
from typing import Any

import msgspec

from farebox.store.sqlite import connect_reader
from farebox.store.statements import statements

INVARIANTS = {
    "verify_grants_cover": "no grant gives more than is in it",
    "verify_grants_amount": "a grant's amount is the sum of its transfers",
    "verify_grants_spent": "a grant's spent is the sum of its charges",
    "verify_grants_held": "a grant's held is the sum of open holds",
    "verify_hold_legs": "a hold is set aside whole",
    "verify_hold_charges": "every hold ends in exactly one charge",
    "verify_charges": "paid + written off = price, and its legs are what was paid",
    "verify_refunds": "refunds are at most what was paid",
    "verify_transfers": "a transfer's legs add up",
    "verify_windows_held": "a window's held is the sum of open holds",
    "verify_windows_spent": "a window's spent is the sum of charges",
    "verify_roots": "nothing a request touches lies under another root",
}
_EXAMPLES_MAX = 5
_COUNTS = ("accounts", "keys", "grants", "transfers", "holds", "open_holds", "charges", "windows")
_SUMS = ("granted", "spent", "held", "expired", "written_off")


class Finding(msgspec.Struct, frozen=True):
    """One equation that does not hold: how many rows, and some of them."""

    invariant: str
    rows: int
    examples: list[list[Any]]


class Verdict(msgspec.Struct, frozen=True):
    """What verify found. `sums` are nano-dollars over all wallets."""

    ok: bool
    checked: list[str]
    findings: list[Finding]
    counts: dict[str, int]
    sums: dict[str, int]


def verify(path: Path) -> Verdict:
    """Checks every equation on a store's file; safe while a gateway writes to it."""
    db = connect_reader(path)
    sql = statements("sqlite")
    try:
        db.execute("BEGIN")
        findings = []
        for name, meaning in INVARIANTS.items():
            wrong = [list(row) for row in db.execute(sql[name])]
            if wrong:
                findings.append(Finding(meaning, len(wrong), wrong[:_EXAMPLES_MAX]))
        counted = next(iter(db.execute(sql["verify_counts"])))
        halves = [half or 0 for half in next(iter(db.execute(sql["verify_sums"])))]
    finally:
        db.close()
    sums = [(high << 32) + low for high, low in zip(halves[::2], halves[1::2], strict=True)]
    named = dict(zip(_COUNTS, counted, strict=True)), dict(zip(_SUMS, sums, strict=True))
    return Verdict(not findings, list(INVARIANTS.values()), findings, *named)
