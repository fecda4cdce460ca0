"""A supervisor and its children, as real processes: all serve, one that dies is replaced, all end together, none outlives the supervisor."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

SCRIPT = str(Path(__file__).with_name("supervising.py"))
SOURCE = str(Path(__file__).parents[2] / "src")
WAIT_S = 30
linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the processes share one socket")


class Node:
    """A supervisor that runs, and what it tells."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.port = 0

    def told(self) -> dict[str, Any]:
        """The next thing it tells."""
        assert self.process.stdout is not None
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told

    def begin(self) -> "Node":
        self.port = self.told()["began"]
        return self

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), WAIT_S)

    def who(self) -> int:
        """The process that a new connection gets."""
        with self.connect() as connection:
            return pid_of(connection)

    def pids(self, count: int) -> set[int]:
        """The processes behind the address, by asking until so many have answered."""
        found: set[int] = set()
        while len(found) < count:
            found.add(self.who())
        return found

    def ended_well(self) -> set[int]:
        """Children that ended as they should."""
        return {int(mark.name) for mark in self.folder.iterdir()}

    def stop(self) -> int:
        """Its exit code after a SIGTERM."""
        self.process.terminate()
        return self.process.wait(WAIT_S)


def pid_of(connection: socket.socket) -> int:
    connection.sendall(b"who\n")
    return int(connection.recv(100))


@contextmanager
def started(folder: Path, *modes: str) -> Iterator[Node]:
    process = subprocess.Popen(
        [sys.executable, SCRIPT, str(folder), *modes], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": SOURCE}
    )
    with process:
        try:
            yield Node(process, folder)
        finally:
            process.kill()


@pytest.mark.parametrize("loop", ["--uvloop", "--plain"])
def test_all_serve_at_one_address_and_end_together(tmp_path: Path, loop: str) -> None:
    """Connections come to every process; SIGTERM reaches each, each ends by itself, and the exit code is 0."""
    with started(tmp_path, "well", "well", "well", *(["--plain"] if loop == "--plain" else [])) as node:
        pids = node.begin().pids(3)
        assert node.process.pid not in pids
        assert node.stop() == 0
        assert node.ended_well() == pids


def test_the_terminals_interrupt_ends_them_once(tmp_path: Path) -> None:
    """SIGINT at the supervisor is passed on as SIGTERM: children have a session of their own, the terminal does not signal them too."""
    with started(tmp_path, "well", "well") as node:
        pids = node.begin().pids(2)
        assert all(os.getsid(pid) == pid for pid in pids)
        node.process.send_signal(signal.SIGINT)
        assert node.process.wait(WAIT_S) == 0
        assert node.ended_well() == pids


def test_one_that_dies_is_replaced_at_once_and_then_ever_more_slowly(tmp_path: Path) -> None:
    """Every death is an alarm that says how, and when the next one starts; the others serve on meanwhile."""
    with started(tmp_path, "well", "well") as node:
        pids = node.begin().pids(2)
        victim = min(pids)
        for pause in (0, 1):
            os.kill(victim, signal.SIGKILL)
            place = node.told()["ended"]
            alarm = node.told()
            how = f"process {victim}: signal SIGKILL"
            assert alarm == {"alarm": "worker_ended", "worker": place, "how": how, "starts_again_in_s": pause}
            others = pids - {victim}
            pids = node.pids(2)
            assert others < pids
            (victim,) = pids - others
        assert node.stop() == 0
        assert node.ended_well() == pids


@linux
def test_connections_that_wait_for_a_process_that_dies_are_its_successors(tmp_path: Path) -> None:
    """The supervisor keeps the sockets open: what was not accepted yet is not lost."""
    with started(tmp_path, "well", "well") as node, ExitStack() as opened:
        victim, other = node.begin().pids(2)
        os.kill(victim, signal.SIGSTOP)
        waiting = [opened.enter_context(node.connect()) for _ in range(32)]
        os.kill(victim, signal.SIGKILL)
        answered = {pid_of(connection) for connection in waiting}
        assert victim not in answered
        assert len(answered) == 2, "some of so many were the victim's"
        assert other in answered
        assert node.stop() == 0


def test_one_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """Patience has an end; that it was needed is an alarm and an exit code."""
    with started(tmp_path, "stubborn", "well") as node:
        pids = node.begin().pids(2)
        assert node.stop() == 1
        assert node.told() == {"ended": 1}
        alarm = node.told()
        assert (alarm["alarm"], alarm["worker"]) == ("worker_killed", 0)
        assert node.ended_well() == pids - {alarm["pid"]}


def test_one_that_never_serves_ends_the_start(tmp_path: Path) -> None:
    """Whoever starts a node that cannot work learns it at once; nothing is left behind."""
    with started(tmp_path, "well", "never") as node:
        told = [node.told(), node.told()]
        assert {"ended": 1} in told
        assert node.process.wait(WAIT_S) == 1
        assert node.process.stdout is not None
        alarms = [one for one in (*told, *map(json.loads, node.process.stdout)) if "alarm" in one]
        assert [one["worker"] for one in alarms] == [1]
        assert alarms[0]["how"].endswith("exit code 3")


def test_children_end_by_themselves_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    """The pipe that it held closes: each child ends as it would on SIGTERM."""
    with started(tmp_path, "well", "well") as node, ExitStack() as opened:
        pids = node.begin().pids(2)
        connections = [opened.enter_context(node.connect()) for _ in range(32)]
        assert {pid_of(connection) for connection in connections} == pids
        node.process.kill()
        for connection in connections:
            assert connection.recv(1) == b"", "it closes when its process ends"
        give_up = time.monotonic() + WAIT_S
        while node.ended_well() != pids:
            assert time.monotonic() < give_up
