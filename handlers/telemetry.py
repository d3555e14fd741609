"""Metrics and traces over a gateway. Imported only where SKYBRIDGE_METRICS or an OpenTelemetry endpoint is set, or when
somebody first asks the local door for `/metrics`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any, Protocol, cast

from core.configuration import ConfigurationError
from core.gateway import Gateway
from core.http import Request
from core.routes import Endpoint
from core.usage import UsageRecord
from handlers.io.log import JsonLog
from handlers.io.shipping import Outside

METRICS = ("", "off", "prometheus", "emf")
# Where spans go: without one of these there are none.
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

type After = Callable[[], Awaitable[None]]


class Observers:
    """What follows a gateway: records go to `record`, lines of the log to `event`; `after` is run after each answer and
    `finish` when the process ends."""

    def __init__(self) -> None:
        self.records: list[Callable[[UsageRecord], None]] = []
        self.events: list[Callable[[str, Mapping[str, object]], None]] = []
        self.after: list[After] = []
        self.finish: list[After] = []

    def record(self, record: UsageRecord) -> None:
        for take in self.records:
            take(record)

    def event(self, event: str, fields: Mapping[str, object]) -> None:
        for take in self.events:
            take(event, fields)


def observe(gateway: Gateway, outside: Outside) -> Observers:
    """Has the gateway followed as `outside.variables` ask. Raises ConfigurationError."""
    observers = Observers()
    _measure(gateway, outside, observers)
    _trace(gateway, outside, observers)
    log = outside.log
    if observers.events and isinstance(log, JsonLog):
        log.watcher = observers.event
    return observers


class Keeper(Protocol):
    """Takes each request's record."""

    def record(self, record: UsageRecord) -> None: ...


def begin_page(gateway: Gateway, keepers: list[Keeper]) -> bytes:
    """The first page of metrics: from now on records are counted. Whoever scrapes reads differences, so it does not
    matter when counting began."""
    page = import_module("handlers.metrics_page").PageOfMetrics(gateway)
    keepers.append(page)
    gateway.ports.metered = True
    gateway.ports.metrics, gateway.ports.refused = page.page, page.refused
    if isinstance(gateway.ports.log, JsonLog):
        gateway.ports.log.watcher = page.event
    return cast(bytes, page.page())


def _measure(gateway: Gateway, outside: Outside, observers: Observers) -> None:
    wanted = outside.variables.get("SKYBRIDGE_METRICS", "")
    if wanted not in METRICS:
        raise ConfigurationError("SKYBRIDGE_METRICS", f"expected prometheus, emf or off; got {wanted!r}")
    if wanted == "prometheus":
        page = import_module("handlers.metrics_page").PageOfMetrics(gateway)
        gateway.ports.metrics, gateway.ports.refused = page.page, page.refused
        observers.records.append(page.record)
        observers.events.append(page.event)
    if wanted == "emf":
        lines = import_module("handlers.metric_lines").MetricLines(gateway, outside)
        observers.records.append(lines.record)
        observers.events.append(lines.event)
        observers.after.append(lines.flush)
        observers.finish.append(lines.flush)


def _trace(gateway: Gateway, outside: Outside, observers: Observers) -> None:
    if not any(outside.variables.get(name) for name in _ENDPOINTS):
        return
    exporter = import_module("handlers.io.otlp_exporter")
    settings = exporter.read_settings(outside.variables, _resource(outside.variables))
    if settings is None:
        return
    spans = import_module("core.telemetry.spans")
    read_sampler = import_module("core.telemetry.sampling").read_sampler
    variables = outside.variables
    try:
        sampler = read_sampler(variables.get("OTEL_TRACES_SAMPLER", ""), variables.get("OTEL_TRACES_SAMPLER_ARG", ""))
    except ValueError as error:
        key, _, message = str(error).partition(": ")
        raise ConfigurationError(key, message) from error
    sender = exporter.OtlpExporter(settings, outside)
    ports = spans.TracePorts(time.time_ns, lambda size: os.urandom(size).hex(), _xray(variables), sampler, sender.put)

    def trace(request: Request, endpoint: Endpoint) -> Any:
        return spans.begin(ports, request, endpoint)

    gateway.ports.trace = trace
    observers.after.append(sender.shipper.after_answer)
    observers.finish.append(sender.shipper.finish)


def _xray(variables: Mapping[str, str]) -> Callable[[], str]:
    """The X-Ray header of the invocation that is being answered."""
    if "AWS_LAMBDA_FUNCTION_NAME" not in variables:
        return lambda: ""
    current = import_module("handlers.io.lambda_log").CURRENT

    def header() -> str:
        invocation = current.get()
        return "" if invocation is None else cast(str, invocation.trace_id)

    return header


def _resource(variables: Mapping[str, str]) -> dict[str, str | bool | int | float | list[str]]:
    """Where the process runs, by OpenTelemetry's conventions for resources."""
    known = {
        "telemetry.sdk.name": "skybridge", "telemetry.sdk.language": "python",
        "faas.name": variables.get("AWS_LAMBDA_FUNCTION_NAME") or variables.get("WEBSITE_SITE_NAME"),
        "faas.version": variables.get("AWS_LAMBDA_FUNCTION_VERSION"),
        "faas.instance": variables.get("AWS_LAMBDA_LOG_STREAM_NAME") or variables.get("WEBSITE_INSTANCE_ID"),
        "cloud.region": variables.get("AWS_REGION") or variables.get("REGION_NAME"),
    }  # fmt: skip
    if "AWS_LAMBDA_FUNCTION_NAME" in variables:
        known.update({"cloud.provider": "aws", "cloud.platform": "aws_lambda"})
    elif "WEBSITE_SITE_NAME" in variables:
        known.update({"cloud.provider": "azure", "cloud.platform": "azure.functions"})
    return {name: value for name, value in known.items() if value}
