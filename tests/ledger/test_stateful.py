"""The real store and the model, side by side: every outcome and every number must agree, whatever is asked and in whatever order.

Hypothesis looks for short stories that differ; seeded walks look for long ones. `FAREBOX_SOAK=1`: both go on for much longer.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.sides import WEIGHTS, Sides

SOAK = os.environ.get("FAREBOX_SOAK") == "1"
T = TypeVar("T")


class Seeded:
    """Chance by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pick(self, among: Sequence[T]) -> T:
        return self._random.choice(among)

    def number(self, least: int, most: int) -> int:
        return self._random.randint(least, most)


class Drawn:
    """Chance by Hypothesis."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def pick(self, among: Sequence[T]) -> T:
        return self._data.draw(st.sampled_from(among))

    def number(self, least: int, most: int) -> int:
        return self._data.draw(st.integers(least, most))


class Story(RuleBasedStateMachine):
    """Each thing that can be asked is a rule (see `Sides`)."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.sides = Sides(self.folder)

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.sides.begin(Drawn(data))

    @invariant()
    def compare(self) -> None:
        self.sides.compare()

    def teardown(self) -> None:
        self.sides.desk.leave()
        shutil.rmtree(self.folder)


def _as_rule(name: str) -> Any:
    def asked(self: Story, data: st.DataObject) -> None:
        getattr(self.sides, name)(Drawn(data))

    asked.__name__ = name
    return rule(data=st.data())(asked)


for _one in WEIGHTS:
    setattr(Story, _one.__name__, _as_rule(_one.__name__))

TestStory: Any = Story.TestCase
TestStory.__doc__ = "Short stories, made as small as can be when one goes wrong."
TestStory.pytestmark = [pytest.mark.timeout(0)]  # a failure is worth the time it takes to make it small
TestStory.settings = settings(
    max_examples=2000 if SOAK else 40,
    stateful_step_count=80 if SOAK else 40,
    deadline=None,
    derandomize=not SOAK,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(0 if SOAK else 120)
@pytest.mark.parametrize("seed", range(1000 if SOAK else 20))
def test_a_long_walk_leaves_both_sides_with_the_same_books(seed: int, tmp_path: Path) -> None:
    """Hundreds of commands by one seed; a difference is found at the latest five steps after it began."""
    chance, sides = Seeded(seed), Sides(tmp_path)
    sides.begin(chance)
    rules, weights = list(WEIGHTS), list(WEIGHTS.values())
    for step in range(300):
        (asked,) = chance._random.choices(rules, weights)
        asked(sides, chance)
        if step % 5 == 0:
            sides.compare()
    sides.compare()
    sides.desk.leave()
