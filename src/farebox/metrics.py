"""What is counted, under the names that `/metrics` shows. No label has a value per key or account: their number has no bound."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

requests = Counter("farebox_requests", "Requests by dialect, route and status.", ["dialect", "route", "status"], registry=REGISTRY)
refusals = Counter("farebox_refusals", "Refusals by reason.", ["reason"], registry=REGISTRY)
charges = Counter(
    "farebox_charges", "Charges by provider, outcome and completeness.", ["provider", "outcome", "completeness"], registry=REGISTRY
)
held_usd = Counter("farebox_held_dollars", "Dollars that were set aside.", registry=REGISTRY)
charged_usd = Counter("farebox_charged_dollars", "Dollars that were charged, by provider.", ["provider"], registry=REGISTRY)
written_off_usd = Counter("farebox_written_off_dollars", "Dollars that could not be paid, by provider.", ["provider"], registry=REGISTRY)
unknown_fields = Counter(
    "farebox_unknown_fields", "Requests with a field that the dialect does not know, by its name.", ["dialect", "field"], registry=REGISTRY
)
bound_exceeded = Counter("farebox_input_bound_exceeded", "Requests whose input was more than its bound.", ["provider"], registry=REGISTRY)
alarms = Counter("farebox_alarms", "Things an operator should look at, by name.", ["name"], registry=REGISTRY)
in_flight = Gauge("farebox_calls_in_flight", "Calls on their way.", registry=REGISTRY)
drains = Gauge("farebox_drains", "Answers that are read on after their client left.", registry=REGISTRY)
drained = Gauge("farebox_drained_total", "Answers that were read on after their client left, since the start.", registry=REGISTRY)
drains_refused = Gauge(
    "farebox_drains_refused_total", "Answers that were not read on, because too many were, since the start.", registry=REGISTRY
)
queue = Gauge("farebox_ledger_queue", "Commands waiting for the ledger.", registry=REGISTRY)
upstream_open = Gauge("farebox_upstream_connections", "Connections to providers.", registry=REGISTRY)
batch_size = Histogram(
    "farebox_ledger_batch_commands", "Commands per commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512), registry=REGISTRY
)
_FAST = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.008, 0.01, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 5.0)
commit_seconds = Histogram(
    "farebox_ledger_commit_seconds", "Time of a commit, from taking the batch to durable.", buckets=_FAST, registry=REGISTRY
)
hold_seconds = Histogram(
    "farebox_hold_seconds",
    "Time from reading the request to money set aside: what the gateway adds to the first byte.",
    buckets=_FAST,
    registry=REGISTRY,
)
time_to_bill_seconds = Histogram(
    "farebox_time_to_bill_seconds", "Time from the provider's last byte to the durable charge.", buckets=_FAST, registry=REGISTRY
)
