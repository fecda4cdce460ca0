"""Stores of either kind, each for one test. When that is over, the books must add up."""

from collections.abc import AsyncIterator, Iterator

import pytest

from ledger.desk import Desk
from store.till import Till
from support.homes import Home, home

__all__ = ["home"]


@pytest.fixture
async def till(home: Home) -> AsyncIterator[Till]:
    """A batcher on a store with one account `acc` and one key `key`, without money."""
    till = Till(home)
    await till.begin()
    yield till
    till.end()


@pytest.fixture
def desk(home: Home) -> Iterator[Desk]:
    """The same, without a batcher: answers at once."""
    desk = Desk(home)
    desk.play("account acc\nkey key account=acc\nbook 1")
    yield desk
    desk.leave()
