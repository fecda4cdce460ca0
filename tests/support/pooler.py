"""PgBouncer in transaction mode: every transaction may be on another of the server's connections, which others use in between."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from support import postgres

_SETTINGS = """[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 200
server_idle_timeout = 5
{more}
"""
_START_S = 20.0


def program() -> str | None:
    """Where it is, if it is installed (it is a Debian package; no wheel brings it)."""
    return shutil.which("pgbouncer", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin")))


class Pooler:
    """In front of a database's server. Fewer server connections than clients: whoever relies on its own is found out."""

    def __init__(self, url: str, pool: int) -> None:
        found = program()
        assert found is not None
        parts = urlsplit(url)
        self._folder = Path(tempfile.mkdtemp(prefix="farebox-pooler-"))
        with socket.socket() as asked:
            asked.bind(("127.0.0.1", 0))
            own = asked.getsockname()[1]
        more = "max_prepared_statements = 0" if _version(found) >= (1, 21) else ""
        settings = self._folder / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(host=parts.hostname, port=parts.port or 5432, user=parts.username, own=own, pool=pool, more=more)
        )
        process: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = postgres._nobody()
            os.chown(self._folder, *nobody)
            process = {"user": nobody[0], "group": nobody[1], "extra_groups": []}
        self._log = (self._folder / "log").open("wb")
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [found, str(settings)], stdout=self._log, stderr=self._log, cwd=self._folder, **process
        )
        self.url = urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{own}"))
        give_up = time.monotonic() + _START_S
        while not _listens(own):
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < give_up, self.log()

    def log(self) -> str:
        return (self._folder / "log").read_text("utf-8", "replace")

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder)


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        asked.settimeout(0.1)
        return asked.connect_ex(("127.0.0.1", port)) == 0


def _version(found: str) -> tuple[int, ...]:
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.split()[1].split(".")[:2])
