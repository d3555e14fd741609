"""One of two candidates fails every other request: no client sees an error, and what it costs is printed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backend_server import JSON, RESET, BackendServer, Received, Script
from tests.samples import answer_body, error_body, request_body, stream_frames
from tests.served import served

FRAMES = stream_frames("messages")
FAULTS = [
    Script([error_body("messages")], status=503, headers=JSON),
    Script([error_body("messages")], status=529, headers=JSON),
    Script([RESET]),
    Script([FRAMES[0]], close=True),
]


def good(received: Received) -> Script:
    return Script(FRAMES) if received.json["stream"] else Script([answer_body("messages")], headers=JSON)


def every_other() -> Callable[[Received], Script]:
    count = 0

    def choose(received: Received) -> Script:
        nonlocal count
        count += 1
        received_fault = FAULTS[count // 2 % len(FAULTS)]
        return received_fault if count % 2 else good(received)

    return choose


def settings(first: str, second: str) -> dict[str, Any]:
    backends = {
        name: {"type": "anthropic", "base_url": url, "api_key": "k"} for name, url in (("a", first), ("b", second))
    }
    rows = [{"backend": "a", "priority": 1}, {"backend": "b", "priority": 2}]
    return {"backends": backends, "models": {"m": {"candidates": rows}}}


async def timed(gateway: str, stream: bool, count: int) -> list[float]:
    """Milliseconds of each request, one after another. Every one must be answered whole."""
    expected = b"".join(FRAMES) if stream else answer_body("messages")
    body = request_body("messages", stream=stream)
    times = []
    async with httpx.AsyncClient(base_url=gateway) as client:
        for _ in range(count):
            begun = time.perf_counter()
            response = await client.post("/v1/messages", content=body)
            times.append((time.perf_counter() - begun) * 1000)
            assert response.status_code == 200
            assert response.content == expected
    return times


async def compare(tmp_path: Path, stream: bool, count: int) -> tuple[float, float]:
    """The median with a failing first candidate, and with a well one, in milliseconds."""
    async with BackendServer(every_other()) as failing, BackendServer(good) as well:
        async with served(tmp_path, settings(failing.url, well.url)) as gateway:
            with_faults = await timed(gateway.url, stream, count)
            tried = [record.attempts for record in gateway.records]
            assert tried.count(2) == pytest.approx(count / 2, abs=1)
            assert {record.outcome for record in gateway.records} == {"complete"}
        async with served(tmp_path, settings(well.url, well.url)) as gateway:
            without = await timed(gateway.url, stream, count)
    return statistics.median(with_faults), statistics.median(without)


@pytest.mark.parametrize("stream", [False, True])
async def test_no_client_sees_an_error(tmp_path: Path, stream: bool) -> None:
    await compare(tmp_path, stream, 20)


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
async def test_what_it_costs(tmp_path: Path, stream: bool, capsys: pytest.CaptureFixture[str]) -> None:
    faults, without = await compare(tmp_path, stream, 500)
    with capsys.disabled():
        kind = "streamed" if stream else "whole"
        print(f"\n{kind}: p50 {faults:.2f} ms, {without:.2f} ms without faults: {faults - without:+.2f} ms")
