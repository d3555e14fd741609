"""A stand-in for Amazon's base image of Lambda's Python runtime, made from this machine's own Python.

It has what that image documents: Python in /var/lang, awslambdaric in /var/runtime, and /var/runtime/bootstrap, which
gives way to AWS_LAMBDA_EXEC_WRAPPER. sam adds Amazon's Runtime Interface Emulator itself, and needs a shell for it.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

NAME = "public.ecr.aws/lambda/python:3.13-x86_64"
# Amazon's sh is bash, and its bootstrap says `exec --`, which Debian's sh does not know.
TOOLS = {"sh": "bash", "mv": "mv", "chmod": "chmod"}
# Of the C library, whose parts Amazon Linux has all: wheels name some that Python itself does not load.
C_LIBRARY = ("libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1", "libutil.so.1")
LEFT_OUT = {"test", "idlelib", "ensurepip", "site-packages", "tkinter", "turtledemo", "lib2to3", "__pycache__"}
BOOTSTRAP = """#!/bin/sh
if [ -n "$AWS_LAMBDA_EXEC_WRAPPER" ]; then
  exec -- "$AWS_LAMBDA_EXEC_WRAPPER" /var/lang/bin/python3.13 /var/runtime/bootstrap.py
fi
exec /var/lang/bin/python3.13 /var/runtime/bootstrap.py
"""
BOOTSTRAP_PY = """import os, sys
sys.path[:0] = [os.environ.get("LAMBDA_TASK_ROOT", "/var/task"), "/var/runtime"]
from awslambdaric.__main__ import main
main(["bootstrap", os.environ["_HANDLER"]])
"""


def libraries(binaries: list[Path]) -> set[Path]:
    """The shared libraries that the binaries load, and the loader."""
    printed = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True).stdout
    found = {Path(name) for name in re.findall(r"(?:=> |\t)(/\S+)", printed)}
    return found | {Path(name) for name in ("/lib64/ld-linux-x86-64.so.2",)}


def write_image(target: Path) -> None:
    """Writes the image's file system as a tar file, for `docker import`."""
    prefix = Path(sys.base_prefix)
    library = prefix / "lib" / "python3.13"
    python = Path(os.path.realpath(prefix / "bin" / "python3.13"))
    tools = {name: Path(os.path.realpath(str(shutil.which(tool)))) for name, tool in TOOLS.items()}
    extensions = list((library / "lib-dynload").glob("*.so"))
    spec = importlib.util.find_spec("awslambdaric")
    assert spec is not None and spec.origin is not None
    packages = Path(spec.origin).parents[1]
    patterns = ("awslambdaric", "snapshot_restore_py.py", "simplejson", "runtime_client*.so")
    runtime = [path for pattern in patterns for path in packages.glob(pattern)]
    with tarfile.open(target, "w") as image:
        image.add(python, "var/lang/bin/python3.13")
        image.add(library, "var/lang/lib/python3.13", filter=kept)
        for path in runtime:
            image.add(path, f"var/runtime/{path.name}", filter=kept)
        for name, path in tools.items():
            image.add(path, f"bin/{name}")
        needed = libraries([python, *tools.values(), *extensions, *packages.glob("runtime_client*.so")])
        [c_library] = {path.parent for path in needed if path.name == "libc.so.6"}
        for path in needed | {c_library / name for name in C_LIBRARY if (c_library / name).exists()}:
            image.add(os.path.realpath(path), str(path).lstrip("/"))
        add_text(image, "var/runtime/bootstrap", BOOTSTRAP, 0o755)
        add_text(image, "var/runtime/bootstrap.py", BOOTSTRAP_PY, 0o644)
        add_text(image, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644)
        add_text(image, "etc/group", "root:x:0:\n", 0o644)
        for folder in ("tmp", "var/task", "var/rapid", "opt"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            image.addfile(entry)


def kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    name = entry.name.rpartition("/")[2]
    return None if name in LEFT_OUT or name.startswith("config-") else entry


def add_text(image: tarfile.TarFile, name: str, text: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text.encode()), mode
    image.addfile(entry, io.BytesIO(text.encode()))
