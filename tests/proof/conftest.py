"""What the drills share: their seed, their clusters, and the table of figures at the end."""

import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from proof.cluster import Cluster, cluster_of

SOAK = os.environ.get("FAREBOX_SOAK") == "1"
_SEED = 20261121


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="what the drills draw their chances from")
    parser.addoption("--rounds", type=int, default=None, help="how many rounds of the crash storm")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The same ones in the tests; others each time in the soak, unless one is given. Printed, so that a failure can be run again."""
    given = request.config.getoption("--seed", None)
    found = given if given is not None else random.randrange(2**32) if SOAK else _SEED
    print(f"--seed {found}")
    return int(found)


@pytest.fixture
def figures(request: pytest.FixtureRequest, seed: int) -> Callable[..., None]:
    """Takes what a drill came to, for the table."""

    def note(row: dict[str, Any]) -> None:
        request.node.user_properties.append(("figures", {"drill": request.node.name.removeprefix("test_"), "seed": seed, **row}))

    return note


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Three gateways on one database. At the end the books add up, and nothing is held."""
    async with cluster_of(tmp_path, 3) as made:
        yield made


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of all drills: one line each."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ()) if report.when == "call"]
    rows = [row for row in map(_row_of, reports) if row]
    if not rows:
        return
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = [columns, *([row.get(name, "") for name in columns] for row in rows)]
    widths = [max(len(line[at]) for line in table) for at in range(len(columns))]
    terminalreporter.section("proof")
    for line in table:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _row_of(report: Any) -> dict[str, str]:
    """What a drill came to, if it told; a drill that failed is in the table without."""
    noted = [value for name, value in report.user_properties if name == "figures"]
    if not noted and not (report.failed and "/proof/" in report.nodeid):
        return {}
    told = noted[-1] if noted else {"drill": report.nodeid.rpartition("::test_")[2]}
    shown = {name: f"{value:,}" if isinstance(value, int) and name != "seed" else str(value) for name, value in told.items()}
    return {"drill": shown.pop("drill"), "result": report.outcome, **shown}
