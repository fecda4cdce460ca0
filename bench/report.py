"""How figures are printed: aligned, with their spread, and with whether they reach what they must beside them."""

import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """A figure that must reach something."""

    value: float
    text: str
    reached: bool

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Checked:
    """What a check found; `broken` says what is wrong, if anything."""

    text: str
    broken: str = ""

    def __str__(self) -> str:
        return self.text


def spread(values: list[float], digits: int = 0) -> str:
    """The median, and between what the runs lay."""
    if len(values) == 1:
        return f"{values[0]:,.{digits}f}"
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def at_least(values: list[float], least: float, digits: int = 0) -> Goal:
    """By the median of the runs."""
    value = statistics.median(values)
    return Goal(value, spread(values, digits), value >= least)


def at_most(values: list[float], most: float, digits: int = 0) -> Goal:
    """By the median of the runs."""
    value = statistics.median(values)
    return Goal(value, spread(values, digits), value <= most)


def show(name: str, figures: Figures, target: str = "") -> None:
    """One scenario: its name, what must be reached, a line per figure."""
    print(f"\n{name}" + (f"  (to reach: {target})" if target else ""))
    wide = max((len(field) for field in figures), default=0)
    for field, value in figures.items():
        verdict = ("reached" if value.reached else "NOT REACHED") if isinstance(value, Goal) else ""
        print(f"  {field:<{wide}}  {_text(value):<30}  {verdict}".rstrip())
    for problem in problems(figures):
        print(f"  BROKEN: {problem}")
    print(end="", flush=True)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def problems(figures: Figures) -> Iterator[str]:
    """Why figures are worth nothing, if so: a call's charge differs, a run counted no call, the books do not add up."""
    for value in figures.values():
        if isinstance(value, dict):
            yield from problems(value)
        elif broken := getattr(value, "broken", ""):
            yield broken


def write(path: Path, results: dict[str, Figures]) -> None:
    """Everything, for programs."""
    path.write_text(json.dumps(results, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
