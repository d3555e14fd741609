"""Builds the Lambda package: `dist/aws/` and `dist/aws.zip`.

The gateway, what requirements-aws.txt lists, models.yaml as JSON, and the wrapper that starts the streaming
loop. Everything is compiled here, because a function's folder is read-only there: without it every cold start
would compile again. The same tree gives the same zip, byte for byte.

`--architecture` chooses the wheels (arm64 by default). `--installed` takes the packages from this Python's own
site-packages in their place: for tests, on the machine that they run on.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from py_compile import PycInvalidationMode

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements-aws.txt"
WRAPPER = "streaming-wrapper"
OWN_PACKAGES = ("core", "handlers")
# The other doors, and what only a desk needs.
LEFT_OUT = frozenset({"azure.py", "azure_extension.py", "local.py", "cli.py"})
# Where Lambda unpacks it: the paths that a traceback shows.
DEPLOYED = "/var/task"
PLATFORMS = {
    "arm64": ("manylinux2014_aarch64", "manylinux_2_28_aarch64", "manylinux_2_34_aarch64"),
    "x86_64": ("manylinux2014_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64"),
}
KEPT_METADATA = frozenset({"METADATA", "entry_points.txt"})
PRUNED_SUFFIXES = (".pyi", ".pyx", ".pxd", ".c", ".h", ".pyc")
PRUNED_FOLDERS = frozenset({"tests", "test", "__pycache__", "bin"})
ZIP_LIMIT = 10_000_000
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip can state: when it was built is no part of it


def copy_sources(root: Path, target: Path) -> None:
    """The gateway without its other doors, and the wrapper with its run bit."""
    for package in OWN_PACKAGES:
        shutil.copytree(root / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in LEFT_OUT:
        (target / "handlers" / name).unlink(missing_ok=True)
    shutil.copyfile(root / "infra" / "aws" / WRAPPER, target / WRAPPER)
    (target / WRAPPER).chmod(0o755)


def write_configuration(root: Path, target: Path) -> None:
    """models.yaml as models.json, so that no function has to load a YAML reader.

    What `${NAME}` stands for is known there only; `skybridge check` tells what can be told before.
    """
    sys.path.insert(0, str(root))
    from handlers.io.configuration_files import read_document  # noqa: PLC0415 the root is importable from here on

    document = read_document(root / "models.yaml")
    (target / "models.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def download_packages(target: Path, architecture: str) -> None:
    """Installs the wheels of the chosen architecture."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--target", str(target), "--requirement", str(REQUIREMENTS)]
    command += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", "3.13"]
    for platform in PLATFORMS[architecture]:
        command += ["--platform", platform]
    subprocess.run(command, check=True)  # noqa: S603 the command is all our own


def copy_packages(target: Path) -> None:
    """Copies the requirements, and what they require, from this Python's site-packages."""
    wanted = [requirement_name(line) for line in REQUIREMENTS.read_text().splitlines()]
    queue = [name for name in wanted if name]
    seen: set[str] = set()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        distribution = metadata.distribution(name)
        for file in distribution.files or []:
            source = Path(str(distribution.locate_file(file)))
            if ".." not in file.parts and source.is_file():
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target / file)
        queue += [requirement_name(line) for line in distribution.requires or [] if ";" not in line]


def requirement_name(line: str) -> str:
    """The project that a requirement line names, normalised; empty for a comment."""
    found = re.match(r"[A-Za-z0-9._-]+", line.strip())
    return re.sub(r"[-_.]+", "-", found.group()).lower() if found else ""


def prune(target: Path) -> None:
    """Removes what no function imports: tests, stubs, sources of extensions, most metadata."""
    for folder, folders, files in os.walk(target, topdown=False):
        here = Path(folder)
        for name in files:
            useless = name.endswith(PRUNED_SUFFIXES) or name == "py.typed"
            if useless or (here.name.endswith(".dist-info") and name not in KEPT_METADATA):
                (here / name).unlink()
        for name in folders:
            if name in PRUNED_FOLDERS or here.name.endswith(".dist-info"):
                shutil.rmtree(here / name)


def compile_all(target: Path) -> None:
    """Bytecode beside every source, taken without a look at the source's date. Raises SystemExit if one is bad."""
    done = compileall.compile_dir(
        str(target),
        quiet=1,
        force=True,
        stripdir=str(target),
        prependdir=DEPLOYED,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        workers=1,
    )
    if not done:
        raise SystemExit("a module of the package does not compile")


def write_zip(target: Path, archive: Path) -> None:
    """Packs the folder in the order of names, every entry with one date and one of two modes."""
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(path for path in target.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(target).as_posix(), EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = (0o100755 if file.name == WRAPPER else 0o100644) << 16
            packed.writestr(entry, file.read_bytes())


def size_table(target: Path) -> list[tuple[str, int]]:
    """(name, bytes) of each top-level entry, the largest first."""
    sizes = {
        entry.name: sum(file.stat().st_size for file in [entry, *entry.rglob("*")] if file.is_file())
        for entry in target.iterdir()
    }
    return sorted(sizes.items(), key=lambda row: (-row[1], row[0]))


def build(root: Path, target: Path, architecture: str, *, installed: bool = False) -> None:
    """Makes `target` the package's folder. `installed`: with this Python's packages, not the architecture's."""
    if sys.version_info[:2] != (3, 13):
        raise SystemExit("the bytecode has to be of Python 3.13: run this with it")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if installed:
        copy_packages(target)
    else:
        download_packages(target, architecture)
    prune(target)
    copy_sources(root, target)
    write_configuration(root, target)
    compile_all(target)


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the Lambda package.")
    parser.add_argument("--target", type=Path, default=ROOT / "dist" / "aws", help="where to build")
    parser.add_argument("--architecture", choices=sorted(PLATFORMS), default="arm64")
    parser.add_argument("--installed", action="store_true", help="take the packages that are installed here")
    parser.add_argument("--no-zip", action="store_true", help="leave the zip to `sam`")
    options = parser.parse_args()
    build(ROOT, options.target, options.architecture, installed=options.installed)
    rows = size_table(options.target)
    for name, size in [*rows, ("total", sum(size for _, size in rows))]:
        sys.stdout.write(f"{name:<40}{size / 1024:>12,.1f} KiB\n")
    if options.no_zip:
        return
    archive = options.target.with_suffix(".zip")
    write_zip(options.target, archive)
    packed = archive.stat().st_size
    sys.stdout.write(f"{archive.name:<40}{packed / 1024:>12,.1f} KiB\n")
    if packed > ZIP_LIMIT:
        raise SystemExit(f"the zip has {packed:,} bytes: no more than {ZIP_LIMIT:,} are allowed")


if __name__ == "__main__":
    main()
