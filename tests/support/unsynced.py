"""A file layer that keeps writes in this process's memory until they are synced: killing the process loses what was never fsync'd, as a
power cut would. Registered with SQLite under the name `unsynced`.
"""

from typing import Any

import apsw

NAME = "unsynced"


class UnsyncedVFS(apsw.VFS):
    def __init__(self) -> None:
        super().__init__(NAME, "")

    def xOpen(self, name: Any, flags: list[int]) -> "UnsyncedFile":  # noqa: N802 - SQLite's name
        return UnsyncedFile("", name, flags)


class UnsyncedFile(apsw.VFSFile):
    """The whole file in memory; what changed is written down when SQLite asks for a sync."""

    def __init__(self, inherit: str, name: Any, flags: list[int]) -> None:
        super().__init__(inherit, name, flags)
        size = super().xFileSize()
        self._bytes = bytearray(super().xRead(size, 0)) if size else bytearray()
        self._dirty: list[tuple[int, int]] = []
        self._cut = False

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        return bytes(self._bytes[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        end = offset + len(data)
        if end > len(self._bytes):
            self._bytes.extend(b"\0" * (end - len(self._bytes)))
        self._bytes[offset:end] = data
        self._dirty.append((offset, end))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        del self._bytes[size:]
        self._cut = True

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._bytes)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._cut:
            super().xTruncate(len(self._bytes))
            self._cut = False
        for start, end in self._dirty:
            super().xWrite(bytes(self._bytes[start : min(end, len(self._bytes))]), start)
        self._dirty.clear()
        super().xSync(flags)


REGISTERED: list[UnsyncedVFS] = []


def register() -> str:
    """Makes the layer known to SQLite in this process; its name."""
    if not REGISTERED:
        REGISTERED.append(UnsyncedVFS())
    return NAME
