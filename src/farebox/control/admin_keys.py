"""Admin keys: the first one, and those of one account's subtree. Only their hashes are stored; the first one's secret lies in a file."""

import os
from pathlib import Path

from farebox import limits
from farebox.clock import Clock, wall_clock
from farebox.errors import SettingsError
from farebox.ids import new_id
from farebox.keyformat import fingerprint_of, kind_of, new_secret
from farebox.settings import Settings
from farebox.store.batcher import Batcher
from farebox.store.reports import Reports

FILE = "admin.key"
_FROM_ENVIRONMENT = "FAREBOX_ADMIN_KEY"
_FROM_FILE = FILE


def admin_key_file(settings: Settings) -> Path:
    """Where the admin key lies that was made with the store."""
    return settings.data_dir / FILE


async def ensure_admin_key(settings: Settings, batcher: Batcher, reader: Reports, clock: Clock = wall_clock) -> str | None:
    """Makes sure that somebody can administer. `FAREBOX_ADMIN_KEY` counts from now on (and the one it had before no longer). Without it,
    a store that has no admin key gets one, kept in `admin.key` beside it (mode 600); returned only then, to be shown once.
    """
    good = reader.admin_keys()
    if settings.admin_key is not None:
        secret = _given(settings.admin_key.get_secret_value())
        digest = fingerprint_of(secret)
        former = [key for key in good if key.name == _FROM_ENVIRONMENT and key.hash != digest]
        await batcher.write("revoke_admin_key", [(key.id, clock()) for key in former])
        if all(key.hash != digest for key in good):
            await batcher.write("add_admin_key", [(digest, new_id("adm"), _FROM_ENVIRONMENT, None, clock())])
        return None
    if good:
        return None
    secret, made = _in_file(admin_key_file(settings))
    await batcher.write("add_admin_key", [(fingerprint_of(secret), new_id("adm"), _FROM_FILE, None, clock())])
    return secret if made else None


async def make_admin_key(batcher: Batcher, name: str, scope: str | None, clock: Clock = wall_clock) -> tuple[str, str]:
    """A further admin key, for one account and all below it or (None) for everything: its id and its secret."""
    secret, admin_id = new_secret("admin"), new_id("adm")
    await batcher.write("add_admin_key", [(fingerprint_of(secret), admin_id, name, scope, clock())])
    return admin_id, secret


def _given(secret: str) -> str:
    plain = secret.isascii() and secret.isprintable() and " " not in secret
    if not plain or not limits.admin_key_chars_min <= len(secret) <= limits.key_length_max:
        raise SettingsError(
            problem=f"environment: FAREBOX_ADMIN_KEY needs {limits.admin_key_chars_min} to {limits.key_length_max} characters, without spaces"
        )
    return secret


def _in_file(path: Path) -> tuple[str, bool]:
    """The secret in the file, and whether it was made now. Whoever dies between file and store finds it again."""
    try:
        secret = path.read_text("ascii").strip()
        if kind_of(secret) == "admin":
            return secret, False
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    secret = new_secret("admin")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"{secret}\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return secret, True
