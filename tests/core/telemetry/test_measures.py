"""Counts, their page for Prometheus, and their lines for CloudWatch."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from core.telemetry.emf import UNITS, Service, event_document, request_document
from core.telemetry.measures import LONGEST_LABEL, METRICS, Measures
from core.telemetry.prometheus import render
from tests.core.telemetry.records import made_record

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (-?[0-9.e+-]+|\+Inf)')


def samples(page: bytes) -> dict[str, float]:
    """Every line of the page that is no comment, by name and labels."""
    found: dict[str, float] = {}
    for line in page.decode().splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            found[line.rpartition(" ")[0]] = float(match[3])
    return found


def test_a_request_is_counted_in_every_way() -> None:
    measures = Measures()
    measures.record(made_record())
    measures.record(made_record(status=502, outcome="failed", cost=None, first_byte_seconds=None, dropped=[]))
    once = made_record(attempts=1, model="e", backend="b")
    measures.record(once)
    found = samples(render(measures, {}))
    served = 'model="claude",backend="b2"'
    about = f'operation="generate",format="messages",{served}'
    assert found[f'skybridge_requests_total{{{about},status="200",outcome="complete"}}'] == 1
    assert found[f'skybridge_errors_total{{{served},outcome="failed"}}'] == 1
    assert found[f"skybridge_failovers_total{{{served}}}"] == 2
    assert found[f'skybridge_tokens_total{{{served},kind="cache_write"}}'] == 18
    assert found[f'skybridge_tokens_total{{{served},kind="reasoning"}}'] == 12
    assert found[f"skybridge_cost_usd_total{{{served}}}"] == 0.0000035
    assert found['skybridge_dropped_fields_total{backend="b2",field="top_k"}'] == 1
    assert found[f'skybridge_first_byte_seconds_bucket{{{served},le="0.25"}}'] == 0
    assert found[f'skybridge_first_byte_seconds_bucket{{{served},le="0.5"}}'] == 1
    assert found[f'skybridge_first_byte_seconds_bucket{{{served},le="+Inf"}}'] == 1
    assert found[f"skybridge_first_byte_seconds_sum{{{served}}}"] == 0.3
    assert found[f"skybridge_request_seconds_count{{{served}}}"] == 2


def test_names_that_nothing_was_found_for_make_no_series() -> None:
    measures = Measures(most_series=2)
    for number in range(5):
        measures.record(made_record(model=f"made-up-{number}", backend="", usage=made_record().usage.__class__()))
        measures.refused("messages", f"kind-{number}")
    assert set(measures.counters["skybridge_refusals_total"]) == {
        ("messages", "kind-0"), ("messages", "kind-1"), ("other", "other"),
    }  # fmt: skip
    assert not any("made-up" in name for name in samples(render(measures, {})))
    assert "skybridge_tokens_total" not in measures.counters


def test_lines_of_the_log_are_counted() -> None:
    measures = Measures()
    for event, fields in (
        ("store_fault", {"during": "admission"}), ("store_fault", {}), ("archive_fault", {"items": 9}),
        ("export_lost", {"items": 3}), ("usage_lost", {}), ("defect", {}),
    ):  # fmt: skip
        measures.event(event, fields)
    found = samples(render(measures, {}))
    assert found['skybridge_store_faults_total{during="admission"}'] == 1
    assert found["skybridge_archive_faults_total"] == 1 and found["skybridge_export_faults_total"] == 0
    assert found['skybridge_lost_total{what="export"}'] == 3 and found['skybridge_lost_total{what="usage"}'] == 1


def test_gauges_and_odd_names() -> None:
    gauges = {
        "skybridge_in_flight_requests": {(): 3.0},
        "skybridge_candidate_cooling": {('a"b\\c\nd', "eu", "m"): 1.0},
    }
    page = render(Measures(), gauges)
    assert b"\nskybridge_in_flight_requests 3\n" in page
    assert rb'skybridge_candidate_cooling{backend="a\"b\\c\nd",region="eu",model="m"} 1' in page
    assert page.count(b"# TYPE ") == len(METRICS) and page.endswith(b"\n")
    large = Measures()
    large.observe("skybridge_request_seconds", ("m", "b"), 5000.0)
    assert samples(render(large, {}))['skybridge_request_seconds_bucket{model="m",backend="b",le="900"}'] == 0


def powertools_line(document: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What Powertools' Metrics prints for the same values."""
    metrics = Metrics(namespace="Skybridge/made", service="made-service")
    metrics.set_timestamp(document["_aws"]["Timestamp"])
    if "model" in document:
        metrics.add_dimensions(service="made-service", model=document["model"], backend=document["backend"])
        metrics.add_metadata("request_id", document["request_id"])
    for row in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
        unit = MetricUnit.NoUnit if row["Unit"] == "None" else MetricUnit(row["Unit"])
        metrics.add_metric(name=row["Name"], unit=unit, value=document[row["Name"]][0])
    metrics.flush_metrics()
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    metrics.provider.dimension_sets.clear()
    return printed


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"backend": "", "cost": None, "first_byte_seconds": None, "attempts": 0, "status": 404, "outcome": "failed",
         "dropped": []},
        {"outcome": "cut"},
    ],
    ids=["complete", "refused", "cut"],
)  # fmt: skip
def test_a_line_is_what_powertools_prints(changes: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    service = Service("Skybridge/made", "made-service")
    gauges = {"InFlight": 1, "CoolingCandidates": 0}
    # Powertools takes times of the last days only.
    import time

    document = request_document(made_record(**changes), service, gauges, time.time())
    assert json.loads(json.dumps(document)) == powertools_line(document, capsys)
    assert document["FailedRequests"] == [float(changes.get("outcome") in ("failed", "cut"))]
    fault = event_document("StoreFaults", service, time.time())
    assert fault == powertools_line(fault, capsys)
    named = {row["Name"] for row in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert named <= set(UNITS)


def test_half_a_pair_in_a_clients_name_does_not_end_the_page() -> None:
    measures = Measures()
    measures.add("skybridge_dropped_fields_total", ("b", "half\ud800"))
    assert b'skybridge_dropped_fields_total{backend="b",field="half?"} 1' in render(measures, {})


def test_long_names_are_cut_off() -> None:
    measures = Measures()
    for _ in range(2):
        measures.add("skybridge_dropped_fields_total", ("b", "x" * 50_000))
    assert measures.counters["skybridge_dropped_fields_total"] == {("b", "x" * LONGEST_LABEL): 2}
