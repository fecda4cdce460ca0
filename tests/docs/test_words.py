"""What the documents name exists: files, commands, headers, refusals, alarms, figures, libraries; and what exists is named."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from docs.pages import PAGES, ROOT, farebox_lines, inline, links, name_of, page, prose, rows
from farebox import metrics
from farebox.cli.root import app
from farebox.errors import Refusal

_HEADER = re.compile(r"x-farebox-[a-z-]*[a-z]")
_SOURCES = [path.read_text("utf-8") for path in sorted((ROOT / "src" / "farebox").rglob("*.py"))]


@pytest.mark.parametrize("one", PAGES, ids=name_of)
def test_every_link_leads_somewhere(one: Path) -> None:
    """Relative links and images of a page are files of the project."""
    gone = [target for target in links(one) if not (one.parent / target).exists()]
    assert not gone


@pytest.mark.parametrize("one", PAGES, ids=name_of)
def test_every_file_that_is_named_exists(one: Path) -> None:
    """Paths between backticks are files or folders of the project or of its package; <words> stand for any."""
    words = [word for code in inline(one) for word in code.split()]
    paths = [word for word in words if re.fullmatch(r"[\w.<>-]+/([\w.<>-]+/)*([\w<>-]+\.(py|md|sql|txt))?|[\w<>-]+\.py", word)]
    gone = [path for path in paths if not _exists(re.sub(r"<\w+>", "*", path))]
    assert not gone


def _exists(pattern: str) -> bool:
    return any(any(base.glob(pattern)) for base in (ROOT, ROOT / "src" / "farebox"))


def test_every_script_is_explained() -> None:
    """CONTRIBUTING.md says what each script does (but for the one that the others call), and no page names one that does not exist."""
    named = {name for one in PAGES for name in re.findall(r"\./scripts/(\w+)", one.read_text("utf-8"))}
    there = {path.name for path in (ROOT / "scripts").iterdir()}
    assert named <= there
    assert there - {"setup"} <= set(re.findall(r"\./scripts/(\w+)", page("CONTRIBUTING.md").read_text("utf-8")))


@pytest.mark.parametrize("one", PAGES, ids=name_of)
def test_every_command_line_parses(one: Path) -> None:
    """What a code block types is a command with its own options and arguments."""
    for _, arguments in farebox_lines(one):
        command, rest = _command(arguments)
        command.make_context(command.name, rest)


@pytest.mark.parametrize("one", PAGES, ids=name_of)
def test_every_command_that_is_named_exists(one: Path) -> None:
    """`farebox noun verb` in a sentence is a command."""
    for code in inline(one):
        if code.startswith("farebox "):
            _command(code.split()[1:])


def _command(arguments: list[str]) -> tuple[Any, list[str]]:
    """The command that arguments begin with, and what follows its name."""
    command: Any = typer.main.get_command(app)
    rest = list(arguments)
    while hasattr(command, "commands") and rest:
        assert rest[0] in command.commands, f"there is no command {' '.join(arguments)}"
        command = command.commands[rest.pop(0)]
    return command, rest


def test_documents_name_the_headers_that_exist() -> None:
    """Every x-farebox header of the code is in the documents, and every one in the documents is in the code."""
    documented = {header for one in PAGES for header in _HEADER.findall(one.read_text("utf-8"))}
    assert documented == {header for source in _SOURCES for header in _HEADER.findall(source)}


def test_refusals_are_documented_with_their_status() -> None:
    """docs/charges.md has each reason with its status, and no other."""
    documented = {(int(cells[0]), reason) for cells in rows(page("docs/charges.md")) if cells[0].isdigit() for reason in _codes(cells[1])}
    assert documented == {(refusal.status, refusal.reason) for refusal in _refusals(Refusal) if "reason" in vars(refusal)}


def _codes(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def _refusals(base: type[Refusal]) -> list[type[Refusal]]:
    return [refusal for below in base.__subclasses__() for refusal in (below, *_refusals(below))]


def test_alarms_that_are_named_are_raised() -> None:
    """Each alarm in docs/operate/README.md is raised by that name."""
    section = prose(page("docs/operate/README.md")).partition("## Alarms")[2]
    named = {code for code in re.findall(r"`([a-z_]+)`", section) if not code.startswith("farebox_")}
    assert named
    assert not [name for name in named if not any(f'"{name}"' in source for source in _SOURCES)]


def test_figures_that_are_named_are_counted() -> None:
    """Every farebox_… figure in the documents is one of /metrics."""
    known = {metric.name for metric in metrics.REGISTRY.collect()}
    known |= {f"{name}_total" for name in known}
    named = {code for one in PAGES for code in re.findall(r"`(farebox_\w+)`", prose(one))}
    assert named <= known


def test_every_direct_dependency_has_its_reason() -> None:
    """docs/libraries.md names whatever pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [*project["project"]["dependencies"], *(one for group in project["dependency-groups"].values() for one in group)]
    names = {re.split(r"[<>=~!\[; ]", one)[0] for one in wanted}
    text = re.sub(r"[^a-z0-9-]+", " ", page("docs/libraries.md").read_text("utf-8").lower()).split()
    unnamed = {name for name in names if name not in text and name.removeprefix("pytest-") not in text}
    assert not unnamed
