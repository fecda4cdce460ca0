"""A leak drill on a terminal: a table that lives while it runs, and its comparison at the end."""

from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from farebox.cli.drill import Check, Drill, Figures, Rehearsal
from farebox.money import NANO_PER_USD, format_usd, parse_usd

_BAR = 24
_REFRESH_PER_S = 8


class View:
    """A live table; on what is no terminal, only its last state is printed."""

    def __init__(self, drill: Drill) -> None:
        self._drill = drill
        self._console = Console()
        self._live = Live(console=self._console, refresh_per_second=_REFRESH_PER_S, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def show(self, figures: Figures) -> None:
        self._live.update(table(self._drill, figures))


def table(drill: Drill, figures: Figures) -> Table:
    """The drill as it stands."""
    cap = parse_usd(drill.cap_usd)
    shown = Table(title=f"{drill.clients} thieves, one key capped at ${drill.cap_usd}, ${drill.wallet_usd} behind it", title_justify="left")
    shown.add_column("")
    shown.add_column("now", justify="right")
    shown.add_column("of the cap")
    shown.add_row("billed by the provider", _dollars(figures.bill), _bar(figures.bill, cap, "red"))
    shown.add_row("charged to the key", _dollars(figures.charged), _bar(figures.charged, cap, "green"))
    shown.add_row("held for calls on their way", _dollars(figures.held), _bar(figures.held, cap, "yellow"))
    shown.add_section()
    shown.add_row("answered", f"{figures.answered:,}", "")
    shown.add_row("left in the middle", f"{figures.left:,}", "")
    shown.add_row("asked to wait (429 held)", f"{figures.waited:,}", "")
    shown.add_row("refused", f"{figures.refused:,}", "")
    shown.add_row("calls a second", f"{figures.rate:,.0f}", f"{figures.phase}, {figures.seconds:.1f} s")
    return shown


def _dollars(nano: int) -> str:
    return f"${Decimal(nano) / NANO_PER_USD:.6f}"


def _bar(nano: int, cap: int, color: str) -> str:
    full = min(nano * _BAR // max(cap, 1), _BAR)
    return f"[{color}]{'█' * full}[/{color}][dim]{'·' * (_BAR - full)}[/dim]"


def show_checks(rehearsal: Rehearsal) -> None:
    """What was compared, and what came of it."""
    console = Console()
    console.print()
    for check in rehearsal.checks:
        mark = "[green]yes[/green]" if check.ok else "[red]NO [/red]"
        console.print(f"  {mark}  {check.name}: [dim]{check.says}[/dim]", highlight=False, soft_wrap=True)
    reasons = ", ".join(f"{count} {name}" for name, count in rehearsal.reasons.items())
    console.print(f"\n  refusals: {reasons}", highlight=False, soft_wrap=True)
    console.print(
        "  [bold green]The key cost what it could, and not a cent more.[/bold green]"
        if rehearsal.ok
        else "  [bold red]It leaks.[/bold red]"
    )


def shown(rehearsal: Rehearsal) -> dict[str, Any]:
    """The same for programs."""
    figures = rehearsal.figures
    return {
        "ok": rehearsal.ok,
        "bill_usd": format_usd(figures.bill),
        "charged_usd": format_usd(figures.charged),
        "held_usd": format_usd(figures.held),
        "calls": figures.asked,
        "answered": figures.answered,
        "left": figures.left,
        "refused": figures.refused,
        "waited": figures.waited,
        "seconds": Decimal(f"{figures.seconds:.3f}"),
        "reasons": rehearsal.reasons,
        "checks": [_check(check) for check in rehearsal.checks],
    }


def _check(check: Check) -> dict[str, Any]:
    return {"name": check.name, "ok": check.ok, "says": check.says}
