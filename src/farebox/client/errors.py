"""What a client raises.

Failed
├── Refused        the gateway said no: a status and a stable code
└── Unreachable    nobody answered, though it was tried again
"""

from typing import Any

import msgspec


class Failed(Exception):
    """What was asked was not done, or nobody knows whether it was."""


class Refused(Failed):
    """The gateway said no. `code` is stable (`exceeds_available`, `not_found`, …); `problem` is its whole answer."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code", ""))
        super().__init__(f"{status} {self.code}: {problem.get('detail', '')}")


class Unreachable(Failed):
    """Nobody answered. What was asked may have been done: asked again with the same Idempotency-Key, it is done once."""


def refused(status: int, content: bytes) -> Refused:
    """The error of an answer."""
    try:
        problem = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:
        problem = {"detail": content[:200].decode("utf-8", "replace")}
    return Refused(status, problem)
