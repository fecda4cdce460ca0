"""Figures of several processes are shown as one: counters add up and never go back, gauges are those of the living."""

import errno
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from farebox import figures, metrics
from farebox.figures import Shared, retire


def shown(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every number of an exposition, by its name and labels."""
    families = text_string_to_metric_families(text.decode())
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples}


def is_a_count(name: str) -> bool:
    return name.endswith(("_total", "_bucket", "_count", "_sum"))


def move() -> None:
    """Something of every kind has happened."""
    metrics.requests.add(("openai", "/v1/chat/completions", "200"))
    metrics.alarms.labels("overage").inc()
    metrics.commit_seconds.observe(1500)
    metrics.in_flight.set(3)


def share(folder: Path, place: str) -> Shared:
    return Shared(folder, place, move)


def test_one_process_alone_is_shown_as_it_is(tmp_path: Path) -> None:
    """The detour through the shared folder changes neither names, labels, types nor numbers."""
    move()
    alone = metrics.exposition()
    together = Shared(tmp_path, "0", lambda: None).exposition()
    assert shown(together) == shown(alone)
    assert sorted(together.splitlines()) == sorted(alone.splitlines())


def test_processes_add_up(tmp_path: Path) -> None:
    """Two processes with the same figures are twice the figures of one; when each figure was first counted stays the first."""
    move()
    one = Shared(tmp_path, "0", lambda: None)
    one.leave()
    alone, both = shown(metrics.exposition()), shown(Shared(tmp_path, "1", lambda: None).exposition())
    assert both == {key: value if key[0].endswith("_created") else value * 2 for key, value in alone.items()}


def test_a_dead_process_leaves_its_counts_and_takes_its_gauges(tmp_path: Path) -> None:
    """What it had on its way is not on its way any more; what it counted has happened."""
    share(tmp_path, "0").leave()
    retire(tmp_path, "0")
    alone = shown(metrics.exposition())
    rest = shown(Shared(tmp_path, "1", lambda: None).exposition())
    counted = {key: value for key, value in rest.items() if is_a_count(key[0])}
    assert counted == {key: value * 2 for key, value in alone.items() if is_a_count(key[0])}
    assert rest["farebox_calls_in_flight", ()] == alone["farebox_calls_in_flight", ()] == 3


def test_a_successor_begins_with_what_was_counted_before(tmp_path: Path) -> None:
    """No counter of the node goes back when a process dies and another takes its place."""
    share(tmp_path, "0").leave()
    retire(tmp_path, "0")
    successor = Shared(tmp_path, "0", lambda: None)
    successor.leave()
    successor.leave()
    alone = shown(metrics.exposition())
    key = ("farebox_requests_total", (("dialect", "openai"), ("route", "/v1/chat/completions"), ("status", "200")))
    assert shown(successor.exposition())[key] == 2 * alone[key]
    assert shown(Shared(tmp_path, "1", lambda: None).exposition())[key] == 3 * alone[key]


def test_telling_goes_on_until_the_end(tmp_path: Path) -> None:
    """The last word of a process is what it came to."""
    telling = Shared(tmp_path, "0", lambda: None)
    telling.begin()
    metrics.requests.add(("openai", "late", "200"))
    telling.end()
    key = ("farebox_requests_total", (("dialect", "openai"), ("route", "late"), ("status", "200")))
    assert shown(Shared(tmp_path, "1", lambda: None).exposition())[key] == 2


def test_a_folder_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    """The supervisor was killed and its folder swept away: the process still ends as it should."""
    gone = tmp_path / "gone"
    gone.mkdir()
    telling = Shared(gone, "0", lambda: None)
    gone.rmdir()
    telling.leave()
    assert not gone.exists()


def test_a_process_without_room_for_its_figures_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows its own; and whoever ends the figures of one that died is not ended by it."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    share(tmp_path, "0").leave()
    monkeypatch.setattr(figures, "_write", full)
    assert shown(share(tmp_path, "1").exposition())
    retire(tmp_path, "0")
