"""What commands print: JSON for programs, tables for people. Amounts keep every decimal that the ledger gave them."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(decimal_format="number").encode
NOTHING = "-"
_WIDE = 10_000
"""Columns of a terminal that is none: what is piped is not cut."""


def say(text: str = "") -> None:
    """A line for people, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def warn(text: str) -> None:
    """A line beside the answer."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def show_json(data: Any) -> None:
    """An answer for programs: one JSON document, exact numbers as they came."""
    say(msgspec.json.format(_encode(data), indent=2).decode())


def usd(value: Any) -> str:
    """Dollars as people read them; a dash where there is no amount."""
    if value is None:
        return NOTHING
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return f"-${text[1:]}" if text.startswith("-") else f"${text}"


def moment(value: str | None) -> str:
    """A time without what nobody reads in a table."""
    return NOTHING if not value else value[:19].replace("T", " ")


def show_table(columns: Sequence[str], lines: Iterable[Sequence[Any]], *, empty: str = "none", aside: bool = False) -> None:
    """Rows under headings; headings that begin with `>` stand to the right. `aside`: on standard error."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [[NOTHING if cell is None or cell == "" else str(cell) for cell in line] for line in lines]
    if not rows:
        return warn(empty) if aside else say(empty)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out = sys.stderr if aside else sys.stdout
    return Console(file=out, width=None if out.isatty() else _WIDE).print(table)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Names and values, one a line; what is not there is left out."""
    known = {name: value for name, value in facts.items() if value is not None and value not in ("", [], {})}
    width = max((len(name) for name in known), default=0)
    for name, value in known.items():
        say(f"{name:<{width}}  {value}")
