"""People at terminals: real commands in real processes, and offices where a gateway runs."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from farebox.cli.environment import without_settings
from farebox.cli.process import Serving

SOURCE = Path(__file__).parents[2] / "src"
COMMAND_S_MAX = 60
TOML = """\
[server]
listen = "127.0.0.1:0"
[providers.openai]
api_key = "sk-upstream-openai"
base_url = "{sim}/v1"
[providers.anthropic]
api_key = "sk-upstream-anthropic"
base_url = "{sim}"
[limits]
held_wait_s = 0
"""


class Terminal:
    """Somebody who types commands in a folder."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.environment = {**without_settings(os.environ), "PYTHONPATH": str(SOURCE), **variables}

    def start(self, *arguments: str, **more: Any) -> "subprocess.Popen[str]":
        command = [sys.executable, "-P", "-m", "farebox", *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, stdout=-1, stderr=-1, stdin=-3, **more)

    def run(self, *arguments: str, code: int = 0, variables: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Types a command and waits; it must end with this exit code."""
        command = [sys.executable, "-P", "-m", "farebox", *arguments]
        environment = {**self.environment, **(variables or {})}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, text=True, capture_output=True, timeout=COMMAND_S_MAX, stdin=-3, check=False
        )
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        """The JSON that a command answers with."""
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def fails(self, *arguments: str, **more: Any) -> str:
        """The one line that a command fails with."""
        done = self.run(*arguments, code=1, **more)
        lines = done.stderr.splitlines()
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("farebox: ")
        return lines[0].removeprefix("farebox: ")


class Office(Terminal):
    """A terminal in the folder of a gateway that runs."""

    def __init__(self, folder: Path, url: str, sim_url: str, store: str = "") -> None:
        super().__init__(folder)
        self.store = store
        self.url = url
        self.sim_url = sim_url

    def call(self, key: str, text: str = "hi sim:output=20", **body: Any) -> httpx.Response:
        """One call through the gateway."""
        asked = {"model": "gpt-4o-mini", "max_completion_tokens": 100, "messages": [{"role": "user", "content": text}], **body}
        return httpx.post(f"{self.url}/v1/chat/completions", json=asked, headers={"authorization": f"Bearer {key}"}, timeout=30)

    def customer(self, usd: str = "5", limit: str = "1") -> tuple[str, str]:
        """An account with money, and the secret of a key on it."""
        account = self.json("accounts", "create", "customer")["id"]
        self.run("topup", account, usd)
        return account, self.json("keys", "create", "--account", account, "--limit", limit)["key"]


def open_office(folder: Path, sim_url: str, store: str = "sqlite:///farebox.db") -> Serving:
    """A gateway in a folder of its own."""
    (folder / "farebox.toml").write_text(TOML.format(sim=sim_url) + f'[store]\nurl = "{store}"\n')
    return Serving(["serve"], folder / "gateway.log", environment=Terminal(folder).environment, folder=folder)
