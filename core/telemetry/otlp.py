"""Spans as OTLP's JSON: ids in hexadecimal, 64-bit integers as strings, enumerations as numbers.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.telemetry.spans import ERROR, Span, Value

SCOPE: Final = "skybridge"
# The trace flags of a recorded span: sampled.
_SAMPLED = 1


def trace_request(resource: Mapping[str, Value], version: str, spans: Sequence[Span]) -> dict[str, Any]:
    """An ExportTraceServiceRequest. `version` is the gateway's."""
    scope = {"scope": {"name": SCOPE, "version": version}, "spans": [_span(span) for span in spans]}
    return {"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}]}


def _span(span: Span) -> dict[str, Any]:
    members: dict[str, Any] = {
        "traceId": span.trace_id, "spanId": span.span_id, "flags": _SAMPLED, "name": span.name, "kind": span.kind,
        "startTimeUnixNano": str(span.start), "endTimeUnixNano": str(span.end),
        "attributes": _attributes(span.attributes),
    }  # fmt: skip
    if span.parent_id:
        members["parentSpanId"] = span.parent_id
    if span.state:
        members["traceState"] = span.state
    if span.error is not None:
        members["status"] = {"code": ERROR, "message": span.error}
    return members


def _attributes(attributes: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items()]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": value}
