"""What `farebox doctor` looks at, one function a thing. Owns what is fine, what deserves a look, and what is wrong."""

import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import TZPATH, ZoneInfo, ZoneInfoNotFoundError

import apsw

from farebox import __version__
from farebox.cli import checkup_postgres
from farebox.cli.api import Found
from farebox.cli.findings import Finding
from farebox.cli.reach import find_gateway
from farebox.clock import US_PER_DAY, US_PER_S, to_rfc3339, wall_clock
from farebox.errors import FareboxError
from farebox.money import format_usd
from farebox.settings import Settings, is_loopback, parse_address
from farebox.store import copies
from farebox.store.database import Place, shown
from farebox.store.journal import scan
from farebox.store.opening import need_library
from farebox.store.reports import ALWAYS, Reports, Selection
from farebox.store.statements import migrations

_CLOCK_JUMP_US = 60 * US_PER_S
_PRICES_OLD_DAYS = 30
_DISK_FREE_MIN = 256 * 1024 * 1024
_SYNCS = 32
_SYNC_BYTES = 4096
_SYNC_TOO_FAST_US = 15
_SYNC_SLOW_US = 20_000
_HOLDS_SHOWN_MAX = 1000
_SQLITE_MIN = (3, 51, 3)
"""Older ones have a bug that can corrupt a write-ahead log."""
_MEMORY = ("tmpfs", "ramfs")
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs")
_NOT_IN_PLACE = ("btrfs", "zfs", "bcachefs")
_LAYERS = ("overlay", "aufs")
_LOCKS = "SQLite's locks and syncs"
_JOURNALS = "the capture journal's locks and syncs"
_JOURNAL_FILES = "captures-*.journal"
_ZONE = "Europe/Berlin"
_ZONES_OLD_YEARS = 2
_PRIVATE = 0o077


def examine(settings: Settings) -> list[Finding]:
    """Everything, in the order that a person would fix it."""
    place = settings.place
    found = [*_versions(), *_zones()]
    if isinstance(place, Path):
        found += [*_sqlite(), *_disk(place.absolute().parent, _LOCKS)]
        if not place.exists():
            found.append(Finding("store", "look", f"there is no store {place} yet: the first start makes it"))
            return [*found, *_strictness(settings)]
        found += _asked(place, lambda: [*_schema(place), *_clock(place)])
    else:
        found += _disk(settings.data_dir.absolute(), _JOURNALS)
        found += _asked(place, lambda: _server(settings, place))
    found += [*_files(settings), *_journals(settings.data_dir)]
    if not any(finding.name == "store" or finding.says.startswith("there is no ledger") for finding in found):
        found += _asked(place, lambda: _ledger(settings))
    return [*found, *_strictness(settings)]


def _asked(place: Place, ask: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a store is found to be; that it cannot be asked is a finding."""
    try:
        return list(ask())
    except (FareboxError, apsw.Error) as problem:
        return [Finding("store", "wrong", f"{shown(place)} cannot be read: {problem}")]


def _server(settings: Settings, url: str) -> Iterator[Finding]:
    need_library(url)
    from farebox.store.postgres_health import facts

    yield from checkup_postgres.server(settings, facts(url))


def _ledger(settings: Settings) -> Iterator[Finding]:
    """What is in a store, of either kind."""
    with closing(Reports(settings.place, wall_clock)) as reports:
        yield from _prices(reports)
        yield from _holds(settings, reports, find_gateway(settings))


def _versions() -> Iterator[Finding]:
    yield Finding(
        "versions", "fine", f"farebox {__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()}"
    )


def _sqlite() -> Iterator[Finding]:
    sqlite = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if sqlite < _SQLITE_MIN:
        yield Finding("sqlite", "wrong", f"SQLite {apsw.sqlite_lib_version()} can corrupt its log: install a newer apsw")
    else:
        yield Finding("sqlite", "fine", f"SQLite {apsw.sqlite_lib_version()}")


def _zones() -> Iterator[Finding]:
    """Calendar budgets in a time zone need its data."""
    try:
        ZoneInfo(_ZONE)
    except ZoneInfoNotFoundError:
        yield Finding("time zones", "wrong", "there is no time zone data: install tzdata")
        return
    version = zones_version()
    says = "time zone data is there" + (f" ({version})" if version else "")
    year = version[:4]
    old = year.isdecimal() and int(year) < int(to_rfc3339(wall_clock())[:4]) - _ZONES_OLD_YEARS
    yield Finding("time zones", "look" if old else "fine", f"{says}: days may begin at other times by now, update it" if old else says)


def zones_version() -> str:
    """Which release of the time zone database is read here, such as 2026b; empty where it does not say."""
    for folder in TZPATH:
        if (Path(folder) / _ZONE).exists():
            for file in ("+VERSION", "tzdata.zi"):
                with suppress(OSError):
                    return (Path(folder) / file).read_text("ascii", "replace").partition("\n")[0].removeprefix("# version ").strip()
            return ""
    with suppress(ModuleNotFoundError):
        return str(import_module("tzdata").IANA_VERSION)
    return ""


def _disk(folder: Path, what: str) -> Iterator[Finding]:
    """Where files lie: what kind of file system, how much room, and whether a sync reaches something that lasts. `what` needs that."""
    if not folder.is_dir():
        yield Finding("disk", "wrong", f"the folder {folder} does not exist")
        return
    kind = file_system(folder)
    if kind in _MEMORY:
        yield Finding("file system", "wrong", f"{folder} is {kind}: memory, which a power cut empties")
    elif kind in _NETWORK or kind.startswith("fuse"):
        yield Finding("file system", "wrong", f"{folder} is {kind}: {what} cannot be relied on there")
    elif kind in _NOT_IN_PLACE:
        yield Finding("file system", "look", f"{folder} is {kind}, which never writes in place: when it is full, so is the capture journal")
    elif kind in _LAYERS:
        yield Finding("file system", "look", f"{folder} is {kind}: a container's own layer, which goes with it; mount a volume there")
    else:
        yield Finding("file system", "fine", f"{folder} is {kind}")
    free = shutil.disk_usage(folder).free
    yield Finding("room", "fine" if free >= _DISK_FREE_MIN else "look", f"{free // 1024 // 1024:,} MiB free")
    yield _sync(folder)


def file_system(folder: Path) -> str:
    """The kind of file system a folder is on; `unknown` where the machine does not say."""
    best, kind, upper = "", "unknown", ""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    except OSError:
        return kind
    for line in lines:
        left, _, right = line.partition(" - ")
        mount = left.split()[4].replace("\\040", " ")
        inside = str(folder) == mount or str(folder).startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, right.split()[0]
            upper = next((part.removeprefix("upperdir=") for part in right.split(",") if part.startswith("upperdir=")), "")
    below = file_system(Path(upper)) if kind in _LAYERS and upper != str(folder) and Path(upper).is_dir() else kind
    return below if below in _MEMORY else kind


def _sync(folder: Path) -> Finding:
    """How long a small write takes to be durable. A disk that is faster than any disk only says that it wrote."""
    try:
        took = _sync_times(folder)
    except OSError as problem:
        return Finding("sync", "wrong", f"nothing can be written in {folder}: {problem.strerror}")
    middle, most = int(statistics.median(took)), max(took)
    says = f"a sync takes {middle:,} µs (at most {most:,} of {_SYNCS})"
    if middle < _SYNC_TOO_FAST_US:
        return Finding("sync", "wrong", f"{says}: too fast to be durable; what was charged may be lost in a power cut")
    if middle > _SYNC_SLOW_US:
        return Finding("sync", "look", f"{says}: every call waits for two of them")
    return Finding("sync", "fine", says)


def _sync_times(folder: Path) -> list[int]:
    took = []
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".farebox-doctor-") as file:
        for _ in range(_SYNCS):
            os.write(file.fileno(), bytes(_SYNC_BYTES))
            began = time.perf_counter_ns()
            os.fdatasync(file.fileno()) if sys.platform != "darwin" else os.fsync(file.fileno())
            took.append((time.perf_counter_ns() - began) // 1000)
    return took


def _schema(path: Path) -> Iterator[Finding]:
    had = copies.schema_of(path)
    missing = [name for _, name, _ in migrations("sqlite") if name not in had]
    if missing:
        yield Finding("schema", "look", f"{', '.join(missing)} to be applied: `farebox db upgrade`, or the next start")
    else:
        yield Finding("schema", "fine", f"{had[-1]} is the newest")


def _clock(path: Path) -> Iterator[Finding]:
    """The machine's clock against the latest moment that the ledger decided anything at: what it says when no clock is asked."""
    with closing(Reports(path, lambda: 0)) as reports:
        last = reports.now()
    now = wall_clock()
    if last > now + _CLOCK_JUMP_US:
        yield Finding("clock", "wrong", f"it says {to_rfc3339(now)}, {(last - now) // US_PER_S} s before what the ledger has seen already")
    else:
        yield Finding("clock", "fine", to_rfc3339(now)[:19] + "Z" + (f", after {to_rfc3339(last)[:19]}Z" if last else ""))


def _files(settings: Settings) -> Iterator[Finding]:
    """Nobody else may read money or keys."""
    stores = [settings.place] if isinstance(settings.place, Path) else []
    files = [*stores, settings.data_dir / "admin.key", *settings.data_dir.glob(_JOURNAL_FILES)]
    open_to_others = [str(file) for file in files if file.exists() and file.stat().st_mode & _PRIVATE]
    if open_to_others:
        yield Finding("access", "wrong", f"others can read {', '.join(open_to_others)}: chmod 600")
    else:
        yield Finding("access", "fine", "only its owner can read " + ("the store and the admin key" if stores else "the admin key"))


def _journals(folder: Path) -> Iterator[Finding]:
    """Settlements that the ledger could not take when they were made."""
    found = [finding for file in sorted(folder.glob(_JOURNAL_FILES)) for finding in _journal(file)]
    yield from found or [Finding("journal", "fine", "no settlement waits in a journal")]


def _journal(file: Path) -> Iterator[Finding]:
    try:
        read = scan(file.read_bytes())
    except OSError as problem:
        yield Finding("journal", "wrong", f"{file} cannot be read: {problem.strerror}")
        return
    count = len(read.bodies)
    if count:
        says = f"{count} settlements wait in {file}: they are booked when its gateway reaches the ledger, or at the next start"
        yield Finding("journal", "look", says)
    if read.torn:
        yield Finding("journal", "look", f"{file} is damaged behind {count} settlements: calls that were written there are charged whole")


def _prices(reports: Reports) -> Iterator[Finding]:
    prices = list(reports.books().listed.prices())
    if not prices:
        yield Finding("prices", "wrong", "the price book is empty, so every call is refused: `farebox prices import`")
        return
    days = (wall_clock() - max(price.checked_at_us for price in prices)) // US_PER_DAY
    says = f"{len(prices):,} prices, last checked {days} days ago"
    yield Finding("prices", "look" if days > _PRICES_OLD_DAYS else "fine", says)


def _holds(settings: Settings, reports: Reports, gateway: Found | None) -> Iterator[Finding]:
    """Open holds are calls on their way while a gateway runs; otherwise nobody will end them before the next start."""
    holds = reports.holds(Selection(None, 0, ALWAYS), "open", _HOLDS_SHOWN_MAX)
    held = format_usd(sum(hold.amount for hold in holds))
    now = reports.now()
    late = sum(hold.deadline < now for hold in holds)
    alone = gateway is not None and isinstance(settings.place, Path)
    orphans = 0 if alone else len(reports.orphans(settings.limits.heartbeat_lost_s, _HOLDS_SHOWN_MAX))
    if orphans:
        ends = "the next start" if isinstance(settings.place, Path) else "a gateway, now or when the next one starts,"
        yield Finding(
            "holds",
            "look",
            f"{orphans} of {len(holds)} open holds (${held}) are of a process that is gone: {ends} charges them, refundable",
        )
    elif late:
        yield Finding("holds", "look", f"{late} of {len(holds)} open holds are past their deadline")
    else:
        yield Finding("holds", "fine", f"{len(holds)} open (${held})" + ("" if gateway is None else f"; a gateway runs at {gateway.url}"))


def _strictness(settings: Settings) -> Iterator[Finding]:
    """Settings that are laxer than the defaults, which are upper bounds."""
    lax = list(_lax(settings))
    if not lax:
        yield Finding("strictness", "fine", "strict: billed never exceeds held")
    for says in lax:
        yield Finding("strictness", "look", f"not strict: {says}")


def _lax(settings: Settings) -> Iterator[str]:
    for name, provider in settings.providers.items():
        if provider.stops_billing_on_cancel:
            yield f"providers.{name}.stops_billing_on_cancel: a call that is left is believed to cost nothing more"
        address = urlsplit(provider.base_url or "")
        if address.scheme == "http" and not is_loopback(address.hostname or ""):
            yield f"providers.{name}.base_url: its key travels unencrypted"
    if settings.server.admin_shared and not is_loopback(parse_address(settings.server.listen, "server.listen")[0]):
        yield "server.admin_shared: whoever reaches the gateway reaches the control API"
    default = type(settings.pricing).model_fields["jump_factor_max"].default
    if settings.pricing.jump_factor_max > default:
        yield f"pricing.jump_factor_max: prices may move by a factor of {settings.pricing.jump_factor_max} unasked"
