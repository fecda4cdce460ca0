"""What the command line's tests share: a terminal each, and one gateway with a simulated provider for a whole session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.terminal import Office, Terminal, open_office
from farebox.cli.process import Serving


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
