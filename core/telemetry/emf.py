"""A request's metrics in CloudWatch's Embedded Metric Format: one JSON line that the log turns into metrics.

It is what Powertools' Metrics prints, member for member:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
Two dimension sets: the service, and the service with model and backend. Each combination of names is a metric of its
own on the bill, so what nobody asked for by name (keys, owners, sessions) is no dimension.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.slotted import slotted
from core.telemetry.measures import tokens_by_kind
from core.usage import UsageRecord

NO_VALUE = "none"

# CloudWatch's name, and the unit, of each kind of tokens.
_TOKENS = {
    "input": "InputTokens", "output": "OutputTokens", "cache_read": "CacheReadTokens",
    "cache_write": "CacheWriteTokens", "reasoning": "ReasoningTokens",
}  # fmt: skip
UNITS: Mapping[str, str] = {
    "Requests": "Count", "FailedRequests": "Count", "Failovers": "Count", "FirstByteMilliseconds": "Milliseconds",
    "DurationMilliseconds": "Milliseconds", **dict.fromkeys(_TOKENS.values(), "Count"), "SpendUsd": "None",
    "DroppedFields": "Count", "InFlight": "Count", "CoolingCandidates": "Count", "StoreFaults": "Count",
    "ArchiveFaults": "Count", "ExportFaults": "Count",
}  # fmt: skip


@slotted(frozen=True)
class Service:
    """Whose metrics they are: POWERTOOLS_METRICS_NAMESPACE and POWERTOOLS_SERVICE_NAME."""

    namespace: str
    name: str


def request_document(record: UsageRecord, service: Service, gauges: Mapping[str, int], now: float) -> dict[str, Any]:
    """The line of one request. `gauges` are further values by name, `now` in epoch seconds."""
    failed = record.status >= 500 or record.outcome in ("failed", "cut")
    values: dict[str, float] = {"Requests": 1, "FailedRequests": int(failed)}
    if record.attempts > 1:
        values["Failovers"] = record.attempts - 1
    if record.first_byte_seconds is not None:
        values["FirstByteMilliseconds"] = round(record.first_byte_seconds * 1000, 3)
    values["DurationMilliseconds"] = round(record.seconds * 1000, 3)
    values.update({_TOKENS[kind]: count for kind, count in tokens_by_kind(record).items() if count})
    if record.cost is not None:
        values["SpendUsd"] = float(record.cost.usd)
    if record.dropped:
        values["DroppedFields"] = len(record.dropped)
    values.update(gauges)
    dimensions = {"service": service.name}
    model = record.model if record.backend else NO_VALUE
    served = {**dimensions, "model": model, "backend": record.backend or NO_VALUE}
    return _document(service.namespace, [dimensions, served], values, now) | {"request_id": record.request_id}


def event_document(name: str, service: Service, now: float) -> dict[str, Any]:
    """The line of something that is counted apart from requests: one of the faults in UNITS."""
    return _document(service.namespace, [{"service": service.name}], {name: 1}, now)


def _document(
    namespace: str, dimensions: Sequence[Mapping[str, str]], values: Mapping[str, float], now: float
) -> dict[str, Any]:
    definition = {
        "Namespace": namespace,
        "Dimensions": [list(names) for names in dimensions],
        "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in values],
    }
    members: dict[str, Any] = {"_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [definition]}}
    for names in dimensions:
        members.update(names)
    members.update({name: [float(value)] for name, value in values.items()})
    return members
