"""What the tests that kill gateways share."""

from collections.abc import AsyncIterator

import pytest

from crash.gateways import Gateways


@pytest.fixture
async def gateways() -> AsyncIterator[Gateways]:
    """Starts gateways; those that a test leaves, or a failure, are ended."""
    started = Gateways()
    yield started
    await started.end()
