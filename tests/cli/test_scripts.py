"""The scripts and what they install from."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path for path in [*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run"] if path.is_file())
_PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)")


def pins(kind: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / f"{kind}.txt").read_text("utf-8").splitlines()
    return {found[1]: found[2] for line in lines if (found := _PIN.match(line))}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=~!\[ ]", requirement, maxsplit=1)[0].lower() for requirement in requirements}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_bash_strict_and_works_from_any_folder(script: Path) -> None:
    """Each parses, stops at the first failure, says what it does, and finds the project by its own place."""
    text = script.read_text("utf-8")
    assert os.access(script, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "set -euo pipefail" in text
    assert "BASH_SOURCE" in text
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


@pytest.mark.parametrize("kind", ["base", "dev"])
def test_requirements_are_pinned_hashed_and_name_no_index(kind: str) -> None:
    """Nothing but pins and hashes: from which index they come is the machine's business."""
    text = (ROOT / "requirements" / f"{kind}.txt").read_text("utf-8")
    assert "://" not in text
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert all(_PIN.match(block) and "--hash=sha256:" in block for block in blocks)
    assert len(blocks) == len(pins(kind))


def test_requirements_are_what_the_project_declares() -> None:
    """Every dependency of pyproject.toml is pinned, base is part of dev, and both agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert names(project["project"]["dependencies"]) <= pins("base").keys()
    assert names(project["dependency-groups"]["dev"]) <= pins("dev").keys()
    assert pins("base").items() <= pins("dev").items()
