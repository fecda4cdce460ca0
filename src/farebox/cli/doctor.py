"""`farebox doctor`: whether this machine and these settings can keep the ledger's promises. Looks, and changes nothing."""

import typer

from farebox.cli.options import Json
from farebox.cli.output import say, show_json


def doctor(as_json: Json = False) -> None:
    """Look at clock, disk, prices, holds and settings; exit 1 if something is wrong."""
    from farebox.cli.checkup import examine
    from farebox.cli.reach import settings_here

    findings = examine(settings_here())
    sick = any(finding.state == "wrong" for finding in findings)
    if as_json:
        show_json({"ok": not sick, "checks": [finding.shown() for finding in findings]})
    else:
        for finding in findings:
            say(f"{finding.state:<6} {finding.name}: {finding.says}")
    if sick:
        raise typer.Exit(1)
