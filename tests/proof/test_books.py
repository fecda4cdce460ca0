"""The comparison itself: what it must find, it finds."""

from typing import Any, cast

import asyncpg
import pytest

from proof.books import Figures, Moment, _join, least_available


def charge(**fields: Any) -> asyncpg.Record:
    known = {
        "hold_id": "h", "name": "c", "completeness": "exact", "outcome": "answered", "flags": "", "price": 10, "paid": 10, "written_off": 0,
        "upstream_request_id": "call", "revised": 0,
    }  # fmt: skip
    return cast("asyncpg.Record", known | fields)


def billed(call: str = "call", nano: int = 10) -> dict[str, Any]:
    return {"id": call, "label": "c", "nano": nano}


def joined(bill: list[dict[str, Any]], *charges: asyncpg.Record) -> Figures:
    figures = Figures()
    _join(figures, bill, list(charges))
    return figures


def test_equal_books_are_equal() -> None:
    """An exact charge by its id; one that never learned of an id by the call's name, listed; one that nobody billed, listed too."""
    lost = charge(upstream_request_id="", completeness="unknown", outcome="orphaned", price=50, paid=50)
    found = joined([billed(), billed("other", 30)], charge(), lost, lost)
    assert (found.billed, found.bill, found.charged, found.exact) == (2, 40, 110, 1)
    assert [line.rpartition(": ")[2] for line in found.others] == ["50 charged, 30 billed", "50 charged, 0 billed"]


@pytest.mark.parametrize(
    ("bill", "charges"),
    [
        ([billed()], []),
        ([billed(), billed("other")], [charge()]),
        ([billed(nano=11)], [charge()]),
        ([billed(nano=9)], [charge()]),
        ([billed()], [charge(), charge(hold_id="again")]),
        ([], [charge()]),
        ([billed(nano=11)], [charge(completeness="unknown")]),
        ([billed(nano=11)], [charge(completeness="unknown", upstream_request_id="")]),
        ([billed()], [charge(paid=9)]),
    ],
    ids=[
        "none",
        "one for two",
        "too little",
        "too much",
        "twice",
        "not billed",
        "not covered",
        "an orphan that does not cover",
        "not whole",
    ],
)
def test_a_difference_is_found(bill: list[dict[str, Any]], charges: list[asyncpg.Record]) -> None:
    """Whatever it is, to the nano-dollar."""
    with pytest.raises(AssertionError):
        joined(bill, *charges)


@pytest.mark.parametrize(("since", "until", "least"), [(0, 5, 100), (0, 10, 40), (11, 15, 40), (11, 25, 40), (21, 30, 70), (20, 30, 40)])
def test_a_refusal_is_measured_by_the_least_that_was_there_while_it_was_asked(since: int, until: int, least: int) -> None:
    """What was there when it was sent counts, and everything until it was answered; a change at that very moment may have come after it."""
    assert least_available([Moment(0, 100), Moment(10, 40), Moment(20, 70)], since, until) == least
