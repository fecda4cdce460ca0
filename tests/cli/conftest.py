"""What the command line's tests share: a terminal each, and one gateway with a simulated provider for a whole session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.terminal import Office, Terminal, open_office
from farebox.cli.process import Serving
from support.homes import BOTH
from support.postgres import fresh_database, give_back, migrated_database


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.fixture(scope="session")
def sim_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("sim")
    environment = Terminal(folder).environment
    with Serving(["sim", "--listen", "127.0.0.1:0"], folder / "sim.log", environment=environment, folder=folder) as sim:
        yield sim.url


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory, sim_url: str) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    with open_office(folder, sim_url) as gateway:
        yield Office(folder, gateway.url, sim_url)


@pytest.fixture(scope="session")
def postgres_office(tmp_path_factory: pytest.TempPathFactory, sim_url: str) -> Iterator[Office]:
    """The same over PostgreSQL."""
    folder = tmp_path_factory.mktemp("postgres-office")
    url = migrated_database()
    with open_office(folder, sim_url, store=url) as gateway:
        yield Office(folder, gateway.url, sim_url, store=url)
    give_back(url)


@pytest.fixture(params=["office", "postgres_office"])
def either_office(request: pytest.FixtureRequest) -> Office:
    """One over each kind of store."""
    made: Office = request.getfixturevalue(request.param)
    return made


@pytest.fixture(params=BOTH)
def either_terminal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    """Somebody in a folder whose settings name a store of each kind, that is not there yet."""
    if request.param == "sqlite":
        yield Terminal(tmp_path)
        return
    yield Terminal(tmp_path, FAREBOX_STORE__URL=fresh_database())
