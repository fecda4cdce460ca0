"""`farebox sim`: simulated providers that bill what they generate."""

from typing import Annotated

import typer

from farebox.cli.failing import Failed
from farebox.cli.options import Json
from farebox.cli.output import say, show_json


def sim(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where it listens; port 0 takes any free one.")] = "127.0.0.1:9100",
    deployment: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=MODEL", help="Which model is behind a deployment of Azure's. May be given several times."),
    ] = None,
    aws_key: Annotated[
        list[str] | None, typer.Option(metavar="ID:SECRET", help="A key whose signatures Bedrock takes, instead of the test key.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run simulated providers until told to stop: every API that Farebox speaks, with their own bill at /sim/bill."""
    from farebox.sim import run
    from farebox.sim.options import described

    def announce(url: str) -> None:
        if as_json:
            return show_json({"url": url, "openai": f"{url}/v1", "anthropic": url, "bill": f"{url}/sim/bill"})
        return say(
            f"simulated providers at {url} (OpenAI: {url}/v1, others by name: {url}/groq/v1, all else: {url}), their bill at {url}/sim/bill"
        )

    try:
        run(listen, announce=announce, options=described(deployment or (), aws_key or ()))
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from None
    except OSError as problem:
        raise Failed(f"cannot serve on {listen}: {problem}") from None
