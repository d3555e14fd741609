"""Builds what `func azure functionapp publish` would package: `dist/azure/` and `dist/azure.zip`.

`python infra/azure/build.py` leaves the dependencies to Azure's remote build, which installs them from
requirements.txt. With `--with-packages` they are put where that build puts them, in
`.python_packages/lib/site-packages`, so that the folder runs as it is; the zip is made without them either
way. The same tree gives the same zip, byte for byte.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path(".python_packages", "lib", "site-packages")

# The earliest moment that a zip can state: the date of a build is no part of what it builds.
EPOCH = (1980, 1, 1, 0, 0, 0)


def read_ignored(root: Path) -> list[str]:
    """The patterns that `.funcignore` leaves out, each for a name at any depth."""
    lines = (line.strip() for line in (root / ".funcignore").read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def packaged_files(root: Path, ignored: list[str]) -> list[Path]:
    """The files that are published, relative to `root`, sorted."""

    def kept(names: list[str]) -> list[str]:
        return [name for name in names if not any(fnmatchcase(name, pattern) for pattern in ignored)]

    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        folders[:] = kept(folders)
        found += [Path(folder, name).relative_to(root) for name in kept(files)]
    return sorted(found)


def copy_tree(root: Path, files: list[Path], target: Path) -> None:
    """Makes `target` hold exactly `files`."""
    shutil.rmtree(target, ignore_errors=True)
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file, target / file)


def write_zip(root: Path, files: list[Path], target: Path) -> None:
    """Packs `files` in their order, all with one date and one mode."""
    with zipfile.ZipFile(target, "w") as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.as_posix(), EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, (root / file).read_bytes())


def install_packages(root: Path, target: Path) -> None:
    """Installs requirements.txt as the remote build does."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target"]
    command += [str(target / PACKAGES), "--requirement", str(root / "requirements.txt")]
    subprocess.run(command, check=True)  # noqa: S603  # the command is all our own


def size_table(root: Path, files: list[Path]) -> list[tuple[str, int, int]]:
    """(name, files, bytes) of each top-level entry, the largest first."""
    sizes: dict[str, tuple[int, int]] = {}
    for file in files:
        count, size = sizes.get(file.parts[0], (0, 0))
        sizes[file.parts[0]] = count + 1, size + (root / file).stat().st_size
    return sorted(((name, *both) for name, both in sizes.items()), key=lambda row: (-row[2], row[0]))


def build(root: Path, target: Path, *, with_packages: bool = False) -> Path:
    """Builds into the folder `target` and the zip beside it; gives the zip's path."""
    files = packaged_files(root, read_ignored(root))
    copy_tree(root, files, target)
    archive = target.with_suffix(".zip")
    write_zip(target, files, archive)
    if with_packages:
        install_packages(root, target)
    return archive


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the Azure Functions package.")
    parser.add_argument("--target", type=Path, default=ROOT / "dist" / "azure", help="where to build")
    parser.add_argument("--with-packages", action="store_true", help="install requirements.txt into it too")
    options = parser.parse_args()
    archive = build(ROOT, options.target, with_packages=options.with_packages)
    files = [file.relative_to(options.target) for file in options.target.rglob("*") if file.is_file()]
    rows = size_table(options.target, files)
    for name, count, size in [*rows, ("total", len(files), sum(row[2] for row in rows))]:
        sys.stdout.write(f"{name:<24}{count:>7} files{size / 1024:>12,.1f} KiB\n")
    sys.stdout.write(f"{archive.name:<24}{'':>13}{archive.stat().st_size / 1024:>12,.1f} KiB\n")


if __name__ == "__main__":
    main()
