"""All commands in one tree, and the edge where whatever goes wrong becomes an exit code and one line."""

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from farebox import __version__
from farebox.cli import (
    accounts,
    budgets,
    charges,
    check,
    config,
    db,
    demo,
    doctor,
    holds,
    keys,
    prices,
    quotes,
    serve,
    sim,
    usage,
    verify,
    wallets,
)
from farebox.cli import run as running
from farebox.cli.failing import Failed, one_line, problems_of
from farebox.cli.output import say, warn
from farebox.errors import FareboxError

_INTERRUPTED = 130
app = typer.Typer(
    help="Farebox: a prepaid gateway and ledger for AI APIs. No money, no call.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        say(__version__)
        raise typer.Exit


@app.callback()
def common(
    config_file: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings; farebox.toml unless said.")] = None,
    _version_asked: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")] = False,
) -> None:
    """Farebox: a prepaid gateway and ledger for AI APIs. No money, no call."""
    if config_file is not None:
        os.environ["FAREBOX_CONFIG"] = str(config_file)


app.command("serve")(serve.serve)
app.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(running.run)
app.command("demo")(demo.demo)
app.command("sim")(sim.sim)
app.add_typer(config.app, name="config")
app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")
app.command("topup")(wallets.topup)
app.command("balance")(wallets.show_balance)
app.command("refund")(wallets.refund)
app.add_typer(budgets.app, name="budgets")
app.command("usage")(usage.usage)
app.command("charges")(charges.charges)
app.command("holds")(holds.holds)
app.command("quote")(quotes.quote)
app.add_typer(prices.app, name="prices")
app.add_typer(check.app, name="check")
app.command("verify")(verify.verify)
app.add_typer(db.app, name="db")
app.command("doctor")(doctor.doctor)


def run() -> int:
    """Runs what the process was started with."""
    try:
        app(prog_name="farebox")
    except SystemExit as end:
        return _code(end)
    except Failed as problem:
        warn(f"farebox: {one_line(str(problem))}")
    except FareboxError as problem:
        warn(f"farebox: {'; '.join(problems_of(problem))}")
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for what the interpreter flushes at its end
    except OSError as problem:
        warn(f"farebox: {problem}")
    except Exception as problem:  # noqa: BLE001 - the command line's edge: one line, and where it happened for whoever reports it
        place = traceback.extract_tb(problem.__traceback__)[-1]
        warn(f"farebox: failed on its own account: {one_line(repr(problem))} ({Path(place.filename).name}:{place.lineno})")
    return 1


def _code(end: SystemExit) -> int:
    return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
