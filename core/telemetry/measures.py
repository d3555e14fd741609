"""What is counted of requests, and where the counts are kept. The names are Prometheus's own style
(https://prometheus.io/docs/practices/naming/); core.telemetry.emf has CloudWatch's for the same things.

Memory is bounded: beyond MOST_SERIES combinations of labels a metric goes on under the label "other".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from core.slotted import field, slotted
from core.usage import UsageRecord

type Kind = Literal["counter", "gauge", "histogram"]
type Labels = tuple[str, ...]

MOST_SERIES = 1000
# Names of clients' own making are cut off here: each stands in a dozen lines of the page.
LONGEST_LABEL = 200
OTHER = "other"

# Upper bounds in seconds. Answers of models take from tenths of seconds to minutes.
FIRST_BYTE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0)
DURATION_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)


@slotted(frozen=True)
class Metric:
    """One metric. `divisor`: what is kept is this many times larger than what is shown."""

    name: str
    kind: Kind
    text: str
    labels: Labels = ()
    buckets: tuple[float, ...] = ()
    divisor: int = 1


_SERVED = ("model", "backend")

METRICS: dict[str, Metric] = {
    row.name: row
    for row in (
        Metric(
            "skybridge_requests_total", "counter", "Requests that ended, however they did.",
            ("operation", "format", *_SERVED, "status", "outcome"),
        ),
        Metric("skybridge_refusals_total", "counter", "Requests turned away before routing.", ("format", "kind")),
        Metric("skybridge_errors_total", "counter", "Requests that failed or broke off.", (*_SERVED, "outcome")),
        Metric("skybridge_failovers_total", "counter", "Attempts beyond the first.", _SERVED),
        Metric("skybridge_tokens_total", "counter", "Tokens by kind.", (*_SERVED, "kind")),
        Metric("skybridge_cost_usd_total", "counter", "Cost of answers in USD.", _SERVED, divisor=10**12),
        Metric(
            "skybridge_first_byte_seconds", "histogram", "From a request to its answer's first content.", _SERVED,
            FIRST_BYTE_BUCKETS,
        ),
        Metric("skybridge_request_seconds", "histogram", "From a request to its end.", _SERVED, DURATION_BUCKETS),
        Metric("skybridge_dropped_fields_total", "counter", "Fields that a backend cannot take.", ("backend", "field")),
        Metric("skybridge_store_faults_total", "counter", "Calls to the store that failed.", ("during",)),
        Metric("skybridge_archive_faults_total", "counter", "Writes to the body archive that failed."),
        Metric("skybridge_export_faults_total", "counter", "Exports of traces that failed."),
        Metric("skybridge_lost_total", "counter", "What was given up for want of room.", ("what",)),
        Metric("skybridge_requests_died_total", "counter", "Requests whose process ended before they did."),
        Metric("skybridge_in_flight_requests", "gauge", "Requests under way."),
        Metric(
            "skybridge_candidate_cooling", "gauge", "1 while a candidate cools down or is probed.",
            ("backend", "region", "model"),
        ),
    )
}  # fmt: skip

# Log events that are counted: the metric, and the line's field that has its label, or the label itself. A line that
# tells `items` that are lost counts each of them.
COUNTED_EVENTS: Mapping[str, tuple[str, str]] = {
    "store_fault": ("skybridge_store_faults_total", "during"),
    "archive_fault": ("skybridge_archive_faults_total", ""),
    "export_fault": ("skybridge_export_faults_total", ""),
    "request_died": ("skybridge_requests_died_total", ""),
    "usage_lost": ("skybridge_lost_total", "usage"),
    "archive_lost": ("skybridge_lost_total", "archive"),
    "export_lost": ("skybridge_lost_total", "export"),
}


@slotted
class Distribution:
    """Observations of a histogram. `counts` has one place for each bucket and one for what is larger than all."""

    counts: list[int]
    sum: float = 0.0


@slotted
class Measures:
    """The counts of one process."""

    counters: dict[str, dict[Labels, int]] = field(default_factory=dict)
    distributions: dict[str, dict[Labels, Distribution]] = field(default_factory=dict)
    most_series: int = MOST_SERIES

    def add(self, name: str, labels: Labels, amount: int = 1) -> None:
        """Counts `amount` more. `labels` are values in the order of the metric's row."""
        series = self.counters.setdefault(name, {})
        labels = self._bounded(labels, series)
        series[labels] = series.get(labels, 0) + amount

    def observe(self, name: str, labels: Labels, value: float) -> None:
        """Adds one observation to a histogram."""
        series = self.distributions.setdefault(name, {})
        labels = self._bounded(labels, series)
        buckets = METRICS[name].buckets
        found = series.get(labels)
        if found is None:
            found = series[labels] = Distribution([0] * (len(buckets) + 1))
        place = next((index for index, bound in enumerate(buckets) if value <= bound), len(buckets))
        found.counts[place] += 1
        found.sum += value

    def _bounded(self, labels: Labels, series: Mapping[Labels, object]) -> Labels:
        if labels in series:
            return labels
        labels = tuple(label[:LONGEST_LABEL] for label in labels)
        if labels in series or len(series) < self.most_series:
            return labels
        return (OTHER,) * len(labels)

    def event(self, name: str, fields: Mapping[str, object]) -> None:
        """Counts a line of the log, where such lines are counted."""
        counted = COUNTED_EVENTS.get(name)
        if counted is None:
            return
        metric, label = counted
        if not METRICS[metric].labels:
            self.add(metric, ())
            return
        items = fields.get("items")
        self.add(metric, (str(fields.get(label, label)),), items if isinstance(items, int) else 1)

    def refused(self, format_name: str, kind: str) -> None:
        """Counts a request that was turned away before it was routed."""
        self.add("skybridge_refusals_total", (format_name, kind))

    def record(self, record: UsageRecord) -> None:
        """Counts what a request did and used."""
        # A name that no backend was found for is the client's invention: it makes no series of its own.
        served = (record.model if record.backend else "", record.backend)
        status = str(record.status)
        asked = (record.operation, record.client_format)
        self.add("skybridge_requests_total", (*asked, *served, status, record.outcome))
        if record.outcome in ("failed", "cut"):
            self.add("skybridge_errors_total", (*served, record.outcome))
        if record.attempts > 1:
            self.add("skybridge_failovers_total", served, record.attempts - 1)
        for kind, count in tokens_by_kind(record).items():
            if count:
                self.add("skybridge_tokens_total", (*served, kind), count)
        if record.cost is not None:
            self.add("skybridge_cost_usd_total", served, record.cost.total)
        if record.first_byte_seconds is not None:
            self.observe("skybridge_first_byte_seconds", served, record.first_byte_seconds)
        self.observe("skybridge_request_seconds", served, record.seconds)
        for name in record.dropped:
            self.add("skybridge_dropped_fields_total", (record.backend, name))


def tokens_by_kind(record: UsageRecord) -> dict[str, int]:
    """The tokens of an answer, each counted once but for `reasoning`, which is a part of `output`."""
    usage = record.usage
    return {
        "input": usage.input_tokens or 0,
        "output": usage.output_tokens or 0,
        "cache_read": usage.cache_read_tokens or 0,
        "cache_write": usage.cache_write_tokens,
        "reasoning": usage.reasoning_tokens or 0,
    }
