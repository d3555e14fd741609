"""Reads what a collector was sent: OTLP's JSON, checked against the protocol's own messages."""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

IDS = ("traceId", "spanId", "parentSpanId")


def parsed(body: bytes) -> ExportTraceServiceRequest:
    """The request as its protobuf message. OTLP writes ids in hexadecimal where protobuf's JSON has base64."""
    document = json.loads(body)
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in IDS:
                    if name in span:
                        span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    message = ExportTraceServiceRequest()
    json_format.ParseDict(document, message)  # raises for any member that the protocol does not have
    return message


def spans_of(body: bytes) -> list[Any]:
    """All spans."""
    return [span for part in parsed(body).resource_spans for scope in part.scope_spans for span in scope.spans]


def attributes_of(span: Any) -> dict[str, Any]:
    """A span's (or a resource's) attributes as plain values."""
    return {item.key: _plain(item.value) for item in span.attributes}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    return getattr(value, kind)
