"""What is counted, under the names that `/metrics` shows. No label has a value per key or account: their number has no bound."""

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from farebox.clock import US_PER_S
from farebox.money import NANO_PER_USD

REGISTRY = CollectorRegistry()


def exposition() -> bytes:
    """What `/metrics` shows of this process."""
    return generate_latest(REGISTRY)


class Counts(Collector):
    """A counter that every call moves: plain integers, changed by one thread, read at a scrape. A client library's counter takes a lock and
    a look-up by label for each of these, which is a tenth of what a call may cost.
    """

    def __init__(self, name: str, help_text: str, labels: tuple[str, ...] = ()) -> None:
        self._named = (name, help_text, labels)
        self._values: dict[tuple[str, ...], int] = {} if labels else {(): 0}
        REGISTRY.register(self)

    def add(self, labels: tuple[str, ...] = (), amount: int = 1) -> None:
        values = self._values
        values[labels] = values.get(labels, 0) + amount

    def collect(self) -> Iterator[CounterMetricFamily]:
        name, help_text, labels = self._named
        family = CounterMetricFamily(name, help_text, labels=labels)
        for values, total in self._values.copy().items():
            family.add_metric(values, float(total))
        yield family


class Charged(Collector):
    """What every charge moves: how many there are, what was held for them and what was paid, in one look-up. Kept as `Counts` are."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], list[int]] = {}
        REGISTRY.register(self)

    def add(self, labels: tuple[str, str, str], held: int, paid: int) -> None:
        """One charge of a provider, an outcome and a completeness; nano-dollars."""
        sums = self._sums.get(labels)
        if sums is None:
            sums = self._sums[labels] = [0, 0, 0]
        sums[0] += 1
        sums[1] += held
        sums[2] += paid

    def collect(self) -> Iterator[CounterMetricFamily]:
        charges = CounterMetricFamily(
            "farebox_charges", "Charges by provider, outcome and completeness.", labels=("provider", "outcome", "completeness")
        )
        of_all, by_provider = 0, dict[str, int]()
        for labels, (count, held, paid) in self._sums.copy().items():
            charges.add_metric(labels, float(count))
            of_all += held
            by_provider[labels[0]] = by_provider.get(labels[0], 0) + paid
        yield charges
        yield CounterMetricFamily("farebox_held_dollars", "Dollars that were set aside.", value=of_all / NANO_PER_USD)
        charged = CounterMetricFamily("farebox_charged_dollars", "Dollars that were charged, by provider.", labels=("provider",))
        for provider, paid in by_provider.items():
            charged.add_metric((provider,), paid / NANO_PER_USD)
        yield charged


class Spread(Collector):
    """A histogram of whole numbers that every call or commit moves, kept as `Counts` are. `edges` are upper bounds, in what is shown."""

    def __init__(self, name: str, help_text: str, edges: tuple[float, ...], *, scale: int = 1) -> None:
        self._named = (name, help_text, edges, scale)
        self._bounds = [int(edge * scale) for edge in edges]  # of whole numbers, those up to an edge are those up to its whole part
        self._counts = [0] * (len(edges) + 1)
        self._sum = 0
        REGISTRY.register(self)

    def observe(self, value: int) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[HistogramMetricFamily]:
        name, help_text, edges, scale = self._named
        counts, total, buckets = list(self._counts), 0, []
        for edge, count in zip((*edges, float("inf")), counts, strict=True):
            total += count
            buckets.append(("+Inf" if edge == float("inf") else str(float(edge)), total))
        family = HistogramMetricFamily(name, help_text)
        family.add_metric((), buckets, self._sum / scale)
        yield family


requests = Counts("farebox_requests", "Requests by dialect, route and status.", ("dialect", "route", "status"))
refusals = Counter("farebox_refusals", "Refusals by reason.", ["reason"], registry=REGISTRY)
charged = Charged()
written_off_usd = Counter("farebox_written_off_dollars", "Dollars that could not be paid, by provider.", ["provider"], registry=REGISTRY)
unknown_fields = Counter(
    "farebox_unknown_fields", "Requests with a field that the dialect does not know, by its name.", ["dialect", "field"], registry=REGISTRY
)
counted_inputs = Counter(
    "farebox_counted_inputs", "Requests whose input was counted because its bound did not fit.", ["provider", "where"], registry=REGISTRY
)
input_bound_ratio = Spread(
    "farebox_input_bound_ratio",
    "Input tokens that were billed, for each that was held for. Above 1 the bound is wrong.",
    (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1),
    scale=1000,
)
bound_exceeded = Counter("farebox_input_bound_exceeded", "Requests whose input was more than its bound.", ["provider"], registry=REGISTRY)
alarms = Counter("farebox_alarms", "Things an operator should look at, by name.", ["name"], registry=REGISTRY)
workers = Gauge("farebox_workers", "Gateway processes that answer at this address.", registry=REGISTRY)
in_flight = Gauge("farebox_calls_in_flight", "Calls on their way.", registry=REGISTRY)
drains = Gauge("farebox_drains", "Answers that are read on after their client left.", registry=REGISTRY)
drained = Gauge("farebox_drained_total", "Answers that were read on after their client left, since the start.", registry=REGISTRY)
drains_refused = Gauge(
    "farebox_drains_refused_total", "Answers that were not read on, because too many were, since the start.", registry=REGISTRY
)
journal_records = Gauge(
    "farebox_journal_records", "Settlements in the capture journal that the ledger does not have yet.", registry=REGISTRY
)
journaled = Counts("farebox_journaled", "Settlements written to the capture journal, because the ledger could not be reached.")
replayed = Counts("farebox_replayed", "Settlements that the ledger took when it could be reached again, or after a restart.")
queue = Gauge("farebox_ledger_queue", "Commands waiting for the ledger.", registry=REGISTRY)
upstream_away = Gauge(
    "farebox_upstream_away", "1: the provider failed lately, and only a call now and then is let through.", ["provider"], registry=REGISTRY
)
provider_keys_resting = Gauge(
    "farebox_provider_keys_resting", "Provider keys that the provider refuses, by provider.", ["provider"], registry=REGISTRY
)
upstream_open = Gauge("farebox_upstream_connections", "Connections to providers.", registry=REGISTRY)
batch_size = Spread("farebox_ledger_batch_commands", "Commands per commit.", (1, 2, 4, 8, 16, 32, 64, 128, 256, 512))
_FAST = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.008, 0.01, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 5.0)
commit_seconds = Spread("farebox_ledger_commit_seconds", "Time of a commit, from taking the batch to durable.", _FAST, scale=US_PER_S)
hold_seconds = Spread(
    "farebox_hold_seconds",
    "Time from reading the request to money set aside: what the gateway adds to the first byte.",
    _FAST,
    scale=US_PER_S,
)
time_to_bill_seconds = Spread(
    "farebox_time_to_bill_seconds", "Time from the provider's last byte to the durable charge.", _FAST, scale=US_PER_S
)
