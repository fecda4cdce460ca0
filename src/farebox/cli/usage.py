"""`farebox usage`: what was used, by whom and for what."""

from typing import Annotated, Any

import typer

from farebox.cli.options import Json, Since, Until
from farebox.cli.output import NOTHING, show_json, show_table, usd
from farebox.cli.reach import reach


def usage(
    by: Annotated[
        str, typer.Option(help="key, account, user, model, provider, route, status, tag:NAME, run, hour, day; several with commas.")
    ] = "model",
    since: Since = None,
    until: Until = None,
    as_json: Json = False,
) -> None:
    """Add up calls, tokens and dollars; the last 24 hours unless said."""
    with reach() as api:
        report = api.get("/usage", by=by, to=until, **{"from": since})
    if as_json:
        return show_json(report)
    dimensions = [name.strip() for name in by.split(",") if name.strip()]
    columns = [*dimensions, ">calls", ">tokens", ">price", ">written off", ">first byte p50/p95", ">total p50/p95"]
    lines = [
        [
            *(one.get(name) for name in dimensions),
            one["calls"],
            one["tokens"],
            usd(one["price_usd"]),
            usd(one["written_off_usd"]),
            _times(one["first_byte_us"]),
            _times(one["total_us"]),
        ]
        for one in report["data"]
    ]
    return show_table(columns, lines, empty="nothing was used")


def _times(percentiles: dict[str, Any]) -> str:
    """Two percentiles in milliseconds."""
    p50, p95 = percentiles.get("p50"), percentiles.get("p95")
    return NOTHING if p50 is None or p95 is None else f"{p50 // 1000}/{p95 // 1000} ms"
