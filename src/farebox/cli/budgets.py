"""`farebox budgets`: caps of accounts and keys over windows."""

from typing import Annotated, Any

import typer

from farebox.cli.accounts import account_id
from farebox.cli.api import Api
from farebox.cli.keys import key_id
from farebox.cli.options import Json, amount, given, pairs
from farebox.cli.output import moment, show_json, show_table, usd
from farebox.cli.reach import reach

app = typer.Typer(help="Budgets: caps of an account or a key over a window of time.", no_args_is_help=True, rich_markup_mode=None)
Account = Annotated[str | None, typer.Option(help="Of this account: id, external id or name.")]
Key = Annotated[str | None, typer.Option(help="Of this key: id, label or name.")]
_COUNTED = ("tokens", "requests")
_FIELDS = ("limit_usd", "limit", "window", "timezone", "models", "tags", "measure", "hard", "thresholds")


def _path(api: Api, account: str | None, key: str | None) -> str:
    return f"/accounts/{account_id(api, account)}/budgets" if account is not None else f"/keys/{key_id(api, key or '')}/budgets"


def _check_scope(account: str | None, key: str | None) -> None:
    if (account is None) == (key is None):
        raise typer.BadParameter("say whose budgets with --account or with --key")


@app.command("set")
def set_budget(
    limit: Annotated[str, typer.Argument(metavar="LIMIT", help="Dollars; a whole number for --measure tokens or requests; or none.")],
    account: Account = None,
    key: Key = None,
    window: Annotated[str, typer.Option(help="lifetime, hour, day, week, month, quarter, year, rolling:24h, …")] = "month",
    timezone: Annotated[str, typer.Option(help="Where days and months begin.")] = "UTC",
    measure: Annotated[str, typer.Option(help="price, provider_cost, tokens or requests.")] = "price",
    model: Annotated[list[str] | None, typer.Option(help="It counts only calls of this model.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="It counts only calls of keys with this tag.")] = None,
    soft: Annotated[bool, typer.Option("--soft", help="It only watches, and refuses nothing.")] = False,
    threshold: Annotated[list[int] | None, typer.Option(help="Tell of it at this percentage.")] = None,
    as_json: Json = False,
) -> None:
    """Set one budget, or take it away with `none`. The others stay, and what was counted stays counted."""
    _check_scope(account, key)
    budget = {
        **_limit(limit, measure),
        "window": window,
        "timezone": timezone,
        "measure": measure,
        "models": sorted(model or []),
        "tags": pairs(tag or []),
        "hard": not soft,
        "thresholds": sorted(threshold or []),
    }
    with reach() as api:
        path = _path(api, account, key)
        others = [one for one in api.get(path)["data"] if _what(one) != _what(budget)]
        kept = [given(**{name: one[name] for name in _FIELDS}) for one in others]
        page = api.put(path, kept if limit == "none" else [*kept, budget])
    return _show(page, as_json)


def _limit(text: str, measure: str) -> dict[str, Any]:
    if text == "none":
        return {}
    if measure not in _COUNTED:
        return {"limit_usd": amount(text)}
    if not text.isdecimal():
        raise typer.BadParameter(f"a limit of {measure} is a whole number")
    return {"limit": int(text)}


def _what(budget: dict[str, Any]) -> tuple[Any, ...]:
    """What a budget counts: two of the same are one."""
    return (budget["window"], budget["timezone"], budget["measure"], sorted(budget["models"]), sorted(budget["tags"].items()))


@app.command("list")
def list_budgets(account: Account = None, key: Key = None, as_json: Json = False) -> None:
    """List the budgets of an account or a key, with what is spent and held in each now."""
    _check_scope(account, key)
    with reach() as api:
        page = api.get(_path(api, account, key))
    return _show(page, as_json)


def _show(page: dict[str, Any], as_json: bool) -> None:
    if as_json:
        return show_json(page)
    lines = [_line(one, str if one["measure"] in _COUNTED else usd) for one in page["data"]]
    return show_table(["window", "measure", "for", ">limit", ">spent", ">held", ">left", "renews"], lines, empty="no budgets")


def _line(one: dict[str, Any], show: Any) -> list[Any]:
    only = ", ".join([*one["models"], *(f"{name}={value}" for name, value in one["tags"].items())])
    limit = one["limit_usd"] if one["limit_usd"] is not None else one["limit"]
    return [
        one["window"] if one["timezone"] == "UTC" else f"{one['window']} ({one['timezone']})",
        one["measure"] if one["hard"] else f"{one['measure']}, soft",
        only or "everything",
        show(limit),
        show(one["spent"]),
        show(one["held"]),
        show(one["available"]),
        moment(one["renews_at"]),
    ]
