"""Finding the ledger: a gateway that runs (`FAREBOX_URL`, else its note in the data folder), or the store itself; and the admin key.

What commands say to the control API is the same either way.
"""

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from farebox.cli.api import Api, Found
from farebox.cli.failing import Failed, problems_of
from farebox.cli.wires import to_gateway, to_store
from farebox.errors import SettingsError

if TYPE_CHECKING:
    from farebox.settings import Settings

_CONNECT_S_MAX = 2
_STORE_WAIT_S = 15
_STORE_POLL_S = 0.1
_ABSENT_KEY = re.compile(r"providers\.([^.]+)\.api_key(?:s\.\d+)?: the (?:environment variable|file) ")
_IN_USE = "is in use by process"


def settings_here() -> "Settings":
    """The settings, as far as an office needs them: a provider's key that only the gateway's own environment has is not missed here.

    Raises SettingsError for anything else that is wrong.
    """
    from farebox.settings import load

    try:
        return load().settings
    except SettingsError as problem:
        absent = [_ABSENT_KEY.search(line) for line in problems_of(problem)]
        if not all(absent):
            raise
        stand_ins = {found[1]: {"api_key": "known to the gateway alone", "api_keys": []} for found in absent if found}
        return load(flags={"providers": stand_ins}).settings


@contextmanager
def reach() -> Iterator[Api]:
    """The control API of these settings."""
    settings = settings_here()
    with ExitStack() as opened:
        yield _open(settings, opened)


def _open(settings: "Settings", opened: ExitStack) -> Api:
    """A running gateway's API if there is one; else the store itself. Another short command may hold it: that one is waited for."""
    give_up = time.monotonic() + _STORE_WAIT_S
    while True:
        gateway = find_gateway(settings)
        if gateway is not None:
            return at(gateway, admin_key(settings))
        try:
            wire = opened.enter_context(to_store(settings))
            return Api(wire, admin_key(settings), None)
        except SettingsError as problem:
            if _IN_USE not in str(problem) or time.monotonic() > give_up:
                raise
        time.sleep(_STORE_POLL_S)


def at(gateway: Found, key: str) -> Api:
    """The control API of a gateway that is known, with a key that is."""
    return Api(to_gateway(gateway.admin_url), key, gateway)


def admin_key(settings: "Settings") -> str:
    """`FAREBOX_ADMIN_KEY`, else what lies in the data folder."""
    if settings.admin_key is not None:
        return settings.admin_key.get_secret_value()
    file = settings.data_dir / "admin.key"
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise Failed(f"there is no admin key: set FAREBOX_ADMIN_KEY, or run this where {file} can be read") from None


def find_gateway(settings: "Settings") -> Found | None:
    """The gateway that `FAREBOX_URL` names, or the one that left its note in the data folder and is still alive."""
    named = os.environ.get("FAREBOX_URL", "").rstrip("/")
    if named:
        return Found(named, named)
    return read_note(settings.data_dir / "gateway.json", settings.store_id)


def read_note(file: Path, store: str) -> Found | None:
    """The gateway that a note tells of, if its process lives, and this is its store: another may have been served from the same folder."""
    try:
        note = json.loads(file.read_text("utf-8"))
        found = Found(str(note["url"]), str(note["admin_url"]), int(note["pid"])) if note.get("store", store) == store else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if found is not None and found.pid is not None and is_alive(found.pid) and _listens(found.admin_url) else None


def _listens(url: str) -> bool:
    """Whether somebody answers there: the number of a process that died may be another's by now."""
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 80), _CONNECT_S_MAX).close()
    except OSError:
        return False
    return True


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
