"""What the end-to-end tests share: a running gateway in front of a simulated provider, verified at its end."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from store.disk import FailingDisk
from support.house import House, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FailingDisk]:
    disk = FailingDisk(f"failing {tmp_path}")
    yield disk
    disk.unregister()


@pytest.fixture
async def fragile(tmp_path: Path, disk: FailingDisk) -> AsyncIterator[House]:
    """On a disk that fails when it is told to."""
    async with open_house(tmp_path, vfs=disk.name) as opened:
        try:
            yield opened
        finally:
            disk.heal()
