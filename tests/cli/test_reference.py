"""docs/cli.md is the commands' own help."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from farebox.cli.root import app

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def commands(command: Any, path: tuple[str, ...] = ("farebox",)) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, by its words."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from commands(inner, (*path, name))


def row(path: tuple[str, ...], command: Any) -> str:
    """A command as the page has it: how it is typed, its options, the first line of its help."""
    arguments = [param.metavar or param.name.upper() for param in command.params if param.param_type_name == "argument"]
    options = [f"`{param.opts[0]}`" for param in command.params if param.param_type_name == "option" and param.opts[0] != "--json"]
    return f"| `{' '.join([*path, *arguments])}` | {command.help.splitlines()[0]} | {' '.join(options)} |"


def test_the_reference_lists_every_command_as_its_help_does() -> None:
    """Neither a command, nor an argument, nor an option is missing, and none is there that does not exist."""
    listed = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `farebox")]
    assert listed == [row(path, command) for path, command in commands(typer.main.get_command(app))]


def test_every_command_answers_in_json() -> None:
    """`--json` is everywhere."""
    for path, command in commands(typer.main.get_command(app)):
        assert any("--json" in param.opts for param in command.params), path
