"""Disks that misbehave: one that fails when it is told to, and one that forgets what was not synced when its process dies.

Each as a SQLite VFS, and as what the capture journal asks of the operating system.
"""

# ruff: noqa: N802 - the methods have the names that SQLite gives them

import errno
from typing import Any

import apsw

from farebox.store.journal import Disk

Uri = str | apsw.URIFilename | None


class FailingDisk(apsw.VFS):
    """Passes everything on until its writes or syncs are used up; from then on each fails, until `heal`."""

    def __init__(self, name: str) -> None:
        self.problem: type[apsw.Error] | None = None
        self.left = 0
        self.operation = "write"
        self.failures = 0
        self.name = name
        super().__init__(name, "")

    def fail(self, problem: type[apsw.Error], *, after: int, operation: str = "write") -> None:
        self.problem, self.left, self.operation, self.failures = problem, after, operation, 0

    def heal(self) -> None:
        self.problem = None

    def spend(self, operation: str) -> None:
        if self.problem is None or operation != self.operation:
            return
        if self.left <= 0:
            self.failures += 1
            raise self.problem("the disk")
        self.left -= 1

    def xOpen(self, name: Uri, flags: list[int]) -> "FailingFile":
        return FailingFile(self, name, flags)


class FailingFile(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name: Uri, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.spend("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._disk.spend("sync")
        super().xSync(flags)


class ForgetfulDisk(apsw.VFS):
    """Keeps what is written in its process's memory until it is synced: kill that process, and it was never written.

    An ordinary kill loses nothing that reached the operating system, so it cannot tell whether anybody syncs. This can.
    """

    def __init__(self, name: str) -> None:
        self.images: dict[str, Image] = {}
        super().__init__(name, "")

    def xOpen(self, name: Uri, flags: list[int]) -> "ForgetfulFile":
        return ForgetfulFile(self, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:
        self.images.pop(name, None)
        super().xDelete(name, syncdir)


class Image:
    """A file as its process sees it, and what of that the disk does not know yet."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        self.pending: list[tuple[int, bytes | None]] = []

    def write(self, data: bytes, offset: int) -> None:
        if len(self.content) < offset:
            self.content.extend(bytes(offset - len(self.content)))
        self.content[offset : offset + len(data)] = data
        self.pending.append((offset, data))

    def truncate(self, size: int) -> None:
        del self.content[size:]
        self.pending.append((size, None))


class ForgetfulFile(apsw.VFSFile):
    def __init__(self, disk: ForgetfulDisk, name: Uri, flags: list[int]) -> None:
        super().__init__("", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or str(id(self))
        if path not in disk.images:
            size = super().xFileSize()
            disk.images[path] = Image(super().xRead(size, 0) if size else b"")
        self._image = disk.images[path]

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._image.content[offset : offset + amount])

    def xWrite(self, data: Any, offset: int) -> None:
        self._image.write(bytes(data), offset)

    def xTruncate(self, newsize: int) -> None:
        self._image.truncate(newsize)

    def xFileSize(self) -> int:
        return len(self._image.content)

    def xSync(self, flags: int) -> None:
        self._flush()
        super().xSync(flags)

    def xClose(self) -> None:
        self._flush()
        super().xClose()

    def _flush(self) -> None:
        for offset, data in self._image.pending:
            if data is None:
                super().xTruncate(offset)
            else:
                super().xWrite(data, offset)
        self._image.pending.clear()


class FailingFiles(Disk):
    """A journal's disk that does as it should until it is told at which step to fail."""

    def __init__(self) -> None:
        self.fails = ""

    def write(self, handle: int, data: bytes, at: int) -> None:
        self._step("write")
        super().write(handle, data, at)

    def sync(self, handle: int) -> None:
        self._step("sync")
        super().sync(handle)

    def _step(self, what: str) -> None:
        if self.fails == what:
            raise OSError(errno.EIO, "the disk")


class ForgetfulFiles(Disk):
    """A journal's disk that keeps what is written in its process's memory until it is synced."""

    def __init__(self) -> None:
        self._pending: list[tuple[bytes, int]] = []

    def write(self, handle: int, data: bytes, at: int) -> None:
        del handle  # there is one journal per process
        self._pending.append((bytes(data), at))

    def sync(self, handle: int) -> None:
        for data, at in self._pending:
            super().write(handle, data, at)
        self._pending.clear()
        super().sync(handle)
