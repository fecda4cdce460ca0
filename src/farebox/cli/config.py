"""`farebox config`: every setting, what it is, and where that came from."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from farebox.cli.failing import problems_of
from farebox.cli.options import Json
from farebox.cli.output import say, show_json, show_table
from farebox.errors import SettingsError

if TYPE_CHECKING:
    from farebox.settings import Loaded

app = typer.Typer(help="Settings: farebox.toml < environment < flags.", no_args_is_help=True, rich_markup_mode=None)
_MASK = "••••••••"
# A password within a URL: of the store, of a proxy.
_PASSWORD = re.compile(r"(://[^:/@?]*:).+(?=@)|([?&](?:ssl)?password=)[^&]+")


@app.command("show")
def show(as_json: Json = False) -> None:
    """Show every setting and where it came from; secrets masked."""
    from farebox.settings import load

    loaded = load()
    rows = list(_rows(loaded))
    if as_json:
        return show_json({name: {"value": value, "from": origin} for name, value, origin in rows})
    return show_table(["setting", "value", "from"], [[name, _words(value), origin] for name, value, origin in rows])


@app.command("check")
def check(as_json: Json = False) -> None:
    """Say whether the settings can work; exit 1 and what is wrong, if not."""
    from farebox.providers.configured import catalogue_of
    from farebox.settings import load
    from farebox.store.opening import need_library

    try:
        loaded = load()
        catalogue_of(loaded.settings)
        need_library(loaded.settings.place)
    except SettingsError as problem:
        if not as_json:
            raise
        show_json({"ok": False, "problems": problems_of(problem)})
        raise typer.Exit(1) from None
    if as_json:
        return show_json({"ok": True, "file": None if loaded.file is None else str(loaded.file), "problems": []})
    providers = ", ".join(loaded.settings.providers) or "no provider is on"
    return say(f"fine: {loaded.file or 'no file'}; {providers}")


def _rows(loaded: "Loaded") -> Iterator[tuple[str, Any, str]]:
    for name, value in _flat(loaded.settings, ()):
        yield name, value, loaded.origins.get(name, "default")


def _flat(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Dotted names and plain values, in the order of the settings' own classes."""
    from pydantic import BaseModel, SecretStr

    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _flat(getattr(value, name), (*path, name))
    elif isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, (*path, name))
    elif isinstance(value, SecretStr):
        yield ".".join(path), _MASK
    elif isinstance(value, list) and any(isinstance(one, SecretStr) for one in value):
        yield ".".join(path), [_MASK] * len(value)
    else:
        yield (
            ".".join(path),
            value if isinstance(value, bool | int | list | dict) or value is None else _PASSWORD.sub(rf"\1\2{_MASK}", str(value)),
        )


def _words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(value) if isinstance(value, list) else "none" if value == {} else str(value)
