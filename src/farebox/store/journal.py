"""The capture journal: settlements that the ledger could not take, on this machine's own disk, until it can.

One preallocated file per process, in its data folder: its blocks are written when it is made, so that a disk that is full since cannot stop
it. Owns the files, their locks and their format; knows nothing of threads, event loops, or who asks. What is not durable is not in it.

A record is a head (length, CRC-32, generation, sequence) and a body. A file's records are of one generation and number from zero on:
whatever lies behind them, from a torn write or an older generation, is never taken for one of them.
"""

import fcntl
import os
import secrets
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from farebox import limits
from farebox.ledger.commands import Capture, Gate, Release

Settlement = Capture | Release
_HEAD = struct.Struct(">IIQQ")
_NUMBERS = struct.Struct(">IQQ")
_SLOTS_MAX = 1024
_SLOT_DIGITS_MAX = 6


class _Body(msgspec.Struct, omit_defaults=True):
    """A settlement as it is written: one of the two. Fields have their names, so that another version of farebox can read it."""

    capture: Capture | None = None
    release: Release | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode


class Disk:
    """What a journal asks of the operating system, so that a test can stand in its way. Everything here raises OSError."""

    def write(self, handle: int, data: bytes, at: int) -> None:
        """Writes all of it."""
        view = memoryview(data)
        while view:
            written = os.pwrite(handle, view, at)
            view, at = view[written:], at + written

    def sync(self, handle: int) -> None:
        """Returns when what was written would survive a power cut."""
        os.fdatasync(handle)

    def read(self, handle: int) -> bytes:
        """The whole file."""
        size = os.fstat(handle).st_size
        pieces = []
        at = 0
        while at < size and (piece := os.pread(handle, size - at, at)):
            pieces.append(piece)
            at += len(piece)
        return b"".join(pieces)


DISK = Disk()


class Scan(msgspec.Struct):
    """What a file's bytes say: the bodies of its whole records, and whether something broken follows them."""

    bodies: list[bytes]
    torn: bool


class Found(msgspec.Struct):
    """What a journal holds: its settlements in order, and whether something was lost: a torn tail, or records that cannot be understood."""

    settlements: list[Settlement]
    torn: bool = False
    unreadable: int = 0


class Journal:
    """One process's file. Raises OSError where it cannot be had (BlockingIOError: a living process has it); never once it is open."""

    def __init__(self, path: Path, bytes_max: int, *, disk: Disk | None = None) -> None:
        self.path = path
        self._disk = disk or DISK
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._size = self._preallocate(bytes_max)
            self._left = scan(self._disk.read(self._handle))
        except BaseException:
            os.close(self._handle)
            raise
        self.count = len(self._left.bodies)
        """How many records are in it."""
        self._end = 0
        self._generation = _new_generation()
        self._usable = not self._left.bodies and not self._left.torn

    def _preallocate(self, bytes_max: int) -> int:
        """Writes zeros up to its size: real blocks, not a promise of them. A file that is there keeps what it holds."""
        os.fchmod(self._handle, 0o600)
        size = os.fstat(self._handle).st_size
        if size < bytes_max:
            self._disk.write(self._handle, bytes(bytes_max - size), size)
            self._disk.sync(self._handle)
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return max(size, bytes_max)

    def found(self) -> Found:
        """What an earlier process left in it."""
        read = [read_body(body) for body in self._left.bodies]
        understood = [settlement for settlement in read if settlement is not None]
        return Found(understood, self._left.torn, len(read) - len(understood))

    def append(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Whether each is durable now: one write and one sync for all of them. What does not fit is not written.

        Nothing is, until what an earlier process left was cleared; and nothing after a failed sync, until it could be cleared again.
        """
        if not self._usable:
            return [False] * len(settlements)
        blob, fits = self._records(settlements)
        if blob and not self._put(blob):
            return [False] * len(settlements)
        self.count += sum(fits)
        return fits

    def _records(self, settlements: Iterable[Settlement]) -> tuple[bytes, list[bool]]:
        blob, fits, number = bytearray(), list[bool](), self.count
        for settlement in settlements:
            body = body_of(settlement)
            fitting = body is not None and self._end + len(blob) + _HEAD.size + len(body) <= self._size
            if body is not None and fitting:
                blob += record(body, self._generation, number)
                number += 1
            fits.append(fitting)
        return bytes(blob), fits

    def _put(self, blob: bytes) -> bool:
        """Writes and syncs. A file that is no longer where the next process looks for it keeps nothing."""
        try:
            self._disk.write(self._handle, blob, self._end)
        except OSError:
            return False
        try:
            self._disk.sync(self._handle)
            there, here = self.path.stat(), os.fstat(self._handle)
        except OSError:
            self._usable = False
            return False
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            self._usable = False
            return False
        self._end += len(blob)
        return True

    def clear(self) -> bool:
        """Forgets everything, durably; False where that could not be made sure of: then what is in it will be replayed, which does no harm.

        First the first head, then the rest: killed in between, there is no record, and no tail that looks torn.
        """
        try:
            self._disk.write(self._handle, bytes(_HEAD.size), 0)
            self._disk.sync(self._handle)
            self._disk.write(self._handle, bytes(self._size), 0)
            self._disk.sync(self._handle)
        except OSError:
            self._usable = False
            return False
        self.count, self._end, self._left = 0, 0, Scan([], torn=False)
        self._generation, self._usable = _new_generation(), True
        return True

    def close(self) -> None:
        """Gives up the file and its lock; what is in it stays for the next process."""
        os.close(self._handle)


def adopt(folder: Path, store: str, bytes_max: int, *, disk: Disk | None = None) -> tuple[list[Journal], list[str]]:
    """Every journal of this store that no living process has, in order, and what went wrong. The first is the caller's own from now on: it is
    made where there is none to be had. One that cannot be read is left as it is, and so is one of another store.
    """
    mine: list[Journal] = []
    problems: list[str] = []
    known = {slot: path for path in folder.glob(f"captures-{store}-*.journal") if (slot := _slot(path)) >= 0}
    free = (slot for slot in range(_SLOTS_MAX) if slot not in known)
    for slot in (*sorted(known), *free):
        if mine and slot not in known:
            break
        path = folder.joinpath(f"captures-{store}-{slot}.journal")
        try:
            mine.append(Journal(path, bytes_max, disk=disk))
        except BlockingIOError:  # a living process's, perhaps made this moment
            continue
        except OSError as problem:
            problems.append(f"{path.name}: {problem}")
            if slot not in known:
                break
    return mine, problems


def set_aside(journal: Journal, settlements: Iterable[Settlement]) -> None:
    """Keeps settlements that the ledger would not book, in a file beside the journal, for a person to look at. Raises OSError."""
    bodies = [body for settlement in settlements if (body := body_of(settlement)) is not None]
    lines = b"".join(msgspec.json.encode(_decode(body)) + b"\n" for body in bodies)
    _append(journal.path.with_suffix(".rejected"), lines)


def keep_copy(journal: Journal) -> None:
    """Keeps a damaged journal as it is, beside the one that is cleared, for a person to look at. Raises OSError."""
    _append(journal.path.with_suffix(".damaged"), journal.path.read_bytes())


def _append(path: Path, data: bytes) -> None:
    """Adds to a file that nobody else may read; durable when this returns."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _slot(path: Path) -> int:
    """The number in a journal's name; negative for a file that is none."""
    number = path.name.removesuffix(".journal").rpartition("-")[2]
    return int(number) if number.isdecimal() and number.isascii() and len(number) < _SLOT_DIGITS_MAX else -1


def _new_generation() -> int:
    return secrets.randbits(63) | 1


def record(body: bytes, generation: int, number: int) -> bytes:
    """One record as it lies in the file."""
    return _HEAD.pack(len(body), _checksum(body, generation, number), generation, number) + body


def scan(data: bytes) -> Scan:
    """Reads records from the start of these bytes until the first that is not whole, not the next, or of another generation."""
    bodies: list[bytes] = []
    at = generation = 0
    while at + _HEAD.size < len(data):
        length, checksum, of, sequence = _HEAD.unpack_from(data, at)
        start = at + _HEAD.size
        if not length or not of or start + length > len(data) or sequence != len(bodies) or (generation and of != generation):
            break
        body = data[start : start + length]
        if _checksum(body, of, sequence) != checksum:
            break
        generation = of
        bodies.append(body)
        at = start + length
    cleared = not bodies and not any(data[: _HEAD.size])
    return Scan(bodies, not cleared and data.count(0, at) != len(data) - at)


def _checksum(body: bytes, generation: int, number: int) -> int:
    return zlib.crc32(body, zlib.crc32(_NUMBERS.pack(len(body), generation, number)))


def body_of(settlement: Settlement) -> bytes | None:
    """A settlement as bytes; None where it cannot be written, which is left to its hold."""
    try:
        if isinstance(settlement, Release):
            return _encode(_Body(release=settlement))
        answer = settlement.answer
        kept = answer if answer is not None and len(answer) <= limits.journal_answer_bytes_max else None
        return _encode(_Body(capture=msgspec.structs.replace(settlement, answer=kept, gate=_of_run(settlement.gate))))
    except (msgspec.MsgspecError, OverflowError, ValueError):
        return None


def read_body(body: bytes) -> Settlement | None:
    """The settlement that was written; None for what this version cannot understand."""
    try:
        read = _decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return read.capture or read.release


def _of_run(gate: Gate | None) -> Gate | None:
    """What the store cannot find out by itself when it books an overage: the cap on the caller's run."""
    caps = () if gate is None else tuple(cap for cap in gate.caps if cap.counter.filter.run)
    return msgspec.structs.replace(gate, path=(), counters=(), caps=caps, spans=[]) if gate is not None and caps else None
