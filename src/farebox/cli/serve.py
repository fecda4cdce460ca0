"""`farebox serve`: the gateway, the ledger and the control API; in one process, or in several over PostgreSQL."""

from pathlib import Path
from typing import Annotated

import typer

from farebox.cli.options import Json
from farebox.cli.output import say, show_json, warn


def serve(
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings; farebox.toml unless said.")] = None,
    listen: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where calls come in.")] = None,
    store: Annotated[str | None, typer.Option(metavar="URL", help="Where the ledger is, such as sqlite:///farebox.db.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, metavar="N", help="Gateway processes; more than one needs PostgreSQL.")] = None,
    as_json: Json = False,
) -> None:
    """Run a gateway until it is told to stop."""
    from farebox.settings import load

    loaded = load(config, {"server": {"listen": listen, "workers": workers}, "store": {"url": store}})
    settings = loaded.settings

    import uvloop

    from farebox import __version__, app, node
    from farebox.control.admin_keys import admin_key_file

    key_is_new = settings.admin_key is None and not admin_key_file(settings).exists()

    def announce(url: str) -> None:
        """Once it takes calls. The first admin key is shown once, by the process that made it."""
        file = admin_key_file(settings)
        made = file.read_text("ascii").strip() if key_is_new and file.exists() else None
        admin = f"http://{settings.server.admin_listen}" if settings.server.admin_listen else url
        if not settings.providers:
            warn("no provider is on: set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY, or name one in farebox.toml")
        if as_json:
            return show_json({"url": url, "admin_url": admin, "version": __version__, "admin_key": made, "admin_key_file": str(file)})
        say(f"farebox {__version__} takes calls at {url}")
        if admin != url:
            say(f"control API at {admin}/api/v1")
        return say(f"admin key, kept in {file}: {made}") if made else None

    if settings.server.workers == 1:
        return uvloop.run(app.serve(settings, announce=announce))
    if not uvloop.run(node.serve_node(settings, announce=announce)):
        raise typer.Exit(1)
    return None
