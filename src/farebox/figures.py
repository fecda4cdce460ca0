"""Figures of several processes as one. Each leaves its own in a folder that they share, every second; whoever is asked adds them up.

Counters never go back while the node runs: what was shown was left before, and who takes a dead process's place begins with what that one left.
Gauges are those of the living. What is told of other processes is up to a second old; a process that is killed takes with it what it counted
since it was last told of.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from farebox import limits, metrics

_COUNTS = ("_total", "_bucket", "_count", "_sum", "_created")


class Sample(msgspec.Struct, array_like=True):
    """One number of a family, with its labels."""

    name: str
    labels: dict[str, str]
    value: float


class Family(msgspec.Struct, array_like=True):
    """Figures of one name."""

    name: str
    kind: str
    text: str
    samples: list[Sample]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Family]).decode


class Shared:
    """A process's share: `refresh` brings its gauges up to date before they are told."""

    def __init__(self, folder: Path, place: str, refresh: Callable[[], object]) -> None:
        self._folder = folder
        self._file = _file(folder, place)
        self._refresh = refresh
        self._before = _read(self._file)
        self._telling = threading.Lock()  # asked and by itself, on two threads
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._leave_on, name="farebox-figures", daemon=True)

    def exposition(self) -> bytes:
        """What `/metrics` shows: this process as of now, the others as they last told."""
        own = self.leave()
        others = [_read(file) for file in sorted(self._folder.glob("*.json")) if file != self._file]
        return generate_latest(_Sum([own, *others]))

    def begin(self) -> None:
        """Tells from now on."""
        self._thread.start()

    def end(self) -> None:
        """Tells a last time, with nothing on its way any more."""
        self._over.set()
        self._thread.join()
        self.leave()

    def leave(self) -> list[Family]:
        """Tells the others, and gives what they are told."""
        with self._telling:
            own = self._own()
            with contextlib.suppress(OSError):  # whoever started us is gone, and the folder with it; or there is no room: the rest goes on
                _write(self._file, own)
        return own

    def _leave_on(self) -> None:
        self.leave()
        while not self._over.wait(limits.figures_every_s):
            self.leave()

    def _own(self) -> list[Family]:
        self._refresh()
        now = [_family(metric) for metric in metrics.REGISTRY.collect()]
        return list(_add([now, self._before]))


def retire(folder: Path, place: str) -> None:
    """The process in a place is gone: its gauges with it, its counts stay."""
    file = _file(folder, place)
    counts = [
        msgspec.structs.replace(one, samples=[sample for sample in one.samples if sample.name.endswith(_COUNTS)]) for one in _read(file)
    ]
    with contextlib.suppress(OSError):  # no room: what the dead one told last stays as it is
        _write(file, counts)


class _Sum(Collector):
    """Figures added up, in the shape of the client library."""

    def __init__(self, told: Iterable[list[Family]]) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        for one in _add(self._told):
            metric = Metric(one.name, one.text, one.kind)
            for sample in one.samples:
                metric.add_sample(sample.name, sample.labels, sample.value)
            yield metric


def _add(told: Iterable[list[Family]]) -> Iterable[Family]:
    """One family per name; samples with the same labels become their sum (of moments of creation: the first)."""
    found: dict[str, Family] = {}
    totals: dict[tuple[str, tuple[str, ...]], Sample] = {}
    for one in (family for families in told for family in families):
        family = found.setdefault(one.name, Family(one.name, one.kind, one.text, []))
        for sample in one.samples:
            known = totals.get(key := (sample.name, tuple(sample.labels.values())))
            if known is None:
                totals[key] = here = Sample(sample.name, sample.labels, sample.value)
                family.samples.append(here)
            elif sample.name.endswith("_created"):
                known.value = min(known.value, sample.value)
            else:
                known.value += sample.value
    return found.values()


def _family(metric: Metric) -> Family:
    return Family(metric.name, metric.type, metric.documentation, [Sample(one.name, one.labels, one.value) for one in metric.samples])


def _file(folder: Path, place: str) -> Path:
    return folder / f"{place}.json"


def _read(file: Path) -> list[Family]:
    try:
        return _decode(file.read_bytes())
    except FileNotFoundError:
        return []


def _write(file: Path, families: list[Family]) -> None:
    """Whole or not at all: somebody may be reading."""
    beside = file.with_suffix(".new")
    beside.write_bytes(_encode(families))
    beside.replace(file)
