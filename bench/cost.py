"""What a month costs on Lambda, on Azure Functions and in containers, from measured CPU time and list prices.

    python -m bench.cost [--results bench/results.json]

Writes the tables of docs/cost.md and draws docs/cost.svg: USD a month over turns a month. What differs between
the places is what is paid for: a function's time while a request waits for its model, or a container's whole month.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.scenarios import FIRST_BYTE, REQUESTS

ROOT = Path(__file__).resolve().parents[1]
HOURS = 730.0
# A turn of a coding agent: what it waits for its model, and how many chunks the answer has.
WAIT_SECONDS, CHUNKS = 10.0, 500
# A share of the CPU that a container is planned to use at most: traffic has peaks.
PLANNED = 0.3

# List prices, USD: us-east-1 (arm64) and East US. https://aws.amazon.com/lambda/pricing/
# https://aws.amazon.com/fargate/pricing/ https://azure.microsoft.com/pricing/details/functions/
LAMBDA_GB_SECOND, LAMBDA_REQUEST = 0.0000133334, 0.20e-6
FLEX_GB_SECOND, FLEX_EXECUTION = 0.000026, 0.40e-6
FARGATE_CPU_HOUR, FARGATE_GB_HOUR = 0.03238, 0.00356
BALANCER_MONTH = 16.43
DATABASE_MONTH = 11.68  # db.t4g.micro: LiteLLM's keys and budgets need PostgreSQL
# What the page has before and after its figures.
MARKS = ("<!-- figures -->", "<!-- end of figures -->")
LAMBDA_MEGABYTES = (128, 256, 512, 1024, 1769)
# Lambda gives a function one CPU at this size, and shares below it.
FULL_CPU_MEGABYTES = 1769


@dataclass(frozen=True)
class Work:
    """CPU seconds that one turn takes on one core: the request and its answer's chunks."""

    request: float
    chunk: float

    @property
    def turn(self) -> float:
        return self.request + CHUNKS * self.chunk


def lambda_turn(megabytes: int, work: Work) -> float:
    """USD of one turn alone in its sandbox. What little CPU a small function has lengthens it."""
    seconds = WAIT_SECONDS + work.turn / min(1.0, megabytes / FULL_CPU_MEGABYTES)
    return seconds * megabytes / 1024 * LAMBDA_GB_SECOND + LAMBDA_REQUEST


def flex_turn(gigabytes: float, at_once: float) -> float:
    """USD of one turn in an instance that holds `at_once` of them on average."""
    return WAIT_SECONDS / at_once * gigabytes * FLEX_GB_SECOND + FLEX_EXECUTION


@dataclass(frozen=True)
class Fleet:
    """Containers that run all month: `least` of them for availability, more when the CPU is used up."""

    cpus: float
    gigabytes: float
    least: int
    fixed: float
    work: Work

    def month(self, turns: float) -> float:
        """USD."""
        needed = turns * self.work.turn / (HOURS * 3600 * self.cpus * PLANNED)
        hourly = self.cpus * FARGATE_CPU_HOUR + self.gigabytes * FARGATE_GB_HOUR
        return max(self.least, math.ceil(needed)) * hourly * HOURS + self.fixed


type Month = Callable[[float], float]


def places(own: Work, litellm: Work) -> dict[str, Month]:
    """What a month of so many turns costs, by place."""
    return {
        "Lambda, 128 MB": lambda turns: turns * lambda_turn(128, own),
        "Lambda, 512 MB": lambda turns: turns * lambda_turn(512, own),
        "Flex Consumption, 2 GB, 10 at once": lambda turns: turns * flex_turn(2, 10),
        "Skybridge, two containers": Fleet(0.25, 0.5, 2, BALANCER_MONTH, own).month,
        "LiteLLM, two containers": Fleet(1, 2, 2, BALANCER_MONTH + DATABASE_MONTH, litellm).month,
    }


def break_even(one: Month, other: Month) -> float | None:
    """Turns a month from which `other` is cheaper; None when it never is within 10^9."""
    low, high = 1.0, 1e9
    if one(high) <= other(high):
        return None
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if one(middle) <= other(middle) else (low, middle)
    return high


def work_of(figures: Sequence[dict[str, Any]], name: str) -> Work:
    """What bench/results.json says of a candidate: CPU of a small request, and of one chunk that comes alone."""
    loads = next(one for one in figures if one["name"] == name)["loads"]
    request, stream = (loads[scenario.name]["cpu_ms"] / 1000 for scenario in (REQUESTS[-1], FIRST_BYTE))
    return Work(request, max(0.0, stream - request) / int(FIRST_BYTE.knobs.split("-")[1]))


def tables(own: Work, litellm: Work) -> Iterator[str]:
    """The page's figures."""
    yield f"A turn: {WAIT_SECONDS:g} s, {CHUNKS} chunks. CPU of it: Skybridge {own.turn * 1000:.1f} ms, LiteLLM "
    yield f"{litellm.turn * 1000:.0f} ms.\n\n| Lambda (arm64) | USD for a million turns |\n|---|---:|\n"
    for size in LAMBDA_MEGABYTES:
        yield f"| {size} MB | {lambda_turn(size, own) * 1e6:,.2f} |\n"
    yield "\n| Flex Consumption, 2 GB | USD for a million turns |\n|---|---:|\n"
    for at_once in (1, 10, 50):
        yield f"| {at_once} at once | {flex_turn(2, at_once) * 1e6:,.2f} |\n"
    found = places(own, litellm)
    counts = (0, 10_000, 100_000, 1_000_000, 10_000_000)
    yield f"\n| USD a month, turns a month | {' | '.join(f'{count:,}' for count in counts)} |\n"
    yield "|---|" + "---:|" * len(counts) + "\n"
    for name, month in found.items():
        yield f"| {name} | {' | '.join(f'{month(count):,.2f}' for count in counts)} |\n"
    for container in ("Skybridge, two containers", "LiteLLM, two containers"):
        even = break_even(found["Lambda, 128 MB"], found[container])
        told = "never" if even is None else f"from {even:,.0f} turns a month"
        yield f"\n{container}, are cheaper than Lambda with 128 MB {told}.\n"


# The drawing.

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 760, 420, 60, 40, 20
TURNS = (1e3, 1e8)
DOLLARS = (0.1, 1e5)
COLOURS = ("#2f6fde", "#1a9e96", "#8250df", "#57606a", "#cf222e")


def _x(turns: float) -> float:
    share = math.log10(turns / TURNS[0]) / math.log10(TURNS[1] / TURNS[0])
    return LEFT + share * (WIDTH - LEFT - 20)


def _y(dollars: float) -> float:
    dollars = min(max(dollars, DOLLARS[0]), DOLLARS[1])
    share = math.log10(dollars / DOLLARS[0]) / math.log10(DOLLARS[1] / DOLLARS[0])
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def drawing(found: dict[str, Month]) -> str:
    """The lines over both axes, which are logarithmic."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="USD a month over turns a month">'
        "<style>text{font:12px system-ui,sans-serif;fill:#57606a}.line{fill:none;stroke-width:2}"
        ".grid{stroke:#d0d7de;stroke-width:.5}</style>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    ]
    for power in range(3, 9):
        x = _x(10**power)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 20}" text-anchor="middle">{10**power:,}</text>')
    for power in range(-1, 6):
        y = _y(10.0**power)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">${10.0**power:,g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">turns a month</text>')
    for number, (name, month) in enumerate(found.items()):
        steps = [TURNS[0] * (TURNS[1] / TURNS[0]) ** (step / 200) for step in range(201)]
        points = " ".join(f"{_x(turns):.1f},{_y(month(turns)):.1f}" for turns in steps)
        colour = COLOURS[number]
        parts.append(f'<polyline class="line" stroke="{colour}" points="{points}"/>')
        y = TOP + 14 + 18 * number
        parts.append(f'<rect x="{LEFT + 14}" y="{y - 9}" width="18" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + 40}" y="{y - 3}">{name}</text>')
    return "\n".join(parts) + "</svg>\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results.json")
    parser.add_argument("--target", type=Path, default=ROOT / "docs" / "cost.md")
    options = parser.parse_args()
    figures = json.loads(options.results.read_text())["figures"]
    own, litellm = work_of(figures, "Skybridge"), work_of(figures, "LiteLLM")
    head, _, rest = options.target.read_text().partition(MARKS[0])
    figures_now = "".join(tables(own, litellm))
    options.target.write_text(f"{head}{MARKS[0]}\n{figures_now}{MARKS[1]}{rest.partition(MARKS[1])[2]}")
    options.target.with_suffix(".svg").write_text(drawing(places(own, litellm)))


if __name__ == "__main__":
    main()
