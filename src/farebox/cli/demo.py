"""`farebox demo`: a gateway in front of simulated providers, a few calls through it, and how to go on. Or a stolen key, rehearsed."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from farebox.cli.api import Found
from farebox.cli.environment import without_settings
from farebox.cli.output import say, show_json
from farebox.cli.process import Serving
from farebox.cli.reach import at

_TOML = """\
[server]
listen = "127.0.0.1:0"
[store]
url = "sqlite:///{folder}/farebox.db"
[providers.openai]
api_key = "sk-simulated"
base_url = "{sim}/v1"
[providers.anthropic]
api_key = "sk-simulated"
base_url = "{sim}"
[limits]
held_wait_s = 1
[log]
requests = false
"""


class Stage(msgspec.Struct, frozen=True):
    """What the demo plays on."""

    folder: Path
    sim_url: str
    gateway: Found
    admin_key: str


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the calls.")] = False,
    leak: Annotated[bool, typer.Option("--leak", help="Rehearse a stolen key: many clients, one cap.")] = False,
    clients: Annotated[int, typer.Option(min=1, max=512, help="With --leak: how many clients.")] = 64,
    cap: Annotated[str, typer.Option(metavar="USD", help="With --leak: the key's cap, at most 5.")] = "1.00",
    folder: Annotated[Path | None, typer.Option(help="Keep the ledger here; otherwise it is gone at the end.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON; ends after the calls.")] = False,
) -> None:
    """See it work, without any provider's key: simulated providers, a gateway, an account with $5 and a key capped at $1."""
    goes_on = not (once or leak or as_json)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends it, what it started is ended and its folder is gone
    try:
        with _stage(folder, as_json) as stage:
            if leak:
                _leak(stage, clients, cap, as_json)
            else:
                _calls(stage, goes_on, as_json)
    except KeyboardInterrupt:
        if not goes_on:
            raise
        say("\nstopped; nothing is left open")


@contextmanager
def _stage(folder: Path | None, quiet: bool) -> Iterator[Stage]:
    """Simulated providers and a gateway, each a process of its own."""
    with ExitStack() as opened:
        place = folder.absolute() if folder is not None else Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="farebox-demo-")))
        place.mkdir(parents=True, exist_ok=True)
        environment = without_settings(os.environ)
        if not quiet:
            say("starting simulated providers and a gateway …")
        sim = opened.enter_context(Serving(["sim", "--listen", "127.0.0.1:0"], place / "sim.log", environment=environment))
        settings = place / "farebox.toml"
        settings.write_text(_TOML.format(folder=place, sim=sim.url), "utf-8")
        arguments = ["serve", "--config", str(settings)]
        gateway = opened.enter_context(Serving(arguments, place / "gateway.log", environment=environment, folder=place))
        key = (place / "admin.key").read_text("ascii").strip()
        yield Stage(place, sim.url, Found(gateway.url, gateway.url, gateway.pid), key)


def _calls(stage: Stage, goes_on: bool, as_json: bool) -> None:
    from farebox.cli.demo_calls import play, tell_how_to_go_on

    told = play(at(stage.gateway, stage.admin_key), stage.gateway.url, stage.sim_url, _silent if as_json else say)
    if as_json:
        return show_json(told)
    if goes_on:
        tell_how_to_go_on(stage.gateway.url, told["key"], stage.folder)
        _until_stopped()
    return None


def _silent(_text: str = "") -> None:
    """Nothing is said to people where a program listens."""


def _until_stopped() -> None:
    """Waits for Ctrl-C, or to be ended: either comes as KeyboardInterrupt."""
    while True:
        signal.pause()


def _leak(stage: Stage, clients: int, cap: str, as_json: bool) -> None:
    from farebox.cli.drill import Drill, Site
    from farebox.cli.leak import rehearse
    from farebox.cli.leakview import View, show_checks, shown
    from farebox.cli.options import positive

    drill = Drill(clients=clients, cap_usd=positive(cap))
    site = Site(stage.gateway.url, stage.gateway.admin_url, stage.admin_key, stage.sim_url)
    if as_json:
        rehearsal = asyncio.run(rehearse(site, drill))
        show_json(shown(rehearsal))
    else:
        with View(drill) as view:
            rehearsal = asyncio.run(rehearse(site, drill, view.show))
        show_checks(rehearsal)
    if not rehearsal.ok:
        raise typer.Exit(1)
