"""`farebox prices`: what everything costs, and taking in new prices."""

from pathlib import Path
from typing import Annotated, Any

import typer

from farebox.cli.accounts import account_id, tell_more
from farebox.cli.api import Api
from farebox.cli.failing import Failed, from_problem
from farebox.cli.keys import key_id
from farebox.cli.options import Cursor, Json, Rows
from farebox.cli.output import moment, say, show_json, show_table, usd, warn
from farebox.cli.reach import reach

app = typer.Typer(help="Prices: the book that quotes and charges are made with.", no_args_is_help=True, rich_markup_mode=None)
File = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="A CSV as `prices show --csv` writes it; else the list of this farebox.")
]
Account = Annotated[str | None, typer.Option(help="Own prices of this account, instead of the list.")]
Key = Annotated[str | None, typer.Option(help="Own prices of this key, instead of the list.")]
Replace = Annotated[bool, typer.Option("--replace", help="What the file does not name goes.")]
_SHOWN_MAX = 50
_NEEDS_ACCEPTANCE = "needs_acceptance"


def _scope(api: Api, account: str | None, key: str | None) -> str | None:
    if account is not None and key is not None:
        raise typer.BadParameter("say --account or --key, not both")
    return account_id(api, account) if account is not None else key_id(api, key) if key is not None else None


@app.command("show")
def show(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The exact name, or provider/model.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider's.")] = None,
    account: Account = None,
    key: Key = None,
    csv: Annotated[bool, typer.Option("--csv", help="All of them as CSV, as an import reads it.")] = False,
    rows: Rows = 100,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Show prices, each with where it comes from and when it was last checked."""
    with reach() as api:
        query = {"model": model, "provider": provider, "scope": _scope(api, account, key)}
        if csv:
            answer = api.ask("GET", "/prices", query={**query, "format": "csv"})
            answer.good()
            return say(answer.text.rstrip("\n"))
        page = api.get("/prices", limit=rows, cursor=cursor, **query)
    if as_json:
        return show_json(page)
    lines = [
        [
            f"{one['provider']}/{one['model']}",
            one["unit"],
            f"{usd(one['usd'])} per {one['per']:,}",
            _when(one),
            moment(one["valid_from"]),
            moment(one["checked_at"]),
            one["source"],
        ]
        for one in page["data"]
    ]
    show_table(["model", "unit", ">price", "when", "from", "checked", "source"], lines, empty="no prices")
    return tell_more(page)


def _when(price: dict[str, Any]) -> str:
    """Under which conditions a price holds."""
    tier = [f"prompt above {price['tier_above']:,}"] if price["tier_above"] else []
    return ", ".join([*tier, *(f"{name} {value}" for name, value in price["conditions"].items())])


@app.command("diff")
def diff(file: File = None, account: Account = None, key: Key = None, replace: Replace = False, as_json: Json = False) -> None:
    """Show what an import would change, and change nothing."""
    with reach() as api:
        done = api.post("/prices/import", {**_body(api, file, account, key, replace), "dry_run": True})
    if as_json:
        return show_json(done)
    _show_changes(done)
    return say(f"{_counts(done)}; {done['needs_acceptance']} of them would need --accept")


@app.command("import")
def import_prices(
    file: File = None,
    account: Account = None,
    key: Key = None,
    replace: Replace = False,
    accept: Annotated[bool, typer.Option("--accept", help="Take unusual changes in: jumps, prices that vanish or become nothing.")] = False,
    accept_loss: Annotated[bool, typer.Option("--accept-loss", help="Own prices may be below the provider's.")] = False,
    as_json: Json = False,
) -> None:
    """Take prices in as a new version of the book. Calls on their way keep the version they were quoted with."""
    with reach() as api:
        body = {**_body(api, file, account, key, replace), "accept": accept, "accept_loss": accept_loss}
        answer = api.ask("POST", "/prices/import", body)
    document = answer.document()
    if document.get("code") == _NEEDS_ACCEPTANCE:
        if as_json:
            show_json(document)
            raise typer.Exit(1)
        _show_changes(document)
        raise from_problem(answer.status, document)
    done = answer.good()
    if as_json:
        return show_json(done)
    _show_changes(done)
    return say(f"{_counts(done)}: the price book is now version {done['version']}")


def _body(api: Api, file: Path | None, account: str | None, key: str | None, replace: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"replace": replace}
    scope = _scope(api, account, key)
    if scope is not None:
        body["scope"] = scope
    if file is not None:
        try:
            body["csv"] = file.read_text("utf-8")
        except OSError as problem:
            raise Failed(f"{file} cannot be read: {problem.strerror}") from None
        except UnicodeDecodeError:
            raise Failed(f"{file} is not UTF-8") from None
    return body


def _show_changes(done: dict[str, Any]) -> None:
    lines = [
        [one["kind"], f"{one['provider']}/{one['model']}", one["unit"], _when(one), usd(one["old_usd"]), usd(one["new_usd"]), one["factor"]]
        for one in done["changes"][:_SHOWN_MAX]
    ]
    if lines:
        show_table(["", "model", "unit", "when", ">was", ">is", ">factor"], lines)
    if len(done["changes"]) > _SHOWN_MAX:
        warn(f"and {len(done['changes']) - _SHOWN_MAX} more: --json shows them")


def _counts(done: dict[str, Any]) -> str:
    return f"{done['added']} added, {done['changed']} changed, {done['removed']} removed"
