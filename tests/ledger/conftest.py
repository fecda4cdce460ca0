"""A desk for every test: a real store of either kind, for itself alone. When the test is over, the books must add up."""

from collections.abc import Iterator

import pytest

from ledger.desk import Desk
from support.homes import Home, home

__all__ = ["home"]


@pytest.fixture
def bare(home: Home) -> Iterator[Desk]:
    """A store with nothing in it."""
    desk = Desk(home)
    yield desk
    desk.leave()


@pytest.fixture
def desk(bare: Desk) -> Desk:
    """One account `acc` with a key `key`, no money and no cap."""
    return bare.play("account acc\nkey key account=acc\nbook 1")
