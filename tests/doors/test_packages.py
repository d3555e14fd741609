"""What both packages are made of: pinned to the last requirement, listed, and the same at each build."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = [ROOT / "requirements.txt", ROOT / "requirements-aws.txt"]


def load_sbom() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "infra" / "sbom.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sbom = load_sbom()

# The parts of CycloneDX's own schema that concern what is written here.
SCHEMA = {
    "type": "object",
    "required": ["bomFormat", "specVersion", "serialNumber", "version", "metadata", "components", "dependencies"],
    "additionalProperties": False,
    "properties": {
        "bomFormat": {"const": "CycloneDX"},
        "specVersion": {"const": "1.6"},
        "serialNumber": {"pattern": "^urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$"},
        "version": {"const": 1},
        "metadata": {"required": ["component"]},
        "components": {
            "type": "array",
            "items": {
                "required": ["type", "name", "version", "purl"],
                "properties": {
                    "type": {"const": "library"},
                    "bom-ref": {"type": "string"},
                    "name": {"pattern": "^[a-z0-9-]+$"},
                    "version": {"type": "string"},
                    "purl": {"pattern": "^pkg:pypi/[a-z0-9-]+@[0-9a-z.]+$"},
                    "licenses": {"items": {"required": ["license"]}},
                },
                "additionalProperties": False,
            },
        },
        "dependencies": {"items": {"required": ["ref", "dependsOn"]}},
    },
}


@pytest.mark.parametrize("requirements", REQUIREMENTS, ids=lambda path: path.stem)
def test_every_requirement_of_a_requirement_is_pinned(requirements: Path) -> None:
    pins = sbom.read_pins(requirements)
    for name in pins:
        for line in metadata.requires(name) or []:
            condition = line.partition(";")[2]
            if "extra" in condition or ("python_version" in condition and "3.15" not in condition):
                continue  # an option, or for another Python
            required = sbom.normalised(re.split(r"[\s\[=<>!~;(]", line)[0])
            assert required in pins, f"{name} needs {required}"


@pytest.mark.parametrize("requirements", REQUIREMENTS, ids=lambda path: path.stem)
def test_the_bill_of_materials_is_whole(requirements: Path) -> None:
    made = sbom.document(requirements)
    jsonschema.validate(made, SCHEMA)
    assert {row["name"]: row["version"] for row in made["components"]} == sbom.read_pins(requirements)
    known = {row["bom-ref"] for row in made["components"]} | {made["metadata"]["component"]["bom-ref"]}
    for row in made["dependencies"]:
        assert {row["ref"], *row["dependsOn"]} <= known
    licensed = [row for row in made["components"] if "licenses" in row]
    assert len(licensed) > len(made["components"]) / 2
    assert "://" not in json.dumps(made)


def test_the_bill_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        sbom.main([str(REQUIREMENTS[1]), str(tmp_path / name)])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("line", ["fastapi>=0.1", "fastapi", "fastapi==0.1; python_version > '3'", "-r other.txt"])
def test_a_requirement_that_is_no_pin_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"# text\n\nmade==1.0\n{line}\n")
    with pytest.raises(SystemExit, match="no exact pin"):
        sbom.read_pins(tmp_path / "requirements.txt")


def test_another_version_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("fastapi==0.0.1\n")
    with pytest.raises(SystemExit, match="fastapi"):
        sbom.document(tmp_path / "requirements.txt")


PARTS = ("core", "handlers", "infra", "models.yaml", "function_app.py", "host.json", ".funcignore")


def copy_project(target: Path) -> Path:
    """All that a package is made from, elsewhere."""
    target.mkdir(parents=True)
    for name in (*PARTS, *(path.name for path in REQUIREMENTS)):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target / name)
    return target


@pytest.mark.slow
@pytest.mark.parametrize(("script", "options"), [("aws", ("--installed",)), ("azure", ())])
def test_the_same_commit_builds_the_same_bytes(script: str, options: tuple[str, ...], tmp_path: Path) -> None:
    first = copy_project(tmp_path / "first")
    # Another folder, and other dates: neither may get into the package.
    shutil.copytree(first, tmp_path / "deeper" / "second", copy_function=shutil.copyfile)
    digests = set()
    for root in (first, tmp_path / "deeper" / "second"):
        command = [sys.executable, str(root / "infra" / script / "build.py"), *options]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert re.search(r"^total\s+.*KiB$", printed, re.MULTILINE)
        archive = (root / "dist" / f"{script}.zip").read_bytes()
        assert len(archive) < 10_000_000
        digests.add(hashlib.sha256(archive).hexdigest())
    assert len(digests) == 1
