"""Whether memory stays flat: many requests, then many streams, with accounts on, and what the process holds meanwhile.

    python -m bench.memory [--requests 100000] [--streams 10000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.measure import Bench, Target
from bench.peers import ACCOUNTS
from bench.processes import OTHER_CPU, pin, resident_megabytes
from bench.scenarios import SHORT, SMALL, Scenario

LOAD_SECONDS = 5.0
# Streams as short as most answers are: many end, which is where something could be left behind.
REQUESTS = Scenario("chat_completions", "messages", SMALL, 64)
STREAMS = Scenario("chat_completions", "messages", SHORT, 100)


def loaded(bench: Bench, target: Target, scenario: Scenario, wanted: int) -> None:
    """Loads until `wanted` answers have come, and prints the resident memory after each load."""
    assert target.pid is not None
    done = 0
    while done < wanted:
        result, _ = bench.run_load(target, scenario, LOAD_SECONDS)
        if result["errors"] or not result["requests"]:
            raise SystemExit(f"{scenario.name}: {result['errors'] or 'no answer was complete in time'}")
        done += result["requests"]
        print(f"{scenario.name}: {done:>7,} answers, {resident_megabytes(target.pid):.1f} MB", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--streams", type=int, default=10_000)
    options = parser.parse_args()
    pin(OTHER_CPU)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(Path(folder), LOAD_SECONDS)
        with bench.with_backend(), bench.started(ACCOUNTS) as (target, _):
            loaded(bench, target, REQUESTS, options.requests)
            loaded(bench, target, STREAMS, options.streams)
    return 0


if __name__ == "__main__":
    sys.exit(main())
