"""`farebox quote`: the most that a call can cost, before it is made."""

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from farebox.cli.accounts import account_id
from farebox.cli.api import Api
from farebox.cli.failing import Failed
from farebox.cli.keys import key_id
from farebox.cli.options import Json
from farebox.cli.output import say, show_facts, show_json, show_table, usd
from farebox.cli.reach import reach

_MESSAGES_CAP = 1024
_ANTHROPIC = ("claude", "anthropic/")


def quote(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As a caller names it.")],
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The request's JSON; - reads standard input.")] = None,
    text: Annotated[str, typer.Option(help="Without a file: what the user says.")] = "Hello",
    max_output_tokens: Annotated[int | None, typer.Option(help="Without a file: the output cap.")] = None,
    route: Annotated[str | None, typer.Option(help="chat_completions or messages; told by the model's name unless said.")] = None,
    account: Annotated[str | None, typer.Option(help="The account that would pay.")] = None,
    key: Annotated[str | None, typer.Option(help="The key that would call.")] = None,
    as_json: Json = False,
) -> None:
    """Work out the most a request can cost, part by part, and whether it would fit. Nothing is held."""
    chosen = route or ("messages" if model.startswith(_ANTHROPIC) else "chat_completions")
    body = _plain(chosen, text, max_output_tokens) if file is None else _read(file)
    with reach() as api:
        payer = {"key": key_id(api, key)} if key is not None else {"account": _payer(api, account)}
        quoted = api.post("/quotes", {**payer, "route": chosen, "body": {**body, "model": model}})
    if as_json:
        return show_json(quoted)
    show_facts(
        {
            "model": quoted["model"],
            "most": f"{usd(quoted['worst_case_usd'])} with {quoted['max_output_tokens']} output tokens",
            "available": usd(quoted["available_usd"]),
            "fits": "yes" if quoted["fits"] else "no",
            "affordable output tokens": quoted["affordable_max_output_tokens"],
        }
    )
    say()
    return show_table(["part", ">at most", ">dollars"], [[item["item"], item["quantity"], usd(item["usd"])] for item in quoted["items"]])


def _payer(api: Api, account: str | None) -> str:
    """The account that was named, or the only one there is."""
    if account is not None:
        return account_id(api, account)
    found = api.get("/accounts", limit=2)["data"]
    if len(found) != 1:
        raise Failed("say who would pay, with --account or --key")
    return str(found[0]["id"])


def _plain(route: str, text: str, cap: int | None) -> dict[str, Any]:
    """A request of one message. Anthropic's API wants an output cap in every one."""
    name = "max_tokens" if route == "messages" else "max_completion_tokens"
    cap = _MESSAGES_CAP if cap is None and route == "messages" else cap
    return {"messages": [{"role": "user", "content": text}], **({} if cap is None else {name: cap})}


def _read(file: Path) -> dict[str, Any]:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return msgspec.json.decode(data, type=dict[str, Any])
    except OSError as problem:
        raise Failed(f"{file} cannot be read: {problem.strerror}") from None
    except msgspec.DecodeError as problem:
        raise Failed(f"{file} is not a request in JSON: {problem}") from None
