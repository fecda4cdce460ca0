"""The equations that must hold at every commit, recomputed from rows in one read snapshot. Knows nothing of how the rows came about."""

from typing import Any

import msgspec

from farebox.store.database import Database, Place
from farebox.store.opening import connect

INVARIANTS = {
    "verify_grants_cover": "no grant gives more than is in it",
    "verify_grants_amount": "a grant's amount is the sum of its transfers",
    "verify_grants_spent": "a grant's spent is the sum of its charges",
    "verify_grants_held": "a grant's held is the sum of open holds",
    "verify_hold_legs": "a hold is set aside whole",
    "verify_hold_charges": "every hold ends in exactly one charge",
    "verify_charges": "paid + written off = price, and its legs are what was paid",
    "verify_background": "every open hold that waits in the background can be settled, and nothing else waits there",
    "verify_objects": "a stored object belongs to the account of the key that made it",
    "verify_refunds": "refunds are at most what was paid",
    "verify_transfers": "a transfer's legs add up",
    "verify_windows_held": "a window's held is the sum of open holds",
    "verify_windows_spent": "a window's spent is the sum of charges",
    "verify_roots": "nothing a request touches lies under another root",
    "verify_usage_sums": "usage by the hour is the sum of charges",
    "verify_usage_counts": "units and times by the hour are those of charges",
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


def verify(place: Place) -> Verdict:
    """Checks every equation on a store; safe while gateways write to it."""
    db = connect(place)
    try:
        with db.snapshot():
            return checked(db)
    finally:
        db.close()


def checked(db: Database) -> Verdict:
    """The same on a connection, within whatever transaction it is in."""
    findings = []
    for name, meaning in INVARIANTS.items():
        wrong = [list(row) for row in db.rows(name)]
        if wrong:
            findings.append(Finding(meaning, len(wrong), wrong[:_EXAMPLES_MAX]))
    counted = db.one("verify_counts")
    halves = [half or 0 for half in db.one("verify_sums")]
    sums = [(high << 32) + low for high, low in zip(halves[::2], halves[1::2], strict=True)]
    named = dict(zip(_COUNTS, counted, strict=True)), dict(zip(_SUMS, sums, strict=True))
    return Verdict(not findings, list(INVARIANTS.values()), findings, *named)
