"""What counts: a call whose one charge is, to the nano-dollar, what the provider says it billed. Compares; knows nothing of how calls are made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass
class Run:
    """One run of the load generator. `right` and `differs` come from the provider's bill, the rest from what the load saw."""

    seconds: float
    ok: int
    refused: int
    failed: int
    events: int
    bytes: int
    streaming_peak: int
    latency_ms: dict[str, float]
    first_byte_ms: dict[str, float]
    gap_ms: dict[str, float]
    cpu_s: float
    """Of the process that was called, with all its threads."""
    right: int
    differs: int = 0
    load_cpu_s: float = 0.0
    """Of the load generator itself, by its own clock."""
    store_cpu_s: float = 0.0
    """Of a database's processes, all of them."""
    provider_cpu_s: float = 0.0

    @property
    def rate(self) -> float:
        """Calls a second that count."""
        return self.right / self.seconds

    @property
    def cpu_us(self) -> float:
        """Of each call that counts."""
        return self.us_per_call(self.cpu_s)

    def us_per_call(self, seconds: float) -> float:
        """What so many seconds are of each call that counts."""
        return seconds * 1e6 / self.right if self.right else float("nan")


def compare(billed: Mapping[str, int], charged: Iterable[tuple[str, int]]) -> tuple[int, int]:
    """How many of the provider's calls have exactly one charge of exactly their amount, and how many calls or charges have no such other half."""
    prices: dict[str, list[int]] = {}
    for call, price in charged:
        prices.setdefault(call, []).append(price)
    right = differs = 0
    for call, nano in billed.items():
        if prices.pop(call, [0]) != [nano]:
            differs += 1
        elif nano:
            right += 1
    return right, differs + sum(price > 0 for strays in prices.values() for price in strays)


@dataclass
class Tally:
    """What became of a scenario's calls, and of those of the baselines beside it."""

    right: int = 0
    differs: int = 0
    refused: int = 0
    failed: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, run: Run) -> Run:
        """Counts a run through the gateway."""
        self.right += run.right
        self.differs += run.differs
        self.refused += run.refused
        self.failed += run.failed
        if not run.right:
            self.wrong.append("a run counted no call")
        return run

    def beside(self, run: Run, name: str) -> Run:
        """A run that others are compared with: worth something only when all of its calls were answered."""
        if run.refused or run.failed or not run.right:
            self.wrong.append(f"{name}: {run.right} right, {run.refused} refused, {run.failed} failed")
        return run

    @property
    def broken(self) -> str:
        """Why the figures beside it are worth nothing; empty when they are worth something."""
        differing = [f"{self.differs} charges differ from the provider's bill"] if self.differs else []
        return "; ".join([*differing, *dict.fromkeys(self.wrong)])

    def __str__(self) -> str:
        return f"{self.right:,} right, {self.differs:,} charge differs, {self.refused:,} refused, {self.failed:,} failed"
