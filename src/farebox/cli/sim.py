"""`farebox sim`: simulated providers that bill what they generate."""

from typing import Annotated

import typer

from farebox.cli.failing import Failed
from farebox.cli.options import Json
from farebox.cli.output import say, show_json


def sim(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where it listens; port 0 takes any free one.")] = "127.0.0.1:9100",
    as_json: Json = False,
) -> None:
    """Run simulated providers until told to stop: OpenAI's and Anthropic's APIs, with their own bill at /sim/bill."""
    from farebox.sim import run

    def announce(url: str) -> None:
        if as_json:
            return show_json({"url": url, "openai": f"{url}/v1", "anthropic": url, "bill": f"{url}/sim/bill"})
        return say(f"simulated providers at {url} (OpenAI: {url}/v1, Anthropic: {url}), their bill at {url}/sim/bill")

    try:
        run(listen, announce=announce)
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from None
    except OSError as problem:
        raise Failed(f"cannot serve on {listen}: {problem}") from None
