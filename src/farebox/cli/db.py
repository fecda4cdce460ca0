"""`farebox db`: the store as a whole. Upgraded, copied while it is in use, and put back, into the same kind of store or the other."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from farebox.cli.failing import Failed
from farebox.cli.options import Json
from farebox.cli.output import say, show_json
from farebox.cli.reach import settings_here

if TYPE_CHECKING:
    from farebox.settings import Settings
    from farebox.store.portable import Source
    from farebox.store.verify import Verdict

app = typer.Typer(help="The store: upgrade it, copy it while it is in use, put a copy back.", no_args_is_help=True, rich_markup_mode=None)


@app.command("upgrade")
def upgrade(as_json: Json = False) -> None:
    """Bring the store to this version's schema. A gateway does so by itself when it starts."""
    from farebox.store.database import shown
    from farebox.store.statements import migrations

    place = settings_here().place
    newest = migrations("sqlite" if isinstance(place, Path) else "postgres")[-1][1]
    done = _upgraded(place)
    if as_json:
        return show_json({"store": shown(place), "applied": done, "schema": newest})
    return say(f"{shown(place)}: {', '.join(done)} applied" if done else f"{shown(place)} is up to date ({newest})")


def _upgraded(place: Path | str) -> list[str]:
    """The schema changes that were missing. A file is upgraded while nobody has it; a database also while gateways run."""
    from farebox.clock import wall_clock
    from farebox.store import copies, opening
    from farebox.store.sqlite import SqliteStore
    from farebox.store.statements import migrations

    if isinstance(place, Path):
        before = copies.schema_of(place)
        SqliteStore(place, clock=wall_clock, alarm=_unheard).close()
        return [name for _, name, _ in migrations("sqlite") if name not in before]
    opening.need_library(place)
    from farebox.store import postgres_rows

    return postgres_rows.upgrade(place)


def _unheard(*_: object, **__: object) -> None:
    """Nobody watches a command for alarms."""


@app.command("backup")
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes.")],
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    portable: Annotated[bool, typer.Option("--portable", help="Of a SQLite store: a copy that PostgreSQL takes, too.")] = False,
    as_json: Json = False,
) -> None:
    """Copy the store, whole and of one moment, also while gateways run; then verify the copy."""
    from farebox.store import copies, opening
    from farebox.store.database import shown

    place = settings_here().place
    opening.need_library(place)
    if isinstance(place, Path) and not place.exists():
        raise Failed(f"there is no store {place} yet")
    if target.exists() and not force:
        raise Failed(f"{target} is there already: name another file, or say --force")
    beside = target.with_name(f"{target.name}.partial")
    copies.drop(beside)
    try:
        verdict = _copied(place, beside, portable=portable)
        beside.replace(target)
    except BaseException:
        copies.drop(beside)
        raise
    copies.sync(target.absolute().parent)
    size = target.stat().st_size
    if as_json:
        return show_json({"store": shown(place), "backup": str(target), "bytes": size, **verdict})
    return say(f"{shown(place)} copied to {target} ({size} bytes); the copy adds up: {_counts(verdict)}")


def _copied(place: Path | str, target: Path, *, portable: bool) -> dict[str, Any]:
    """Writes a copy, reads it again, and says what is in it. Raises Failed for one that does not add up."""
    from farebox.store import copies, sqlite_rows

    if isinstance(place, Path):
        if not portable:
            copies.copy(place, target)
            return _verified(target, told=place)
        with sqlite_rows.read(place) as source:
            return _written(target, source, source.verify(), told=str(place))
    from farebox.store import postgres_rows
    from farebox.store.database import shown

    with postgres_rows.read(place) as rows:
        return _written(target, rows, rows.verify(), told=shown(place))


def _written(target: Path, source: "Source", verdict: "Verdict", *, told: str) -> dict[str, Any]:
    """Writes a copy that is of no database in particular, and reads it again."""
    from farebox.store import portable

    counted = _adds_up(verdict, told=told)
    portable.write(target, source)
    with portable.Backup(target) as written:
        written.check()
    return counted


@app.command("restore")
def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A copy that `farebox db backup` made, of either kind of store.")],
    replace: Annotated[bool, typer.Option("--replace", help="On PostgreSQL: keep the ledger that is there aside.")] = False,
    as_json: Json = False,
) -> None:
    """Put a copy in the store's place. Refused while a gateway runs; what was there is kept beside it.

    What happened since the copy was made is forgotten: money that was spent is there again, keys that were revoked work again.
    On PostgreSQL the database must be empty, or --replace be said: then what was there is kept in a schema of its own.
    """
    from farebox.store import opening
    from farebox.store.database import shown

    settings = settings_here()
    place = settings.place
    opening.need_library(place)
    if not source.exists():
        raise Failed(f"{source} does not exist")
    if isinstance(place, Path):
        kept, verdict = _into_file(place, source)
    else:
        kept, verdict = _into_database(settings, place, source, replace=replace)
    if as_json:
        return show_json({"store": shown(place), "restored": str(source), "kept": kept, **verdict})
    where = "" if kept is None else f"; what was there is kept in {kept if isinstance(place, Path) else f'the schema {kept}'}"
    return say(f"{source} is now {shown(place)}, and adds up: {_counts(verdict)}{where}")


def _into_file(path: Path, source: Path) -> tuple[str | None, dict[str, Any]]:
    from farebox.clock import to_rfc3339, wall_clock
    from farebox.store import copies

    make = _maker(source)
    with copies.held(path):
        beside = path.with_name(f"{path.name}.restoring")
        make(beside)
        try:
            _verified(beside, told=source)
        except Failed:
            copies.drop(beside)
            raise
        aside = path.with_name(f"{path.name}.before-{to_rfc3339(wall_clock())[:19].replace(':', '')}")
        kept = str(aside) if path.exists() else None
        copies.replace(path, beside, aside)
        return kept, _verified(path, told=path)


def _maker(source: Path) -> Callable[[Path], None]:
    """What makes a SQLite file of a copy. Raises Failed for what is none."""
    from farebox.clock import wall_clock
    from farebox.store import copies, portable, sqlite_rows

    if portable.is_one(source):

        def make(target: Path) -> None:
            with portable.Backup(source) as rows:
                sqlite_rows.make(target, rows, wall_clock)

        return make
    if not copies.schema_of(source):
        raise Failed(f"{source} is not a store of farebox")
    return lambda target: copies.copy(source, target)


def _into_database(settings: "Settings", url: str, source: Path, *, replace: bool) -> tuple[str | None, dict[str, Any]]:
    from farebox.clock import wall_clock
    from farebox.store import copies, portable, postgres_rows, sqlite_rows

    if not portable.is_one(source) and not copies.schema_of(source):
        raise Failed(f"{source} is not a store of farebox")
    with portable.Backup(source) if portable.is_one(source) else sqlite_rows.read_upgraded(source, wall_clock) as rows:
        loaded = postgres_rows.load(url, rows, aside=replace, silent_s=settings.limits.heartbeat_lost_s)
    return loaded.kept, _adds_up(loaded.verdict, told=str(source))


def _verified(path: Path, *, told: Path) -> dict[str, Any]:
    """Counts and sums of a store that adds up. Raises Failed for one that does not."""
    import apsw

    from farebox.errors import LedgerUnavailable
    from farebox.store.verify import verify

    try:
        verdict = verify(path)
    except (apsw.Error, LedgerUnavailable) as problem:
        raise Failed(f"{told} is not a store of farebox, or of another version: {problem}") from None
    return _adds_up(verdict, told=str(told))


def _adds_up(verdict: "Verdict", *, told: str) -> dict[str, Any]:
    from farebox.money import format_usd

    if not verdict.ok:
        raise Failed(f"{told} does not add up: {', '.join(finding.invariant for finding in verdict.findings)}")
    return {"counts": verdict.counts, "sums_usd": {name: format_usd(amount) for name, amount in verdict.sums.items()}}


def _counts(verdict: dict[str, Any]) -> str:
    counts = verdict["counts"]
    return f"{counts['accounts']} accounts, {counts['keys']} keys, {counts['charges']} charges, {counts['open_holds']} open holds"
