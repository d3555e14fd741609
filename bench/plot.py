"""Draws bench/results.json: one bar chart a figure, as SVG for the README.

    python -m bench.plot [--results bench/results.json] [--target docs/bench.svg]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from bench.measure import DIRECT, Figures
from bench.report import Row, hot_rows

ROOT = Path(__file__).resolve().parents[1]
# Drawn in this order; the label is the report's.
SHOWN = (
    ("requests/s, 64 connections", True),
    ("chunks/s, 100 streams", True),
    ("added to the first byte, ms, p50", False),
    ("s from the spawn to the first answer", False),
    ("RSS MB after the first answer", False),
    ("installed MB", False),
)
COLUMNS, WIDTH, BAR, GAP, LABEL = 2, 480, 16, 8, 160
STYLE = """
text{font:12px system-ui,sans-serif;fill:#57606a} .title{font-weight:600;fill:#24292f} .value{fill:#24292f}
.bar{fill:#8c959f} .own{fill:#2f6fde} .page{fill:#ffffff}
@media (prefers-color-scheme:dark){text{fill:#8b949e}.title,.value{fill:#e6edf3}.bar{fill:#57606a}.own{fill:#6ea8fe}
.page{fill:#0d1117}}
"""


@dataclass(frozen=True)
class Chart:
    """One figure of all candidates. `more`: whether more is better."""

    title: str
    more: bool
    form: str
    bars: Sequence[tuple[str, float]]

    @property
    def height(self) -> int:
        return 30 + len(self.bars) * (BAR + GAP) + 10


def charts(figures: Sequence[Figures]) -> Iterator[Chart]:
    """What is drawn, of what was measured."""
    direct = next(one for one in figures if one.name == DIRECT)
    rows: dict[str, Row] = {row.label: row for row in hot_rows(direct)}
    for label, more in SHOWN:
        row = rows[label]
        values = ((one.name, row.value(one)) for one in figures if one is not direct)
        bars = [(name, value) for name, value in values if value is not None]
        yield Chart(label, more, row.form, bars)


def draw(chart: Chart, left: int, top: int) -> Iterator[str]:
    """One chart with its place on the page."""
    hint = "more is better" if chart.more else "less is better"
    yield f'<g transform="translate({left},{top})"><text class="title" x="8" y="16">{escape(chart.title)}</text>'
    yield f'<text x="{WIDTH - 12}" y="16" text-anchor="end">{hint}</text>'
    longest = max((value for _, value in chart.bars), default=0.0) or 1.0
    room = WIDTH - LABEL - 90
    for number, (name, value) in enumerate(chart.bars):
        y = 30 + number * (BAR + GAP)
        kind = "bar own" if name.startswith("Skybridge") else "bar"
        width = max(1.0, value / longest * room)
        yield f'<text x="{LABEL - 6}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
        yield f'<rect class="{kind}" x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>'
        yield f'<text class="value" x="{LABEL + width + 6:.1f}" y="{y + 12}">{format(value, chart.form)}</text>'
    yield "</g>"


def page(drawn: Sequence[Chart]) -> str:
    """All charts in a grid."""
    lines: list[str] = []
    top = 8
    for start in range(0, len(drawn), COLUMNS):
        row = drawn[start : start + COLUMNS]
        for column, chart in enumerate(row):
            lines += draw(chart, column * WIDTH, top)
        top += max(chart.height for chart in row)
    width = WIDTH * COLUMNS
    title = "Skybridge beside its peers, one run"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" role="img" aria-label="{title}">'
        f'<style>{STYLE}</style><rect class="page" width="{width}" height="{top}"/>' + "\n".join(lines) + "</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results.json")
    parser.add_argument("--target", type=Path, default=ROOT / "docs" / "bench.svg")
    options = parser.parse_args()
    document: dict[str, Any] = json.loads(options.results.read_text())
    options.target.write_text(page(list(charts([Figures(**one) for one in document["figures"]]))))


if __name__ == "__main__":
    main()
