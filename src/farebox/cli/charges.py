"""`farebox charges`: what calls came to."""

from typing import Annotated

import typer

from farebox.cli.accounts import account_id, tell_more
from farebox.cli.keys import key_id
from farebox.cli.options import Cursor, Json, Rows, Since, Until
from farebox.cli.output import NOTHING, moment, show_json, show_table, usd
from farebox.cli.reach import reach


def charges(
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
    key: Annotated[str | None, typer.Option(help="Only of this key.")] = None,
    request: Annotated[str | None, typer.Option(help="Only of this request id.")] = None,
    since: Since = None,
    until: Until = None,
    rows: Rows = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """List charges, newest first: what each call held, cost, and how completely that is known."""
    with reach() as api:
        query = {
            "account": None if account is None else account_id(api, account),
            "key": None if key is None else key_id(api, key),
            "request_id": request,
            "from": since,
            "to": until,
        }
        page = api.get("/charges", limit=rows, cursor=cursor, **query)
    if as_json:
        return show_json(page)
    lines = [
        [
            moment(one["at"]),
            one["id"],
            one["key"],
            f"{one['provider']}/{one['model_served'] or one['model']}",
            one["status"],
            one["outcome"],
            one["completeness"],
            one["tokens"],
            usd(one["held_usd"]),
            usd(one["price_usd"]),
            NOTHING if one["written_off_usd"] == "0.00" else usd(one["written_off_usd"]),
        ]
        for one in page["data"]
    ]
    columns = ["at", "charge", "key", "model", "status", "outcome", "usage", ">tokens", ">held", ">price", ">written off"]
    show_table(columns, lines, empty="no charges yet")
    return tell_more(page)
