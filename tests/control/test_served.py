"""The control API where it really runs: beside the data plane, in a process of its own, over sockets."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from farebox.store.verify import verify

DOCS = Path(__file__).parents[2] / "docs" / "api.md"


class Served:
    """A gateway process."""

    def __init__(self, folder: Path, note: dict[str, Any]) -> None:
        self.folder = folder
        self.url: str = note["url"]
        self.admin_url: str = note["admin_url"]
        self.secret = (folder / "admin.key").read_text().strip()
        self.headers = {"authorization": f"Bearer {self.secret}"}


@contextmanager
def serving(folder: Path, **more: str) -> Iterator[Served]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FAREBOX_", "OPENAI_", "ANTHROPIC_"))}
    environment |= {"OPENAI_API_KEY": "sk-none", "FAREBOX_STORE__URL": f"sqlite:///{folder}/farebox.db", **more}
    code = "import sys; from farebox.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--listen", "127.0.0.1:0"],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    note = folder / "gateway.json"
    try:
        for _ in range(600):
            if note.exists() and note.read_text().endswith("}"):
                break
            assert process.poll() is None, process.communicate()[0].decode()
            time.sleep(0.05)
        yield Served(folder, json.loads(note.read_text()))
    finally:
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=30)
    assert process.returncode == 0, told.decode()
    verdict = verify(folder / "farebox.db")
    assert verdict.ok, verdict.findings


def test_a_payment_that_is_reported_many_times_is_credited_once(tmp_path: Path) -> None:
    """Over real connections, from many threads at once."""
    with serving(tmp_path) as served, httpx.Client(base_url=f"{served.url}/api/v1", headers=served.headers) as client:
        account = client.post("/accounts", json={}).json()["id"]

        def pay(_: int) -> str:
            return client.post(f"/accounts/{account}/grants", json={"amount_usd": "5"}, headers={"idempotency-key": "p"}).text

        with ThreadPoolExecutor(16) as threads:
            answers = set(threads.map(pay, range(64)))
        assert len(answers) == 1
        assert client.get(f"/accounts/{account}/balance").json()["granted"] == "5.00"
        key = client.post("/keys", json={"account": account, "limit": "1"}).json()["key"]
        own = httpx.get(f"{served.url}/api/v1/key", headers={"authorization": f"Bearer {key}"}).json()["data"]
        assert own["limit"] == 1
        refused = httpx.post(f"{served.url}/v1/chat/completions", headers=served.headers, json={"model": "gpt-4o-mini", "messages": []})
        assert (refused.status_code, refused.headers["x-farebox-reason"]) == (401, "invalid_key"), "admin keys cannot infer"
        assert httpx.get(f"{served.url}/readyz").json()["status"] == "ready"
        assert "farebox_ledger_commit_seconds_count" in httpx.get(f"{served.url}/metrics").text


def test_with_an_address_of_its_own_the_api_is_not_on_the_callers_one(tmp_path: Path) -> None:
    """But for what keys may ask about themselves."""
    with serving(tmp_path, FAREBOX_SERVER__ADMIN_LISTEN="127.0.0.1:0") as served:
        assert served.url != served.admin_url
        assert httpx.get(f"{served.admin_url}/api/v1/accounts", headers=served.headers).status_code == 200
        for path in ("/api/v1/accounts", "/api/v1/openapi.json", "/metrics", "/console"):
            assert httpx.get(f"{served.url}{path}", headers=served.headers).status_code == 404
        assert httpx.get(f"{served.url}/api/v1/credits", headers=served.headers).status_code == 200


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="the examples are bash and curl")
def test_the_examples_of_the_documentation_work(tmp_path: Path) -> None:
    """Every line of every bash block of docs/api.md, in order."""
    script = "\n".join(re.findall(r"```bash\n(.*?)```", DOCS.read_text(), re.DOTALL))
    with serving(tmp_path) as served:
        environment = {**os.environ, "FAREBOX_URL": served.url, "FAREBOX_ADMIN_KEY": served.secret}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        accounts = httpx.get(f"{served.url}/api/v1/accounts", headers=served.headers).json()["data"]
        assert {one["external_id"] for one in accounts} == {None, "user-4711"}
        first = next(one["id"] for one in accounts if one["external_id"] is None)
        balance = httpx.get(f"{served.url}/api/v1/accounts/{first}/balance", headers=served.headers).json()
        assert balance["granted"] == "5.00"
