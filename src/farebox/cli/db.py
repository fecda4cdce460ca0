"""`farebox db`: the store's file. Upgraded, copied while it is in use, and put back."""

from pathlib import Path
from typing import Annotated, Any

import typer

from farebox.cli.failing import Failed
from farebox.cli.options import Json
from farebox.cli.output import say, show_json
from farebox.cli.reach import settings_here

app = typer.Typer(help="The store: upgrade it, copy it while it is in use, put a copy back.", no_args_is_help=True, rich_markup_mode=None)


@app.command("upgrade")
def upgrade(as_json: Json = False) -> None:
    """Bring the store to this version's schema. A gateway does so by itself when it starts."""
    from farebox.clock import wall_clock
    from farebox.store import copies
    from farebox.store.sqlite import SqliteStore
    from farebox.store.statements import migrations

    path = settings_here().store_path
    known = [name for _, name, _ in migrations("sqlite")]
    before = copies.schema_of(path)
    SqliteStore(path, clock=wall_clock, alarm=_unheard).close()
    done = [name for name in known if name not in before]
    if as_json:
        return show_json({"store": str(path), "applied": done, "schema": known[-1]})
    return say(f"{path}: {', '.join(done)} applied" if done else f"{path} is up to date ({known[-1]})")


def _unheard(*_: object, **__: object) -> None:
    """Nobody watches a command for alarms."""


@app.command("backup")
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes.")],
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Copy the store, whole and of one moment, also while a gateway runs; then verify the copy."""
    from farebox.store import copies

    path = settings_here().store_path
    if not path.exists():
        raise Failed(f"there is no store {path} yet")
    if target.exists() and not force:
        raise Failed(f"{target} is there already: name another file, or say --force")
    beside = target.with_name(f"{target.name}.partial")
    copies.copy(path, beside)
    verdict = _verified_copy(beside, source=path)
    beside.replace(target)
    copies.sync(target.absolute().parent)
    size = target.stat().st_size
    if as_json:
        return show_json({"store": str(path), "backup": str(target), "bytes": size, **verdict})
    return say(f"{path} copied to {target} ({size} bytes); the copy adds up: {_counts(verdict)}")


@app.command("restore")
def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A copy that `farebox db backup` made.")], as_json: Json = False
) -> None:
    """Put a copy in the store's place. Refused while a gateway runs; what was there is kept beside it.

    What happened since the copy was made is forgotten: money that was spent is there again, keys that were revoked work again.
    """
    from farebox.clock import to_rfc3339, wall_clock
    from farebox.store import copies

    path = settings_here().store_path
    if not copies.schema_of(source):
        raise Failed(f"{source} is not a store of farebox" if source.exists() else f"{source} does not exist")
    with copies.held(path):
        beside = path.with_name(f"{path.name}.restoring")
        copies.copy(source, beside)
        _verified_copy(beside, source=source)
        aside = path.with_name(f"{path.name}.before-{to_rfc3339(wall_clock())[:19].replace(':', '')}")
        kept = str(aside) if path.exists() else None
        copies.replace(path, beside, aside)
        verdict = _verified(path, told=path)
    if as_json:
        return show_json({"store": str(path), "restored": str(source), "kept": kept, **verdict})
    return say(f"{source} is now {path}, and adds up: {_counts(verdict)}" + (f"; what was there is kept in {kept}" if kept else ""))


def _verified_copy(copy: Path, *, source: Path) -> dict[str, Any]:
    """As `_verified`; a copy that does not add up does not stay."""
    from farebox.store import copies

    try:
        return _verified(copy, told=source)
    except Failed:
        copies.drop(copy)
        raise


def _verified(path: Path, *, told: Path) -> dict[str, Any]:
    """Counts and sums of a store that adds up. Raises Failed for one that does not."""
    import apsw

    from farebox.money import format_usd
    from farebox.store.verify import verify

    try:
        verdict = verify(path)
    except apsw.Error as problem:
        raise Failed(f"{told} is not a store of farebox, or of another version: {problem}") from None
    if not verdict.ok:
        raise Failed(f"{told} does not add up: {', '.join(finding.invariant for finding in verdict.findings)}")
    return {"counts": verdict.counts, "sums_usd": {name: format_usd(amount) for name, amount in verdict.sums.items()}}


def _counts(verdict: dict[str, Any]) -> str:
    counts = verdict["counts"]
    return f"{counts['accounts']} accounts, {counts['keys']} keys, {counts['charges']} charges, {counts['open_holds']} open holds"
