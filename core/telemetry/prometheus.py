"""Measures as Prometheus reads them: the text format, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.telemetry.measures import METRICS, Distribution, Labels, Measures, Metric
from core.usage import in_usd

type Gauges = Mapping[str, Mapping[Labels, float]]

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def render(measures: Measures, gauges: Gauges) -> bytes:
    """The page. `gauges` hold what stands now, by metric and labels."""
    lines: list[str] = []
    for metric in METRICS.values():
        lines.append(f"# HELP {metric.name} {metric.text}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines.extend(_samples(metric, measures, gauges))
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")  # clients name things by halves of pairs, too


def _samples(metric: Metric, measures: Measures, gauges: Gauges) -> Iterable[str]:
    if metric.kind == "histogram":
        for labels, found in measures.distributions.get(metric.name, {}).items():
            yield from _histogram(metric, labels, found)
    elif metric.kind == "gauge":
        for labels, value in gauges.get(metric.name, {}).items():
            yield f"{metric.name}{_labels(metric.labels, labels)} {_number(value)}"
    else:
        counters = measures.counters.get(metric.name, {})
        if not metric.labels and not counters:
            counters = {(): 0}
        for labels, count in counters.items():
            shown = str(count) if metric.divisor == 1 else in_usd(count)
            yield f"{metric.name}{_labels(metric.labels, labels)} {shown}"


def _histogram(metric: Metric, labels: Labels, found: Distribution) -> Iterable[str]:
    names = (*metric.labels, "le")
    total = 0
    for bound, count in zip((*map(_number, metric.buckets), "+Inf"), found.counts, strict=True):
        total += count
        yield f"{metric.name}_bucket{_labels(names, (*labels, bound))} {total}"
    yield f"{metric.name}_sum{_labels(metric.labels, labels)} {_number(found.sum)}"
    yield f"{metric.name}_count{_labels(metric.labels, labels)} {total}"


def _labels(names: Labels, values: Labels) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True))
    return f"{{{','.join(pairs)}}}"


def _number(value: float) -> str:
    return repr(round(value, 9)).removesuffix(".0")
