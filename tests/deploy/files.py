"""The files of deploy/, read: a Dockerfile's instructions, a compose file's services, a cluster's objects."""

import re
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it has no types of its own

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
Instruction = tuple[str, str]


def dockerfile() -> list[list[Instruction]]:
    """Its stages, each with its instructions; what comes before the first is the first."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    stages: list[list[Instruction]] = [[]]
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            if word == "FROM":
                stages.append([])
            stages[-1].append((word, re.sub(r"\s+", " ", rest.strip())))
    return stages


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    return read


def objects() -> list[dict[str, Any]]:
    """Every object of the Kubernetes manifests."""
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return [one for file in files for one in yaml.safe_load_all(file.read_text("utf-8"))]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for one in objects() if one["kind"] == kind]


def seconds(text: str) -> int:
    """`4300s` of a compose file."""
    return int(text.removesuffix("s"))
