"""`farebox holds`: money that is set aside."""

from typing import Annotated

import typer

from farebox.cli.accounts import tell_more
from farebox.cli.options import Cursor, Json, Rows
from farebox.cli.output import moment, show_json, show_table, usd
from farebox.cli.reach import reach


def holds(
    state: Annotated[str, typer.Option(help="open, captured, released or expired.")] = "open",
    rows: Rows = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """List holds, newest first: money that is set aside for calls on their way."""
    with reach() as api:
        page = api.get("/holds", state=state, limit=rows, cursor=cursor)
    if as_json:
        return show_json(page)
    lines = [
        [
            moment(one["created_at"]),
            one["id"],
            one["key"],
            f"{one['provider']}/{one['model']}",
            usd(one["amount_usd"]),
            moment(one["deadline"]),
        ]
        for one in page["data"]
    ]
    show_table(["since", "hold", "key", "model", ">amount", "at the latest until"], lines, empty=f"no {state} holds")
    return tell_more(page)
