"""Stores on real files. When a test is over, the books must add up."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ledger.desk import Desk
from store.till import Till


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    """A batcher on a store with one account `acc` and one key `key`, without money."""
    till = Till(tmp_path / "farebox.db")
    await till.begin()
    yield till
    till.end()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The same, without a batcher: answers at once."""
    desk = Desk(tmp_path / "farebox.db")
    desk.play("account acc\nkey key account=acc\nbook 1")
    yield desk
    desk.leave()
