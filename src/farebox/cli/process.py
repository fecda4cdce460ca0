"""Processes of our own that serve something: started, waited for until they say where, ended. They never outlive this one."""

import os
import selectors
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from farebox.cli.failing import Failed
from farebox.limits import settle_s_max, shutdown_s_max

_START_S_MAX = 60
_STOP_S_MAX = shutdown_s_max + settle_s_max + 5


class Serving:
    """A farebox command that serves. In a session of its own: Ctrl-C at the terminal is for whoever has the terminal."""

    def __init__(self, arguments: Sequence[str], log: Path, *, environment: Mapping[str, str], folder: Path | None = None) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and our own module
                [sys.executable, "-P", "-m", "farebox.cli.attached", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
            )
        try:
            self.url = self._announced()
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def _announced(self) -> str:
        """The first address in what it says once it serves. Raises Failed with its last words when it ends instead."""
        out = self._process.stdout
        assert out is not None  # noqa: S101 - a pipe was asked for
        said = b""
        with selectors.DefaultSelector() as waiting:
            waiting.register(out, selectors.EVENT_READ)
            while b"\n" not in said:
                if not waiting.select(_START_S_MAX):
                    raise Failed(f"the process that was started says nothing: see {self._log}")
                piece = os.read(out.fileno(), 4096)
                if not piece:
                    raise Failed(self._last_words())
                said += piece
        return next(word for word in said.decode().split() if word.startswith(("http://", "https://"))).rstrip(".,;)")

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1].removeprefix("farebox: ") if lines else "the process that was started ended at once"

    def stop(self) -> None:
        """Ends it as a signal would (that its standard input closes is the sign), and waits until it has settled what was on its way."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close_pipes()

    def kill(self) -> None:
        """Ends it at once, as a power cut would."""
        self._process.kill()
        self._process.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
