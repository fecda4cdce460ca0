"""A desk for every test: a real store in a folder of its own. When the test is over, the books must add up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.desk import Desk


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Desk]:
    """A store with nothing in it."""
    desk = Desk(tmp_path / "farebox.db")
    yield desk
    desk.leave()


@pytest.fixture
def desk(bare: Desk) -> Desk:
    """One account `acc` with a key `key`, no money and no cap."""
    return bare.play("account acc\nkey key account=acc\nbook 1")
