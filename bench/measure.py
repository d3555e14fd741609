"""Starts a candidate, loads it with every scenario, and reads what it cost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.peers import ROOT, Candidate, Place
from bench.processes import (
    MEASURED_CPU,
    OTHER_CPU,
    await_port,
    cpu_seconds,
    free_port,
    peak_megabytes,
    pin,
    resident_megabytes,
    running,
)
from bench.scenarios import PASSED, REQUESTS, TRANSLATED, TRANSLATED_LARGE, Scenario

STARTS = 3
DIRECT = "direct"


@dataclass
class Figures:
    """What was measured of one candidate.

    `loads`: by scenario what bench.load printed, with `cpu_ms`, the CPU milliseconds of a request. `start`: seconds
    from the spawn to the first answer. Megabytes: `idle` after that answer, `peak` after all loads that are passed
    through; `installed` on disk. `failed`: by scenario why it has no figure.
    """

    name: str
    loads: dict[str, dict[str, float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    start: float | None = None
    idle: float | None = None
    peak: float | None = None
    installed: float | None = None

    def value(self, scenario: Scenario, member: str) -> float | None:
        """One figure; None where there is none."""
        found = self.loads.get(scenario.name)
        return None if found is None else found[member]


@dataclass(frozen=True)
class Target:
    """Where the load goes, and how."""

    port: int
    pid: int | None
    candidate: Candidate | None
    headers: Sequence[str] = ()

    def path(self, scenario: Scenario) -> str:
        return self.candidate.path(scenario.path) if self.candidate else scenario.path

    def body(self, scenario: Scenario) -> bytes:
        name = f"{scenario.backend}/{scenario.knobs}"
        return scenario.body(self.candidate.model(name) if self.candidate else scenario.knobs)


class Bench:
    """One run: the backend, a folder for files, and how long each load lasts."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self.backend = 0

    @contextlib.contextmanager
    def with_backend(self) -> Iterator[None]:
        """The fake backend, while the block runs."""
        self.backend = free_port()
        log = self._folder / "backend.log"
        command = [sys.executable, "-m", "bench.fake_backend", "--port", str(self.backend)]
        with running(command, OTHER_CPU, os.environ, log, ROOT) as process:
            await_port(process, self.backend, log, 10)
            yield

    def measure_direct(self) -> Figures:
        """The backend itself."""
        figures = Figures(DIRECT)
        for scenario in PASSED:
            self._load(figures, Target(self.backend, None, None), scenario)
        return figures

    def measure(self, candidate: Candidate, starts: int = STARTS) -> Figures:
        """Every figure of one candidate. Raises RuntimeError when it does not start or answer."""
        figures = Figures(candidate.name)
        figures.installed = candidate.installed()
        began: list[float] = []
        for last in [*([False] * (starts - 1)), True]:
            with self._started(candidate) as (target, seconds):
                began.append(seconds)
                if last:
                    assert target.pid is not None
                    figures.idle = resident_megabytes(target.pid)
                    self._loads(figures, target, PASSED)
                    figures.peak = peak_megabytes(target.pid)
                    if candidate.translates:
                        self._loads(figures, target, (*TRANSLATED, *TRANSLATED_LARGE))
        figures.start = statistics.median(began)
        return figures

    @contextlib.contextmanager
    def _started(self, candidate: Candidate) -> Iterator[tuple[Target, float]]:
        """A running candidate, and the seconds from its spawn to its first answer."""
        folder = self._folder / f"{candidate.name.replace('/', '-').replace(' ', '-').lower()}-{free_port()}"
        folder.mkdir()
        place = Place(self.backend, free_port(), folder)
        headers = candidate.prepare(place)
        upstream = {"BENCH_UPSTREAM": f"http://127.0.0.1:{self.backend}"}
        environment = {**os.environ, **upstream, **candidate.environment}
        log = folder / "log"
        began = time.perf_counter()
        with running(candidate.command(place), MEASURED_CPU, environment, log, ROOT) as process:
            deadline = began + candidate.start_seconds
            while time.perf_counter() < deadline and process.poll() is None:
                port = candidate.port(place, log.read_text(errors="replace"))
                target = Target(port or 0, process.pid, candidate, headers)
                if port and _answers(target):
                    yield target, time.perf_counter() - began
                    return
                time.sleep(0.002)
        raise RuntimeError(f"{candidate.name} does not answer:\n{log.read_text(errors='replace')[-3000:]}")

    def _loads(self, figures: Figures, target: Target, scenarios: Sequence[Scenario]) -> None:
        for scenario in scenarios:
            print(f"{figures.name}: {scenario.name}", file=sys.stderr)
            self._load(figures, target, scenario)

    def _load(self, figures: Figures, target: Target, scenario: Scenario) -> None:
        """One load, and the CPU that the measured process used in it."""
        body = self._folder / "body.json"
        body.write_bytes(target.body(scenario))
        url = f"http://127.0.0.1:{target.port}{target.path(scenario)}"
        command = [sys.executable, "-m", "bench.load", url, "--body-file", str(body),
                   "--connections", str(scenario.connections), "--spread", str(scenario.spread),
                   "--seconds", str(max(self._seconds, scenario.spread))]  # fmt: skip
        for header in target.headers:
            command += ["--header", header]
        pid = target.pid
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=lambda: pin(OTHER_CPU)) as load:
            assert load.stdout is not None
            load.stdout.readline()
            before = cpu_seconds(pid) if pid is not None else 0.0
            line = load.stdout.readline()
            used = cpu_seconds(pid) - before if pid is not None else 0.0
        result: dict[str, Any] = json.loads(line)
        if result["errors"] or not (result["requests"] or result["chunks"]):
            figures.failed[scenario.name] = str(result["errors"] or "no answer was complete in time")
            return
        figures.loads[scenario.name] = {**result, "cpu_ms": used / max(1, result["requests"]) * 1000}


def _answers(target: Target) -> bool:
    """Whether a small request is answered with a 200."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=20)
    headers = {"content-type": "application/json"}
    for line in target.headers:
        name, _, value = line.partition(": ")
        headers[name] = value
    try:
        connection.request("POST", target.path(REQUESTS[0]), target.body(REQUESTS[0]), headers)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


