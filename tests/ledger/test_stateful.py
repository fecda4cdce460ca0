"""The real stores and the model, side by side: every outcome and every number must agree, whatever is asked and in whatever order.

Hypothesis looks for short stories that differ; seeded walks look for long ones, and leave the same rows in either store. `FAREBOX_SOAK=1`:
both go on for much longer.
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
from support.homes import PostgresHome, SqliteHome, home_of

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

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.home = home_of(self.kind, self.folder)
        self.sides = Sides(self.home)

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.sides.begin(Drawn(data))

    @invariant()
    def compare(self) -> None:
        self.sides.compare()

    def teardown(self) -> None:
        try:
            self.sides.leave()
        finally:
            self.home.close()
            shutil.rmtree(self.folder)


def _as_rule(name: str) -> Any:
    def asked(self: Story, data: st.DataObject) -> None:
        getattr(self.sides, name)(Drawn(data))

    asked.__name__ = name
    return rule(data=st.data())(asked)


for _one in WEIGHTS:
    setattr(Story, _one.__name__, _as_rule(_one.__name__))


class StoryOnPostgres(Story):
    """The same on the other store."""

    kind = "postgres"


def _case(story: type[Story], examples: int, steps: int) -> Any:
    case: Any = story.TestCase
    case.__doc__ = "Short stories, made as small as can be when one goes wrong."
    case.pytestmark = [pytest.mark.timeout(0)]  # a failure is worth the time it takes to make it small
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=not SOAK,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    return case


TestStory = _case(Story, 2000 if SOAK else 40, 80 if SOAK else 40)
TestStoryOnPostgres = _case(StoryOnPostgres, 500 if SOAK else 8, 60 if SOAK else 30)


def walk(sides: Sides, seed: int, steps: int, compared_every: int) -> None:
    """Hundreds of commands by one seed."""
    chance = Seeded(seed)
    sides.begin(chance)
    rules, weights = list(WEIGHTS), list(WEIGHTS.values())
    for step in range(steps):
        (asked,) = chance._random.choices(rules, weights)
        asked(sides, chance)
        if step % compared_every == 0:
            sides.compare()
    sides.leave()


@pytest.mark.timeout(0 if SOAK else 120)
@pytest.mark.parametrize("seed", range(1000 if SOAK else 20))
def test_a_long_walk_leaves_both_sides_with_the_same_books(seed: int, tmp_path: Path) -> None:
    """A difference is found at the latest five steps after it began."""
    walk(Sides(SqliteHome(tmp_path / "farebox.db")), seed, 300, 5)


@pytest.mark.timeout(0 if SOAK else 120)
@pytest.mark.parametrize("seed", range(1000, 1200 if SOAK else 1002))
def test_the_same_story_gets_the_same_answers_and_leaves_the_same_rows_in_either_store(seed: int, tmp_path: Path) -> None:
    """The same commands, ids and times: one model, two stores, every answer alike, and at the end every row of every table."""
    home = PostgresHome()
    try:
        walk(Sides(SqliteHome(tmp_path / "farebox.db"), home), seed, 400, 50)
    finally:
        home.close()
