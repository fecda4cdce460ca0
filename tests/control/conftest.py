"""A back office for every test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control.back import Back, open_back


@pytest.fixture
async def back(tmp_path: Path) -> AsyncIterator[Back]:
    """An empty installation without prices, and its admin key."""
    async with open_back(tmp_path) as opened:
        yield opened


@pytest.fixture
async def priced(tmp_path: Path) -> AsyncIterator[Back]:
    """An installation with the price list that comes with Farebox."""
    async with open_back(tmp_path, prices=True) as opened:
        yield opened
