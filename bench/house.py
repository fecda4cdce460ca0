"""The processes of a run, each pinned: the gateway (with its ledger) on one core; the provider and the load on the other.

Every call that a figure is taken from goes through `House.run`, which counts what the provider's bill and the ledger agree on.
"""

import json
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from bench.bill import Run, compare
from bench.process import GATEWAY_CORE, OTHER_CORE, Process
from bench.report import Checked
from farebox.gateway.identify import hash_of
from farebox.ids import first_id
from farebox.ledger.commands import GrantMoney, IssueKey, OpenAccount
from farebox.ledger.model import Key
from farebox.store.sqlite import SqliteStore, connect_reader
from farebox.store.verify import verify

Ask = Callable[[str], dict[str, Any]]
"""The body of a call, given the label that the provider is to bill it under."""
To = Literal["gateway", "provider", "empty proxy"]
_SETTLED_S_MAX = 20
_CHECKPOINT_ROWS = 10_000
_GRANT = 10**15  # a million dollars: what a thousand wallets hold together is still a 64-bit number


def secret(number: int) -> str:
    return f"fbx_bench_{number}"


def unsafe_store(folder: Path) -> SqliteStore:
    """The ledger for filling, before a gateway starts: nobody relies on it yet; the gateway opens it with FULL."""
    store = SqliteStore(folder / "farebox.db", alarm=lambda *names, **facts: print("ALARM", names, facts))
    store._db.execute("PRAGMA synchronous = OFF")
    return store


def seed(folder: Path, *, wallets: int, keys: int) -> None:
    """Accounts with money and keys with a cap, through the ledger's own commands."""
    store = unsafe_store(folder)
    for wallet in range(wallets):
        store.decide([(OpenAccount(f"open{wallet}", f"acc_{wallet:06d}", own_wallet=True),)])
        store.decide([(GrantMoney(f"fill{wallet}", f"grt_{wallet:06d}", f"acc_{wallet:06d}", _GRANT),)])
    for number in range(keys):
        key = Key(f"key_{number:06d}", f"acc_{number % wallets:06d}", "", hash_of(secret(number)), "", 0)
        store.decide([(IssueKey(f"issue{number}", key, limit=_GRANT),)])
        if number % _CHECKPOINT_ROWS == 0:
            store.checkpoint()
    store.close()


class House:
    """A provider and a gateway that are running."""

    def __init__(self, folder: Path, *, tls: tuple[Path, Path] | None = None) -> None:
        self.folder = folder
        self.tls = tls
        self._runs = 0
        self.simulator, self.sim_url = self._simulator()
        self.gateway, self.url = self._gateway()
        self.gateway.check_pinned()

    def _simulator(self) -> tuple[Process, str]:
        more = ["--tls-cert", str(self.tls[0]), "--tls-key", str(self.tls[1])] if self.tls else []
        process = Process(OTHER_CORE, sys.executable, "-m", "farebox.sim", "--listen", "127.0.0.1:0", *more, stdout=subprocess.PIPE)
        return process, next(word for word in process.line().split() if word.startswith("http")).rstrip(".,")

    def _gateway(self) -> tuple[Process, str]:
        trust = f'ca_file = "{self.tls[0]}"\n' if self.tls else ""
        (self.folder / "bench.toml").write_text(
            f'[server]\nlisten = "127.0.0.1:0"\n[store]\nurl = "sqlite:///{self.folder}/farebox.db"\n'
            f'[providers.openai]\napi_key = "sk-bench"\nbase_url = "{self.sim_url}/v1"\n{trust}'
            f'[providers.anthropic]\napi_key = "sk-bench"\nbase_url = "{self.sim_url}"\n{trust}'
        )
        note = self.folder / "gateway.json"
        note.unlink(missing_ok=True)
        with (self.folder / "gateway.log").open("a") as log:
            process = Process(
                GATEWAY_CORE, sys.executable, "-m", "farebox", "serve", "--config", str(self.folder / "bench.toml"), stdout=log, stderr=log
            )
        for _ in range(600):
            if note.exists() and note.read_text().strip():
                return process, str(json.loads(note.read_text())["url"])
            if process.popen.poll() is not None:
                break
            time.sleep(0.05)
        process.stop()
        self.simulator.stop()
        raise SystemExit(f"the gateway did not start: {(self.folder / 'gateway.log').read_text()[-2000:]}")

    @cached_property
    def _proxy(self) -> tuple[Process, str]:
        """Started when a scenario first asks for it: on the gateway's core, where it costs nothing while it is not called."""
        trust = [str(self.tls[0])] if self.tls else []
        process = Process(GATEWAY_CORE, sys.executable, "-m", "bench.empty_proxy", self.sim_url, *trust, stdout=subprocess.PIPE)
        return process, process.line().strip()

    # --- load ---------------------------------------------------------------------------------------------------------------------

    def _called(self, to: To) -> tuple[Process, str]:
        if to == "empty proxy":
            return self._proxy
        return (self.gateway, self.url) if to == "gateway" else (self.simulator, self.sim_url)

    def run(self, ask: Ask, *, to: To = "gateway", **asked: Any) -> Run:
        """One run of the load generator, under a label of its own, counted by the provider's bill and the ledger's charges."""
        self._runs += 1
        label = f"run-{self._runs}"
        process, url = self._called(to)
        asked = {"keys": [secret(0)], "url": f"{url}/v1/chat/completions", "body": ask(label), **asked}
        if url.startswith("https") and self.tls:
            asked["ca_file"] = str(self.tls[0])
        began_ms, cpu_s = _now_ms(), process.cpu_s()
        load = Process(OTHER_CORE, sys.executable, "-m", "bench.load", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        out, _ = load.popen.communicate(json.dumps(asked))
        if load.popen.returncode:
            raise SystemExit(f"the load on the {to} broke off: is it still running?")
        figures: dict[str, Any] = json.loads(out)
        statuses = figures.pop("statuses")
        ok = int(statuses.pop("200", 0))
        figures |= {"ok": ok, "refused": sum(statuses.values()), "cpu_s": process.cpu_s() - cpu_s}
        if to != "gateway":
            return Run(**figures, right=min(ok, sum(nano > 0 for nano in self.billed(label).values())))
        right, differs = self.counted(label, began_ms)
        uncharged = max(ok - right - differs, 0)  # answered, and neither on the bill nor charged: an answer that cost nothing
        return Run(**figures, right=min(ok, right), differs=differs + uncharged)

    # --- truth --------------------------------------------------------------------------------------------------------------------

    def counted(self, label: str, began_ms: int) -> tuple[int, int]:
        """Of the calls since a moment, all of one label: those whose one charge is the provider's bill, and those (or charges) that differ."""
        since = first_id("hold", began_ms)  # holds and charges are stored by id, and ids sort by time: no older row is read
        db = connect_reader(self.folder / "farebox.db")
        try:
            for _ in range(_SETTLED_S_MAX * 20):
                (still_open,) = next(iter(db.execute("SELECT count(*) FROM holds WHERE state = 'open' AND id >= ?", (since,))))
                if not still_open:
                    break
                time.sleep(0.05)
            charged = list(db.execute("SELECT upstream_request_id, price FROM charges WHERE hold_id >= ?", (since,)))
        finally:
            db.close()
        return compare(self.billed(label), charged)

    def billed(self, label: str) -> dict[str, int]:
        """The provider's own bill of a label: nano-dollars by request id."""
        bill: dict[str, int] = {}
        after = ""
        while True:
            page = self.get(f"{self.sim_url}/sim/calls?label={label}{'&after=' + after if after else ''}")
            bill |= {call["id"]: call["nano"] for call in page["data"]}
            after = page.get("next") or ""
            if not after:
                return bill

    def open_at_provider(self, label: str) -> int:
        """Calls of a label whose answers are still on their way."""
        return sum(call["open"] for call in self.get(f"{self.sim_url}/sim/calls?label={label}")["data"])

    def get(self, url: str) -> Any:
        context = ssl.create_default_context(cafile=str(self.tls[0])) if self.tls else None
        with urllib.request.urlopen(url, timeout=120, context=context) as answer:
            return json.load(answer)

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

    def verify(self) -> Checked:
        """The ledger's own equations, over every row."""
        verdict = verify(self.folder / "farebox.db")
        found = "; ".join(f"{finding.invariant}: {finding.rows} rows" for finding in verdict.findings)
        return Checked(f"ok, {verdict.counts['charges']:,} charges" if verdict.ok else "NOT OK", f"verify: {found}" if found else "")

    def close(self) -> None:
        for process in (self.gateway, *([self._proxy[0]] if "_proxy" in self.__dict__ else []), self.simulator):
            process.stop()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def house(folder: Path, *, tls: tuple[Path, Path] | None = None) -> Iterator[House]:
    opened = House(folder, tls=tls)
    try:
        yield opened
    finally:
        opened.close()
