"""Asks for known vulnerabilities of every package that is deployed: `python infra/audit.py [--where-reachable] [...]`.

All of them are pinned, so nothing is resolved or installed. What follows goes to pip-audit as it is (`-s osv`). Ends
with 1 where there is a vulnerability, and where a package could not be looked up; `--where-reachable` only says the
latter, for machines without a way to an advisory service.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ("requirements.txt", "requirements-aws.txt")
PIP_AUDIT = ROOT / ".venv-audit" / "bin" / "pip-audit"


def ask(options: list[str]) -> tuple[list[dict[str, Any]], str]:
    """What pip-audit found for each package, and what it said where it gave no document."""
    command = [str(PIP_AUDIT), "--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off", *options]
    for name in REQUIREMENTS:
        command += ["--requirement", str(ROOT / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 the command is our own
    try:
        return json.loads(done.stdout)["dependencies"], ""
    except ValueError:
        return [], (done.stderr.strip() or "no output").splitlines()[-1]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--where-reachable", action="store_true")
    known, options = parser.parse_known_args(arguments)
    packages, fault = ask(options)
    skipped = [row["name"] for row in packages if "skip_reason" in row]
    found = [(row["name"], row["version"], each["id"]) for row in packages for each in row.get("vulns", ())]
    for name, version, advisory in found:
        print(f"VULNERABLE {name} {version}: {advisory}")  # noqa: T201 it is a command
    if fault or skipped:
        reason = fault or f"{len(skipped)} of {len(packages)} packages are unknown there: {', '.join(skipped)}"
        print(f"{'SKIPPED' if known.where_reachable else 'FAILED'} pip-audit: {reason}")  # noqa: T201
    elif not found:
        print(f"pip-audit: nothing known of {len(packages)} packages")  # noqa: T201
    return int(bool(found) or (bool(fault or skipped) and not known.where_reachable))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
