"""`farebox verify`: every balance recomputed from its rows."""

from typing import Any

import typer

from farebox.cli.options import Json
from farebox.cli.output import say, show_json, usd
from farebox.cli.reach import reach

_DOES_NOT_HOLD = "does_not_hold"


def verify(as_json: Json = False) -> None:
    """Recompute every balance from its rows; exit 1 if any differs."""
    with reach() as api:
        answer = api.ask("POST", "/verify", {})
    document = answer.document()
    if not as_json or document.get("code", _DOES_NOT_HOLD) != _DOES_NOT_HOLD:
        document = answer.good()
    if as_json:
        show_json(document)
        raise typer.Exit(0 if document["ok"] else 1)
    _show(document)


def _show(document: dict[str, Any]) -> None:
    for invariant in document["invariants"]:
        say(f"holds: {invariant['name']}")
    counts, sums = document["counts"], document["sums_usd"]
    say(f"{counts['accounts']} accounts, {counts['holds']} holds, {counts['charges']} charges, {counts['transfers']} transfers")
    say("  ".join(f"{name.replace('_', ' ')} {usd(amount)}" for name, amount in sums.items()))
