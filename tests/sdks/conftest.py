"""What the tests with real clients share: a running gateway in front of a simulated provider, verified at its end."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.house import House, open_house


def _providers(sim_url: str) -> dict[str, Any]:
    """Those whose settings say more than a key and where they are."""
    return {"providers": {"azure": {"api_key": "sk-upstream", "base_url": sim_url, "api_version": "2024-10-21"}}}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, _providers) as opened:
        yield opened
