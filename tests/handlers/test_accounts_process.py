"""Accounts and the death of the process that keeps them: a real server, real signals, a real SQLite file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from core.bill import day_of, folder_of
from handlers.io.clock import SystemClock
from handlers.io.sqlite_store import SqliteStore
from tests.backend_server import BackendServer, Script
from tests.samples import answer_body, request_body, stream_frames

ROOT = Path(__file__).parents[2]
COUNTERS = ["usd_total:everyone::", "in_flight:everyone::"]
LEASE = 90.0


@asynccontextmanager
async def serving(tmp_path: Path, backend: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`skybridge serve` over a store in this folder."""
    document = {
        "backends": {"b": {"type": "anthropic", "base_url": backend, "api_key": "k"}},
        "models": {"m": {"backend": "b", "api_model": "claude-sonnet-4-5"}},
        "quotas": {"everyone": {"usd_total": 100, "in_flight": 50}, "lease_seconds": LEASE},
    }
    path = tmp_path / "models.json"
    path.write_text(json.dumps(document), "utf-8")
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SKYBRIDGE_STORE": f"sqlite:{tmp_path / 'made.db'}",
        "SERVICE_API_KEY": "service",
    }  # fmt: skip
    arguments = ["serve", "--port", "0", "--config", str(path), "--grace", "5"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "handlers.cli", *arguments, cwd=tmp_path, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        while b'"listening"' not in (line := await process.stdout.readline()):
            assert line, "the server did not start"
        yield process, f"http://127.0.0.1:{json.loads(line)['port']}/v1/messages"
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def rows_of(store: SqliteStore, started: float) -> list[Any]:
    days = {day_of(started), day_of(SystemClock().time())}
    return [row for day in days for row in (await store.read_all(folder_of(day))).values()]


async def written(store: SqliteStore, started: float, count: int) -> None:
    """Until so many records are there: they are written after the client has its answer."""
    async with asyncio.timeout(10):
        while len(await rows_of(store, started)) < count:
            await asyncio.sleep(0.01)


async def test_a_killed_process_loses_no_record_and_its_reservation_comes_back(tmp_path: Path) -> None:
    whole = Script([answer_body("messages")], headers={"content-type": "application/json"})
    frames = stream_frames("messages")
    store, started = SqliteStore(tmp_path / "made.db"), SystemClock().time()
    headers = {"x-api-key": "service"}
    async with BackendServer([whole, whole, whole, Script([*frames[:4], asyncio.Event()])]) as backend:
        async with serving(tmp_path, backend.url) as (process, url), httpx.AsyncClient(headers=headers) as client:
            for _ in range(3):
                assert (await client.post(url, content=request_body("messages"))).status_code == 200
            async with client.stream("POST", url, content=request_body("messages", stream=True)) as response:
                async for data in response.aiter_raw():
                    if b"text_delta" in data:
                        break
                await written(store, started, 3)
                process.send_signal(signal.SIGKILL)
                await process.wait()
    now = SystemClock().time()
    rows = await rows_of(store, started)
    spent = 3 * (5 * 3_000_000 + 2 * 15_000_000)
    assert [row["cost"] for row in rows] == [spent // 3] * 3
    held = await store.totals(COUNTERS, now)
    assert held[COUNTERS[0]] > spent and held[COUNTERS[1]] == 1
    assert await store.totals(COUNTERS, now + LEASE) == {COUNTERS[0]: spent, COUNTERS[1]: 0}
    await store.close()


async def test_what_waits_at_sigterm_is_written(tmp_path: Path) -> None:
    frames = stream_frames("messages")
    gate = asyncio.Event()
    store, started = SqliteStore(tmp_path / "made.db"), SystemClock().time()
    async with BackendServer([Script([*frames[:4], gate, *frames[4:]])]) as backend:
        async with serving(tmp_path, backend.url) as (process, url), httpx.AsyncClient() as client:
            headers = {"x-api-key": "service"}
            asking = client.stream("POST", url, content=request_body("messages", stream=True), headers=headers)
            async with asking as response:
                async for data in response.aiter_raw():
                    if b"text_delta" in data and not gate.is_set():
                        process.send_signal(signal.SIGTERM)
                        gate.set()
            assert await process.wait() == 0
    (row,) = await rows_of(store, started)
    assert row["outcome"] == "complete" and row["cost"] == 5 * 3_000_000 + 2 * 15_000_000
    assert await store.totals(COUNTERS, started) == {COUNTERS[0]: row["cost"], COUNTERS[1]: 0}
    await store.close()
