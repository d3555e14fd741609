"""Runs a package where nothing but /tmp can be written, as in a function's environment."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

# A mount namespace of its own: the root file system is read-only, /tmp is a new one in memory, in which the folders are
# where they were, read-only too. The command starts in the first one.
_SCRIPT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
kept=() number=0
while [ "$1" != -- ]; do
  number=$((number + 1))
  kept+=("$1")
  mkdir /mnt/$number
  mount --bind "$1" /mnt/$number
  mount -o remount,ro,bind /mnt/$number
  shift
done
shift
mount -o remount,ro,bind /
mount -t tmpfs tmpfs /tmp
for number in "${!kept[@]}"; do
  mkdir -p "${kept[$number]}"
  mount --bind /mnt/$((number + 1)) "${kept[$number]}"
done
mount -o remount,ro,bind /mnt
cd "${kept[0]}"
exec "$@"
"""
_CHECKOUT = Path(__file__).resolve().parents[2]
_PROOF = "touch /tmp/proof && ! touch /mnt/proof && ! touch ./proof && ! touch /etc/proof"


def seal(package: Path, *folders: Path) -> list[str]:
    """What to put before a command; nothing where this machine does not let namespaces be made."""
    return _command(package, *folders) if can_seal() else []


def _command(*folders: Path) -> list[str]:
    # A checkout that lies below /tmp itself holds the interpreter that runs the package.
    kept = (*folders, _CHECKOUT) if _CHECKOUT.is_relative_to("/tmp") else folders
    return ["unshare", "--mount", "bash", "-c", _SCRIPT, "seal", *map(str, kept), "--"]


@cache
def can_seal() -> bool:
    """Whether this machine lets its root file system be made read-only for one process, and that it then is."""
    if shutil.which("unshare") is None:
        return False
    command = [*_command(Path(__file__).parent), "bash", "-c", _PROOF]
    return subprocess.run(command, capture_output=True).returncode == 0
