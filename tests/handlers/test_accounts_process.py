"""Accounts and the death of the process that keeps them: a real server, real signals, a real SQLite file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from core.bill import day_of, folder_of
from core.ports import Store
from handlers.io.clock import SystemClock
from handlers.io.http_client import HttpTransport
from handlers.io.sqlite_store import SqliteStore
from handlers.upkeep import Upkeep
from tests.backend_server import BackendServer, Script
from tests.gateways import RecordingLog
from tests.samples import answer_body, request_body, stream_frames
from tests.scripted import FixedRandom, VirtualClock
from tests.stores import real_stores
from tests.stores.conftest import azurite_server, moto_server

__all__ = ["azurite_server", "moto_server"]

ROOT = Path(__file__).parents[2]
COUNTERS = ["usd_total:everyone::", "in_flight:everyone::"]
LEASE = 90.0


@asynccontextmanager
async def serving(
    tmp_path: Path, backend: str, place: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`skybridge serve` over the store that `place` (variables) names, by default a file in this folder."""
    document = {
        "backends": {"b": {"type": "anthropic", "base_url": backend, "api_key": "k"}},
        "models": {"m": {"backend": "b", "api_model": "claude-sonnet-4-5"}},
        "quotas": {"everyone": {"usd_total": 100, "in_flight": 50}, "lease_seconds": LEASE, "note_seconds": 0},
    }
    path = tmp_path / "models.json"
    path.write_text(json.dumps(document), "utf-8")
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SERVICE_API_KEY": "service",
        **(place or {"SKYBRIDGE_STORE": f"sqlite:{tmp_path / 'made.db'}"}),
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


async def rows_of(store: Store, started: float) -> list[Any]:
    days = {day_of(started), day_of(SystemClock().time())}
    return [row for day in days for row in (await store.read_all(folder_of(day))).values()]


async def notes_of(store: Store, started: float) -> list[Any]:
    days = {day_of(moment + LEASE) for moment in (started, SystemClock().time())}
    return [note for day in days for note in (await store.read_all(f"notes:{day}")).values()]


async def written(what: Callable[[], Awaitable[list[Any]]], count: int) -> None:
    """Until so many are there: they are written after the client has its answer, or beside it."""
    async with asyncio.timeout(20):
        while len(await what()) < count:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def placed(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Mapping[str, str], Store]]:
    """Variables that name a fresh store of this kind, and the store."""
    if kind == "sqlite":
        store: Store = SqliteStore(tmp_path / "made.db")
        yield {"SKYBRIDGE_STORE": f"sqlite:{tmp_path / 'made.db'}"}, store
        await store.close()
        return
    transport, name = HttpTransport(environment={}), f"t{uuid4().hex}"
    if kind == "dynamodb":
        endpoint = request.getfixturevalue("moto_server")
        variables = {
            "SKYBRIDGE_STORE": f"dynamodb:{name}", "AWS_ENDPOINT_URL_DYNAMODB": endpoint, "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
        }  # fmt: skip
        store = real_stores.dynamo_store(transport, endpoint, name)
    else:
        endpoint = request.getfixturevalue("azurite_server")
        variables = {
            "SKYBRIDGE_STORE": f"azure-table:{endpoint}/{name}", "AZURE_STORAGE_KEY": real_stores.ACCOUNT_KEY,
        }  # fmt: skip
        store = real_stores.azure_store(transport, endpoint, name)
    await store.prepare()
    yield variables, store
    await store.close()
    await transport.aclose()


@pytest.mark.parametrize(
    "kind", ["sqlite", *(pytest.param(each, marks=pytest.mark.slow) for each in ("dynamodb", "tables"))]
)
async def test_a_killed_process_loses_no_record_and_its_reservation_comes_back(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    whole = Script([answer_body("messages")], headers={"content-type": "application/json"})
    frames = stream_frames("messages")
    started = SystemClock().time()
    headers = {"x-api-key": "service"}
    async with (
        placed(kind, request, tmp_path) as (variables, store),
        BackendServer([whole, whole, whole, Script([*frames[:4], asyncio.Event()])]) as backend,
    ):
        async with serving(tmp_path, backend.url, variables) as (process, url):
            async with httpx.AsyncClient(headers=headers) as client:
                for _ in range(3):
                    assert (await client.post(url, content=request_body("messages"))).status_code == 200
                async with client.stream("POST", url, content=request_body("messages", stream=True)) as response:
                    chunks = response.aiter_raw()  # kept: its end would be the client's leaving
                    while b"text_delta" not in await anext(chunks):
                        pass
                    await written(lambda: rows_of(store, started), 3)
                    await written(lambda: notes_of(store, started), 1)
                    process.send_signal(signal.SIGKILL)
                    await process.wait()
        await check_after_death(store, started)


async def check_after_death(store: Store, started: float) -> None:
    """What was over is recorded, what was held comes back with its lease, and the request that died has a record."""
    now = SystemClock().time()
    spent = 3 * (5 * 3_000_000 + 2 * 15_000_000)
    rows = await rows_of(store, started)
    assert [row["cost"] for row in rows] == [spent // 3] * 3, rows
    held = await store.totals(COUNTERS, now)
    assert held[COUNTERS[0]] > spent and held[COUNTERS[1]] == 1
    assert await store.totals(COUNTERS, now + LEASE) == {COUNTERS[0]: spent, COUNTERS[1]: 0}
    clock = VirtualClock()
    clock.now += now + LEASE - clock.time()
    for _ in range(2):  # two processes may look after the store at once
        await Upkeep(store, clock, FixedRandom(0.0), RecordingLog()).tend()
    outcomes = [row["outcome"] for row in await rows_of(store, started)]
    assert sorted(outcomes) == ["abandoned", "complete", "complete", "complete"]
    assert await notes_of(store, started) == []


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
