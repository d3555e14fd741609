"""Many slow streams at once on Lambda: one process of the gateway, against awslambdaric's process for each invocation.

    python -m bench.concurrency [--streams 64] [--chunks 20] [--delay 200]

Starts the streaming door and, for comparison, the real awslambdaric (which forks a process for each invocation that
may be under way) with the buffered door, each with AWS_LAMBDA_MAX_CONCURRENCY, on the Runtime API of
tests.doors.lambda_emulator. Each answers as many slow streams of a backend at once as it may. Prints what the
processes hold, before and while the streams run, and the CPU time that one streamed token takes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cold_start import KEY, event
from bench.processes import cpu_seconds, tree
from tests.doors.lambda_emulator import End, LambdaEmulator

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0
PATH = "/v1/chat/completions"
DOOR = (sys.executable, "-m", "handlers.aws_streaming")
# What awslambdaric calls: one process, one event, one whole answer.
RIC = (sys.executable, "-m", "awslambdaric", "handlers.aws_buffered.handler")


@dataclass
class Figures:
    """One subject: processes, MiB before and while the streams run, CPU microseconds for a token."""

    name: str
    processes: int
    idle: float
    busy: float
    microseconds: float
    answered: int


@dataclass(frozen=True)
class Load:
    """`streams` at once, each of `chunks` tokens, `delay` milliseconds apart."""

    streams: int
    chunks: int
    delay: int

    @property
    def event(self) -> Any:
        """A streamed request as a function URL hands it over."""
        messages = [{"role": "user", "content": "Hello"}]
        body = {"model": f"bench-{self.chunks}-{self.delay}-8", "stream": True, "messages": messages}
        return json.loads(event(PATH, body))


def held_megabytes(pids: Sequence[int]) -> float:
    """Resident memory of processes: what each has for itself, and once what they share."""
    own, shared = 0, 0
    for pid in pids:
        rows = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
        sizes = {row[0]: int(row[1]) for row in rows}
        own += sizes["Private_Clean:"] + sizes["Private_Dirty:"]
        shared = max(shared, sizes["Shared_Clean:"] + sizes["Shared_Dirty:"])
    return (own + shared) / 1024


async def measure(name: str, command: Sequence[str], environment: Mapping[str, str], load: Load) -> Figures:
    """Runs one subject under `load`. Raises RuntimeError when it does not answer."""
    emulator = LambdaEmulator(timeout=PATIENCE, concurrency=load.streams, folder=ROOT)
    async with emulator.run(*command, **environment):
        await asyncio.wait_for(emulator.ready(load.streams), PATIENCE)
        assert emulator.process is not None
        pid = emulator.process.pid
        processes = tree(pid)
        # What is loaded on first use: in one process by one request, in many by as many.
        await asyncio.gather(*(one(emulator, load) for _ in processes[:1] + processes[2:]))
        await asyncio.wait_for(emulator.ready(load.streams), PATIENCE)
        idle, before = held_megabytes(processes), cpu_seconds(pid)
        streams = [asyncio.create_task(one(emulator, load)) for _ in range(load.streams)]
        await asyncio.sleep(load.chunks * load.delay / 2000)  # in the middle of them
        busy = held_megabytes(processes)
        answered = sum(await asyncio.gather(*streams))
        used = cpu_seconds(pid) - before
        for child in processes[1:]:
            os.kill(child, signal.SIGTERM)  # awslambdaric's workers outlive it
    if answered != load.streams:
        raise RuntimeError(f"{name}: {load.streams - answered} streams failed:\n{emulator.output.decode()[-2000:]}")
    return Figures(name, len(processes), idle, busy, used / (load.streams * load.chunks) * 1e6, answered)


async def one(emulator: LambdaEmulator, load: Load) -> bool:
    """Whether one stream came to its proper end."""
    answer, end = await emulator.answer(load.event)
    return end == End() and b"[DONE]" in answer


async def compare(load: Load) -> list[Figures]:
    """Every subject, one after the other, on one backend."""
    command = (sys.executable, "-m", "bench.fake_backend", "--port", "0")
    backend = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert backend.stdout is not None
    port = int((await backend.stdout.readline()).split()[1])
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "models.json"
            row = {"type": "openai-compatible", "base_url": f"http://127.0.0.1:{port}/v1", "api_key": "k"}
            path.write_text(json.dumps({"backends": {"b": row}, "models": {"bench-*": {"backend": "b"}}}))
            environment = {"SERVICE_API_KEY": KEY, "MODEL_CONFIG_PATH": str(path), "LOG_LEVEL": "error"}
            return [
                await measure("Skybridge's streaming door", DOOR, environment, load),
                await measure("awslambdaric, buffered door", RIC, environment, load),
            ]
    finally:
        backend.kill()
        await backend.wait()


def table(rows: Sequence[Figures], load: Load) -> str:
    lines = [
        f"{load.streams} streams at once, {load.chunks} tokens each, {load.delay} ms apart",
        f"{'':<30}{'processes':>10}{'idle MB':>9}{'busy MB':>9}{'KB a stream':>13}{'us CPU a token':>16}",
    ]
    for row in rows:
        stream = (row.busy - row.idle) * 1024 / load.streams
        lines.append(
            f"{row.name:<30}{row.processes:>10}{row.idle:>9.1f}{row.busy:>9.1f}{stream:>13.0f}{row.microseconds:>16.1f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("--delay", type=int, default=200)
    options = parser.parse_args()
    load = Load(options.streams, options.chunks, options.delay)
    print(table(asyncio.run(compare(load)), load))


if __name__ == "__main__":
    main()
