"""The Azure package: what is in it, that it is reproducible, that it starts with nothing else in reach."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from tests.doors.azure_host import AzureHost

ROOT = Path(__file__).parents[2]

# All that may lie beside host.json in the package. A new entry is a decision: add it here or to .funcignore.
TOP_LEVEL = {"core", "handlers", "function_app.py", "host.json", "requirements.txt", "models.yaml"}


def load_build() -> ModuleType:
    """infra/azure/build.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("azure_build", ROOT / "infra" / "azure" / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_build()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target: Path = tmp_path_factory.mktemp("azure") / "package"
    build.build(ROOT, target)
    return target


def required_distributions(requirements: Path) -> Iterator[importlib.metadata.Distribution]:
    """The distributions of requirements.txt and all that they require, from this environment."""
    lines = [line for line in requirements.read_text().splitlines() if line and not line.startswith("#")]
    waiting, seen = lines, set[str]()
    while waiting:
        requirement = waiting.pop()
        name = re.split(r"[\s\[=<>!~;(]", requirement, maxsplit=1)[0].lower()
        if name in seen or "extra ==" in requirement:
            continue
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python
        yield distribution
        waiting += distribution.requires or []


def link_packages(requirements: Path, target: Path) -> None:
    """Puts what the remote build would install where it would, as links to this environment's files."""
    target.mkdir(parents=True)
    for distribution in required_distributions(requirements):
        for file in distribution.files or []:
            if file.parts[0] in ("..", "__pycache__") or "__pycache__" in file.parts:
                continue
            link = target / file
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(distribution.locate_file(file))


def test_only_the_gateway_is_packaged(package: Path) -> None:
    assert {entry.name for entry in package.iterdir()} <= TOP_LEVEL
    assert not [file for file in package.rglob("*") if "__pycache__" in file.parts or file.suffix == ".pyc"]


def test_all_of_the_gateway_is_packaged(package: Path) -> None:
    for folder in ("core", "handlers"):
        modules = {file.relative_to(ROOT) for file in (ROOT / folder).rglob("*.py")}
        assert modules == {file.relative_to(package) for file in (package / folder).rglob("*.py")}


def made_tree(root: Path) -> Path:
    """A small project with everything that must not be published."""
    kept = ("core/a.py", "host.json", "handlers/deep/b.py")
    left = (".env", ".env.prod", "local.settings.json", "tests/test_x.py", "core/__pycache__/a.pyc", ".git/c")
    for name in (*kept, *left):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / ".funcignore").write_text((ROOT / ".funcignore").read_text())
    return root


def test_secrets_stay_here(tmp_path: Path) -> None:
    with zipfile.ZipFile(build.build(made_tree(tmp_path), tmp_path / "dist" / "azure")) as opened:
        assert opened.namelist() == ["core/a.py", "handlers/deep/b.py", "host.json"]


def test_the_same_tree_gives_the_same_zip(tmp_path: Path) -> None:
    first = build.build(made_tree(tmp_path / "one"), tmp_path / "first")
    os.utime(made_tree(tmp_path / "two") / "host.json", (0, 0))
    assert first.read_bytes() == build.build(tmp_path / "two", tmp_path / "second").read_bytes()


def test_the_size_table_counts_everything(package: Path) -> None:
    files = [file.relative_to(package) for file in package.rglob("*") if file.is_file()]
    rows = build.size_table(package, files)
    assert sum(count for _, count, _ in rows) == len(files)
    assert [size for _, _, size in rows] == sorted((size for _, _, size in rows), reverse=True)


@pytest.mark.doors
def test_the_package_starts_with_nothing_else_in_reach(package: Path) -> None:
    link_packages(package / "requirements.txt", package / build.PACKAGES)
    (package / "made_probe.py").write_text((ROOT / "tests" / "doors" / "azure_apps.py").read_text())
    # -I and -S: neither this folder, nor the environment's packages, nor PYTHONPATH.
    python = [sys.executable, "-I", "-S", "-B"]
    with AzureHost(package, {"SKYBRIDGE_ASGI_APP": "made_probe:create_probe"}, python) as host:
        assert httpx.get(host.url + "/any", trust_env=False).json()["platform"] == "azure"
        held = host.inspect()
    assert held["function_app"] == str(package / "function_app.py")
    assert not [entry for entry in held["path"] if entry == str(ROOT)]
    assert held["core"] in (None, str(package / "core" / "__init__.py"))


def test_the_console_is_in_it(package: Path):
    folder = Path("handlers", "console")
    assert _names(package / folder) == _names(ROOT / folder)


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
