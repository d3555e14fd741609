"""Fails when a layer's branch coverage is below its budget. Reads the .coverage file that pytest left."""

from __future__ import annotations

import io
import sys

import coverage

BUDGETS = {"core": 100.0, "handlers": 90.0}


def main() -> int:
    """Prints each layer's share; 1 when one is below its budget."""
    data = coverage.Coverage()
    data.load()
    failed = False
    for layer, budget in BUDGETS.items():
        share = data.report(include=f"{layer}/*", file=io.StringIO())
        print(f"{layer}: {share:.2f} % of lines and branches (budget {budget:.0f} %)")
        failed |= share < budget
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
