"""Requests' metrics for CloudWatch, printed after their answers. What that takes is loaded after the first."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, TextIO

from core.gateway import Gateway
from core.routing.health import candidate_key
from core.usage import UsageRecord
from handlers.io.log import encode, put
from handlers.io.shipping import Outside

# Names of models that one process makes metrics of; what clients invent beyond goes under one name.
MOST_MODELS = 100
LONGEST_MODEL = 200
OTHER = "other"

# Lines of the log that become metrics.
_FAULTS = {"store_fault": "StoreFaults", "archive_fault": "ArchiveFaults", "export_fault": "ExportFaults"}


class MetricLines:
    """Prints each request's metrics in CloudWatch's format, after its answer."""

    def __init__(self, gateway: Gateway, outside: Outside, stream: TextIO | None = None) -> None:
        variables = outside.variables
        self._namespace = variables.get("POWERTOOLS_METRICS_NAMESPACE") or "Skybridge"
        self._name = variables.get("POWERTOOLS_SERVICE_NAME") or "skybridge"
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
        if not records and not faults:
            return
        emf: Any = import_module("core.telemetry.emf")
        service, now = emf.Service(self._namespace, self._name), self._clock.time()
        down = int(sum(cooling(self._gateway).values())) if records else 0
        documents: list[dict[str, Any]] = []
        for record, under_way in records:
            gauges = {"InFlight": under_way, "CoolingCandidates": down}
            document = emf.request_document(record, service, gauges, now)
            documents.append({**document, "model": self._bounded(document["model"])})
        documents.extend(emf.event_document(name, service, now) for name in faults)
        put(self._stream, "".join(encode(document) + "\n" for document in documents))

    def _bounded(self, model: str) -> str:
        model = model[:LONGEST_MODEL]
        if model not in self._models and len(self._models) >= MOST_MODELS:
            return OTHER
        self._models.add(model)
        return model


def cooling(gateway: Gateway) -> dict[tuple[str, ...], float]:
    """Each candidate by backend, region and model: 1 while its breaker or a rate limit keeps it from being tried."""
    registry = gateway.configuration.registry
    routes = [*registry.routes.values(), *(route for _, _, route in registry.patterns)]
    found: dict[tuple[str, ...], float] = {}
    for route in routes:
        for candidate in route.candidates:
            found[candidate_key(candidate)] = float(gateway.health.report(candidate)["state"] != "closed")
    return found
