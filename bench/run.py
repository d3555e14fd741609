"""`make bench`: the gateway beside a direct connection and its peers, all in one run on the same two CPUs.

    python -m bench.run [--seconds 1] [--starts 11] [--only NAME ...] [--relay]

Prints one report and writes it to bench/results.md, the numbers to bench/results.json. What is measured runs on one
CPU, one candidate at a time; backend and load generator share another. Numbers of different runs or machines are not
comparable; the ratios are. BENCH_PEERS=1 sets up nginx, LiteLLM's proxy, Portkey's gateway and TensorZero's in .bench/,
once; those that are there are measured.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.measure import ROUNDS, Bench, Figures
from bench.peers import CANDIDATES, PORTKEY_PACKAGE, RELAY, REQUIREMENTS, ROOT, Candidate
from bench.processes import CPUS, OTHER_CPU, pin, unpin
from bench.report import cold_table, failures, hot_table, pair_table

RESULTS = ROOT / "bench" / "results"


def cold_starts(count: int) -> list[dict[str, Any]]:
    """The rows of bench/cold_start.py, which may use both CPUs."""
    command = [sys.executable, "-m", "bench.cold_start", "--json", "--runs", str(count)]
    done = subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=unpin
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def measured(candidates: Sequence[Candidate], seconds: float) -> tuple[list[Figures], list[str]]:
    """The figures of all that can be measured, and why the others cannot."""
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        bench = Bench(Path(name), seconds)
        with bench.with_backend():
            present = []
            for candidate in candidates:
                obstacle = candidate.obstacle()
                if obstacle:
                    notes.append(f"{candidate.name} was skipped: {obstacle}.")
                else:
                    present.append(candidate)
            figures, more = bench.measure(present)
    return figures, [*notes, *more]


def write_report(figures: Sequence[Figures], starts: Sequence[dict[str, Any]], head: str, notes: list[str]) -> str:
    """The report, which is also written to files."""
    parts = [[head], hot_table(figures), pair_table(figures), cold_table(starts) if starts else [], notes]
    report = "\n\n".join("\n".join(part) for part in parts if part) + "\n"
    RESULTS.with_suffix(".md").write_text(report)
    document = {"head": head, "figures": [asdict(one) for one in figures], "cold_starts": starts, "notes": notes}
    RESULTS.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each load lasts (%(default)s)")
    parser.add_argument("--starts", type=int, default=11, help="how many cold starts of each kind (%(default)s)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a candidate beside Skybridge")
    parser.add_argument("--relay", action="store_true", help="measure the HTTP client alone too, in bench/relay.py")
    options = parser.parse_args()
    pin(OTHER_CPU)
    chosen = [one for one in CANDIDATES if not options.only or one.name in ("Skybridge", *options.only)]
    figures, notes = measured([*([RELAY] if options.relay else []), *chosen], options.seconds)
    print("cold starts", file=sys.stderr)
    starts = cold_starts(options.starts) if options.starts else []
    if len(CPUS) < 2:
        notes.append("Only one CPU: the measured process shares it with backend and load generator.")
    versions = ", ".join([*REQUIREMENTS.values(), PORTKEY_PACKAGE])
    head = (
        f"One run on {len(CPUS)} CPUs, {platform.machine()}, Python {platform.python_version()}; {options.seconds:g} s "
        f"each, the median of {ROUNDS} rounds in which all took turns. Only the ratios carry over to other machines. "
        f"Peers: {versions}, nginx of the system."
    )
    print(write_report(figures, starts, head, [*notes, *failures(figures)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
