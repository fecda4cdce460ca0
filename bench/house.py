"""The processes of a run, each pinned: a gateway (with its ledger) on one core, a second one on the other; there too the provider and the load.

Every call that a figure is taken from goes through `House.run`, which counts what the provider's bill and the ledger agree on. A database that
gateways share is somebody else's to start (`postgres.py`).
"""

import json
import ssl
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bench.bill import Run, compare
from bench.postgres import Postgres
from bench.process import GATEWAY_CORE, OTHER_CORE, Process
from bench.report import Checked
from farebox.gateway.identify import hash_of
from farebox.ids import first_id
from farebox.ledger.commands import GrantMoney, IssueKey, OpenAccount
from farebox.ledger.model import Key
from farebox.store.database import Place, Store
from farebox.store.opening import connect, open_store
from farebox.store.sqlite import SqliteStore
from farebox.store.verify import verify

Ask = Callable[[str], dict[str, Any]]
"""The body of a call, given the label that the provider is to bill it under."""
To = Literal["gateway", "provider", "empty proxy"]
_SETTLED_S_MAX = 20
_CHECKPOINT_ROWS = 10_000
_GRANT = 10**15  # a million dollars: what a thousand wallets hold together is still a 64-bit number


class Served(NamedTuple):
    """A process that answers, and where."""

    process: Process
    url: str


def secret(number: int) -> str:
    return f"fbx_bench_{number}"


def told(*names: str, **facts: Any) -> None:
    """What a store has to say while it is filled."""
    print("ALARM", names, facts)


def unsafe_store(folder: Path) -> SqliteStore:
    """The ledger for filling, before a gateway starts: nobody relies on it yet; the gateway opens it with FULL."""
    store = SqliteStore(folder / "farebox.db", alarm=told)
    store._db.execute("PRAGMA synchronous = OFF")
    return store


def seed(place: Place, *, wallets: int, keys: int) -> None:
    """Accounts with money and keys with a cap, through the ledger's own commands: in a folder, or in a database."""
    store: Store = unsafe_store(place) if isinstance(place, Path) else open_store(place, alarm=told)
    for wallet in range(wallets):
        store.decide([(OpenAccount(f"open{wallet}", f"acc_{wallet:06d}", own_wallet=True),)])
        store.decide([(GrantMoney(f"fill{wallet}", f"grt_{wallet:06d}", f"acc_{wallet:06d}", _GRANT),)])
    for number in range(keys):
        key = Key(f"key_{number:06d}", f"acc_{number % wallets:06d}", "", hash_of(secret(number)), "", 0)
        store.decide([(IssueKey(f"issue{number}", key, limit=_GRANT),)])
        if isinstance(store, SqliteStore) and number % _CHECKPOINT_ROWS == 0:
            store.checkpoint()
    store.close()


class House:
    """A provider and gateways that are running: one over a SQLite file, or as many as there are cores named over a PostgreSQL."""

    def __init__(
        self,
        folder: Path,
        *,
        tls: tuple[Path, Path] | None = None,
        postgres: Postgres | None = None,
        cores: tuple[int, ...] = (GATEWAY_CORE,),
        source: Path | None = None,
    ) -> None:
        """`source`: whose gateway is run, if not that of this code."""
        self.folder = folder
        self.source = source
        self.tls = tls
        self.postgres = postgres
        self.place: Place = folder / "farebox.db" if postgres is None else postgres.url
        self._runs = 0
        self.simulator, self.sim_url = self._simulator()
        self.gateways: list[Served] = []
        try:
            for core in cores:
                self.gateways.append(self._gateway(core))
        except BaseException:
            self.close()
            raise
        self.gateway, self.url = self.gateways[0]

    def _simulator(self) -> tuple[Process, str]:
        more = ["--tls-cert", str(self.tls[0]), "--tls-key", str(self.tls[1])] if self.tls else []
        process = Process(OTHER_CORE, sys.executable, "-m", "farebox.sim", "--listen", "127.0.0.1:0", *more, stdout=subprocess.PIPE)
        return process, next(word for word in process.line().split() if word.startswith("http")).rstrip(".,")

    def home(self, number: int) -> Path:
        """The folder of a gateway's own small files."""
        return self.folder / f"gateway-{number}"

    def _gateway(self, core: int) -> Served:
        home = self.home(len(self.gateways))
        home.mkdir(exist_ok=True)
        trust = f'ca_file = "{self.tls[0]}"\n' if self.tls else ""
        store = self.place if isinstance(self.place, str) else f"sqlite:///{self.place}"
        (home / "bench.toml").write_text(
            f'[server]\nlisten = "127.0.0.1:0"\ndata_dir = "{home}"\n[store]\nurl = "{store}"\n'
            f'[providers.openai]\napi_key = "sk-bench"\nbase_url = "{self.sim_url}/v1"\n{trust}'
            f'[providers.anthropic]\napi_key = "sk-bench"\nbase_url = "{self.sim_url}"\n{trust}'
        )
        note = home / "gateway.json"
        note.unlink(missing_ok=True)
        with (home / "log").open("a") as log:
            command = (sys.executable, "-m", "farebox", "serve", "--config", str(home / "bench.toml"))
            process = Process(core, *command, source=self.source, stdout=log, stderr=log)
        for _ in range(600):
            if note.exists() and note.read_text().strip():
                process.check_pinned()
                served = Served(process, str(json.loads(note.read_text())["url"]))
                with urllib.request.urlopen(f"{served.url}/healthz", timeout=60):  # the note is there before everything is loaded
                    return served
            if process.popen.poll() is not None:
                break
            time.sleep(0.05)
        process.stop()
        raise SystemExit(f"the gateway did not start: {(home / 'log').read_text()[-2000:]}")

    @cached_property
    def _proxies(self) -> list[Served]:
        """Started when a scenario first asks for them: on the gateways' cores, where they cost nothing while they are not called."""
        trust = [str(self.tls[0])] if self.tls else []
        command = (sys.executable, "-m", "bench.empty_proxy", self.sim_url, *trust)
        started = [Process(gateway.process.core, *command, stdout=subprocess.PIPE) for gateway in self.gateways]
        return [Served(process, process.line().strip()) for process in started]

    # --- load ---------------------------------------------------------------------------------------------------------------------

    def _called(self, to: To) -> list[Served]:
        if to == "empty proxy":
            return self._proxies
        return self.gateways if to == "gateway" else [Served(self.simulator, self.sim_url)]

    def run(self, ask: Ask, *, to: To = "gateway", **asked: Any) -> Run:
        """One run of the load generator, under a label of its own, counted by the provider's bill and the ledger's charges."""
        self._runs += 1
        label = f"run-{self._runs}"
        called = self._called(to)
        urls = [f"{url}/v1/chat/completions" for _, url in called]
        asked = {"keys": [secret(0)], "urls": urls, "body": ask(label), **asked}
        if self.tls and urls[0].startswith("https"):
            asked["ca_file"] = str(self.tls[0])
        began_ms, spent = _now_ms(), self._cpu_s(called)
        figures = load("bench.load", asked, f"the {to}")
        spent = {name: seconds - spent[name] for name, seconds in self._cpu_s(called).items()}
        statuses = figures.pop("statuses")
        ok = int(statuses.pop("200", 0))
        figures |= {"ok": ok, "refused": sum(statuses.values()), **spent}
        if to != "gateway":
            return Run(**figures, right=min(ok, sum(nano > 0 for nano in self.billed(label).values())))
        right, differs = self.counted(label, began_ms)
        uncharged = max(ok - right - differs, 0)  # answered, and neither on the bill nor charged: an answer that cost nothing
        return Run(**figures, right=min(ok, right), differs=differs + uncharged)

    def _cpu_s(self, called: list[Served]) -> dict[str, float]:
        """Processor seconds so far, by the kind of process."""
        return {
            "cpu_s": sum(process.cpu_s() for process, _ in called),
            "store_cpu_s": 0.0 if self.postgres is None else self.postgres.cpu_s(),
            "provider_cpu_s": self.simulator.cpu_s(),
        }

    # --- truth --------------------------------------------------------------------------------------------------------------------

    def counted(self, label: str, began_ms: int) -> tuple[int, int]:
        """Of the calls since a moment, all of one label: those whose one charge is the provider's bill, and those (or charges) that differ."""
        self.settled(began_ms)
        charged = self.select("SELECT upstream_request_id, price FROM charges WHERE hold_id >= :since", since=first_id("hold", began_ms))
        return compare(self.billed(label), ((str(call), int(price)) for call, price in charged))

    def settled(self, began_ms: int) -> int:
        """How many holds since a moment are still open when there was time enough to settle them."""
        since = first_id("hold", began_ms)  # holds and charges are stored by id, and ids sort by time: no older row is read
        give_up = time.monotonic() + _SETTLED_S_MAX
        while True:
            ((still_open,),) = self.select("SELECT count(*) FROM holds WHERE state = 'open' AND id >= :since", since=since)
            if not still_open or time.monotonic() > give_up:
                return int(still_open)
            time.sleep(0.05)

    def select(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Rows of the ledger."""
        db = connect(self.place)
        try:
            return [tuple(row) for row in db.select(sql, values)]
        finally:
            db.close()

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
        ((nano,),) = self.select("SELECT price_spent FROM windows WHERE counter = :counter", counter=f"key_{key:06d}/lifetime")
        return int(nano)

    def metrics(self) -> dict[str, float]:
        """Of all gateways, added up."""
        total: defaultdict[str, float] = defaultdict(float)
        for _, url in self.gateways:
            with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
                lines = answer.read().decode().splitlines()
            for name, _, value in (line.rpartition(" ") for line in lines if line and not line.startswith("#")):
                total[name] += float(value)
        return dict(total)

    def verify(self) -> Checked:
        """The ledger's own equations, over every row."""
        verdict = verify(self.place)
        found = "; ".join(f"{finding.invariant}: {finding.rows} rows" for finding in verdict.findings)
        return Checked(f"ok, {verdict.counts['charges']:,} charges" if verdict.ok else "NOT OK", f"verify: {found}" if found else "")

    def close(self) -> None:
        proxies: list[Served] = self.__dict__.get("_proxies", [])
        for process, _ in (*self.gateways, *proxies):
            process.stop()
        self.simulator.stop()


def load(module: str, asked: dict[str, Any], called: str) -> dict[str, Any]:
    """What a load generator, a process of its own, found out."""
    process = Process(OTHER_CORE, sys.executable, "-m", module, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = process.popen.communicate(json.dumps(asked))
    if process.popen.returncode:
        raise SystemExit(f"the load on {called} broke off: is it still running?")
    figures: dict[str, Any] = json.loads(out)
    return figures


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def house(
    folder: Path,
    *,
    tls: tuple[Path, Path] | None = None,
    postgres: Postgres | None = None,
    cores: tuple[int, ...] = (GATEWAY_CORE,),
    source: Path | None = None,
) -> Iterator[House]:
    opened = House(folder, tls=tls, postgres=postgres, cores=cores, source=source)
    try:
        yield opened
    finally:
        opened.close()
