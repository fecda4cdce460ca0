"""What the tests of the documents share: simulated providers, and a terminal in a folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.terminal import Process, Terminal, clean_environment


@pytest.fixture(scope="session")
def sim_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process = Process(["sim", "--listen", "127.0.0.1:0"], tmp_path_factory.mktemp("sim"), clean_environment())
    yield process.url
    process.stop()


@pytest.fixture
def terminal(tmp_path: Path, sim_url: str) -> Iterator[Terminal]:
    with Terminal(tmp_path, sim_url) as opened:
        yield opened
