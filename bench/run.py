"""`make bench`: the gateway beside a direct connection and its peers, all in one run on the same two CPUs.

    python -m bench.run [--seconds 2] [--starts 11] [--relay]

Prints one report and writes it to bench/results.md. What is measured runs alone on one CPU; backend and load
generator share another. Numbers of different runs or machines are not comparable; the ratios are.
BENCH_PEERS=1 sets up LiteLLM's proxy in .bench/litellm, once, and measures it too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import (
    CPUS,
    MEASURED_CPU,
    OTHER_CPU,
    await_port,
    cpu_seconds,
    free_port,
    peak_megabytes,
    pin,
    running,
    unpin,
)

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".bench"
LITELLM = PEERS / "litellm"
# It does not start without one, for loopback neither.
LITELLM_KEY = "sk-" + "0123456789abcdef" * 4
LITELLM_REQUIREMENT = "litellm[proxy]==1.106.2"

CONNECTIONS = (1, 8, 64)
STREAMS = 100
# Model names that the fake backend reads: chunks, milliseconds between them, characters each.
SMALL, SATURATED, PACED = "bench-8-0-16", "bench-2000-0-16", "bench-20-50-16"
PACED_SECONDS = 1.1
MODELS = (SMALL, SATURATED, PACED)
PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class Candidate:
    """One row: what is started and measured. `command` and `settings` take the backend's and its own port."""

    name: str
    command: Callable[[int, Path], Sequence[str]]
    settings: Callable[[int], object]
    environment: Mapping[str, str]
    start_seconds: float = 30.0
    key: str = ""


def gateway_settings(backend: int) -> object:
    """models.yaml, as JSON."""
    base = f"http://127.0.0.1:{backend}/v1"
    return {
        "backends": {"fake": {"type": "openai-compatible", "base_url": base, "api_key": "bench"}},
        "models": {name: {"backend": "fake", "api_model": name} for name in MODELS},
    }


def litellm_settings(backend: int) -> object:
    """Its config.yaml, as JSON."""
    base = f"http://127.0.0.1:{backend}/v1"
    return {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_base": base, "api_key": "x"}}
            for name in MODELS
        ]
    }


GATEWAY = Candidate(
    "Skybridge",
    lambda port, file: [sys.executable, "-m", "handlers.cli", "serve", "--port", str(port), "--config", str(file)],
    gateway_settings,
    {},
)
RELAY = Candidate(
    "bench/relay.py",
    lambda port, file: [sys.executable, "-m", "uvicorn", "bench.relay:app", "--http", "httptools", "--loop", "uvloop",
                        "--port", str(port), "--no-access-log", "--log-level", "warning"],
    gateway_settings,
    {},
)  # fmt: skip
LITELLM_PROXY = Candidate(
    "LiteLLM",
    lambda port, file: [str(LITELLM / "bin" / "litellm"), "--config", str(file), "--host", "127.0.0.1",
                        "--port", str(port), "--num_workers", "1"],
    litellm_settings,
    {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MASTER_KEY": LITELLM_KEY},
    start_seconds=120.0,
    key=LITELLM_KEY,
)  # fmt: skip


@dataclass
class Figures:
    """What was measured of one candidate. `cpu` is seconds per 1,000 requests; first bytes are milliseconds."""

    name: str
    requests: dict[int, float]
    latencies: dict[int, float]
    cpu: dict[int, float]
    chunks: float
    first_byte: float
    megabytes: float


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
        return self._measure("direct", self.backend, None, "")

    def measure(self, candidate: Candidate) -> Figures:
        """Starts a candidate, measures it, ends it. Raises RuntimeError when it does not start."""
        port = free_port()
        name = candidate.name.replace("/", "-").lower()
        file, log = self._folder / f"{name}.json", self._folder / f"{name}.log"
        file.write_text(json.dumps(candidate.settings(self.backend)))
        upstream = {"BENCH_UPSTREAM": f"http://127.0.0.1:{self.backend}"}
        environment = {**os.environ, **upstream, **candidate.environment}
        with running(candidate.command(port, file), MEASURED_CPU, environment, log, ROOT) as process:
            await_port(process, port, log, candidate.start_seconds)
            return self._measure(candidate.name, port, process.pid, candidate.key)

    def _measure(self, name: str, port: int, pid: int | None, key: str) -> Figures:
        figures = Figures(name, {}, {}, {}, 0.0, 0.0, 0.0)
        for connections in CONNECTIONS:
            print(f"{name}: {connections} connections", file=sys.stderr)
            result, used = self._load(port, pid, key, SMALL, connections, 0.0)
            figures.requests[connections] = result["per_second"]
            figures.latencies[connections] = result["p99_ms"]
            figures.cpu[connections] = used / result["requests"] * 1000 if result["requests"] else 0.0
        print(f"{name}: {STREAMS} streams", file=sys.stderr)
        figures.first_byte = self._load(port, pid, key, PACED, STREAMS, PACED_SECONDS)[0]["first_byte_p50_ms"]
        figures.chunks = self._load(port, pid, key, SATURATED, STREAMS, 0.0)[0]["chunks_per_second"]
        figures.megabytes = peak_megabytes(pid) if pid is not None else 0.0
        return figures

    def _load(
        self, port: int, pid: int | None, key: str, model: str, connections: int, spread: float
    ) -> tuple[dict[str, float], float]:
        """One load, and the CPU seconds that the measured process used in it. Raises RuntimeError for errors."""
        body = self._folder / "body.json"
        message = {"role": "user", "content": "What is the capital of France? Answer in one word."}
        body.write_text(json.dumps({"model": model, "stream": model != SMALL, "messages": [message]}))
        command = [sys.executable, "-m", "bench.load", f"http://127.0.0.1:{port}{PATH}", "--body-file", str(body),
                   "--connections", str(connections), "--seconds", str(max(self._seconds, spread)),
                   "--spread", str(spread)]  # fmt: skip
        if key:
            command += ["--header", f"authorization: Bearer {key}"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=lambda: pin(OTHER_CPU)) as load:
            assert load.stdout is not None
            load.stdout.readline()
            before = cpu_seconds(pid) if pid is not None else 0.0
            line = load.stdout.readline()
            used = cpu_seconds(pid) - before if pid is not None else 0.0
        result: dict[str, float] = json.loads(line)
        if result["errors"]:
            raise RuntimeError(f"the load met errors: {result['errors']}")
        return result, used


def set_up_litellm() -> str:
    """Why LiteLLM's proxy cannot be measured, "" when it can. BENCH_PEERS=1 sets it up where it is missing."""
    program = LITELLM / "bin" / "litellm"
    if program.exists():
        return ""
    if os.environ.get("BENCH_PEERS") != "1":
        return "it is not set up. `BENCH_PEERS=1 make bench` does that"
    with contextlib.suppress(subprocess.CalledProcessError):
        PEERS.mkdir(exist_ok=True)
        (PEERS / ".gitignore").write_text("*\n")
        print(f"setting up {LITELLM_REQUIREMENT} in {LITELLM.relative_to(ROOT)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", LITELLM], check=True)
        pip = [LITELLM / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, LITELLM_REQUIREMENT], check=True)
    return "" if program.exists() else f"{LITELLM_REQUIREMENT} could not be installed"


def table(figures: Sequence[Figures]) -> list[str]:
    """The hot path, one row a measurement, one column a candidate; the last one is the gateway over LiteLLM."""
    by_name = {one.name: one for one in figures}
    gateway, peer, direct = by_name["Skybridge"], by_name.get("LiteLLM"), by_name["direct"]
    rows: list[tuple[str, Callable[[Figures], float], str]] = []
    for count in CONNECTIONS:
        rows.append((f"requests/s, {count} connections", lambda one, count=count: one.requests[count], ",.0f"))
    for count in CONNECTIONS:
        rows.append((f"p99 ms, {count} connections", lambda one, count=count: one.latencies[count], ",.2f"))
    for count in CONNECTIONS:
        rows.append((f"CPU s per 1,000 requests, {count} connections",
                     lambda one, count=count: one.cpu[count], ",.3f"))  # fmt: skip
    rows += [
        (f"chunks/s, {STREAMS} streams", lambda one: one.chunks, ",.0f"),
        (f"first byte ms, {STREAMS} paced streams", lambda one: one.first_byte, ",.2f"),
        ("added to the first byte, ms", lambda one: one.first_byte - direct.first_byte, ",.2f"),
        (f"peak RSS MB, after {STREAMS} streams", lambda one: one.megabytes, ",.0f"),
    ]
    names = [one.name for one in figures]
    lines = [f"| | {' | '.join(names)} | Skybridge : LiteLLM |", "|---|" + "---:|" * (len(names) + 1)]
    for label, value, form in rows:
        cells = [format(value(one), form) if one is not direct or value(one) else "–" for one in figures]
        ratio = f"{value(gateway) / value(peer):.3g}" if peer is not None and value(peer) else "–"
        lines.append(f"| {label} | {' | '.join(cells)} | {ratio} |")
    return lines


# The columns of bench/cold_start.py's rows, and how they are written.
COLD_FIELDS = (
    ("next", ".0f"),
    ("next_times", ".2f"),
    ("first_byte", ".0f"),
    ("first_byte_times", ".2f"),
    ("next_rss", ".0f"),
    ("first_byte_rss", ".0f"),
)


def cold_starts(count: int) -> list[dict[str, Any]]:
    """The rows of bench/cold_start.py, which may use both CPUs."""
    command = [sys.executable, "-m", "bench.cold_start", "--json", "--runs", str(count)]
    done = subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=unpin
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def cold_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The cold starts, and each figure as a multiple of the first row's."""
    lines = ["| cold start, from the spawn | ms to `/invocation/next` | × bare | ms to the first byte | × bare | "
             "RSS MB at next | RSS MB then |", "|---|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for row in rows:
        cells = " | ".join(format(row[field], form) for field, form in COLD_FIELDS)
        lines.append(f"| {row['name']} | {cells} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each load lasts (%(default)s)")
    parser.add_argument("--starts", type=int, default=11, help="how many cold starts of each kind (%(default)s)")
    parser.add_argument("--relay", action="store_true", help="measure the HTTP client alone too, in bench/relay.py")
    options = parser.parse_args()
    pin(OTHER_CPU)
    notes = []
    if len(CPUS) < 2:
        notes.append("Only one CPU: the measured process shares it with backend and load generator.")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        bench = Bench(folder, options.seconds)
        with bench.with_backend():
            figures = [bench.measure_direct()]
            figures += [bench.measure(RELAY)] if options.relay else []
            figures.append(bench.measure(GATEWAY))
            obstacle = set_up_litellm()
            if obstacle:
                notes.append(f"LiteLLM was skipped: {obstacle}.")
            else:
                try:
                    figures.append(bench.measure(LITELLM_PROXY))
                except RuntimeError as error:
                    print(error, file=sys.stderr)
                    notes.append("LiteLLM was skipped: it does not start, or answers with errors.")
        print("cold starts", file=sys.stderr)
        starts = cold_starts(options.starts)
    machine = f"{len(CPUS)} CPUs, {platform.machine()}, Python {platform.python_version()}"
    head = [f"One run on {machine}; {options.seconds:g} s each. Only the ratios carry over to other machines.", ""]
    report = "\n".join([*head, *table(figures), "", *cold_table(starts), *(["", *notes] if notes else [])]) + "\n"
    (ROOT / "bench" / "results.md").write_text(report)
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
