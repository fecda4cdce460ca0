"""Verify recomputes every number from rows: what was tampered with is found on either store."""

import pytest

from farebox.ledger.commands import GrantMoney, OpenAccount
from farebox.money import NANO_MAX
from farebox.store.verify import INVARIANTS, verify
from ledger.desk import Desk


@pytest.mark.parametrize(
    ("tampering", "undo", "invariant"),
    [
        ("UPDATE grants SET spent = spent + 1", "UPDATE grants SET spent = spent - 1", "a grant's spent is the sum of its charges"),
        ("UPDATE grants SET amount = amount + 1", "UPDATE grants SET amount = amount - 1", "a grant's amount is the sum of its transfers"),
        ("UPDATE grants SET held = held + 1", "UPDATE grants SET held = held - 1", "a grant's held is the sum of open holds"),
        (
            "UPDATE windows SET tokens_spent = tokens_spent + 1 WHERE counter = 'key/week'",
            "UPDATE windows SET tokens_spent = tokens_spent - 1 WHERE counter = 'key/week'",
            "a window's spent is the sum of charges",
        ),
        (
            "UPDATE holds SET state = 'captured' WHERE id = 'b'",
            "UPDATE holds SET state = 'open' WHERE id = 'b'",
            "every hold ends in exactly one charge",
        ),
        ("UPDATE holds SET amount = amount + 1", "UPDATE holds SET amount = amount - 1", "a hold is set aside whole"),
        (
            "UPDATE charges SET price = 31, written_off = 1",
            "UPDATE charges SET price = 30, written_off = 0",
            "a window's spent is the sum of charges",
        ),
        ("UPDATE charges SET refunded = 3", "UPDATE charges SET refunded = 2", "refunds are at most what was paid"),
        ("UPDATE transfers SET amount = amount + 1", "UPDATE transfers SET amount = amount - 1", "a transfer's legs add up"),
        ("UPDATE holds SET root = 'x'", "UPDATE holds SET root = 'acc'", "nothing a request touches lies under another root"),
    ],
)
def test_verify_finds_every_number_that_was_tampered_with(desk: Desk, tampering: str, undo: str, invariant: str) -> None:
    """Each equation is recomputed from rows: one nano-dollar too many is found, named, and gone when it is put right."""
    desk.play("topup acc 100\nhold a 40\ncapture a 30\nrefund a 2\nhold b 20")
    assert verify(desk.home.place).ok
    desk.home.write(tampering)
    verdict = verify(desk.home.place)
    assert not verdict.ok
    assert invariant in [finding.invariant for finding in verdict.findings]
    assert set(INVARIANTS.values()) == set(verdict.checked)
    desk.home.write(undo)


def test_verify_counts_what_it_looked_at(desk: Desk) -> None:
    """So that an empty answer is not taken for a good one."""
    desk.play("topup acc 100\nhold a 40\ncapture a 50\nhold b 20\ntopup acc 5 ends=+1h")
    verdict = verify(desk.home.place)
    assert (verdict.counts["holds"], verdict.counts["open_holds"], verdict.counts["charges"]) == (2, 1, 1)
    assert (verdict.sums["granted"], verdict.sums["spent"], verdict.sums["held"]) == (105, 50, 20)


def test_all_the_money_together_may_be_more_than_a_column_holds(desk: Desk) -> None:
    """Each grant fits; what verify adds up over all of them is told exactly."""
    for number in range(3):
        name = f"acc_{number}"
        desk.one(OpenAccount(f"open {number}", name, own_wallet=True))
        desk.one(GrantMoney(f"fill {number}", f"grant {number}", name, NANO_MAX - 1))
    assert verify(desk.home.place).sums["granted"] == 3 * (NANO_MAX - 1) > 2**63
