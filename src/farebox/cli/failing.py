"""How a command says no: one line on standard error and exit code 1."""

from typing import Any

from farebox.errors import FareboxError


class Failed(Exception):
    """A command could not do what was asked. Its text is the line that is shown."""


def problems_of(problem: FareboxError) -> list[str]:
    """Each thing that is wrong, on its own. Settings errors carry several, one a line."""
    facts = problem.facts.get("problem")
    lines = facts.splitlines() if isinstance(facts, str) else []
    return lines or [problem.message]


def one_line(text: str) -> str:
    """Several lines as one."""
    return "; ".join(part.strip() for part in text.splitlines() if part.strip())


def from_problem(status: int, document: Any) -> Failed:
    """What a problem document of the control API says, and the fields that it is about."""
    if not isinstance(document, dict) or "code" not in document:
        return Failed(f"the gateway answered {status}")
    detail = str(document.get("detail") or document.get("title") or "")
    about = [f"{error.get('field')}: {error.get('problem')}" for error in document.get("errors", ()) if isinstance(error, dict)]
    more = [words for words in about if words not in detail]
    return Failed(one_line("\n".join([f"{document['code']}: {detail}", *more])))
