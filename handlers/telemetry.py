"""Metrics and traces over a gateway. Imported only where SKYBRIDGE_METRICS or an OpenTelemetry endpoint is set, or when
somebody first asks the local door for `/metrics`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any, Protocol, TextIO, cast

from core.configuration import ConfigurationError
from core.gateway import Gateway
from core.http import Request
from core.routes import Endpoint
from core.routing.health import candidate_key
from core.telemetry.measures import OTHER, Measures
from core.usage import UsageRecord
from handlers.io.log import JsonLog
from handlers.io.shipping import Outside

METRICS = ("", "off", "prometheus", "emf")
# Records that wait to be counted: they are when this many do, or when somebody looks.
MOST_WAITING = 500
# Names of models that one process makes metrics of; what clients invent beyond goes under one name.
MOST_MODELS = 100

# Lines of the log that become metrics of CloudWatch's.
_FAULTS = {"store_fault": "StoreFaults", "archive_fault": "ArchiveFaults", "export_fault": "ExportFaults"}


class PageOfMetrics:
    """Counts records for Prometheus's page. Counting is put off until somebody looks: requests only hand over."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._measures = Measures()
        self._waiting: list[UsageRecord] = []
        self.event = self._measures.event
        self.refused = self._measures.refused

    def record(self, record: UsageRecord) -> None:
        self._waiting.append(record)
        if len(self._waiting) >= MOST_WAITING:
            self._count()

    def page(self) -> bytes:
        """The page of now."""
        self._count()
        render = import_module("core.telemetry.prometheus").render
        gauges = {"skybridge_in_flight_requests": {(): self._gateway.in_flight.total}}
        return cast(bytes, render(self._measures, {**gauges, "skybridge_candidate_cooling": cooling(self._gateway)}))

    def _count(self) -> None:
        waiting, self._waiting = self._waiting, []
        for record in waiting:
            self._measures.record(record)


def cooling(gateway: Gateway) -> dict[tuple[str, ...], float]:
    """Each candidate by backend, region and model: 1 while its breaker or a rate limit keeps it from being tried."""
    registry = gateway.configuration.registry
    routes = [*registry.routes.values(), *(route for _, _, route in registry.patterns)]
    found: dict[tuple[str, ...], float] = {}
    for route in routes:
        for candidate in route.candidates:
            found[candidate_key(candidate)] = float(gateway.health.report(candidate)["state"] != "closed")
    return found


class MetricLines:
    """Prints each request's metrics in CloudWatch's format, after its answer."""

    def __init__(self, gateway: Gateway, outside: Outside, stream: TextIO | None = None) -> None:
        emf = import_module("core.telemetry.emf")
        variables = outside.variables
        name = variables.get("POWERTOOLS_SERVICE_NAME") or "skybridge"
        self._service = emf.Service(variables.get("POWERTOOLS_METRICS_NAMESPACE") or "Skybridge", name)
        self._emf = emf
        self._gateway = gateway
        self._clock = outside.clock
        self._stream = stream or sys.stdout
        self._records: list[tuple[UsageRecord, int]] = []
        self._faults: list[str] = []
        self._models: set[str] = set()

    def record(self, record: UsageRecord) -> None:
        self._records.append((record, self._gateway.in_flight.total + 1))  # it has just left

    def event(self, event: str, fields: Mapping[str, object]) -> None:
        """Counts a fault that was logged."""
        if event in _FAULTS:
            self._faults.append(_FAULTS[event])

    async def flush(self) -> None:
        """Prints what waits."""
        records, self._records = self._records, []
        faults, self._faults = self._faults, []
        now = self._clock.time()
        down = int(sum(cooling(self._gateway).values())) if records else 0
        documents = []
        for record, under_way in records:
            gauges = {"InFlight": under_way, "CoolingCandidates": down}
            document = self._emf.request_document(record, self._service, gauges, now)
            documents.append({**document, "model": self._bounded(document["model"])})
        documents.extend(self._emf.event_document(name, self._service, now) for name in faults)
        if documents:
            encode = import_module("json").dumps
            self._stream.write("".join(encode(document, separators=(",", ":")) + "\n" for document in documents))
            self._stream.flush()

    def _bounded(self, model: str) -> str:
        if model not in self._models and len(self._models) >= MOST_MODELS:
            return OTHER
        self._models.add(model)
        return model


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
    page = PageOfMetrics(gateway)
    keepers.append(page)
    gateway.ports.metered = True
    gateway.ports.metrics, gateway.ports.refused = page.page, page.refused
    if isinstance(gateway.ports.log, JsonLog):
        gateway.ports.log.watcher = page.event
    return page.page()


def _measure(gateway: Gateway, outside: Outside, observers: Observers) -> None:
    wanted = outside.variables.get("SKYBRIDGE_METRICS", "")
    if wanted not in METRICS:
        raise ConfigurationError("SKYBRIDGE_METRICS", f"expected prometheus, emf or off; got {wanted!r}")
    if wanted == "prometheus":
        page = PageOfMetrics(gateway)
        gateway.ports.metrics, gateway.ports.refused = page.page, page.refused
        observers.records.append(page.record)
        observers.events.append(page.event)
    if wanted == "emf":
        lines = MetricLines(gateway, outside)
        observers.records.append(lines.record)
        observers.events.append(lines.event)
        observers.after.append(lines.flush)
        observers.finish.append(lines.flush)


def _trace(gateway: Gateway, outside: Outside, observers: Observers) -> None:
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
