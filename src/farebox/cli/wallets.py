"""`farebox topup`, `balance`, `refund`: money in, what is there, money given back."""

from typing import Annotated

import typer

from farebox.cli.accounts import account_id
from farebox.cli.options import Json, RepeatId, given, positive
from farebox.cli.output import moment, say, show_facts, show_json, show_table, usd
from farebox.cli.reach import reach

Account = Annotated[str, typer.Argument(help="Id, external id or name.")]


def topup(
    account: Account,
    amount: Annotated[str, typer.Argument(metavar="USD", help="How much.")],
    kind: Annotated[str | None, typer.Option(help="purchase (default), promotion, adjustment.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="TIME", help="When what is left of it is gone.")] = None,
    note: Annotated[str | None, typer.Option(help="Kept with it.")] = None,
    once: RepeatId = None,
    as_json: Json = False,
) -> None:
    """Put money in an account's wallet."""
    dollars = positive(amount)
    with reach() as api:
        name = account_id(api, account)
        body = given(amount_usd=dollars, kind=kind, expires_at=expires, note=note)
        grant = api.post(f"/accounts/{name}/grants", body, once=once)
        balance = api.get(f"/accounts/{name}/balance")
    if as_json:
        return show_json({**grant, "balance": balance})
    return say(f"{usd(dollars)} put in {name}: {usd(balance['available'])} available")


def show_balance(account: Account, as_json: Json = False) -> None:
    """Show what an account's wallet holds: the numbers that calls are checked against."""
    with reach() as api:
        balance = api.get(f"/accounts/{account_id(api, account)}/balance")
    if as_json:
        return show_json(balance)
    show_facts({name: usd(balance[name]) for name in ("granted", "spent", "held", "expired", "pending", "available", "written_off")})
    if balance["grants"]:
        say()
        lines = [
            [
                one["id"],
                one["kind"],
                usd(one["amount"]),
                usd(one["spent"]),
                usd(one["held"]),
                usd(one["available"]),
                moment(one["expires_at"]),
            ]
            for one in balance["grants"]
        ]
        show_table(["grant", "kind", ">amount", ">spent", ">held", ">available", "expires"], lines)
    return None


def refund(
    charge: Annotated[str, typer.Argument(help="The charge's id.")],
    amount: Annotated[str | None, typer.Argument(metavar="[USD]", help="How much; all that was paid, unless said.")] = None,
    note: Annotated[str | None, typer.Option(help="Kept with it.")] = None,
    once: RepeatId = None,
    as_json: Json = False,
) -> None:
    """Give back what was paid for a charge."""
    body = given(amount_usd=None if amount is None else positive(amount), note=note)
    with reach() as api:
        given_back = api.post(f"/charges/{charge}/refunds", body, once=once)
    if as_json:
        return show_json(given_back)
    return say(f"{usd(given_back['amount_usd'])} of {charge} given back")
