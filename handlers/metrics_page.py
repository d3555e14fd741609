"""The page of metrics that Prometheus reads at the local door."""

from __future__ import annotations

from collections.abc import Mapping

from core.gateway import Gateway
from core.telemetry.measures import Measures
from core.telemetry.prometheus import render
from core.usage import UsageRecord
from handlers.metric_lines import cooling

# Records that wait to be counted: they are when this many do, or when somebody looks.
MOST_WAITING = 500


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
        gauges: dict[str, Mapping[tuple[str, ...], float]] = {
            "skybridge_in_flight_requests": {(): self._gateway.in_flight.total},
            "skybridge_candidate_cooling": cooling(self._gateway),
        }
        return render(self._measures, gauges)

    def _count(self) -> None:
        waiting, self._waiting = self._waiting, []
        for record in waiting:
            self._measures.record(record)
