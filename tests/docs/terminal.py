"""A terminal for a reader who types what the documents say: the real command line, a real gateway, simulated providers behind it.

Owns what a reader supplies: provider keys, an agent, the key that was printed before, a free port. Everything else runs as it is written.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from docs.pages import ROOT, Block
from farebox.cli import main

_WRITTEN_URL = "http://127.0.0.1:8080"
_SETUP = ("pip install farebox", "source .venv/bin/activate")
"""What makes the command available; here it is."""
_KEPT = {"fbx_…": r"fbx_[0-9A-Za-z]{40,}", "acc_…": r"acc_[0-9a-z]+", "req_…": r"req_[0-9a-f]+"}
"""What a page leaves open, and what was last printed that goes there."""
_AGENT = """\
#!{python}
import json, os, urllib.request
body = {{"model": "claude-haiku-4-5", "max_tokens": 50, "messages": [{{"role": "user", "content": "hi"}}]}}
sent = {{"x-api-key": os.environ["ANTHROPIC_AUTH_TOKEN"], "anthropic-version": "2023-06-01", "content-type": "application/json"}}
call = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", json.dumps(body).encode(), sent)
with urllib.request.urlopen(call) as answer:
    print(json.load(answer)["content"][0]["text"])
"""
_CURL = """\
#!{python}
import argparse, sys, urllib.request
asked = argparse.ArgumentParser()
asked.add_argument("-s", action="store_true")
asked.add_argument("-H", action="append", default=[])
asked.add_argument("-d", type=str.encode)
asked.add_argument("url")
asked = asked.parse_args()
call = urllib.request.Request(asked.url, asked.d, dict(header.split(": ", 1) for header in asked.H))
sys.stdout.write(urllib.request.urlopen(call).read().decode())
"""
"""For machines without curl: as much of it as the pages that are typed here use."""
_BASE = {"OPENAI_API_KEY": "FAREBOX_PROVIDERS__OPENAI__BASE_URL", "ANTHROPIC_API_KEY": "FAREBOX_PROVIDERS__ANTHROPIC__BASE_URL"}


def clean_environment() -> dict[str, str]:
    """This process's environment without anybody's keys, settings and proxies."""
    foreign = ("FAREBOX_", "OPENAI_", "ANTHROPIC_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign) and not name.lower().endswith("_proxy")}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", "NO_PROXY": "*"}


class Process:
    """A farebox command that serves, waited for until it says where."""

    def __init__(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._log = (folder / f"{arguments[0]}.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "farebox", *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdout is not None
        self.said = self._process.stdout.readline()
        found = re.search(r"https?://[\w.:]+", self.said)
        assert found, f"{arguments}: {self.said!r} {(folder / self._log.name).read_text('utf-8')}"
        self.url = found[0]

    def stop(self) -> int:
        """Ends it as Ctrl-C would; its exit code."""
        self._process.send_signal(signal.SIGINT)
        rest, _ = self._process.communicate(timeout=60)
        self.said += rest
        self._log.close()
        return self._process.returncode


class Terminal:
    """A folder, an environment, and what was printed so far."""

    def __init__(self, folder: Path, sim_url: str) -> None:
        self.folder = folder
        self.printed = ""
        self.gateway: Process | None = None
        self._sim = {"OPENAI_API_KEY": f"{sim_url}/v1", "ANTHROPIC_API_KEY": sim_url}
        self._put("farebox", f'#!/bin/sh\nexec "{sys.executable}" -m farebox "$@"\n')
        self._put("claude", _AGENT.format(python=sys.executable))
        if shutil.which("curl") is None:
            self._put("curl", _CURL.format(python=sys.executable))
        self.environment = clean_environment() | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}

    def _put(self, name: str, text: str) -> None:
        program = self.folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text, "utf-8")
        program.chmod(0o755)

    def type(self, block: Block) -> None:
        """Types a block, line by line. Any that fails, fails the test with what it said."""
        for command in block.commands:
            self.run(command, block.where)

    def run(self, command: str, where: str = "") -> str:
        """One line; what it printed."""
        words = shlex.split(command)
        if command in _SETUP:
            return ""
        if words[0].startswith("./scripts/"):
            assert os.access(ROOT / words[0], os.X_OK), f"{where}: {words[0]} is not there"
            return ""
        if words[0] == "export":
            self._export(words[1])
            return ""
        if words[:2] == ["farebox", "serve"]:
            self.serve(*words[2:])
            return ""
        code, said = self._here(words[1:]) if words[0] == "farebox" and words[1] != "run" else self._apart(command)
        assert code == 0 or _only_this_machine(command, said), f"{where}: {command}\n{said}"
        self.printed += said
        return said

    def _apart(self, command: str) -> tuple[int, str]:
        """In a shell of its own."""
        done = subprocess.run(
            ["bash", "-c", self.filled(command)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def _here(self, arguments: list[str]) -> tuple[int, str]:
        """In this process, which has everything imported: the command line's own tests start it as a process every time."""
        before, asked = dict(os.environ), sys.argv
        said = io.StringIO()
        os.environ.clear()
        os.environ.update(self.environment)
        sys.argv = ["farebox", *(self.filled(word) for word in arguments)]
        try:
            with contextlib.chdir(self.folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                return main(), said.getvalue()
        finally:
            sys.argv = asked
            os.environ.clear()
            os.environ.update(before)

    def _export(self, assignment: str) -> None:
        name, _, value = assignment.partition("=")
        self.environment[name] = value.replace("…", "simulated")
        if name in _BASE:
            self.environment[_BASE[name]] = self._sim[name]

    def serve(self, *arguments: str) -> None:
        """Starts the gateway as in a terminal of its own, on a free port."""
        assert self.gateway is None, "a gateway runs already"
        self.gateway = Process(["serve", *arguments], self.folder, self.environment | {"FAREBOX_SERVER__LISTEN": "127.0.0.1:0"})
        self.printed += self.gateway.said

    def filled(self, text: str) -> str:
        """What a page leaves open filled with what was printed last, and its addresses with those of here."""
        for written, pattern in _KEPT.items():
            found = re.findall(pattern, self.printed)
            if written in text:
                assert found, f"nothing printed before goes where {written} is: {self.printed}"
                text = text.replace(written, found[-1])
        if self.gateway is not None:
            text = text.replace(_WRITTEN_URL, self.gateway.url)
        return text.replace("/backups/", f"{self.folder}/")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.gateway is not None:
            assert self.gateway.stop() == 0


def _only_this_machine(command: str, said: str) -> bool:
    """Whether a check-up finds fault with nothing but the disk that tests run on: memory, or one that does not really sync."""
    wrong = [line.split()[1].rstrip(":") for line in said.splitlines() if line.startswith("wrong")]
    return command == "farebox doctor" and bool(wrong) and set(wrong) <= {"file", "sync", "room"}
