"""`farebox check`: whether providers do what the settings expect of them, by asking them."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from farebox.cli.options import Json
from farebox.cli.output import show_json, show_table, usd

if TYPE_CHECKING:
    from farebox.cli.trials import Result

app = typer.Typer(help="Ask providers for something tiny.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def check() -> None:
    """Ask providers for something tiny."""


@app.command("routes")
def routes(
    provider: Annotated[str | None, typer.Option(metavar="NAME", help="Only this provider.")] = None,
    as_json: Json = False,
) -> None:
    """Make one tiny call with every key of every provider: does the key work, what is metered, what does it cost. Exit 1 if one fails."""
    from farebox.cli.trials import run, trials
    from farebox.settings import load

    results = asyncio.run(run(trials(load().settings, provider)))
    fine = bool(results) and all(result.ok for result in results)
    if as_json:
        show_json({"ok": fine, "routes": [result.shown() for result in results]})
    else:
        show_table(
            ["provider", "key", "model", ">status", "units", ">cost", ">reported", ">ms", "problem"],
            [_line(result) for result in results],
            empty="no provider is configured",
        )
    if not fine:
        raise typer.Exit(1)


def _line(result: "Result") -> list[object]:
    units = " ".join(f"{unit}={quantity}" for unit, quantity in result.units.items())
    cost, reported = (None if amount is None else usd(amount) for amount in (result.cost_usd, result.reported_cost_usd))
    return [result.provider, result.key, result.model, result.status or None, units, cost, reported, result.ms, result.problem]
