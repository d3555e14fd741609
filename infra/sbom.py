"""Writes what a package is made of as CycloneDX 1.6: `python infra/sbom.py requirements-aws.txt dist/aws.cdx.json`.

The requirements are pinned to the last one, so they are the list; names, licences and who needs whom come from the
metadata of what is installed here. The same requirements give the same bytes.
https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def read_pins(requirements: Path) -> dict[str, str]:
    """Name to version. Raises SystemExit for a line that is no exact pin."""
    pins: dict[str, str] = {}
    for line in requirements.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = re.fullmatch(r"([A-Za-z0-9._-]+)==([^\s;]+)", line.strip())
        if found is None:
            raise SystemExit(f"{requirements.name}: {line!r} is no exact pin")
        pins[normalised(found[1])] = found[2]
    return pins


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def reference(name: str, version: str) -> str:
    """The package URL: https://github.com/package-url/purl-spec"""
    return f"pkg:pypi/{name}@{version}"


def component(name: str, version: str) -> dict[str, Any]:
    known = metadata.metadata(name)
    row: dict[str, Any] = {"type": "library", "bom-ref": reference(name, version), "name": name, "version": version}
    licence = known.get("License-Expression") or known.get("License")
    if licence and len(licence) < 80:
        row["licenses"] = [{"license": {"name": licence}}]
    return row | {"purl": reference(name, version)}


def required_by(name: str, pins: Mapping[str, str]) -> list[str]:
    """The references of what `name` requires, of what is in the package."""
    lines = [line for line in metadata.requires(name) or [] if "extra" not in line.partition(";")[2]]
    names = {normalised(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in lines}  # type: ignore[index]
    return sorted(reference(each, pins[each]) for each in names if each in pins)


def document(requirements: Path) -> dict[str, Any]:
    """The whole document. Raises SystemExit where another version is installed than is pinned."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = read_pins(requirements)
    wrong = [name for name, version in pins.items() if metadata.version(name) != version]
    if wrong:
        raise SystemExit(f"installed in other versions than {requirements.name} says: {', '.join(wrong)}")
    own = f"{project['name']}@{project['version']}"
    digest = hashlib.sha256(json.dumps([own, sorted(pins.items())]).encode()).hexdigest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(digest[:32])}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": project["name"],
                "version": project["version"],
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": [component(name, pins[name]) for name in sorted(pins)],
        "dependencies": [
            {"ref": own, "dependsOn": [reference(name, pins[name]) for name in sorted(pins)]},
            *({"ref": reference(name, pins[name]), "dependsOn": required_by(name, pins)} for name in sorted(pins)),
        ],
    }


def main(arguments: list[str]) -> None:
    requirements, target = map(Path, arguments)
    target.parent.mkdir(parents=True, exist_ok=True)
    made = document(requirements)
    target.write_text(json.dumps(made, indent=1) + "\n")
    sys.stdout.write(f"{target.name}: {len(made['components'])} components\n")


if __name__ == "__main__":
    main(sys.argv[1:])
