"""Killed at any moment: whatever was answered is there, with the same content, and the books add up. On a disk that forgets, too."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from farebox.errors import SettingsError
from farebox.ledger.commands import Refused
from farebox.store.sqlite import SqliteStore
from farebox.store.verify import verify
from store import hammer
from store.till import first_commands

SOAK = os.environ.get("FAREBOX_SOAK") == "1"
ROUNDS = 300 if SOAK else 12
MONEY = 5_000_000
LINES_MAX = 1500


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with an account, some money, and a key with a limit that is reached after a while."""
    path = tmp_path / "farebox.db"
    store = SqliteStore(path, alarm=print)
    answers = store.decide([(command,) for command in first_commands(MONEY)])
    assert not any(isinstance(outcome, Refused) for answer in answers if isinstance(answer, tuple) for outcome in answer)
    store.close()
    return path


class Victim:
    """One hammering process."""

    def __init__(self, path: Path, vfs: str, synchronous: str, seed: int) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, hammer.__file__, str(path), vfs, synchronous, str(seed)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def live(self, lines: int) -> list[str]:
        """Lets it go, kills it after so many answers, and gives all that it was answered."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.stdin.write(b"go\n")
        process.stdin.flush()
        told = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
        self.end()
        return [line.decode() for line in told if line.endswith(b"\n")]

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def victims(path: Path, vfs: str, synchronous: str, rounds: int) -> Iterator[Iterator[Victim]]:
    """One after the other; the next one warms up while the one before it dies."""
    ready = [Victim(path, vfs, synchronous, 0)]

    def each() -> Iterator[Victim]:
        for number in range(1, rounds + 1):
            ready.append(Victim(path, vfs, synchronous, number))
            yield ready[-2]

    try:
        yield each()
    finally:
        for victim in ready:
            victim.end()


class Promises:
    """All that was ever answered."""

    def __init__(self) -> None:
        self.holds: dict[str, list[object]] = {}
        self.charges: dict[str, list[object]] = {}

    def note(self, lines: list[str]) -> None:
        for line in lines:
            kind, _, content = line.partition(" ")
            name, *rest = json.loads(content)
            (self.holds if kind == "hold" else self.charges)[name] = rest

    def broken(self, path: Path) -> list[str]:
        """What was answered and is not there, or not as it was answered."""
        reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        holds = {row[0]: [row[1], json.loads(row[2])] for row in reader.execute("SELECT id, amount, legs FROM holds")}
        rows = reader.execute("SELECT hold_id, price, paid, outcome, legs FROM charges")
        charges = {row[0]: [*row[1:4], json.loads(row[4])] for row in rows}
        reader.close()
        lost = [name for name, said in self.holds.items() if holds.get(name) != said]
        return lost + [name for name, said in self.charges.items() if charges.get(name) != said]


def kill_again_and_again(path: Path, vfs: str, synchronous: str, rounds: int) -> Iterator[list[str]]:
    """The broken promises after each kill."""
    chance, promises = random.Random(f"{vfs} {synchronous}"), Promises()
    with victims(path, vfs, synchronous, rounds) as each:
        for victim in each:
            promises.note(victim.live(int(LINES_MAX ** chance.random())))
            SqliteStore(path, alarm=print).close()
            verdict = verify(path)
            assert verdict.ok, verdict.findings
            yield promises.broken(path)
    assert len(promises.charges) > rounds


def test_a_killed_process_breaks_no_promise(path: Path) -> None:
    """Twenty times, at random moments, under 64 callers, with checkpoints in between."""
    for broken in kill_again_and_again(path, "plain", "FULL", ROUNDS):
        assert not broken


def test_a_disk_that_forgets_what_was_not_synced_breaks_no_promise(path: Path) -> None:
    """Every answer waits for the sync of its commit."""
    for broken in kill_again_and_again(path, "forgetful", "FULL", ROUNDS):
        assert not broken


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_without_a_sync_for_every_commit_promises_break(path: Path, synchronous: str) -> None:
    """The proof that the test above can fail: with any weaker setting an answer is lost, or the file is."""
    try:
        lost = any(broken for broken in kill_again_and_again(path, "forgetful", synchronous, ROUNDS))
    except (SettingsError, apsw.Error):
        lost = True
    assert lost
