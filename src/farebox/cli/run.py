"""`farebox run`: a command with a key of its own, capped, and a receipt at its end."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from getpass import getuser
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from farebox.cli.accounts import account_id
from farebox.cli.api import Api, Found
from farebox.cli.environment import for_command
from farebox.cli.failing import Failed
from farebox.cli.options import positive
from farebox.cli.output import show_table, usd, warn
from farebox.cli.process import Serving
from farebox.cli.reach import find_gateway, is_alive, reach
from farebox.clock import to_rfc3339, wall_clock

if TYPE_CHECKING:
    from farebox.settings import Settings

_SETTLE_S_MAX = 30
_SETTLE_POLL_S = 0.1
_SIGNAL_EXIT = 128
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_PID, _HOST, _PAID = "run_pid", "run_host", "run_paid"


class Purse(msgspec.Struct, frozen=True):
    """The key of one run. `refunds`: the money was put in for this run, and what is left of it goes back."""

    account: str
    key_id: str
    secret: str
    refunds: bool
    began: str


def run(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND…", help="What to run, after --.")],
    most: Annotated[str, typer.Option("--max", metavar="USD", help="The most it may spend.")],
    account: Annotated[str | None, typer.Option(help="Pay from this account, instead of money that is there for this run only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The receipt in JSON, on standard error.")] = False,
) -> None:
    """Run a command that can spend so much and no more, and print what it spent.

    Starts a gateway if none runs. OpenAI's and Anthropic's SDKs, and agents built on them, find it by their environment variables.
    """
    from farebox.settings import load

    dollars = positive(most)
    program = shutil.which(command[0])
    if program is None:
        raise Failed(f"there is no command {command[0]!r}")
    settings = load().settings
    with ExitStack() as opened:
        _gateway(settings, opened)
        api = opened.enter_context(reach())
        if api.gateway is None:
            raise Failed("the gateway that was started is gone")
        processes = opened.enter_context(_signals_passed_on())
        purse = _open_purse(api, dollars, account)
        try:
            environment = for_command(Path(program).name, api.gateway.url, purse.secret, os.environ, _secrets(settings))
            code = _run([program, *command[1:]], environment, processes)
        finally:
            receipt = _close_purse(api, purse)
    _print(receipt, dollars, as_json)
    raise typer.Exit(code)


def _gateway(settings: "Settings", opened: ExitStack) -> Found:
    """The gateway that runs, or one of our own for as long as the command does."""
    found = find_gateway(settings)
    if found is not None:
        return found
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    log = settings.data_dir / "farebox-run.log"
    serving = opened.enter_context(Serving(["serve", "--listen", "127.0.0.1:0"], log, environment=os.environ))
    found = find_gateway(settings)
    if found is None or found.pid != serving.pid:
        raise Failed(f"the gateway that was started cannot be found: see {log}")
    return found


def _secrets(settings: "Settings") -> Iterator[str]:
    """What the command must not have: with these it could spend past its cap."""
    for provider in settings.providers.values():
        yield from (key.get_secret_value() for key in (provider.api_key, *provider.api_keys))
    if settings.admin_key is not None:
        yield settings.admin_key.get_secret_value()


# --- money ---------------------------------------------------------------------------------------------------------------------------


def _open_purse(api: Api, dollars: str, account: str | None) -> Purse:
    """A key capped at so much: of the account that was named, or of one's own with as much put in."""
    name = account_id(api, account) if account is not None else _own_account(api)
    _close_left_open(api, name)
    if account is None:
        api.post(f"/accounts/{name}/adjustments", {"amount_usd": dollars, "note": "farebox run: set aside for a command"})
    marks = {_PID: str(os.getpid()), _HOST: socket.gethostname(), _PAID: "yes" if account is None else "no"}
    made = api.post("/keys", {"account": name, "name": "farebox run", "limit": dollars, "metadata": marks})
    return Purse(name, made["data"]["id"], made["key"], account is None, to_rfc3339(wall_clock()))


def _own_account(api: Api) -> str:
    """The account of whoever runs this."""
    mine = f"farebox-run:{getuser()}"
    found = api.get("/accounts", external_id=mine)["data"]
    made = found[0] if found else api.post("/accounts", {"name": "me", "external_id": mine}, once=f"open {mine}")
    return str(made["id"])


def _close_left_open(api: Api, account: str) -> None:
    """Takes back what runs of this machine that were killed could not."""
    for key in api.every("/keys", account=account):
        marks = key["metadata"]
        if marks.get(_HOST) == socket.gethostname() and marks.get(_PID, "").isdecimal() and not is_alive(int(marks[_PID])):
            left = Purse(account, key["id"], "", marks.get(_PAID) == "yes", key["created_at"])
            _close_purse(api, left)
            warn(f"farebox: key {key['label']} of a run that was killed is revoked")


def _close_purse(api: Api, purse: Purse) -> dict[str, Any]:
    """Revokes the key, waits for calls on their way, takes back what was not spent, and says what was."""
    api.delete(f"/keys/{purse.key_id}")
    give_up = time.monotonic() + _SETTLE_S_MAX
    while True:
        key = api.get(f"/keys/{purse.key_id}")["data"]
        if not key["held"] or time.monotonic() > give_up:
            break
        time.sleep(_SETTLE_POLL_S)
    left = max(Decimal(key["limit_remaining"]), Decimal(0))
    if purse.refunds and left:
        api.post(f"/accounts/{purse.account}/adjustments", {"amount_usd": f"-{left:f}", "note": "farebox run: not spent"})
    models = api.get("/usage", by="model", key=purse.key_id, **{"from": purse.began})["data"]
    return {
        "spent_usd": f"{key['usage']:f}",
        "held_usd": f"{key['held']:f}",
        "left_usd": f"{left:f}",
        "calls": sum(one["calls"] for one in models),
        "models": [
            {"model": one["model"], "calls": one["calls"], "tokens": one["tokens"], "price_usd": one["price_usd"]} for one in models
        ],
        "key": purse.key_id,
        "account": purse.account,
    }


def _print(receipt: dict[str, Any], dollars: str, as_json: bool) -> None:
    """The receipt, on standard error: standard output is the command's."""
    if as_json:
        return warn(msgspec.json.encode(receipt).decode())
    warn(f"farebox: spent {usd(receipt['spent_usd'])} of {usd(dollars)} in {receipt['calls']} calls; {usd(receipt['left_usd'])} left")
    if Decimal(receipt["held_usd"]):
        warn(f"farebox: {usd(receipt['held_usd'])} is still held for calls on their way")
    lines = [[one["model"], one["calls"], f"{one['tokens']:,}", usd(one["price_usd"])] for one in receipt["models"]]
    if lines:
        show_table(["model", ">calls", ">tokens", ">price"], lines, aside=True)
    return None


# --- the command -----------------------------------------------------------------------------------------------------------------------


def _run(command: list[str], environment: dict[str, str], processes: "list[subprocess.Popen[bytes]]") -> int:
    """Runs it in our place: it has the terminal, gets the signals that we get, and its exit code becomes ours."""
    process = subprocess.Popen(command, env=environment)  # noqa: S603 - what the caller asked for
    processes.append(process)
    code = process.wait()
    return code if code >= 0 else _SIGNAL_EXIT - code


@contextmanager
def _signals_passed_on() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """While it lasts, signals go on to the processes in the list. Those that a terminal sends, it sends to both of us already."""
    processes: list[subprocess.Popen[bytes]] = []
    at_terminal = sys.stdin.isatty()

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for process in processes:
            if not (at_terminal and number in _FROM_TERMINAL):
                process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (*_PASSED_ON, *_FROM_TERMINAL)}
    try:
        yield processes
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
