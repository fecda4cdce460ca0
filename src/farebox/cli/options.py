"""Options that several commands take, and how what is typed becomes what the control API reads. A slip here is a usage error (exit 2)."""

from collections.abc import Sequence
from typing import Annotated

import typer

from farebox.money import NotMoneyError, format_usd, parse_usd

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Rows = Annotated[int, typer.Option("--rows", min=1, max=1000, help="How many rows.")]
Cursor = Annotated[str | None, typer.Option("--cursor", help="Go on after the page that named this.")]
Since = Annotated[str | None, typer.Option("--from", metavar="TIME", help="Not before, such as 2026-11-21T00:00:00Z.")]
Until = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before.")]
RepeatId = Annotated[str | None, typer.Option("--id", help="A name of your own for this: done once, however often it is asked.")]


def amount(text: str) -> str:
    """Dollars as they were typed (`12.50`, `$12.50`), checked."""
    try:
        return format_usd(parse_usd(text))
    except NotMoneyError as problem:
        raise typer.BadParameter(str(problem)) from None


def positive(text: str) -> str:
    """Dollars, more than zero."""
    checked = amount(text)
    if parse_usd(checked) <= 0:
        raise typer.BadParameter(f"{text} is not more than zero")
    return checked


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """`name=value` options as an object."""
    for text in texts:
        if "=" not in text.lstrip("="):
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def given(**fields: object) -> dict[str, object]:
    """A body of what was said; what was not is left out."""
    return {name: value for name, value in fields.items() if value is not None and value not in ([], {})}
