"""The documents, typed: each page in a folder of its own, from top to bottom, against a real gateway with simulated providers."""

import contextlib
import io
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from docs.pages import blocks, page
from docs.terminal import Terminal
from farebox.store.verify import verify


def play(terminal: Terminal, name: str) -> str:
    """Types the whole page; returns what its Python printed."""
    said = ""
    for block in blocks(page(name)):
        if block.language == "python":
            said += python(terminal.filled(block.text))
        else:
            terminal.type(block)
    return said


def python(text: str) -> str:
    """Runs a snippet with the real SDK; what it printed. A reader's process would end, so its client is closed."""
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(text, "snippet", "exec"), names)
    names["client"].close()
    return out.getvalue()


def ask(terminal: Terminal, path: str, secret: str = "") -> tuple[int, str]:
    """One GET at the gateway."""
    assert terminal.gateway is not None
    with urlopen(Request(terminal.gateway.url + path, headers={"authorization": f"Bearer {secret}"} if secret else {})) as answer:
        return answer.status, answer.read().decode()


def adds_up(folder: Path) -> dict[str, int]:
    """Sums of the store: every equation holds, nothing is held."""
    verdict = verify(folder / "farebox.db")
    assert verdict.ok, verdict.findings
    assert verdict.sums["held"] == 0
    return verdict.sums


def test_the_readme_works_word_by_word(terminal: Terminal) -> None:
    """From a provider's key to an answer that is charged to a key with a cap."""
    said = play(terminal, "README.md")
    assert said.strip(), "the snippet prints an answer"
    secret = terminal.filled("fbx_…")
    own = json.loads(ask(terminal, "/api/v1/key", secret)[1], parse_float=Decimal)["data"]
    assert own["limit"] == 10
    assert own["usage"] > 0
    assert own["limit_remaining"] == own["limit"] - own["usage"]
    assert adds_up(terminal.folder)["spent"] == own["usage"] * 10**9


def test_the_start_page_works_word_by_word(terminal: Terminal) -> None:
    """Settings, an account, money, a key, and both SDKs."""
    said = play(terminal, "docs/start.md")
    assert len(said.split()) > 1
    assert "providers.openai.api_key" in terminal.printed
    assert "sk-simulated" not in terminal.printed, "secrets are masked"
    assert adds_up(terminal.folder)["granted"] == 50 * 10**9


def test_the_keys_page_works_word_by_word(terminal: Terminal) -> None:
    """Keys of users on one wallet, of customers on their own, of teams under a budget."""
    terminal.run("export OPENAI_API_KEY=sk-…")
    terminal.serve()
    play(terminal, "docs/keys.md")
    secrets = re.findall(r"fbx_[0-9A-Za-z]{40,}", terminal.printed)
    assert len(set(secrets)) >= 3, terminal.printed
    for secret in set(secrets):
        credits_ = json.loads(ask(terminal, "/api/v1/credits", secret)[1], parse_float=Decimal)["data"]
        assert credits_["total_credits"] > 0, "every key made on this page can spend"


def test_the_agents_page_works_word_by_word(terminal: Terminal) -> None:
    """A capped run of an agent that calls its API, with a receipt; then a key of its own."""
    play(terminal, "docs/agents.md")
    receipt = re.search(r"spent \$(\S+) of \$10\S* in 1 calls", terminal.printed)
    assert receipt, terminal.printed
    assert Decimal(receipt[1]) > 0
    assert adds_up(terminal.folder)["spent"] == Decimal(receipt[1]) * 10**9


def test_the_metering_page_works_word_by_word(terminal: Terminal) -> None:
    """A hold and an event of an own meter, with the client; the wallet shows both."""
    terminal.run("export OPENAI_API_KEY=sk-…")
    terminal.serve()
    with contextlib.chdir(terminal.folder):
        said = play(terminal, "docs/meter.md")
    assert said.split() == ["0.25", "charged", "repeated", "9.67"]
    assert adds_up(terminal.folder)["spent"] == 330_000_000


def test_the_operating_page_works_word_by_word(terminal: Terminal) -> None:
    """Endpoints answer, a backup of a running gateway adds up, and it stops when told to."""
    terminal.run("export OPENAI_API_KEY=sk-…")
    terminal.serve()
    play(terminal, "docs/operate/README.md")
    for path in ("/healthz", "/readyz", "/metrics"):
        assert f"`{path}`" in page("docs/operate/README.md").read_text("utf-8")
        assert ask(terminal, path)[0] == 200
    adds_up(terminal.folder)
    assert verify(terminal.folder / "farebox-today.db").ok
