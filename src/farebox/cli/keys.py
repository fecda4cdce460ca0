"""`farebox keys`: what callers authenticate with, each with a cap."""

from typing import Annotated, Any

import typer

from farebox.cli.accounts import account_id, tell_more
from farebox.cli.api import Api
from farebox.cli.failing import Failed
from farebox.cli.options import Cursor, Json, RepeatId, Rows, amount, given, pairs
from farebox.cli.output import moment, say, show_facts, show_json, show_table, usd
from farebox.cli.reach import reach

app = typer.Typer(help="Gateway keys: what callers authenticate with, each with a cap.", no_args_is_help=True, rich_markup_mode=None)
Key = Annotated[str, typer.Argument(help="Id, label or name.")]
Why = Annotated[str | None, typer.Option("--why", help="Told to whoever uses it meanwhile.")]


def key_id(api: Api, name: str) -> str:
    """The id of the key that a person means: by id, hash, label, or a name that only one key in use has."""
    if name.startswith("key_"):
        return name
    found = [key for key in api.every("/keys") if name in (key["hash"], key["label"], key["name"])]
    if not found:
        raise Failed(f"there is no key {name!r}")
    if len(found) > 1:
        raise Failed(f"{len(found)} keys are called {name!r}: say which by id ({', '.join(key['id'] for key in found[:5])})")
    return str(found[0]["id"])


@app.command("create")
def create(
    account: Annotated[str | None, typer.Option(help="Whose key it is: an account's id, external id or name.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="Your own id of an end user, whose account is made if it is new.")] = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    limit: Annotated[str | None, typer.Option(metavar="USD", help="The most it may spend.")] = None,
    no_limit: Annotated[bool, typer.Option("--no-limit", help="It may spend all that its account has.")] = False,
    limit_reset: Annotated[str | None, typer.Option(help="daily, weekly or monthly: the limit renews (UTC).")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model it may use, such as openai/gpt-4o-mini or claude-*.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="TIME", help="When it stops, such as 2027-01-01T00:00:00Z.")] = None,
    default_max_output_tokens: Annotated[int | None, typer.Option(help="The output cap of calls that name none.")] = None,
    clamp: Annotated[str | None, typer.Option(help="never, unnamed, always: when an output cap may be lowered.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(help="Rate limit.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(help="Rate limit.")] = None,
    concurrent: Annotated[int | None, typer.Option(help="How many calls at once.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Pinned to every call.")] = None,
    once: RepeatId = None,
    as_json: Json = False,
) -> None:
    """Make a key. Its secret is shown now, and never again."""
    if (limit is None) != no_limit:
        raise typer.BadParameter("say how much it may spend with --limit USD, or that it may spend everything with --no-limit")
    if account is None and user is None:
        raise typer.BadParameter("say whose key it is with --account, or with --user")
    rates = given(requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute, concurrent=concurrent)
    with reach() as api:
        body = given(
            account=None if account is None else account_id(api, account),
            external_user=user,
            name=name,
            limit=None if limit is None else amount(limit),
            no_limit=True if no_limit else None,
            limit_reset=limit_reset,
            models=model,
            expires_at=expires,
            default_max_output_tokens=default_max_output_tokens,
            clamp=clamp,
            rate_limits=rates,
            tags=pairs(tag or []),
        )
        made = api.post("/keys", body, once=once)
    if as_json:
        return show_json(made)
    say(f"key {made['data']['name'] or made['data']['id']} of account {made['data']['account']}: {_cap(made['data'])}")
    return say(made["key"])


@app.command("list")
def list_keys(
    account: Annotated[str | None, typer.Option(help="Only those of this account.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Revoked ones too.")] = False,
    rows: Rows = 100,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """List keys."""
    with reach() as api:
        owner = None if account is None else account_id(api, account)
        page = api.get("/keys", account=owner, status="all" if everything else None, limit=rows, cursor=cursor)
    if as_json:
        return show_json(page)
    lines = [
        [one["id"], one["label"], one["name"], one["account"], one["status"], _cap(one), usd(one["usage"]), usd(one["limit_remaining"])]
        for one in page["data"]
    ]
    show_table(["id", "label", "name", "account", "status", "cap", ">spent", ">left"], lines, empty="no keys yet")
    return tell_more(page)


@app.command("show")
def show(key: Key, as_json: Json = False) -> None:
    """Show a key, what it spent, and the most it can still spend."""
    with reach() as api:
        found = api.get(f"/keys/{key_id(api, key)}")
    if as_json:
        return show_json(found)
    one = found["data"]
    return show_facts(
        {
            "id": one["id"],
            "label": one["label"],
            "name": one["name"],
            "account": one["account"],
            "status": f"{one['status']} {one['status_why']}".strip(),
            "cap": _cap(one),
            "left": usd(one["limit_remaining"]),
            "spent": f"{usd(one['usage'])} ({usd(one['usage_daily'])} today)",
            "at risk": f"{usd(one['exposure_usd'])} is the most that could be spent with it now",
            "models": ", ".join(one["models"]),
            "tags": ", ".join(f"{name}={value}" for name, value in one["tags"].items()),
            "expires": moment(one["expires_at"]) if one["expires_at"] else None,
            "last used": moment(one["last_used_at"]),
            "created": moment(one["created_at"]),
        }
    )


@app.command("pause")
def pause(key: Key, why: Why = None, as_json: Json = False) -> None:
    """Refuse a key's calls until it is resumed."""
    _change(key, "pause", given(why=why), as_json)


@app.command("resume")
def resume(key: Key, as_json: Json = False) -> None:
    """Let a paused key call again."""
    _change(key, "resume", {}, as_json)


def _change(key: str, verb: str, body: dict[str, object], as_json: bool) -> None:
    with reach() as api:
        changed = api.post(f"/keys/{key_id(api, key)}/{verb}", body)
    if as_json:
        return show_json(changed)
    return say(f"key {changed['data']['id']} is {changed['data']['status']}")


@app.command("revoke")
def revoke(key: Key, as_json: Json = False) -> None:
    """End a key for good. Its next request is refused."""
    with reach() as api:
        changed = api.delete(f"/keys/{key_id(api, key)}")
    if as_json:
        return show_json(changed)
    return say(f"key {changed['data']['id']} is {changed['data']['status']}")


@app.command("rotate")
def rotate(key: Key, as_json: Json = False) -> None:
    """Give a key a new secret, shown now and never again. The old one stops at once."""
    with reach() as api:
        made = api.post(f"/keys/{key_id(api, key)}/rotate")
    if as_json:
        return show_json(made)
    say(f"key {made['data']['id']} has a new secret; the old one no longer works")
    return say(made["key"])


def _cap(key: dict[str, Any]) -> str:
    if key["limit"] is None:
        return "no cap of its own"
    return f"{usd(key['limit'])} {key['limit_reset'] or 'in all'}"
