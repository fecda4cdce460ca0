"""The processes of a run, each pinned: the gateway (with its ledger) on one core; the provider and the load on the other."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import machine
from farebox.gateway.identify import hash_of
from farebox.ledger.commands import GrantMoney, IssueKey, OpenAccount
from farebox.ledger.model import Key
from farebox.store.sqlite import SqliteStore, connect_reader
from farebox.store.verify import Verdict, verify

GATEWAY_CORE = 0
OTHER_CORE = 1 if (os.cpu_count() or 1) > 1 else 0
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}


def _pinned(core: int, *command: str, **more: Any) -> "subprocess.Popen[str]":
    process = subprocess.Popen(command, text=True, env=_ENVIRONMENT, **more)
    os.sched_setaffinity(process.pid, {core})
    return process


def secret(number: int) -> str:
    return f"fbx_bench_{number}"


def seed(folder: Path, *, wallets: int, keys: int) -> None:
    """Accounts with money and keys with a cap, through the ledger's own commands, before the gateway starts."""
    store = SqliteStore(folder / "farebox.db", alarm=lambda *names, **facts: print("ALARM", names, facts))
    store._db.execute("PRAGMA synchronous = OFF")  # nobody relies on it yet; the gateway opens it with FULL
    have = store_counts(folder)["keys"]
    for wallet in range(wallets if not have else 0):
        store.decide([(OpenAccount(f"open{wallet}", f"acc_{wallet:06d}", own_wallet=True),)])
        store.decide([(GrantMoney(f"fill{wallet}", f"grt_{wallet:06d}", f"acc_{wallet:06d}", 10**16),)])
    for number in range(have, keys):
        key = Key(f"key_{number:06d}", f"acc_{number % wallets:06d}", "", hash_of(secret(number)), "", 0)
        store.decide([(IssueKey(f"issue{number}", key, limit=10**15),)])
    store.close()


def store_counts(folder: Path) -> dict[str, int]:
    db = connect_reader(folder / "farebox.db")
    try:
        return {name: next(iter(db.execute(f"SELECT count(*) FROM {name}")))[0] for name in ("keys", "charges")}
    finally:
        db.close()


class House:
    """A provider and a gateway that are running."""

    def __init__(self, folder: Path, *, tls: tuple[Path, Path] | None = None) -> None:
        self.folder = folder
        self.tls = tls
        self.simulator, self.sim_url = self._simulator()
        self.gateway, self.url = self._gateway()

    def _simulator(self) -> tuple["subprocess.Popen[str]", str]:
        more = ["--tls-cert", str(self.tls[0]), "--tls-key", str(self.tls[1])] if self.tls else []
        process = _pinned(OTHER_CORE, sys.executable, "-m", "farebox.sim", "--listen", "127.0.0.1:0", *more, stdout=subprocess.PIPE)
        assert process.stdout is not None
        line = process.stdout.readline()
        return process, next(word for word in line.split() if word.startswith("http")).rstrip(".,")

    def _gateway(self) -> tuple["subprocess.Popen[str]", str]:
        trust = f'ca_file = "{self.tls[0]}"\n' if self.tls else ""
        (self.folder / "bench.toml").write_text(
            f'[server]\nlisten = "127.0.0.1:0"\n[store]\nurl = "sqlite:///{self.folder}/farebox.db"\n'
            f'[providers.openai]\napi_key = "sk-bench"\nbase_url = "{self.sim_url}/v1"\n{trust}'
            f'[providers.anthropic]\napi_key = "sk-bench"\nbase_url = "{self.sim_url}"\n{trust}'
        )
        note = self.folder / "gateway.json"
        note.unlink(missing_ok=True)
        log = (self.folder / "gateway.log").open("a")
        process = _pinned(
            GATEWAY_CORE, sys.executable, "-m", "farebox", "serve", "--config", str(self.folder / "bench.toml"), stdout=log, stderr=log
        )
        for _ in range(600):
            if note.exists() and note.read_text().strip():
                return process, str(json.loads(note.read_text())["url"])
            if process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"the gateway did not start: {(self.folder / 'gateway.log').read_text()[-2000:]}")

    # --- load ---------------------------------------------------------------------------------------------------------------------

    def run(self, **asked: Any) -> dict[str, Any]:
        """One run of the load generator; its figures, with the gateway's and the provider's processor time beside."""
        asked.setdefault("keys", [secret(0)])
        asked["url"] = f"{self.sim_url if asked.pop('direct', False) else self.url}{asked.pop('path', '/v1/chat/completions')}"
        gateway, simulator = machine.cpu_s(self.gateway.pid), machine.cpu_s(self.simulator.pid)
        process = _pinned(OTHER_CORE, sys.executable, "-m", "bench.load", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        out, _ = process.communicate(json.dumps(asked))
        figures: dict[str, Any] = json.loads(out)
        figures["gateway_cpu_s"] = machine.cpu_s(self.gateway.pid) - gateway
        figures["sim_cpu_s"] = machine.cpu_s(self.simulator.pid) - simulator
        figures["ok"] = int(figures["statuses"].get("200", 0))
        figures["refused"] = sum(count for status, count in figures["statuses"].items() if status != "200")
        return figures

    # --- truth --------------------------------------------------------------------------------------------------------------------

    def get(self, url: str) -> Any:
        import ssl

        context = ssl._create_unverified_context() if url.startswith("https") else None
        with urllib.request.urlopen(url, timeout=120, context=context) as answer:
            return json.load(answer)

    def matched(self, label: str) -> tuple[int, int]:
        """Calls of a label whose one charge equals the provider's own bill to the nano-dollar, and those that differ."""
        charges = self._charges()
        right = wrong = 0
        after = ""
        while True:
            page = self.get(f"{self.sim_url}/sim/calls?label={label}{'&after=' + after if after else ''}")
            for call in page["data"]:
                if charges.get(call["id"]) == call["nano"]:
                    right += 1
                elif call["nano"]:
                    wrong += 1
            after = page.get("next") or ""
            if not after:
                return right, wrong

    def _charges(self) -> dict[str, int]:
        db = connect_reader(self.folder / "farebox.db")
        try:
            return dict(db.execute("SELECT upstream_request_id, price FROM charges WHERE upstream_request_id <> ''"))
        finally:
            db.close()

    def spent(self, key: int) -> int:
        """Nano-dollars that a key has spent in its lifetime."""
        db = connect_reader(self.folder / "farebox.db")
        try:
            return int(next(iter(db.execute("SELECT price_spent FROM windows WHERE counter = ?", (f"key_{key:06d}/lifetime",))))[0])
        finally:
            db.close()

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def verify(self) -> Verdict:
        return verify(self.folder / "farebox.db")

    def close(self) -> None:
        for process in (self.gateway, self.simulator):
            process.send_signal(signal.SIGTERM)
        for process in (self.gateway, self.simulator):
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def house(folder: Path, *, tls: tuple[Path, Path] | None = None) -> Iterator[House]:
    opened = House(folder, tls=tls)
    try:
        yield opened
    finally:
        opened.close()
