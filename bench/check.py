"""`make bench-check`: what a request takes, held to bench/budgets.toml.

    python -m bench.check [--write] [--profile NAME]

Nothing here looks at a clock, so a loaded machine gives the same figures. Counted are, for each scenario of
bench.counted: the instructions of Python's virtual machine and the Python functions entered, from the bytes of the
request to the bytes of the answer, door and HTTP client and all; objects that a request leaves to the collector of
cycles; calls of the store; and for streams the bytes kept for each further delta and for each further stream. Then the
modules that a cold start may load, and the bytes of the Lambda package. What C code does inside one call is not seen.

`--write` takes what is found as what is allowed, with a margin. `--profile` shows where one scenario's go.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import subprocess
import sys
import tempfile
import tomllib
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType
from typing import Any

from bench.counted import PATHS, SCENARIOS, Scenario
from bench.in_process import CountingStore, InProcess, new_loop, request_of

ROOT = Path(__file__).resolve().parents[1]
BUDGETS = Path(__file__).with_name("budgets.toml")
# What a first request loads, by the tests that hold it to these lists: on Lambda, with accounts there, on Azure.
COLD_PATHS = {
    "modules": "cold_path_modules.txt",
    "modules_with_accounts": "cold_path_accounts_modules.txt",
    "modules_on_azure": "azure_cold_path_modules.txt",
}
# Until every cache is filled and every lazy module is there.
WARM_UP = 12
# Chores that are due now and then (leases renewed, lapsed holds swept) are no part of a request: the least of so many.
TIMES = 3
STREAMS = 32
# What is found may be this much over before it is written down anew.
MARGIN = 1.04
# What is kept in memory depends on the sizes that the allocator rounds to.
BYTES_MARGIN = 1.2
_OWN = __file__.rpartition("/")[0] + "/in_process.py"

type Figures = dict[str, int]


class Counting:
    """While it is entered, counts what Python executes, in all threads. The harness's own code is left out."""

    TOOL = 4

    def __init__(self) -> None:
        self.instructions: Counter[CodeType] = Counter()
        self.calls: Counter[CodeType] = Counter()
        # Hashing a code object reads all of it: they are counted by identity.
        self._codes: dict[int, CodeType] = {}
        self._instructions: dict[int, int] = {}
        self._calls: dict[int, int] = {}

    def __enter__(self) -> Counting:
        monitoring, events = sys.monitoring, sys.monitoring.events
        monitoring.use_tool_id(self.TOOL, "bench-check")
        monitoring.register_callback(self.TOOL, events.INSTRUCTION, self._instruction)
        for event in (events.PY_START, events.PY_RESUME):
            monitoring.register_callback(self.TOOL, event, self._call)
        monitoring.set_events(self.TOOL, events.INSTRUCTION | events.PY_START | events.PY_RESUME)
        return self

    def __exit__(self, *_: object) -> None:
        sys.monitoring.set_events(self.TOOL, 0)
        sys.monitoring.free_tool_id(self.TOOL)
        self.instructions.update({self._codes[key]: value for key, value in self._instructions.items()})
        self.calls.update({self._codes[key]: value for key, value in self._calls.items()})

    def _instruction(self, code: CodeType, _offset: int) -> Any:
        if code.co_filename == _OWN:
            return sys.monitoring.DISABLE
        key = id(code)
        self._codes[key] = code
        self._instructions[key] = self._instructions.get(key, 0) + 1
        return None

    def _call(self, code: CodeType, _offset: int) -> Any:
        if code.co_filename == _OWN:
            return sys.monitoring.DISABLE
        key = id(code)
        self._codes[key] = code
        self._calls[key] = self._calls.get(key, 0) + 1
        return None


async def count(scenario: Scenario, folder: Path) -> tuple[Figures, Counting]:
    """What one request takes, once everything is warm."""
    gateway = InProcess(folder, scenario.document(), scenario.pieces(), scenario.variables(str(folder)))
    store = gateway.counted_store()
    request = request_of(PATHS[scenario.client], scenario.body())
    for _ in range(WARM_UP):
        answer = await gateway.exchange(request)
        if b" 200 OK" not in answer[:20]:
            raise RuntimeError(f"{scenario.name}: {answer[:500]!r}")
    counted = [await _count_once(gateway, request, store) for _ in range(TIMES)]
    figures, counting = min(counted, key=lambda each: each[0]["instructions"])
    gc.disable()
    figures["cyclic_garbage"] = min([await _garbage(gateway, request) for _ in range(TIMES)])
    gc.enable()
    await gateway.close()
    return figures, counting


async def _count_once(gateway: InProcess, request: bytes, store: CountingStore | None) -> tuple[Figures, Counting]:
    calls = store.calls if store is not None else 0
    with Counting() as counting:
        await gateway.exchange(request)
    figures = {"instructions": counting.instructions.total(), "calls": counting.calls.total()}
    if store is not None:
        figures["store_calls"] = store.calls - calls
    return figures, counting


async def _garbage(gateway: InProcess, request: bytes) -> int:
    gc.collect()
    await gateway.exchange(request)
    return gc.collect()


async def weigh(scenario: Scenario, folder: Path) -> Figures:
    """Bytes that a stream keeps: for each further delta, and for each further stream while it lasts."""
    request = request_of(PATHS[scenario.client], scenario.body())
    peaks = []
    for deltas in (64, 64 * 16):
        gateway = InProcess(folder, scenario.document(), scenario.pieces(deltas), scenario.variables(str(folder)))
        await gateway.exchange(request)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        await gateway.exchange(request, keep=False)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
        tracemalloc.stop()
        await gateway.close()
    figures = {"bytes_per_delta": round(max(0, peaks[1] - peaks[0]) / (64 * 15))}
    pieces = scenario.pieces()[: len(scenario.pieces()) // 2]  # the backend falls silent in the middle
    gateway = InProcess(folder, scenario.document(), pieces, scenario.variables(str(folder)))
    gateway.begin(request)
    await settled()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(STREAMS):
        gateway.begin(request)
    await settled()
    gc.collect()
    figures["bytes_per_stream"] = (tracemalloc.get_traced_memory()[0] - before) // STREAMS
    tracemalloc.stop()
    await gateway.abandon()
    return figures


async def settled() -> None:
    """Until everything that can happen without time passing has happened."""
    for _ in range(400):
        await asyncio.sleep(0)


def run_scenarios() -> Iterator[tuple[str, Figures]]:
    for scenario in SCENARIOS:
        with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=new_loop) as runner:
            figures, _ = runner.run(count(scenario, Path(folder)))
            if scenario.stream and not scenario.accounted:
                figures |= runner.run(weigh(scenario, Path(folder)))
        yield scenario.name, figures


def weigh_package() -> Figures:
    """The Lambda package with this machine's wheels, in KiB."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "package"
        command = [sys.executable, str(ROOT / "infra" / "aws" / "build.py"), "--installed", "--target", str(target)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        own = sum(path.stat().st_size for path in target.glob("[ch]*/**/*.py") if path.is_relative_to(target))
        return {"zip_kib": target.with_suffix(".zip").stat().st_size // 1024, "own_source_kib": own // 1024}


def found() -> dict[str, Figures]:
    """Every figure, by section."""
    figures = dict(run_scenarios())
    figures["package"] = weigh_package()
    lists = ROOT / "tests" / "doors"
    figures["cold start"] = {name: len((lists / file).read_text().split()) for name, file in COLD_PATHS.items()}
    return figures


def write(figures: Mapping[str, Figures]) -> None:
    """bench/budgets.toml anew."""
    lines = ["# What `make bench-check` allows; `python -m bench.check --write` writes it anew, with a margin."]
    for section, rows in figures.items():
        lines += ["", f'["{section}"]']
        lines += [f"{name} = {allowance(name, value)}" for name, value in rows.items()]
    BUDGETS.write_text("\n".join(lines) + "\n")


def allowance(name: str, value: int) -> int:
    """Counts are allowed as they are, amounts with a margin."""
    if name in ("store_calls", "cyclic_garbage", *COLD_PATHS):
        return value
    return int(value * (BYTES_MARGIN if name.startswith("bytes_") else MARGIN)) + 16


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--profile", metavar="NAME")
    options = parser.parse_args()
    if options.profile:
        return profile(options.profile)
    figures = found()
    if options.write:
        write(figures)
    budgets = tomllib.loads(BUDGETS.read_text())
    over = 0
    for section, rows in figures.items():
        for name, value in rows.items():
            allowed = budgets.get(section, {}).get(name, 0)
            over += value > allowed
            remark = "  OVER" if value > allowed else ""
            print(f"{section:<42}{name:<18}{value:>10,}{allowed:>10,}{remark}")
    if over:
        print(f"\n{over} over {BUDGETS.relative_to(ROOT)}: make it cheaper, or say there why it may cost more.")
    return 1 if over else 0


def profile(name: str) -> int:
    """Where the instructions of a scenario go."""
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == name)
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=new_loop) as runner:
        figures, counting = runner.run(count(scenario, Path(folder)))
    print(figures)
    for code, value in counting.instructions.most_common(80):
        place = code.co_filename.partition("site-packages/")[2] or code.co_filename.removeprefix(f"{ROOT}/")
        print(f"{value:>8}{counting.calls[code]:>6}  {place}:{code.co_firstlineno} {code.co_qualname}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
