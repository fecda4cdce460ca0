"""`farebox accounts`: who pays."""

from typing import Annotated, Any

import typer

from farebox.cli.api import Api
from farebox.cli.failing import Failed
from farebox.cli.options import Cursor, Json, RepeatId, Rows, given, pairs
from farebox.cli.output import moment, say, show_facts, show_json, show_table, usd
from farebox.cli.reach import reach

app = typer.Typer(help="Accounts: who pays. A tree of organizations, teams, customers.", no_args_is_help=True, rich_markup_mode=None)


def account_id(api: Api, name: str) -> str:
    """The id of the account that a person means: by id, external id, or a name that only one has."""
    if name.startswith("acc_"):
        return name
    found = api.get("/accounts", external_id=name)["data"] or [account for account in api.every("/accounts") if account["name"] == name]
    if not found:
        raise Failed(f"there is no account {name!r}")
    if len(found) > 1:
        raise Failed(f"{len(found)} accounts are called {name!r}: say which by id ({', '.join(account['id'] for account in found[:5])})")
    return str(found[0]["id"])


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    kind: Annotated[str | None, typer.Option(help="What it is: customer, team, organization or any word of yours.")] = None,
    parent: Annotated[str | None, typer.Option(help="The account above it.")] = None,
    wallet: Annotated[str | None, typer.Option(help="own: money of its own; parent: it draws on the account above.")] = None,
    external_id: Annotated[str | None, typer.Option(help="Your own id for it.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Anything else to know of it.")] = None,
    once: RepeatId = None,
    as_json: Json = False,
) -> None:
    """Make an account."""
    with reach() as api:
        body = given(
            name=name,
            kind=kind,
            parent=None if parent is None else account_id(api, parent),
            wallet=wallet,
            external_id=external_id,
            metadata=pairs(metadata or []),
        )
        account = api.post("/accounts", body, once=once)
    if as_json:
        return show_json(account)
    return say(f"account {account['name']} is {account['id']}, with {_wallet(account)}")


@app.command("list")
def list_accounts(
    parent: Annotated[str | None, typer.Option(help="Only those right below this one.")] = None,
    rows: Rows = 100,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """List accounts."""
    with reach() as api:
        page = api.get("/accounts", parent=None if parent is None else account_id(api, parent), limit=rows, cursor=cursor)
    if as_json:
        return show_json(page)
    lines = [
        [one["id"], one["name"], one["kind"], one["status"], one["wallet"], one["parent"], one["external_id"], moment(one["created_at"])]
        for one in page["data"]
    ]
    show_table(["id", "name", "kind", "status", "wallet", "parent", "external id", "created"], lines, empty="no accounts yet")
    return tell_more(page)


@app.command("show")
def show(account: Annotated[str, typer.Argument(help="Id, external id or name.")], as_json: Json = False) -> None:
    """Show an account and its balance."""
    with reach() as api:
        name = account_id(api, account)
        found = api.get(f"/accounts/{name}")
        balance = api.get(f"/accounts/{name}/balance")
    if as_json:
        return show_json({**found, "balance": balance})
    return show_facts(
        {
            "id": found["id"],
            "name": found["name"],
            "kind": found["kind"],
            "status": f"{found['status']} {found['status_why']}".strip(),
            "parent": found["parent"],
            "wallet": _wallet(found),
            "external id": found["external_id"],
            "created": moment(found["created_at"]),
            "metadata": ", ".join(f"{key}={value}" for key, value in found["metadata"].items()),
            "available": usd(balance["available"]),
            "held": usd(balance["held"]),
            "spent": usd(balance["spent"]),
        }
    )


def _wallet(account: dict[str, Any]) -> str:
    return "a wallet of its own" if account["wallet"] == "own" else f"the wallet of {account['wallet_id']}"


def tell_more(page: dict[str, Any]) -> None:
    """How to go on, where a page is not all."""
    if page["next_cursor"] is not None:
        say(f"more: --cursor {page['next_cursor']}")
