"""Starts a candidate, loads it with every scenario, and reads what it cost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
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
ROUNDS = 3
# A load that is too short for a slow candidate is repeated so many times as long.
PATIENCE = 5
DRAIN_SECONDS = 5.0
# CPU time in a tenth of a second that is rest.
RESTING_SECONDS = 0.01
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


@dataclass
class Subject:
    """What is measured, and what was found out."""

    figures: Figures
    target: Target


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

    def measure(self, candidates: Sequence[Candidate]) -> tuple[list[Figures], list[str]]:
        """The figures of the backend itself and of all candidates that start and answer, and why others do not."""
        direct = Subject(Figures(DIRECT), Target(self.backend, None, None))
        notes: list[str] = []
        with contextlib.ExitStack() as opened:
            subjects = [direct]
            for candidate in candidates:
                try:
                    subjects.append(self._subject(candidate, opened))
                except RuntimeError as error:
                    print(error, file=sys.stderr)
                    notes.append(f"{candidate.name} was skipped: it does not start, or answers with errors.")
            self._in_turn(subjects, PASSED)
            for subject in subjects:
                if subject.target.pid is not None:
                    subject.figures.peak = peak_megabytes(subject.target.pid)
            translating = [one for one in subjects if one.target.candidate and one.target.candidate.translates]
            self._in_turn(translating, (*TRANSLATED, *TRANSLATED_LARGE))
        return [subject.figures for subject in subjects], notes

    def _subject(self, candidate: Candidate, opened: contextlib.ExitStack) -> Subject:
        """A candidate that runs until `opened` is closed. Raises RuntimeError when it does not start or answer."""
        print(f"{candidate.name}: starts", file=sys.stderr)
        figures = Figures(candidate.name, installed=candidate.installed())
        began: list[float] = []
        for _ in range(STARTS - 1):
            with self.started(candidate) as (_, seconds):
                began.append(seconds)
        target, seconds = opened.enter_context(self.started(candidate))
        figures.start = statistics.median([*began, seconds])
        assert target.pid is not None
        figures.idle = resident_megabytes(target.pid)
        return Subject(figures, target)

    def _in_turn(self, subjects: Sequence[Subject], scenarios: Sequence[Scenario]) -> None:
        """Every scenario ROUNDS times, with each subject in turn, so that a noisy moment meets all of them. What counts
        is the round with the median rate."""
        for scenario in scenarios:
            print(scenario.name, file=sys.stderr)
            rounds: dict[str, list[dict[str, Any]]] = {subject.figures.name: [] for subject in subjects}
            for _ in range(ROUNDS):
                for subject in subjects:
                    if scenario.name not in subject.figures.failed:
                        with _awake(subject.target.pid):
                            self._load(subject, scenario, rounds[subject.figures.name])
            for subject in subjects:
                ordered = sorted(rounds[subject.figures.name], key=_rate)
                if ordered and scenario.name not in subject.figures.failed:
                    subject.figures.loads[scenario.name] = ordered[len(ordered) // 2]

    @contextlib.contextmanager
    def started(self, candidate: Candidate) -> Iterator[tuple[Target, float]]:
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

    def _load(self, subject: Subject, scenario: Scenario, results: list[dict[str, Any]]) -> None:
        """Adds what one load gave. One that ends before anything is answered is repeated once, and longer."""
        for seconds in (self._seconds, self._seconds * PATIENCE):
            result, used = self.run_load(subject.target, scenario, seconds)
            if result["errors"]:
                subject.figures.failed[scenario.name] = str(result["errors"])
                return
            if result["requests"] or result["chunks"]:
                results.append({**result, "cpu_ms": used / max(1, result["requests"]) * 1000})
                return
        subject.figures.failed[scenario.name] = "no answer was complete in time"

    def run_load(self, target: Target, scenario: Scenario, seconds: float) -> tuple[dict[str, Any], float]:
        """What bench.load printed, and the CPU seconds that the measured process used meanwhile."""
        body = self._folder / "body.json"
        body.write_bytes(target.body(scenario))
        url = f"http://127.0.0.1:{target.port}{target.path(scenario)}"
        command = [sys.executable, "-m", "bench.load", url, "--body-file", str(body),
                   "--connections", str(scenario.connections), "--spread", str(scenario.spread),
                   "--seconds", str(max(seconds, scenario.spread))]  # fmt: skip
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
        return result, used


@contextlib.contextmanager
def _awake(pid: int | None) -> Iterator[None]:
    """A process that is stopped before and after: what one candidate still does for clients that have gone must take no
    time from the next one. It has DRAIN_SECONDS to come to rest."""
    if pid is None:
        yield
        return
    os.killpg(pid, signal.SIGCONT)
    try:
        yield
        until = time.perf_counter() + DRAIN_SECONDS
        while time.perf_counter() < until:
            before = cpu_seconds(pid)
            time.sleep(0.1)
            if cpu_seconds(pid) - before <= RESTING_SECONDS:
                break
    finally:
        os.killpg(pid, signal.SIGSTOP)


def _rate(result: dict[str, Any]) -> float:
    return float(result["chunks_per_second"] or result["per_second"])


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


