"""Every test of the client runs on plain asyncio and on uvloop, and leaves no connection open."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from farebox.gateway.upstream import Upstream, UpstreamLimits
from upstream.certificates import Authority
from upstream.scripted import MakeUpstream


def pytest_asyncio_loop_factories(config: object, item: object) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def make() -> AsyncIterator[MakeUpstream]:
    """Makes clients with the limits named; at the end each is closed, and nothing of it may be left."""
    made: list[Upstream] = []

    def make_one(**limits: float) -> Upstream:
        upstream = Upstream(UpstreamLimits(**limits))  # type: ignore[arg-type]  # named limits, checked by their tests
        made.append(upstream)
        return upstream

    yield make_one
    for upstream in made:
        await upstream.close()
        assert upstream.stats().open == 0
        assert upstream.stats().idle == 0


@pytest.fixture
async def upstream(make: MakeUpstream) -> Upstream:
    """A client with limits that a test never waits for."""
    return make()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))
