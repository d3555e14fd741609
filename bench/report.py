"""The results as Markdown tables: what each candidate reached, and the gateway's ratio to LiteLLM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.measure import Figures
from bench.scenarios import CHUNKS, FIRST_BYTE, LARGE, PAIRS, REQUESTS, STREAMS, TRANSLATED, TRANSLATED_LARGE, Scenario

GATEWAY, PEER = "Skybridge", "LiteLLM"


@dataclass(frozen=True)
class Row:
    """One line of the first table. `form` writes its numbers."""

    label: str
    value: Callable[[Figures], float | None]
    form: str


def _of(scenario: Scenario, member: str) -> Callable[[Figures], float | None]:
    return lambda figures: figures.value(scenario, member)


def hot_rows(direct: Figures) -> Iterator[Row]:
    """What is passed through, and what each process weighs."""
    for scenario in REQUESTS:
        yield Row(f"requests/s, {scenario.connections} connections", _of(scenario, "per_second"), ",.0f")
    for scenario in REQUESTS:
        yield Row(f"p99 ms, {scenario.connections} connections", _of(scenario, "p99_ms"), ",.2f")
    yield Row("CPU ms a request, 64 connections", _of(REQUESTS[-1], "cpu_ms"), ",.3f")
    yield Row("requests/s of 100 KB, 64 connections", _of(LARGE, "per_second"), ",.0f")
    yield Row(f"chunks/s, {STREAMS} streams", _of(CHUNKS, "chunks_per_second"), ",.0f")
    for name in ("p50", "p99"):
        member = f"first_byte_{name}_ms"
        yield Row(f"first byte ms, {name}, {STREAMS} paced streams", _of(FIRST_BYTE, member), ",.2f")
        yield Row(f"added to the first byte, ms, {name}", _added(direct, member), ",.2f")
    yield Row("s from the spawn to the first answer", lambda one: one.start, ",.2f")
    yield Row("RSS MB after the first answer", lambda one: one.idle, ",.0f")
    yield Row(f"peak RSS MB, after {STREAMS} saturated streams", lambda one: one.peak, ",.0f")
    yield Row("installed MB", lambda one: one.installed, ",.0f")


def _added(direct: Figures, member: str) -> Callable[[Figures], float | None]:
    def value(figures: Figures) -> float | None:
        own, bare = figures.value(FIRST_BYTE, member), direct.value(FIRST_BYTE, member)
        return None if own is None or bare is None or figures is direct else own - bare

    return value


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _ratio(own: float | None, peer: float | None) -> str:
    return "–" if own is None or not peer else f"{own / peer:.3g}"


def hot_table(figures: Sequence[Figures]) -> list[str]:
    """One row a measurement, one column a candidate; the last one is the gateway over LiteLLM."""
    by_name = {one.name: one for one in figures}
    gateway, peer = by_name[GATEWAY], by_name.get(PEER)
    names = [one.name for one in figures]
    lines = [f"| | {' | '.join(names)} | {GATEWAY} : {PEER} |", "|---|" + "---:|" * (len(names) + 1)]
    for row in hot_rows(by_name["direct"]):
        cells = [_cell(row.value(one), row.form) for one in figures]
        ratio = _ratio(row.value(gateway), row.value(peer) if peer else None)
        lines.append(f"| {row.label} | {' | '.join(cells)} | {ratio} |")
    return lines


def pair_table(figures: Sequence[Figures]) -> list[str]:
    """The translations: requests/s at 64 connections and chunks/s of saturated streams, beside LiteLLM's."""
    by_name = {one.name: one for one in figures}
    shown = [name for name in (GATEWAY, "Skybridge with accounts", PEER) if name in by_name]
    head = [f"{name}, {what}" for what in ("requests/s", "chunks/s") for name in shown]
    lines = [f"| client > backend | {' | '.join(head)} |", "|---|" + "---:|" * len(head)]
    for client, backend in PAIRS:
        cells = []
        for member, scenario in zip(("per_second", "chunks_per_second"), _scenarios(client, backend), strict=True):
            cells += [_cell(by_name[name].value(scenario, member), ",.0f") for name in shown]
        lines.append(f"| {client} > {backend} | {' | '.join(cells)} |")
    lines += ["", f"| 100 KB agent request | {' | '.join(f'{name}, requests/s' for name in shown)} |",
              "|---|" + "---:|" * len(shown)]  # fmt: skip
    for scenario in TRANSLATED_LARGE:
        cells = [_cell(by_name[name].value(scenario, "per_second"), ",.0f") for name in shown]
        lines.append(f"| {scenario.client} > {scenario.backend} | {' | '.join(cells)} |")
    return lines


def _scenarios(client: str, backend: str) -> list[Scenario]:
    return [one for one in TRANSLATED if (one.client, one.backend) == (client, backend)]


# The columns of bench/cold_start.py's rows, and how they are written.
COLD_FIELDS = (
    ("next", ".0f"),
    ("next_times", ".2f"),
    ("first_byte", ".0f"),
    ("first_byte_times", ".2f"),
    ("next_rss", ".0f"),
    ("first_byte_rss", ".0f"),
)


def cold_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The cold starts on Lambda, and each figure as a multiple of the first row's."""
    lines = ["| cold start, from the spawn | ms to `/invocation/next` | × bare | ms to the first byte | × bare | "
             "RSS MB at next | RSS MB then |", "|---|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for row in rows:
        cells = " | ".join(format(row[field], form) for field, form in COLD_FIELDS)
        lines.append(f"| {row['name']} | {cells} |")
    return lines


def failures(figures: Sequence[Figures]) -> list[str]:
    """What could not be measured."""
    return [f"{one.name} has no figure for {name}: {why}." for one in figures for name, why in one.failed.items()]
