"""Starting what is measured, on a CPU of its own, and reading what it cost from /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")

CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
# The measured process is alone on the first; what it talks to shares the second.
MEASURED_CPU, OTHER_CPU = CPUS[0], CPUS[1 % len(CPUS)]


def pin(cpu: int) -> None:
    """Keeps this process, and what it starts, on one CPU."""
    if len(CPUS) > 1:
        os.sched_setaffinity(0, {cpu})


def unpin() -> None:
    """Undoes `pin`."""
    if len(CPUS) > 1:
        os.sched_setaffinity(0, CPUS)


@contextlib.contextmanager
def running(
    command: Sequence[str], cpu: int, environment: Mapping[str, str], log: Path, folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended at the end, with the processes that it started. Its output goes to `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: pin(cpu),
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def await_port(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float) -> None:
    """Until somebody listens on `port`. Raises RuntimeError, with the process's last words, when nobody does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen on port {port}:\n{log.read_text()[-3000:]}")


def tree(pid: int) -> list[int]:
    """A process and all that it has started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(grandchild for child in children for grandchild in tree(int(child)))]


def cpu_seconds(pid: int) -> float:
    """What the tree has used so far: user and system time."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def peak_megabytes(pid: int) -> float:
    """The largest resident memory that the tree's processes have had, added up."""
    return _status_kilobytes(pid, "VmHWM:") / 1024


def resident_megabytes(pid: int) -> float:
    """The resident memory of the tree's processes, added up."""
    return _status_kilobytes(pid, "VmRSS:") / 1024


def _status_kilobytes(pid: int, name: str) -> int:
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith(name):
                    total += int(line.split()[1])
    return total
